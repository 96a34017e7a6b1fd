"""Effects: the changes of an event to lots, debt, week, plan and holds.

`apply` carries recorded effects into a state and knows no rule, so what an entry says it did and the state it leaves
can never differ; `meterctl.core.verify` uses the same function to check that they do not.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from meterctl.core.domain.operation import Operation
from meterctl.core.domain.overflow import with_overflow, without_overflow
from meterctl.core.model import (
    PRIORITY,
    Debt,
    Draw,
    Instant,
    Kind,
    Lot,
    NextPlan,
    Reservation,
    State,
    Week,
    week_from_document,
)


class Draft(NamedTuple):
    """An entry to be: what it books, without its place in a journal."""

    kind: Kind
    key: str
    amount: int
    input: dict[str, Any]
    effects: dict[str, Any]


def draft(kind: Kind, operation: Operation, amount: int, effects: dict[str, Any]) -> Draft:
    """Return the entry that ``operation`` becomes, under its own key and parameters."""
    return Draft(kind, operation.key, amount, operation.parameters(), effects)


def draw_order(lot: Lot) -> tuple[int, bool, str, bool, int]:
    """Order lots by priority, soonest expiry (never-expiring last), unpaid before paid, then the older lot."""
    return (lot.priority, lot.expires_at is None, lot.expires_at or "", lot.paid, lot.id)


def hold_order(hold: Reservation) -> tuple[str, str]:
    """Order holds by expiry, then by name."""
    return (hold.expires_at, hold.id)


def draw(lots: Sequence[Lot], units: int) -> tuple[list[Draw], int]:
    """Take ``units`` from ``lots`` in the given order: the draws, and the units they could not cover."""
    draws: list[Draw] = []
    for lot in lots:
        if not units:
            break
        share = min(lot.remaining, units)
        draws.append({"lot": lot.id, "units": share})
        units -= share
    return draws, units


def repay(debt: Debt, units: int) -> Debt:
    """Return the part of ``debt`` that ``units`` pay: owed first, then overage."""
    owed = min(debt.owed, units)
    return Debt(owed, min(debt.overage, units - owed))


def debt_document(debt: Debt) -> dict[str, int]:
    return {"owed": debt.owed, "overage": debt.overage}


def total_units(draws: Sequence[Draw]) -> int:
    return sum(each["units"] for each in draws)


def credit_effects(
    state: State, seq: int, units: int, expires_at: Instant | None, priority: int = PRIORITY
) -> dict[str, Any]:
    """Return the effects of ``units`` coming in: debt first, the rest is a lot named after the entry."""
    effects: dict[str, Any] = {
        "lot": seq,
        "units": units,
        "expires_at": expires_at,
        "repaid": debt_document(repay(state.debt, units)),
    }
    if priority != PRIORITY:
        effects["priority"] = priority
    return effects


def apply(state: State, seq: int, kind: Kind, effects: Mapping[str, Any]) -> State:
    """Return the state after an entry number ``seq`` with these effects. Knows no rule: it does what was recorded."""
    plan, next_plan = state.plan, state.next_plan
    if kind == "plan":
        plan, next_plan = _plans_after(plan, seq, effects)
    return State(
        _extend(state.lots, effects) if kind == "extension" else _lots_after(state.lots, _changes(seq, kind, effects)),
        _debt_after(state.debt, effects),
        plan,
        _week_after(state.week, kind, effects) if state.week is not None or effects.get("opened") else None,
        next_plan,
        _holds_after(state.holds, kind, effects) if state.holds or "hold" in effects or "released" in effects else (),
    )


def _plans_after(plan: str | None, seq: int, effects: Mapping[str, Any]) -> tuple[str | None, NextPlan | None]:
    if "from" in effects:
        return plan, NextPlan(effects["plan"], effects["from"], seq)
    return effects["plan"], None


# -- lots


def _lots_after(before: tuple[Lot, ...], changes: Sequence[Lot]) -> tuple[Lot, ...]:
    if not changes:
        return before
    lots = {lot.id: lot for lot in before}
    for change in changes:
        lot = lots.get(change.id)
        # Written out: `_replace` takes four times as long, and this is done for each entry.
        lot_after = change if lot is None else Lot(lot.id, lot.remaining + change.remaining, *lot[2:])
        if lot_after.remaining < 0:
            raise ValueError(f"lot {change.id} would hold {lot_after.remaining} units")
        lots[change.id] = lot_after
    after = [lot for lot in lots.values() if lot.remaining]
    if len(lots) > len(before):  # those that were there stand in draw order already
        after.sort(key=draw_order)
    return tuple(after)


def _extend(before: tuple[Lot, ...], effects: Mapping[str, Any]) -> tuple[Lot, ...]:
    if all(lot.id != effects["lot"] for lot in before):
        raise ValueError(f"lot {effects['lot']} is not there to be extended")
    after = (lot._replace(expires_at=effects["expires_at"]) if lot.id == effects["lot"] else lot for lot in before)
    return tuple(sorted(after, key=draw_order))


def _changes(seq: int, kind: Kind, effects: Mapping[str, Any]) -> list[Lot]:
    """Return everything an entry does to lots: each with its signed units, and as it opens if it does."""
    changes = [Lot(each["lot"], -each["units"], None) for each in effects.get("draws", ())]
    if kind == "expiration":
        changes.append(Lot(effects["lot"], -effects["units"], None))
    elif kind == "reversal":
        changes.extend(_restored(effects.get("restored", ())))
        if "voided" in effects:
            changes.append(Lot(effects["voided"]["lot"], -effects["voided"]["units"], None))
        if "lot" in effects:
            changes.append(Lot(effects["lot"], effects["units"], None))
    elif kind in ("topup", "adjustment", "reset") and "lot" in effects:
        repaid = sum(effects.get("repaid", {}).values())
        priority = effects.get("priority", PRIORITY)
        changes.append(Lot(seq, effects["units"] - repaid, effects["expires_at"], priority, paid=kind == "topup"))
    return changes


def _restored(draws: Sequence[Draw]) -> list[Lot]:
    return [
        Lot(back["lot"], back["units"], back["expires_at"], back.get("priority", PRIORITY), back.get("paid", False))
        for back in draws
    ]


# -- debt


def _debt_after(debt: Debt, effects: Mapping[str, Any]) -> Debt:
    new_debt, repaid = effects.get("debt"), effects.get("repaid")
    owed, overage = debt
    if new_debt is not None:
        owed, overage = owed + new_debt["owed"], overage + new_debt["overage"]
    if repaid is not None:
        owed, overage = owed - repaid["owed"], overage - repaid["overage"]
    return Debt(owed, overage - effects.get("settled", 0))


# -- holds


def _holds_after(before: tuple[Reservation, ...], kind: Kind, effects: Mapping[str, Any]) -> tuple[Reservation, ...]:
    if kind == "hold":
        new_hold = Reservation(effects["hold"], effects["units"], effects["expires_at"])
        return tuple(sorted([*before, new_hold], key=hold_order))
    hold_id = effects["hold"] if kind == "release" else effects.get("released", {}).get("hold")
    if hold_id is None:
        return before
    if all(hold.id != hold_id for hold in before):
        raise ValueError(f"hold {hold_id} is not there to be let go")
    return tuple(hold for hold in before if hold.id != hold_id)


# -- week


def _week_after(week: Week | None, kind: Kind, effects: Mapping[str, Any]) -> Week | None:
    if kind == "reset":
        week = None
    if effects.get("opened"):
        week = week_from_document(effects["opened"])
    if week is None:
        return None
    if kind == "usage":
        week = _week_with_usage(week, effects)
    elif kind == "plan" and "from" not in effects:
        week = week._replace(plan=effects["plan"], version=effects["version"], quota=effects["quota"])
    elif "uncounted" in effects:
        week = _week_without_usage(week, effects["uncounted"])
    alerts = effects.get("alerts")
    return week._replace(alerts=(*week.alerts, *alerts)) if alerts else week


def _week_with_usage(week: Week, effects: Mapping[str, Any]) -> Week:
    breakdown = dict(week.breakdown)
    for feature, units in effects["breakdown"].items():
        breakdown[feature] = breakdown.get(feature, 0) + units
    key, cycle, plan, version, quota, used, uncovered, _, alerts, overflow = week
    used, uncovered = used + effects["units"], uncovered + effects["uncovered"]
    if effects["overflow"]:
        overflow = with_overflow(overflow, effects)
    # By place: by name it takes twice as long, and this is done for each run.
    return Week(key, cycle, plan, version, quota, used, uncovered, breakdown, alerts, overflow)


def _week_without_usage(week: Week, uncounted: Mapping[str, Any]) -> Week:
    breakdown = dict(week.breakdown)
    for feature, units in uncounted["breakdown"].items():
        breakdown[feature] = breakdown.get(feature, 0) - units
    if min(breakdown.values(), default=0) < 0:
        raise ValueError("more usage is taken back than was counted")
    return week._replace(
        used=week.used - uncounted["units"],
        uncovered=week.uncovered - uncounted["uncovered"],
        breakdown={feature: units for feature, units in breakdown.items() if units},
        overflow=without_overflow(week.overflow, uncounted),
    )
