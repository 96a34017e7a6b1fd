"""What the workers of a run are to do, drawn from its seed: plain data, from which parts can be taken out."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Literal, NamedTuple

from meterctl.core.domain.instants import add_millis
from meterctl.core.domain.operation_documents import request_document, request_from_document
from meterctl.core.domain.operations import Adjust, Attribute, BookDue, CreditPack, Debit, Operation, Request
from meterctl.core.domain.policy import Terms
from meterctl.core.model import Instant, PlanVersion
from tests.property.strategies import ORGS, SECOND, START, Step, random_steps, random_terms, random_versions

WorkerKind = Literal[
    "loop",  # asks for one thing after the other, as a script that calls the command line does
    "bulk",  # hands all to the ledger at once
    "backfill",  # books a file of lines
    "sweep",  # books what is due, everywhere
    "read",  # asks for a balance
    "verify",  # checks everything while others write
    "weather",  # loses heads, puts back old ones, breaks locks
]

WRITERS: frozenset[WorkerKind] = frozenset({"loop", "bulk", "backfill"})


class Worker(NamedTuple):
    """``steps``: what it does and how long it waits before. Those that ask for nothing take from a step only how long
    it waits, and which org it is about."""

    name: str
    kind: WorkerKind
    steps: tuple[Step, ...]
    chunk: int = 1


class Script(NamedTuple):
    """All that is to be done in one run, but for what happens meanwhile. ``background``: from how many entries on an
    append happens in the background. ``before``: what is booked before anything can go wrong."""

    terms: Terms
    versions: list[PlanVersion]
    workers: tuple[Worker, ...]
    background: int = 200
    before: tuple[Operation, ...] = ()


def random_script(random: Random) -> Script:
    """Few workers or several, with little to do or much, in a hurry or not: rare meetings need runs of all sorts."""
    size = random.choice((2, 4, 8, 24, 48))
    kinds: list[WorkerKind] = random.choices(
        ("loop", "bulk", "backfill"), (3, 1, 1), k=random.choice((1, 2, 2, 2, 3, 3, 4))
    )
    orgs, tempo = ORGS[: random.choice((1, 1, 2, 3))], random.choice((None, 5 * SECOND, 20, 1, 1, 1))
    workers = [_writer(random, f"{kind}{number}", kind, orgs, size) for number, kind in enumerate(kinds, 1)]
    if len(workers) > 1 and random.random() < 0.7:
        workers[-1] = _with_duplicates(workers[-1], workers[0], random, random.choice((0.2, 0.6, 1.0)))
    others: list[WorkerKind] = [kind for kind in ("sweep", "sweep", "read", "verify") if random.random() < 0.4]
    if random.random() < 0.3:
        others.append("weather")
    workers += [_other(random, f"{kind}{number}", kind, orgs, 1 + size // 4) for number, kind in enumerate(others, 1)]
    if tempo is not None:
        workers = [_hurried(worker, tempo) for worker in workers]
    return Script(random_terms(random), random_versions(random), tuple(workers), random.choice((1, 1, 4, 200)))


def _hurried(worker: Worker, tempo: int) -> Worker:
    """``worker``, who waits less than ``tempo`` milliseconds each time."""
    return worker._replace(steps=tuple(step._replace(pause=step.pause % tempo) for step in worker.steps))


def requests_of(worker: Worker) -> list[Request]:
    """What a writer asks for. It is the same whenever and however often it is asked: time is that of the script."""
    now, requests = START, []
    for step in worker.steps:
        now = add_millis(now, step.pause)
        request = Request(step.operation, worker.name, "because", step.at(now))
        # A file writes costs in their normal form.
        written = worker.kind == "backfill"
        requests.append(request_from_document(request_document(request), actor="nobody") if written else request)
    return requests


def ends(worker: Worker) -> Instant:
    """When the last step of ``worker`` is due."""
    return add_millis(START, sum(step.pause for step in worker.steps))


def _writer(random: Random, name: str, kind: WorkerKind, orgs: Sequence[str], size: int) -> Worker:
    many = random.randint(1, size if kind == "loop" else 3 * size)
    steps = [_unlike_others(random, step, name, i) for i, step in enumerate(random_steps(random, orgs, many, True))]
    return Worker(name, kind, tuple(steps), random.choice((1, 2, 7, 30)))


def _unlike_others(random: Random, step: Step, name: str, number: int) -> Step:
    """Few names make operations meet each other; here most shall be booked, and not be repetitions."""
    operation = step.operation
    if random.random() < 0.3:
        return step
    match operation:
        case Debit() | Adjust():
            takes = isinstance(operation, Adjust) and operation.lot is not None
            units = operation.units if abs(operation.units) < 100 else -3 if takes else 3
            return step._replace(operation=replace(operation, ref=f"{name}-{number}", units=units))
        case Attribute():
            return step._replace(operation=replace(operation, run=f"{name}-{number}"))
        case CreditPack():
            return step._replace(operation=replace(operation, session=f"{operation.session}-{random.randrange(4)}"))
    return step


def _with_duplicates(worker: Worker, other: Worker, random: Random, share: float) -> Worker:
    """``worker``, who is also given a ``share`` of what ``other`` is asked for, at about the same time; where that is
    all, nothing else."""
    if share == 1:
        return worker._replace(steps=other.steps)
    steps = list(worker.steps)
    for number, step in enumerate(other.steps):
        if random.random() < share:
            steps.insert(min(number, len(steps)), step)
    return worker._replace(steps=tuple(steps))


def _other(random: Random, name: str, kind: WorkerKind, orgs: Sequence[str], size: int) -> Worker:
    steps = random_steps(random, orgs, random.randint(1, size), False)
    return Worker(name, kind, tuple(Step(step.pause, BookDue(step.operation.org), None) for step in steps))
