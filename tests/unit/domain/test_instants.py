"""Instants: what is read, what is refused, and arithmetic that is exact at both ends of the calendar."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterctl.core.domain import instants
from meterctl.core.errors import BadInput
from meterctl.core.model import Instant
from meterctl.process import clock

NOW = Instant("2026-11-22T10:03:04.005Z")
FIRST = Instant("0001-01-01T00:00:00.000Z")
LAST = Instant("9999-12-31T23:59:59.999Z")

OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
WALLS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))  # noqa: DTZ001
MOMENTS = st.builds(lambda wall, zone: wall.replace(tzinfo=zone), WALLS, OFFSETS)
MILLIS = st.integers(instants.to_millis(FIRST), instants.to_millis(LAST))


def cut(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-22T10:03:04.005Z", NOW),
        ("2026-11-22", "2026-11-22T00:00:00.000Z"),
        ("2026-11-22T10:03", "2026-11-22T10:03:00.000Z"),
        ("2026-11-22 10:03:04", "2026-11-22T10:03:04.000Z"),
        ("2026-11-22t10:03:04z", "2026-11-22T10:03:04.000Z"),
        ("2026-11-22T10:03:04.5Z", "2026-11-22T10:03:04.500Z"),
        ("2026-11-22T10:03:04,05Z", "2026-11-22T10:03:04.050Z"),
        ("2026-11-22T10:03:04.0059999999Z", NOW),
        ("2026-11-22T23:59:59.9999", "2026-11-22T23:59:59.999Z"),
        ("2026-11-22T12:03:04.005+02:00", NOW),
        ("2026-11-22 12:03:04.005 +0200", NOW),
        ("2026-11-22T05:03:04.005-05", NOW),
        ("2026-11-22T15:48:04.005+05:45", NOW),
        ("2026-11-22T00:00:00-00:00", "2026-11-22T00:00:00.000Z"),
        ("2024-02-29", "2024-02-29T00:00:00.000Z"),
        ("0001-01-01", FIRST),
        ("9999-12-31T23:59:59.999999Z", LAST),
    ],
)
def test_parse_reads(text: str, instant: str) -> None:
    assert instants.parse(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2026",
        "20261122",
        "2026-W47",
        "2026-11-22T",
        "2026-11-22Z",
        "2026-11-22T10",
        "2026-11-22T10:03Z ",
        " 2026-11-22",
        "2026-11-22\n",
        "2026-11-22T10:03:04.005Z\n",
        "2026-11-22T10:03:04.Z",
        "2026-02-29",
        "2026-02-29T00:00:00.000Z",
        "2026-13-01T00:00:00.000Z",
        "2026-11-22T24:00:00.000Z",
        "2026-11-22T10:60:00.000Z",
        "2016-12-31T23:59:60Z",
        "2026-11-22T10:03:04+24:00",
        "2026-11-22T10:03:04+02:60",
        "0000-01-01T00:00:00.000Z",
        "10000-01-01T00:00:00.000Z",
        "-2026-11-22",
        "٢٠٢٦-11-22",  # digits of another script
        "1700000000",
        "NaN",
    ],
)
def test_parse_refuses_with_a_hint(text: str) -> None:
    with pytest.raises(BadInput, match="is not a time") as raised:
        instants.parse(text)
    assert "2026-11-22T10:03:00Z" in raised.value.hint


@pytest.mark.parametrize("text", ["0001-01-01T00:00+00:01", "9999-12-31T23:59:59.999-00:01"])
def test_parse_refuses_what_an_offset_moves_off_the_calendar(text: str) -> None:
    with pytest.raises(BadInput, match="out of range") as raised:
        instants.parse(text)
    assert "0001 to 9999" in raised.value.hint


@given(MOMENTS)
def test_parse_inverts_isoformat(moment: datetime) -> None:
    instant = instants.parse(moment.isoformat())
    assert instant == instants.from_datetime(moment)
    assert instants.parse(instant) == instant
    assert instants.to_datetime(instant) == cut(moment)


@given(st.datetimes(datetime(1950, 1, 1), datetime(2050, 1, 1)), st.sampled_from((0, 1)))  # noqa: DTZ001
def test_parse_reads_local_times_through_changes_of_the_clock(wall: datetime, fold: int) -> None:
    moment = wall.replace(tzinfo=ZoneInfo("Europe/Berlin"), fold=fold)
    assert instants.to_datetime(instants.parse(moment.isoformat())) == cut(moment.astimezone(UTC))


def test_the_hour_that_occurs_twice_is_told_apart_by_its_offset() -> None:
    assert instants.parse("2026-10-25T02:30:00+02:00") == "2026-10-25T00:30:00.000Z"
    assert instants.parse("2026-10-25T02:30:00+01:00") == "2026-10-25T01:30:00.000Z"


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        instants.from_datetime(datetime(2026, 11, 22))  # noqa: DTZ001


@given(MILLIS)
def test_millis_are_exact(millis: int) -> None:
    assert instants.to_millis(instants.from_millis(millis)) == millis


@given(MILLIS, MILLIS)
def test_text_order_is_time_order(one: int, other: int) -> None:
    assert (instants.from_millis(one) < instants.from_millis(other)) == (one < other)


def test_millis_count_from_1970_both_ways() -> None:
    assert instants.from_millis(0) == "1970-01-01T00:00:00.000Z"
    assert instants.from_millis(-1) == "1969-12-31T23:59:59.999Z"


@given(MOMENTS, st.integers(-4_000_000, 4_000_000))
def test_adding_days_agrees_with_datetime(moment: datetime, days: int) -> None:
    start = instants.from_datetime(moment)
    try:
        end = instants.to_datetime(start) + timedelta(days=days)
    except OverflowError:
        with pytest.raises(BadInput, match="out of range"):
            instants.add_days(start, days)
    else:
        assert instants.to_datetime(instants.add_days(start, days)) == end


@pytest.mark.parametrize("days", [1, 2**31, 2**53, -3_652_059, -(2**63)])
def test_adding_days_stays_on_the_calendar(days: int) -> None:
    with pytest.raises(BadInput, match="out of range"):
        instants.add_days(LAST, days)


@pytest.mark.parametrize(("start", "millis"), [(LAST, 1), (FIRST, -1), (NOW, 2**53), (NOW, -(2**70))])
def test_adding_millis_stays_on_the_calendar(start: Instant, millis: int) -> None:
    with pytest.raises(BadInput, match="out of range"):
        instants.add_millis(start, millis)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("now", NOW),
        ("today", "2026-11-22T00:00:00.000Z"),
        ("yesterday", "2026-11-21T00:00:00.000Z"),
        ("2d", "2026-11-20T10:03:04.005Z"),
        ("36h", "2026-11-20T22:03:04.005Z"),
        ("90m", "2026-11-22T08:33:04.005Z"),
        ("3w", "2026-11-01T10:03:04.005Z"),
        ("0d", NOW),
        ("2026-W47", "2026-11-16T00:00:00.000Z"),
        ("2026-11-01", "2026-11-01T00:00:00.000Z"),
        ("2026-11-22T12:03:04.005+02:00", NOW),
    ],
)
def test_a_filter_reads(text: str, instant: str) -> None:
    assert instants.parse_filter(text, NOW) == instant


@pytest.mark.parametrize("text", ["", "2", "d", "-2d", "2.5d", "2 d", "2mo", "tomorrow", "W47", "1234567d"])
def test_a_filter_refuses_with_a_hint_that_lists_its_forms(text: str) -> None:
    with pytest.raises(BadInput, match="is not a time") as raised:
        instants.parse_filter(text, NOW)
    assert "36h" in raised.value.hint
    assert "2026-W47" in raised.value.hint


@pytest.mark.parametrize(
    ("text", "problem"), [("2026-W54", "is not a week"), ("999999w", "out of range"), ("2026-02-30", "is not a time")]
)
def test_a_filter_says_what_is_wrong_with_a_form_it_knows(text: str, problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        instants.parse_filter(text, NOW)


@pytest.mark.parametrize(("text", "minutes"), [("90m", 90), ("36h", 2160), ("14d", 20160), ("3w", 30240), ("0d", 0)])
def test_a_span_ahead_is_in_milliseconds(text: str, minutes: int) -> None:
    assert instants.parse_ahead(text) == minutes * 60_000


@pytest.mark.parametrize("text", ["", "14", "-1d", "+1d", "1.5d", "1y", "14d ", "1d12h", "٣d", "2026-11-22"])
def test_what_is_no_span_is_bad_input(text: str) -> None:
    with pytest.raises(BadInput, match="is not a span") as raised:
        instants.parse_ahead(text)
    assert "14d" in raised.value.hint


def test_the_fixed_clock_moves_by_sleeping_alone() -> None:
    fixed = clock.FixedClock(NOW)
    assert (fixed.now(), fixed.now()) == (NOW, NOW)
    fixed.sleep(1.5)
    fixed.sleep(0.0001)  # never nothing, or a wait for a deadline would not end
    assert fixed.now() == "2026-11-22T10:03:05.506Z"


def test_the_system_clock_tells_the_time_and_waits() -> None:
    system = clock.SystemClock()
    before = system.now()
    system.sleep(0.02)
    waited = instants.to_millis(system.now()) - instants.to_millis(before)
    assert 10 <= waited < 60_000
    assert abs(instants.to_datetime(before) - datetime.now(UTC)) < timedelta(minutes=1)


@given(
    st.integers(0, 400), st.sampled_from(["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"])
)
def test_a_weekday_ahead_is_the_nearest_that_has_not_ended_or_begun(days: int, name: str) -> None:
    now = instants.add_days(NOW, days)
    end, start = instants.parse_expiry(name, now), instants.parse_start(name, now)
    last = instants.parse_filter(name, now)
    assert now < end <= instants.add_days(now, 8)
    assert now < start <= instants.add_days(now, 7)
    assert instants.add_days(now, -7) < last <= now
    assert instants.to_datetime(start).strftime("%A").lower() == name
    assert instants.to_datetime(instants.add_days(end, -1)).strftime("%A").lower() == name
    assert instants.to_millis(start) - instants.to_millis(last) == instants.WEEK
