"""ISO weeks: Monday 00:00 UTC to the next Monday, named by ISO year and week as ``2026-W47``.

The ISO year is not always the calendar year: 2025-12-29 lies in ``2026-W01``. So a key is only ever made here.
"""

from datetime import MAXYEAR, date, timedelta
from functools import lru_cache

from meterctl.core.domain.pattern import lazy_pattern
from meterctl.core.errors import BadInput
from meterctl.core.model import Instant

_KEY = lazy_pattern(r"([0-9]{4})-W([0-9]{2})")
_WEEK = timedelta(weeks=1)


def week_key(instant: Instant) -> str:
    """Return the week that ``instant`` lies in."""
    return _key_of_day(instant[:10])


def week_start(when: str) -> Instant:
    """Return the Monday 00:00 UTC that begins a week, given by its key or by any instant in it."""
    return _midnight(_monday(_as_key(when)))


@lru_cache(maxsize=4096)
def week_end(when: str) -> Instant:
    """Return the Monday 00:00 UTC that ends a week, given by its key or by any instant in it: the next week's start.

    Raises `BadInput` for the calendar's very last week, which has no end.
    """
    key = _as_key(when)
    try:
        return _midnight(_monday(key) + _WEEK)
    except OverflowError:
        message = f"the week {key} runs beyond the year {MAXYEAR}"
        raise BadInput(message, hint="give an earlier time", code="bad_time") from None


def parse_key(text: str) -> str:
    """``text`` itself if it names a week that exists; else `BadInput`."""
    _monday(text)
    return text


def _as_key(when: str) -> str:
    return when if "W" in when else _key_of_day(when[:10])


@lru_cache(maxsize=4096)
def _key_of_day(day: str) -> str:
    iso = date.fromisoformat(day).isocalendar()
    return f"{iso.year:04}-W{iso.week:02}"


@lru_cache(maxsize=4096)
def _monday(key: str) -> date:
    match = _KEY.fullmatch(key)
    try:
        if match:
            return date.fromisocalendar(int(match[1]), int(match[2]), 1)
    except ValueError:
        pass
    hint = "an ISO week is written 2026-W47, from W01 to W52 or W53"
    raise BadInput(f"{key!r} is not a week", hint=hint, code="bad_time")


def _midnight(day: date) -> Instant:
    return Instant(f"{day.isoformat()}T00:00:00.000Z")
