"""Windows of time for statements and reports: a month, or since and until. Pure."""

import re
from datetime import date
from typing import NamedTuple

from meterctl.core.errors import BadInput
from meterctl.core.model import Instant

_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
_HINT = "write a month as 2026-10"


class Period(NamedTuple):
    """``since`` <= at < ``until``."""

    since: Instant
    until: Instant


def month(text: str) -> Period:
    """Return the calendar month in UTC that ``text`` names, such as ``2026-10``."""
    match = _MONTH.fullmatch(text)
    if not match or text in ("0000-01", "9999-12") or match[1] == "0000":
        raise BadInput(f"{text!r} is not a month", hint=_HINT, code="bad_month")
    year, number = int(match[1]), int(match[2])
    return Period(_first_of(year, number), _first_of(year + number // 12, number % 12 + 1))


def month_before(now: Instant) -> Period:
    """Return the last calendar month that was over by ``now``."""
    year, number = int(now[:4]), int(now[5:7])
    return month(f"{year - 1:04}-12" if number == 1 else f"{year:04}-{number - 1:02}")


def between(since: Instant, until: Instant) -> Period:
    """Return the period from ``since`` to ``until``; raise `BadInput` if it is empty."""
    if since >= until:
        raise BadInput(f"--since {since} is not before --until {until}", hint="choose an earlier --since", code="usage")
    return Period(since, until)


def _first_of(year: int, number: int) -> Instant:
    return Instant(f"{date(year, number, 1).isoformat()}T00:00:00.000Z")
