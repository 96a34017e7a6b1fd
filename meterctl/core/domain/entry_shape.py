"""Check the shape of an entry before its meaning: its fields, and the values allowed in each.

An entry of the right shape makes no other check stumble. A state is left to whoever compares it (see `is_state`):
nearly always it equals the expected one, and so has its shape.
"""

import re
import reprlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from meterctl.core.domain.value_shape import (
    Form,
    Integer,
    Test,
    breakdown,
    debt,
    dictionary,
    draw,
    filled,
    flag,
    instant,
    list_of,
    lot_marks,
    natural,
    nullable,
    object_of,
    positive,
    priority,
    text,
    values_of,
    week,
    week_key,
    whole,
)
from meterctl.core.model import FORMAT_VERSION


def malformed(entry: object) -> str | None:
    """Why ``entry`` is none; None if it has the shape of one."""
    if not isinstance(entry, dict):
        return f"{reprlib.repr(entry)} is not an entry"
    kind = entry.get("kind")
    if not isinstance(kind, str) or kind not in _EFFECTS:
        return f"the kind cannot be {reprlib.repr(kind)}"
    given = entry.get("input")
    op = given.get("op") if isinstance(given, dict) else None
    form = _form(kind, op if isinstance(op, str) else "", tuple(entry))
    if isinstance(form, str) or form(entry):
        return form if isinstance(form, str) else None
    wrong = next(name for name, test in form.tests.items() if not test(entry[name]))
    return f"{wrong} cannot be {reprlib.repr(entry[wrong])}"


def is_usual(entry: Any, text: bytes) -> bool:
    """Return True if ``text``, the JSON of ``entry``, proves that the entry and its state have their shape.

    False proves nothing: so far few such entries were read, or this one is unusual. The proof takes a quarter of the
    time of the tests.
    """
    try:
        name = entry["kind"], entry["input"]["op"]
        pattern = _patterns.get(name)
        if pattern is None:
            _reads[name] += 1
            if _reads[name] < _WORTH_A_PATTERN:
                return False
            pattern = _patterns[name] = _pattern(*name)
    except (LookupError, TypeError):
        return False
    return pattern.fullmatch(text) is not None


#: What `input` may be, by the operation it names; by kind, for each is booked by few.
_INPUTS: dict[str, dict[str, Test]] = {
    "topup": {
        "credit-pack": object_of(
            op=text,
            pack=text,
            session=text,
            paid_cents=natural,
            quantity=positive,
            tax_cents=natural,
            currency=text,
            expires_at=nullable(instant),
        )
    },
    "debit": {"debit": object_of(op=text, units=positive, ref=text, allow_debt=flag)},
    "refund": {"refund": object_of(op=text, session=text, cents=positive, refund_id=text)},
    "expiration": {"expire": object_of(op=text, lot=positive)},
    "adjustment": {
        "adjust": object_of(
            {"priority": priority, "lot": positive},
            op=text,
            units=whole,
            ref=text,
            expires_at=nullable(instant),
            allow_debt=flag,
        ),
        "void-lot": object_of(op=text, lot=positive, ref=text),
    },
    "reversal": {
        "undo": object_of(op=text, of=text),
        "reverse-refund": object_of(op=text, refund_id=text),
    },
    "usage": {
        "attribute": object_of(
            {"hold": text},
            op=text,
            run=text,
            step=text,
            costs=nullable(values_of(text)),
            units=nullable(positive),
            plan_version=nullable(natural),
        )
    },
    "reset": {
        "close-week": object_of(op=text, week=week_key, cycle=positive),
        "reset-week": object_of(op=text, ref=text),
    },
    "plan": {
        "assign-plan": object_of({"from": text}, op=text, plan=text, ref=text),
        "plan-due": object_of(op=text, entry=positive),
    },
    "extension": {"extend-lot": object_of(op=text, lot=positive, expires_at=nullable(instant), ref=text)},
    "hold": {
        "hold": object_of({"expires_at": instant, "for": text}, op=text, units=positive, ref=text),
    },
    "release": {
        "release": object_of(op=text, hold=text),
        "run-out": object_of(op=text, hold=text),
    },
}


# -- the fields of an entry

_EVERY: dict[str, Test] = {
    "v": Integer(FORMAT_VERSION, FORMAT_VERSION),
    "org": text,
    "seq": positive,
    "key": text,
    "kind": text,
    "amount": whole,
    "balance": whole,
    "at": instant,
    "recorded_at": instant,
    "actor": text,
    "reason": nullable(text),
    "input": dictionary,
    "state": dictionary,
    "prev": text,  # compared with the hash of the entry before
    "hash": text,  # compared with the hash of this one
}

