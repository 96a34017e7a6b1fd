"""Booking in several processes: Python decides on one core per process, so more of them sweep faster."""

import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.util import Finalize

from meterctl.core.errors import MeterctlError
from meterctl.core.sweep.duebooker import DueBooker, Tally
from meterctl.interrupts import held_back
from meterctl.longrun import collect_garbage
from meterctl.wiring import Options, Wiring

#: Pages that each process has before it: the one it books and the next.
AHEAD = 2


class WorkerDied(MeterctlError):
    """A process that was booking is gone."""

    code = "worker_died"
    hint = "what it had booked is booked: run the same command again"


class Workers:
    """``count`` processes, each with a store of its own, that book what is due at pages of orgs."""

    def __init__(self, count: int, options: Options, environ: Mapping[str, str]) -> None:
        self._count = count
        self._options = options
        self._environ = dict(environ)

    def book(self, pages: Iterable[list[str]]) -> Iterator[Tally]:
        """A tally for each page, in the order in which they are done."""
        # Not forked: neither a connection nor a thread of this process survives that whole.
        pool = ProcessPoolExecutor(
            self._count, get_context("spawn"), initializer=_start, initargs=(self._options, self._environ)
        )
        running: set[Future[list[Tally]]] = set()
        try:
            for page in pages:
                with held_back():  # the first call starts the processes
                    running.add(pool.submit(_book, page))
                if len(running) >= AHEAD * self._count:
                    yield from _first(running)
            while running:  # bounded: by the pages
                yield from _first(running)
        except BrokenProcessPool as problem:
            raise WorkerDied("a process that was sweeping died") from problem
        finally:
            pool.shutdown(cancel_futures=True)


def _first(running: set[Future[list[Tally]]]) -> Iterator[Tally]:
    """What became of the pages that are done, once there is one."""
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        running.discard(future)
        yield from future.result()


# In each process

_bookers: list[DueBooker] = []


def set_up(options: Options, environ: Mapping[str, str]) -> Wiring:
    """What a process that books begins with."""
    # Ctrl-C reaches every process of a terminal; the one that hands out the work ends the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    collect_garbage()
    return Wiring(options, environ, alone=False)


def _start(options: Options, environ: Mapping[str, str]) -> None:
    wiring = set_up(options, environ)
    Finalize(None, wiring.close, exitpriority=10)
    # As the program itself leaves: all is closed, and the MongoDB driver's monitors would be waited for.
    Finalize(None, os._exit, (0,), exitpriority=0)
    _bookers.append(DueBooker(wiring.ledger, wiring.actor, wiring.at))


def _book(page: list[str]) -> list[Tally]:
    return list(_bookers[0].book([page]))
