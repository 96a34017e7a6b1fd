"""Sweeps on real stores: at the same time, in several processes, past journals that were tampered with."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.instants import add_millis, parse
from meterctl.core.domain.operations import Adjust, CreditPack, Request
from meterctl.core.domain.policy import Pack, Terms
from meterctl.core.model import Entry
from meterctl.core.ports import Store
from meterctl.core.results import Sweep
from meterctl.core.stores.url import open_store
from meterctl.core.sweep import due_orgs
from meterctl.core.sweep.due_orgs import EVERYTHING, Extent, Shard
from meterctl.core.sweep.sweeper import Sweeper
from meterctl.process.clock import FixedClock
from meterctl.process.interrupts import ENDING
from tests.waiting import wait_for, workers_of

SOLD, SWEPT = "2026-11-16T12:00:00.000Z", "2026-11-18T12:00:00.000Z"

CONFIG = """\
allow_time_travel = true
[packs.brief]
units = 100
price_cents = 300
currency = "usd"
expiry_days = 1
"""

TERMS = Terms(packs={"brief": Pack(100, 300, "usd", 1)})

#: More than fill two pages of the size that these tests use.
ORGS = [f"org-{number:04}" for number in range(900)]


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """With a pack in each of `ORGS` that has expired by `SWEPT`."""
    opened = open_store(url)
    opened.init()
    ledger = Ledger(opened, FixedClock(parse(SOLD)), TERMS)
    requests = (Request(CreditPack(org, "brief", f"cs_{org}", None), "tester") for org in ORGS)
    assert all(receipt.applied for receipt in ledger.execute(requests))
    yield opened
    opened.close()


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due_orgs, "PAGE", 250)


def sweep(store: Store, extent: Extent = EVERYTHING) -> Sweep:
    ledger = Ledger(store, FixedClock(parse(SWEPT)), TERMS)
    return Sweeper(ledger, "expire", "cron").all(extent)


def expirations(store: Store) -> list[str]:
    return [entry["org"] for org in ORGS for entry in store.journal.read(org) if entry["kind"] == "expiration"]


Shell = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def shell(url: str, tmp_path: Path) -> Iterator[Shell]:
    """Starts the command line as a process of its own."""
    (tmp_path / "meterctl.toml").write_text(CONFIG)
    settings = {"STORE": url, "NOW": SWEPT, "CONFIG": f"{tmp_path}/meterctl.toml", "ACTOR": "cron"}
    environ = os.environ | {f"METERCTL_{name}": value for name, value in settings.items()}
    started: list[subprocess.Popen[str]] = []

    def start(*argv: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "meterctl", "--json", *argv]
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, env=environ, **streams))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def answer(process: "subprocess.Popen[str]", code: int = 0) -> dict[str, Any]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    document: dict[str, Any] = json.loads(out)
    return document


def total(answers: list[dict[str, Any]], name: str) -> int:
    return sum(one[name] for one in answers)


# -- several at once


@pytest.mark.usefixtures("small_pages")
def test_sweeps_in_threads_book_everything_once(store: Store) -> None:
    # Each is under a lock of its own, so nothing but the journal keeps them apart.
    extents = [EVERYTHING, Extent(Shard(1, 2)), Extent(Shard(2, 2)), EVERYTHING._replace(shard=Shard(1, 1), limit=300)]
    with ThreadPoolExecutor(len(extents)) as pool:
        done = list(pool.map(lambda extent: sweep(store, extent), extents))
    assert expirations(store) == ORGS
    assert sum(one.expired_lots for one in done) == sum(one.done for one in done) == len(ORGS)
    assert all(one.due == one.done + one.skipped and not one.failed for one in done)
    assert store.heads.due(parse(SWEPT)) == []
    assert store.locks.all() == []


def test_sweeps_in_processes_book_everything_once(store: Store, shell: Shell) -> None:
    parts = [(), ("--shard", "1/2"), ("--shard", "2/2"), ("--shard", "1/3")]
    answers = [answer(process) for process in [shell("expire", "--all", *part) for part in parts]]
    assert expirations(store) == ORGS
    assert total(answers, "done") == total(answers, "expired_lots") == len(ORGS)
    assert total(answers, "expired_units") == 100 * len(ORGS)
    assert total(answers, "due") == len(ORGS) + total(answers, "skipped")


def test_one_sweep_in_several_processes(store: Store, shell: Shell) -> None:
    done = answer(shell("expire", "--all", "--workers", "3", "--limit", "800"))
    assert (done["due"], done["done"], done["skipped"], done["failed"]) == (800, 800, 0, 0)
    assert done["expired_units"] == 80_000
    assert len(expirations(store)) == 800
    assert store.locks.all() == []


def test_a_dry_run_in_several_processes_books_nothing(store: Store, shell: Shell) -> None:
    done = answer(shell("expire", "--all", "--workers", "2", "--dry-run"))
    assert (done["done"], done["expired_units"], done["dry_run"]) == (900, 90_000, True)
    assert expirations(store) == []


def test_a_sweep_whose_worker_is_killed_says_so_and_is_finished_by_the_next(store: Store, shell: Shell) -> None:
    sweeping = shell("expire", "--all", "--workers", "2")
    os.kill(first_worker(sweeping), signal.SIGKILL)
    _, err = sweeping.communicate(timeout=120)
    assert (sweeping.returncode, json.loads(err)["code"]) == (1, "worker_died")
    assert store.locks.all() == []
    answer(shell("expire", "--all"))
    assert expirations(store) == ORGS


def first_worker(sweeping: "subprocess.Popen[str]") -> int:
    """A worker of the sweep, once it has one."""
    return wait_for(lambda: workers_of(sweeping.pid), sweeping)[0]


@pytest.mark.parametrize("number", ENDING)
def test_an_interrupt_ends_a_sweep_after_its_page(store: Store, shell: Shell, number: int) -> None:
    sweeping = shell("expire", "--all", "--workers", "2")
    first_worker(sweeping)
    sweeping.send_signal(number)
    _, err = sweeping.communicate(timeout=120)
    assert (sweeping.returncode, json.loads(err)["code"]) == (130, "interrupted")
    assert store.locks.all() == []
    answer(shell("expire", "--all"))
    assert expirations(store) == ORGS


# -- journals that were tampered with


def spoil(url: str, org: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the newest entry of ``org`` behind the program's back."""
    if url.startswith("sqlite:"):
        _spoil_file(url.removeprefix("sqlite:"), org, change)
        return
    from pymongo import MongoClient

    with MongoClient[dict[str, Any]](url) as client:
        journal = client.get_default_database()["journal"]
        tip = journal.find({"org": org}).sort("seq", -1)[0]
        change(tip)
        assert journal.replace_one({"_id": tip["_id"]}, tip, bypass_document_validation=True).modified_count == 1


