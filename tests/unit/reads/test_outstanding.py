"""The price of outstanding units is exact, and rounded once."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterctl.core.model import MAX_UNITS
from meterctl.core.reads.outstanding import ExactSum, Outstanding, Price, half_up


def test_a_thousand_thirds_lose_nothing() -> None:
    standing = Outstanding()
    for _ in range(1000):
        standing.hold(1, Price(3, 100, 19, "usd", "p"))
    assert standing.value("usd") == Fraction(100_000, 3)
    assert standing.record()["paid_value"] == [{"currency": "usd", "cents": 33_333, "tax_cents": 6_333}]


@pytest.mark.parametrize(("value", "rounded"), [("1/2", 1), ("3/2", 2), ("5/2", 3), ("49/100", 0), ("0", 0)])
def test_halves_go_up(value: str, rounded: int) -> None:
    assert half_up(Fraction(value)) == rounded


sizes = st.integers(1, MAX_UNITS)
parts = st.lists(st.tuples(st.integers(0, MAX_UNITS), sizes), max_size=12)


@given(parts)
def test_the_quick_sum_is_the_exact_one(terms: list[tuple[int, int]]) -> None:
    total = ExactSum()
    for numerator, denominator in terms:
        total.add(numerator, denominator)
    exact = sum((Fraction(*term) for term in terms), Fraction(0))
    assert total.value == exact
    assert total.rounded() == (2 * exact + 1) // 2


@given(st.integers(1, 1000), st.integers(1, 40))
def test_sums_at_a_half_are_decided_exactly(size: int, times: int) -> None:
    """So many equal parts that they make a half: the quick sum cannot tell, and the exact one is asked."""
    total = ExactSum()
    for number in range(1, times + 1):
        total.add(1, 2 * times * size * number)
        total.add(size * number - 1, 2 * times * size * number)
    assert total.value == Fraction(1, 2)
    assert total.rounded() == 1


def test_what_nobody_paid_for_has_no_price() -> None:
    standing = Outstanding()
    standing.hold(5, None)
    standing.hold(7, Price(10, 0, 0, "eur", "gift"))
    assert (standing.units, standing.paid_units) == (12, 7)
    assert not standing.value("usd")
    assert standing.record()["paid_value"] == [{"currency": "eur", "cents": 0, "tax_cents": 0}]
