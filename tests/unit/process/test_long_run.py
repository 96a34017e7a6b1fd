"""What a long run shows on a terminal, and how Ctrl-C ends it."""

import io
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meterctl.process.interrupts import Interrupts, held_back
from meterctl.process.progress import Progress, StatusLine, progress_line
from tests.waiting import wait_for


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Ticks:
    """A clock that tells these times, one a call."""

    def __init__(self, *times: float) -> None:
        self._times = iter(times)

    def __call__(self) -> float:
        return next(self._times)


@pytest.mark.parametrize(
    ("done", "seconds", "fraction", "line"),
    [
        (12_345, 1.0, None, "12,345 lines, 12,345 a second"),
        (100, 2.0, 0.5, "100 lines, 50 a second, 50%, 0:02 left"),
        (1_000_000, 60.0, 0.25, "1,000,000 lines, 16,667 a second, 25%, 3:00 left"),
        (7, 3.0, 0.0, "7 lines, 2 a second"),
        (7, 3.0, 1.0, "7 lines, 2 a second, 100%, 0:00 left"),
    ],
)
def test_a_line_says_how_far_it_is(done: int, seconds: float, fraction: float | None, line: str) -> None:
    assert progress_line("lines", done, seconds, fraction) == line


def test_it_tells_at_most_once_a_second_and_leaves_a_clean_line() -> None:
    terminal = Terminal()
    progress = Progress("lines", terminal, Ticks(0.0, 0.5, 1.0, 1.9, 2.5))
    for done in (10, 20, 30, 40):
        progress.tell(done, lambda: None)
    progress.end()
    assert terminal.getvalue().split("\r\x1b[K") == ["", "20 lines, 20 a second", "40 lines, 16 a second", ""]


def test_what_is_short_or_not_watched_shows_nothing() -> None:
    short, file = Terminal(), io.StringIO()
    for stream, ticks in ((short, Ticks(0.0, 0.5)), (file, Ticks(0.0, 99.0))):
        progress = Progress("lines", stream, ticks)
        progress.tell(10, lambda: 0.5)
        progress.end()
    assert short.getvalue() == file.getvalue() == ""


def test_what_is_said_is_written_over_on_a_terminal_and_a_line_each_elsewhere() -> None:
    terminal, file, untold = Terminal(), io.StringIO(), Terminal()
    for stream, said in ((terminal, ("one", "two")), (file, ("one", "two")), (untold, ())):
        line = StatusLine(stream)
        for text in said:
            line.say(text)
        line.end()
    assert terminal.getvalue() == "\r\x1b[Kone\r\x1b[Ktwo\r\x1b[K"
    assert (file.getvalue(), untold.getvalue()) == ("one\ntwo\n", "")


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_a_first_ctrl_c_is_noted_and_a_second_one_interrupts() -> None:
    with Interrupts() as interrupts:
        noted = [interrupts.stop]
        interrupt()
        noted.append(interrupts.stop)
        with pytest.raises(KeyboardInterrupt):
            interrupt()
    assert noted == [False, True]


def test_ctrl_c_breaks_off_what_may_wait() -> None:
    reached = []
    with Interrupts() as interrupts:
        with interrupts.may_wait():
            reached.append("in")
            interrupt()
            reached.append("not this")
        assert interrupts.stop
        assert reached == ["in"]


def test_what_was_before_comes_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_a_process_that_ignores_ctrl_c_goes_on_ignoring_it() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            interrupt()
            assert not interrupts.stop
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_of_the_main_thread_it_changes_nothing() -> None:
    asked: list[bool] = []

    def run() -> None:
        with Interrupts() as interrupts:
            asked.append(interrupts.stop)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert asked == [False]


@pytest.fixture
def interrupt_elsewhere() -> Iterator[Callable[[], None]]:
    """Has a thread that holds nothing back take a Ctrl-C."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    status = Path(f"/proc/self/task/{thread.native_id}/status")

    def interrupt() -> None:
        signal.pthread_kill(thread.ident or 0, signal.SIGINT)
        wait_for(lambda: "SigPnd:\t0000000000000000" in status.read_text())

    yield interrupt
    done.set()
    thread.join()


def test_ctrl_c_waits_until_what_holds_it_back_is_done() -> None:
    reached = []
    with Interrupts() as interrupts:
        with held_back():
            signal.raise_signal(signal.SIGINT)
            reached.append(interrupts.stop)
        reached.append(interrupts.stop)
    assert reached == [False, True]


def test_ctrl_c_that_another_thread_takes_is_held_back_too(interrupt_elsewhere: Callable[[], None]) -> None:
    reached = []
    with Interrupts() as interrupts:
        with held_back():
            interrupt_elsewhere()
            signal.raise_signal(signal.SIGINT)
            reached.append(interrupts.stop)
        reached.append(interrupts.stop)
    assert reached == [False, True]


def test_what_was_held_back_interrupts_as_it_would_have(interrupt_elsewhere: Callable[[], None]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), held_back():
        interrupt_elsewhere()
    assert signal.getsignal(signal.SIGINT) is before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_outside_of_the_main_thread_no_handler_is_replaced() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[object] = []

    def run() -> None:
        with held_back():
            seen.extend(
                (signal.getsignal(signal.SIGINT), signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
            )

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before, True]
