"""A lock that one process holds and keeps while it works, however long that takes."""

import os
import secrets
import socket
import threading
from contextlib import suppress

from meterctl.core.domain import instants
from meterctl.core.errors import MeterctlError
from meterctl.core.ports import Clock, Lease, Locks

#: How long a lease lasts unless renewed: so long at most does the lock of a dead process stand in the way.
LEASE_MS = 60_000

#: Between renewals. Two of them may fail before the lease runs out.
RENEW_SECONDS = 20.0


def process_name() -> str:
    """A name for this process that no other has, readable in a list of locks."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"


class KeptLock:
    """The lock ``name``, renewed in the background from `take` to `release`. It only saves double work, so losing it
    is no error: ``lost_to`` then says who has it."""

    def __init__(
        self, locks: Locks, clock: Clock, name: str, holder: str, *, renew_seconds: float = RENEW_SECONDS
    ) -> None:
        self._locks = locks
        self._clock = clock
        self._name = name
        self._holder = holder
        self._renew_seconds = renew_seconds
        self._over = threading.Event()
        self._keeper: threading.Thread | None = None
        self.lost_to: str | None = None

    def take(self) -> str | None:
        """Take the lock and keep it; if someone else has it, his name and nothing else."""
        other = self._acquire()
        if other is None:
            self._keeper = threading.Thread(target=self._keep, name=f"meterctl-lock-{self._name}", daemon=True)
            self._keeper.start()
        return other

    def release(self) -> None:
        """Give the lock back, if it is still ours. Where that cannot be done it runs out by itself, and what was done
        under it is done all the same."""
        self._over.set()
        if self._keeper is not None:
            self._keeper.join()
            with suppress(MeterctlError):
                self._locks.release(self._name, self._holder)

    def _acquire(self) -> str | None:
        now = self._clock.now()
        wanted = Lease(self._name, self._holder, now, instants.add_millis(now, LEASE_MS))
        holder = self._locks.acquire(wanted, now).holder
        return None if holder == self._holder else holder

    def _keep(self) -> None:
        while self.lost_to is None and not self._over.wait(self._renew_seconds):  # bounded: by the work it is kept for
            try:
                self.lost_to = self._acquire()
            except MeterctlError:
                # The work itself will tell what is wrong with the store; and the next turn may fare better.
                continue
