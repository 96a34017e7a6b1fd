"""Run a backfill in several processes; each books its share of the orgs."""

import traceback
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import chain, islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from queue import SimpleQueue

from meterctl.core.backfill.answers import Answer
from meterctl.core.backfill.partition import RoundPart, merge, split
from meterctl.core.errors import MeterctlError
from meterctl.core.files.operation_lines import Line
from meterctl.options import Options
from meterctl.process.interrupts import held_back
from meterctl.process.leaving import leave
from meterctl.wiring import Wiring
from meterctl.workers.pool import WorkerDied, set_up

#: Rounds sent before waiting for answers, so that a fast process always has its next part while others still work.
AHEAD = 2

#: Most chunks in a round, to bound the lines in memory.
MOST_CHUNKS = 8

#: Seconds for a process to finish its current chunk after the main process stops waiting.
GRACE = 10.0


class LineWorkers:
    """``count`` processes, each with its own store. Each gets a part of every round of chunks."""

    def __init__(self, count: int, options: Options, environ: Mapping[str, str]) -> None:
        self._count = count
        self._options = options
        self._environ = dict(environ)
        self._workers: list[_Worker] = []

    def answers(self, chunks: Iterable[Iterable[Line]]) -> Generator[list[Answer], None, None]:
        """Book the lines, in order within each org; yield the answers in file order.

        If a process fails, yield the answers before its first unanswered line, then raise its problem.
        """
        try:
            self._start()
            rounds: deque[list[list[int]]] = deque()
            for lines in _rounds(chunks, min(self._count, MOST_CHUNKS)):
                rounds.append(self._hand_out(lines))
                if len(rounds) > AHEAD:
                    yield from self._collect(rounds.popleft())
            for worker in self._workers:
                worker.send(None)
            while rounds:  # bounded: by the rounds
                yield from self._collect(rounds.popleft())
        finally:
            self._end()

    def _start(self) -> None:
        with held_back():
            for _ in range(self._count):
                self._workers.append(_Worker(self._options, self._environ))

    def _hand_out(self, lines: Iterable[Line]) -> list[list[int]]:
        """Send each process its part of the round; return the places of the lines per process."""
        parts = split(lines, self._count)
        for worker, part in zip(self._workers, parts, strict=True):
            worker.send(part)
        return [part.places for part in parts]

    def _collect(self, parts: list[list[int]]) -> Iterator[list[Answer]]:
        results = [worker.next_answers(len(places)) for worker, places in zip(self._workers, parts, strict=True)]
        answers, lacking = merge(parts, results)
        if answers:
            yield answers
        if lacking is not None:
            raise self._workers[lacking].problem

    def _end(self) -> None:
        for worker in self._workers:
            worker.disconnect()
        for worker in self._workers:
            worker.wait()


def _rounds(chunks: Iterable[Iterable[Line]], count: int) -> Iterator[Sequence[Line]]:
    source = iter(chunks)
    return iter(lambda: list(chain.from_iterable(islice(source, count))), [])


class _Worker:
    """A worker process, seen from the main process. ``problem`` is the reason if it stops early."""

    def __init__(self, options: Options, environ: Mapping[str, str]) -> None:
        # Not forked: connections and threads of this process would not survive a fork.
        context = get_context("spawn")
        self._connection, its = context.Pipe()
        self._process = context.Process(target=_work, args=(its, options, environ))
        self._process.start()
        its.close()  # so that the end of the worker is noticed here
        self._answers: list[Answer] = []
        self._is_gone = False
        self.problem: BaseException = WorkerDied("a worker process died while booking")

    def send(self, part: RoundPart | None) -> None:
        """Send ``part``; None means that no more follow."""
        with suppress(ConnectionError):  # it died; its earlier answers are still read
            self._connection.send(part)

    def next_answers(self, count: int) -> list[Answer]:
        """Return its next ``count`` answers, or fewer if it has ended."""
        while len(self._answers) < count and not self._is_gone:  # bounded: by its part
            self._receive()
        answers, self._answers = self._answers[:count], self._answers[count:]
        return answers

    def _receive(self) -> None:
        try:
            message = self._connection.recv()
        except (EOFError, OSError):
            self._is_gone = True
            return
        if isinstance(message, BaseException):
            self._is_gone, self.problem = True, message
        else:
            self._answers += map(Answer._make, message)

    def disconnect(self) -> None:
        self._connection.close()

    def wait(self) -> None:
        self._process.join(GRACE)
        self._process.kill()


# -- in each process


def _work(connection: Connection, options: Options, environ: Mapping[str, str]) -> None:
    wiring = set_up(options, environ)
    inbox = _Inbox()
    with closing(connection), closing(wiring), ThreadPoolExecutor(1, "meterctl-book") as pool:
        booking = pool.submit(_book, wiring, inbox, connection)
        booking.add_done_callback(lambda done: _send_problem(done, connection))
        inbox.fill(connection)
    leave(0)


class _Inbox:
    """Parts received but not booked yet.

    They are read from the connection at once. Otherwise both processes could block, each waiting for the other to read.
    """

    def __init__(self) -> None:
        self._parts: SimpleQueue[RoundPart | None] = SimpleQueue()
        self._is_abandoned = False

    def fill(self, connection: Connection) -> None:
        try:
            for part in iter(connection.recv, None):
                self._parts.put(part)
        except (EOFError, OSError):
            self._is_abandoned = True  # the main process has ended: book no further part
        self._parts.put(None)

    def parts(self) -> Iterator[RoundPart]:
        for part in iter(self._parts.get, None):
            if self._is_abandoned:
                return
            yield part


def _book(wiring: Wiring, inbox: _Inbox, connection: Connection) -> None:
    for answers in wiring.backfiller().answers(part.lines() for part in inbox.parts()):
        _send(connection, [tuple(answer) for answer in answers])


def _send_problem(done: "Future[None]", connection: Connection) -> None:
    problem = done.exception()
    if problem is not None:
        _send(connection, problem if isinstance(problem, MeterctlError) else _portable(problem))


def _portable(problem: BaseException) -> RuntimeError:
    """Return ``problem`` as an error that can be pickled for another process."""
    error = RuntimeError(f"{type(problem).__name__}: {problem}")
    error.add_note("".join(traceback.format_exception(problem)))
    return error


def _send(connection: Connection, message: object) -> None:
    with suppress(ConnectionError):  # the main process has ended; the bookings stay
        connection.send(message)
