"""A run by its seed, or by what is left of one; and what many runs add up to."""

from collections import Counter
from random import Random
from typing import NamedTuple

from tests.simulator.choices import Choices, RandomChoices, Record
from tests.simulator.grounds import ground
from tests.simulator.judge import Judge
from tests.simulator.scripts import Script, random_script
from tests.simulator.world import World


class Run(NamedTuple):
    """What was run, and what came of it: ``failure`` says which promise was not kept, or what broke; None if all is
    well."""

    script: Script
    record: Record
    world: World
    failure: Exception | None

    @property
    def promise(self) -> str | None:
        """The promise that was not kept, in a word for all failures of the same sort."""
        return None if self.failure is None else getattr(self.failure, "promise", type(self.failure).__name__)


def run_seed(seed: int, kind: str = "memory") -> Run:
    """The run of ``seed``: the same each time."""
    random = Random(seed)
    script = random_script(random)
    return run(script, RandomChoices(random), kind)


def run(script: Script, choices: Choices, kind: str = "memory", *, telling: bool = False) -> Run:
    """Let the workers of ``script`` work, and judge what came of it. ``telling`` keeps the history."""
    with ground(kind) as made:
        world = World(script, choices, made)
        world.gate.history = [] if telling else None
        return Run(script, choices.record, world, _failure(world))


def _failure(world: World) -> Exception | None:
    try:
        world.run()
        Judge(world).judge()
    except Exception as failure:
        return failure
    return None


class Sum:
    """What runs add up to."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def add(self, run: Run) -> None:
        world = run.world
        self.counts += Counter(
            {
                "runs": 1,
                "operations answered": len(world.log.told),
                "sweeps": len(world.log.sweeps),
                "entries booked": world.log.counts["entries"],
                "store calls": world.gate.calls,
                "hand-overs": world.scheduler.switches,
                "commands without an answer": world.log.counts["unanswered"],
                "processes that died": world.log.counts["crashes"],
            }
        )
        self.faults += world.gate.faults
