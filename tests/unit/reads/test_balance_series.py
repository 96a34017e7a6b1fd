"""The balance over time in slices: how many there are, and that none hides anything."""

import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterctl.core.domain.instants import add_millis
from meterctl.core.model import Instant
from meterctl.core.reads.balance_series import SeriesMark, Slice, highest, lowest, opened_at, slices_of

START = Instant("2026-11-02T09:00:00.000Z")


def mark(after: int, seq: int, balance: int) -> SeriesMark:
    return SeriesMark(add_millis(START, after), seq, balance, False)


def figures(slices: list[Slice]) -> list[tuple[int, int, int, int]]:
    return [(each.last.seq, each.low.balance, each.high.balance, each.last.balance) for each in slices]


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ([], []),
        ([(0, 5)], [(1, 5, 5, 5)]),
        ([(0, 5), (24, 9)], [(2, 5, 9, 9)]),
        ([(0, 5), (25, 9)], [(1, 5, 5, 5), (2, 9, 9, 9)]),
        ([(0, 5), (99, 9)], [(1, 5, 5, 5), (2, 9, 9, 9)]),
        ([(0, 5), (100, 9)], [(1, 5, 5, 5), (2, 9, 9, 9)]),
        ([(0, 5), (1, -7), (2, 20), (3, 6)], [(4, -7, 20, 6)]),
        ([(0, 1), (30, 2), (60, 3), (90, 4)], [(1, 1, 1, 1), (2, 2, 2, 2), (3, 3, 3, 3), (4, 4, 4, 4)]),
    ],
)
def test_four_slices_of_a_hundred_milliseconds(
    marks: list[tuple[int, int]], expected: list[tuple[int, int, int, int]]
) -> None:
    given = [mark(after, seq, balance) for seq, (after, balance) in enumerate(marks, 1)]
    assert figures(list(slices_of(given, START, add_millis(START, 100), 4))) == expected


def test_no_time_at_all_is_one_slice() -> None:
    assert figures(list(slices_of([mark(0, 1, 5), mark(0, 2, -1)], START, START))) == [(2, -1, 5, -1)]


def test_extremes_are_told_by_the_first_entry_that_reached_them() -> None:
    marks = [mark(0, 1, 5), mark(10, 2, -3), mark(11, 3, 8), mark(50, 4, -3), mark(60, 5, 8)]
    slices = list(slices_of(marks, START, add_millis(START, 100), 4))
    assert (lowest(slices), highest(slices)) == (marks[1], marks[2])
    assert (lowest([]), highest([])) == (None, None)


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ([], []),
        ([mark(5, 1, 9)], [mark(5, 1, 9)]),
        ([mark(-9, 1, 9)], [mark(0, 1, 9)]),
        ([mark(-9, 1, 9), mark(-8, 2, 7), mark(0, 3, 6)], [mark(0, 2, 7), mark(0, 3, 6)]),
        ([mark(-9, 1, 9), mark(5, 2, 7), mark(6, 3, 6)], [mark(0, 1, 9), mark(5, 2, 7), mark(6, 3, 6)]),
    ],
)
def test_what_was_before_says_where_it_opened(marks: list[SeriesMark], expected: list[SeriesMark]) -> None:
    assert list(opened_at(START, marks)) == expected


@given(
    moves=st.lists(st.tuples(st.integers(0, 50), st.integers(-(2**53) + 1, 2**53 - 1)), min_size=1, max_size=80),
    beyond=st.integers(0, 100),
    slices=st.integers(1, 12),
)
def test_nothing_is_hidden_and_the_number_is_bounded(moves: list[tuple[int, int]], beyond: int, slices: int) -> None:
    marks, after = [], 0
    for seq, (pause, balance) in enumerate(moves, 1):
        after += pause if seq > 1 else 0
        marks.append(mark(after, seq, balance))
    found = list(slices_of(marks, START, add_millis(START, after + beyond), slices))
    balances = [each.balance for each in marks]
    assert 1 <= len(found) <= slices
    assert found[-1].last == marks[-1]
    low, high = lowest(found), highest(found)
    assert low is not None
    assert high is not None
    assert (low.balance, high.balance) == (min(balances), max(balances))
    assert low == marks[balances.index(low.balance)]
    assert [each.last.at for each in found] == sorted({each.last.at for each in found})
    assert all(each.low.balance <= each.last.balance <= each.high.balance for each in found)


def test_a_long_journal_takes_no_more_memory_than_a_short_one() -> None:
    def many(count: int) -> Iterator[SeriesMark]:
        return (mark(seq, seq, seq % 7 - 3) for seq in range(count))

    def peak(count: int) -> int:
        tracemalloc.start()
        assert len(list(slices_of(many(count), START, add_millis(START, count), 20))) == 20
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(100)
    assert peak(20_000) < peak(1_000) + 20_000
