"""Undo: take back an entry, as far as later entries stay untouched."""

from collections.abc import Callable
from typing import Any

from meterctl.core.domain.due_events import week_key_of
from meterctl.core.domain.effects import draft
from meterctl.core.domain.operations import Undo
from meterctl.core.domain.overflow import UNCOVERED, removal
from meterctl.core.domain.rules.context import Context, Decision
from meterctl.core.domain.rules.giving_back import give_back, give_back_parts
from meterctl.core.domain.rules.refunds import refundable
from meterctl.core.errors import Refusal, plural, shell_command
from meterctl.core.model import Debt, Entry


def decide_undo(operation: Undo, context: Context) -> Decision:
    """Take back a debit, an adjustment, a topup or a run."""
    entry = None if operation.of is None else context.history.by_key(operation.of)
    if entry is None:
        label = f"number {operation.seq}" if operation.of is None else operation.of
        return Refusal("unknown_entry", f"{operation.org} has no entry {label}")
    if operation.seq not in (None, entry["seq"]):
        return Refusal("entry_moved", f"entry {operation.seq} is not {operation.of}: that is entry {entry['seq']} now")
    return _way_back(entry)(operation, entry, context)


def _way_back(entry: Entry) -> Callable[[Undo, Entry, Context], Decision]:
    kind = entry["kind"]
    if kind == "debit" or (kind == "adjustment" and entry["amount"] < 0):
        return _give_back
    if kind in ("topup", "adjustment"):
        return _void
    return _uncount if kind == "usage" else _not_undoable


def _not_undoable(operation: Undo, entry: Entry, _: Context) -> Decision:
    return Refusal("not_undoable", f"entry {entry['seq']} of {operation.org} is a {entry['kind']}: it cannot be undone")


def _give_back(operation: Undo, entry: Entry, context: Context) -> Decision:
    amount, effects = give_back(entry, context)
    return draft("reversal", operation, amount, effects)


def _void(operation: Undo, entry: Entry, context: Context) -> Decision:
    """Remove the lot that a topup or a grant opened, while it is whole."""
    rest = next((lot.remaining for lot in context.state.lots if lot.id == entry["seq"]), 0)
    if rest != entry["units"]:
        return Refusal("lot_partly_used", f"of the {entry['units']:,} units of entry {entry['seq']}, {rest:,} are left")
    # Its lot may be whole although money for it went back: other lots may have paid, or none had to for so few cents.
    # Taken away now, it would be paid twice; and credited to another org, its money could be refunded once more.
    standing = refundable(entry["session"], context.history) if entry["kind"] == "topup" else None
    if standing is not None and standing.refunded_cents:
        return Refusal(
            "lot_partly_used",
            f"{standing.refunded_cents:,} cents of entry {entry['seq']} are refunded: reverse that first",
        )
    effects: dict[str, Any] = {"reverses": entry["seq"], "voided": {"lot": entry["seq"], "units": entry["units"]}}
    if "session" in entry:
        effects["session"] = entry["session"]
    return draft("reversal", operation, -entry["units"], effects)


def _uncount(operation: Undo, entry: Entry, context: Context) -> Decision:
    """Take a run out of the open week, so that the customer stands as if it had not happened."""
    if context.history.by_key(operation.key) is not None:
        return Refusal("not_undoable", f"run {entry['run']} step {entry['step']} was taken back before")
    week = context.state.week
    if week is None or (week.key, week.cycle) != (entry["week"], entry["cycle"]):
        return _week_closed(operation, entry, _standing(entry, context))
    overflow = removal(week.overflow, week.used - entry["units"], week.quota, entry["units"], entry["uncovered"])
    amount, effects = give_back_parts(entry, overflow.draws, Debt(0, overflow.debt), context)
    effects["uncounted"] = {
        "units": entry["units"],
        "breakdown": entry["breakdown"],
        "uncovered": overflow.uncovered,
        "debt": overflow.debt,
        "draws": overflow.draws,
    }
    return draft("reversal", operation, amount, effects)


def _standing(entry: Entry, context: Context) -> int:
    """Return the units that a run of a closed week took, without those that undos of other runs gave back."""
    took = -entry["amount"]
    close = context.history.by_key(week_key_of(entry["week"], entry["cycle"]))
    if close is None:
        return took  # closed by hand, under a key that only its operator knows
    standing: int = sum(part["units"] for part in close["closed"].get("overflow", ()) if part["from"] != UNCOVERED)
    return min(took, standing)


def _week_closed(operation: Undo, entry: Entry, took: int) -> Refusal:
    message = (
        f"its week {entry['week']} (cycle {entry['cycle']}) is closed: "
        f"run {entry['run']} step {entry['step']} took {plural(took, 'unit')} beyond the quota"
    )
    if not took:
        return Refusal("week_closed", message, "it took nothing from the balance, so there is nothing to make good")
    ref = f"undo-{entry['key']}"
    grant = shell_command("adjust", operation.org, f"+{took}", "--ref", ref[:200], "--reason", "TEXT")
    return Refusal("week_closed", message, f"make good what it took with: {grant}")
