"""Three nodes that elect and lose primaries while eight writers book: what was acknowledged is there once, and what was
not is settled by running it again."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.operations import Attribute, CreditPack, Debit, Operation, Request
from meterctl.core.domain.policy import Pack, Terms
from meterctl.core.errors import StoreUnreachable
from meterctl.core.stores.mongo import MongoStore, connect
from meterctl.core.verify import Check, repair_heads, verify_all
from meterctl.process.clock import SystemClock
from tests.mongod import ReplicaSet, require_mongod_binary
from tests.property.invariants import check_entries

WRITERS = 8

#: All writers book for the first org, and each for one of its own.
SHARED = "shared"

TERMS = Terms(packs={"small": Pack(100, 500, "usd", 30)})

#: Tries that one operation may take; each may last as long as a call, or as the ledger's patience.
MOST_TRIES = 100


@pytest.fixture
def replica_set() -> Iterator[ReplicaSet]:
    require_mongod_binary()
    nodes = ReplicaSet(3).start()
    yield nodes
    nodes.stop()


class Told(NamedTuple):
    """What a writer was told of an operation, and how often it had to be run."""

    org: str
    key: str
    seq: int
    hash: str
    status: str
    tries: int


class Writer:
    """Books one operation after the other until it is told to stop; each is run until it is acknowledged."""

    def __init__(self, number: int, uri: str) -> None:
        self.told: list[Told] = []
        self._number = number
        # Shorter than an election, so that many a call ends without an answer.
        self._store = connect(uri, timeout_seconds=1.0)
        self._ledger = Ledger(self._store, SystemClock(), TERMS, patience=0.5)

    def work(self, over: threading.Event) -> None:
        count = 0
        while not over.is_set():
            count += 1
            org = SHARED if count % 2 else f"own-{self._number}"
            self._settle(Request(some_operation(org, f"{self._number}-{count}", count), "writer"))
        self._store.close()

    def _settle(self, request: Request) -> None:
        for tries in range(1, MOST_TRIES + 1):
            try:
                receipt = self._ledger.one(request)
            except StoreUnreachable:
                continue
            assert receipt.status in ("applied", "replayed"), receipt
            assert receipt.entry is not None
            entry = receipt.entry
            told = Told(entry["org"], entry["key"], entry["seq"], entry["hash"], receipt.status, tries)
            self.told.append(told)
            return
        raise AssertionError(f"not settled: {request}")


def some_operation(org: str, name: str, number: int) -> Operation:
    match number % 5:
        case 0:
            return CreditPack(org, "small", f"cs_{name}")
        case 1 | 2:
            return Debit(org, 3, name, allow_debt=True)
        case _:
            return Attribute(org, name, units=2)


def disturb(nodes: ReplicaSet, dice: random.Random, rounds: int) -> None:
    """Let the primary step down and be killed, in turn, and come back."""
    for number in range(rounds):
        time.sleep(dice.uniform(1.0, 2.0))
        if number % 2:
            nodes.step_down(seconds=3)
        else:
            killed = nodes.kill_primary()
            nodes.primary()
            time.sleep(dice.uniform(0.2, 1.0))
            nodes.restart(killed)
    nodes.primary()
    time.sleep(1)


def write_through(nodes: ReplicaSet, *, rounds: int, seed: int) -> list[Told]:
    over = threading.Event()
    with ThreadPoolExecutor(WRITERS) as pool:
        writers = [Writer(number, nodes.uri) for number in range(WRITERS)]
        working = [pool.submit(writer.work, over) for writer in writers]
        try:
            disturb(nodes, random.Random(seed), rounds)
        finally:
            over.set()
        for each in working:
            each.result(timeout=120)
    return [told for writer in writers for told in writer.told]


def check_all_there_once(store: MongoStore, told: list[Told]) -> None:
    journals = {org: list(store.journal.read(org)) for org in store.journal.orgs()}
    for one in told:
        entry = journals[one.org][one.seq - 1]
        assert (entry["key"], entry["hash"]) == (one.key, one.hash)
    stored = [(org, entry["key"]) for org, entries in journals.items() for entry in entries]
    # All writers stop on an acknowledged operation, so what is stored is what was told, each once.
    assert sorted(stored) == sorted((one.org, one.key) for one in told)
    for entries in journals.values():
        check_entries(entries)
    # Heads are acknowledged by one node alone, so an election may take one back.
    assert {finding.check for finding in verify_all(store).findings} <= {Check.HEAD}
    repair_heads(store)
    assert verify_all(store).findings == []


def check_through(nodes: ReplicaSet, *, rounds: int, seed: int) -> None:
    store = connect(nodes.uri, timeout_seconds=20.0)
    store.init()
    told = write_through(nodes, rounds=rounds, seed=seed)
    check_all_there_once(store, told)
    store.close()
    answers = Counter(one.status for one in told)
    again = sum(one.tries > 1 for one in told)
    print(
        f"seed {seed}: {rounds} primaries lost, {len(told)} operations acknowledged; {again} of them had to be run "
        f"again, and {answers['replayed']} of these had been booked without an answer"
    )
    assert answers["applied"] > 20 * rounds
    assert again, "nothing was disturbed"


def test_eight_writers_go_on_while_primaries_step_down_and_die(replica_set: ReplicaSet) -> None:
    check_through(replica_set, rounds=3, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 5))
def test_eight_writers_go_on_for_long(replica_set: ReplicaSet, seed: int) -> None:
    check_through(replica_set, rounds=40, seed=seed)