_FIELDS: dict[str, Test] = {
    **_EVERY,
    "occurred_at": instant,
    "approved_by": text,
    "lot": positive,
    "units": natural,
    "expires_at": nullable(instant),
    "repaid": debt,
    "pack": text,
    "session": text,
    "paid_cents": natural,
    "currency": text,
    "quantity": positive,
    "tax_cents": natural,
    "names": list_of(text),
    "priority": priority,
    "draws": list_of(draw),
    "debt": debt,
    "refund_id": text,
    "cents": positive,
    "forgiven": natural,
    "reverses": positive,
    "restored": list_of(object_of(lot_marks, lot=positive, units=positive, expires_at=nullable(instant))),
    "forfeited": list_of(draw),
    "voided": draw,
    "voids": positive,
    "uncounted": object_of(units=natural, breakdown=breakdown, uncovered=natural, debt=natural, draws=list_of(draw)),
    "hold": text,
    "released": object_of(hold=text, units=positive),
    "from": instant,
    "low": filled(list_of(whole)),
    "run": text,
    "step": text,
    "week": week_key,
    "cycle": positive,
    "plan": text,
    "version": natural,
    "quota": natural,
    "breakdown": breakdown,
    "capped_from": positive,
    "overflow": natural,
    "uncovered": natural,
    "alerts": filled(list_of(positive)),
    "closed": week,
    "opened": nullable(week),
    "settled": natural,
    "imported": object_of(source=text, id=text, kind=text),
}

_CREDIT = "lot units expires_at repaid"
_TAKE = "units draws debt"
_BACK = "reverses repaid restored forfeited"
_LOT = "lot units expires_at"
_REFUND = "session refund_id cents currency"
_USAGE = "run step week cycle units breakdown overflow uncovered"
_MAYBE_USAGE = "opened capped_from alerts released"
_RESET = "closed opened settled"
_TOPUP = f"pack session quantity paid_cents tax_cents currency names {_CREDIT}"

#: By kind: the effects it must have and those it may have, in each of its forms. Any entry may have `_MAYBE`.
_EFFECTS: dict[str, tuple[tuple[str, str], ...]] = {
    "topup": ((_TOPUP, "priority"),),
    "debit": ((_TAKE, ""),),
    "refund": ((f"{_REFUND} lot forgiven {_TAKE}", ""),),
    "expiration": ((_LOT, ""),),
    "adjustment": ((_CREDIT, "priority"), (_TAKE, "voids")),
    "reversal": (
        (_BACK, "uncounted"),
        (f"{_BACK} {_LOT}", "uncounted"),
        (f"{_BACK} {_REFUND}", ""),
        (f"{_BACK} {_REFUND} {_LOT}", ""),
        ("reverses voided", "session"),
    ),
    "usage": ((_USAGE, _MAYBE_USAGE), (f"{_USAGE} draws debt", _MAYBE_USAGE)),
    "reset": ((_RESET, "alerts"), (f"{_RESET} {_LOT}", "alerts")),
    "plan": (("plan version quota", "alerts opened"), ("plan from", "")),
    "extension": (("lot expires_at", ""),),
    "hold": (("hold units expires_at", ""),),
    "release": (("hold units", "expires_at"),),
}

_MAYBE = {"occurred_at", "low", "imported", "approved_by"}


#: By kind and operation: the patterns for the texts of entries, and the number of entries that were read without one.
_patterns: dict[tuple[str, str], re.Pattern[bytes]] = {}
_reads = {(kind, op): 0 for kind, inputs in _INPUTS.items() for op in inputs}

#: Entries to read before a pattern is compiled, which takes the time of some hundred tests.
_WORTH_A_PATTERN = 500


def _pattern(kind: str, op: str) -> re.Pattern[bytes]:
    from meterctl.core.domain.text_shape import pattern_of  # for commands that read many entries

    forms = []
    for must, may in _EFFECTS[kind]:
        names = [*_EVERY, *must.split()]
        forms.append(Form(_tests(kind, op, [*names, *may.split(), *_MAYBE]), names))
    return pattern_of(forms)


@lru_cache(maxsize=512)
def _form(kind: str, op: str, names: tuple[str, ...]) -> Form | str:
    """Return the form of an entry with these fields, whose input names ``op``, or why these cannot be its fields."""
    present = {name for name in names if name not in _MAYBE}
    forms = [(_EVERY.keys() | set(must.split()), set(may.split())) for must, may in _EFFECTS[kind]]
    if not any(must <= present <= must | may for must, may in forms):
        return _misfit(kind, present, forms)
    return Form(_tests(kind, op, names), names)


def _tests(kind: str, op: str, names: Iterable[str]) -> dict[str, Test]:
    tests = {name: _FIELDS[name] for name in names} | {"input": _INPUTS[kind].get(op, _unknown)}
    if kind in ("hold", "release") and "expires_at" in tests:
        tests["expires_at"] = instant  # a hold never lasts for ever
    return tests


def _unknown(_: object) -> bool:
    return False


def _misfit(kind: str, present: set[str], forms: Iterable[tuple[set[str], set[str]]]) -> str:
    must, may = min(forms, key=lambda form: len(form[0] - present) + len(present - form[0] - form[1]))
    if missing := sorted(must - present):
        return f"the {kind} lacks {', '.join(missing)}"
    return f"the {kind} has no field {', '.join(map(reprlib.repr, sorted(present - must - may)))}"
