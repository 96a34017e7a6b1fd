"""How far a long run is, on a terminal: a line that is written over."""

import sys
from collections.abc import Callable
from time import monotonic
from typing import TextIO

_SECONDS_BETWEEN = 1.0
_WIPE = "\r\x1b[K"


class StatusLine:
    """A line on a terminal that is written over; where nobody looks, a line for each thing said."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._watched = self._stream.isatty()
        self._shown = False

    def say(self, text: str) -> None:
        self._stream.write(f"{_WIPE}{text}" if self._watched else f"{text}\n")
        self._stream.flush()
        self._shown = self._watched

    def end(self) -> None:
        """Leave a clean line."""
        if self._shown:
            self._stream.write(_WIPE)
            self._stream.flush()


class Progress(StatusLine):
    """Tells how many ``things`` are done, how fast, and how long the rest will take, at most once a second. Silent
    where nobody looks."""

    def __init__(self, things: str, stream: TextIO | None = None, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(stream)
        self._things = things
        self._clock = clock
        self._began = self._told = clock()

    def tell(self, done: int, fraction: Callable[[], float | None]) -> None:
        """``done`` things so far, which is that ``fraction`` of all; None if nobody knows how many there are."""
        now = self._clock()
        if not self._watched or now - self._told < _SECONDS_BETWEEN:
            return
        self._told = now
        self.say(progress_line(self._things, done, now - self._began, fraction()))


def progress_line(things: str, done: int, seconds: float, fraction: float | None) -> str:
    parts = [f"{done:,} {things}", f"{done / seconds:,.0f} a second"]
    if fraction:
        left = round(seconds * (1 - fraction) / fraction)
        parts += [f"{fraction:.0%}", f"{left // 60}:{left % 60:02} left"]
    return ", ".join(parts)
