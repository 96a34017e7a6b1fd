"""Usage: price a run, count it in the week, and draw the units beyond the quota."""

from typing import Any

from meterctl.core.domain import weeks
from meterctl.core.domain.due_events import crossed, fresh_week
from meterctl.core.domain.effects import debt_document, draft, draw
from meterctl.core.domain.operations import Attribute
from meterctl.core.domain.policy import unpublished
from meterctl.core.domain.pricing import InvalidCost, RunUnits, price_run
from meterctl.core.domain.rules.context import Context, Decision, Idle
from meterctl.core.errors import Refusal
from meterctl.core.model import MAX_UNITS, Debt, PlanVersion, Week, week_document


def decide_attribute(operation: Attribute, context: Context) -> Decision:
    """Book a run's step: usage and the debit for it are one entry."""
    if not context.terms.meter_mode:
        return Idle("disabled", "meter mode is off: usage is not booked")
    price = _price(operation, context)
    if isinstance(price, Refusal):
        return price
    week = context.state.week or _week_to_open(context)
    used = week.used + price.units
    overflow = max(0, used - week.quota) - max(0, week.used - week.quota)
    draws, rest = draw(context.state.lots, overflow)
    forgiven_units = rest if context.terms.overage == "absorb" else 0
    effects: dict[str, Any] = {
        "run": operation.run,
        "step": operation.step,
        "week": week.key,
        "cycle": week.cycle,
        "units": price.units,
        "breakdown": price.breakdown,
        "overflow": overflow,
        "uncovered": forgiven_units,
    }
    if context.state.week is None:
        effects["opened"] = week_document(week)
    if price.capped_from is not None:
        effects["capped_from"] = price.capped_from
    if overflow:
        effects |= {"draws": draws, "debt": debt_document(Debt(0, rest - forgiven_units))}
    if alerts := crossed(context.terms.thresholds, week, week.used, used):
        effects["alerts"] = alerts
    hold = next((hold for hold in context.state.holds if hold.id == operation.hold), None)
    if hold is not None:
        effects["released"] = {"hold": hold.id, "units": hold.units}
    return draft("usage", operation, forgiven_units - overflow, effects)


def _week_to_open(context: Context) -> Week:
    return fresh_week(weeks.week_key(context.at), 1, context.in_force())


def _price(operation: Attribute, context: Context) -> RunUnits | Refusal:
    """Units of a run: as given, or from its costs by the ratios of the version given, frozen or in force."""
    version = _pricing_version(operation, context)
    if isinstance(version, Refusal):
        return version
    if operation.units is not None:
        return RunUnits(operation.units, {"default": operation.units}, None)
    terms = context.terms
    try:
        price = price_run(
            operation.costs or {},
            version.ratios,
            dollars_to_units=terms.dollars_to_units,
            run_base=terms.run_base,
            cap=terms.max_units_per_run,
        )
    except InvalidCost as problem:
        return Refusal("invalid_cost", str(problem))
    if (price.capped_from or price.units) > MAX_UNITS:
        return Refusal("amount_out_of_range", "the run comes to more than 2^53 - 1 units")
    return price


def _pricing_version(operation: Attribute, context: Context) -> PlanVersion | Refusal:
    week, number = context.state.week, operation.plan_version
    plan = week.plan if week is not None else context.terms.plan_of(context.state, context.at)
    if number is None:
        if week is None:
            return context.plans.in_force(plan, context.at)
        if week.version == 0:  # opened before anyone published the plan
            return unpublished(plan, context.at)
        number = week.version
    version = context.plans.version(plan, number, context.at)
    return version or Refusal("unknown_plan_version", f"plan {plan} has no version {number}")
