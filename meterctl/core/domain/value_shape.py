"""Test the shape of single values and of the documents inside an entry."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from meterctl.core.domain import instants, weeks
from meterctl.core.domain.pattern import lazy_pattern
from meterctl.core.errors import BadInput
from meterctl.core.model import MAX_UNITS

Test = Callable[[Any], bool]

_CLOCK = lazy_pattern(r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z", re.ASCII)


def integer(least: int, most: int = MAX_UNITS) -> Test:
    def test(value: Any) -> bool:
        return is_number(type(value)) and least <= value <= most

    return test


def is_number(kind: type) -> bool:
    """Whether values of type ``kind`` are integers."""
    # Some stores answer with a subclass of int; bool is one too, and no number here.
    return kind is int or (issubclass(kind, int) and kind is not bool)


whole, natural, positive = integer(-MAX_UNITS), integer(0), integer(1)


def text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def flag(value: Any) -> bool:
    return isinstance(value, bool)


def dictionary(value: Any) -> bool:
    return isinstance(value, dict)


@lru_cache(maxsize=4096)
def _is_day(text: str) -> bool:
    try:
        return instants.parse(text)[:10] == text
    except BadInput:
        return False


def instant(value: Any) -> bool:
    return isinstance(value, str) and _CLOCK.fullmatch(value, 10) is not None and _is_day(value[:10])


@lru_cache(maxsize=256)
def _is_week(text: str) -> bool:
    try:
        return bool(weeks.week_end(weeks.parse_key(text)))
    except BadInput:
        return False


def week_key(value: Any) -> bool:
    return isinstance(value, str) and _is_week(value)


def nullable(test: Test) -> Test:
    return lambda value: value is None or test(value)


def list_of(test: Test) -> Test:
    return lambda value: isinstance(value, list) and all(map(test, value))


def filled(test: Test) -> Test:
    return lambda value: test(value) and bool(value)


def values_of(test: Test) -> Test:
    return lambda value: isinstance(value, dict) and all(map(test, value.values()))


def _true(value: Any) -> bool:
    return value is True


def object_of(may: Mapping[str, Test] | None = None, **must: Test) -> Test:
    """Return the test for an object with the fields that it ``must`` have and those that it ``may`` have."""
    tests, least = {**must, **(may or {})}, must.keys()

    def test(value: Any) -> bool:
        if not isinstance(value, dict) or not least <= value.keys() <= tests.keys():
            return False
        for name in value:  # noqa: SIM110 - a generator takes twice the time
            if not tests[name](value[name]):
                return False
        return True

    return test


def _source(value: Any) -> bool:
    return value in ("debt", "uncovered") if isinstance(value, str) else positive(value)


priority = integer(0, 100)

#: Tests of a value, for documents that are no entries.
is_text: Test = text
is_whole: Test = whole
is_natural: Test = natural
is_positive: Test = positive
is_instant: Test = instant

lot_marks: Mapping[str, Test] = {"priority": priority, "paid": _true}
draw = object_of(lot=positive, units=positive)
debt = object_of(owed=natural, overage=natural)
breakdown = values_of(positive)
_part = {"from": _source, "units": positive}
week = object_of(
    {"overflow": filled(list_of(object_of(None, **_part)))},
    key=week_key,
    cycle=positive,
    plan=text,
    version=natural,
    quota=natural,
    used=natural,
    uncovered=natural,
    breakdown=breakdown,
    alerts=list_of(positive),
)

#: Whether a state document has its shape.
is_state: Test = object_of(
    {
        "next_plan": object_of(None, **{"plan": text, "from": instant, "entry": positive}),
        "holds": filled(list_of(object_of(id=text, units=positive, expires_at=instant))),
    },
    lots=list_of(object_of(lot_marks, id=positive, remaining=positive, expires_at=nullable(instant))),
    debt=debt,
    plan=nullable(text),
    week=nullable(week),
)


#: The types that stand in a state beside integers.
_PLAIN = {str, type(None), dict, list}


def is_plain(state: Mapping[str, Any]) -> bool:
    """Return True if a state document that equals a right one is written like it: 1.0 and true equal 1 in Python."""
    types = set(map(type, state["debt"].values()))
    for lot in state["lots"]:
        types.update(map(type, lot.values()))
        if lot.get("paid") is True:
            types.discard(bool)
    for hold in state.get("holds", ()):
        types.update(map(type, hold.values()))
    types.update(map(type, state.get("next_plan", {}).values()))
    if (week := state["week"]) is not None:
        types.update(map(type, week.values()), map(type, week["breakdown"].values()), map(type, week["alerts"]))
        types.update(type(part["units"]) for part in week.get("overflow", ()))
        types.update(type(part["from"]) for part in week.get("overflow", ()))
    return all(map(is_number, types - _PLAIN))
