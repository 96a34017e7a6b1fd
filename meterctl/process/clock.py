"""The system clock and a fixed clock. No other module reads the time."""

import math
import time

from meterctl.core.domain.instants import add_millis, from_millis, parse
from meterctl.core.errors import BadInput
from meterctl.core.model import Instant

#: A clock set to the end of time has no week after it.
LAST_CLOCK = "9000-01-01T00:00:00.000Z"


class SystemClock:
    """The clock of this machine."""

    elapsed = staticmethod(time.monotonic)

    def now(self) -> Instant:
        return from_millis(time.time_ns() // 1_000_000)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class FixedClock:
    """A fixed time for tests and rehearsals (``--now``). Only `sleep` advances it, without a real wait."""

    def __init__(self, instant: Instant) -> None:
        self._now = instant
        self._slept = 0.0

    def now(self) -> Instant:
        return self._now

    def elapsed(self) -> float:
        return time.monotonic() + self._slept

    def sleep(self, seconds: float) -> None:
        self._slept += seconds
        self._now = add_millis(self._now, math.ceil(seconds * 1000))


def pinned_clock(text: str) -> FixedClock:
    """Return a clock that stands at the time in ``text``."""
    now = parse(text)
    if now >= LAST_CLOCK:
        raise BadInput(f"the clock cannot be set to {now}", hint=f"set it before {LAST_CLOCK}", code="time_travel")
    return FixedClock(now)
