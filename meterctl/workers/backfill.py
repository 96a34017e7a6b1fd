"""A backfill in several processes; each books the orgs of its part."""

import os
import traceback
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import chain, islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from queue import SimpleQueue

from meterctl.core.backfill.booker import Answer
from meterctl.core.backfill.partition import Part, merge, split
from meterctl.core.errors import MeterctlError
from meterctl.core.files.operation_lines import Line
from meterctl.process.interrupts import held_back
from meterctl.wiring import Options, Wiring
from meterctl.workers.pool import WorkerDied, set_up

#: Rounds handed out before the answers to the first are collected. A fast process then has its next part ready while
#: others still work on theirs.
AHEAD = 2

#: The most chunks in a round, so that many processes do not hold too many lines at once.
MOST_CHUNKS = 8

#: Seconds a process gets to finish its chunk once nobody waits for its answers.
GRACE = 10.0


class LineWorkers:
    """``count`` processes, each with its own store. A round is a few chunks; each process gets a part of it."""

    def __init__(self, count: int, options: Options, environ: Mapping[str, str]) -> None:
        self._count = count
        self._options = options
        self._environ = dict(environ)
        self._workers: list[_Worker] = []

    def answers(self, chunks: Iterable[Iterable[Line]]) -> Generator[list[Answer], None, None]:
        """Book the lines, those of one org in file order, and yield all answers in file order. If a process fails,
        yield the answers before the first line that lacks one, then raise the process's error."""
        try:
            self._start()
            rounds: deque[list[list[int]]] = deque()
            for lines in _rounds(chunks, min(self._count, MOST_CHUNKS)):
                rounds.append(self._hand_out(lines))
                if len(rounds) > AHEAD:
                    yield from self._collect(rounds.popleft())
            for worker in self._workers:
                worker.give(None)
            while rounds:  # bounded: by the rounds
                yield from self._collect(rounds.popleft())
        finally:
            self._leave()

    def _start(self) -> None:
        with held_back():
            for _ in range(self._count):
                self._workers.append(_Worker(self._options, self._environ))

    def _hand_out(self, lines: Iterable[Line]) -> list[list[int]]:
        """Give each process its part, and return the line numbers of each part."""
        parts = split(lines, self._count)
        for worker, part in zip(self._workers, parts, strict=True):
            worker.give(part)
        return [part.numbers for part in parts]

    def _collect(self, parts: list[list[int]]) -> Iterator[list[Answer]]:
        by_worker = [worker.answers(len(numbers)) for worker, numbers in zip(self._workers, parts, strict=True)]
        answers, lacking = merge(parts, by_worker)
        if answers:
            yield answers
        if lacking is not None:
            raise self._workers[lacking].problem

    def _leave(self) -> None:
        for worker in self._workers:
            worker.leave()
        for worker in self._workers:
            worker.wait()


def _rounds(chunks: Iterable[Iterable[Line]], count: int) -> Iterator[Sequence[Line]]:
    source = iter(chunks)
    return iter(lambda: list(chain.from_iterable(islice(source, count))), [])


class _Worker:
    """A process, seen from the one that started it. ``problem``: its error, if it leaves lines without an answer."""

    def __init__(self, options: Options, environ: Mapping[str, str]) -> None:
        # Spawned, not forked: connections and threads do not survive a fork intact.
        context = get_context("spawn")
        self._connection, its = context.Pipe()
        self._process = context.Process(target=_work, args=(its, options, environ))
        self._process.start()
        its.close()  # so that this end sees the other one close
        self._answers: list[Answer] = []
        self._gone = False
        self.problem: BaseException = WorkerDied("a process that was booking died")

    def give(self, part: Part | None) -> None:
        """Send the process ``part``; None ends its work."""
        with suppress(ConnectionError):  # it died; its earlier answers are worth reading
            self._connection.send(part)

    def answers(self, count: int) -> list[Answer]:
        """Return its next ``count`` answers, or fewer if it is gone."""
        while len(self._answers) < count and not self._gone:  # bounded: by the lines it was given
            self._receive()
        answers, self._answers = self._answers[:count], self._answers[count:]
        return answers

    def _receive(self) -> None:
        try:
            message = self._connection.recv()
        except (EOFError, OSError):
            self._gone = True
            return
        if isinstance(message, BaseException):
            self._gone, self.problem = True, message
        else:
            self._answers += map(Answer._make, message)

    def leave(self) -> None:
        self._connection.close()

    def wait(self) -> None:
        self._process.join(GRACE)
        self._process.kill()


# In each process


def _work(connection: Connection, options: Options, environ: Mapping[str, str]) -> None:
    wiring = set_up(options, environ)
    inbox = _Inbox()
    with closing(connection), closing(wiring), ThreadPoolExecutor(1, "meterctl-book") as pool:
        booking = pool.submit(_book, wiring, inbox, connection)
        booking.add_done_callback(lambda done: _send_problem(done, connection))
        inbox.fill(connection)
    # Everything is closed. A normal exit would wait for the MongoDB driver's monitor threads.
    os._exit(0)


class _Inbox:
    """Parts received and not booked yet. A thread empties the connection at once; otherwise both processes could wait
    for each other, one to hand out parts and one to hand back answers."""

    def __init__(self) -> None:
        self._parts: SimpleQueue[Part | None] = SimpleQueue()
        self._left = False

    def fill(self, connection: Connection) -> None:
        try:
            for part in iter(connection.recv, None):
                self._parts.put(part)
        except (EOFError, OSError):
            self._left = True  # the other process is gone: start no further part
        self._parts.put(None)

    def parts(self) -> Iterator[Part]:
        for part in iter(self._parts.get, None):
            if self._left:
                return
            yield part


def _book(wiring: Wiring, inbox: _Inbox, connection: Connection) -> None:
    for answers in wiring.backfiller().answers(part.lines() for part in inbox.parts()):
        _send(connection, [tuple(answer) for answer in answers])


def _send_problem(done: "Future[None]", connection: Connection) -> None:
    problem = done.exception()
    if problem is not None:
        _send(connection, problem if isinstance(problem, MeterctlError) else _unexpected(problem))


def _unexpected(problem: BaseException) -> RuntimeError:
    """Return ``problem`` in a form that another process can read, with its traceback as a note."""
    portable = RuntimeError(f"{type(problem).__name__}: {problem}")
    portable.add_note("".join(traceback.format_exception(problem)))
    return portable


def _send(connection: Connection, message: object) -> None:
    with suppress(ConnectionError):  # nobody waits for it; booked lines stay booked
        connection.send(message)
