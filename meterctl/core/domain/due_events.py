"""Due events: what time itself brings, an expiry or the end of a week.

They depend on the state alone, so it makes no difference when or whether a sweep ran.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from meterctl.core.domain import weeks
from meterctl.core.domain.effects import Draft, apply
from meterctl.core.domain.policy import PlanBook, Terms
from meterctl.core.model import Instant, Lot, PlanVersion, State, Week, week_document


class Due(NamedTuple):
    """An event that time brings, and its own instant."""

    instant: Instant
    draft: Draft


def due(state: State, until: Instant, terms: Terms, plans: PlanBook) -> Due | None:
    """The first event due by ``until``: a lot's expiry or the week's end; the expiry where both fall together."""
    lot = state.lots[0] if state.lots else None
    week_end = week_end_of(state)
    if lot is not None and lot.expires_at is not None and lot.expires_at <= min(until, week_end or until):
        return Due(lot.expires_at, _expiration(lot, lot.expires_at))
    if state.week is not None and week_end is not None and week_end <= until:
        return Due(week_end, _week_close(state, state.week, week_end, terms, plans))
    return None


def next_expiry_of(state: State) -> Instant | None:
    """When the next lot expires; lots stand in draw order, so the first one tells."""
    return state.lots[0].expires_at if state.lots else None


def week_end_of(state: State) -> Instant | None:
    """When the open week ends."""
    return weeks.week_end(state.week.key) if state.week is not None else None


def _expiration(lot: Lot, expires_at: Instant) -> Draft:
    effects = {"lot": lot.id, "units": lot.remaining, "expires_at": expires_at}
    return Draft("expiration", f"expire:{lot.id}", -lot.remaining, {"op": "expire", "lot": lot.id}, effects)


def _week_close(state: State, week: Week, monday: Instant, terms: Terms, plans: PlanBook) -> Draft:
    next_plan = plans.in_force(terms.plan_of(state), monday)
    settled = min(next_plan.weekly_quota, state.debt.overage) if terms.settle_overage else 0
    opened = fresh_week(weeks.week_key(monday), 1, next_plan)._replace(used=settled) if settled else None
    effects: dict[str, Any] = {
        "closed": week_document(week),
        "opened": week_document(opened) if opened else None,
        "settled": settled,
    }
    if opened and (alerts := crossed(terms.thresholds, opened, 0, settled)):
        effects["alerts"] = alerts
    key = f"week:{week.key}" if week.cycle == 1 else f"week:{week.key}#{week.cycle}"
    return Draft("reset", key, settled, {"op": "close-week", "week": week.key, "cycle": week.cycle}, effects)


def fresh_week(key: str, cycle: int, plan: PlanVersion) -> Week:
    return Week(key, cycle, plan.plan, plan.version, plan.weekly_quota, 0, 0, {}, ())


def crossed(thresholds: Sequence[int], week: Week, before: int, after: int) -> list[int]:
    """The percents that ``used`` reaches on its way from ``before`` to ``after``, once a week each, ascending."""
    if week.quota == 0:
        return []
    low, high, quota = before * 100, after * 100, week.quota
    return sorted(p for p in thresholds if low < p * quota <= high and p not in week.alerts)


def state_at(state: State, until: Instant, terms: Terms, plans: PlanBook) -> State:
    """``state`` once everything due by ``until`` is booked: what any read shows."""
    while (event := due(state, until, terms, plans)) is not None:
        state = apply(state, 0, event.draft.kind, event.draft.effects)
    return state
