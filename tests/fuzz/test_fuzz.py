"""A few inputs of each target, so that the fuzzer itself stays in order; `make fuzz` gives 200,000."""

import pytest

from tests.fuzz.__main__ import main
from tests.fuzz.runs import Fuzzer, parts
from tests.fuzz.targets import TARGETS, Target


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_no_input_makes_the_program_fail(target: type[Target]) -> None:
    fuzzer = Fuzzer(target, seed=0)
    assert fuzzer.run(inputs=30) is None
    assert fuzzer.inputs >= 30
    assert fuzzer.codes.total() == fuzzer.calls


def test_the_targets_share_all_inputs() -> None:
    assert sum(target.share for target in TARGETS) == 100
    assert sum(part.inputs for part in parts(200_000, seed=1)) == 200_000


def test_a_seed_makes_the_same_parts() -> None:
    assert parts(1000, seed=1) == parts(1000, seed=1) != parts(1000, seed=2)


@pytest.mark.long
def test_two_million_inputs() -> None:
    assert main(["--inputs", "2000000", "--seed", "2"]) == 0
