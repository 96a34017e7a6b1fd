"""Show the progress of a long run on a terminal, on a line that is rewritten."""

import sys
from collections.abc import Callable
from time import monotonic
from typing import TextIO

_SECONDS_BETWEEN = 1.0
_WIPE = "\r\x1b[K"


class StatusLine:
    """A status line that is rewritten on a terminal. Elsewhere each text gets its own line."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._shown = False

    def say(self, text: str) -> None:
        self._stream.write(f"{_WIPE}{text}" if self._is_terminal else f"{text}\n")
        self._stream.flush()
        self._shown = self._is_terminal

    def end(self) -> None:
        """Clear the line."""
        if self._shown:
            self._stream.write(_WIPE)
            self._stream.flush()


class Progress(StatusLine):
    """Shows count, speed and remaining time of ``things``, at most once a second and only on a terminal."""

    def __init__(self, things: str, stream: TextIO | None = None, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(stream)
        self._things = things
        self._clock = clock
        self._began = self._last = clock()

    def tell(self, done: int, fraction: Callable[[], float | None]) -> None:
        """Show ``done`` things, which are ``fraction`` of all; None if the total is unknown."""
        now = self._clock()
        if not self._is_terminal or now - self._last < _SECONDS_BETWEEN:
            return
        self._last = now
        self.say(progress_line(self._things, done, now - self._began, fraction()))


def progress_line(things: str, done: int, seconds: float, fraction: float | None) -> str:
    parts = [f"{done:,} {things}", f"{done / seconds:,.0f} a second"]
    if fraction:
        remaining = round(seconds * (1 - fraction) / fraction)
        parts += [f"{fraction:.0%}", f"{remaining // 60}:{remaining % 60:02} left"]
    return ", ".join(parts)
