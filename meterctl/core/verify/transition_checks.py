"""Checks 7 to 12: whether an entry did to its org what the rules say, as far as the journal tells.

Each kind has a function that looks at one entry and the state before it. What depends on the config of the day (packs,
thresholds, ratios) cannot be told from a journal; everything else follows from it, and is worked out again here.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple, cast

from meterctl.core.domain import weeks
from meterctl.core.domain.effects import debt_document, draw, repay, total_units
from meterctl.core.domain.policy import PlanBook, Terms
from meterctl.core.domain.rules import Context, History, Refundable, give_back
from meterctl.core.errors import Damaged
from meterctl.core.model import Entry, Instant, Lot, State, Week, week_document, week_from_document
from meterctl.core.verify.checks import Check, Note
from meterctl.core.verify.lookback import Past


class Step(NamedTuple):
    """An entry, and what stood before it: the state, the time, and what is kept of older entries. ``note`` is told
    what the entry did otherwise than the rules say."""

    entry: Entry
    state: State
    at: Instant
    past: Past
    note: Note


def check_step(step: Step) -> None:
    """Note what is wrong with ``step``."""
    _overdue(step)
    _STEPS[step.entry["kind"]](step)


_week_end = lru_cache(maxsize=256)(weeks.week_end)


# ---------------------------------------------------------------------------------------------------------- due events


def _overdue(step: Step) -> None:
    """Time comes first: nothing is booked while something older is due."""
    entry, lots, week = step.entry, step.state.lots, step.state.week
    op = entry["input"]["op"]
    if op == "expire":
        return
    expires_at = lots[0].expires_at if lots else None
    instant = _week_end(week.key) if op == "close-week" and week is not None else entry["at"]
    if expires_at is not None and expires_at <= instant:
        step.note(Check.EXPIRY, f"lot {lots[0].id} had expired at {expires_at}, which is not booked before")
    if week is not None and op != "close-week" and _week_end(week.key) <= entry["at"]:
        step.note(Check.WEEK, f"week {week.key} had ended, which is not booked before")


def _expiration(step: Step) -> None:
    entry, lots, week = step.entry, step.state.lots, step.state.week
    due = Lot(entry["lot"], entry["units"], entry["expires_at"])
    instant = entry["expires_at"]
    if instant is None:
        step.note(Check.EXPIRY, f"lot {due.id} never expires")
        return
    if due not in lots:
        step.note(Check.EXPIRY, f"there is no lot {due.id} with {due.remaining} units that expire at {instant}")
    elif due != lots[0]:
        step.note(Check.EXPIRY, f"lot {lots[0].id} was due before lot {due.id}")
    if week is not None and _week_end(week.key) < instant:
        step.note(Check.WEEK, f"week {week.key} ended before lot {due.id} expired, which is not booked before")
    if entry["at"] != max(instant, step.at):
        step.note(Check.EXPIRY, f"lot {due.id} expired at {instant}, the entry is of {entry['at']}")
    _amount(step, -due.remaining)


# ------------------------------------------------------------------------------------------------ units in, units out


def _amount(step: Step, amount: int) -> None:
    if step.entry["amount"] != amount:
        step.note(Check.DRAWS, f"the amount is {step.entry['amount']}, but its parts come to {amount}")


def _credit(step: Step) -> None:
    entry = step.entry
    if entry["lot"] != entry["seq"]:
        step.note(Check.LOTS, f"it opens lot {entry['lot']} under another number than its own")
    repaid = debt_document(repay(step.state.debt, entry["units"]))
    if entry["repaid"] != repaid:
        step.note(Check.DRAWS, f"of the debt it repays {entry['repaid']}, where {repaid} was due")
    _amount(step, entry["units"])


def _taken(step: Step, lots: Sequence[Lot], units: int, uncovered: int = 0) -> None:
    """``units`` are drawn from ``lots`` in order; what they do not hold is debt, or stays ``uncovered``."""
    entry = step.entry
    debt = entry["debt"]["owed"] + entry["debt"]["overage"]
    drawn = total_units(entry["draws"])
    if drawn + debt + uncovered != units:
        step.note(Check.DRAWS, f"{drawn} units drawn and {debt} of debt are not the {units - uncovered} taken")
    draws, _ = draw(lots, units)
    if entry["draws"] != draws:
        step.note(Check.LOTS, f"units are drawn as {entry['draws']}, where the lots give {draws}")


def _debit(step: Step) -> None:
    entry = step.entry
    _amount(step, -entry["units"])
    _taken(step, step.state.lots, entry["units"])
    if entry["debt"]["overage"]:
        step.note(Check.DRAWS, "only usage makes overage")
    if entry["debt"]["owed"] and not entry["input"]["allow_debt"]:
        step.note(Check.DRAWS, "it makes debt, which its input does not allow")


def _adjustment(step: Step) -> None:
    if "draws" in step.entry:
        _debit(step)
    else:
        _credit(step)


# --------------------------------------------------------------------------------------------------------- given back


def _refund(step: Step) -> None:
    entry, past = step.entry, step.past
    topup = past.by_seq(entry["lot"]) if entry["lot"] < entry["seq"] else None
    if topup is None or topup["kind"] != "topup" or topup["session"] != entry["session"]:
        step.note(Check.SESSION, f"entry {entry['lot']} is no topup of session {entry['session']!r}")
        return
    _clawback(step, topup)
    own = [lot for lot in step.state.lots if lot.id == topup["seq"]]
    others = [lot for lot in step.state.lots if lot.id != topup["seq"]]
    _taken(step, [*own, *others], entry["units"])
    _amount(step, -entry["units"])
    if entry["debt"]["overage"]:
        step.note(Check.DRAWS, "only usage makes overage")


def _clawback(step: Step, topup: Entry) -> None:
    entry, past = step.entry, step.past
    cents, clawed, forgiven_before = past.refunded.get(topup["seq"], (0, 0, 0))
    expired, forfeited = past.expired.get(topup["seq"], 0), past.forfeited.get(topup["seq"], 0)
    if topup["seq"] in past.undone:
        step.note(Check.SESSION, f"the topup of session {entry['session']!r} was undone before it was refunded")
    if cents + entry["cents"] > topup["paid_cents"] or not topup["paid_cents"]:
        step.note(Check.SESSION, f"{cents + entry['cents']} cents are refunded of {topup['paid_cents']} paid")
        return
    standing = Refundable(topup, cents, clawed, forgiven_before, expired, forfeited)
    target = standing.target(entry["cents"])
    clawback = min(target, standing.clawable)
    forgiven = target - clawback
    if entry["currency"] != topup["currency"]:
        step.note(Check.SESSION, f"it is in {entry['currency']}, and was paid in {topup['currency']}")
    if (entry["units"], entry["forgiven"]) != (clawback, forgiven):
        did = f"it claws {entry['units']} units and forgives {entry['forgiven']}"
        step.note(Check.SESSION, f"{did}, where {clawback} and {forgiven} were due")


def _reversal(step: Step) -> None:
    entry = step.entry
    first = step.past.by_seq(entry["reverses"]) if entry["reverses"] < entry["seq"] else None
    if first is None:
        step.note(Check.LOTS, f"there is no entry {entry['reverses']} before it to reverse")
    elif "voided" in entry:
        _voiding(step, first)
    else:
        _giving_back(step, first)


def _voiding(step: Step, first: Entry) -> None:
    entry = step.entry
    if first["kind"] not in ("topup", "adjustment") or "draws" in first or entry["input"]["op"] != "undo":
        step.note(Check.LOTS, f"entry {first['seq']} is a {first['kind']} that opened no lot to take back")
        return
    whole = Lot(first["seq"], first["units"], first["expires_at"])
    if whole not in step.state.lots or entry["voided"] != {"lot": whole.id, "units": whole.remaining}:
        step.note(Check.LOTS, f"lot {whole.id} of {whole.remaining} units was not whole, or is not taken back whole")
    if entry.get("session") != first.get("session"):
        step.note(Check.SESSION, f"entry {first['seq']} is not of session {entry.get('session')!r}")
    cents, _, _ = step.past.refunded.get(first["seq"], (0, 0, 0))
    if cents:
        step.note(Check.SESSION, f"entry {first['seq']} is undone, while {cents} cents of it are refunded")
    _amount(step, -entry["voided"]["units"])


def _giving_back(step: Step, first: Entry) -> None:
    entry = step.entry
    _reversible(step, first)
    if "draws" not in first:
        return
    # It asks its history for nothing but entries by their seq.
    history = cast(History, step.past)
    context = Context(step.state, entry["seq"], entry["at"], entry["at"], _NO_TERMS, _NO_PLANS, history)
    try:
        amount, effects = give_back(first, context)
    except (ValueError, Damaged) as problem:
        step.note(Check.LOTS, str(problem))
        return
    _amount(step, amount)
    for name in ("repaid", "restored", "forfeited", "lot", "units", "expires_at"):
        if entry.get(name) != effects.get(name):
            due = effects.get(name)
            step.note(Check.LOTS, f"{name} is {entry.get(name)}, where giving back entry {first['seq']} makes it {due}")


def _reversible(step: Step, first: Entry) -> None:
    entry = step.entry
    if entry["input"]["op"] == "undo":
        if first["kind"] not in ("debit", "adjustment") or first["amount"] > 0 or "session" in entry:
            step.note(Check.LOTS, f"entry {first['seq']} is a {first['kind']}, which is not undone so")
    elif first["kind"] != "refund":
        step.note(Check.SESSION, f"entry {first['seq']} is a {first['kind']}, not the refund that it takes back")
    else:
        for name in ("session", "refund_id", "cents", "currency"):
            if entry.get(name) != first[name]:
                step.note(Check.SESSION, f"{name} is {entry.get(name)!r}, of the refund it is {first[name]!r}")


_NO_TERMS = Terms()
_NO_PLANS = PlanBook(list)


# -------------------------------------------------------------------------------------------------------------- weeks


def _usage(step: Step) -> None:
    entry = step.entry
    week = step.state.week
    if week is None:
        if not entry.get("opened"):
            step.note(Check.WEEK, "no week is open, and it opens none")
            return
        week = week_from_document(entry["opened"])
        _fresh(step, week, weeks.week_key(entry["at"]), 1, 0)
    elif "opened" in entry:
        step.note(Check.WEEK, f"it opens a week, but {week.key} is open")
        return
    if (entry["week"], entry["cycle"]) != (week.key, week.cycle) or week.key != weeks.week_key(entry["at"]):
        step.note(Check.WEEK, f"it counts in {entry['week']} cycle {entry['cycle']}, where {week.key} is open")
    _units(step)
    _overflow(step, week)
    _alerts(step, week, week.used, week.used + entry["units"])


def _units(step: Step) -> None:
    entry = step.entry
    units, given = entry["units"], entry["input"]["units"]
    if sum(entry["breakdown"].values()) != units:
        step.note(Check.WEEK, f"its breakdown does not sum to its {units} units")
    if given is not None and (given != units or "capped_from" in entry):
        step.note(Check.WEEK, f"{given} units were given, {units} are counted")
    if entry.get("capped_from", units + 1) <= units:
        step.note(Check.WEEK, f"{units} units cannot be capped from {entry['capped_from']}")


def _overflow(step: Step, week: Week) -> None:
    entry = step.entry
    overflow = max(0, week.used + entry["units"] - week.quota) - max(0, week.used - week.quota)
    if entry["overflow"] != overflow:
        step.note(Check.WEEK, f"its overflow is {entry['overflow']}, where {overflow} units lie above the quota")
    if "draws" not in entry:
        if entry["overflow"] or entry["uncovered"]:
            step.note(Check.DRAWS, f"nothing pays for an overflow of {entry['overflow']}")
        _amount(step, 0)
        return
    debt, uncovered = entry["debt"], entry["uncovered"]
    _taken(step, step.state.lots, entry["overflow"], uncovered)
    if debt["owed"] or (debt["overage"] and uncovered) or not entry["overflow"]:
        step.note(Check.DRAWS, "overflow is drawn, then either overage or uncovered")
    _amount(step, -total_units(entry["draws"]) - debt["overage"])


def _fresh(step: Step, week: Week, key: str, cycle: int, used: int) -> None:
    if week != Week(key, cycle, week.plan, week.version, week.quota, used, 0, {}, ()):
        step.note(Check.WEEK, f"the week it opens is not {key} cycle {cycle} with {used} units used and nothing else")


def _reset(step: Step) -> None:
    entry, week = step.entry, step.state.week
    if week is None or entry["closed"] != week_document(week):
        step.note(Check.WEEK, f"the week {entry['closed']['key']} that it closes is not the one that was open")
        return
    opened = week_from_document(entry["opened"]) if entry["opened"] else None
    _amount(step, entry["settled"])
    if entry["input"]["op"] == "close-week":
        _closing(step, week, opened)
    else:
        _forced(step, week, opened)


def _closing(step: Step, week: Week, opened: Week | None) -> None:
    entry, monday, settled = step.entry, _week_end(week.key), step.entry["settled"]
    if entry["at"] != max(monday, step.at):
        step.note(Check.WEEK, f"week {week.key} ended at {monday}, the entry is of {entry['at']}")
    if opened is None:
        if settled or "alerts" in entry:
            step.note(Check.WEEK, f"{settled} units are settled in no week")
        return
    _fresh(step, opened, weeks.week_key(monday), 1, settled)
    due = min(opened.quota, step.state.debt.overage)
    if settled != due or not settled:
        step.note(Check.WEEK, f"{settled} units are settled, where quota and overage make it {due}")
    _alerts(step, opened, 0, settled)


def _forced(step: Step, week: Week, opened: Week | None) -> None:
    entry = step.entry
    if opened is None or entry["settled"] or "alerts" in entry:
        step.note(Check.WEEK, "a reset by hand opens the next cycle and settles nothing")
        return
    _fresh(step, opened, week.key, week.cycle + 1, 0)


def _plan(step: Step) -> None:
    entry, week = step.entry, step.state.week
    _amount(step, 0)
    if week is not None:
        # The quota moved, not the usage: what is reached under the new one is crossed now.
        _alerts(step, week._replace(quota=entry["quota"]), -1, week.used)
    elif "alerts" in entry:
        step.note(Check.ALERTS, "thresholds are crossed while no week is open")


def _alerts(step: Step, week: Week, before: int, after: int) -> None:
    """Each recorded percent is new in its week, and was crossed on the way from ``before`` to ``after``."""
    alerts = step.entry.get("alerts")
    if alerts is None:
        return
    if any(low >= high for low, high in pairwise(alerts)):
        step.note(Check.ALERTS, f"the thresholds {alerts} do not ascend")
    for percent in alerts:
        if percent in week.alerts:
            step.note(Check.ALERTS, f"threshold {percent} was crossed in this week before")
        if week.quota == 0 or not before * 100 < percent * week.quota <= after * 100:
            step.note(Check.ALERTS, f"threshold {percent} is not crossed from {max(0, before)} to {after} used units")


_STEPS: dict[str, Callable[[Step], None]] = {
    "topup": _credit,
    "debit": _debit,
    "refund": _refund,
    "expiration": _expiration,
    "adjustment": _adjustment,
    "reversal": _reversal,
    "usage": _usage,
    "reset": _reset,
    "plan": _plan,
}
