"""A clock that is compared with the store before its time is used to write.

A wrong clock books wrongly and for good: one that runs ahead expires every lot, closes every week, and freezes each
org it touches until that time has come. MongoDB has a clock of its own to compare with. An SQLite file has none, so it
keeps a mark: the latest time at which a write ran.
"""

from collections.abc import Callable
from typing import NamedTuple

from meterctl.core.domain.instants import to_millis
from meterctl.core.domain.policy import ClockLimits
from meterctl.core.errors import ClockJump, ClockSkew, StoreDamaged
from meterctl.core.model import Instant
from meterctl.core.ports import Clock, ClockMark, StoreClock

#: Seconds that the clock may be behind the last write to an SQLite file.
MAX_BEHIND = 300.0

#: Seconds after which a long run asks the server, or looks for the mark, again.
RENEWED_AFTER = 60.0

#: The mark moves at most this often, in milliseconds.
_MARK_EVERY = 3_600_000

#: Takes a sentence about a jump of the clock. Returns True to go on.
Confirm = Callable[[str], bool]


class _Reading(NamedTuple):
    """The server's time, which was read between two instants of a clock that nobody can set."""

    server: int
    before: float
    after: float

    def skew(self, now: int, elapsed: float) -> int:
        """Return by how many milliseconds ``now`` differs at least from the server's time, negative if it is behind."""
        earliest = self.server + int((elapsed - self.after) * 1000)
        latest = self.server + int((elapsed - self.before) * 1000)
        return now - latest if now > latest else min(0, now - earliest)


def jump_of(mark: ClockMark, now: Instant, limit: float) -> str | None:
    """Return a sentence if ``now`` is too far from the last write, else None."""
    distance = (to_millis(now) - to_millis(mark.at)) / 1000
    if -MAX_BEHIND <= distance <= limit:
        return None
    direction = "behind" if distance < 0 else "ahead of"
    return f"the clock says {now}, {span_of(distance)} {direction} the last write to this store, at {mark.at}"


def span_of(seconds: float) -> str:
    """Return a length of time in words, whatever its sign."""
    seconds = abs(seconds)
    for length, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:,.0f} seconds"


class CheckedClock:
    """A clock for writers: `now` raises `ClockSkew` or `ClockJump` if its time cannot be trusted."""

    def __init__(
        self,
        clock: Clock,
        store: StoreClock,
        limits: ClockLimits,
        *,
        is_pinned: bool = False,
        writes: bool = True,
        confirm: Confirm = lambda _: False,
    ) -> None:
        """``is_pinned``: the clock was set by hand. ``writes`` False: for a rehearsal, which leaves no mark, and whose
        clock may be pinned to any time. ``confirm`` is asked once at most, and only by the first reading."""
        self._clock = clock
        self._store = store
        self._limits = limits
        self._is_pinned = is_pinned
        self._writes = writes
        self._confirm: Confirm | None = confirm
        self._is_confirmed = False
        self._reading: _Reading | None = None
        self._has_server = store.has_server and limits.skew is not None
        self.elapsed: Callable[[], float] = clock.elapsed
        self.sleep: Callable[[float], None] = clock.sleep
        self._mark: ClockMark | None = None
        self._mark_read: float | None = None

    def now(self) -> Instant:
        now = self._clock.now()
        if self._has_server:
            self._check_server(now)
        self._check_mark(now)
        self._confirm = None
        return now

    # -- a server's clock

    def _check_server(self, now: Instant) -> None:
        assert self._limits.skew is not None
        limit, elapsed, reading = self._limits.skew * 1000, self.elapsed(), self._reading
        if reading is None or elapsed - reading.after > RENEWED_AFTER or abs(self._skew(reading)) > limit:
            reading = self._reading = self._read_server()
            now = self._clock.now()
        if reading is None:
            self._has_server = False
        elif abs(skew := self._skew(reading)) > limit:
            raise ClockSkew(
                f"this machine's clock says {now}, {span_of(skew / 1000)} {'ahead of' if skew > 0 else 'behind'} the "
                f"database server's; at most {span_of(limit / 1000)} are allowed"
            )

    def _skew(self, reading: _Reading) -> int:
        return reading.skew(to_millis(self._clock.now()), self.elapsed())

    def _read_server(self) -> _Reading | None:
        before = self.elapsed()
        server = self._store.server_time()
        return None if server is None else _Reading(to_millis(server), before, self.elapsed())

    # -- the mark in a file

    def _check_mark(self, now: Instant) -> None:
        elapsed = self.elapsed()
        if self._mark_read is None or elapsed - self._mark_read > RENEWED_AFTER:
            self._mark, self._mark_read = self._store.mark(), elapsed
        mark = self._mark
        if mark is None:
            if self._writes:
                self._leave(ClockMark(now, self._is_pinned))
            return
        is_exempt = self._is_confirmed or (self._is_pinned and (mark.pinned or not self._writes))
        problem = None if is_exempt else jump_of(mark, now, self._limits.jump)
        if problem is not None and not self._may_go_on(problem):
            raise ClockJump(problem)
        takes_over = mark.pinned and not self._is_pinned
        if self._writes and (takes_over or to_millis(now) - to_millis(mark.at) >= _MARK_EVERY):
            self._leave(ClockMark(now, self._is_pinned and mark.pinned))

    def _may_go_on(self, problem: str) -> bool:
        self._is_confirmed = self._confirm is not None and self._confirm(problem)
        return self._is_confirmed

    def _leave(self, mark: ClockMark) -> None:
        self._mark = mark
        self._store.leave_mark(mark)


class JudgedClock:
    """A clock for checks of journals: this machine's; but a server's, if writes would refuse this machine's.

    ``doubt`` receives the reason once, if writes would refuse this machine's clock.
    """

    def __init__(
        self,
        clock: Clock,
        store: StoreClock,
        limits: ClockLimits,
        *,
        is_pinned: bool = False,
        doubt: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._store = store
        self._checked = CheckedClock(clock, store, limits, is_pinned=is_pinned, writes=False)
        self._doubt: Callable[[str], None] | None = doubt
        self.elapsed: Callable[[], float] = clock.elapsed
        self.sleep: Callable[[float], None] = clock.sleep

    def now(self) -> Instant:
        try:
            return self._checked.now()
        except ClockSkew as problem:
            self._tell(f"{problem.message}; entries are compared with the server's time")
            return self._store.server_time() or self._clock.now()
        except ClockJump as problem:
            self._tell(f"{problem.message}; if this clock is wrong, entries may seem to lie ahead of now")
        except StoreDamaged:
            pass  # the checks of the store report it
        return self._clock.now()

    def _tell(self, message: str) -> None:
        if self._doubt is not None:
            self._doubt(message)
        self._doubt = None
