"""Weeks against the calendar of the standard library, day by day."""

from datetime import date, timedelta

import pytest

from meterctl.core.domain.weeks import parse_key, week_end, week_key, week_start
from meterctl.core.errors import BadInput
from meterctl.core.model import Instant

FIRST, LAST = date(2015, 1, 1), date(2035, 12, 31)
DAYS = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]


def instant(day: date, clock: str = "00:00:00.000") -> Instant:
    return Instant(f"{day.isoformat()}T{clock}Z")


def test_l52_key_is_the_iso_week_on_every_day() -> None:
    for day in DAYS:
        year, week, _ = day.isocalendar()
        for clock in ("00:00:00.000", "12:00:00.000", "23:59:59.999"):
            assert week_key(instant(day, clock)) == f"{year}-W{week:02}"


def test_week_runs_from_the_monday_on_or_before_to_the_next_on_every_day() -> None:
    for day in DAYS:
        monday = day - timedelta(days=day.weekday())
        for when in (instant(day), instant(day, "23:59:59.999"), week_key(instant(day))):
            assert week_start(when) == instant(monday)
            assert week_end(when) == instant(monday + timedelta(days=7))


@pytest.mark.parametrize(
    ("day", "key"),
    [
        ("2025-12-28", "2025-W52"),
        ("2025-12-29", "2026-W01"),
        ("2027-01-03", "2026-W53"),
        ("2027-01-04", "2027-W01"),
        ("2023-01-01", "2022-W52"),
        ("0001-01-01", "0001-W01"),
        ("9999-12-31", "9999-W52"),
    ],
)
def test_key_around_the_turn_of_a_year(day: str, key: str) -> None:
    assert week_key(Instant(f"{day}T10:03:00.000Z")) == key


def test_the_last_week_of_all_begins_but_has_no_end() -> None:
    assert week_end("9999-W51") == week_start("9999-W52") == "9999-12-27T00:00:00.000Z"
    with pytest.raises(BadInput, match="runs beyond the year 9999"):
        week_end("9999-W52")


def test_a_key_that_names_a_week_is_parsed_to_itself() -> None:
    assert parse_key("2026-W53") == "2026-W53"


@pytest.mark.parametrize(
    "text",
    ["", "2026-W00", "2025-W53", "2026-W54", "2026-W1", "2026W01", "2026-w01", " 2026-W01", "2026-W01\n", "0000-W01"],
)
def test_what_names_no_week_is_bad_input(text: str) -> None:
    with pytest.raises(BadInput, match="is not a week") as raised:
        parse_key(text)
    assert "2026-W47" in raised.value.hint
