"""One run: the workers of a script on one store, as the choices have it, and everything that was told to anybody."""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple
from unittest.mock import patch

from meterctl.core.backfill.answers import Answer
from meterctl.core.backfill.booker import Backfiller, FileAuthor
from meterctl.core.booking import pipeline
from meterctl.core.booking.head_cache import head_of
from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.instants import to_millis
from meterctl.core.domain.operation_documents import request_document
from meterctl.core.domain.operations import Request
from meterctl.core.errors import StoreUnreachable, sound
from meterctl.core.files.operation_lines import Line
from meterctl.core.model import Instant
from meterctl.core.reads.queries import Reads
from meterctl.core.results import Balance, Receipt, Sweep, Verification
from meterctl.core.sweep import lease
from meterctl.core.sweep.sweeper import Sweeper
from meterctl.core.verify import verify_all
from meterctl.process.clock import FixedClock
from tests.property.strategies import START, Step
from tests.simulator.choices import Choices
from tests.simulator.faults import Gate
from tests.simulator.fibers import Crash, Process, Scheduler, SimulatedClock, Threading
from tests.simulator.grounds import Ground
from tests.simulator.scripts import WRITERS, Script, Worker, ends, requests_of

#: How often a worker that died is started again, and how often a command without an answer is run again.
MOST_LIVES, MOST_TRIES = 6, 4

RETRY_MS = 500


class Asked(NamedTuple):
    """A question on its way: how high the org's journal reached, and how often the clock had been read."""

    request: Request
    height: int
    readings: int


class Told(NamedTuple):
    """What somebody was told of a request. Between question and answer the journal grew from ``low`` to ``high``, and
    the clock told ``times``."""

    worker: str
    request: Request
    status: str
    reason: str | None
    seq: int | None
    hash: str | None
    balance: int | None
    low: int
    high: int
    times: tuple[Instant, ...]


class Seen(NamedTuple):
    """A balance that somebody read."""

    balance: Balance
    low: int
    high: int


@dataclass
class Log:
    """What was told, by whom ever."""

    told: list[Told] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    sweeps: list[Sweep] = field(default_factory=list)
    verifications: list[Verification] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class World:
    """A store with its workers. `run` lets them work until all have ended."""

    def __init__(self, script: Script, choices: Choices, ground: Ground) -> None:
        self.script = script
        self.ground = ground
        self.log = Log()
        self.scheduler = Scheduler(choices, START)
        self.gate = Gate(self.scheduler, choices, ground.unreachable, ground.unheard)
        self.requests = {worker.name: requests_of(worker) for worker in script.workers if worker.kind in WRITERS}
        self._done: Counter[str] = Counter()
        for version in script.versions:
            ground.store.plans.add(version)
        if script.before:
            self._prepare()

    def run(self) -> None:
        threads = Threading(self.scheduler)
        with ExitStack() as stack:
            stack.enter_context(patch.object(lease, "threading", threads))
            stack.enter_context(patch("concurrent.futures.ThreadPoolExecutor", threads.ThreadPoolExecutor))
            stack.enter_context(patch.object(pipeline, "WORTH_A_THREAD", self.script.background))
            for worker in self.script.workers:
                self._start(worker, 1)
            self.scheduler.run()

    def _prepare(self) -> None:
        requests = [Request(operation, "before", "because") for operation in self.script.before]
        self.requests["before"] = requests
        for receipt in Ledger(self.ground.store, FixedClock(START), self.script.terms).execute(requests):
            assert receipt.applied, receipt

    # -- lives

    def _start(self, worker: Worker, life: int) -> None:
        process = Process(f"{worker.name}.{life}")

        def live() -> None:
            try:
                _Life(self, worker, process).work()
            except Crash:
                self.log.counts["crashes"] += 1
                if life < MOST_LIVES and self.scheduler.trouble is None:
                    self._start(worker, life + 1)
                raise

        self.scheduler.spawn(process.name, process, live)

    def height(self, org: str) -> int:
        return self.ground.height(org)


