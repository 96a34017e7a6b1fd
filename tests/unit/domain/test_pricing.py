"""Costs, caps, refund targets: exact, against figures worked out by hand and against fractions."""

from decimal import Decimal
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterctl.core.domain.pricing import (
    InvalidCost,
    RunUnits,
    feature_units,
    normal_cost,
    parse_cost,
    price_run,
    ratio_for,
    refund_target,
    scale_to,
)
from meterctl.core.model import MAX_UNITS


def price(
    costs: dict[str, str], *, base: int = 0, cap: int = 0, dollars_to_units: str = "1000", **ratios: str
) -> RunUnits:
    return price_run(costs, ratios, dollars_to_units=dollars_to_units, run_base=base, cap=cap)


# costs


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("0.29", "0.29"),
        ("+1.5", "1.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e-3", "0.001"),
        ("2E+2", "200"),
        ("007.50", "7.5"),
        ("9" * 18, "9" * 18),
        ("0." + "0" * 29 + "1", "1e-30"),
        ("1e99", "1e99"),
    ],
)
def test_a_cost_is_read_exactly_as_written(text: str, value: str) -> None:
    cost = parse_cost(text)
    assert Fraction(cost.numerator, cost.denominator) == Fraction(value)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ".", "e5", "-1", "-0", "-0.00", "nan", "NaN", "inf", "Infinity", "1e", "1e100", "1e999999999", "1,5",
        "1_000", " 1", "1 ", "1\n", "0x10", "$1", "1" * 19, "0." + "1" * 31, "٣", "½", "1.2.3", "++1", "1e1.5",
    ],
)  # fmt: skip
def test_what_is_no_cost_is_refused_everywhere(text: str) -> None:
    with pytest.raises(InvalidCost, match="not a cost"):
        parse_cost(text)
    with pytest.raises(InvalidCost, match="not a cost"):
        price({"llm": text})
    assert normal_cost(text) == text


def test_a_refusal_quotes_only_the_beginning_of_a_long_cost() -> None:
    with pytest.raises(InvalidCost) as caught:
        parse_cost("x" * 10_000)
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("0", "0"),
        ("000", "0"),
        ("0.000", "0"),
        ("0e10", "0"),
        ("0e-50", "0"),
        ("0.10", "0.1"),
        ("1e-1", "0.1"),
        ("+.1", "0.1"),
        ("100", "100"),
        ("1e2", "100"),
        ("100.00", "100"),
        ("5.", "5"),
    ],
)
def test_equal_costs_have_one_normal_text(text: str, normal: str) -> None:
    assert normal_cost(text) == normal


@given(st.decimals(min_value=0, max_value=10**9, places=6), st.integers(0, 3))
def test_normal_text_keeps_the_value_however_it_is_written(value: Decimal, zeros: int) -> None:
    # "f": the str() of a small decimal has an exponent, and zeros behind that would change it.
    text = format(value, "f") + "0" * zeros
    assert Decimal(normal_cost(text)) == value
    assert normal_cost(text) == normal_cost(format(value, "e")) == normal_cost(normal_cost(text))


# units


@pytest.mark.parametrize(
    ("cost", "ratio", "scale", "units"),
    [
        ("0.29", "1", "100", 29),  # 28 in floats
        ("1.001", "1", "1000", 1001),  # 1000 in floats
        ("0.0019999", "1", "1000", 1),
        ("0.0009999", "1", "1000", 0),
        ("0.001", "1", "1000", 1),
        ("0.001", "1.25", "1000", 1),
        ("0.0016", "1.25", "1000", 2),
        ("3", "0.333333333333333333", "1", 0),
        ("3", "0", "1000", 0),
        ("0", "9", "1000", 0),
        ("1", "1", "0.5", 0),
        ("2", "1", "0.5", 1),
        ("0.0000025", "1", "1000000000000000", 2_500_000_000),
        ("1e15", "1", "1000", 10**18),
    ],
)
def test_l41_units_are_the_exact_floor(cost: str, ratio: str, scale: str, units: int) -> None:
    assert feature_units(cost, ratio, scale) == units


@given(
    st.decimals(min_value=0, max_value=10**6, places=9),
    st.decimals(min_value=0, max_value=100, places=6),
    st.decimals(min_value=0, max_value=10**6, places=3),
)
def test_l41_units_agree_with_fractions(cost: Decimal, ratio: Decimal, scale: Decimal) -> None:
    exact = Fraction(cost) * Fraction(ratio) * Fraction(scale)
    assert feature_units(format(cost, "f"), str(ratio), str(scale)) == floor(exact)


