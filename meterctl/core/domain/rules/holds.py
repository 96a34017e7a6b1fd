"""Admission, and units on hold."""

from typing import NamedTuple

from meterctl.core.domain import instants
from meterctl.core.domain.checks import LONGEST_HOLD_DAYS
from meterctl.core.domain.effects import draft
from meterctl.core.domain.operations import Hold, Release
from meterctl.core.domain.rules.context import Context, Decision, Idle
from meterctl.core.errors import Refusal, plural, shell_command
from meterctl.core.model import Instant, State


class Admission(NamedTuple):
    """Whether an org may run: ``available`` units are left of quota and balance together, less those on hold."""

    available: int
    allowed: bool


def admission(state: State, quota: int, units: int = 0, *, meter_mode: bool = True) -> Admission:
    """Decide whether an org in ``state``, with ``quota`` for the week, may run ``units``. The only place that
    does. With ``meter_mode`` False no usage is booked, and every org may run."""
    used = 0 if state.week is None else state.week.used
    available = max(0, quota - used) + state.balance - state.held
    return Admission(available, not meter_mode or available >= max(1, units))


def decide_hold(operation: Hold, context: Context) -> Decision:
    """Reserve available units."""
    if not context.terms.meter_mode:
        return Idle("disabled", "meter mode is off: nothing is held")
    expires_at = _expiry(operation, context)
    if expires_at <= context.at:
        return Refusal("expires_in_past", f"the hold would run out at {expires_at}, before it is placed")
    if expires_at > instants.add_days(context.at, LONGEST_HOLD_DAYS):
        most = f"a hold lasts {LONGEST_HOLD_DAYS} days at most"
        return Refusal("too_far_ahead", f"it would run out at {expires_at}: {most}")
    available = admission(context.state, context.quota()).available
    if available < operation.units:
        held = context.state.held
        also = f"; {plural(held, 'unit')} are held already" if held else ""
        return Refusal(
            "insufficient_balance",
            f"{plural(operation.units, 'unit')} asked, {max(0, available):,} available of quota and balance{also}",
            f"see quota, balance and holds with: {shell_command('explain', operation.org)}",
        )
    effects = {"hold": operation.ref, "units": operation.units, "expires_at": expires_at}
    return draft("hold", operation, 0, effects)


def _expiry(operation: Hold, context: Context) -> Instant:
    """Return when a hold runs out. A span counts from the time the caller gave, as a pack's days do."""
    if operation.expires_at is not None:
        return operation.expires_at
    assert operation.lasts is not None
    return instants.add_millis(context.said, instants.parse_ahead(operation.lasts))


def decide_release(operation: Release, context: Context) -> Decision:
    """Let a hold go that is still there."""
    if not context.terms.meter_mode and not context.state.holds:
        return Idle("disabled", "meter mode is off: nothing is held")
    hold = next((hold for hold in context.state.holds if hold.id == operation.hold), None)
    if hold is not None:
        return draft("release", operation, 0, {"hold": hold.id, "units": hold.units})
    if context.history.by_key(f"hold:{operation.hold}") is None:
        return Refusal("unknown_hold", f"{operation.org} has no hold {operation.hold}")
    return Idle("unchanged", f"hold {operation.hold} was settled by its run, or has run out")
