"""Runs by seed on every kind of store, and that runs are what they are made for: the same each time, and hostile."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.mongod import require_mongod
from tests.simulator.choices import OF_APPENDS, RandomChoices
from tests.simulator.runs import Run, Sum, run, run_seed
from tests.simulator.scripts import random_script

ROOT = Path(__file__).parents[2]

#: Seeds that the long form runs on each store.
LONG = {"memory": 20_000, "sqlite": 1000, "mongomock": 2000, "mongod": 500}

DIGEST = "import sys; from tests.simulator.test_seeds import digest; print(digest(int(sys.argv[1])))"


def runs(seeds: range, store: str) -> Iterator[Run]:
    """Run each seed; fail at the first promise that is not kept."""
    for seed in seeds:
        result = run_seed(seed, store)
        if result.failure is not None:
            pytest.fail(f"python -m tests.simulator --store {store} --seed {seed}\n{result.failure!r}", pytrace=False)
        yield result


def check(seeds: range, store: str) -> Sum:
    total = Sum()
    for result in runs(seeds, store):
        total.add(result)
    return total


@pytest.mark.parametrize(("store", "seeds"), [("sqlite", 10), ("mongomock", 12), ("mongod", 8)])
def test_every_promise_is_kept(store: str, seeds: int) -> None:
    if store == "mongod":
        require_mongod()
    total = check(range(seeds), store)
    assert total.counts["operations answered"] > 20 * seeds
    assert total.faults.total() > seeds


@pytest.mark.long
@pytest.mark.parametrize(
    ("store", "seeds"), [("memory", 20_000), ("sqlite", 1_000), ("mongomock", 2_000), ("mongod", 500)]
)
def test_every_promise_is_kept_for_long(store: str, seeds: int) -> None:
    if store == "mongod":
        require_mongod()
    check(range(10**6, 10**6 + seeds), store)


def test_every_promise_is_kept_in_runs_that_meet_every_fault_and_every_answer() -> None:
    """On the store in memory, which has time for more of them."""
    faults: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    total = Sum()
    for result in runs(range(150), "memory"):
        total.add(result)
        faults += result.world.gate.faults
        counts += result.world.log.counts
        answers.update(word for told in result.world.log.told for word in (told.status, told.reason) if word)
        counts["overtaken"] += sum(sweep.locked_by is not None for sweep in result.world.log.sweeps)
        counts["seen"] += len(result.world.log.seen)
        counts["verified"] += len(result.world.log.verifications)
    assert total.counts["operations answered"] > 20 * 150
    assert faults.total() > 150
    assert set(faults) == set(OF_APPENDS)
    assert answers.keys() >= {"applied", "replayed", "conflict", "session_claimed", "insufficient_balance"}
    assert counts.keys() >= {"crashes", "unanswered", "weather", "overtaken", "seen", "verified"}


def digest(seed: int) -> str:
    """All that happens in a run, in short. Where the program asks for a set of things, their order means nothing."""
    random = Random(seed)
    result = run(random_script(random), RandomChoices(random), telling=True)
    lines = ["".join(sorted(line)) for line in result.world.gate.history or ()]
    assert len(lines) > 20
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@pytest.mark.parametrize("seed", [3, 24])
def test_a_seed_gives_the_same_run_in_every_process(seed: int) -> None:
    other = subprocess.run(
        [sys.executable, "-c", DIGEST, str(seed)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert other.stdout.strip() == digest(seed)
    assert digest(seed) != digest(seed + 1)
