"""Plans and weeks: an assignment now or later, and a reset by hand."""

from typing import Any

from meterctl.core.domain import instants, weeks
from meterctl.core.domain.due_events import fresh_week, plan_effects
from meterctl.core.domain.effects import draft
from meterctl.core.domain.meter_operations import NEXT_WEEK
from meterctl.core.domain.operations import AssignPlan, ForceReset
from meterctl.core.domain.rules.context import Context, Decision, Idle
from meterctl.core.errors import Refusal, did_you_mean
from meterctl.core.model import Instant, week_document

#: How far ahead a plan may be dated.
LONGEST_DAYS = 366


def decide_assign_plan(operation: AssignPlan, context: Context) -> Decision:
    """Put the org on a plan: at once, or from a later instant on."""
    plan, terms = operation.plan, context.terms
    if plan != terms.default_plan and not context.plans.versions(plan):
        near = did_you_mean(plan, context.plans.names())
        return Refusal("unknown_plan", f"nobody has published a plan {plan!r}{near}")
    from_at = weeks.week_end(context.said) if operation.from_at == NEXT_WEEK else operation.from_at
    if from_at is None:
        return _assign_now(operation, context)
    if from_at <= context.said:
        return Refusal("from_in_past", f"the plan would take effect at {from_at}, which has passed")
    if from_at > instants.add_days(context.said, LONGEST_DAYS):
        return Refusal("too_far_ahead", f"the plan would take effect at {from_at}: that is more than a year ahead")
    if from_at <= context.at:  # the operation arrives late: the plan is in force by now
        return _assign_now(operation, context)
    return _assign_later(operation, Instant(from_at), context)


def _assign_now(operation: AssignPlan, context: Context) -> Decision:
    state, week = context.state, context.state.week
    effects = plan_effects(state, operation.plan, context.at, context.terms, context.plans)
    in_week = (effects["plan"], effects["version"]) if week is None else (week.plan, week.version)
    same_plan = state.plan == operation.plan and state.next_plan is None
    if same_plan and in_week == (effects["plan"], effects["version"]) and "opened" not in effects:
        return Idle("unchanged", f"{operation.org} is on plan {operation.plan} already")
    return draft("plan", operation, 0, effects)


def _assign_later(operation: AssignPlan, from_at: Instant, context: Context) -> Decision:
    state, coming = context.state, context.state.next_plan
    if coming is None and state.plan == operation.plan:
        return Idle("unchanged", f"{operation.org} is on plan {operation.plan} already, and will be at {from_at}")
    if coming is not None and (coming.plan, coming.from_at) == (operation.plan, from_at):
        return Idle("unchanged", f"{operation.org} goes to plan {operation.plan} at {from_at} already")
    effects: dict[str, Any] = {"plan": operation.plan, "from": from_at}
    return draft("plan", operation, 0, effects)


def decide_force_reset(operation: ForceReset, context: Context) -> Decision:
    """Close the open week by hand and begin its next cycle."""
    if not context.terms.meter_mode:
        return Idle("disabled", "meter mode is off: there is no week to reset")
    week = context.state.week
    if week is None:
        return Refusal("no_open_week", f"{operation.org} has no open week")
    fresh = fresh_week(week.key, week.cycle + 1, context.in_force())
    effects = {"closed": week_document(week), "opened": week_document(fresh), "settled": 0}
    return draft("reset", operation, 0, effects)
