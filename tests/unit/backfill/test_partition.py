"""A backfill's lines in parts by org, and the answers to them in file order again."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meterctl.core.backfill.answers import Answer
from meterctl.core.backfill.partition import merge, split
from meterctl.core.errors import BadInput
from meterctl.core.files.operation_lines import Line

ORGS = [f"org-{number}" for number in range(7)]

CONTENTS: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(ORGS).map(lambda org: {"op": "debit", "org": org}),
    st.sampled_from([{}, {"org": None}, {"org": 5}, {"org": ["x"]}, {"org": ""}, {"org": "größe"}, {"org": "\ud800"}]),
    st.just(BadInput("bad")),
)


@st.composite
def files(draw: st.DrawFn) -> list[Line]:
    """Lines with gaps between their numbers, as blank ones leave them."""
    number, lines = 0, []
    for content in draw(st.lists(CONTENTS, max_size=40)):
        number += draw(st.integers(1, 3))
        lines.append(Line(number, content))
    return lines


def answers(numbers: Sequence[int]) -> list[Answer]:
    return [Answer(number, "applied", None, "org", f"debit:{number}", number, 0, None) for number in numbers]


@given(files(), st.integers(1, 5))
def test_each_line_is_in_one_part_and_those_of_an_org_in_the_same_one_in_order(lines: list[Line], count: int) -> None:
    parts = [list(part.lines()) for part in split(lines, count)]
    assert len(parts) == count
    assert sorted((line for part in parts for line in part), key=lambda line: line.number) == lines
    for part in parts:
        assert part == sorted(part, key=lambda line: line.number)
    homes = [(org_of(line), at) for at, part in enumerate(parts) for line in part if org_of(line) is not None]
    assert len(dict(homes)) == len(set(homes))


def org_of(line: Line) -> str | None:
    org = None if isinstance(line.content, BadInput) else line.content.get("org")
    return org if isinstance(org, str) else None


@given(files(), st.integers(1, 5))
def test_what_names_no_org_is_in_the_first_part(lines: list[Line], count: int) -> None:
    for part in split(lines, count)[1:]:
        assert all(org_of(line) is not None for line in part.lines())


def test_an_org_has_the_same_part_in_every_process_and_for_ever() -> None:
    lines = [Line(number, {"org": org}) for number, org in enumerate(ORGS)]
    assert [part.numbers for part in split(lines, 3)] == [[2, 4], [], [0, 1, 3, 5, 6]]


@given(files(), st.integers(1, 5))
def test_all_answers_together_are_in_file_order(lines: list[Line], count: int) -> None:
    parts = split(lines, count)
    asked = [part.places for part in parts]
    assert merge(asked, [answers(part.numbers) for part in parts]) == (answers([line.number for line in lines]), None)


@given(files(), st.integers(1, 5), st.data())
def test_what_comes_after_a_line_without_an_answer_is_not_told(
    lines: list[Line], count: int, data: st.DataObject
) -> None:
    parts = split(lines, count)
    given_ = [part.numbers[: data.draw(st.integers(0, len(part.numbers)))] for part in parts]
    told, lacking = merge([part.places for part in parts], [answers(numbers) for numbers in given_])
    open_ = {number: at for at, part in enumerate(parts) for number in part.numbers if number not in given_[at]}
    first = min(open_, default=None)
    assert [answer.line for answer in told] == [n for n, _ in lines if first is None or n < first]
    assert lacking == (None if first is None else open_[first])
