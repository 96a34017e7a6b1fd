"""The pages: every command on them exists with its options, every config is accepted, and the examples work.

README.md, the playbook, the runbook, the Python API, plans and Stripe have tests of their own, which compare answers.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from meterctl.commands.catalogue import commands
from meterctl.config.file import read_settings
from tests.acceptance.shell import Shell
from tests.devkit_data import NOW as DEVKIT_NOW
from tests.devkit_data import generate, write
from tests.links import PAGES, ROOT, prose
from tests.mongod import own_database
from tests.programs import needed

SHELLS = {"sh", "console", "cron", ""}

#: Words of a shell after which another command or a file comes.
ENDS = {"|", "||", "&&", ";", ">", ">>", "2>>", "<", "#", "}"}
FLAGS_OF_ALL = {"--help", "-h", "--version", "--install-completion", "--show-completion"}


def blocks(page: Path, *languages: str) -> list[str]:
    """Return the code blocks of a page in these languages."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^( *)```(\S*)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [re.sub(f"^{indent}", "", body, flags=re.MULTILINE) for indent, name, body in found if name in languages]


def command_lines(page: Path) -> Iterator[list[str]]:
    """Yield the words of every meterctl command on a page, in blocks and in sentences."""
    lines = [line for block in blocks(page, *SHELLS) for line in block.splitlines()]
    lines += [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(page))]
    for line in lines:
        for found in re.finditer(r"(?:^|[ (=$]|bin/)meterctl +(?=[-a-z])([^`)]*)", line):
            yield _before_the_end(_words(found[1]))


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # an apostrophe in an answer
        return line.split()


def _before_the_end(words: list[str]) -> list[str]:
    return words[: next((place for place, word in enumerate(words) if word in ENDS), len(words))]


@cache
def flags() -> dict[str, set[str]]:
    """Return the options of each command."""
    return {each["name"]: {flag for one in each["parameters"] for flag in one["flags"]} for each in commands()}


