"""``--metrics-file`` of the commands that cron runs, and the alert rules on it."""

import re
import socket
import subprocess
from pathlib import Path

import pytest

from meterctl.core.errors import USAGE
from meterctl.core.files.metrics import label_text
from tests.acceptance.shell import Shell
from tests.programs import needed

RULES = Path(__file__).parents[2] / "deploy" / "prometheus-rules.yml"
LINES = """\
{"op": "debit", "org": "acme", "units": 1, "ref": "b1"}
{"op": "debit", "org": "acme", "units": 9999, "ref": "b2"}
"""


def figures(path: Path) -> dict[str, float]:
    """The figures of a file, each with its one label set, whose names all carry HELP and TYPE."""
    text = path.read_text()
    found = {name: float(value) for name, value in re.findall(r"^(\w+)\{[^\n]*\} (\S+)$", text, re.MULTILINE)}
    assert re.findall(r"^# HELP (\w+) \S", text, re.MULTILINE) == list(found)
    assert re.findall(r"^# TYPE (\w+) gauge$", text, re.MULTILINE) == list(found)
    return found


@pytest.fixture
def desk(run: Shell) -> Shell:
    run.all(
        "credit-pack acme small --session s1", "debit acme 300 --ref r1", "debit poor 40 --ref r1 --allow-debt --yes"
    )
    run.all("adjust late 5 --ref a1 --reason why --expires 2026-11-16T12:30Z")
    return run


def test_verify_and_doctor_tell_how_the_store_stands(desk: Shell) -> None:
    for command in ("verify --all", "doctor"):
        file = desk.place / "out.prom"
        desk(f"{command} --metrics-file {file}", now="2026-11-16T13:00:00Z")
        told = figures(file)
        assert (told["meterctl_orgs"], told["meterctl_negative_orgs"], told["meterctl_owed_units"]) == (3, 1, 40)
        assert told["meterctl_outstanding_units"] == 700
        assert told["meterctl_due_lag_seconds"] == 1800
        assert f'store="{desk.store}"' in file.read_text()
        name = command.split()[0]
        assert told[f"meterctl_{name}_last_run_timestamp_seconds"] > 0


def test_verify_counts_what_it_found(desk: Shell) -> None:
    file = desk.place / "out.prom"
    assert desk(f"verify --all --metrics-file {file}").code == 0
    told = figures(file)
    assert (told["meterctl_verify_success"], told["meterctl_verify_findings"], told["meterctl_verify_entries"]) == (
        1,
        0,
        4,
    )


def test_backfill_counts_its_lines_and_a_partial_run_is_no_success(desk: Shell) -> None:
    file, lines = desk.place / "out.prom", desk.file("lines.ndjson", LINES)
    assert desk(f"backfill {lines} --metrics-file {file}").code == 7
    told = figures(file)
    assert (told["meterctl_backfill_lines"], told["meterctl_backfill_applied"], told["meterctl_backfill_refused"]) == (
        2,
        1,
        1,
    )
    assert told["meterctl_backfill_success"] == 0
    assert told["meterctl_backfill_last_success_timestamp_seconds"] == 0


def test_a_failure_keeps_the_last_success(desk: Shell) -> None:
    file, lines = desk.place / "out.prom", desk.file("lines.ndjson", LINES.splitlines()[0] + "\n")
    assert desk(f"backfill {lines} --metrics-file {file}").code == 0
    success = figures(file)["meterctl_backfill_last_success_timestamp_seconds"]
    assert success > 0
    assert desk(f"backfill {desk.place}/gone --metrics-file {file}").code != 0
    told = figures(file)
    assert told["meterctl_backfill_success"] == 0
    assert told["meterctl_backfill_last_success_timestamp_seconds"] == success


def test_a_dry_run_writes_nothing(desk: Shell) -> None:
    file, lines = desk.place / "out.prom", desk.file("lines.ndjson", LINES.splitlines()[0] + "\n")
    desk(f"backfill {lines} --dry-run --metrics-file {file}")
    assert not file.exists()


@pytest.mark.parametrize("command", ["verify --all", "doctor", "backfill -", "events -", "reconcile stripe"])
def test_a_file_that_cannot_be_written_is_refused_before_anything_else(run: Shell, command: str) -> None:
    answer = run(f"{command} --metrics-file {run.place}/nowhere/out.prom")
    assert (answer.code, answer.out) == (USAGE, "")
    assert "cannot write" in answer.err


def test_the_store_is_never_written_over(desk: Shell) -> None:
    answer = desk(f"verify --all --metrics-file {desk.place}/meterctl.db")
    assert (answer.code, answer.out) == (USAGE, "")
    assert desk.doc("balance acme")["balance"] == 700


def test_no_label_ends_early() -> None:
    assert label_text({"store": 'a"b\\c\nd'}) == 'store="a\\"b\\\\c\\nd"'


def test_promtool_accepts_the_figures_and_the_rules(desk: Shell) -> None:
    promtool = needed("promtool")
    checked = subprocess.run([promtool, "check", "rules", str(RULES)], capture_output=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    file = desk.place / "out.prom"
    for command in ("verify --all", "doctor"):
        desk(f"{command} --metrics-file {file}")
        ended = subprocess.run(
            [promtool, "check", "metrics"], input=file.read_bytes(), capture_output=True, timeout=60, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_rules_name_figures_that_are_written(desk: Shell) -> None:
    used = set(re.findall(r"\b(meterctl_[a-z_]+)\b", RULES.read_text()))
    written: set[str] = set()
    lines = desk.file("lines.ndjson", LINES)
    events = desk.file("events.ndjson", "")
    for command in ("verify --all", "doctor", "expire --all", f"backfill {lines}", f"events {events}"):
        file = desk.place / "out.prom"
        desk(f"{command} --metrics-file {file}")
        written |= set(figures(file))
    assert used <= written | {"meterctl_reconcile_success"}


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("expire --all", "sweep"),
        ("reset-week --all", "sweep"),
        ("verify --all", "verify"),
        ("doctor", "doctor"),
        ("backfill lines.ndjson", "backfill"),
        ("events events.json", "events"),
        ("reconcile payments.ndjson", "reconcile"),
    ],
)
def test_a_run_against_a_server_that_is_down_is_no_success(
    desk: Shell, monkeypatch: pytest.MonkeyPatch, line: str, name: str
) -> None:
    """Otherwise the file of the last good run says for ever that all is well."""
    monkeypatch.chdir(desk.place)
    desk.file("lines.ndjson", LINES.splitlines()[0])
    desk.file("payments.ndjson", "")
    desk.file("events.json", '{"id":"evt_1","type":"customer.created","created":1763290000,"data":{"object":{}}}')
    file = desk.place / "meterctl.prom"
    desk(f"{line} --metrics-file {file}")
    before = figures(file)
    assert before[f"meterctl_{name}_success"] == 1
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        down = f"mongodb://127.0.0.1:{probe.getsockname()[1]}/meterctl?timeoutMS=300"
    answer = desk(f"{line} --metrics-file {file} --store '{down}'", now="2026-11-16T14:00:00Z")
    assert answer.code == 10, answer
    after = figures(file)
    assert after[f"meterctl_{name}_success"] == 0
    last = f"meterctl_{name}_last_success_timestamp_seconds"
    # All but sweeps have the store as a label: here it is another one, which never had a success.
    assert after[last] == (before[last] if name == "sweep" else 0)
    last = f"meterctl_{name}_last_run_timestamp_seconds"
    assert after[last] > before[last]
