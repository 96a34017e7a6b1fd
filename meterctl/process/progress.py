"""The progress of a long run, as one line on a terminal that is overwritten."""

import sys
from collections.abc import Callable
from time import monotonic
from typing import TextIO

_SECONDS_BETWEEN = 1.0
_WIPE = "\r\x1b[K"


class StatusLine:
    """One line on a terminal, overwritten by each text. Without a terminal each text gets a line of its own."""

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
    """Shows the number of ``things`` done, the rate and the time left, at most once a second. Silent without a
    terminal."""

    def __init__(self, things: str, stream: TextIO | None = None, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(stream)
        self._things = things
        self._clock = clock
        self._start = self._last_shown = clock()

    def tell(self, done: int, fraction: Callable[[], float | None]) -> None:
        """Show that ``done`` things are done, the given ``fraction`` of all (None: their number is unknown)."""
        now = self._clock()
        if not self._watched or now - self._last_shown < _SECONDS_BETWEEN:
            return
        self._last_shown = now
        self.say(progress_line(self._things, done, now - self._start, fraction()))


def progress_line(things: str, done: int, seconds: float, fraction: float | None) -> str:
    parts = [f"{done:,} {things}", f"{done / seconds:,.0f} a second"]
    if fraction:
        left = round(seconds * (1 - fraction) / fraction)
        parts += [f"{fraction:.0%}", f"{left // 60}:{left % 60:02} left"]
    return ", ".join(parts)
