"""A lock that a process renews in the background for as long as it works."""

import os
import secrets
import socket
import threading
from contextlib import suppress

from meterctl.core.domain import instants
from meterctl.core.errors import MeterctlError
from meterctl.core.ports import Clock, Lease, Locks

#: Life of a lease that is not renewed: the lock of a dead process expires after this time.
LEASE_MS = 60_000

#: Time between renewals. Two in a row may fail before the lease expires.
RENEW_SECONDS = 20.0


def process_name() -> str:
    """Return a unique and readable name for this process."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"


class KeptLock:
    """The lock ``name``, renewed in the background from `take` to `release`.

    It only prevents duplicate work, so losing it is not an error: ``lost_to`` then names the new holder.
    """

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
        """Take the lock and keep it; return the name of the other holder if there is one."""
        other = self._acquire()
        if other is None:
            self._keeper = threading.Thread(target=self._keep, name=f"meterctl-lock-{self._name}", daemon=True)
            self._keeper.start()
        return other

    def release(self) -> None:
        """Release the lock if it is still ours. If that fails, the lock expires by itself."""
        self._over.set()
        if self._keeper is not None:
            self._keeper.join()
            with suppress(MeterctlError):
                self._locks.release(self._name, self._holder)

    def _acquire(self) -> str | None:
        now = self._clock.now()
        lease = Lease(self._name, self._holder, now, instants.add_millis(now, LEASE_MS))
        holder = self._locks.acquire(lease, now).holder
        return None if holder == self._holder else holder

    def _keep(self) -> None:
        while self.lost_to is None and not self._over.wait(self._renew_seconds):  # bounded: by the work
            try:
                self.lost_to = self._acquire()
            except MeterctlError:
                # The work itself reports store errors, and the next attempt may succeed.
                continue
