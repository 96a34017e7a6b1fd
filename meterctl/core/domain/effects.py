"""Effects: what an event does to lots, debt and week.

`apply` carries recorded effects into a state and knows no rule, so what an entry says it did and the state it leaves
can never differ; `meterctl.core.verify` uses the same function to check that they do not.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from meterctl.core.model import Debt, Draw, Instant, Kind, Lot, State, Week, week_from_document


class Draft(NamedTuple):
    """An entry to be: what it books, without its place in a journal."""

    kind: Kind
    key: str
    amount: int
    input: dict[str, Any]
    effects: dict[str, Any]


def draw_order(lot: Lot) -> tuple[bool, str, int]:
    """Soonest expiry first, never-expiring last, then the older lot."""
    return (lot.expires_at is None, lot.expires_at or "", lot.id)


def draw(lots: Sequence[Lot], units: int) -> tuple[list[Draw], int]:
    """Take ``units`` from ``lots`` in the given order: the draws, and the units they could not cover."""
    draws: list[Draw] = []
    for lot in lots:
        if not units:
            break
        taken = min(lot.remaining, units)
        draws.append({"lot": lot.id, "units": taken})
        units -= taken
    return draws, units


def repay(debt: Debt, units: int) -> Debt:
    """The part of ``debt`` that ``units`` pay: owed first, then overage."""
    owed = min(debt.owed, units)
    return Debt(owed, min(debt.overage, units - owed))


def debt_document(debt: Debt) -> dict[str, int]:
    return {"owed": debt.owed, "overage": debt.overage}


def total_units(draws: Sequence[Draw]) -> int:
    return sum(drawn["units"] for drawn in draws)


def credit_effects(state: State, seq: int, units: int, expires_at: Instant | None) -> dict[str, Any]:
    """Effects of ``units`` coming in: debt first, the rest is a lot named after the entry."""
    repaid = repay(state.debt, units)
    return {"lot": seq, "units": units, "expires_at": expires_at, "repaid": debt_document(repaid)}


def apply(state: State, seq: int, kind: Kind, effects: Mapping[str, Any]) -> State:
    """The state after an entry number ``seq`` with these effects. Knows no rule: it only does what was recorded."""
    plan = effects["plan"] if kind == "plan" else state.plan
    return State(
        _lots_after(state.lots, seq, kind, effects),
        _debt_after(state.debt, effects),
        plan,
        _week_after(state.week, kind, effects),
    )


def _lots_after(before: tuple[Lot, ...], seq: int, kind: Kind, effects: Mapping[str, Any]) -> tuple[Lot, ...]:
    changes = _lot_changes(seq, kind, effects)
    if not changes:
        return before
    lots = {lot.id: lot for lot in before}
    for lot_id, units, expires_at in changes:
        lot = lots.get(lot_id)
        remaining = units if lot is None else lot.remaining + units
        if remaining < 0:
            raise ValueError(f"lot {lot_id} would hold {remaining} units")
        lots[lot_id] = Lot(lot_id, remaining, expires_at if lot is None else lot.expires_at)
    after = [lot for lot in lots.values() if lot.remaining]
    if len(lots) > len(before):  # those that were there stand in draw order already
        after.sort(key=draw_order)
    return tuple(after)


def _lot_changes(seq: int, kind: Kind, effects: Mapping[str, Any]) -> list[tuple[int, int, Instant | None]]:
    """``(lot, signed units, expiry if it opens)`` for everything an entry does to lots."""
    changes: list[tuple[int, int, Instant | None]] = [
        (drawn["lot"], -drawn["units"], None) for drawn in effects.get("draws", ())
    ]
    if kind == "expiration":
        changes.append((effects["lot"], -effects["units"], None))
    elif kind == "reversal":
        changes.extend((back["lot"], back["units"], back["expires_at"]) for back in effects.get("restored", ()))
        if "voided" in effects:
            changes.append((effects["voided"]["lot"], -effects["voided"]["units"], None))
        if "lot" in effects:
            changes.append((effects["lot"], effects["units"], None))
    elif kind in ("topup", "adjustment") and "lot" in effects:
        repaid = effects["repaid"]
        changes.append((seq, effects["units"] - repaid["owed"] - repaid["overage"], effects["expires_at"]))
    return changes


def _debt_after(debt: Debt, effects: Mapping[str, Any]) -> Debt:
    made, repaid = effects.get("debt"), effects.get("repaid")
    owed, overage = debt
    if made:
        owed, overage = owed + made["owed"], overage + made["overage"]
    if repaid:
        owed, overage = owed - repaid["owed"], overage - repaid["overage"]
    return Debt(owed, overage - effects.get("settled", 0))


def _week_after(week: Week | None, kind: Kind, effects: Mapping[str, Any]) -> Week | None:
    if kind == "reset":
        week = None
    if effects.get("opened"):
        week = week_from_document(effects["opened"])
    if week is None:
        return None
    if kind == "usage":
        week = _week_with_usage(week, effects)
    elif kind == "plan":
        week = week._replace(plan=effects["plan"], version=effects["version"], quota=effects["quota"])
    crossed = effects.get("alerts")
    return week._replace(alerts=(*week.alerts, *crossed)) if crossed else week


def _week_with_usage(week: Week, effects: Mapping[str, Any]) -> Week:
    breakdown = dict(week.breakdown)
    for feature, units in effects["breakdown"].items():
        breakdown[feature] = breakdown.get(feature, 0) + units
    return Week(
        week.key,
        week.cycle,
        week.plan,
        week.version,
        week.quota,
        week.used + effects["units"],
        week.uncovered + effects["uncovered"],
        breakdown,
        week.alerts,
    )
