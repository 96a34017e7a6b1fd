"""A pool of processes, each with its own store, that run one task on many items."""

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
from meterctl.process.interrupts import held_back, ignore_endings
from meterctl.process.lazy_modules import load_lazily
from meterctl.process.leaving import leave
from meterctl.process.long_run import prepare_long_run
from meterctl.wiring import Wiring

Item = TypeVar("Item")
Answer = TypeVar("Answer")

#: Items per process in the queue: the current one, the next, and one more in case another process is slow.
AHEAD = 3

#: Answers per process that wait for an earlier one, where this process answers too.
WAITING = 20


class WorkerDied(MeterctlError):
    """A worker process has died."""

    code = "worker_died"
    hint = "run the same command again: it books nothing twice"


class Workers(Generic[Item, Answer]):
    """``count`` processes, each with its own store, that run ``task`` on item after item."""

    def __init__(
        self, count: int, task: Callable[[Wiring, Item], Answer], wiring: Wiring, *, breaks_off: bool = False
    ) -> None:
        """``wiring``: its options are passed to each process. ``breaks_off``: kill unfinished tasks on an error."""
        self._count = count
        self._task = task
        self._wiring = wiring
        self._breaks_off = breaks_off

    def answers(
        self, items: Iterable[Item], here: Callable[[Item], Answer] | None = None
    ) -> Generator[Answer, None, None]:
        """Yield the answer to each item, in order. ``here`` answers items in this process while the others are busy."""
        # Not forked: connections and threads of this process would not survive a fork.
        wiring = self._wiring
        start = (self._task, wiring.options, dict(wiring.environ))
        pool = ProcessPoolExecutor(self._count, get_context("spawn"), initializer=_start, initargs=start)
        pending: deque[Future[Answer]] = deque()
        most, outstanding = self._count * (AHEAD if here is None else WAITING), self._count
        try:
            for item in items:
                if here is not None and sum(not future.done() for future in pending) >= outstanding:
                    pending.append(_answered(here, item))
                    outstanding = 2 * self._count  # from now on, each has its next item while this process is busy
                else:
                    with held_back():  # the first call starts the processes
                        pending.append(pool.submit(_do, item))
                while len(pending) >= most or (here is not None and pending and pending[0].done()):
                    yield pending.popleft().result()
            while pending:  # bounded: by the items
                yield pending.popleft().result()
        except BrokenProcessPool as problem:
            self._kill()  # the pool would send SIGTERM, which the workers ignore
            raise WorkerDied("a worker process died") from problem
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


def _answered(here: Callable[[Item], Answer], item: Item) -> Future[Answer]:
    """Return the answer of this process, or its error, which waits like an answer for those before it."""
    future: Future[Answer] = Future()
    try:
        future.set_result(here(item))
    except MeterctlError as problem:
        future.set_exception(problem)
    return future


# -- in each process

_tasks: list[Callable[[Any], Any]] = []


def set_up(options: Options, environ: Mapping[str, str]) -> Wiring:
    """Prepare a worker process; return its wiring."""
    load_lazily()
    ignore_endings()
    prepare_long_run()
    return Wiring(options, environ, alone=False)


def _start(task: Callable[[Wiring, Any], Any], options: Options, environ: Mapping[str, str]) -> None:
    wiring = set_up(options, environ)
    Finalize(None, wiring.close, exitpriority=10)
    Finalize(None, leave, (0,), exitpriority=0)
    _tasks.append(partial(task, wiring))


def _do(item: Any) -> Any:
    return _tasks[0](item)
