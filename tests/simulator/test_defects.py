"""The simulator finds what is wrong: each planted defect in a small script, and some in random runs, shortened."""

import pytest

from tests.simulator.__main__ import main
from tests.simulator.defects import DEFECTS, Defect
from tests.simulator.explore import SCRIPTS, explore
from tests.simulator.runs import run_seed
from tests.simulator.shrink import Shrinker, parts_of, story

#: Planted defects that random runs find, too, and within how many of them.
AT_RANDOM = {
    "a lost answer counts as booked": 250,
    "what got no answer is sent again under a new key": 250,
    "a chunk that got in partly counts as booked": 150,
    "the claim is taken after the credit": 150,
    "heads are trusted": 150,
    "the store takes a seq twice": 60,
}

named = {defect.name: defect for defect in DEFECTS}


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_planted_defect_is_found(defect: Defect) -> None:
    with defect.plant():
        runs = (
            run
            for limits in ((4, 0), (1, 1))
            for run in explore(SCRIPTS[defect.script], hand_overs=limits[0], faults=limits[1])
        )
        assert any(run.failure is not None for run in runs)


@pytest.mark.parametrize(("name", "within"), AT_RANDOM.items(), ids=AT_RANDOM)
def test_random_runs_find_it_too(name: str, within: int) -> None:
    with named[name].plant():
        assert any(run_seed(seed).failure is not None for seed in range(within))


def test_a_failing_run_is_shortened_to_what_matters() -> None:
    with named["the store takes a seq twice"].plant():
        failing = next(run for run in map(run_seed, range(60)) if run.failure is not None and len(parts_of(run)) > 60)
        shortened = Shrinker(failing).shortest()
        assert shortened.promise == failing.promise
        assert len(parts_of(shortened)) <= 12
        told = "\n".join(story(failing, shortened))
    assert "journal.append" in told
    assert "shortened from" in told


def test_the_command_tells_the_seed_and_the_story(capsys: pytest.CaptureFixture[str]) -> None:
    with named["the store takes a seq twice"].plant():
        assert main(["--seed", "0", "--runs", "60"]) == 1
    told = capsys.readouterr().out
    assert "python -m tests.simulator --store memory --seed " in told
    assert "journal.append" in told


def test_the_command_sums_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "7"]) == 0
    assert "seeds 7 to 7 on memory: every promise kept" in capsys.readouterr().out
    assert main(["--seed", "7", "--runs", "3", "--minutes", "1"]) == 0
    assert "3 runs" in capsys.readouterr().out
    assert main(["--minutes", "0.001"]) == 0
