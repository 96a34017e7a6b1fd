"""Finding what was booked without knowing whose it is, and watching it come."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import islice

import pytest

from meterctl.core.domain.policy import Terms
from meterctl.core.errors import INTERRUPTED, NOT_FOUND, USAGE
from meterctl.core.model import Instant
from meterctl.core.reads.ledger_query import LedgerQuery
from meterctl.core.reads.queries import Reads
from tests.acceptance.shell import NOW, Shell
from tests.builders import make_entry
from tests.memory_store import MemoryStore


def test_a_ref_or_a_run_tells_the_org(run_anywhere: Shell) -> None:
    run = run_anywhere
    run.all(
        "init",
        "adjust acme 50 --ref a1 --reason why",
        "adjust bolt 50 --ref b1 --reason why",
        "debit bolt 5 --ref r1",
        "meter attribute bolt run:1 --units 5 --step one",
        "meter attribute bolt run:1 --units 6 --step two",
        "meter attribute acme run --units 7 --step 1",
    )
    for line, org, seqs in [
        ("ledger --ref r1", "bolt", [2]),
        ("ledger --run run:1", "bolt", [4, 3]),
        ("ledger bolt --run run:1", "bolt", [4, 3]),
        ("ledger --run run:1 --limit 1 --before 4", "bolt", [3]),
        ("ledger --run run", "acme", [2]),
        ("ledger acme --run run:1", "acme", []),
    ]:
        page = run.doc(line)
        assert (page["org"], [entry["seq"] for entry in page["entries"]]) == (org, seqs), line


def test_a_ref_that_is_nobodys_or_not_one_orgs_alone(run: Shell) -> None:
    run.all("adjust acme 50 --ref a1 --reason why", "adjust bolt 50 --ref a1 --reason why")
    nobody, nowhere = run.json("ledger --ref a2"), run.json("ledger --run a2")
    assert (nobody.code, nobody.error["code"]) == (NOT_FOUND, "unknown_ref")
    assert (nowhere.code, nowhere.error["code"]) == (NOT_FOUND, "unknown_run")
    several = run.json("ledger --ref a1")
    assert (several.code, several.error["code"]) == (USAGE, "several_orgs")
    assert "acme, bolt" in several.error["message"]


def test_orgs_are_asked_in_pages(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meterctl.core.reads.search._PAGE", 2)
    run.all(*(f"adjust org{n} 50 --ref a{n} --reason why" for n in range(5)))
    assert [run.doc(f"ledger --ref a{n}")["org"] for n in range(5)] == [f"org{n}" for n in range(5)]


class Writer:
    """A clock during whose pauses something is booked."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.seq = 3

    def now(self) -> Instant:
        return Instant(NOW)

    def elapsed(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 5
        for _ in range(2):
            self.seq += 1
            self.store.journal.append([make_entry("acme", self.seq, amount=self.seq % 2)])


def test_entries_are_followed_without_a_gap_and_without_one_twice() -> None:
    store = MemoryStore()
    store.journal.append([make_entry("acme", seq) for seq in (1, 2, 3)])
    for query, seqs in [
        (LedgerQuery(all_kinds=True), [1, 2, 3, 4, 5, 6, 7]),
        (LedgerQuery(all_kinds=True, limit=1), [7, 8, 9, 10, 11]),
        (LedgerQuery(limit=1), [11, 13, 15, 17]),
    ]:
        feed = Reads(store, Writer(store) if store.journal.by_seq("acme", 4) is None else writer_of(store), Terms())
        entries = islice(feed.follow("acme", query).entries, len(seqs))
        assert [entry["seq"] for entry in entries] == seqs


def writer_of(store: MemoryStore) -> Writer:
    writer, tip = Writer(store), store.journal.tip("acme")
    writer.seq = tip["seq"] if tip else 0
    return writer


@pytest.mark.parametrize("option", ["--before 5", "--until now", "--ref r1", "--run r1", "-o json", "-o plain"])
def test_what_has_an_end_cannot_be_followed(run: Shell, option: str) -> None:
    assert run(f"ledger acme --follow {option}").code == USAGE


def test_a_script_reads_entries_as_they_are_booked_until_ctrl_c(run: Shell) -> None:
    run.all("adjust acme 50 --ref a1 --reason why")
    environment = {name: value for name, value in os.environ.items() if name != "METERCTL_NOW"}
    command = [sys.executable, "-m", "meterctl", "ledger", "acme", "--follow", "-o", "ndjson"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as follower:
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["seq"] == 1
        run.all("debit acme 5 --ref r1")
        assert json.loads(follower.stdout.readline())["key"] == "debit:r1"
        time.sleep(0.1)
        follower.send_signal(signal.SIGINT)
        assert follower.wait(timeout=30) == INTERRUPTED
