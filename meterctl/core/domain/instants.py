"""Instants: reading the times people and files write, and counting with them.

An `Instant` is UTC with milliseconds in one fixed form, ``2026-11-22T10:03:00.000Z``, from year 0001 to 9999; what
lies outside is `BadInput`. A time without a zone is UTC: this program never asks which zone its machine is in.
"""

import re
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import NamedTuple, NoReturn

from meterctl.core.domain.pattern import lazy_pattern
from meterctl.core.domain.weeks import week_start
from meterctl.core.errors import BadInput
from meterctl.core.model import Instant

#: Nothing lies before it.
EARLIEST = Instant("0001-01-01T00:00:00.000Z")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MIDNIGHT = "T00:00:00.000Z"

_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
#: The part of an instant after its day, in its stored form.
STORED_TIME = lazy_pattern(rf"T{_CLOCK}:[0-5][0-9]\.[0-9]{{3}}Z")
_WRITTEN = lazy_pattern(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    rf"(?:[T ](?P<minute>{_CLOCK})(?::(?P<second>[0-5][0-9])(?:[.,](?P<fraction>[0-9]+))?)?"
    r"(?: ?(?P<zone>Z|(?P<sign>[+-])(?P<hours>[01][0-9]|2[0-3])(?::?(?P<minutes>[0-5][0-9]))?))?)?",
    re.IGNORECASE,
)
_DAY = lazy_pattern(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MONTH = lazy_pattern(r"[0-9]{4}-(0[1-9]|1[0-2])")
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SPAN = lazy_pattern(r"([0-9]{1,6})([wdhm])")
#: Milliseconds of a minute, an hour, a day and a week.
MINUTE, HOUR, DAY, WEEK = 60_000, 3_600_000, 86_400_000, 604_800_000

_UNIT_MILLIS = {"w": WEEK, "d": DAY, "h": HOUR, "m": MINUTE}

_TIME_HINT = "a time is written 2026-11-22T10:03:00Z, with an offset as in 2026-11-22T12:03:00+02:00, or 2026-11-22"
_PERIOD_HINT = "today, yesterday, monday, a week as 2026-W47 or a month as 2026-10"
_FILTER_HINT = f"{_TIME_HINT}; or 2d, 36h, 90m, 3w for that long ago, now, {_PERIOD_HINT}"
_COMING_HINT = "30d, 12h, 4w for that long from now on, today, tomorrow, monday (the coming one)"
_EXPIRY_HINT = f"{_TIME_HINT} for the end of that day; or {_COMING_HINT}, a week as 2026-W47 or a month as 2026-10"
_START_HINT = f"{_TIME_HINT}; or {_COMING_HINT}, a week as 2026-W47 or a month as 2026-10"
_SPAN_HINT = "a span is written 90m, 36h, 14d or 3w"
_RANGE_HINT = "times lie in the years 0001 to 9999, in UTC"


class TimeParts(NamedTuple):
    """A time as written: its day, its time of day (None for a date alone), and its offset (None: without a zone)."""

    day: str
    time: str | None
    offset: timezone | None

    def naive(self) -> datetime:
        """Return what a local clock showed."""
        return datetime.fromisoformat(f"{self.day}T{self.time or '00:00:00.000'}")


def read_time_parts(text: str, hint: str = _TIME_HINT) -> TimeParts:
    """Return the parts of ``text`` (ISO 8601). Raises `BadInput`."""
    match = _WRITTEN.fullmatch(text)
    if not match or not is_day(match["day"]):
        raise BadInput(f"{text!r} is not a time", hint=hint, code="bad_time")
    millis = (match["fraction"] or "")[:3].ljust(3, "0")
    time = None if match["minute"] is None else f"{match['minute']}:{match['second'] or '00'}.{millis}"
    return TimeParts(match["day"], time, None if match["zone"] is None else _zone(match))


def day_after(day: str) -> str:
    """Return the date after ``day``, both as 2026-11-22."""
    return add_days(Instant(day + _MIDNIGHT), 1)[:10]


def parse(text: str) -> Instant:
    """Return the instant that ``text`` (ISO 8601) names.

    A date alone is its midnight, a time without a zone is UTC, digits beyond the millisecond are cut off.
    """
    return Instant(text) if is_instant(text) else _parse_written(text, _TIME_HINT)


def is_instant(text: str) -> bool:
    """Return True if ``text`` is an instant in its stored form, ``2026-11-22T10:03:00.000Z``."""
    return STORED_TIME.fullmatch(text, 10) is not None and is_day(text[:10])


def parse_filter(text: str, now: Instant, *, ends: bool = False) -> Instant:
    """Return the instant that a filter such as ``--since`` names.

    That is a time as `parse` reads it, ``now``, ``2d`` (that long before ``now``), or where a period begins: ``today``,
    ``yesterday``, ``monday`` (the last one), a date, a week or a month. With ``ends`` it is where the period ends.
    """
    if text == "now":
        return now
    if _SPAN.fullmatch(text):
        return add_millis(now, -parse_ahead(text))
    period = _period(text, now)
    return _parse_written(text, _FILTER_HINT) if period is None else period[ends]


def parse_expiry(text: str, now: Instant) -> Instant:
    """Return the instant at which something expires: a time, ``30d`` (that long after ``now``), or a period's end.

    A weekday is the coming one; today if today is that day.
    """
    if _SPAN.fullmatch(text):
        return add_millis(now, parse_ahead(text))
    period = _coming(text, now, now) or _period(text, now)
    return _parse_written(text, _EXPIRY_HINT) if period is None else period[1]


def parse_start(text: str, now: Instant) -> Instant:
    """Return the instant from which something holds: a time, ``30d`` (that long after ``now``), or a period's start.

    A weekday is the coming one; a week ahead if today is that day.
    """
    if _SPAN.fullmatch(text):
        return add_millis(now, parse_ahead(text))
    period = _coming(text, now, add_days(now, 1)) or _period(text, now)
    return _parse_written(text, _START_HINT) if period is None else period[0]


def _coming(text: str, now: Instant, first: Instant) -> tuple[Instant, Instant] | None:
    """Return the bounds of ``tomorrow``, or of the weekday from ``first`` on; None for another text."""
    return _weekday(text, first) if text != "tomorrow" else (_midnight(add_days(now, 1)), _midnight(add_days(now, 2)))


def _weekday(text: str, first: Instant) -> tuple[Instant, Instant] | None:
    """Return the bounds of the first day from ``first`` on that has this name; None if it names no weekday."""
    if text not in _WEEKDAYS:
        return None
    start = add_days(_midnight(first), (_WEEKDAYS.index(text) - to_datetime(first).weekday()) % 7)
    return start, add_days(start, 1)


def _period(text: str, now: Instant) -> tuple[Instant, Instant] | None:
    """Return the first instant of a day, week or month, and the first one after it; None for another kind of time."""
    if text in ("today", "yesterday"):
        start = add_days(_midnight(now), -1 if text == "yesterday" else 0)
        return start, add_days(start, 1)
    if text in _WEEKDAYS:
        return _weekday(text, add_days(now, -6))
    if text[4:6] == "-W":
        start = week_start(text)
        return start, add_days(start, 7)
    if _MONTH.fullmatch(text):
        start = parse(f"{text}-01")
        return start, Instant(add_days(start, 31)[:8] + "01" + _MIDNIGHT)
    if _DAY.fullmatch(text) and is_day(text):
        start = Instant(text + _MIDNIGHT)
        return start, add_days(start, 1)
    return None


def parse_ahead(text: str) -> int:
    """Return the milliseconds in a span such as ``90m``, ``36h``, ``14d`` or ``3w``."""
    match = _SPAN.fullmatch(text)
    if not match:
        raise BadInput(f"{text!r} is not a span of time", hint=_SPAN_HINT, code="bad_time")
    return int(match[1]) * _UNIT_MILLIS[match[2]]


def add_days(instant: Instant, days: int) -> Instant:
    """``days`` (of 24 hours; UTC knows no others) after ``instant``, or before it if negative."""
    try:
        day = date.fromordinal(_ordinal(instant[:10]) + days)
    except (OverflowError, ValueError):
        _out_of_range(f"{days} days from {instant}")
    return Instant(day.isoformat() + instant[10:])


def add_millis(instant: Instant, millis: int) -> Instant:
    """``millis`` milliseconds after ``instant``, or before it if negative."""
    return from_millis(to_millis(instant) + millis)


def from_datetime(moment: datetime) -> Instant:
    """Return the instant of an aware datetime, cut to the millisecond. Raise `ValueError` for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a datetime without a zone names no instant")
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:
        _out_of_range(str(moment))
    return Instant(utc.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z")


def to_datetime(instant: Instant) -> datetime:
    """``instant`` as an aware datetime in UTC."""
    return datetime.fromisoformat(instant)


def from_millis(millis: int) -> Instant:
    """Return the instant ``millis`` milliseconds after 1970-01-01 00:00 UTC, exactly."""
    try:
        moment = _EPOCH + timedelta(milliseconds=millis)
    except OverflowError:
        _out_of_range(f"{millis} ms after 1970-01-01")
    return Instant(moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z")


def to_millis(instant: Instant) -> int:
    """Milliseconds since 1970-01-01 00:00 UTC, exactly; negative before."""
    return (datetime.fromisoformat(instant) - _EPOCH) // _MILLISECOND


@lru_cache(maxsize=4096)
def is_day(text: str) -> bool:
    """Return True if ``text`` is a day in its stored form, ``2026-11-22``."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


@lru_cache(maxsize=4096)
def _ordinal(day: str) -> int:
    return date.fromisoformat(day).toordinal()


def _midnight(instant: Instant) -> Instant:
    return Instant(instant[:10] + _MIDNIGHT)


def _parse_written(text: str, hint: str) -> Instant:
    written = read_time_parts(text, hint)
    return from_datetime(written.naive().replace(tzinfo=written.offset or UTC))


def _zone(match: re.Match[str]) -> timezone:
    """Return the zone a time was written in; UTC where it says none."""
    if match["sign"] is None:
        return UTC
    offset = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"] or 0))
    return timezone(-offset if match["sign"] == "-" else offset)


def _out_of_range(what: str) -> NoReturn:
    raise BadInput(f"{what} is out of range", hint=_RANGE_HINT, code="bad_time") from None
