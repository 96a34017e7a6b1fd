"""A backfill in several processes, each of which books the orgs of its part."""

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

#: Rounds that are handed out before the answers to one are waited for: so a process that has answered its part of one
#: has the next before it, while others are still at theirs.
AHEAD = 2

#: Chunks in a round at most, so that many processes do not hold too many lines at once.
MOST_CHUNKS = 8

#: Seconds that a process gets to book what it has begun once nobody waits for it any more.
GRACE = 10.0


class LineWorkers:
    """``count`` processes, each with a store of its own. A round is some chunks, of which each process gets a part."""

    def __init__(self, count: int, options: Options, environ: Mapping[str, str]) -> None:
        self._count = count
        self._options = options
        self._environ = dict(environ)
        self._workers: list[_Worker] = []

    def answers(self, chunks: Iterable[Iterable[Line]]) -> Generator[list[Answer], None, None]:
        """Have the lines booked, those of one org in order, and answer all in order. Where a process fails, what stands
        before the first line that it leaves without an answer is answered, and its problem raised."""
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
        """Give each process its part of the round; return the places of the lines that each got."""
        parts = split(lines, self._count)
        for worker, part in zip(self._workers, parts, strict=True):
            worker.give(part)
        return [part.places for part in parts]

    def _collect(self, asked: list[list[int]]) -> Iterator[list[Answer]]:
        answered = [worker.answered(len(places)) for worker, places in zip(self._workers, asked, strict=True)]
        answers, lacking = merge(asked, answered)
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
    """A process as the one that started it sees it; ``problem`` is why, if it leaves something without an answer."""

    def __init__(self, options: Options, environ: Mapping[str, str]) -> None:
        # Not forked: neither a connection nor a thread of this process survives that whole.
        context = get_context("spawn")
        self._connection, its = context.Pipe()
        self._process = context.Process(target=_work, args=(its, options, environ))
        self._process.start()
        its.close()  # so that this process is told when the other one is gone
        self._answers: list[Answer] = []
        self._gone = False
        self.problem: BaseException = WorkerDied("a process that was booking died")

    def give(self, part: RoundPart | None) -> None:
        """Hand it ``part``; None: there is no more."""
        with suppress(ConnectionError):  # it died; what it answered before that is worth reading
            self._connection.send(part)

    def answered(self, count: int) -> list[Answer]:
        """Its next answers: ``count`` of them, or fewer if it is gone."""
        while len(self._answers) < count and not self._gone:  # bounded: by what it was given
            self._receive()
        answers, self._answers = self._answers[:count], self._answers[count:]
        return answers

    def _receive(self) -> None:
        try:
            told = self._connection.recv()
        except (EOFError, OSError):
            self._gone = True
            return
        if isinstance(told, BaseException):
            self._gone, self.problem = True, told
        else:
            self._answers += map(Answer._make, told)

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
        booking.add_done_callback(lambda done: _tell_problem(done, connection))
        inbox.fill(connection)
    leave(0)


class _Inbox:
    """Parts that came in and are not booked yet. They are always taken from the connection at once: the process that
    hands them out may be waiting for that, and this one for its answers to be taken."""

    def __init__(self) -> None:
        self._parts: SimpleQueue[RoundPart | None] = SimpleQueue()
        self._left = False

    def fill(self, connection: Connection) -> None:
        try:
            for part in iter(connection.recv, None):
                self._parts.put(part)
        except (EOFError, OSError):
            self._left = True  # nobody waits for what is not begun
        self._parts.put(None)

    def parts(self) -> Iterator[RoundPart]:
        for part in iter(self._parts.get, None):
            if self._left:
                return
            yield part


def _book(wiring: Wiring, inbox: _Inbox, connection: Connection) -> None:
    for answers in wiring.backfiller().answers(part.lines() for part in inbox.parts()):
        _tell(connection, [tuple(answer) for answer in answers])


def _tell_problem(done: "Future[None]", connection: Connection) -> None:
    problem = done.exception()
    if problem is not None:
        _tell(connection, problem if isinstance(problem, MeterctlError) else _unexpected(problem))


def _unexpected(problem: BaseException) -> RuntimeError:
    """``problem`` as it can be told to another process, whatever it is."""
    told = RuntimeError(f"{type(problem).__name__}: {problem}")
    told.add_note("".join(traceback.format_exception(problem)))
    return told


def _tell(connection: Connection, what: object) -> None:
    with suppress(ConnectionError):  # nobody waits for it; what is booked is booked
        connection.send(what)
