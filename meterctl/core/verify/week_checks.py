"""Checks 11 and 12, and 8 as far as usage goes: weeks, their usage, quota and thresholds, and plans."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, cast

from meterctl.core.domain import weeks
from meterctl.core.domain.due_events import CLOSE_WEEK, PLAN_DUE
from meterctl.core.domain.effects import total_units
from meterctl.core.domain.meter_operations import NEXT_WEEK
from meterctl.core.model import Instant, Week, week_document, week_from_document
from meterctl.core.verify.checks import Check
from meterctl.core.verify.hold_checks import check_released
from meterctl.core.verify.step import JournalStep, check_amount, check_instant, check_taken, week_end


def check_usage(step: JournalStep) -> None:
    entry = step.entry
    week = step.state.week
    if week is None:
        if not entry.get("opened"):
            step.note(Check.WEEK, "no week is open, and it opens none")
            return
        week = week_from_document(entry["opened"])
        _check_new_week(step, week, weeks.week_key(entry["at"]), 1, 0)
    elif "opened" in entry:
        step.note(Check.WEEK, f"it opens a week, but {week.key} is open")
        return
    if (entry["week"], entry["cycle"]) != (week.key, week.cycle) or week.key != weeks.week_key(entry["at"]):
        step.note(Check.WEEK, f"it counts for week {entry['week']} cycle {entry['cycle']}, but {week.key} is open")
    _units(step)
    _overflow(step, week)
    check_released(step)
    _alerts(step, week, week.used, week.used + entry["units"])


def _units(step: JournalStep) -> None:
    entry = step.entry
    units, requested = entry["units"], entry["input"]["units"]
    if sum(entry["breakdown"].values()) != units:
        step.note(Check.WEEK, f"its breakdown does not add up to its {units} units")
    if requested is not None and (requested != units or "capped_from" in entry):
        step.note(Check.WEEK, f"the input has {requested} units, the entry {units}")
    if entry.get("capped_from", units + 1) <= units:
        step.note(Check.WEEK, f"{units} units cannot be capped from {entry['capped_from']}")


def _overflow(step: JournalStep, week: Week) -> None:
    entry = step.entry
    overflow = max(0, week.used + entry["units"] - week.quota) - max(0, week.used - week.quota)
    if entry["overflow"] != overflow:
        step.note(Check.WEEK, f"its overflow is {entry['overflow']}, expected {overflow} units above the quota")
    if "draws" not in entry:
        if entry["overflow"] or entry["uncovered"]:
            step.note(Check.DRAWS, f"nothing pays for an overflow of {entry['overflow']}")
        check_amount(step, 0)
        return
    debt, uncovered = entry["debt"], entry["uncovered"]
    check_taken(step, step.state.lots, entry["overflow"], uncovered)
    if debt["owed"] or (debt["overage"] and uncovered) or not entry["overflow"]:
        step.note(Check.DRAWS, "overflow comes from lots first, the rest is either overage or uncovered")
    check_amount(step, -total_units(entry["draws"]) - debt["overage"])


def _check_new_week(step: JournalStep, week: Week, key: str, cycle: int, used: int) -> None:
    if week != Week(key, cycle, week.plan, week.version, week.quota, used, 0, {}, ()):
        step.note(Check.WEEK, f"the new week is not {key} cycle {cycle} with {used} units used and nothing else")


def check_reset(step: JournalStep) -> None:
    entry, week = step.entry, step.state.week
    if week is None or entry["closed"] != week_document(week):
        step.note(Check.WEEK, f"it closes week {entry['closed']['key']}, which was not open as recorded")
        return
    opened = week_from_document(entry["opened"]) if entry["opened"] else None
    check_amount(step, entry["settled"] + entry.get("units", 0))
    if entry["input"]["op"] == CLOSE_WEEK:
        _check_closing(step, week, opened)
    else:
        _check_manual(step, week, opened)


def _check_closing(step: JournalStep, week: Week, opened: Week | None) -> None:
    entry, monday, settled = step.entry, week_end(week.key), step.entry["settled"]
    check_instant(step, monday, Check.WEEK, f"week {week.key} ended")
    _rollover(step, week, monday)
    if opened is None:
        if settled or "alerts" in entry:
            step.note(Check.WEEK, f"{settled} units are settled, but no week is opened")
        return
    _check_new_week(step, opened, weeks.week_key(monday), 1, settled)
    expected = min(opened.quota, step.state.debt.overage)
    if settled not in (0, expected):
        step.note(Check.WEEK, f"{settled} units are settled, expected {expected} from quota and overage")
    _alerts(step, opened, 0, settled)


def _rollover(step: JournalStep, week: Week, monday: Instant) -> None:
    """Check that unused quota becomes a lot of some weeks, if no debt is left."""
    entry = step.entry
    if "lot" not in entry:
        return
    if entry["lot"] != entry["seq"]:
        step.note(Check.LOTS, f"it opens lot {entry['lot']}, but a lot has the number of its entry")
    if not 0 < entry["units"] <= week.quota - week.used:
        step.note(Check.WEEK, f"{entry['units']} units roll over, but {week.quota - week.used} were unused")
    if step.state.debt.total != entry["settled"]:
        step.note(Check.WEEK, "units roll over although there is debt")
    expires_at = entry["expires_at"]
    if expires_at is None or expires_at <= monday or weeks.week_start(expires_at) != expires_at:
        step.note(Check.WEEK, f"rolled over units expire at {expires_at}, which is no Monday after {monday}")


def _check_manual(step: JournalStep, week: Week, opened: Week | None) -> None:
    entry = step.entry
    if opened is None or entry["settled"] or "alerts" in entry or "lot" in entry:
        step.note(Check.WEEK, "a reset by hand opens the next cycle and settles nothing")
        return
    _check_new_week(step, opened, week.key, week.cycle + 1, 0)


def check_plan(step: JournalStep) -> None:
    """Check the assignment of a plan: at once, dated ahead, or due now."""
    entry, week, coming = step.entry, step.state.week, step.state.next_plan
    check_amount(step, 0)
    if "from" in entry:
        from_at = cast(Mapping[str, Any], entry)["from"]
        if not entry["at"] < from_at:
            step.note(Check.WEEK, f"the plan is dated {from_at}, which is not after {entry['at']}")
        requested = entry["input"].get("from")
        start = entry.get("occurred_at", entry["at"])
        if from_at != (weeks.week_end(start) if requested == NEXT_WEEK else requested):
            step.note(Check.WEEK, f"the plan is dated {from_at}, but {requested} in its input")
        return
    if entry["input"]["op"] == PLAN_DUE:
        if coming is None or (coming.plan, coming.entry) != (entry["plan"], entry["input"]["entry"]):
            step.note(Check.WEEK, f"entry {entry['input']['entry']} did not date plan {entry['plan']}")
        else:
            check_instant(step, coming.from_at, Check.WEEK, f"plan {coming.plan} was due")
    if "opened" in entry:
        opened = week_from_document(entry["opened"] or {})
        if week is not None or (opened.plan, opened.version, opened.quota) != (
            entry["plan"],
            entry["version"],
            entry["quota"],
        ):
            step.note(Check.WEEK, "it opens a second week, or one under another plan")
        _check_new_week(step, opened, weeks.week_key(entry["at"]), 1, 0)
    if week is not None:
        # A new quota may put the usage beyond further thresholds.
        _alerts(step, week._replace(quota=entry["quota"]), -1, week.used)
    elif "alerts" in entry:
        step.note(Check.ALERTS, "thresholds are crossed without an open week")


def _alerts(step: JournalStep, week: Week, before: int, after: int) -> None:
    """Check that each recorded percent is new in its week and lies between ``before`` and ``after`` used units."""
    alerts = step.entry.get("alerts")
    if alerts is None:
        return
    if any(low >= high for low, high in pairwise(alerts)):
        step.note(Check.ALERTS, f"the thresholds {alerts} do not ascend")
    for percent in alerts:
        if percent in week.alerts:
            step.note(Check.ALERTS, f"threshold {percent} was crossed earlier in this week")
        if week.quota == 0 or not before * 100 < percent * week.quota <= after * 100:
            step.note(Check.ALERTS, f"threshold {percent} does not lie between {max(0, before)} and {after} used units")
