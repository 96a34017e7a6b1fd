"""Shortening a run that fails: parts are taken out as long as what is left fails in the same way."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tests.simulator.choices import Choices, Record
from tests.simulator.runs import Run, run
from tests.simulator.scripts import Script, Worker

#: Runs that shortening may take.
MOST_TRIES = 3000


class Part(NamedTuple):
    """Something that can be taken out: a worker's step, a fault, a hand-over or a tick."""

    kind: str
    place: Any


class Shrinker:
    """``failing`` is the run to shorten; `shortest` the shortest one that breaks the same promise."""

    def __init__(self, failing: Run, store: str = "memory", *, most: int = MOST_TRIES) -> None:
        self.best = failing
        self.tries = 0
        self._promise = failing.promise
        self._store = store
        self._most = most

    def shortest(self) -> Run:
        size = None
        while size != (size := len(parts_of(self.best))) and self.tries < self._most:  # bounded: it only gets shorter
            self._drop_workers()
            for kind in ("step", "fault", "turn", "tick"):
                self._drop(kind)
            self._simplify()
        return run(self.best.script, Choices(self.best.record), self._store, telling=True)

    def _drop_workers(self) -> None:
        for worker in list(self.best.script.workers):
            self._try([part for part in parts_of(self.best) if part.kind == "step" and part.place[0] == worker.name])

    def _drop(self, kind: str) -> None:
        """Take out ever smaller groups of neighbours."""
        size = sum(part.kind == kind for part in parts_of(self.best))
        while size >= 1:
            at = 0
            while at < len(found := [part for part in parts_of(self.best) if part.kind == kind]):
                if not self._try(found[at : at + size]):
                    at += size
            size = size // 2

    def _simplify(self) -> None:
        script = self.best.script
        self._keep_if_failing(script._replace(versions=[]), self.best.record)
        self._keep_if_failing(self.best.script._replace(background=200), self.best.record)
        at_once = tuple(
            worker._replace(steps=tuple(step._replace(pause=0) for step in worker.steps))
            for worker in self.best.script.workers
        )
        self._keep_if_failing(self.best.script._replace(workers=at_once), self.best.record)

    def _try(self, parts: Sequence[Part]) -> bool:
        return bool(parts) and self._keep_if_failing(*without(self.best, parts))

    def _keep_if_failing(self, script: Script, record: Record) -> bool:
        if self.tries >= self._most or (script, record) == (self.best.script, self.best.record):
            return False
        self.tries += 1
        tried = run(script, Choices(record), self._store)
        if tried.promise != self._promise:
            return False
        self.best = tried
        return True


def parts_of(failing: Run) -> list[Part]:
    """Everything in a run that can be taken out."""
    steps = [Part("step", (worker.name, i)) for worker in failing.script.workers for i in range(len(worker.steps))]
    chosen = failing.record
    return [
        *steps,
        *(Part("fault", place) for place in chosen.faults),
        *(Part("turn", place) for place in chosen.turns),
        *(Part("tick", place) for place in chosen.ticks),
    ]


def without(failing: Run, parts: Sequence[Part]) -> tuple[Script, Record]:
    """The run without these parts, and without workers that have nothing left to do."""
    gone = set(parts)

    def kept(worker: Worker) -> Worker:
        steps = tuple(step for i, step in enumerate(worker.steps) if Part("step", (worker.name, i)) not in gone)
        return worker._replace(steps=steps)

    workers = tuple(worker for worker in map(kept, failing.script.workers) if worker.steps)
    old = failing.record
    record = Record(
        {place: fault for place, fault in old.faults.items() if Part("fault", place) not in gone},
        {place: name for place, name in old.turns.items() if Part("turn", place) not in gone},
        {place: millis for place, millis in old.ticks.items() if Part("tick", place) not in gone},
    )
    return failing.script._replace(workers=workers), record


def story(failing: Run, shortened: Run) -> Iterator[str]:
    """What to read of a run that failed."""
    yield f"{shortened.failure}"
    yield ""
    yield f"shortened from {_extent(failing)} to {_extent(shortened)}:"
    yield f"  {shortened.script.terms._replace(packs={})}"
    for version in shortened.script.versions:
        yield f"  {version}"
    for worker in shortened.script.workers:
        yield f"  {worker.name}, in chunks of {worker.chunk}"
        for step in worker.steps:
            yield f"    after {step.pause} ms: {step.operation}" + (
                "" if step.said is None else f" at {step.said:+} ms"
            )
    yield ""
    yield from (f"  {line}" for line in shortened.world.gate.history or ())


def _extent(run: Run) -> str:
    steps = sum(len(worker.steps) for worker in run.script.workers)
    return (
        f"{steps} steps of {len(run.script.workers)} workers, {len(run.record.faults)} faults, "
        f"{len(run.record.turns)} hand-overs"
    )
