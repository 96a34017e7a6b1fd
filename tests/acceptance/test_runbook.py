"""docs/runbook.md, walked word for word: from nothing to scheduled jobs on a mongod with TLS and access control, a
verified backup, and the same jobs on the store that was restored from it.

Not walked: the installation (`make package` installs elsewhere) and mongodump, which is not at hand.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from tests.acceptance.shell import CONFIG, Shell
from tests.acceptance.test_deploy import DEPLOY, ROOT, here, runbook
from tests.mongod import Mongod, require_mongod_binary

PAGE = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
PROFILE = """
[plans.free]
weekly_quota = 100
[profiles.prod]
production = true
store_file = "store"
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Mongod]:
    require_mongod_binary()
    certify(tmp_path)
    server = Mongod(auth=True, tls=tmp_path).start()
    yield server
    server.stop()


def certify(folder: Path) -> None:
    """Write ``ca.pem``, and ``server.pem`` for 127.0.0.1, signed by it."""

    def openssl(words: str) -> None:
        subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True, timeout=60)

    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.pem -subj /CN=authority-of-a-test")
    openssl("req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=127.0.0.1")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days 2 -out server.crt -extfile names")
    (folder / "server.pem").write_bytes((folder / "server.key").read_bytes() + (folder / "server.crt").read_bytes())


def store_is(run: Shell, url: str) -> None:
    """Put ``url`` into the file that the profile takes its store from."""
    (run.place / "store").touch(mode=0o600)
    (run.place / "store").write_text(url + "\n")


def play(run: Shell, line: str) -> Any:
    command, _, target = here(run, line).partition(" > ")
    answer = run(command.removeprefix("meterctl "))
    assert answer.code == 0, (line, answer)
    if target:
        Path(target).write_text(answer.out, encoding="utf-8")
    return answer


def jobs() -> list[str]:
    """Return the commands of the scheduled jobs: a sweep, and a check."""
    units = [(DEPLOY / "systemd" / f"meterctl-{name}.service").read_text() for name in ("sweep", "verify")]
    return [re.findall(r"^ExecStart=\S+/(meterctl .*)$", unit, re.MULTILINE)[0] for unit in units]


def test_the_runbook_leads_from_nothing_to_a_restored_store(
    run: Shell, server: Mongod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("METERCTL_STORE")
    run.config(CONFIG + PROFILE)
    root = server.uri.replace("/?", "/credits?authSource=admin&")
    store_is(run, root)
    lines = runbook()
    start = lines.index("meterctl init --profile prod")
    for line in lines[:start]:
        play(run, line)

    role = json.loads(play(run, f"{lines[start]} --json").out)["role"]
    (user,) = (json.loads(block) for block in re.findall(r"^ *```json\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL))
    with MongoClient[dict[str, Any]](root) as client:
        client.credits.command(role)
        client.credits.command(user)
    (url,) = re.findall(r"^ *(mongodb://meterctl:\S+)$", PAGE, re.MULTILINE)
    store_is(run, here(run, url.replace("db1.example:27017", server.address)))

    backup = lines.index("meterctl export --all --plans --profile prod > /var/backups/meterctl/credits.ndjson")
    for line in lines[start + 1 : backup]:
        play(run, line)
    run.all("--profile prod credit-pack acme small --session cs_1 --yes")
    swept_and_checked(run)
    for line in lines[backup:]:
        play(run, line)

    whole = run("--profile prod export --all --plans").out
    store_is(run, "sqlite:restored.db")
    assert run("--profile prod export --all --plans").out == whole
    swept_and_checked(run)


def swept_and_checked(run: Shell) -> None:
    """Run the scheduled jobs twice, as their timers do."""
    metrics = run.place / "meterctl.prom"
    for _ in range(2):
        metrics.unlink(missing_ok=True)
        sweep, check = (json.loads(play(run, line).out) for line in jobs())
        assert (sweep["status"], sweep["journal_found"], check["ok"]) == ("done", True, True)
        assert re.search(r"^meterctl_sweep_\w+(\{.*\})? [0-9]", metrics.read_text(), re.MULTILINE)
