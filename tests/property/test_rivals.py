"""The ledger among other writers, lost answers and caches that are behind: what is told is what is stored, once."""

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from meterctl.core.booking import pipeline
from meterctl.core.domain.instants import add_millis
from meterctl.core.domain.operations import Request
from meterctl.core.errors import StoreUnreachable
from meterctl.core.model import Entry, Instant
from meterctl.core.ports import Store
from meterctl.core.results import Receipt
from meterctl.core.verify import Check, verify_all
from tests.desk import Desk, HandClock, tap
from tests.memory_store import MemoryStore
from tests.property.invariants import check_store
from tests.property.strategies import ORGS, START, History, histories, random_steps


@pytest.fixture(autouse=True, params=[1, 10_000], ids=["in the background", "at once"])
def appending(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of these tests are small: append them in the background all the same, or none of them."""
    monkeypatch.setattr(pipeline, "WORTH_A_THREAD", request.param)


class TickingClock(HandClock):
    """Never tells the same time twice: after a lost answer, nobody could say who booked what time itself brings if both
    had done so in the same millisecond."""

    def now(self) -> Instant:
        self.instant = add_millis(self.instant, 1)
        return self.instant


class World:
    """One store; our desk, with faults in the way of its journal; and a rival who books between our steps."""

    def __init__(self, history: History, seed: int) -> None:
        self.store = MemoryStore()
        for version in history.versions:
            self.store.plans.add(version)
        self.random = Random(seed)
        ours = tap(copy.copy(self.store))
        ours.journal.on("append", self.append)
        ours.journal.on("tips", self.tips)
        self.ours, self.rival = Desk(ours, now=START), Desk(self.store, now=START)
        for desk in (self.ours, self.rival):
            desk.ledger.terms = history.terms
        self.clock = TickingClock(START)
        self.rival_receipts: list[Receipt] = []
        self.rival_steps: Iterator[Any] = iter(random_steps(self.random, ORGS, 40, timed=True))

    def append(self, real: Any, entries: Sequence[Entry]) -> Any:
        fate = self.random.choice(["fine", "fine", "rival", "lost before", "lost after", "partly, then lost"])
        if fate == "rival":
            self.let_the_rival_book()
        if fate == "lost before":
            raise StoreUnreachable("no answer")
        if fate == "partly, then lost":
            real(entries[: self.random.randrange(len(entries) + 1)])
        taken = real(entries)
        if fate in ("fine", "rival"):
            return taken
        raise StoreUnreachable("no answer")

    def let_the_rival_book(self) -> None:
        for step, _ in zip(self.rival_steps, range(self.random.randrange(1, 4)), strict=False):
            self.rival_receipts.append(self.rival.ledger.one(Request(step.operation, "rival", "because")))

    def tips(self, real: Any, orgs: Sequence[str]) -> dict[str, Entry]:
        """Tips as a cache that is behind might tell them."""
        tips: dict[str, Entry] = real(list(orgs))
        for org, tip in tips.items():
            if self.random.random() < 0.3:
                older = self.store.journal.by_seq(org, self.random.randint(1, tip["seq"]))
                assert older is not None
                tips[org] = older
        return tips

    def run(self, history: History, chunk: int) -> list[Receipt]:
        now, requests = START, []
        for step in history.steps:
            now = add_millis(now, step.pause)
            requests.append(Request(step.operation, "ours", "because", step.at(now) or now))
        for desk in (self.ours, self.rival):
            desk.clock = desk.ledger.clock = self.clock
        self.clock.instant = now
        return list(self.ours.ledger.execute(requests, chunk=chunk))


def check_world(store: Store, receipts: Sequence[Receipt]) -> None:
    # A credit that loses its race and then its room leaves a claim without an entry, which its org may still use.
    crowded = any(receipt.command == "credit-pack" and receipt.reason == "amount_out_of_range" for receipt in receipts)
    check_store(store, every_claim_used=not crowded)
    assert [found for found in verify_all(store).findings if not (crowded and found.check == Check.CLAIM)] == []


@settings(suppress_health_check=[*HealthCheck])
@given(histories(most=40), st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 3, 7, 100]))
def test_what_is_told_as_booked_is_stored_once_and_nothing_else_is(history: History, seed: int, chunk: int) -> None:
    world = World(history, seed)
    receipts = world.run(history, chunk)
    # An undo by number takes the key of the entry it names.
    keys = [step.operation.key for step in history.steps]
    assert [key and receipt.key for key, receipt in zip(keys, receipts, strict=True)] == keys
    check_world(world.store, [*receipts, *world.rival_receipts])
    stored = {
        (org, entry["seq"]): entry for org in world.store.journal.orgs() for entry in world.store.journal.read(org)
    }
    told: Counter[tuple[str, int]] = Counter()
    for receipt in [*receipts, *world.rival_receipts]:
        note(f"{receipt.org} {receipt.key}: {receipt.status} {receipt.reason}")
        for entry in [*receipt.also, *([receipt.entry] if receipt.applied and receipt.entry else [])]:
            assert stored[receipt.org, entry["seq"]] == entry
            told[receipt.org, entry["seq"]] += 1
        if receipt.status == "replayed":
            assert receipt.entry in stored.values()
    assert set(told) == set(stored)
    assert set(told.values()) <= {1}


@settings(max_examples=50, suppress_health_check=[*HealthCheck])
@given(histories(most=40), st.integers(0, 2**32 - 1))
def test_sending_everything_again_books_nothing_more(history: History, seed: int) -> None:
    world = World(history, seed)
    first = world.run(history, 5)
    before = {org: list(world.store.journal.read(org)) for org in world.store.journal.orgs()}
    world.random = Random(0)
    world.rival_steps = iter(())
    again = world.run(history, 9)
    for one, other in zip(first, again, strict=True):
        if one.status in ("applied", "replayed", "conflict") and one.key:
            assert other.status == ("conflict" if one.status == "conflict" else "replayed")
            assert one.entry is not None
            assert other.entry == one.entry == before[one.org][one.entry["seq"] - 1]
