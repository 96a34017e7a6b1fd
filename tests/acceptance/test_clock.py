"""A wrong clock at the command line: with a clock put in, and with a process whose clock faketime sets."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.instants import add_millis
from meterctl.core.domain.operations import Adjust, Request
from meterctl.core.domain.policy import Terms
from meterctl.core.stores.url import open_store
from meterctl.process.clock import FixedClock, SystemClock
from tests.acceptance.shell import Answer, Shell
from tests.acceptance.terminal import at_terminal
from tests.mongod import own_database
from tests.programs import needed

DAY_MS = 86_400_000

#: Each books, or takes a lock away, if it is let.
WRITES = (
    "adjust acme 1 --ref a9 --reason why",
    "expire --all",
    "expire acme",
    "reset-week --all",
    "expire --all --workers 2",
    "plan publish pro --quota 5",
    "plan publish --from-config",
    "meter attribute acme run-9 --units 5",
    "backfill lines.ndjson",
    "backfill lines.ndjson --workers 2",
    "apply plan.ndjson",
    "lock break sweep --reason why",
    "events events.ndjson",
)

EVENT = {
    "id": "evt_s",
    "type": "checkout.session.completed",
    "created": 1795168800,
    "livemode": False,
    "data": {
        "object": {
            "id": "cs_test_1",
            "object": "checkout.session",
            "mode": "payment",
            "status": "complete",
            "payment_status": "paid",
            "payment_intent": "pi_1",
            "amount_total": 500,
            "currency": "usd",
            "livemode": False,
            "metadata": {"org": "acme", "pack": "small"},
        }
    },
}


@pytest.fixture
def real(run_anywhere: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """On each store, with the machine's own clock and a config that allows no other."""
    monkeypatch.delenv("METERCTL_NOW")
    run = run_anywhere
    run.config((run.place / "meterctl.toml").read_text().replace("allow_time_travel = true\n", ""))
    return run


