"""Ctrl-C and SIGTERM during long runs: taken where it suits, so that what is booked is also answered."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any, Self

#: Ctrl-C at a terminal; and the signal that systemd, containers and `kill` send to end a process.
ENDING = (signal.SIGINT, signal.SIGTERM)

_Handler = Callable[[int, FrameType | None], Any] | int | None


def end_by_sigterm() -> None:
    """Have SIGTERM interrupt this process as Ctrl-C does, unless whoever started it had it ignored."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def ignore_endings() -> None:
    """Leave the end of the run to the process that hands out the work: a signal may reach the whole group."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def _taken() -> dict[int, _Handler]:
    """The signals that would interrupt Python here, with their handlers. Only a main thread is ever interrupted."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    handlers = {number: signal.getsignal(number) for number in ENDING}
    return {number: handler for number, handler in handlers.items() if callable(handler)}


class Interrupts:
    """While entered, a first Ctrl-C or SIGTERM is only noted in ``asked``, for the run to end at its next step. One
    that comes while the run `may wait` for something, or a second one, interrupts at once."""

    def __init__(self) -> None:
        self.asked = False
        self._waiting = False
        self._before: dict[int, _Handler] = {}

    def __enter__(self) -> Self:
        self._before = _taken()
        for number in self._before:
            signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

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
    """A process that is started inside never gets a Ctrl-C or SIGTERM; the main thread gets one afterwards."""
    from multiprocessing import resource_tracker

    # The first process that is started also starts this one, which lets the signals through again.
    resource_tracker.ensure_running()
    # What is blocked here a process inherits. But the system then hands a signal to another thread that does not block
    # it, if there is one, and Python has the main thread handle it all the same: so that is held back too.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        with _noted():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _noted() -> Iterator[None]:
    """What Python would do about such a signal inside, it does at the end."""
    came: list[int] = []
    with ExitStack() as stack:
        for number, handler in _taken().items():
            signal.signal(number, lambda number, _: came.append(number))
            stack.callback(signal.signal, number, handler)
        yield
    for number in dict.fromkeys(came):
        signal.raise_signal(number)
