"""Check 6: the key of an entry, its input and what it booked say the same.

Whether something is booked twice rests on the key alone, so a key that its input would not make is as bad as a key
that is used twice.
"""

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

from meterctl.core.domain.checks import key_part
from meterctl.core.model import DUE_ACTOR, SIGNS, Entry, Sign
from meterctl.core.verify.checks import Check, Note

Document = Mapping[str, Any]

_FITS: dict[Sign, Callable[[int], bool]] = {
    "> 0": lambda amount: amount > 0,
    "< 0": lambda amount: amount < 0,
    ">= 0": lambda amount: amount >= 0,
    "<= 0": lambda amount: amount <= 0,
    "!= 0": lambda amount: amount != 0,
    "= 0": lambda amount: amount == 0,
    "any": lambda _: True,
}


#: What only an entry has that somebody asked for.
_ASKED = frozenset({"occurred_at", "approved_by"})


class _Op(NamedTuple):
    """An operation: the key it makes of its input, and what else its input says of the entry: pairs of a name in the
    input and the way to the same in the entry."""

    key: Callable[[Document], str]
    said: tuple[tuple[str, Callable[[Any], object]], ...] = ()
    due: bool = False
    needs_reason: bool = False


def _named(*names: str) -> tuple[tuple[str, Callable[[Any], object]], ...]:
    return tuple((name, itemgetter(name)) for name in names)


def _week_close_key(given: Document) -> str:
    return f"week:{given['week']}" if given["cycle"] == 1 else f"week:{given['week']}#{given['cycle']}"


_OPS: dict[str, _Op] = {
    "credit-pack": _Op(
        lambda given: f"session:{given['session']}",
        _named("pack", "session", "paid_cents", "quantity", "tax_cents", "currency"),
    ),
    "debit": _Op(lambda given: f"debit:{given['ref']}", _named("units")),
    "refund": _Op(lambda given: f"refund:{given['refund_id']}", _named("session", "cents", "refund_id")),
    "reverse-refund": _Op(
        lambda given: f"refund-reversal:{given['refund_id']}", (("refund_id", lambda entry: entry.get("refund_id")),)
    ),
    "adjust": _Op(
        lambda given: f"adjust:{given['ref']}",
        (("units", itemgetter("amount")), ("expires_at", lambda entry: entry.get("expires_at"))),
        needs_reason=True,
    ),
    "attribute": _Op(lambda given: f"run:{key_part(given['run'])}:{given['step']}", _named("run", "step")),
    "assign-plan": _Op(lambda given: f"plan:{given['ref']}", _named("plan")),
    "undo": _Op(lambda given: f"undo:{given['of']}", needs_reason=True),
    "extend-lot": _Op(lambda given: f"extend:{given['ref']}", _named("lot", "expires_at"), needs_reason=True),
    "void-lot": _Op(
        lambda given: f"void:{given['ref']}", (("lot", lambda entry: entry.get("voids")),), needs_reason=True
    ),
    "hold": _Op(lambda given: f"hold:{given['ref']}", (("units", itemgetter("units")), ("ref", itemgetter("hold")))),
    "release": _Op(lambda given: f"release:{given['hold']}", _named("hold")),
    "run-out": _Op(lambda given: f"release:{given['hold']}", _named("hold"), due=True),
    "plan-due": _Op(lambda given: f"plan-due:{given['entry']}", due=True),
    "reset-week": _Op(lambda given: f"reset:{given['ref']}", needs_reason=True),
    "expire": _Op(lambda given: f"expire:{given['lot']}", _named("lot"), due=True),
    "close-week": _Op(
        _week_close_key,
        (("week", lambda entry: entry["closed"]["key"]), ("cycle", lambda entry: entry["closed"]["cycle"])),
        due=True,
    ),
}


def check_key(entry: Entry, note: Note) -> None:
    """Note what is wrong with sign, key and input of ``entry``, apart from a key that was used before."""
    kind, given = entry["kind"], entry["input"]
    sign = SIGNS[kind]
    if not _FITS[sign](entry["amount"]):
        note(Check.KEY, f"the amount of a {kind} is {sign}, not {entry['amount']}")
    op = _OPS[given["op"]]
    if entry["key"] != op.key(given):
        note(Check.KEY, f"the key is {entry['key']!r}, but its input makes {op.key(given)!r}")
    for name, find in op.said:
        if given[name] != find(entry):
            note(Check.KEY, f"the input says {name} {given[name]!r}, the entry {find(entry)!r}")
    if op.needs_reason and entry["reason"] is None:
        note(Check.KEY, f"the operation {given['op']} is never booked without a reason")
    if op.due and (entry["actor"] != DUE_ACTOR or entry["reason"] is not None or not _ASKED.isdisjoint(entry)):
        note(Check.KEY, f"a due event is booked by {DUE_ACTOR}, without a reason or a time that was asked for")
