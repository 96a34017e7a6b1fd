"""The exit codes that no receipt stands for: failures, parts that failed, locks, and what cannot be reached."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

import pytest

from meterctl import wiring
from meterctl.core.booking import ledger
from meterctl.core.stores.sqlite import SqliteStore
from tests.acceptance.shell import NOW, OTHER, Shell, hold_lock
from tests.builders import make_entry, make_head

PROGRAM = [sys.executable, "-m", "meterctl"]
TOMORROW = "2026-11-18T00:00:00.000Z"
CORRECT_HORSE = "correct-horse"


def break_org(run: Shell, org: str) -> None:
    """Leave a journal that no program of ours wrote, with something due."""
    store = SqliteStore(str(run.place / "meterctl.db"))
    store.journal.append([make_entry(org, state={"lots": "none"})])
    store.heads.put([make_head(org, expiry=NOW)])
    store.close()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# 1


def test_an_unexpected_failure_is_1(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the sky fell")

    monkeypatch.setattr(ledger.Ledger, "one", fail)
    answer = run.json("debit acme 1 --ref r1")
    assert (answer.code, answer.error["code"]) == (1, "unexpected")
    assert "the sky fell" in answer.error["message"]
    assert "METERCTL_DEBUG" in answer.error["hint"]
    assert "Traceback" not in answer.err
    run.setenv("METERCTL_DEBUG", "1")
    assert "Traceback" in run.json("debit acme 1 --ref r1").err


def test_a_journal_that_is_damaged_is_10(run: Shell) -> None:
    break_org(run, "acme")
    answer = run.json("debit acme 1 --ref r1")
    assert (answer.code, answer.error["code"]) == (10, "damaged")
    assert "acme" in answer.error["message"]
    assert "meterctl verify acme" in answer.error["hint"]


@pytest.mark.parametrize("line", ["balance acme", "--version", "export acme", "debit acme 1 --ref r1"])
def test_an_answer_that_cannot_be_written_is_1(run: Shell, line: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    run.all("credit-pack acme small --session s1")
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        ended = subprocess.run(
            [*PROGRAM, *line.split()], stdout=full, stderr=subprocess.PIPE, text=True, timeout=20, check=False
        )
    assert ended.returncode == 1
    assert "No space left" in ended.stderr
    assert not re.search("Exception ignored|Traceback", ended.stderr)
    if line != "--version":
        assert "[answer_lost]: the result cannot be written" in ended.stderr


#: Lines whose reader goes away, and what they end with all the same: what was found or refused is no less so.
UNREAD = {
    "export --all": 0,
    "ledger acme": 0,
    "debit acme 1 --ref piped": 0,
    "balance acme -o plain": 0,
    "debit acme 5000 --ref piped": 4,
    "meter check acme --units 5000 --json": 4,
    "verify --file forged.ndjson": 8,
}


@pytest.mark.parametrize("line", UNREAD)
def test_a_reader_that_has_seen_enough_is_no_failure(run: Shell, line: str) -> None:
    run.file("forged.ndjson", "{}\n")
    run.all("credit-pack acme small --session s1", *(f"debit acme 1 --ref r{n}" for n in range(60)))
    with subprocess.Popen(
        [*PROGRAM, *line.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(20) == UNREAD[line]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_keeps_nothing_from_being_booked(run: Shell, closed: str) -> None:
    run.all("credit-pack acme small --session s1")
    for units, code in (("1", 0), ("5000", 4)):
        words = [*PROGRAM, "debit", "acme", units, "--ref", f"r{units}"]
        ended = subprocess.run(
            ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *words],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (code, "")
        assert bool(ended.stdout) is (">&-" not in closed.replace("2>&-", ""))
    assert run.doc("balance acme")["balance"] == 999


# 7


def test_one_bad_org_does_not_stop_a_sweep_and_makes_it_7(run: Shell) -> None:
    run.all(*(f"credit-pack {org} brief --session {org}" for org in ("a1", "c3")))
    break_org(run, "b2")
    answer = run.json("expire --all", now=TOMORROW)
    sweep = answer.doc
    assert answer.code == 7
    assert (sweep["due"], sweep["done"], sweep["failed"], sweep["skipped"]) == (3, 2, 1, 0)
    assert [error["org"] for error in sweep["errors"]] == ["b2"]
    assert sweep["errors"][0]["message"]
    assert sweep["expired_lots"] == 2
    assert sweep["expired_units"] == 200


def test_lines_that_failed_make_a_backfill_7(run: Shell) -> None:
    lines = [
        '{"op": "credit-pack", "org": "acme", "pack": "small", "session": "s1"}',
        '{"op": "debit", "org": "acme", "units": 5000, "ref": "r1"}',
        '{"op": "debit", "org": "acme", "units": "many", "ref": "r2"}',
        '{"op": "debit", "org": "acme", "units": 5, "ref": "r3"}',
    ]
    answer = run.json("backfill -", stdin="\n".join(lines))
    counts = {name: answer.doc[name] for name in ("lines", "applied", "refused", "invalid")}
    assert (answer.code, counts) == (7, {"lines": 4, "applied": 2, "refused": 1, "invalid": 1})
    assert run.doc("balance acme")["balance"] == 995


# 8


def test_lines_that_failed_are_told_by_number_where_no_file_tells_them(run: Shell) -> None:
    bad = [f'{{"op": "debit", "org": "acme", "units": 0, "ref": "r{n}"}}\n' for n in range(11)]
    run.file("lines.ndjson", '{"org": "acme"}\n' + "".join(bad))
    told = run.json("backfill lines.ndjson").err.splitlines()
    assert [line.partition(": ")[0] for line in told[:-1]] == [f"line {n}" for n in range(1, 11)]
    assert told[0].startswith("line 1: invalid: the op is missing")
    assert "out of range" in told[1]
    assert told[-1] == "and 2 lines more; --results FILE lists them all"
    assert run.json("backfill lines.ndjson --results answers.ndjson").err == ""


def test_what_verify_finds_is_8(run: Shell) -> None:
    run.all("credit-pack acme small --session s1", "debit acme 5 --ref r1")
    assert run.json("verify --all").code == 0
    exported = run.journal()
    changed = run.file("changed.ndjson", exported.replace('"actor":"tester"', '"actor":"mallory"', 1))
    answer = run.json(f"verify --file {changed}")
    assert (answer.code, answer.doc["ok"]) == (8, False)
    finding = answer.doc["findings"][0]
    assert (finding["org"], finding["seq"], finding["check"]) == ("acme", 1, 2)
    assert finding["message"]


# 9


@pytest.mark.parametrize("command", ["expire", "reset-week"])
def test_a_held_lock_is_9_only_if_asked_for(run: Shell, command: str) -> None:
    run.all("credit-pack acme brief --session s1")
    hold_lock(run, "2026-11-18T00:01:00.000Z")
    journal = run.journal()
    answer = run.json(f"{command} --all --fail-if-locked", now=TOMORROW)
    assert (answer.code, answer.error["code"]) == (9, "lock_held")
    assert answer.error["hint"]
    left = run.json(f"{command} --all", now=TOMORROW)
    assert (left.code, left.doc["locked_by"], left.doc["done"]) == (0, OTHER, 0)
    assert run.journal() == journal


def test_a_lock_is_seen_although_nothing_is_due(run: Shell) -> None:
    hold_lock(run)
    assert run.json("expire --all --fail-if-locked").code == 9
    assert run.doc("lock list")["locks"] == [
        {
            "name": "sweep",
            "holder": OTHER,
            "acquired_at": NOW,
            "expires_at": "2026-11-16T12:01:00.000Z",
            "expired": False,
        }
    ]


def test_a_lock_can_be_broken_and_a_sweep_leaves_none_behind(run: Shell) -> None:
    run.all("credit-pack acme brief --session s1")
    hold_lock(run, "2026-11-18T00:01:00.000Z")
    tried = run.doc("lock break sweep --reason dead --dry-run")
    assert (tried["broken"], tried["dry_run"]) == (False, True)
    broken = run.doc("lock break sweep --reason dead")
    assert (broken["broken"], broken["dry_run"]) == (True, False)
    sweep = run.doc("expire --all --fail-if-locked", now=TOMORROW)
    assert (sweep["done"], sweep["locked_by"]) == (1, None)
    assert run.doc("lock list")["locks"] == []


def test_a_sweep_takes_over_from_a_dead_one(run: Shell) -> None:
    run.all("credit-pack acme brief --session s1")
    hold_lock(run, TOMORROW)
    assert run.doc("expire --all --fail-if-locked", now=TOMORROW)["done"] == 1


def test_the_lock_of_a_sweep_that_fails_is_given_back(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> NoReturn:
        raise RuntimeError("broken")

    run.all("credit-pack acme brief --session s1")
    with monkeypatch.context() as patch:
        patch.setattr(ledger.Ledger, "execute_chunks", fail)
        assert run.json("expire --all", now=TOMORROW).code == 1
    assert run.doc("lock list")["locks"] == []


# 10


def test_an_unreachable_mongod_is_10_within_its_time(run: Shell, closed_port: int) -> None:
    run.setenv(
        "METERCTL_STORE", f"mongodb://admin:{CORRECT_HORSE}@127.0.0.1:{closed_port}/books?appName={CORRECT_HORSE}"
    )
    started = time.monotonic()
    answer = run.json("debit acme 1 --ref r1")
    assert time.monotonic() - started < 12
    assert (answer.code, answer.error["code"]) == (10, "store_unreachable")
    assert f"mongodb://127.0.0.1:{closed_port}/books" in answer.error["message"]
    assert answer.error["hint"]
    assert CORRECT_HORSE not in answer.err


@pytest.mark.parametrize(
    "lines", ["balance acme", "debit acme 1 --ref r1", "expire --all", "export --all", "init", "ledger acme"]
)
@pytest.mark.parametrize("content", [b"no database at all\n" * 300, None], ids=["a text", "a directory"])
def test_a_path_that_is_no_database_is_10(run: Shell, lines: str, content: bytes | None) -> None:
    path = run.place / "meterctl.db"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    answer = run.json(lines)
    assert (answer.code, answer.error["code"]) == (10, "store_unusable")
    assert str(path) in answer.error["message"]
    assert answer.error["hint"]
    assert content is None or path.read_bytes() == content


def make_read_only(path: Path) -> bytes:
    """SQLite reads but never writes a file whose write version (byte 18) is one it does not know; the rights of a file
    would not keep root from writing."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    content = bytearray(path.read_bytes())
    content[18] = 9
    path.write_bytes(content)
    return bytes(content)


