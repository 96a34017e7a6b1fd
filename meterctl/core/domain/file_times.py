"""Times as input files write them. Pure: a time zone is handed in.

A file comes from another machine, so a time without a zone names no instant: it is refused unless the caller says which
zone the file was written in.
"""

from collections.abc import MutableMapping
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any

from meterctl.core.domain import instants
from meterctl.core.domain.pattern import lazy_pattern
from meterctl.core.errors import BadInput
from meterctl.core.model import Instant

#: The fields that hold a time. True: it ends a period, so that a date alone means the end of that day.
TIME_FIELDS = {"at": False, "from": False, "from_at": False, "expires_at": True}

#: Seconds have ten digits from 2001 to 2286, milliseconds thirteen: 20261122 and 202611221003 are neither.
_EPOCH = lazy_pattern(r"([1-9][0-9]{9})(?:\.([0-9]+))?|([1-9][0-9]{12})")
_NUMBER = lazy_pattern(r"[+-]?[0-9.]+")

_EXAMPLE = "2026-11-22T10:03:00Z or 2026-11-22T11:03:00+01:00"


def file_instant(value: object, zone: tzinfo | None = None, *, ends: bool = False) -> Instant:
    """Return the instant that ``value`` names: ISO 8601 with a zone, or seconds or milliseconds since 1970.

    A time without a zone is local to ``zone``. A date alone is its first instant there, or with ``ends`` the instant
    at which it is over; that needs no zone, and counts days in UTC then. Raises `BadInput`.
    """
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return _since_epoch(str(value))
    if not isinstance(value, str):
        raise BadInput(f"{value!r} is not a time", hint=f"a time looks like {_EXAMPLE}", code="bad_time")
    if value.endswith("Z"):  # nearly all of them
        return instants.parse(value)
    if _NUMBER.fullmatch(value):
        return _since_epoch(value)
    written = instants.read_time_parts(value)
    if written.offset is not None:
        return instants.parse(value)
    if written.time is None and ends:
        return _midnight(instants.day_after(written.day), zone or UTC)
    if zone is None:
        hint = f"write the zone, as in {_EXAMPLE}; or name the file's: --timezone Europe/Berlin"
        raise BadInput(f"{value!r} has no time zone", hint=hint, code="naive_time")
    return _midnight(written.day, zone) if written.time is None else _local(value, written.naive(), zone)


def resolve_times(document: MutableMapping[str, Any], zone: tzinfo | None) -> None:
    """Replace every time in an operation's document by its instant. Raises `BadInput`."""
    for name, ends in TIME_FIELDS.items():
        value = document.get(name)
        if value is not None and value not in ("never", "next-week"):
            document[name] = file_instant(value, zone, ends=ends)


def _since_epoch(text: str) -> Instant:
    match = _EPOCH.fullmatch(text)
    if match is None:
        hint = f"seconds since 1970 have 10 digits, milliseconds 13; or write {_EXAMPLE}"
        raise BadInput(f"{text} is not a time", hint=hint, code="bad_time")
    seconds, fraction, millis = match.groups()
    return instants.from_millis(int(millis or seconds + (fraction or "")[:3].ljust(3, "0")))


def _midnight(day: str, zone: tzinfo) -> Instant:
    """Return the first instant of ``day``. Clocks that skip midnight go on at the same instant."""
    return instants.from_datetime(datetime.fromisoformat(day).replace(tzinfo=zone))


def _local(text: str, moment: datetime, zone: tzinfo) -> Instant:
    """Return the instant of a local time. Raises `BadInput` where clocks never showed it, or showed it twice."""
    first, second = (instants.from_datetime(moment.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    if first == second:
        return first
    if instants.to_datetime(first).astimezone(zone).replace(tzinfo=None) != moment:
        hint = "the clocks were put forward over it: correct the time, or write it with an offset"
        raise BadInput(f"{text} does not exist in {zone}", hint=hint, code="no_such_time")
    hint = f"the clocks were put back: write {first} or {second}"
    raise BadInput(f"{text} happened twice in {zone}", hint=hint, code="ambiguous_time")
