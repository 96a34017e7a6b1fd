"""The sweep: books what is due, org by org, through the one write path.

`expire` and `reset-week` are the same sweep, reported from two sides. It is safe to run twice at once, to stop anywhere
and to run again: what one booked, the other finds done.
"""

from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import Protocol

from meterctl.core.booking.chunk_decider import FUTURE_MS
from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain import instants
from meterctl.core.errors import REFUSED, UNREACHABLE, LockHeld, MeterctlError
from meterctl.core.model import Instant
from meterctl.core.results import Sweep, SweepCommand
from meterctl.core.sweep.due_booker import DueBooker, Tally
from meterctl.core.sweep.due_orgs import EVERYTHING, DueOrgs, Extent
from meterctl.core.sweep.lease import KeptLock, process_name

#: Failed orgs that are named; more are only counted.
MOST_ERRORS = 10_000

#: Hears how far a sweep is.
Listener = Callable[[Sweep], None]


class InFuture(MeterctlError):
    """A sweep was asked to book what time has not brought yet."""

    code = "in_future"
    exit_code = REFUSED
    hint = "nothing can be booked before it is due: leave --at out"


class NoJournal(MeterctlError):
    """A sweep that requires a journal found none. Nothing was booked."""

    code = "no_journal"
    exit_code = UNREACHABLE
    hint = "check --store and METERCTL_STORE; a store that is new and empty is swept without --require-journal"


class Booker(Protocol):
    """Who books pages of orgs: this process itself, or others for it."""

    def book(self, pages: Iterable[list[str]]) -> Iterator[Tally]:
        """Book what is due at the orgs of each page, and tell what became of them, in one or several parts."""
        ...


class Sweeper:
    """Books due events of one org or of many. What it counts in ``sweep`` is right at any time: a sweep that ends in
    an error has done so much."""

    def __init__(
        self,
        ledger: Ledger,
        command: SweepCommand,
        actor: str,
        at: Instant | None = None,
        *,
        holder: str | None = None,
        booker: Booker | None = None,
        store: str | None = None,
    ) -> None:
        """``booker`` books in place of this process. ``store`` names the store, if not by its own description."""
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
        # Found by name, not by what is due: an org with nothing to book was not due.
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
        told: Listener = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Sweep:
        """Sweep every org that has something due, under a lock that only saves double work.

        A lock that another process holds ends the sweep at once (``locked_by``), or raises `LockHeld` if asked to.
        ``require_journal``: raise `NoJournal` where there is none at all. ``stop`` is asked before each page: True ends
        the sweep there.
        """
        began = monotonic()
        self.sweep.shard = str(extent.shard)
        # On a dry run the lock, like all that is written, is on a layer of its own.
        lock = KeptLock(self._ledger.store.locks, self._ledger.clock, extent.lock_name, self._holder)
        try:
            if require_journal:
                self._require_journal(None)
            self.sweep.locked_by = lock.take()
            if self.sweep.locked_by is None:
                self._under(lock, extent, told, stop)
                self._look_for_journal(None)
                return self.sweep
            self.sweep.status = "locked"
            if fail_if_locked:
                raise LockHeld(f"the sweep is being run by {self.sweep.locked_by}")
        finally:
            self.sweep.seconds = monotonic() - began
        return self.sweep

    def _require_journal(self, org: str | None) -> None:
        self._look_for_journal(org)
        if not self.sweep.journal_found:
            of = "" if org is None else f" of {org}"
            raise NoJournal(f"no journal{of} was found in {self.sweep.store}")

    def _look_for_journal(self, org: str | None) -> None:
        """Note if there is a journal. Where something was due there is one."""
        journal = self._ledger.store.journal
        self.sweep.journal_found = (
            self.sweep.due > 0 or (next(journal.orgs(), None) if org is None else journal.tip(org)) is not None
        )

    def _under(self, lock: KeptLock, extent: Extent, told: Listener, stop: Callable[[], bool]) -> None:
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
                told(self.sweep)
        finally:
            lock.release()
            self.sweep.locked_by = lock.lost_to
            if lock.lost_to is not None:
                self.sweep.status = "locked"

    def _count(self, tally: Tally) -> None:
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