@pytest.mark.parametrize("line", ["debit acme 1 --ref r1", "credit-pack acme small --session s2"])
def test_a_read_only_store_is_10(run: Shell, line: str) -> None:
    run.all("credit-pack acme small --session s1")
    path = run.place / "meterctl.db"
    content = make_read_only(path)
    answer = run.json(line)
    assert (answer.code, answer.error["code"]) == (10, "store_unusable")
    assert "read" in answer.error["message"]
    assert "read-only" in answer.error["hint"]
    assert path.read_bytes() == content


# 130


def test_an_interrupt_is_130(run: Shell, closed_port: int) -> None:
    environment = {**os.environ, "METERCTL_STORE": f"mongodb://127.0.0.1:{closed_port}/books"}
    with subprocess.Popen(
        [*PROGRAM, "balance", "acme", "--json"],
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        # Interrupted while it waits for the server, wherever in its start that hits.
        threading.Timer(2.0, process.send_signal, [signal.SIGINT]).start()
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out == ""
    assert re.search(r'"code": ?"interrupted"', err)
    assert "Traceback" not in err


#: Ctrl-C while the program is still being loaded.
INTERRUPTED_EARLY = """
import sys
from meterctl.__main__ import run

class Interrupt:
    def find_spec(self, name, *_):
        if name == "meterctl.cli":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
sys.argv = ["meterctl", "balance", "acme"]
run()
"""


def test_an_interrupt_while_it_starts_is_130() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_EARLY], capture_output=True, text=True, timeout=20, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "error [interrupted]: interrupted\n")


def test_an_interrupt_of_a_write_is_told_as_such(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ledger.Ledger, "one", interrupt)
    answer = run.json("debit acme 1 --ref r1")
    assert (answer.code, answer.error["code"]) == (130, "interrupted")
    assert "booked" in answer.error["message"]


@pytest.mark.parametrize("line", ["verify --all", "ledger acme", "debit acme 1 --ref r1 --dry-run", "demo"])
def test_an_interrupt_of_what_books_nothing_speaks_of_no_booking(
    run: Shell, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    def interrupt(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    for taken in ("store", "ledger"):
        monkeypatch.setattr(wiring.Wiring, taken, property(interrupt))
    monkeypatch.setattr(subprocess, "run", interrupt)
    answer = run(line)
    assert (answer.code, answer.err.splitlines()[-1]) == (130, "error [interrupted]: interrupted")
