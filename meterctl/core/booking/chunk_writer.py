"""Append the entries of a chunk that was decided.

If another writer was first, the entries before that point stay booked, and the caller decides the rest again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from meterctl.core.booking.chunk_decider import Decision
from meterctl.core.booking.head_cache import HeadKeeper
from meterctl.core.booking.payment_names import claim_all
from meterctl.core.domain.policy import Terms
from meterctl.core.errors import StoreUnreachable
from meterctl.core.model import Claim, Entry
from meterctl.core.ports import Clock, Store

if TYPE_CHECKING:
    from random import Random

#: Seconds that one chunk may spend losing races or waiting for a store. It also bounds the age of an entry's
#: ``recorded_at`` when a try to append it begins: the feed of alerts stays further behind than this plus one call.
PATIENCE = 30.0


class Pace:
    """Waits between tries: jittered, growing from 2 to 50 ms, until a deadline."""

    def __init__(self, clock: Clock, patience: float, random: "Random | None") -> None:
        self._clock = clock
        self._random = random
        #: No try may begin after this reading of `Clock.elapsed`, however much patience is left.
        self.latest = inf
        # Real time: a try without an answer takes seconds, which a pinned clock does not show.
        self._end = clock.elapsed() + patience
        self._longest = 0.002

    def wait(self, trouble: StoreUnreachable) -> None:
        """Wait a little before the next try. Raise ``trouble`` if no time is left for one."""
        if self._random is None:
            from random import Random  # only who loses a race needs it

            self._random = Random()
        pause = self._random.uniform(0.001, self._longest)
        if self._clock.elapsed() + pause > min(self._end, self.latest):
            raise trouble
        self._longest = min(0.05, self._longest * 1.6)
        self._clock.sleep(pause)


class Booked(NamedTuple):
    """The result of appending a chunk. ``settled`` counts the outcomes that were booked; ``cut`` has the entries of the
    next outcome that were appended too.

    The rest was not appended because another writer was first (``clashed``), or because the store was so slow that the
    entries became too old (``late``).
    """

    settled: int
    cut: tuple[Entry, ...]
    clashed: bool
    late: bool = False


@dataclass(eq=False, repr=False)
class Writer:
    """Books on one store, under one set of terms. ``patience``: seconds that one chunk may go on trying."""

    store: Store
    clock: Clock
    terms: Terms
    dry_run: bool
    patience: float
    random: "Random | None"
    heads: HeadKeeper

    def contended(self) -> StoreUnreachable:
        """Return the trouble for a chunk that lost every race."""
        message = f"other writers were first each time for {self.patience:.0f} seconds"
        return StoreUnreachable(message, code="contended", hint="run the same command again")

    def too_slow(self) -> StoreUnreachable:
        """Return the trouble when entries grew too old before the store took them."""
        return StoreUnreachable(f"{self.store.describe()} is too slow: reading and claiming took {PATIENCE:.0f} s")

    def book(self, outcomes: Sequence[Decision], entries: Sequence[Entry], pace: Pace) -> Booked:
        """Claim the payment names and append the ``entries`` of ``outcomes``, up to the first lost race."""
        if not self.heads.at_once:
            self.heads.begin_chunk()
        winners = outcomes
        if claims := [claim for outcome in outcomes for claim in outcome.claims]:
            winners = self._claim(outcomes, claims)
            if len(winners) < len(outcomes):
                entries = [entry for outcome in winners for entry in outcome.entries]
        if entries and self.clock.elapsed() > pace.latest:  # too late for even a first try
            return Booked(0, (), clashed=False, late=True)
        count = self._append(entries, pace)
        settled, cut = (len(winners), ()) if count == len(entries) else _settled(winners, count)
        # A crash may have kept the writer of the newest entry from putting its head: a repeat puts it.
        if repeats := [outcome.tip for outcome in winners[:settled] if outcome.tip is not None]:
            self.heads.stored(repeats)
        return Booked(settled, cut, clashed=settled == 0 or settled < len(winners))

    def _claim(self, outcomes: Sequence[Decision], claims: Sequence[Claim]) -> Sequence[Decision]:
        """Take the ``claims`` of all payments about to be credited. Return the outcomes before the first that lost a
        name to another payment: the caller decides the rest again."""
        holders = claim_all(self.store, claims)
        # A repeat books nothing, so losing a name does not matter to it.
        losers = (
            index
            for index, outcome in enumerate(outcomes)
            if outcome.entries and any(holders[claim.name] != claim for claim in outcome.claims)
        )
        return outcomes[: next(losers, len(outcomes))]

    def _append(self, entries: Sequence[Entry], pace: Pace) -> int:
        """Append ``entries`` and return the number that is booked.

        An append without an answer is repeated unchanged: its stored entries have the same hash, so they count as ours,
        and once. Only after a lost answer: another process may book an equal entry in the same millisecond.
        """
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
        if unsure:  # some entries turned out to be ours only afterwards
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
        booked_entry = self.store.journal.by_keys([name]).get(name)
        return booked_entry is not None and booked_entry["hash"] == entry["hash"]


def _settled(outcomes: Sequence[Decision], count: int) -> tuple[int, tuple[Entry, ...]]:
    """Return the number of outcomes settled by ``count`` entries, and the entries of the next one among these."""
    for index, outcome in enumerate(outcomes):
        if count < len(outcome.entries):
            return index, outcome.entries[:count]
        count -= len(outcome.entries)
    return len(outcomes), ()
