"""Ordinary blocking code, of which one piece runs at a time: who goes on is chosen, and not left to the machine.

A fiber is a thread that only moves while it holds the baton, and gives it away wherever it calls a store, sleeps or
waits. So a run depends on nothing but the choices made, and can be had again. Time is a number that moves when a choice
says so, or when everybody sleeps.
"""

import threading
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from typing import Any, Protocol

from meterctl.core.domain import instants
from meterctl.core.model import Instant

#: More than any run takes: one that takes so many does not end.
MOST_STEPS = 60_000


class Crash(BaseException):
    """The process that a fiber belongs to is no more: nothing that it still tries has an effect."""


class Endless(AssertionError):
    """A run does not come to its end."""


class Process:
    """What dies together. ``times`` is what its clock told, in order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.times: list[Instant] = []


class Fiber:
    """One piece of code under way. ``steps`` counts where it could have been held up."""

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self.process = process
        self.steps = 0
        self.over = False
        self.wakes: int | None = None
        self.waits: Callable[[], bool] | None = None
        self.baton = threading.Lock()
        self.baton.acquire()

    def is_ready(self, now: int) -> bool:
        if not self.process.alive or (self.waits is not None and self.waits()):
            return True
        return self.wakes <= now if self.wakes is not None else self.waits is None


class Conductor(Protocol):
    """Who chooses."""

    def turn(self, fiber: Fiber, ready: list[Fiber]) -> Fiber:
        """Which of ``ready`` goes on, where ``fiber`` has come to a step or to its end."""
        ...

    def tick(self, fiber: Fiber) -> int:
        """How many milliseconds ``fiber`` took for this step."""
        ...


class Scheduler:
    """Runs fibers to their end. ``now`` is the time in milliseconds."""

    def __init__(self, conductor: Conductor, start: Instant) -> None:
        self.now = instants.to_millis(start)
        self.steps = 0
        self.switches = 0
        self.trouble: BaseException | None = None
        self._conductor = conductor
        self._fibers: list[Fiber] = []
        self._current: Fiber | None = None
        self._home = threading.Lock()
        self._home.acquire()
        self._late: list[tuple[int, int, Callable[[], None]]] = []
        self._delayed = 0

    @property
    def current(self) -> Fiber:
        assert self._current is not None, "no fiber is under way"
        return self._current

    def spawn(self, name: str, process: Process, work: Callable[[], None]) -> Fiber:
        """Have ``work`` done by a fiber of ``process``."""
        fiber = Fiber(name, process)
        self._fibers.append(fiber)
        threading.Thread(target=self._live, args=(fiber, work), name=name, daemon=True).start()
        return fiber

    def run(self) -> None:
        """Until every fiber has ended. Raises what one of them raised."""
        if self._fibers:
            self._current = self._fibers[0]
            self._current.baton.release()
            if not self._home.acquire(timeout=120):
                raise Endless("a fiber does not give the baton away")
        if self.trouble is not None:
            raise self.trouble

    # -- what a fiber does

    def step(self) -> None:
        """Let others go on. Raises `Crash` if that was the end of this process."""
        fiber = self.current
        fiber.steps += 1
        if self.steps > MOST_STEPS:
            raise Endless(f"not done after {MOST_STEPS} steps")
        self._hand_over(fiber)
        fiber.wakes = fiber.waits = None
        self.check_alive()

    def check_alive(self) -> None:
        if not self.current.process.alive:
            raise Crash

    def sleep(self, millis: int) -> None:
        self.check_alive()
        self.current.wakes = self.now + millis
        self.step()

    def wait(self, until: Callable[[], bool], millis: int | None = None) -> bool:
        """Wait until that holds, at most so long; whether it does."""
        self.check_alive()
        self.current.waits = until
        self.current.wakes = None if millis is None else self.now + millis
        self.step()
        return until()

    def crash(self) -> None:
        """End the process of the current fiber."""
        self.current.process.alive = False
        raise Crash

    # -- what arrives late

    def later(self, steps: int, effect: Callable[[], None]) -> None:
        """Have ``effect`` take place so many steps from now."""
        self._delayed += 1
        heappush(self._late, (self.steps + steps, self._delayed, effect))

    def land(self, *, everything: bool = False) -> int:
        """Let what is due take place; how much that was."""
        landed = 0
        while self._late and (everything or self._late[0][0] <= self.steps):
            heappop(self._late)[2]()
            landed += 1
        return landed

    # -- inside

    def _live(self, fiber: Fiber, work: Callable[[], None]) -> None:
        fiber.baton.acquire()
        try:
            self.check_alive()
            work()
        except Crash:
            pass
        except BaseException as trouble:
            self._fail(trouble)
        fiber.over = True
        self._fibers.remove(fiber)
        self._hand_over(fiber)

    def _hand_over(self, fiber: Fiber) -> None:
        try:
            chosen = self._choose(fiber)
        except BaseException as trouble:
            self._fail(trouble)
            chosen = self._fibers[0] if self._fibers else None
        if chosen is fiber:
            return
        self.switches += 1
        self._current = chosen
        (self._home if chosen is None else chosen.baton).release()
        if not fiber.over:
            fiber.baton.acquire()

    def _choose(self, fiber: Fiber) -> Fiber | None:
        self.steps += 1
        self.now += self._conductor.tick(fiber)
        self.land()
        dying = next((other for other in self._fibers if not other.process.alive), None)
        if dying is not None or not self._fibers:
            return dying
        ready = self._ready() or self._wake()
        return ready[0] if len(ready) == 1 else self._conductor.turn(fiber, ready)

    def _ready(self) -> list[Fiber]:
        return [fiber for fiber in self._fibers if fiber.is_ready(self.now)]

    def _wake(self) -> list[Fiber]:
        """Everybody sleeps: until when?"""
        self.now = min((fiber.wakes for fiber in self._fibers if fiber.wakes is not None), default=-1)
        if self.now < 0:
            raise Endless("everybody waits for somebody else")
        return self._ready()

    def _fail(self, trouble: BaseException) -> None:
        self.trouble = self.trouble or trouble
        for fiber in self._fibers:
            fiber.process.alive = False


class SimulatedClock:
    """The clock of one process."""

    def __init__(self, scheduler: Scheduler, process: Process) -> None:
        self._scheduler = scheduler
        self._process = process

    def now(self) -> Instant:
        instant = instants.from_millis(self._scheduler.now)
        self._process.times.append(instant)
        return instant

    def elapsed(self) -> float:
        return self._scheduler.now / 1000

    def sleep(self, seconds: float) -> None:
        self._scheduler.sleep(round(seconds * 1000))


class Threading:
    """What the program uses of `threading` and `concurrent.futures`, as fibers of the process that asks."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def Event(self) -> "SimulatedEvent":  # noqa: N802
        return SimulatedEvent(self._scheduler)

    def Thread(self, target: Callable[[], None], name: str, **_: bool) -> "SimulatedThread":  # noqa: N802
        return SimulatedThread(self._scheduler, target, name)

    def ThreadPoolExecutor(self, size: int, name: str) -> "SimulatedExecutor":  # noqa: N802
        assert size == 1, "more would need a queue"
        return SimulatedExecutor(self._scheduler, name)


