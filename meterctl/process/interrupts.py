"""Handle Ctrl-C and SIGTERM in long runs at safe points, so that every booked line also gets its answer."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any, Self

#: Ctrl-C, and the signal by which systemd, containers and `kill` end a process.
ENDING = (signal.SIGINT, signal.SIGTERM)

_Handler = Callable[[int, FrameType | None], Any] | int | None


def end_by_sigterm() -> None:
    """Make SIGTERM interrupt this process like Ctrl-C, unless the parent process has set it to be ignored."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def ignore_endings() -> None:
    """Ignore both signals in a worker. They may reach the whole group, and the main process ends the run."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def _handlers() -> dict[int, _Handler]:
    """Return the signals that would interrupt this thread, with their handlers; none outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    handlers = {number: signal.getsignal(number) for number in ENDING}
    return {number: handler for number, handler in handlers.items() if callable(handler)}


class Interrupts:
    """While entered, a first Ctrl-C or SIGTERM only sets ``stop``, so that the run ends at its next step.

    A second signal interrupts at once, and so does one inside `may_wait`.
    """

    def __init__(self) -> None:
        self.stop = False
        self._waiting = False
        self._before: dict[int, _Handler] = {}

    def __enter__(self) -> Self:
        self._before = _handlers()
        for number in self._before:
            signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def may_wait(self) -> Iterator[None]:
        """Let a signal interrupt the block at once: it may wait for ever, and loses nothing if it is interrupted."""
        self._waiting = True
        try:
            yield
        except KeyboardInterrupt:
            self.stop = True
        finally:
            self._waiting = False

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self.stop or self._waiting:
            raise KeyboardInterrupt
        self.stop = True


@contextmanager
def held_back() -> Iterator[None]:
    """Block Ctrl-C and SIGTERM for processes started in the block; the main thread gets them afterwards."""
    from multiprocessing import resource_tracker

    # The first worker would also start this tracker, and the tracker unblocks the signals.
    resource_tracker.ensure_running()
    # A new process inherits the blocked signals. But the system may deliver a signal to another thread, and Python
    # then runs the handler in the main thread. So the handlers are replaced too.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        with _delay_handlers():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _delay_handlers() -> Iterator[None]:
    """Collect signals during the block, and raise them again at its end."""
    came: list[int] = []
    with ExitStack() as stack:
        for number, handler in _handlers().items():
            signal.signal(number, lambda number, _: came.append(number))
            stack.callback(signal.signal, number, handler)
        yield
    for number in dict.fromkeys(came):
        signal.raise_signal(number)