def set_clock(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """Have the machine's clock be wrong by so many days."""
    true = SystemClock.now
    monkeypatch.setattr(SystemClock, "now", lambda self: add_millis(true(self), round(days * DAY_MS)))


def prepare(run: Shell) -> None:
    run.all(
        "plan publish pro --quota 500", "credit-pack acme small --session cs_1", "meter attribute acme r1 --units 9"
    )
    line = {"op": "debit", "org": "acme", "units": 1, "ref": "b1"}
    run.file("lines.ndjson", json.dumps(line) + "\n")
    run.file("events.ndjson", json.dumps(EVENT) + "\n")
    run.all("debit acme 1 --ref p1 --plan-out plan.ndjson")


@pytest.mark.parametrize("days", [100, -100])
def test_no_command_writes_under_a_wrong_clock(real: Shell, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    prepare(real)
    code = "clock_jump" if real.store.startswith("sqlite") else "clock_skew"
    journal, plans = real.journal(), real.doc("plan list")
    with monkeypatch.context() as patched:
        set_clock(patched, days)
        for line in WRITES:
            if "--workers" in line and days < 0:
                continue  # other processes have clocks of their own; one direction is enough to see that they ask
            answer = real.json(line)
            assert (answer.code, answer.error["code"]) == (10, code), line
        assert real("balance acme").code == 0, "reads go on"
    assert real.journal() == journal
    assert real.doc("plan list") == plans
    assert real("verify --all").code == 0


def test_yes_goes_on_after_a_jump_but_not_with_a_skew(real: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(real)
    set_clock(monkeypatch, 100)
    answer = real("adjust acme 1 --ref a9 --reason why --yes")
    assert answer.code == (0 if real.store.startswith("sqlite") else 10)


def test_a_limit_of_the_config_holds(real: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(real)
    text = (real.place / "meterctl.toml").read_text()
    real.config('max_clock_skew = "1d"\nmax_clock_jump = "1d"\n' + text)
    set_clock(monkeypatch, 0.9)
    assert real("adjust acme 1 --ref a9 --reason why").code == 0
    set_clock(monkeypatch, 1.2)
    assert real("adjust acme 1 --ref a8 --reason why").code == 10


def test_only_time_travel_switches_the_check_off(run_anywhere: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METERCTL_NOW")
    set_clock(monkeypatch, 100)
    assert run_anywhere("adjust acme 1 --ref a1 --reason why").code == 0


# -- the mark of an SQLite file


def test_a_pinned_clock_is_no_way_around_the_mark(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METERCTL_NOW")
    run.all("adjust acme 1 --ref a1 --reason why")
    journal = run.journal()
    ahead = add_millis(SystemClock().now(), 355 * DAY_MS)
    answer = run.json("adjust acme 1 --ref d1 --reason x", now=ahead)
    assert (answer.code, answer.error["code"]) == (10, "clock_jump")
    assert run.journal() == journal
    assert run("adjust acme 1 --ref d1 --reason x --dry-run", now=ahead).code == 0, "a rehearsal books nothing"
    assert run.journal() == journal


def test_a_store_of_pinned_clocks_takes_any_pinned_clock(run: Shell) -> None:
    for number, now in enumerate(("2026-11-16", "2031-01-01", "2026-11-16")):
        run.all(f"adjust org{number} 1 --ref a --reason why", now=now)


def test_a_sweep_moves_the_mark(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METERCTL_NOW")
    run.all("adjust acme 1 --ref a1 --reason why")
    for days in (30, 60, 90, 120):
        with monkeypatch.context() as patched:
            set_clock(patched, days)
            assert run.doc("expire --all")["due"] == 0
    set_clock(monkeypatch, 120)
    run.all("adjust acme 1 --ref a2 --reason why")


def test_a_person_may_say_that_the_clock_is_right(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METERCTL_NOW")
    with monkeypatch.context() as patched:
        set_clock(patched, 50)
        run.all("adjust acme 1 --ref a1 --reason why")
    for answer, code in (("n\n", 10), ("y\n", 0)):
        done, screen = at_terminal(run, ["expire", "--all"], asked="Is the clock right?", answer=answer)
        assert done.code == code, screen
        assert "50 days behind the last write to this store" in " ".join(screen.split())


# -- what is said of a pinned clock


@pytest.mark.parametrize(
    "line",
    [
        "adjust acme 1 --ref a9 --reason why",
        "expire --all",
        "reset-week acme",
        "plan publish pro --quota 5",
        "plan publish --from-config",
        "backfill lines.ndjson",
        "apply plan.ndjson",
        "events events.ndjson",
        "debit acme 1 --ref d1 --dry-run",
    ],
)
def test_every_receipt_and_summary_says_that_the_clock_is_pinned(run: Shell, line: str) -> None:
    prepare(run)
    warnings = run.json(line).doc["warnings"]
    assert [warning["code"] for warning in warnings] == ["clock_pinned"]
    assert "2026-11-16 12:00 UTC" in warnings[0]["message"]
    run.file("lines.ndjson", '{"op": "debit", "org": "acme", "units": 1, "ref": "b2"}\n')
    for output in ("table", "plain", "markdown"):
        assert "clock is pinned at 2026-11-16 12:00 UTC" in " ".join(run("-o", output, *line.split()).out.split())


def test_nothing_is_said_of_a_clock_that_is_not_pinned(real: Shell) -> None:
    warnings = real.doc("adjust acme 1 --ref a1 --reason why")["warnings"]
    assert [warning["code"] for warning in warnings] == ["new_org"]
    assert real.doc("expire --all")["warnings"] == []


# -- looking


def test_doctor_and_verify_name_an_org_ahead_of_now(run_anywhere: Shell) -> None:
    run = run_anywhere
    run.all("adjust acme 1 --ref a1 --reason why", now="2027-03-10T00:05Z")
    run.all("adjust bolt 1 --ref a1 --reason why")
    found = run.json("verify --all")
    assert (found.code, [(one["org"], one["check"]) for one in found.doc["findings"]]) == (8, [("acme", 17)])
    doctor = run.json("doctor")
    (ahead,) = [check for check in doctor.doc["checks"] if check["name"] == "ahead"]
    assert (doctor.code, ahead["ok"]) == (8, False)
    assert "acme until 2027-03-10T00:05:00.000Z" in ahead["found"]
    export = run.file("export.ndjson", run.journal())
    assert run.json("verify", "--file", export).doc["findings"][0]["check"] == 17
    assert run("verify --all", now="2027-03-10T00:05Z").code == 0


def test_cron_notices_a_store_without_a_journal(run_anywhere: Shell) -> None:
    run = run_anywhere
    swept = run.json("expire --all")
    assert (swept.code, swept.doc["journal_found"], swept.doc["store"]) == (0, False, shown(run.store))
    for line in ("expire --all", "reset-week --all", "expire acme"):
        answer = run.json(f"{line} --require-journal")
        assert (answer.code, answer.error["code"]) == (10, "no_journal")
    assert run.json("verify --all").doc["journal_found"] is False
    run.all("adjust acme 1 --ref a1 --reason why")
    assert run.doc("expire --all --require-journal")["journal_found"] is True
    assert run.doc("verify --all")["journal_found"] is True


def shown(store: str) -> str:
    return store.partition("?")[0]


# -- faketime


@pytest.fixture(params=["sqlite", "mongod"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:{tmp_path}/meterctl.db"
        return
    with own_database() as uri:
        yield uri


def test_a_process_a_hundred_days_ahead_sweeps_nothing(store_url: str, tmp_path: Path) -> None:
    faketime = needed("faketime")

    def call(line: str, *prefix: str) -> Answer:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("METERCTL_")}
        environment |= {"METERCTL_STORE": store_url, "XDG_CONFIG_HOME": str(tmp_path)}
        command = [*prefix, sys.executable, "-m", "meterctl", "--json", *line.split()]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    expires = add_millis(SystemClock().now(), 30 * DAY_MS)
    assert call(f"adjust acme 100 --ref a1 --reason why --expires {expires}").code == 0
    answer = call("expire --all", faketime, "-f", "+100d")
    code = "clock_jump" if store_url.startswith("sqlite") else "clock_skew"
    assert (answer.code, answer.error["code"]) == (10, code)
    assert call("balance acme").doc["balance"] == 100


def test_each_line_of_a_results_file_and_each_receipt_of_a_plan_says_that_the_clock_is_pinned(run: Shell) -> None:
    line = {"op": "adjust", "org": "acme", "units": 5, "reason": "why"}
    file = run.file("in.ndjson", "".join(json.dumps({**line, "ref": f"r{n}"}) + "\n" for n in range(3)))
    run.all(f"backfill {file} --results {run.place / 'out.ndjson'}")
    records = [json.loads(text) for text in (run.place / "out.ndjson").read_text().splitlines()]
    assert [[warning["code"] for warning in record["warnings"]] for record in records] == [
        ["new_org", "clock_pinned"],
        ["clock_pinned"],
        ["clock_pinned"],
    ]
    run.all("adjust acme 7 --ref p1 --reason why --plan-out plan.ndjson")
    applied = run.doc("apply plan.ndjson")
    for record in (applied, *applied["receipts"], run.doc("adjust acme 1 --ref p2 --reason why")):
        assert [warning["code"] for warning in record["warnings"]] == ["clock_pinned"]


@pytest.mark.parametrize("days", [100, -100])
def test_l61_check_17_goes_by_the_servers_time_where_the_clock_is_wrong(
    real: Shell, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """One org was booked by a clock 50 days ahead, in the days of an earlier program; the other one now."""
    store = open_store(real.store)
    ahead = add_millis(SystemClock().now(), 50 * DAY_MS)
    assert Ledger(store, FixedClock(ahead), Terms()).one(Request(Adjust("acme", 1, "a1"), "x", "why")).applied
    store.close()
    real.all("adjust bolt 1 --ref a1 --reason why")
    at_server = real.store.startswith("mongodb")
    set_clock(monkeypatch, days)
    named = {"acme"} if at_server else set() if days > 0 else {"acme", "bolt"}  # a file has no second clock
    for line in ("verify --all", "verify --all --workers 2", "verify acme"):
        found = real.json(line)
        expected = named & {"acme"} if line == "verify acme" else named
        assert {one["org"] for one in found.doc["findings"] if one["check"] == 17} == expected, line
        assert found.code == (8 if expected else 0), line
        (warning,) = found.err.splitlines()
        assert f"{'ahead of' if days > 0 else 'behind'} the" in warning
        assert ("compared with the server's time" in warning) == at_server
    checks = {check["name"]: check for check in real.json("doctor").doc["checks"]}
    assert (checks["ahead"]["ok"], checks["clock"]["ok"]) == (not named, False)
    assert checks["clock"]["code"] == (None if at_server else "clock_jump")
    assert all(org in checks["ahead"]["found"] for org in named)
    assert checks["due"]["found"] == "nothing is due"


def test_l61_a_right_clock_is_not_doubted(real: Shell) -> None:
    real.all("adjust acme 1 --ref a1 --reason why")
    for line in ("verify --all", "verify acme"):
        assert real.json(line).err == ""
