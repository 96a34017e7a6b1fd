"""Not a sample but all of it: every way in which a small script can run with so many hand-overs and faults.

A run without either is the root. Each further run has one deviation more, somewhere behind the last one: so every
combination comes up once.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from meterctl.core.domain.instants import add_millis
from meterctl.core.domain.operations import (
    Adjust,
    Attribute,
    BookDue,
    CreditPack,
    Debit,
    Hold,
    Operation,
    Refund,
    Release,
    Undo,
)
from meterctl.core.domain.policy import Terms
from tests.property.strategies import DAY, PACKS, START, Step
from tests.simulator.choices import Choices, Fault, FaultKind, Place, Record, place_of
from tests.simulator.fibers import Fiber
from tests.simulator.runs import Run, run
from tests.simulator.scripts import Script, Worker, WorkerKind

#: Steps until a late effect: before what is tried next is through, and when all is over.
SOON, LAST = 4, 10_000


class Deviation(NamedTuple):
    """Something that could have gone another way: a hand-over to a fiber, or a fault."""

    at: Place
    to: str | Fault


class Watched(Choices):
    """Replays a record, and notes what else could have been chosen, in order."""

    def __init__(self, record: Record) -> None:
        super().__init__(record)
        self.open: list[Deviation] = []

    def turn(self, fiber: Fiber, ready: list[Fiber]) -> Fiber:
        chosen = super().turn(fiber, ready)
        self.open += (Deviation(place_of(fiber), other.name) for other in ready if other is not chosen)
        return chosen

    def fault(self, fiber: Fiber, possible: Sequence[FaultKind]) -> Fault | None:
        self.open += (Deviation(place_of(fiber), fault) for kind in possible for fault in _variants(kind))
        return super().fault(fiber, possible)


def _variants(kind: FaultKind) -> list[Fault]:
    if kind in ("late", "crash, late"):
        return [Fault(kind, SOON), Fault(kind, LAST)]
    return [Fault(kind, 1)]


def explore(script: Script, *, hand_overs: int, faults: int, store: str = "memory") -> Iterator[Run]:
    """Every run of ``script`` with at most so many hand-overs that need not be, and so many faults."""
    waiting = [(Record(), hand_overs, faults)]
    while waiting:  # bounded: by the number of combinations
        record, hand_overs, faults = waiting.pop()
        choices = Watched(record)
        yield run(script, choices, store)
        for deviation in _behind(choices.open, record):
            if isinstance(deviation.to, Fault):
                if faults:
                    waiting.append((_with(record, deviation), hand_overs, faults - 1))
            elif hand_overs:
                waiting.append((_with(record, deviation), hand_overs - 1, faults))


def _behind(open_: list[Deviation], record: Record) -> list[Deviation]:
    """What could still deviate behind the last thing that did."""
    did = [deviation.at in (record.faults if isinstance(deviation.to, Fault) else record.turns) for deviation in open_]
    return open_[len(did) - did[::-1].index(True) :] if True in did else open_


def _with(record: Record, deviation: Deviation) -> Record:
    longer = record.copy()
    if isinstance(deviation.to, Fault):
        longer.faults[deviation.at] = deviation.to
    else:
        longer.turns[deviation.at] = deviation.to
    return longer


# Scripts small enough


def _worker(name: str, *operations: Operation, kind: WorkerKind = "loop", after: int = 0, chunk: int = 1) -> Worker:
    steps = [Step(after if i == 0 else 0, operation, None) for i, operation in enumerate(operations)]
    return Worker(name, kind, tuple(steps), chunk)


def _script(*workers: Worker, before: tuple[Operation, ...] = (), background: int = 200) -> Script:
    return Script(Terms(packs=PACKS), [], workers, background, before)


GRANT = Adjust("acme", 10, "grant")

SCRIPTS = {
    "two debits of one org": _script(
        _worker("one", Debit("acme", 7, "one")), _worker("two", Debit("acme", 7, "two")), before=(GRANT,)
    ),
    "one debit sent twice": _script(
        _worker("one", Debit("acme", 7, "same")), _worker("two", Debit("acme", 7, "same")), before=(GRANT,)
    ),
    "a chunk sent twice": _script(
        _worker("one", Debit("acme", 1, "same"), Debit("acme", 1, "too"), kind="bulk", chunk=2),
        _worker("two", Debit("acme", 1, "same"), Debit("acme", 1, "too"), kind="bulk", chunk=2),
        before=(GRANT,),
    ),
    "one session for two orgs": _script(
        _worker("one", CreditPack("acme", "ever", "s1")), _worker("two", CreditPack("Acme", "ever", "s1"))
    ),
    "two names of one payment": _script(
        _worker("one", CreditPack("acme", "ever", "s1", names=("pi_1",))),
        _worker("two", CreditPack("acme", "day", "s2", names=("pi_1",))),
    ),
    "two names of one payment for two orgs": _script(
        _worker("one", CreditPack("acme", "ever", "s1", names=("pi_1",))),
        _worker("two", CreditPack("Acme", "ever", "s2", names=("pi_1",))),
    ),
    "two holds of the same units": _script(
        _worker("one", Hold("acme", 7, "one", lasts="24h"), Attribute("acme", "one", units=7, hold="one")),
        _worker("two", Hold("acme", 7, "two", lasts="24h"), Release("acme", "two")),
        before=(GRANT,),
    ),
    "a pack moved to another org": _script(
        _worker("one", Undo("acme", 1)),
        _worker("two", CreditPack("Acme", "ever", "s1")),
        before=(CreditPack("acme", "ever", "s1"),),
    ),
    "a refund and a debit": _script(
        _worker("one", Refund("acme", "s1", 100, "re_1")),
        _worker("two", Debit("acme", 90, "two")),
        before=(CreditPack("acme", "day", "s1"),),
    ),
    "something due, a debit and a sweep": _script(
        _worker("one", Debit("acme", 7, "one"), after=DAY),
        _worker("sweep", BookDue("acme"), kind="sweep", after=DAY),
        before=(Adjust("acme", 5, "short", add_millis(START, 1000)), GRANT),
    ),
    "something due and two debits": _script(
        _worker("one", Debit("acme", 7, "one"), after=DAY),
        _worker("two", Debit("acme", 2, "two"), after=DAY),
        before=(Adjust("acme", 5, "short", add_millis(START, 1000)), GRANT),
    ),
    "an undo and what it undoes": _script(
        _worker("one", Undo("acme", 1), Debit("acme", 3, "one")), _worker("two", GRANT)
    ),
    "a chunk and a debit": _script(
        _worker("bulk", Debit("acme", 1, "b1"), Debit("Acme", 9, "b2"), Debit("acme", 5, "b3"), kind="bulk", chunk=3),
        _worker("two", Debit("acme", 7, "two")),
        before=(GRANT, Adjust("Acme", 10, "grant")),
    ),
    "a file and a debit": _script(
        _worker("bulk", Debit("acme", 7, "b1"), Debit("acme", 7, "b2"), kind="bulk"),
        _worker("two", Debit("acme", 9, "two")),
        before=(GRANT,),
        background=1,
    ),
}