def _spoil_file(path: str, org: str, change: Callable[[dict[str, Any]], None]) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.execute("DROP TRIGGER IF EXISTS journal_no_update")
    rowid, text = connection.execute(
        "SELECT rowid, doc FROM journal WHERE org = ? ORDER BY seq DESC LIMIT 1", (org,)
    ).fetchone()
    tip: Entry = json.loads(text)
    change(tip)  # type: ignore[arg-type]
    connection.execute("UPDATE journal SET doc = ? WHERE rowid = ?", (json.dumps(tip), rowid))
    connection.commit()
    connection.close()


GARBAGE: dict[str, Callable[[dict[str, Any]], None]] = {
    "no state": lambda tip: tip.pop("state"),
    "text for a state": lambda tip: tip.update(state="\x00garbage"),
    "half a unit": lambda tip: tip["state"]["lots"][0].update(remaining=0.5),
    "more than there can be": lambda tip: tip["state"]["lots"][0].update(remaining=2**62),
    "no time": lambda tip: tip.update(at=None),
    "lots that are none": lambda tip: tip["state"].update(lots={"id": 1}),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_a_journal_of_garbage_stops_no_other(store: Store, url: str, kind: str) -> None:
    spoil(url, ORGS[300], GARBAGE[kind])
    done = sweep(store)
    assert (done.due, done.done, done.failed, done.skipped) == (900, 899, 1, 0)
    assert (done.expired_lots, done.expired_units, done.exit_code) == (899, 89_900, 7)
    assert [error["org"] for error in done.errors] == [ORGS[300]]
    again = sweep(store)
    assert (again.due, again.done, again.failed) == (1, 0, 1)


def test_a_failing_org_in_a_worker_stops_no_other(store: Store, url: str, shell: Shell, tmp_path: Path) -> None:
    spoil(url, ORGS[5], GARBAGE["more than there can be"])
    file = tmp_path / "meterctl.prom"
    done = answer(shell("expire", "--all", "--workers", "2", "--metrics-file", str(file)), 7)
    assert (done["due"], done["done"], done["failed"]) == (900, 899, 1)
    assert [error["org"] for error in done["errors"]] == [ORGS[5]]
    assert 'meterctl_sweep_failed{command="expire",shard="1/1"} 1\n' in file.read_text()
    assert 'meterctl_sweep_success{command="expire",shard="1/1"} 0\n' in file.read_text()


def test_the_time_that_was_asked_for_holds_in_every_process(store: Store, shell: Shell) -> None:
    expires = next(store.journal.read(ORGS[0]))["expires_at"]
    assert expires is not None
    ledger = Ledger(store, FixedClock(parse(SOLD)), TERMS)
    later = Adjust(ORGS[0], 7, "later", expires_at=add_millis(expires, 1000))
    assert ledger.one(Request(later, "tester", "because")).applied
    done = answer(shell("expire", "--all", "--workers", "2", "--at", expires))
    assert (done["done"], done["expired_lots"]) == (len(ORGS), len(ORGS))