@pytest.mark.parametrize(
    ("ratios", "ratio"),
    [
        ({}, "1"),
        ({"default": "2"}, "2"),
        ({"llm": "3"}, "3"),
        ({"llm": "3", "default": "2"}, "3"),
        ({"llm": "0", "default": "2"}, "0"),
        ({"other": "3"}, "1"),
    ],
)
def test_ratio_is_the_features_own_else_the_default_else_1(ratios: dict[str, str], ratio: str) -> None:
    assert ratio_for(ratios, "llm") == ratio


# runs


def test_each_feature_is_floored_on_its_own() -> None:
    assert price({"llm": "0.0019", "ocr": "0.0019"}) == RunUnits(2, {"llm": 1, "ocr": 1}, None)


def test_each_feature_has_its_ratio() -> None:
    assert price({"llm": "1", "ocr": "1", "tts": "1"}, llm="2", default="0.5") == RunUnits(
        3000, {"llm": 2000, "ocr": 500, "tts": 500}, None
    )


@pytest.mark.parametrize(
    ("costs", "base", "expected"),
    [
        ({}, 0, RunUnits(0, {}, None)),
        ({}, 5, RunUnits(5, {"base": 5}, None)),
        ({"llm": "0"}, 5, RunUnits(5, {"base": 5}, None)),
        ({"llm": "0.004"}, 5, RunUnits(5, {"llm": 4, "base": 1}, None)),
        ({"llm": "0.005"}, 5, RunUnits(5, {"llm": 5}, None)),
        ({"llm": "0.006"}, 5, RunUnits(6, {"llm": 6}, None)),
    ],
)
def test_a_run_costs_at_least_run_base(costs: dict[str, str], base: int, expected: RunUnits) -> None:
    assert price(costs, base=base) == expected


@pytest.mark.parametrize(
    ("costs", "cap", "expected"),
    [
        ({"a": "0.010"}, 0, RunUnits(10, {"a": 10}, None)),
        ({"a": "0.010"}, 11, RunUnits(10, {"a": 10}, None)),
        ({"a": "0.010"}, 10, RunUnits(10, {"a": 10}, None)),
        ({"a": "0.010"}, 9, RunUnits(9, {"a": 9}, 10)),
        ({"a": "0.005", "b": "0.005"}, 5, RunUnits(5, {"a": 3, "b": 2}, 10)),
        ({"b": "0.001", "a": "0.001", "c": "0.001"}, 2, RunUnits(2, {"a": 1, "b": 1}, 3)),
        ({"a": "0.007", "b": "0.002", "c": "0.001"}, 5, RunUnits(5, {"a": 4, "b": 1}, 10)),
        ({"a": "0.007", "b": "0.002", "c": "0.001"}, 3, RunUnits(3, {"a": 2, "b": 1}, 10)),
    ],
)
def test_a_run_costs_at_most_the_cap(costs: dict[str, str], cap: int, expected: RunUnits) -> None:
    assert price(costs, cap=cap) == expected


def test_the_base_is_capped_too() -> None:
    assert price({"llm": "0.001"}, base=10, cap=4) == RunUnits(4, {"base": 4}, 10)


@given(
    st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(1, 10**6), min_size=1, max_size=8),
    st.integers(1, 10**6),
)
def test_l23_scaled_buckets_sum_to_the_cap_and_are_off_by_less_than_one(breakdown: dict[str, int], cap: int) -> None:
    whole = sum(breakdown.values())
    total = min(cap, whole)
    scaled = scale_to(breakdown, total)
    assert sum(scaled.values()) == total
    assert list(scaled) == sorted(scaled)
    assert all(scaled.values())
    for name, units in breakdown.items():
        assert abs(scaled.get(name, 0) - Fraction(units * total, whole)) < 1


# refunds


@pytest.mark.parametrize(
    ("units", "cents", "paid", "target"),
    [
        (1000, 0, 500, 0),
        (1000, 500, 500, 1000),
        (1000, 1, 500, 2),
        (1, 1, 2, 1),  # a half rounds up
        (1, 1, 3, 0),
        (1, 2, 3, 1),
        (3, 1, 2, 2),
        (100, 1, 300, 0),
        (100, 2, 300, 1),
        (MAX_UNITS, 1, MAX_UNITS, 1),
        (MAX_UNITS, MAX_UNITS, MAX_UNITS, MAX_UNITS),
    ],
)
def test_refund_target_rounds_half_up(units: int, cents: int, paid: int, target: int) -> None:
    assert refund_target(units, cents, paid) == target


@given(st.integers(1, MAX_UNITS), st.integers(1, MAX_UNITS), st.data())
def test_refund_target_agrees_with_fractions_and_never_falls(units: int, paid: int, data: st.DataObject) -> None:
    cents = data.draw(st.integers(1, paid))
    target = refund_target(units, cents, paid)
    assert target == floor(Fraction(units * cents, paid) + Fraction(1, 2))
    assert refund_target(units, cents - 1, paid) <= target <= units
