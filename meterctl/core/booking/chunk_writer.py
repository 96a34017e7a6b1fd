"""Deciding a chunk of requests and appending what it comes to.

Where another writer was first, everything before that place is booked for good, and the rest is for the caller to
decide anew.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from math import inf
from random import Random
from typing import Any, NamedTuple

from meterctl.core.booking.chunk_decider import Batch, Decision
from meterctl.core.booking.chunk_reader import ChunkReader
from meterctl.core.booking.head_cache import HeadKeeper
from meterctl.core.booking.journal_view import OrgViews
from meterctl.core.booking.payment_names import claim_all
from meterctl.core.domain.operations import Request
from meterctl.core.domain.policy import Terms
from meterctl.core.errors import StoreUnreachable
from meterctl.core.model import Entry
from meterctl.core.ports import Clock, Store

#: How long one chunk may go on losing races or looking for an answer, in seconds. As old at most may an entry's
#: ``recorded_at`` be when a try to append it begins: the feed of alerts stays further behind than that and one call.
PATIENCE = 30.0


class Pace:
    """Waits between tries: jittered, growing from 2 to 50 ms, and over at a deadline."""

    def __init__(self, clock: Clock, patience: float, random: Random, *, latest: float = inf) -> None:
        """``latest``: no try may begin later, by `Clock.elapsed`, however much patience is left."""
        self._clock = clock
        self._random = random
        self._latest = latest
        # Real time: a try that gets no answer takes seconds, and a clock that was set by hand shows none of them.
        self._end = clock.elapsed() + patience
        self._longest = 0.002

    def for_entries(self, decided_at: float) -> "Pace":
        """Return the pace for appending what was decided at that reading of `Clock.elapsed`."""
        pace = copy(self)
        pace._latest = decided_at + PATIENCE
        return pace

    @property
    def is_late(self) -> bool:
        """True when it is too late for even a first try."""
        return self._clock.elapsed() > self._latest

    def wait(self, trouble: StoreUnreachable) -> None:
        """Wait a little before the next try; raises ``trouble`` when there is no time left for one."""
        pause = self._random.uniform(0.001, self._longest)
        if self._clock.elapsed() + pause > min(self._end, self._latest):
            raise trouble
        self._longest = min(0.05, self._longest * 1.6)
        self._clock.sleep(pause)


class Booked(NamedTuple):
    """What came of appending a chunk: how many outcomes stand, which entries of the next one are in too, and why the
    rest is not: another writer was in the way, or the store took so long that the entries became too old."""

    settled: int
    cut: tuple[Entry, ...]
    clashed: bool
    late: bool = False


@dataclass
class Writer:
    """Books on one store, under one set of terms. ``patience``: seconds that one chunk may go on trying."""

    store: Store
    clock: Clock
    terms: Terms
    dry_run: bool
    patience: float
    random: Random

    def __post_init__(self) -> None:
        self.heads = HeadKeeper(self.store.heads)

    def pace(self) -> Pace:
        """How long a chunk may go on trying."""
        return Pace(self.clock, self.patience, self.random)

    def contended(self) -> StoreUnreachable:
        """The trouble when that was not enough."""
        message = f"other writers were first each time for {self.patience:.0f} seconds"
        return StoreUnreachable(message, code="contended", hint="run the same command again")

    def too_slow(self) -> StoreUnreachable:
        """Return the trouble when entries grew too old before the store took them."""
        return StoreUnreachable(f"{self.store.describe()} is too slow: reading and claiming took {PATIENCE:.0f} s")

    def decide(self, requests: Sequence[Request], views: OrgViews, **circumstances: Any) -> list[Decision]:
        """Return the decisions on ``requests``; see `ChunkReader` for the ``circumstances``."""
        now = self.clock.now()  # before anything is read
        reader = ChunkReader(self.store, requests, views, **circumstances)
        return Batch(reader, self.terms, now, dry_run=self.dry_run).decide()

    def book(self, outcomes: Sequence[Decision], entries: Sequence[Entry], pace: Pace) -> Booked:
        """Claim the sessions and append the ``entries`` of ``outcomes``, up to where someone else was first."""
        self.heads.begin_chunk()
        claimed = self._claimed(outcomes)
        if len(claimed) < len(outcomes):
            entries = [entry for outcome in claimed for entry in outcome.entries]
        if entries and pace.is_late:
            return Booked(0, (), clashed=False, late=True)
        taken = self._append(entries, pace)
        settled, cut = _settled(claimed, taken)
        # A crash may have kept whoever booked the newest entry of an org from caching it: running it again mends that.
        self.heads.stored(outcome.tip for outcome in claimed[:settled] if outcome.tip is not None)
        return Booked(settled, cut, clashed=settled == 0 or settled < len(claimed))

    def _claimed(self, outcomes: Sequence[Decision]) -> Sequence[Decision]:
        """Claim the names of all payments about to be credited. Outcomes from the first one on that lost a name to
        another payment are left to be decided anew, on what is booked by then."""
        claims = [claim for outcome in outcomes for claim in outcome.claims]
        if not claims:
            return outcomes
        holders = claim_all(self.store, claims)
        # A repetition books nothing, so a name that it could not add takes nothing back.
        lost = (
            index
            for index, outcome in enumerate(outcomes)
            if outcome.entries and any(holders[claim.name] != claim for claim in outcome.claims)
        )
        return outcomes[: next(lost, len(outcomes))]

    def _append(self, entries: Sequence[Entry], pace: Pace) -> int:
        """How many of ``entries`` are booked. An append whose answer was lost is repeated as it is: what it stored is
        known by its hash, so it counts as ours and never twice. Only then: an entry that another process booked in the
        same millisecond may have the same hash, and is not ours."""
        done, unsure = 0, False
        while done < len(entries):  # bounded: each turn appends something, or waits at a pace that ends
            try:
                done += self._append_with_heads(entries[done:])
                if done == len(entries) or not (unsure and self._is_ours(entries[done])):
                    break
                done += 1
            except StoreUnreachable as trouble:
                unsure = True
                pace.wait(trouble)
        if unsure:  # some of it turned out to be ours only afterwards
            self.heads.stored(entries[:done])
        return done

    def _append_with_heads(self, entries: Sequence[Entry]) -> int:
        if not self.heads.at_once:
            done = self.store.journal.append(entries)
            self.heads.stored(entries[:done])
            return done
        with self.store.together():
            done = self.store.journal.append(entries)
            self.heads.put(entries[:done])
        return done

    def _is_ours(self, entry: Entry) -> bool:
        name = (entry["org"], entry["key"])
        stored = self.store.journal.by_keys([name]).get(name)
        return stored is not None and stored["hash"] == entry["hash"]


def _settled(outcomes: Sequence[Decision], taken: int) -> tuple[int, tuple[Entry, ...]]:
    """How many outcomes stand once ``taken`` entries are appended, and the entries of the next one that are in too."""
    for index, outcome in enumerate(outcomes):
        if taken < len(outcome.entries):
            return index, outcome.entries[:taken]
        taken -= len(outcome.entries)
    return len(outcomes), ()
