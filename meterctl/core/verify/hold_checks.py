"""Check 16: units on hold. Each hold is let go once, and none outlives its instant."""

from meterctl.core.domain import instants
from meterctl.core.domain.checks import LONGEST_HOLD_DAYS, check_span
from meterctl.core.domain.due_events import RUN_OUT
from meterctl.core.domain.rules import admission
from meterctl.core.errors import BadInput
from meterctl.core.model import Entry, Instant, Reservation
from meterctl.core.verify.checks import Check
from meterctl.core.verify.step import JournalStep, check_amount, check_instant


def check_hold(step: JournalStep) -> None:
    """A hold reserves units of what is available."""
    entry, state = step.entry, step.state
    check_amount(step, 0)
    expires_at = entry["expires_at"]
    if expires_at is None or not entry["at"] < expires_at <= instants.add_days(entry["at"], LONGEST_HOLD_DAYS):
        step.note(Check.HOLDS, f"a hold placed at {entry['at']} runs out at {expires_at}")
    if expires_at != (due := _asked(entry)):
        step.note(Check.HOLDS, f"the hold runs out at {expires_at}, where its input makes it {due}")
    if state.week is not None:
        available = admission(state, state.week.quota).available
        if entry["units"] > available:
            step.note(Check.HOLDS, f"{entry['units']} units are held, where {available} are available")


def _asked(entry: Entry) -> Instant:
    """Return when the input says that a hold runs out: a span counts from the time the caller gave."""
    given = entry["input"]
    if "expires_at" in given:
        return Instant(given["expires_at"])
    try:
        span = instants.parse_ahead(check_span(given.get("for")))
        return instants.add_millis(entry.get("occurred_at", entry["at"]), span)
    except BadInput:
        return Instant("")


def check_release(step: JournalStep) -> None:
    """A hold is let go by hand, or at its instant."""
    entry = step.entry
    check_amount(step, 0)
    hold = _live(step, entry["hold"], entry["units"])
    if entry["input"]["op"] != RUN_OUT:
        if "expires_at" in entry:
            step.note(Check.HOLDS, "a hold that is let go by hand has not run out")
    elif hold is not None:
        if entry.get("expires_at") != hold.expires_at:
            step.note(Check.HOLDS, f"hold {hold.id} runs out at {hold.expires_at}")
        check_instant(step, hold.expires_at, Check.HOLDS, f"hold {hold.id} ran out")


def check_released(step: JournalStep) -> None:
    """A run lets the hold go that it names, if that is still there."""
    entry = step.entry
    named = entry["input"].get("hold")
    released = entry.get("released")
    if released is not None:
        _live(step, released["hold"], released["units"])
        if released["hold"] != named:
            step.note(Check.HOLDS, f"it lets hold {released['hold']} go, and names {named}")
    elif any(hold.id == named for hold in step.state.holds):
        step.note(Check.HOLDS, f"it does not let hold {named} go, which it names")


def _live(step: JournalStep, name: str, units: int) -> Reservation | None:
    hold = next((hold for hold in step.state.holds if hold.id == name), None)
    if hold is None or hold.units != units:
        step.note(Check.HOLDS, f"no hold {name} of {units} units is there to be let go")
    return hold
