"""Check 16: units on hold. Each hold is released once, and none outlives its expiry."""

from meterctl.core.domain import instants
from meterctl.core.domain.checks import LONGEST_HOLD_DAYS, check_span
from meterctl.core.domain.due_events import RUN_OUT
from meterctl.core.domain.rules import admission
from meterctl.core.errors import BadInput
from meterctl.core.model import Entry, Instant, Reservation
from meterctl.core.verify.checks import Check
from meterctl.core.verify.step import JournalStep, check_amount, check_instant


def check_hold(step: JournalStep) -> None:
    """Check that a hold reserves only available units, for a valid time."""
    entry, state = step.entry, step.state
    check_amount(step, 0)
    expires_at = entry["expires_at"]
    if expires_at is None or not entry["at"] < expires_at <= instants.add_days(entry["at"], LONGEST_HOLD_DAYS):
        step.note(Check.HOLDS, f"a hold placed at {entry['at']} runs out at {expires_at}")
    if expires_at not in (expected := _requested_expiries(entry)):
        step.note(Check.HOLDS, f"the hold runs out at {expires_at}, expected {expected[0]} from its input")
    if state.week is not None:
        available = admission(state, state.week.quota).available
        if entry["units"] > available:
            step.note(Check.HOLDS, f"{entry['units']} units are held, but only {available} are available")


def _requested_expiries(entry: Entry) -> list[Instant]:
    """Return the possible expiries of a hold by its input. A span begins at the requested time; without one it begins
    at the time of booking, which lies before the entry's where the org is ahead of the clock."""
    fields = entry["input"]
    if "expires_at" in fields:
        return [Instant(fields["expires_at"])]
    begins = [entry["occurred_at"]] if "occurred_at" in entry else [entry["at"], min(entry["at"], entry["recorded_at"])]
    try:
        span = instants.parse_ahead(check_span(fields.get("for")))
        return [instants.add_millis(begin, span) for begin in begins]
    except BadInput:
        return [Instant("")]


def check_release(step: JournalStep) -> None:
    """Check the release of a hold, by hand or at its expiry."""
    entry = step.entry
    check_amount(step, 0)
    hold = _live(step, entry["hold"], entry["units"])
    if entry["input"]["op"] != RUN_OUT:
        if "expires_at" in entry:
            step.note(Check.HOLDS, "a hold that is released by hand has no expiry")
    elif hold is not None:
        if entry.get("expires_at") != hold.expires_at:
            step.note(Check.HOLDS, f"hold {hold.id} runs out at {hold.expires_at}")
        check_instant(step, hold.expires_at, Check.HOLDS, f"hold {hold.id} ran out")


def check_released(step: JournalStep) -> None:
    """Check that a run releases the live hold that its input names."""
    entry = step.entry
    requested = entry["input"].get("hold")
    released = entry.get("released")
    if released is not None:
        _live(step, released["hold"], released["units"])
        if released["hold"] != requested:
            step.note(Check.HOLDS, f"it releases hold {released['hold']}, but its input names {requested}")
    elif any(hold.id == requested for hold in step.state.holds):
        step.note(Check.HOLDS, f"it does not release hold {requested} of its input")


def _live(step: JournalStep, name: str, units: int) -> Reservation | None:
    hold = next((hold for hold in step.state.holds if hold.id == name), None)
    if hold is None or hold.units != units:
        step.note(Check.HOLDS, f"there is no hold {name} of {units} units to release")
    return hold
