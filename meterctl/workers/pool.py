"""Processes that run one task on item after item, each with its own store."""

import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import active_children, get_context
from multiprocessing.util import Finalize
from typing import Any, Generic, TypeVar

from meterctl.core.errors import MeterctlError
from meterctl.process.garbage import collect_garbage
from meterctl.process.interrupts import held_back
from meterctl.wiring import Options, Wiring

Item = TypeVar("Item")
Answer = TypeVar("Answer")

#: Items waiting per process: the current one, the next, and one for the time that another process is slow.
AHEAD = 3


class WorkerDied(MeterctlError):
    """A worker process died."""

    code = "worker_died"
    hint = "Booked entries stay booked: run the same command again"


class Workers(Generic[Item, Answer]):
    """``count`` processes, each with its own store, that run ``task`` on item after item."""

    def __init__(
        self, count: int, task: Callable[[Wiring, Item], Answer], wiring: Wiring, *, breaks_off: bool = False
    ) -> None:
        """Each process gets the options and environment of ``wiring``. ``breaks_off``: stop unfinished items when the
        answers are no longer read, instead of finishing them."""
        self._count = count
        self._task = task
        self._options = wiring.options
        self._environ = dict(wiring.environ)
        self._breaks_off = breaks_off

    def answers(self, items: Iterable[Item]) -> Generator[Answer, None, None]:
        """Yield the answer to each item, in order."""
        # Spawned, not forked: connections and threads do not survive a fork intact.
        pool = ProcessPoolExecutor(
            self._count, get_context("spawn"), initializer=_start, initargs=(self._task, self._options, self._environ)
        )
        waiting: deque[Future[Answer]] = deque()
        try:
            for item in items:
                with held_back():  # the first call starts the processes
                    waiting.append(pool.submit(_do, item))
                if len(waiting) >= AHEAD * self._count:
                    yield waiting.popleft().result()
            while waiting:  # bounded: by the items
                yield waiting.popleft().result()
        except BrokenProcessPool as problem:
            raise WorkerDied("a worker process died") from problem
        except BaseException:
            if self._breaks_off:
                for process in active_children():
                    process.kill()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


# In each process

_tasks: list[Callable[[Any], Any]] = []


def set_up(options: Options, environ: Mapping[str, str]) -> Wiring:
    """Prepare a worker process and return its wiring."""
    # Ctrl-C reaches every process of a terminal; the process that hands out the work ends the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    collect_garbage()
    return Wiring(options, environ, alone=False)


def _start(task: Callable[[Wiring, Any], Any], options: Options, environ: Mapping[str, str]) -> None:
    wiring = set_up(options, environ)
    Finalize(None, wiring.close, exitpriority=10)
    # Everything is closed. A normal exit would wait for the MongoDB driver's monitor threads.
    Finalize(None, os._exit, (0,), exitpriority=0)
    _tasks.append(partial(task, wiring))


def _do(item: Any) -> Any:
    return _tasks[0](item)