def unknown_words(words: list[str]) -> list[str]:
    """Return the command if it does not exist, else its options that do not."""
    plain = [word for word in words if not word.startswith("-")]
    if plain[:1] == ["help"]:
        plain = plain[1:]
    names = [*map(" ".join, pairwise(plain)), *plain]
    name = next((name for name in names if name in flags()), None)
    if name is None:  # a group, such as `meterctl meter`, may stand alone
        groups = {name.split()[0] for name in flags()}
        return [] if not plain or (len(plain) == 1 and plain[0] in groups) else plain[:1]
    given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    return sorted(given - flags()[name] - FLAGS_OF_ALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_on_a_page_exists_with_its_options(page: Path) -> None:
    assert {" ".join(words): wrong for words in command_lines(page) if (wrong := unknown_words(words))} == {}


def test_a_command_that_does_not_exist_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("`meterctl verfy --all`\n```sh\nmeterctl --json verify --all --no-such | jq\n```\n")
    assert [unknown_words(words) for words in command_lines(page)] == [["--no-such"], ["verfy"]]


@pytest.mark.parametrize(
    ("page", "block"),
    [(page, block) for page in PAGES for block in blocks(page, "toml")],
    ids=lambda part: part.name if isinstance(part, Path) else part.splitlines()[0],
)
def test_every_config_on_a_page_is_accepted(page: Path, block: str) -> None:
    assert read_settings(page, block)


# Examples that need a real shell


def shell(run: Shell, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script of a page in the test's folder, with meterctl in its path."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=run.place,
        env=os.environ | {"PATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_setup_for_production_works(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    section = (ROOT / "README.md").read_text("utf-8").partition("## In production")[2].partition("\n## ")[0]
    (profile,) = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    (script,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    monkeypatch.delenv("METERCTL_STORE")
    monkeypatch.delenv("METERCTL_NOW")
    first = (ROOT / "examples" / "meterctl.toml").read_text("utf-8")
    run.config(first + profile.replace("/etc/meterctl", str(run.place)))
    with own_database() as uri:
        (run.place / "store").write_text(uri)
        (run.place / "store").chmod(0o600)
        lines = script.replace("/var/lib/node_exporter", str(run.place)).splitlines()
        assert [line.split()[1] for line in lines] == ["init", "plan", "doctor", "expire", "verify", "export"]
        setup = shell(run, "\n".join(lines[:2]))
        assert setup.returncode == 0, setup.stderr
        run.all("credit-pack acme small --session cs_1 --profile prod --yes")
        jobs = shell(run, "\n".join(lines[3:]))
        assert jobs.returncode == 0, jobs.stderr
        assert shell(run, lines[2]).returncode in (0, 8)  # 8: the tests' server has no access control
        assert run.json("verify --file backup.ndjson").doc["entries"] == 1
        assert {file.name for file in run.place.glob("*.prom")} == {"meterctl.prom", "meterctl-verify.prom"}


PADDLE = {
    "data": [
        {
            "id": "txn_01h",
            "invoice_id": "inv_01",
            "custom_data": {"org": "acme", "pack": "small"},
            "items": [{"quantity": 2}],
            "details": {"totals": {"total": "1190", "tax": "190"}},
            "currency_code": "USD",
            "billed_at": "2026-11-20T10:00:00Z",
            "adjustments": [
                {
                    "id": "adj_01",
                    "totals": {"total": "595"},
                    "status": "approved",
                    "created_at": "2026-11-21T09:00:00Z",
                    "action": "refund",
                }
            ],
        }
    ]
}


def test_the_payments_of_paddle_reach_the_journal(run: Shell) -> None:
    needed("jq")
    fetch, book = blocks(ROOT / "docs" / "payments.md", "sh")
    (line,) = blocks(ROOT / "docs" / "payments.md", "json")
    answer = run.file("answer.json", json.dumps(PADDLE))
    run.setenv("METERCTL_NOW", "2026-11-22T10:00:00Z")
    fetched = shell(run, f"curl() {{ cat {answer}; }}\n{fetch}", PADDLE_API_KEY="key")
    assert fetched.returncode == 0, fetched.stderr
    payment = json.loads((run.place / "payments.ndjson").read_text())
    assert payment.pop("refunds") == [{**json.loads(line)["refunds"][0], "dispute": False}]
    assert payment == {name: value for name, value in json.loads(line).items() if name != "refunds"}
    reconcile, apply = book.splitlines()
    assert shell(run, reconcile).returncode == 8
    done = shell(run, f"{apply} --yes")
    assert done.returncode == 0, done.stderr
    assert run.doc("balance acme")["balance"] == 1000
    assert shell(run, reconcile).returncode == 0


def test_the_notifier_gets_each_alert_once(run: Shell) -> None:
    needed("jq")
    (loop,) = (block for block in blocks(ROOT / "docs" / "operating.md", "sh") if "cursor=" in block)
    run.all(
        "adjust acme 10 --ref a1 --reason why --now 2026-11-16T12:00:00Z",
        "debit acme 11 --ref d1 --allow-debt --yes --now 2026-11-16T12:01:00Z",
    )
    # Two rounds, and a notifier that fails in the first: the cursor stays, and the second round sends it all.
    script = """
        rounds=0
        sleep() { rounds=$((rounds + 1)); [ $rounds -le 3 ]; }
        notify() { [ $rounds -ge 2 ] && cat >> notified; }
        echo 24h > cursor
    """
    done = shell(run, script + loop, METERCTL_NOW="2026-11-16T13:00:00Z")
    alerts = [json.loads(line) for line in (run.place / "notified").read_text().splitlines()]
    assert [(alert["org"], alert["kind"]) for alert in alerts] == [("acme", "balance")], done.stderr


def test_statements_are_made_as_the_page_has_it(run: Shell) -> None:
    calls, ledger = blocks(ROOT / "docs" / "statements.md", "sh")
    run.all(
        "credit-pack acme small --session cs_1 --now 2026-10-05T10:00:00Z",
        "debit acme 5 --ref d1 --now 2026-10-06T10:00:00Z",
    )
    needed("hledger")
    for script in (calls, ledger):
        done = shell(run, script, METERCTL_NOW="2026-11-16T13:00:00Z")
        assert done.returncode == 0, done.stderr
    assert "</html>" in (run.place / "acme.html").read_text()


def test_files_are_booked_as_the_pages_have_it(run: Shell) -> None:
    (line,) = (block for block in blocks(ROOT / "docs" / "operating.md", "sh") if "backfill" in block)
    events = blocks(ROOT / "docs" / "stripe.md", "sh")[-1].splitlines()[0]
    operations = (ROOT / "examples" / "operations.ndjson").read_text("utf-8")
    run.config((ROOT / "examples" / "meterctl.toml").read_text("utf-8"))
    run.file("november.ndjson", operations)
    run.file("deliveries.ndjson", "")
    run.setenv("METERCTL_NOW", "2026-11-30T10:00:00Z")
    assert shell(run, f"gzip november.ndjson; {line}").returncode == 7  # a debit of the example is refused
    answers = [json.loads(each) for each in (run.place / "answers.ndjson").read_text().splitlines()]
    counts = Counter(answer["status"] for answer in answers)
    assert counts == {"applied": len(operations.splitlines()) - 2, "refused": 1, "replayed": 1}
    assert shell(run, events).returncode == 0


def test_the_data_of_devkit_come_in_as_the_page_has_it(run: Shell) -> None:
    audit, load = blocks(ROOT / "docs" / "devkit.md", "")
    run.setenv("METERCTL_NOW", DEVKIT_NOW.isoformat())
    with own_database() as uri:
        with MongoClient[dict[str, Any]](uri) as client:
            write(client.get_default_database(), generate(10, seed=4))
        for script, code in ((audit, 8), (load, 0), (f"{audit.strip()} --plan-out amends.ndjson", 8)):
            done = shell(run, script.replace("mongodb://db/devkit", f"'{uri}'"))
            assert done.returncode == code, (script, done.stderr)
        assert shell(run, "meterctl apply amends.ndjson --yes").returncode == 0
