"""Check 6: the key, the input and the effects of an entry agree.

Only the key prevents a second booking, so a key that does not follow from its input is as bad as a duplicate key.
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


#: Fields that a due event never has.
_OPTIONAL = frozenset({"occurred_at", "approved_by"})


class _Op(NamedTuple):
    """An operation: a function from its input to its key, and pairs of an input field with a function that gets the
    same value from the entry."""

    key: Callable[[Document], str]
    same: tuple[tuple[str, Callable[[Any], object]], ...] = ()
    due: bool = False
    needs_reason: bool = False


def _same_names(*names: str) -> tuple[tuple[str, Callable[[Any], object]], ...]:
    return tuple((name, itemgetter(name)) for name in names)


def _week_close_key(fields: Document) -> str:
    return f"week:{fields['week']}" if fields["cycle"] == 1 else f"week:{fields['week']}#{fields['cycle']}"


_OPS: dict[str, _Op] = {
    "credit-pack": _Op(
        lambda fields: f"session:{fields['session']}",
        _same_names("pack", "session", "paid_cents", "quantity", "tax_cents", "currency"),
    ),
    "debit": _Op(lambda fields: f"debit:{fields['ref']}", _same_names("units")),
    "refund": _Op(lambda fields: f"refund:{fields['refund_id']}", _same_names("session", "cents", "refund_id")),
    "reverse-refund": _Op(
        lambda fields: f"refund-reversal:{fields['refund_id']}", (("refund_id", lambda entry: entry.get("refund_id")),)
    ),
    "adjust": _Op(
        lambda fields: f"adjust:{fields['ref']}",
        (("units", itemgetter("amount")), ("expires_at", lambda entry: entry.get("expires_at"))),
        needs_reason=True,
    ),
    "attribute": _Op(lambda fields: f"run:{key_part(fields['run'])}:{fields['step']}", _same_names("run", "step")),
    "assign-plan": _Op(lambda fields: f"plan:{fields['ref']}", _same_names("plan")),
    "undo": _Op(lambda fields: f"undo:{fields['of']}", needs_reason=True),
    "extend-lot": _Op(lambda fields: f"extend:{fields['ref']}", _same_names("lot", "expires_at"), needs_reason=True),
    "void-lot": _Op(
        lambda fields: f"void:{fields['ref']}", (("lot", lambda entry: entry.get("voids")),), needs_reason=True
    ),
    "hold": _Op(lambda fields: f"hold:{fields['ref']}", (("units", itemgetter("units")), ("ref", itemgetter("hold")))),
    "release": _Op(lambda fields: f"release:{fields['hold']}", _same_names("hold")),
    "run-out": _Op(lambda fields: f"release:{fields['hold']}", _same_names("hold"), due=True),
    "plan-due": _Op(lambda fields: f"plan-due:{fields['entry']}", due=True),
    "reset-week": _Op(lambda fields: f"reset:{fields['ref']}", needs_reason=True),
    "expire": _Op(lambda fields: f"expire:{fields['lot']}", _same_names("lot"), due=True),
    "close-week": _Op(
        _week_close_key,
        (("week", lambda entry: entry["closed"]["key"]), ("cycle", lambda entry: entry["closed"]["cycle"])),
        due=True,
    ),
}


def check_key(entry: Entry, note: Note) -> None:
    """Note wrong signs, keys and inputs of ``entry``. Duplicate keys are checked elsewhere."""
    kind, operation = entry["kind"], entry["input"]
    sign = SIGNS[kind]
    if not _FITS[sign](entry["amount"]):
        note(Check.KEY, f"the amount of a {kind} is {sign}, not {entry['amount']}")
    op = _OPS[operation["op"]]
    if entry["key"] != op.key(operation):
        note(Check.KEY, f"the key is {entry['key']!r}, expected {op.key(operation)!r} from its input")
    for name, find in op.same:
        if operation[name] != find(entry):
            note(Check.KEY, f"{name} is {operation[name]!r} in the input, but {find(entry)!r} in the entry")
    if op.needs_reason and entry["reason"] is None:
        note(Check.KEY, f"the operation {operation['op']} needs a reason")
    if op.due and (entry["actor"] != DUE_ACTOR or entry["reason"] is not None or not _OPTIONAL.isdisjoint(entry)):
        note(Check.KEY, f"a due event is booked by {DUE_ACTOR}, without a reason, approval or requested time")
