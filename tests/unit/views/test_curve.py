"""How a chart is drawn: what is on it at every width, and that nothing below zero ever vanishes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterctl.core.domain.instants import add_millis
from meterctl.core.model import MAX_UNITS, Instant
from meterctl.views.blocks import Chart, CurveStep
from meterctl.views.curve import curve_lines
from meterctl.views.safety import in_encoding

START = Instant("2026-11-02T09:00:00.000Z")
DAY = 86_400_000


def chart(*balances: int, every: int = DAY, until: int = 10 * DAY) -> Chart:
    steps = [CurveStep(add_millis(START, place * every), each, each, each) for place, each in enumerate(balances)]
    return Chart(START, steps, add_millis(START, until))


def drawn(chart: Chart, width: int = 40) -> list[str]:
    return ["".join(said.text for said in line).rstrip() for line in curve_lines(chart, width)]


FALLING = """\
1,000 ┤⠉⠉⠉⠉⠉⠉⠉⠉⠉⢹
      │         ⢸
  800 ┤         ⢸
      │         ⢸
  600 ┤         ⢸
      │         ⢸
  400 ┤         ⢸
      │         ⠸⠤⠤⠤⠤⠤⠤⠤⠤⠤⢤
  200 ┤                   ⢸
      │                   ⢸
    0 ┼─────────────────────────────────
      │                   ⢸
 -200 ┤                   ⠈⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉
       2026-11-02 09:00 2026-11-12 09:00"""


def test_a_chart_holds_each_value_until_the_next_and_the_last_to_the_end() -> None:
    assert "\n".join(drawn(chart(1000, 250, -120, every=3 * DAY))) == FALLING


def test_time_before_the_first_step_is_there_and_empty() -> None:
    late = Chart(START, [CurveStep(add_millis(START, 5 * DAY), 100, 100, 100)], add_millis(START, 10 * DAY))
    lines = drawn(late, 47)
    assert lines[0] == "100 ┤" + " " * 21 + "⠉" * 21
    assert lines[-1].split()[0] == "2026-11-02"


def test_what_is_below_zero_is_toned_as_debt() -> None:
    tones = [line[-1].tone for line in curve_lines(chart(5, -5), 60)]
    assert tones == ["accent"] * 6 + ["dim"] + ["bad"] * 6 + ["dim"]
    assert "bad" not in {said.tone for line in curve_lines(chart(5, 0), 60) for said in line}


def test_a_dip_within_a_step_is_drawn_whatever_the_scale() -> None:
    steps = [CurveStep(START, 0, MAX_UNITS, MAX_UNITS), CurveStep(add_millis(START, DAY), -1, 7, 7)]
    lines = drawn(Chart(START, steps, add_millis(START, 2 * DAY)), 80)
    zero = next(place for place, line in enumerate(lines) if "┼" in line)
    assert any("⠁" <= sign <= "⣿" for sign in lines[zero + 1])


@pytest.mark.parametrize("only", [chart(0), chart(7), chart(-7), chart(7, until=0), chart(0, 0), chart(MAX_UNITS)])
def test_a_single_value_is_a_line(only: Chart) -> None:
    lines = drawn(only)
    assert sum("┼" in line for line in lines) == 1
    assert any("⠁" <= sign <= "⣿" for line in lines for sign in line)


@pytest.mark.parametrize(
    ("until", "width", "times"),
    [
        (10 * DAY, 60, "2026-11-02 09:00    2026-11-07 09:00     2026-11-12 09:00"),
        (10 * DAY, 39, "2026-11-02 09:00    2026-11-12 09:00"),
        (10 * DAY, 30, "2026-11-02       2026-11-12"),
        (DAY // 4, 30, "09:00                 15:00"),
        (0, 60, "2026-11-02 09:00"),
    ],
)
def test_times_are_shortened_before_they_are_left_out(until: int, width: int, times: str) -> None:
    assert drawn(chart(5, until=until), width)[-1].strip() == times


def test_in_ascii_dots_are_stars() -> None:
    text = in_encoding("\n".join(drawn(chart(9, -9))), "ascii")
    assert "*" in text
    assert "+---" in text
    assert "\\u" not in text


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 9 * DAY), *[st.integers(-MAX_UNITS, MAX_UNITS)] * 3), min_size=1, max_size=30
    ),
    width=st.integers(20, 200),
)
def test_any_chart_fits_and_shows_what_is_below_zero(steps: list[tuple[int, int, int, int]], width: int) -> None:
    made = [CurveStep(add_millis(START, after), *_ordered(*values)) for after, *values in sorted(steps)]
    lines = drawn(Chart(START, made, add_millis(START, 10 * DAY)), width)
    zero = next(place for place, line in enumerate(lines) if "┼" in line)
    below = any("⠁" <= sign <= "⣿" for line in lines[zero + 1 :] for sign in line)
    assert below == (min(step.low for step in made) < 0)
    assert max(map(len, lines)) <= max(width, len(lines[zero].partition("┼")[0]) + 13)
    assert len(lines) <= 15


def _ordered(first: int, second: int, third: int) -> tuple[int, int, int]:
    """Low, high and a last one between them."""
    low, last, high = sorted((first, second, third))
    return low, high, last
