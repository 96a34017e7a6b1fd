"""Checks 7 to 12: compare the effects of an entry with the rules.

Each kind has a function for one entry and the state before it. A journal does not record the config of the day (packs,
thresholds, ratios), so its results are taken as they are. Everything else is computed again here.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

from meterctl.core.domain.effects import debt_document, repay
from meterctl.core.domain.overflow import removal
from meterctl.core.domain.policy import PlanBook, Terms
from meterctl.core.domain.rules import Context, History, Refundable, give_back, give_back_parts
from meterctl.core.errors import Damaged
from meterctl.core.model import PRIORITY, Debt, Entry, Kind
from meterctl.core.verify.checks import Check
from meterctl.core.verify.hold_checks import check_hold, check_release
from meterctl.core.verify.step import (
    JournalStep,
    check_amount,
    check_instant,
    check_low,
    check_overdue,
    check_taken,
)
from meterctl.core.verify.week_checks import check_plan, check_reset, check_usage


def check_step(step: JournalStep) -> None:
    """Note the deviations of ``step`` from the rules.

    Imported history followed other rules, so it is skipped here; its effects, sums and state are checked elsewhere.
    """
    if "imported" in step.entry:
        return
    check_overdue(step)
    check_low(step)
    _STEPS[step.entry["kind"]](step)


# -- lots


def _expiration(step: JournalStep) -> None:
    entry, instant = step.entry, step.entry["expires_at"]
    lot = next((lot for lot in step.state.lots if lot.id == entry["lot"]), None)
    if instant is None:
        step.note(Check.EXPIRY, f"lot {entry['lot']} never expires")
        return
    if lot is None or (lot.remaining, lot.expires_at) != (entry["units"], instant):
        message = f"there is no lot {entry['lot']} with {entry['units']} units that expire at {instant}"
        step.note(Check.EXPIRY, message)
    check_instant(step, instant, Check.EXPIRY, f"lot {entry['lot']} expired")
    check_amount(step, -entry["units"])


def _extension(step: JournalStep) -> None:
    entry = step.entry
    check_amount(step, 0)
    if all(lot.id != entry["lot"] for lot in step.state.lots):
        step.note(Check.LOTS, f"there is no live lot {entry['lot']} to extend")
    if entry["expires_at"] is not None and entry["expires_at"] <= entry["at"]:
        step.note(Check.EXPIRY, f"lot {entry['lot']} gets the expiry {entry['expires_at']}, which had passed")


# -- units in, units out


def _credit(step: JournalStep) -> None:
    entry = step.entry
    if entry["lot"] != entry["seq"]:
        step.note(Check.LOTS, f"it opens lot {entry['lot']}, but a lot has the number of its entry")
    repaid = debt_document(repay(step.state.debt, entry["units"]))
    if entry["kind"] == "adjustment" and entry.get("priority", PRIORITY) != entry["input"].get("priority", PRIORITY):
        step.note(Check.KEY, f"the input says priority {entry['input'].get('priority')}")
    if entry["repaid"] != repaid:
        step.note(Check.DRAWS, f"it repays {entry['repaid']} of the debt, expected {repaid}")
    check_amount(step, entry["units"])


def _debit(step: JournalStep) -> None:
    entry = step.entry
    check_amount(step, -entry["units"])
    only = entry["input"].get("lot")
    check_taken(step, [lot for lot in step.state.lots if only in (None, lot.id)], entry["units"])
    if entry["debt"]["overage"]:
        step.note(Check.DRAWS, "only usage can make overage")
    if entry["debt"]["owed"] and not entry["input"].get("allow_debt"):
        step.note(Check.DRAWS, "it makes debt that its input does not allow")


def _adjustment(step: JournalStep) -> None:
    entry = step.entry
    if "draws" not in entry:
        _credit(step)
        return
    _debit(step)
    remaining = next((lot.remaining for lot in step.state.lots if lot.id == entry.get("voids")), 0)
    if "voids" in entry and remaining != entry["units"]:
        step.note(Check.LOTS, f"it voids {entry['units']} units of lot {entry['voids']}, which had {remaining}")


# -- given back


def _refund(step: JournalStep) -> None:
    entry, past = step.entry, step.past
    topup = past.by_seq(entry["lot"]) if entry["lot"] < entry["seq"] else None
    if topup is None or topup["kind"] != "topup" or topup["session"] != entry["session"]:
        step.note(Check.SESSION, f"entry {entry['lot']} is no topup of session {entry['session']!r}")
        return
    _clawback(step, topup)
    own = [lot for lot in step.state.lots if lot.id == topup["seq"]]
    others = [lot for lot in step.state.lots if lot.id != topup["seq"]]
    check_taken(step, [*own, *others], entry["units"])
    check_amount(step, -entry["units"])
    if entry["debt"]["overage"]:
        step.note(Check.DRAWS, "only usage can make overage")


def _clawback(step: JournalStep, topup: Entry) -> None:
    entry, past = step.entry, step.past
    cents, clawed, forgiven_before = past.refunded.get(topup["seq"], (0, 0, 0))
    expired, forfeited = past.expired.get(topup["seq"], 0), past.forfeited.get(topup["seq"], 0)
    if topup["seq"] in past.undone:
        step.note(Check.SESSION, f"the topup of session {entry['session']!r} was undone before it was refunded")
    if cents + entry["cents"] > topup["paid_cents"] or not topup["paid_cents"]:
        step.note(Check.SESSION, f"{cents + entry['cents']} cents are refunded of {topup['paid_cents']} paid")
        return
    voided = past.voided.get(topup["seq"], 0)
    standing = Refundable(
        topup=topup,
        refunded_cents=cents,
        clawed=clawed,
        forgiven=forgiven_before,
        expired=expired,
        forfeited=forfeited,
        voided=voided,
    )
    target = standing.target(entry["cents"])
    clawback = min(target, standing.clawable)
    forgiven = target - clawback
    if entry["currency"] != topup["currency"]:
        step.note(Check.SESSION, f"it is in {entry['currency']}, and was paid in {topup['currency']}")
    if (entry["units"], entry["forgiven"]) != (clawback, forgiven):
        actual = f"it claws {entry['units']} units and forgives {entry['forgiven']}"
        step.note(Check.SESSION, f"{actual}, expected {clawback} and {forgiven}")


def _reversal(step: JournalStep) -> None:
    entry = step.entry
    first = step.past.by_seq(entry["reverses"]) if entry["reverses"] < entry["seq"] else None
    if first is None:
        step.note(Check.LOTS, f"there is no entry {entry['reverses']} before it to reverse")
        return
    operation = entry["input"]
    if operation["op"] == "undo" and operation["of"] != first["key"]:
        step.note(
            Check.KEY, f"it undoes {operation['of']}, but refers to entry {first['seq']} with the key {first['key']}"
        )
    if "voided" in entry:
        _voiding(step, first)
    elif "uncounted" in entry:
        _uncounting(step, first)
    else:
        _giving_back(step, first)


def _voiding(step: JournalStep, first: Entry) -> None:
    entry = step.entry
    if first["kind"] not in ("topup", "adjustment") or "draws" in first or entry["input"]["op"] != "undo":
        step.note(Check.LOTS, f"entry {first['seq']} is a {first['kind']} without a lot to take back")
        return
    lot, units = first["seq"], first["units"]
    remaining = next((live.remaining for live in step.state.lots if live.id == lot), 0)
    if remaining != units or entry["voided"] != {"lot": lot, "units": units}:
        step.note(Check.LOTS, f"lot {lot} of {units} units was partly used, or is not voided as a whole")
    if entry.get("session") != first.get("session"):
        step.note(Check.SESSION, f"entry {first['seq']} is not of session {entry.get('session')!r}")
    cents, _, _ = step.past.refunded.get(first["seq"], (0, 0, 0))
    if cents:
        step.note(Check.SESSION, f"entry {first['seq']} is undone, while {cents} cents of it are refunded")
    check_amount(step, -entry["voided"]["units"])


def _giving_back(step: JournalStep, first: Entry) -> None:
    _reversible(step, first)
    if "draws" not in first:
        return
    try:
        amount, effects = give_back(first, _context(step))
    except (ValueError, Damaged) as problem:
        step.note(Check.LOTS, str(problem))
        return
    _check_given_back(step, first, amount, effects)


def _uncounting(step: JournalStep, first: Entry) -> None:
    entry, week = step.entry, step.state.week
    if first["kind"] != "usage" or entry["input"]["op"] != "undo":
        step.note(Check.WEEK, f"entry {first['seq']} is a {first['kind']}, not usage of a week")
        return
    if week is None or (week.key, week.cycle) != (first["week"], first["cycle"]):
        step.note(Check.WEEK, f"the week of entry {first['seq']} is closed, so its usage cannot be removed")
        return
    overflow = removal(week.overflow, week.used - first["units"], week.quota, first["units"], first["uncovered"])
    uncounted = {"units": first["units"], "breakdown": first["breakdown"]} | overflow._asdict()
    if entry["uncounted"] != uncounted:
        step.note(Check.WEEK, f"it removes {entry['uncounted']} from the week, expected {uncounted}")
    try:
        amount, effects = give_back_parts(first, overflow.draws, Debt(0, overflow.debt), _context(step))
    except (ValueError, Damaged) as problem:
        step.note(Check.LOTS, str(problem))
        return
    _check_given_back(step, first, amount, effects)


def _context(step: JournalStep) -> Context:
    """Return a context for giving back, which uses only the lots of its history."""
    entry, history = step.entry, cast(History, step.past)
    return Context(step.state, entry["seq"], entry["at"], entry["at"], _NO_TERMS, _NO_PLANS, history)


def _check_given_back(step: JournalStep, first: Entry, amount: int, effects: Mapping[str, Any]) -> None:
    entry = step.entry
    check_amount(step, amount)
    for name in ("repaid", "restored", "forfeited", "lot", "units", "expires_at"):
        if entry.get(name) != effects.get(name):
            expected = effects.get(name)
            step.note(
                Check.LOTS, f"{name} is {entry.get(name)}, expected {expected} from giving back entry {first['seq']}"
            )


def _reversible(step: JournalStep, first: Entry) -> None:
    entry = step.entry
    if entry["input"]["op"] == "undo":
        if first["kind"] not in ("debit", "adjustment") or first["amount"] > 0 or "session" in entry:
            step.note(Check.LOTS, f"entry {first['seq']} is a {first['kind']}, which cannot be undone this way")
    elif first["kind"] != "refund":
        step.note(Check.SESSION, f"entry {first['seq']} is a {first['kind']}, not a refund to reverse")
    else:
        for name in ("session", "refund_id", "cents", "currency"):
            if entry.get(name) != first[name]:
                step.note(Check.SESSION, f"{name} is {entry.get(name)!r}, but {first[name]!r} in the refund")


_NO_TERMS = Terms()
_NO_PLANS = PlanBook(list)


_STEPS: dict[Kind, Callable[[JournalStep], None]] = {
    "topup": _credit,
    "debit": _debit,
    "refund": _refund,
    "expiration": _expiration,
    "adjustment": _adjustment,
    "reversal": _reversal,
    "usage": check_usage,
    "reset": check_reset,
    "plan": check_plan,
    "extension": _extension,
    "hold": check_hold,
    "release": check_release,
}
