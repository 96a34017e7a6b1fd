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
    """A process that is started inside never gets a Ctrl-C; the main thread gets one afterwards."""
    # What is blocked here a process inherits. But the system then hands a Ctrl-C to another thread that does not block
    # it, if there is one, and Python has the main thread handle it all the same: so that is held back too.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _noted():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _noted() -> Iterator[None]:
    """What Python would do about a Ctrl-C inside, it does at the end."""
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield  # nothing is done about it, or not in this thread
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)