class _Life:
    """A worker from its start to its end or death. What it was told outlives it; nothing else does."""

    def __init__(self, world: World, worker: Worker, process: Process) -> None:
        self._world = world
        self._worker = worker
        self._process = process
        self._requests = world.requests.get(worker.name, [])
        self._log = world.log
        self._store = world.ground.open(world.gate)
        self._clock = SimulatedClock(world.scheduler, process)
        self._ledger = Ledger(self._store, self._clock, world.script.terms, random=Random(0))

    def work(self) -> None:
        if self._worker.kind in ("bulk", "backfill"):
            self._book_all()
            return
        requests = self._requests
        for number in range(self._world._done[self._worker.name], len(self._worker.steps)):
            step = self._worker.steps[number]
            self._world.scheduler.sleep(step.pause)
            match self._worker.kind:
                case "loop":
                    self._try(lambda number=number: self._ask(requests[number]))  # type: ignore[misc]
                case "weather":
                    self._change_weather(step)
                case _:
                    self._try(lambda step=step: self._look(step))  # type: ignore[misc]
            self._world._done[self._worker.name] = number + 1

    def _try(self, command: Callable[[], None]) -> None:
        """Run ``command``, and run it again if it ends without an answer; but not for ever."""
        for _ in range(MOST_TRIES):
            try:
                command()
                return
            except StoreUnreachable:
                self._log.counts["unanswered"] += 1
                self._world.scheduler.sleep(RETRY_MS)

    # -- writers

    def _ask(self, request: Request) -> None:
        asked = self._asked(request)
        self._tell(asked, self._ledger.one(request))

    def _book_all(self) -> None:
        """Start when the last request is due, and start again from the first where something went wrong."""
        self._world.scheduler.sleep(max(0, self._due_in()))
        self._try(self._execute if self._worker.kind == "bulk" else self._backfill)

    def _due_in(self) -> int:
        return to_millis(ends(self._worker)) - self._world.scheduler.now

    def _execute(self) -> None:
        waiting: deque[Asked] = deque()

        def asked() -> Iterator[Request]:
            for request in self._requests:
                waiting.append(self._asked(request))
                yield request

        for receipt in self._ledger.execute(asked(), chunk=self._worker.chunk):
            self._tell(waiting.popleft(), receipt)

    def _backfill(self) -> None:
        requests = self._requests
        waiting: dict[int, Asked] = {}

        def chunks() -> Iterator[list[Line]]:
            for first in range(0, len(requests), self._worker.chunk):
                chunk = list(enumerate(requests[first : first + self._worker.chunk], first + 1))
                waiting.update((number, self._asked(request)) for number, request in chunk)
                yield [Line(number, request_document(request)) for number, request in chunk]

        for answers in Backfiller(self._ledger, FileAuthor(self._worker.name)).answers(chunks()):
            for answer in answers:
                self._tell(waiting.pop(answer.line), answer)

    def _asked(self, request: Request) -> Asked:
        return Asked(request, self._world.height(request.operation.org), len(self._process.times))

    def _tell(self, asked: Asked, answer: Receipt | Answer) -> None:
        entry = answer.entry if isinstance(answer, Receipt) else None
        told = Told(
            self._worker.name,
            asked.request,
            answer.status,
            answer.reason,
            entry["seq"] if entry else answer.seq if isinstance(answer, Answer) else None,
            entry["hash"] if entry else None,
            answer.balance,
            asked.height,
            self._world.height(asked.request.operation.org),
            tuple(dict.fromkeys(self._process.times[asked.readings :])),
        )
        self._log.told.append(told)
        self._world.gate.tell(f"is told: {told.request.operation.key} {told.status} {told.reason or ''} #{told.seq}")

    # -- others

    def _look(self, step: Step) -> None:
        org = step.operation.org
        if self._worker.kind == "sweep":
            sweeper = Sweeper(self._ledger, "expire", self._worker.name, holder=self._process.name)
            self._log.sweeps.append(sweeper.sweep)
            sweeper.all()
        elif self._worker.kind == "read":
            low = self._world.height(org)
            balance = Reads(self._store, self._clock, self._world.script.terms).balance(org)
            self._log.seen.append(Seen(balance, low, self._world.height(org)))
        else:
            self._log.verifications.append(verify_all(self._store))

    def _change_weather(self, step: Step) -> None:
        """What happens to caches and locks without anybody asking for it."""
        store, org = self._world.ground.store, step.operation.org
        height = self._world.height(org)
        if step.pause % 3 == 0:
            self._world.ground.lose_head(org)
        elif step.pause % 3 == 1 and height:
            older = store.journal.by_seq(org, 1 + step.pause % height)
            assert older is not None
            store.heads.replace([head_of(older)])
        else:
            for lease in sound(store.locks.all()):
                store.locks.release(lease.name, lease.holder)
        self._log.counts["weather"] += 1
        self._world.gate.tell(f"weather {step.pause % 3} for {org}")
