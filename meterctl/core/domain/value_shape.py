"""Test the shape of single values and of the documents inside an entry."""

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any

from meterctl.core.domain import weeks
from meterctl.core.domain.instants import STORED_TIME, is_day
from meterctl.core.errors import BadInput
from meterctl.core.model import MAX_UNITS

Test = Callable[[Any], bool]


class Integer:
    """The test for an integer from ``least`` to ``most``."""

    __slots__ = ("least", "most")

    def __init__(self, least: int, most: int = MAX_UNITS) -> None:
        self.least = least
        self.most = most

    def __call__(self, value: Any) -> bool:
        return is_number(type(value)) and self.least <= value <= self.most


def is_number(kind: type) -> bool:
    """Whether values of type ``kind`` are integers."""
    # Some stores answer with a subclass of int; bool is one too, and no number here.
    return kind is int or (issubclass(kind, int) and kind is not bool)


whole, natural, positive = Integer(-MAX_UNITS), Integer(0), Integer(1)


def text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def flag(value: Any) -> bool:
    return isinstance(value, bool)


def dictionary(value: Any) -> bool:
    return isinstance(value, dict)


def instant(value: Any) -> bool:
    return isinstance(value, str) and STORED_TIME.fullmatch(value, 10) is not None and is_day(value[:10])


@lru_cache(maxsize=256)
def _is_week(text: str) -> bool:
    try:
        return bool(weeks.week_end(weeks.parse_key(text)))
    except BadInput:
        return False


def week_key(value: Any) -> bool:
    return isinstance(value, str) and _is_week(value)


#: For each test with another one inside: the function that returns such tests, and the other one.
parts: dict[Test, tuple[Callable[..., Test], Test]] = {}


def nullable(test: Test) -> Test:
    return _with_part(lambda value: value is None or test(value), nullable, test)


def list_of(test: Test) -> Test:
    return _with_part(lambda value: isinstance(value, list) and all(map(test, value)), list_of, test)


def filled(test: Test) -> Test:
    return _with_part(lambda value: test(value) and bool(value), filled, test)


def values_of(test: Test) -> Test:
    return _with_part(lambda value: isinstance(value, dict) and all(map(test, value.values())), values_of, test)


def _with_part(whole: Test, maker: Callable[..., Test], part: Test) -> Test:
    parts[whole] = maker, part
    return whole


def true(value: Any) -> bool:
    return value is True


class Form:
    """The test for an object with ``tests`` for its fields, some of which it ``must`` have."""

    __slots__ = ("must", "tests")

    def __init__(self, tests: Mapping[str, Test], must: Collection[str]) -> None:
        self.tests = tests
        self.must = frozenset(must)

    def __call__(self, value: Any) -> bool:
        tests = self.tests
        if not isinstance(value, dict) or not self.must <= value.keys() <= tests.keys():
            return False
        for name, item in value.items():
            test, kind = tests[name], type(item)
            # The plainest values are tested here: a call for each takes most of the time.
            if kind is int and type(test) is Integer:
                if item < test.least or item > test.most:
                    return False
            elif test is text and kind is str:
                if not item:
                    return False
            elif (test is flag and kind is bool) or (test is dictionary and kind is dict):
                continue
            elif not test(item):
                return False
        return True


def object_of(may: Mapping[str, Test] | None = None, **must: Test) -> Form:
    """Return the form of an object with the fields that it ``must`` have and those that it ``may`` have."""
    return Form({**must, **(may or {})}, must)


def source(value: Any) -> bool:
    return value in ("debt", "uncovered") if isinstance(value, str) else positive(value)


priority = Integer(0, 100)

#: Tests of a value, for documents that are no entries.
is_text: Test = text
is_whole: Test = whole
is_natural: Test = natural
is_positive: Test = positive
is_instant: Test = instant

lot_marks: Mapping[str, Test] = {"priority": priority, "paid": true}
live_lot = object_of(lot_marks, id=positive, remaining=positive, expires_at=nullable(instant))


def lots(value: Any) -> bool:
    """Test the lots of a state. The usual forms are tested in place: an entry carries up to 1,000 lots, and to test
    them one function at a time took a third of the time of a debit."""
    if not isinstance(value, list):
        return False
    for lot in value:
        is_usual = (
            type(lot) is dict
            and (len(lot) == 3 or (len(lot) == 4 and lot.get("paid") is True))
            and type(number := lot.get("id")) is int
            and 0 < number <= MAX_UNITS
            and type(units := lot.get("remaining")) is int
            and 0 < units <= MAX_UNITS
            and ((until := lot.get("expires_at", "")) is None or instant(until))
        )
        if not (is_usual or live_lot(lot)):
            return False
    return True


draw = object_of(lot=positive, units=positive)
debt = object_of(owed=natural, overage=natural)
breakdown = values_of(positive)
_part: dict[str, Test] = {"from": source, "units": positive}
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
        "next_plan": Form({"plan": text, "from": instant, "entry": positive}, ("plan", "from", "entry")),
        "holds": filled(list_of(object_of(id=text, units=positive, expires_at=instant))),
    },
    lots=lots,
    debt=debt,
    plan=nullable(text),
    week=nullable(week),
)
