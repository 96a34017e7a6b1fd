"""One call of the ledger as it runs: chunk after chunk, each decided while the one before is being appended, if that is
worth it.

Deciding ahead is safe because nothing is answered before it is booked, and all that was decided on top of a chunk is
thrown away unless the whole of that chunk was booked.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING

from meterctl.core.booking.chunk_decider import Decision
from meterctl.core.booking.chunk_reader import NOTHING, TooEarly
from meterctl.core.booking.chunk_writer import Booked, Writer
from meterctl.core.booking.journal_view import Name, OrgViews
from meterctl.core.domain.operations import Request
from meterctl.core.model import Entry
from meterctl.core.results import Receipt

if TYPE_CHECKING:
    from concurrent.futures import Executor

#: Entries from which on appending them in the background saves more time than it costs.
WORTH_A_THREAD = 200


class _Flight:
    """A chunk on its way into the journal. ``booked`` waits for what comes of it."""

    def __init__(self, requests: Sequence[Request], outcomes: Sequence[Decision]) -> None:
        self.requests = requests
        self.outcomes = outcomes
        self.entries = [entry for outcome in outcomes for entry in outcome.entries]
        self.orgs = {entry["org"] for entry in self.entries}
        self.booked: Callable[[], Booked]

    @cached_property
    def names(self) -> dict[Name, Entry]:
        return {(entry["org"], entry["key"]): entry for entry in self.entries}


class _Repeats:
    """Whether requests may have been booked before. A request by itself rarely was. A file holds hardly any such, or,
    run again, hardly anything else; so a chunk without any says that the next one has none. Each time that this was
    wrong, it takes one more."""

    def __init__(self) -> None:
        self._without = 0
        self._wrong = 0

    def expected(self, chunk: Sequence[Request]) -> bool:
        return self._without <= self._wrong and (len(chunk) > 1 or self._wrong > 0)

    def learn(self, outcomes: Sequence[Decision]) -> None:
        """What came of a chunk that was booked as a whole."""
        repeated = any(outcome.receipt.status in ("replayed", "conflict") for outcome in outcomes)
        self._without = 0 if repeated else self._without + 1

    def clashed(self) -> None:
        """A chunk could not be booked as it was decided."""
        self._without = 0
        self._wrong += 1


class Execution:
    """Books ``chunks`` by ``writer``; with ``overlap`` a long one is appended while the next one is decided."""

    def __init__(self, writer: Writer, chunks: Iterable[Sequence[Request]], *, overlap: bool) -> None:
        self._writer = writer
        self._overlap = overlap
        self._chunks = iter(chunks)
        self._again: deque[Sequence[Request]] = deque()
        self._views = OrgViews(writer.store)
        self._repeats = _Repeats()
        self._flight: _Flight | None = None
        self._worker: Executor | None = None
        # Since the last chunk that was booked as a whole:
        self._pace = writer.pace()
        self._contended: set[str] = set()
        self._carried: tuple[Entry, ...] = ()
        self._decided_at = 0.0

    def run(self) -> Iterator[list[Receipt]]:
        """The receipts of all requests, in order."""
        listening = True
        try:
            while (chunk := self._next()) is not None or self._flight:  # bounded: by the chunks and by the pace
                ahead = self._decide_ahead(chunk) if chunk is not None and self._flight else None
                if self._flight and not (yield from self._land(self._flight, chunk)):
                    continue
                if chunk is not None:
                    outcomes = self._decide(chunk) if ahead is None else ahead
                    if len(outcomes) < len(chunk):  # more would take too much memory
                        self._again.appendleft(chunk[len(outcomes) :])
                    yield from self._launch(chunk[: len(outcomes)], outcomes)
        except GeneratorExit:
            listening = False
            raise
        finally:
            if self._worker:
                self._worker.shutdown()
            # Where nobody listens any more, this may be the garbage collector, which is not to wait for a store.
            if listening:
                self._writer.heads.catch_up()

    def _next(self) -> Sequence[Request] | None:
        return self._again.popleft() if self._again else next(self._chunks, None)

    def _decide(self, chunk: Sequence[Request]) -> list[Decision]:
        self._decided_at = self._writer.clock.elapsed()
        flying = self._flight.names if self._flight else NOTHING
        repeats = self._writer.dry_run or self._repeats.expected(chunk)  # a layer takes keys that are used below it
        return self._writer.decide(chunk, self._views, contended=self._contended, flying=flying, repeats=repeats)

    def _decide_ahead(self, chunk: Sequence[Request]) -> list[Decision] | None:
        """Decide ``chunk`` on the premise that the chunk in flight is booked whole. Return None if that must be known
        first."""
        try:
            return self._decide(chunk)
        except TooEarly:
            self._views.forget()
            return None

    def _launch(self, chunk: Sequence[Request], outcomes: Sequence[Decision]) -> Iterator[list[Receipt]]:
        """Have the entries appended: in the background if there are many, else at once, with the receipts."""
        flight = self._flight = _Flight(chunk, outcomes)
        pace = self._pace.for_entries(self._decided_at)
        flight.booked = partial(self._writer.book, outcomes, flight.entries, pace)
        self._views.launch(flight.orgs)
        if self._overlap and len(flight.entries) >= WORTH_A_THREAD:
            flight.booked = self._in_background(flight.booked)
        else:
            yield from self._land(flight, None)

    def _in_background(self, book: Callable[[], Booked]) -> Callable[[], Booked]:
        if self._worker is None:
            from concurrent.futures import ThreadPoolExecutor  # most calls get by without, and start sooner for it

            self._worker = ThreadPoolExecutor(1, "meterctl-append")
        return self._worker.submit(book).result

    def _land(self, flight: _Flight, waiting: Sequence[Request] | None) -> Generator[list[Receipt], None, bool]:
        """Answer what of ``flight`` is booked; whether that is all of it. If not, what is left is next, and what is
        ``waiting`` after it."""
        self._flight = None
        booked = flight.booked()
        yield self._receipts(flight, booked)
        left = flight.requests[booked.settled :]
        if left:
            self._turn_back(left, waiting, booked)
        else:
            self._views.land(flight.orgs)
            self._repeats.learn(flight.outcomes)
            self._writer.heads.end_chunk()
            self._pace, self._contended = self._writer.pace(), set()
        return not left

    def _receipts(self, flight: _Flight, booked: Booked) -> list[Receipt]:
        receipts = [outcome.receipt for outcome in flight.outcomes[: booked.settled]]
        if receipts and self._carried:
            receipts[0] = replace(receipts[0], also=(*self._carried, *receipts[0].also))
            self._carried = ()
        # Due events that made it before the clash stay booked: they belong to the request that is tried again.
        self._carried += booked.cut
        return receipts

    def _turn_back(self, left: Sequence[Request], waiting: Sequence[Request] | None, booked: Booked) -> None:
        """Decide anew from ``left`` on: what was read is old, and what was decided on top of it means nothing."""
        self._views.forget()
        self._writer.heads.catch_up()  # what is read anew is looked for by them
        if waiting is not None:
            self._again.appendleft(waiting)
        self._again.appendleft(left)
        if booked.late:
            self._pace.wait(self._writer.too_slow())
        elif booked.clashed:
            self._repeats.clashed()
            self._suspect(left)
            self._pace.wait(self._writer.contended())

    def _suspect(self, left: Sequence[Request]) -> None:
        """The org that clashed was read at a tip that is old. What left its head behind, a crash say, may have done so
        to all that come after it: suspect as many more as so far, so that a chunk of them takes few turns."""
        if left[0].operation.org not in self._contended:
            orgs = dict.fromkeys(request.operation.org for request in left)
            self._contended.update(islice(orgs, 1 + len(self._contended)))
