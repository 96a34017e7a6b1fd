"""Run one call of the ledger: chunk after chunk. A long chunk is appended while the next one is decided.

Deciding ahead is safe: no receipt is returned before its entries are booked, and decisions on top of a chunk are
discarded unless that chunk was booked whole.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from meterctl.core.booking.chunk_decider import Batch, Decision
from meterctl.core.booking.chunk_reader import NOTHING, ChunkReader, InFlight, TooEarly
from meterctl.core.booking.chunk_writer import PATIENCE, Booked, Pace, Writer
from meterctl.core.booking.journal_view import OrgViews
from meterctl.core.domain.operations import Request
from meterctl.core.model import Entry
from meterctl.core.results import Receipt

if TYPE_CHECKING:
    from concurrent.futures import Executor

#: With fewer entries, appending in the background costs more time than it saves.
WORTH_A_THREAD = 200


class _Flight(NamedTuple):
    """A chunk on its way into the journal. ``book`` waits for the result."""

    requests: Sequence[Request]
    outcomes: Sequence[Decision]
    orgs: set[str]
    book: Callable[[], Booked]

    def contents(self) -> InFlight:
        entries = {(entry["org"], entry["key"]): entry for outcome in self.outcomes for entry in outcome.entries}
        claimed = {claim.name for outcome in self.outcomes for claim in outcome.claims}
        added = {claim.name for outcome in self.outcomes if not outcome.entries for claim in outcome.claims}
        return InFlight(entries, claimed, added)


class _Repeats:
    """Predicts whether a chunk contains repeats, to skip key look-ups.

    A single request is rarely a repeat. A file is either nearly all new or, on a re-run, nearly all repeats: so a chunk
    without repeats predicts none in the next. After each wrong prediction, one more such chunk is needed.
    """

    _without = 0
    _wrong = 0

    def are_likely(self, chunk: Sequence[Request]) -> bool:
        return self._without <= self._wrong and (len(chunk) > 1 or self._wrong > 0)

    def learn(self, outcomes: Sequence[Decision]) -> None:
        """Learn from a chunk that was booked whole."""
        has_repeats = any(outcome.receipt.status in ("replayed", "conflict") for outcome in outcomes)
        self._without = 0 if has_repeats else self._without + 1

    def learn_from_clash(self) -> None:
        """Learn that a chunk could not be booked as it was decided."""
        self._without = 0
        self._wrong += 1


class Execution:
    """Books chunks by ``writer``; with ``overlap`` a long one is appended while the next one is decided."""

    def __init__(self, writer: Writer, *, overlap: bool) -> None:
        self._writer = writer
        self._overlap = overlap
        self._again: deque[Sequence[Request]] = deque()
        self._views = OrgViews(writer.store)
        self._repeats = _Repeats()
        self._flight: _Flight | None = None
        self._worker: Executor | None = None
        # Since the last chunk that was booked as a whole:
        self._pace = Pace(writer.clock, writer.patience, writer.random)
        self._contended_orgs: set[str] = set()
        self._extra_entries: tuple[Entry, ...] = ()
        self._decided_at = 0.0

    def run(self, chunks: Iterable[Sequence[Request]]) -> Iterator[list[Receipt]]:
        """Book the ``chunks``; yield the receipts of all requests, in order."""
        source, listening = iter(chunks), True
        try:
            while True:  # bounded: by the chunks and by the pace
                chunk = self._again.popleft() if self._again else next(source, None)
                outcomes = None
                if self._flight is not None:
                    outcomes = None if chunk is None else self._decide_ahead(chunk)
                    if not (yield from self._land(self._flight, chunk)):
                        continue
                if chunk is None:
                    return
                if outcomes is None:
                    outcomes = self._decide(chunk)
                if len(outcomes) < len(chunk):  # more would take too much memory
                    self._again.appendleft(chunk[len(outcomes) :])
                yield from self._launch(chunk[: len(outcomes)], outcomes)
        except GeneratorExit:
            listening = False
            raise
        finally:
            if self._worker:
                self._worker.shutdown()
            # An abandoned call may be closed by the garbage collector, which must not wait for a store.
            if listening:
                self._writer.heads.catch_up()

    def _decide(self, chunk: Sequence[Request]) -> list[Decision]:
        writer = self._writer
        self._decided_at, now = writer.clock.elapsed(), writer.clock.now()  # before anything is read
        flight = NOTHING if self._flight is None else self._flight.contents()
        repeats = self._writer.dry_run or self._repeats.are_likely(chunk)  # a layer takes keys that are used below it
        requests = self._views.load(chunk, exactly=self._contended_orgs)
        reader = ChunkReader(writer.store, requests, self._views, flight=flight, repeats=repeats)
        return Batch(reader, writer.terms, now, dry_run=writer.dry_run).decide()

    def _decide_ahead(self, chunk: Sequence[Request]) -> list[Decision] | None:
        """Decide ``chunk`` on the premise that the chunk in flight is booked whole. Return None if that must be known
        first."""
        try:
            return self._decide(chunk)
        except TooEarly:
            self._views.forget()
            return None

    def _launch(self, chunk: Sequence[Request], outcomes: Sequence[Decision]) -> Iterator[list[Receipt]]:
        """Append the entries: many in the background, few at once, yielding their receipts."""
        entries = [entry for outcome in outcomes for entry in outcome.entries]
        self._pace.latest = self._decided_at + PATIENCE
        if self._overlap and len(entries) >= WORTH_A_THREAD:
            self._launch_in_background(chunk, outcomes, entries)
            return
        result = self._writer.book(outcomes, entries, self._pace)
        yield self._receipts(outcomes, result)
        if self._proceeds(chunk, outcomes, result, None):
            orgs = {entry["org"] for entry in entries}
            self._views.launch(orgs)
            self._views.land(orgs)

    def _launch_in_background(
        self, chunk: Sequence[Request], outcomes: Sequence[Decision], entries: Sequence[Entry]
    ) -> None:
        if self._worker is None:
            from concurrent.futures import ThreadPoolExecutor  # most calls get by without, and start sooner for it

            self._worker = ThreadPoolExecutor(1, "meterctl-append")
        orgs = {entry["org"] for entry in entries}
        self._views.launch(orgs)
        book = self._worker.submit(self._writer.book, outcomes, entries, self._pace).result
        self._flight = _Flight(chunk, outcomes, orgs, book)

    def _land(self, flight: _Flight, waiting: Sequence[Request] | None) -> Generator[list[Receipt], None, bool]:
        """Yield the receipts of the booked part of ``flight``. Return True if it was booked whole.

        Otherwise its other requests are next, then the chunk ``waiting``.
        """
        self._flight = None
        result = flight.book()
        yield self._receipts(flight.outcomes, result)
        self._views.land(flight.orgs)
        return self._proceeds(flight.requests, flight.outcomes, result, waiting)

    def _receipts(self, outcomes: Sequence[Decision], result: Booked) -> list[Receipt]:
        receipts = [outcome.receipt for outcome in outcomes[: result.settled]]
        if receipts and self._extra_entries:
            receipts[0] = replace(receipts[0], also=(*self._extra_entries, *receipts[0].also))
            self._extra_entries = ()
        # Due events appended before the clash stay booked: they belong to the request that is tried again.
        self._extra_entries += result.cut
        return receipts

    def _proceeds(
        self,
        chunk: Sequence[Request],
        outcomes: Sequence[Decision],
        result: Booked,
        waiting: Sequence[Request] | None,
    ) -> bool:
        """Get ready for the next chunk, or turn back to the requests of ``chunk`` that were not booked, and return
        False."""
        if result.settled < len(chunk):
            self._turn_back(chunk[result.settled :], waiting, result)
            return False
        self._repeats.learn(outcomes)
        self._writer.heads.end_chunk()
        self._pace = Pace(self._writer.clock, self._writer.patience, self._writer.random)
        self._contended_orgs = set()
        return True

    def _turn_back(self, remainder: Sequence[Request], waiting: Sequence[Request] | None, result: Booked) -> None:
        """Go back to ``remainder``: its orgs have changed, so decisions on top of the old tips are discarded."""
        self._views.forget()
        self._pace.latest = inf  # the next entries are young again
        self._writer.heads.catch_up()  # the next reads find tips by heads
        if waiting is not None:
            self._again.appendleft(waiting)
        self._again.appendleft(remainder)
        if result.late:
            self._pace.wait(self._writer.too_slow())
        elif result.clashed:
            self._repeats.learn_from_clash()
            self._suspect(remainder)
            self._pace.wait(self._writer.contended())

    def _suspect(self, remainder: Sequence[Request]) -> None:
        """Have the tip of the org that clashed read exactly: its head is behind.

        The cause, such as a crash, may have left the heads of later orgs behind too. Doubling the number of suspects
        each time gets through a chunk of such orgs in few turns.
        """
        if remainder[0].operation.org not in self._contended_orgs:
            orgs = dict.fromkeys(request.operation.org for request in remainder)
            self._contended_orgs.update(islice(orgs, 1 + len(self._contended_orgs)))
