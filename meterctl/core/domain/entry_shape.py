"""What an entry must look like before its meaning can be checked: its fields, and what each may hold.

An entry of the right shape makes no other check stumble. A state is left to whoever compares it (see `is_state`):
nearly always it equals the expected one, and so has its shape.
"""

import re
import reprlib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Any

from meterctl.core.domain import instants, weeks
from meterctl.core.errors import BadInput
from meterctl.core.model import FORMAT_VERSION, MAX_UNITS

Test = Callable[[Any], bool]

_CLOCK = re.compile(r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z", re.ASCII)


def malformed(entry: object) -> str | None:
    """Why ``entry`` is none; None if it has the shape of one."""
    if not isinstance(entry, dict):
        return f"{reprlib.repr(entry)} is not an entry"
    kind = entry.get("kind")
    if not isinstance(kind, str) or kind not in _EFFECTS:
        return f"the kind cannot be {reprlib.repr(kind)}"
    shape = _shape(kind, tuple(entry))
    if shape.problem is not None or shape.fits(entry):
        return shape.problem
    wrong = next((name for name, test in shape.tests.items() if not test(entry[name])), None)
    return None if wrong is None else f"{wrong} cannot be {reprlib.repr(entry[wrong])}"


# ------------------------------------------------------------------------------------------------- what a value may be


def _integer(least: int, most: int = MAX_UNITS) -> Test:
    def test(value: Any) -> bool:
        return is_number(type(value)) and least <= value <= most

    return test


def is_number(kind: type) -> bool:
    """Whether values of type ``kind`` are integers."""
    # Some stores answer with a subclass of int; bool is one too, and no number here.
    return kind is int or (issubclass(kind, int) and kind is not bool)


_whole, _natural, _positive = _integer(-MAX_UNITS), _integer(0), _integer(1)


def _text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _dict(value: Any) -> bool:
    return isinstance(value, dict)


@lru_cache(maxsize=4096)
def _is_day(text: str) -> bool:
    try:
        return instants.parse(text)[:10] == text
    except BadInput:
        return False


def _instant(value: Any) -> bool:
    return isinstance(value, str) and _CLOCK.fullmatch(value, 10) is not None and _is_day(value[:10])


@lru_cache(maxsize=256)
def _is_week(text: str) -> bool:
    try:
        return bool(weeks.week_end(weeks.parse_key(text)))
    except BadInput:
        return False


def _week_key(value: Any) -> bool:
    return isinstance(value, str) and _is_week(value)


def _nullable(test: Test) -> Test:
    return lambda value: value is None or test(value)


def _list(test: Test) -> Test:
    return lambda value: isinstance(value, list) and all(map(test, value))


def _filled(test: Test) -> Test:
    return lambda value: test(value) and bool(value)


def _values(test: Test) -> Test:
    return lambda value: isinstance(value, dict) and all(map(test, value.values()))


def _object(**tests: Test) -> Test:
    names, items = tests.keys(), tuple(tests.items())

    def test(value: Any) -> bool:
        if not isinstance(value, dict) or value.keys() != names:
            return False
        for name, test in items:  # noqa: SIM110 - a generator takes twice the time
            if not test(value[name]):
                return False
        return True

    return test


#: Whether a value is one of these; for documents that are no entries.
is_text: Test = _text
is_whole: Test = _whole
is_natural: Test = _natural
is_positive: Test = _positive
is_instant: Test = _instant

_draw = _object(lot=_positive, units=_positive)
_debt = _object(owed=_natural, overage=_natural)
_breakdown = _values(_positive)
_week = _object(
    key=_week_key,
    cycle=_positive,
    plan=_text,
    version=_natural,
    quota=_natural,
    used=_natural,
    uncovered=_natural,
    breakdown=_breakdown,
    alerts=_list(_positive),
)

#: Whether a state document has its shape.
is_state: Test = _object(
    lots=_list(_object(id=_positive, remaining=_positive, expires_at=_nullable(_instant))),
    debt=_debt,
    plan=_nullable(_text),
    week=_nullable(_week),
)


#: What stands in a state beside integers.
_PLAIN = {str, type(None), dict, list}


def is_plain(state: Mapping[str, Any]) -> bool:
    """Whether a state document that equals a right one is written like it: 1.0 and true equal 1 in Python."""
    types = set(map(type, state["debt"].values()))
    for lot in state["lots"]:
        types.update(map(type, lot.values()))
    if (week := state["week"]) is not None:
        types.update(map(type, week.values()), map(type, week["breakdown"].values()), map(type, week["alerts"]))
    return all(map(is_number, types - _PLAIN))


#: What `input` may be, by the operation it names; by kind, for each is booked by few.
_INPUTS: dict[str, dict[str, Test]] = {
    "topup": {"credit-pack": _object(op=_text, pack=_text, session=_text, paid_cents=_natural)},
    "debit": {"debit": _object(op=_text, units=_positive, ref=_text, allow_debt=_flag)},
    "refund": {"refund": _object(op=_text, session=_text, cents=_positive, refund_id=_text)},
    "expiration": {"expire": _object(op=_text, lot=_positive)},
    "adjustment": {
        "adjust": _object(op=_text, units=_whole, ref=_text, expires_at=_nullable(_instant), allow_debt=_flag)
    },
    "reversal": {
        "undo": _object(op=_text, seq=_positive),
        "reverse-refund": _object(op=_text, refund_id=_text),
    },
    "usage": {
        "attribute": _object(
            op=_text,
            run=_text,
            step=_text,
            costs=_nullable(_values(_text)),
            units=_nullable(_positive),
            plan_version=_nullable(_natural),
        )
    },
    "reset": {
        "close-week": _object(op=_text, week=_week_key, cycle=_positive),
        "reset-week": _object(op=_text, ref=_text),
    },
    "plan": {"assign-plan": _object(op=_text, plan=_text, ref=_text)},
}


def _input_of(kind: str) -> Test:
    tests = _INPUTS[kind]

    def test(value: Any) -> bool:
        op = value.get("op") if isinstance(value, dict) else None
        return isinstance(op, str) and op in tests and tests[op](value)

    return test


# --------------------------------------------------------------------------------------------- which fields there are

_EVERY: dict[str, Test] = {
    "v": _integer(FORMAT_VERSION, FORMAT_VERSION),
    "org": _text,
    "seq": _positive,
    "key": _text,
    "kind": _text,
    "amount": _whole,
    "balance": _whole,
    "at": _instant,
    "recorded_at": _instant,
    "actor": _text,
    "reason": _nullable(_text),
    "input": _dict,
    "state": _dict,
    "prev": _text,  # compared with the hash of the entry before
    "hash": _text,  # compared with the hash of this one
}

_FIELDS: dict[str, Test] = {
    **_EVERY,
    "occurred_at": _instant,
    "lot": _positive,
    "units": _natural,
    "expires_at": _nullable(_instant),
    "repaid": _debt,
    "pack": _text,
    "session": _text,
    "paid_cents": _natural,
    "currency": _text,
    "draws": _list(_draw),
    "debt": _debt,
    "refund_id": _text,
    "cents": _positive,
    "forgiven": _natural,
    "reverses": _positive,
    "restored": _list(_object(lot=_positive, units=_positive, expires_at=_nullable(_instant))),
    "forfeited": _list(_draw),
    "voided": _draw,
    "run": _text,
    "step": _text,
    "week": _week_key,
    "cycle": _positive,
    "plan": _text,
    "version": _natural,
    "quota": _natural,
    "breakdown": _breakdown,
    "capped_from": _positive,
    "overflow": _natural,
    "uncovered": _natural,
    "alerts": _filled(_list(_positive)),
    "closed": _week,
    "opened": _nullable(_week),
    "settled": _natural,
}

_CREDIT = "lot units expires_at repaid"
_TAKE = "units draws debt"
_BACK = "reverses repaid restored forfeited"
_LOT = "lot units expires_at"
_REFUND = "session refund_id cents currency"
_USAGE = "run step week cycle units breakdown overflow uncovered"
_MAYBE_USAGE = "opened capped_from alerts"

#: By kind: the effects it must have and those it may have, in each of its forms.
_EFFECTS: dict[str, tuple[tuple[str, str], ...]] = {
    "topup": ((f"pack session paid_cents currency {_CREDIT}", ""),),
    "debit": ((_TAKE, ""),),
    "refund": ((f"{_REFUND} lot forgiven {_TAKE}", ""),),
    "expiration": ((_LOT, ""),),
    "adjustment": ((_CREDIT, ""), (_TAKE, "")),
    "reversal": (
        (_BACK, ""),
        (f"{_BACK} {_LOT}", ""),
        (f"{_BACK} {_REFUND}", ""),
        (f"{_BACK} {_REFUND} {_LOT}", ""),
        ("reverses voided", "session"),
    ),
    "usage": ((_USAGE, _MAYBE_USAGE), (f"{_USAGE} draws debt", _MAYBE_USAGE)),
    "reset": (("closed opened settled", "alerts"),),
    "plan": (("plan version quota", "alerts"),),
}


class _Shape:
    """The tests for the fields of an entry, or why these cannot be its fields."""

    def __init__(self, tests: Mapping[str, Test], problem: str | None = None) -> None:
        self.tests = tests
        self.problem = problem
        if problem is None:
            self._gather()

    def _gather(self) -> None:
        """Get ready to ask for all numbers and all texts at once."""
        of = {test: [name for name in self.tests if self.tests[name] is test] for test in _GATHERED}
        # Every entry has a seq: asking for it twice beside the others makes sure that each answer is a tuple.
        self._whole = itemgetter(*of[_whole], "seq", "seq")
        self._naturals = itemgetter(*of[_natural], "seq", "seq")
        self._positives = itemgetter(*of[_positive], "seq")
        self._texts = itemgetter(*of[_text])
        self._others = [(name, test) for name, test in self.tests.items() if test not in _GATHERED]

    def fits(self, entry: Mapping[str, Any]) -> bool:
        """Whether ``entry`` passes all tests with integers and plain texts: nearly every entry does."""
        whole, naturals, positives = self._whole(entry), self._naturals(entry), self._positives(entry)
        numbers, texts = (*whole, *naturals, *positives), self._texts(entry)
        if not all(map(is_number, set(map(type, numbers)))) or max(numbers) > MAX_UNITS or min(whole) < -MAX_UNITS:
            return False
        if min(naturals) < 0 or min(positives) < 1 or set(map(type, texts)) != _STR or not all(texts):
            return False
        for name, test in self._others:  # noqa: SIM110 - a generator takes twice the time
            if not test(entry[name]):
                return False
        return True


_GATHERED = (_whole, _natural, _positive, _text)
_STR = {str}


@lru_cache(maxsize=512)
def _shape(kind: str, names: tuple[str, ...]) -> _Shape:
    given = {name for name in names if name != "occurred_at"}
    forms = [(_EVERY.keys() | set(must.split()), set(may.split())) for must, may in _EFFECTS[kind]]
    if not any(must <= given <= must | may for must, may in forms):
        return _Shape({}, _misfit(kind, given, forms))
    return _Shape({name: _FIELDS[name] for name in names} | {"input": _input_of(kind)})


def _misfit(kind: str, given: set[str], forms: Iterable[tuple[set[str], set[str]]]) -> str:
    must, may = min(forms, key=lambda form: len(form[0] - given) + len(given - form[0] - form[1]))
    if missing := sorted(must - given):
        return f"the {kind} lacks {', '.join(missing)}"
    return f"the {kind} has no field {', '.join(map(reprlib.repr, sorted(given - must - may)))}"
