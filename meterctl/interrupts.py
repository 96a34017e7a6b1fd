"""Ctrl-C during long runs: taken where it suits, so that what is booked is also answered."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self


class Interrupts:
    """While entered, a first Ctrl-C is only noted in ``asked``, for the run to end at its next step. One that comes
    while the run `may wait` for something, or a second one, interrupts at once."""

    def __init__(self) -> None:
        self.asked = False
        self._waiting = False

    def __enter__(self) -> Self:
        self._before = signal.getsignal(signal.SIGINT)
        # A run in the background may have been told to ignore it; and only a main thread is ever interrupted.
        self._installed = self._before is not signal.SIG_IGN and threading.current_thread() is threading.main_thread()
        if self._installed:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, self._before)

    @contextmanager
    def may_wait(self) -> Iterator[None]:
        """What is done inside may take for ever, and loses nothing when it is broken off, so that is how it ends."""
        self._waiting = True
        try:
            yield
        except KeyboardInterrupt:
            self.asked = True
        finally:
            self._waiting = False

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked or self._waiting:
            raise KeyboardInterrupt
        self.asked = True


@contextmanager
def held_back() -> Iterator[None]:
    """A process that is started inside never gets a Ctrl-C; this thread gets one afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
