"""The sweep: books what is due, org by org, through the one write path.

`expire` and `reset-week` are the same sweep, reported from two sides. It is safe to run twice at once, to stop anywhere
and to run again: what one booked, the other finds done.
"""

import os
import secrets
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from meterctl.core import instants
from meterctl.core.batch import FUTURE_MS
from meterctl.core.errors import REFUSED, LockHeld, MeterctlError
from meterctl.core.ledger import Ledger
from meterctl.core.model import Instant
from meterctl.core.operations import BookDue, Request
from meterctl.core.ports import Lease
from meterctl.core.results import Receipt, Sweep

PAGE = 500

#: How long a lease lasts unless renewed: so long at most does the lock of a dead process stand in the way.
LEASE_MS = 60_000

LOCK_NAME = "sweep"


class InFuture(MeterctlError):
    """A sweep was asked to book what time has not brought yet."""

    code = "in_future"
    exit_code = REFUSED
    hint = "nothing can be booked before it is due: leave --at out"


def process_name() -> str:
    """A name for this process that no other has, readable in a list of locks."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Books due events of one org or of all."""

    ledger: Ledger
    command: str
    actor: str
    holder: str = field(default_factory=process_name)

    def one(self, org: str, at: Instant | None = None) -> Sweep:
        """Sweep one org."""
        sweep = self._start(at)
        self._book(sweep, [org], at)
        # Found by name, not by what is due: an org with nothing to book was not due.
        sweep.due -= sweep.skipped
        sweep.skipped = 0
        return sweep

    def all(self, at: Instant | None = None, *, fail_if_locked: bool = False) -> Sweep:
        """Sweep every org that has something due, under a lock that only saves double work. A lock that another
        process holds ends the sweep at once (``locked_by``), or raises `LockHeld` if asked to."""
        sweep = self._start(at)
        sweep.locked_by = self._lock()
        if sweep.locked_by is not None:
            if fail_if_locked:
                raise LockHeld(f"the sweep is being run by {sweep.locked_by}")
            return sweep
        try:
            self._book_all(sweep, at)
        finally:
            self._unlock()
        return sweep

    def _book_all(self, sweep: Sweep, at: Instant | None) -> None:
        for orgs in self._due_orgs(sweep.at):
            self._book(sweep, orgs, at)
            sweep.locked_by = self._lock()
            if sweep.locked_by is not None:  # it took longer than the lease, and someone else goes on from here
                return

    def _start(self, at: Instant | None) -> Sweep:
        now = self.ledger.clock.now()
        if at is not None and at > instants.add_millis(now, FUTURE_MS):
            raise InFuture(f"{at} is more than five minutes ahead of now ({now})")
        return Sweep(self.command, at or now, dry_run=self.ledger.dry_run)

    def _due_orgs(self, at: Instant) -> Iterator[list[str]]:
        after = ""
        while heads := self.ledger.store.heads.due(at, after=after, limit=PAGE):  # bounded: pages through the orgs
            yield [head.org for head in heads]
            after = heads[-1].org

    def _book(self, sweep: Sweep, orgs: Iterable[str], at: Instant | None) -> None:
        requests = (Request(BookDue(org), self.actor, at=at) for org in orgs)
        for receipt in self.ledger.execute(requests, chunk=PAGE):
            _tally(sweep, receipt)

    def _lock(self) -> str | None:
        """Take or renew the lock; the holder's name if that is someone else."""
        if self.ledger.dry_run:
            return None
        now = self.ledger.clock.now()
        mine = Lease(LOCK_NAME, self.holder, now, instants.add_millis(now, LEASE_MS))
        holder = self.ledger.store.locks.acquire(mine, now).holder
        return None if holder == self.holder else holder

    def _unlock(self) -> None:
        if not self.ledger.dry_run:
            self.ledger.store.locks.release(LOCK_NAME, self.holder)


def _tally(sweep: Sweep, receipt: Receipt) -> None:
    sweep.due += 1
    if receipt.status == "failed":
        sweep.failed += 1
        sweep.errors.append({"org": receipt.org, "message": receipt.message})
    elif receipt.also:
        sweep.done += 1
    else:
        sweep.skipped += 1
    for entry in receipt.also:
        if entry["kind"] == "expiration":
            sweep.expired_lots += 1
            sweep.expired_units += entry["units"]
        else:
            sweep.weeks_closed += 1
            sweep.settled_units += entry["settled"]
