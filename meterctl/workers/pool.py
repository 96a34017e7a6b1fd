"""Processes that each do a task on item after item, with a store of their own."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import active_children, get_context
from multiprocessing.util import Finalize
from typing import Any, Generic, TypeVar

from meterctl.core.errors import MeterctlError
from meterctl.options import Options
from meterctl.process.garbage import collect_garbage
from meterctl.process.interrupts import held_back, ignore_endings
from meterctl.process.leaving import leave
from meterctl.wiring import Wiring

Item = TypeVar("Item")
Answer = TypeVar("Answer")

#: Items that each process has before it: the one at hand, the next, and one for when another process is slow.
AHEAD = 3


class WorkerDied(MeterctlError):
    """A process that was working is gone."""

    code = "worker_died"
    hint = "what is booked stays booked: run the same command again"


class Workers(Generic[Item, Answer]):
    """``count`` processes, each with a store of its own, that do one ``task`` on item after item."""

    def __init__(
        self, count: int, task: Callable[[Wiring, Item], Answer], wiring: Wiring, *, breaks_off: bool = False
    ) -> None:
        """``wiring``: what the command was given, and so does each process. ``breaks_off``: where nobody waits for the
        answers any more, what is begun is broken off, not done to its end."""
        self._count = count
        self._task = task
        self._wiring = wiring
        self._breaks_off = breaks_off

    def answers(self, items: Iterable[Item]) -> Generator[Answer, None, None]:
        """The answer to each item, in order."""
        # Not forked: neither a connection nor a thread of this process survives that whole.
        wiring = self._wiring
        start = (self._task, wiring.options, dict(wiring.environ))
        pool = ProcessPoolExecutor(self._count, get_context("spawn"), initializer=_start, initargs=start)
        asked: deque[Future[Answer]] = deque()
        try:
            for item in items:
                with held_back():  # the first call starts the processes
                    asked.append(pool.submit(_do, item))
                if len(asked) >= AHEAD * self._count:
                    yield asked.popleft().result()
            while asked:  # bounded: by the items
                yield asked.popleft().result()
        except BrokenProcessPool as problem:
            self._kill()  # the pool would ask the others by SIGTERM, which they leave to this process
            raise WorkerDied("a process that was working died") from problem
        except BaseException:
            if self._breaks_off:
                self._kill()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    @staticmethod
    def _kill() -> None:
        for process in active_children():
            process.kill()


# In each process

_tasks: list[Callable[[Any], Any]] = []


def set_up(options: Options, environ: Mapping[str, str]) -> Wiring:
    """What each process begins with."""
    ignore_endings()
    collect_garbage()
    return Wiring(options, environ, alone=False)


def _start(task: Callable[[Wiring, Any], Any], options: Options, environ: Mapping[str, str]) -> None:
    wiring = set_up(options, environ)
    Finalize(None, wiring.close, exitpriority=10)
    Finalize(None, leave, (0,), exitpriority=0)
    _tasks.append(partial(task, wiring))


def _do(item: Any) -> Any:
    return _tasks[0](item)