class SimulatedEvent:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def wait(self, seconds: float | None = None) -> bool:
        return self._scheduler.wait(lambda: self._is_set, None if seconds is None else round(seconds * 1000))


class SimulatedThread:
    def __init__(self, scheduler: Scheduler, target: Callable[[], None], name: str) -> None:
        self._scheduler = scheduler
        self._target = target
        self._name = name
        self._fiber: Fiber | None = None

    def start(self) -> None:
        owner = self._scheduler.current
        self._fiber = self._scheduler.spawn(f"{owner.name}/{self._name}", owner.process, self._target)

    def join(self) -> None:
        fiber = self._fiber
        assert fiber is not None
        self._scheduler.wait(lambda: fiber.over)


class SimulatedExecutor:
    """One thing at a time, in the background."""

    def __init__(self, scheduler: Scheduler, name: str) -> None:
        self._scheduler = scheduler
        self._name = name
        self._count = 0
        self._last: SimulatedFuture | None = None

    def submit(self, work: Callable[..., Any], *arguments: Any) -> "SimulatedFuture":
        self._count += 1
        self._last = SimulatedFuture(self._scheduler, partial(work, *arguments), f"{self._name}-{self._count}")
        return self._last

    def shutdown(self) -> None:
        if self._last is not None and self._last.is_alive:
            self._last.wait()


class SimulatedFuture:
    def __init__(self, scheduler: Scheduler, work: Callable[[], Any], name: str) -> None:
        self._scheduler = scheduler
        self._work = work
        self._answer: Any = None
        self._error: Exception | None = None
        owner = scheduler.current
        self._fiber = scheduler.spawn(f"{owner.name}/{name}", owner.process, self._do)

    @property
    def is_alive(self) -> bool:
        return self._fiber.process.alive

    def wait(self) -> None:
        self._scheduler.wait(lambda: self._fiber.over)

    def result(self) -> Any:
        self.wait()
        if self._error is not None:
            raise self._error
        return self._answer

    def _do(self) -> None:
        try:
            self._answer = self._work()
        except Exception as error:
            self._error = error
