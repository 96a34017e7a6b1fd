"""Everything that could go one way or another in a run: drawn from a seed and written down, or read from what was.

A choice is kept under the place where it was made (a fiber's name and its so-many-th step) and only where it was not
the plain one: go on, at once, without a fault. So the record of a run is short, and what is left of it when parts are
taken out still means the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal, NamedTuple, TypeVar

from tests.simulator.fibers import Fiber

#: What can go wrong with a call. An *effect* is what the store does, an *answer* what the caller hears of it.
FaultKind = Literal[
    "crash before",  # the process dies, without an effect
    "crash after",  # the process dies, after the effect
    "crash between",  # the process dies, after a first part of the effect
    "crash, late",  # the process dies, and the effect takes place some time later
    "no effect",  # no effect, no answer
    "lost answer",  # the effect, no answer
    "part",  # a first part of the effect, no answer
    "apart",  # no fault at all: the effect comes in two parts, between which others may go
    "late",  # no answer, and the effect takes place some time later, perhaps after it was tried again
]

#: Those that a call of this sort can meet.
OF_READS: tuple[FaultKind, ...] = ("crash before", "no effect")
OF_WRITES: tuple[FaultKind, ...] = (*OF_READS, "crash after", "crash, late", "lost answer", "late")
OF_LISTS: tuple[FaultKind, ...] = (*OF_WRITES, "crash between", "part")
OF_APPENDS: tuple[FaultKind, ...] = (*OF_LISTS, "apart")


class Place(NamedTuple):
    fiber: str
    step: int


class Fault(NamedTuple):
    """``amount``: the items that a part holds (modulo all there are), or the steps until a late effect."""

    kind: FaultKind
    amount: int = 0


@dataclass
class Record:
    """The choices of a run that were not the plain ones."""

    faults: dict[Place, Fault] = field(default_factory=dict)
    turns: dict[Place, str] = field(default_factory=dict)
    ticks: dict[Place, int] = field(default_factory=dict)

    def copy(self) -> "Record":
        return Record(dict(self.faults), dict(self.turns), dict(self.ticks))


class Choices:
    """Replays a record. All that it does not name goes the plain way."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def turn(self, fiber: Fiber, ready: list[Fiber]) -> Fiber:
        named = self.record.turns.get(place_of(fiber))
        plain = fiber if fiber in ready else ready[0]
        return next((other for other in ready if other.name == named), plain)

    def tick(self, fiber: Fiber) -> int:
        return self.record.ticks.get(place_of(fiber), 0)

    def fault(self, fiber: Fiber, possible: Sequence[FaultKind]) -> Fault | None:
        """What goes wrong with the call that ``fiber`` is about to make."""
        fault = self.record.faults.get(place_of(fiber))
        return fault if fault is not None and fault.kind in possible else None


def place_of(fiber: Fiber) -> Place:
    return Place(fiber.name, fiber.steps)


T = TypeVar("T")

#: Sudden gaps: longer than a lease, an hour, a day, a week.
LEAPS = (1_000, 61_000, 3_600_000, 86_400_000, 7 * 86_400_000)

RATES = (0.0, 0.01, 0.03, 0.1, 0.3)


class RandomChoices(Choices):
    """Draws each choice. How often what happens is drawn first, so that runs differ: some see no fault, or only one
    kind of it, some hardly anything else."""

    def __init__(self, random: Random) -> None:
        super().__init__(Record())
        self._random = random
        self._fault_rate = random.choice(RATES)
        self._weights = {kind: random.choice((0, 1, 1, 4)) for kind in OF_APPENDS}
        self._weights["apart"] *= 4
        self._switch_rate = random.choice((0.05, 0.3, 0.6, 1.0))
        self._tick_rate = random.choice((0.1, 0.5, 1.0))
        self._longest_tick = random.choice((1, 2, 4, 40))
        self._leap_rate = random.choice((0, 0.002, 0.02, 0.1))
        self._speeds: dict[str, float] = {}

    def turn(self, fiber: Fiber, ready: list[Fiber]) -> Fiber:
        if fiber in ready and self._random.random() >= self._switch_rate:
            return fiber
        chosen = self._random.choices(ready, [self._speed(other) for other in ready])[0]
        self.record.turns[place_of(fiber)] = chosen.name
        return chosen

    def tick(self, fiber: Fiber) -> int:
        draw = self._random.random()
        if draw < self._leap_rate:
            millis = self._random.choice(LEAPS)
        elif draw < self._tick_rate:
            millis = int(draw * 1e9) % self._longest_tick
        else:
            return 0
        self.record.ticks[place_of(fiber)] = millis
        return millis

    def fault(self, fiber: Fiber, possible: Sequence[FaultKind]) -> Fault | None:
        if self._random.random() >= self._fault_rate:
            return None
        weights = [self._weights[kind] for kind in possible]
        if not any(weights):
            return None
        fault = Fault(self._random.choices(possible, weights)[0], self._random.choice((0, 1, 2, 5, 20, 100, 700)))
        self.record.faults[place_of(fiber)] = fault
        return fault

    def _speed(self, fiber: Fiber) -> float:
        """Some are slow throughout."""
        return self._speeds.setdefault(fiber.name, self._random.choice((1.0, 1.0, 1.0, 0.03)))
