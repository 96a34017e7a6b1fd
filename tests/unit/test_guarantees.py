"""The page of guarantees and the tests behind it name the same defects."""

import re
from pathlib import Path

from tests.mutations import MUTATIONS, NONE

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")


def test_every_defect_on_the_page_has_its_test_and_the_other_way_round() -> None:
    listed = re.findall(r"^\| L(\d+) ", PAGE, re.MULTILINE)
    tests = "".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "tests" / "lessons").glob("test_*.py")))
    tested = set(re.findall(r"^def test_l(\d+)_", tests, re.MULTILINE))
    numbers = [int(number) for number in listed]
    assert numbers == list(range(1, 116))
    assert tested == set(listed)


def test_the_page_counts_the_mutations_right() -> None:
    assert f"at a time, {len(MUTATIONS)} in all" in " ".join(PAGE.split())


def test_every_mutation_changes_exactly_one_place() -> None:
    for mutation in (*MUTATIONS, NONE):
        code = (ROOT / "meterctl" / "core" / f"{mutation.file}.py").read_text(encoding="utf-8")
        assert code.count(mutation.before) == 1, mutation
        assert (mutation.before != mutation.after) == (mutation is not NONE)
