"""The sweep: book due events, org by org, through the one write path.

`expire` and `reset-week` run the same sweep with different reports. It is safe to run two at once, to stop anywhere,
and to run again: nothing is booked twice.
"""

from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import Protocol

from meterctl.core.booking.chunk_decider import FUTURE_MS
from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain import instants
from meterctl.core.errors import REFUSED, LockHeld, MeterctlError, NoJournal
from meterctl.core.model import Instant
from meterctl.core.results import Sweep, SweepCommand
from meterctl.core.sweep.due_booker import DueBooker, SweepTally
from meterctl.core.sweep.due_orgs import EVERYTHING, DueOrgs, Extent
from meterctl.core.sweep.lease import KeptLock, process_name

#: Most failed orgs in the result; further ones are only counted.
MOST_ERRORS = 10_000

#: Receives the progress of a sweep.
Listener = Callable[[Sweep], None]


class InFuture(MeterctlError):
    """A sweep was asked to book future events."""

    code = "in_future"
    exit_code = REFUSED
    hint = "nothing can be booked before it is due: leave out --at"


class PageBooker(Protocol):
    """Books pages of orgs, in this process or in others."""

    def book(self, pages: Iterable[list[str]]) -> Iterator[SweepTally]:
        """Book the due events of each page; yield one or more tallies per page."""
        ...


class Sweeper:
    """Books due events of one org or of many.

    The counts in ``sweep`` are valid at any time, so an aborted sweep still reports its work.
    """

    def __init__(
        self,
        ledger: Ledger,
        command: SweepCommand,
        actor: str,
        at: Instant | None = None,
        *,
        holder: str | None = None,
        booker: PageBooker | None = None,
        store: str | None = None,
    ) -> None:
        """``booker`` replaces this process for booking. ``store`` replaces the store's own description."""
        now = ledger.clock.now()
        if at is not None and at > instants.add_millis(now, FUTURE_MS):
            raise InFuture(f"{at} is more than five minutes ahead of now ({now})")
        self.sweep = Sweep(command, at or now, dry_run=ledger.dry_run, store=store or ledger.store.describe())
        self._ledger = ledger
        self._holder = holder or process_name()
        self._booker = booker or DueBooker(ledger, actor, at)

    def one(self, org: str, *, require_journal: bool = False) -> Sweep:
        """Sweep one org."""
        began = monotonic()
        if require_journal:
            self._require_journal(org)
        for tally in self._booker.book([[org]]):
            self._count(tally)
        self.sweep.seconds = monotonic() - began
        # The org was named, not found by its due date: with nothing to book it was not due.
        self.sweep.due -= self.sweep.skipped
        self.sweep.skipped = 0
        self._look_for_journal(org)
        return self.sweep

    def all(
        self,
        extent: Extent = EVERYTHING,
        *,
        fail_if_locked: bool = False,
        require_journal: bool = False,
        on_progress: Listener = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Sweep:
        """Sweep every org that has something due, under a lock that prevents duplicate work.

        If another process holds the lock, the sweep ends at once with ``locked_by``; with ``fail_if_locked`` it raises
        `LockHeld`. ``require_journal``: raise `NoJournal` if the store has no journal. ``stop`` is called before each
        page; True ends the sweep.
        """
        began = monotonic()
        self.sweep.shard = str(extent.shard)
        # On a dry run the lock, like every write, goes to the scratch layer.
        lock = KeptLock(self._ledger.store.locks, self._ledger.clock, extent.lock_name, self._holder)
        try:
            if require_journal:
                self._require_journal(None)
            self.sweep.locked_by = lock.take()
            if self.sweep.locked_by is None:
                self._under(lock, extent, on_progress, stop)
                self._look_for_journal(None)
                return self.sweep
            self.sweep.status = "locked"
            if fail_if_locked:
                raise LockHeld(f"{self.sweep.locked_by} is running this sweep")
        finally:
            self.sweep.seconds = monotonic() - began
        return self.sweep

    def _require_journal(self, org: str | None) -> None:
        self._look_for_journal(org)
        if not self.sweep.journal_found:
            of = "" if org is None else f" of {org}"
            raise NoJournal(f"{self.sweep.store} has no journal{of}")

    def _look_for_journal(self, org: str | None) -> None:
        """Set ``journal_found``. Something due implies a journal."""
        journal = self._ledger.store.journal
        self.sweep.journal_found = (
            self.sweep.due > 0 or (next(journal.orgs(), None) if org is None else journal.tip(org)) is not None
        )

    def _under(self, lock: KeptLock, extent: Extent, on_progress: Listener, stop: Callable[[], bool]) -> None:
        most = extent.max_errors
        due = DueOrgs(self._ledger.store.heads, self.sweep.at, extent)

        def pages() -> Iterator[list[str]]:
            for page in due.pages():
                if stop() or lock.lost_to is not None or (most is not None and self.sweep.failed >= most):
                    return
                yield page

        try:
            for tally in self._booker.book(pages()):
                due.settle(tally.orgs)
                self._count(tally)
                on_progress(self.sweep)
        finally:
            lock.release()
            self.sweep.locked_by = lock.lost_to
            if lock.lost_to is not None:
                self.sweep.status = "locked"

    def _count(self, tally: SweepTally) -> None:
        sweep = self.sweep
        sweep.due += len(tally.orgs)
        sweep.done += tally.done
        sweep.skipped += tally.skipped
        sweep.failed += len(tally.errors)
        sweep.errors += tally.errors[: MOST_ERRORS - len(sweep.errors)]
        sweep.expired_lots += tally.expired_lots
        sweep.expired_units += tally.expired_units
        sweep.weeks_closed += tally.weeks_closed
        sweep.settled_units += tally.settled_units
        sweep.rolled_over_units += tally.rolled_over_units
        sweep.released_holds += tally.released_holds
