"""Flatten entries to rows for spreadsheets and accounting.

Lists in an entry share one cell: ``3=50 7=20`` are 50 units of lot 3 and 20 of lot 7.
"""

from collections.abc import Mapping
from typing import Any

#: Fields that rows omit: the state after the entry, the caller's input, the previous hash, the version of the format,
#: and the week that the entry opened.
LEFT_OUT = frozenset({"state", "input", "prev", "v", "opened"})

#: Fields whose parts have columns of their own.
_PARTS = {
    "repaid": ("owed", "overage"),
    "debt": ("owed", "overage"),
    "uncounted": ("units", "uncovered", "debt"),
    "imported": ("source", "id", "kind"),
    "closed": ("key", "cycle", "plan", "version", "quota", "used", "uncovered"),
}

#: Every column, in order; ``more`` holds all other fields as JSON.
COLUMNS = (
    *("org", "seq", "at", "kind", "amount", "balance", "key", "actor", "reason", "approved_by", "occurred_at"),
    *("recorded_at", "pending", "pack", "session", "quantity", "paid_cents", "tax_cents", "currency", "names"),
    *("units", "lot", "priority", "expires_at", "draws", "repaid.owed", "repaid.overage", "debt.owed", "debt.overage"),
    *(
        "refund_id",
        "cents",
        "forgiven",
        "reverses",
        "restored",
        "forfeited",
        "voided",
        "voids",
        "run",
        "step",
        "week",
        "cycle",
    ),
    *("hold", "released", "from", "low", "uncounted.units", "uncounted.uncovered", "uncounted.debt"),
    *("breakdown", "overflow", "uncovered", "capped_from", "alerts", "plan", "version", "quota", "settled"),
    *(f"closed.{part}" for part in _PARTS["closed"]),
    *(f"imported.{part}" for part in _PARTS["imported"]),
    *("hash", "more"),
)
_KNOWN = frozenset(COLUMNS)


def flat_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cells of an entry by column; a column it has nothing for is left out."""
    row: dict[str, Any] = {}
    more: dict[str, Any] = {}
    for name, value in entry.items():
        if name in LEFT_OUT:
            continue
        if name in _PARTS:
            row |= {f"{name}.{part}": value[part] for part in _PARTS[name] if part in value}
        elif name not in _KNOWN:
            more[name] = value
        else:
            row[name] = _flat(value)
    return row | {"more": more} if more else row


def _flat(value: Any) -> Any:
    """Return a list or an object as words in one cell, and anything else as it is."""
    if isinstance(value, Mapping):
        if "lot" in value:
            return f"{value['lot']}={value['units']}"
        return " ".join(f"{name}={part}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return " ".join(str(_flat(part)) for part in value)
    return value
