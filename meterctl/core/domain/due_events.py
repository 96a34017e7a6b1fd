"""Due events: the changes that time alone brings.

A lot expires, a hold runs out, a week ends, a dated plan comes into force. They depend on the
state alone, so the result is the same whenever a sweep runs, or if none does.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from meterctl.core.domain import instants, weeks
from meterctl.core.domain.effects import Draft, apply
from meterctl.core.domain.policy import PlanBook, Terms
from meterctl.core.model import MAX_UNITS, Instant, Lot, NextPlan, PlanVersion, Reservation, State, Week, week_document

#: The operations that book due events.
EXPIRE, RUN_OUT, CLOSE_WEEK, PLAN_DUE = "expire", "run-out", "close-week", "plan-due"


class Due(NamedTuple):
    """An event that time brings, and its own instant."""

    instant: Instant
    draft: Draft


class Next(NamedTuple):
    """The next due event: the operation that books it, and its lot, hold, week or assignment."""

    instant: Instant
    op: str
    name: int | str


def due(state: State, seq: int, until: Instant, terms: Terms, plans: PlanBook) -> Due | None:
    """Return the first event due by ``until``, as the entry number ``seq``."""
    instant = next_due_of(state)
    return None if instant is None or instant > until else due_at(instant, state, seq, terms, plans)


def due_at(instant: Instant, state: State, seq: int, terms: Terms, plans: PlanBook) -> Due:
    """Return the first event of ``state``, which is due at ``instant``, as the entry number ``seq``."""
    coming = _next_at(instant, state)
    if coming.op == EXPIRE:
        return Due(instant, _expiration(next(lot for lot in state.lots if lot.id == coming.name), instant))
    if coming.op == RUN_OUT:
        return Due(instant, _run_out(state.holds[0]))
    if coming.op == CLOSE_WEEK:
        assert state.week is not None
        return Due(instant, _week_close(state, seq, state.week, instant, terms, plans))
    assert state.next_plan is not None
    return Due(instant, _plan_due(state, state.next_plan, instant, terms, plans))


def next_of(state: State) -> Next | None:
    """Return the next due event. At the same instant lots come first, by number, then holds, then the week's end,
    then the plan."""
    instant = next_due_of(state)
    return None if instant is None else _next_at(instant, state)


def _next_at(instant: Instant, state: State) -> Next:
    if lots := [lot.id for lot in state.lots if lot.expires_at == instant]:
        return Next(instant, EXPIRE, min(lots))
    if state.holds and state.holds[0].expires_at == instant:
        return Next(instant, RUN_OUT, state.holds[0].id)
    if state.week is not None and weeks.week_end(state.week.key) == instant:
        return Next(instant, CLOSE_WEEK, state.week.key)
    assert state.next_plan is not None
    return Next(instant, PLAN_DUE, state.next_plan.entry)


def next_due_of(state: State) -> Instant | None:
    """Return when something next becomes due by itself, if ever."""
    soonest = next_expiry_of(state)
    if state.week is not None:
        end = weeks.week_end(state.week.key)
        soonest = end if soonest is None or end < soonest else soonest
    if state.holds or state.next_plan is not None:
        others = [hold.expires_at for hold in state.holds[:1]]
        others += [state.next_plan.from_at] if state.next_plan is not None else []
        soonest = min(others) if soonest is None else min(soonest, *others)
    return soonest


def next_expiry_in(state: Mapping[str, Any]) -> Instant | None:
    """Return when the next lot of a state document expires."""
    lots = state["lots"]
    if lots and lots[0].get("priority") == lots[-1].get("priority"):
        first: Instant | None = lots[0]["expires_at"]
        return first
    return min([lot["expires_at"] for lot in lots if lot["expires_at"] is not None], default=None)


def next_due_in(state: Mapping[str, Any]) -> Instant | None:
    """Return when something next becomes due in a state document. To make a state of it first would take three times
    as long."""
    expiry, week = next_expiry_in(state), state["week"]
    instants = [] if expiry is None else [expiry]
    if week is not None:
        instants.append(weeks.week_end(week["key"]))
    if "holds" in state:
        instants.append(state["holds"][0]["expires_at"])
    if "next_plan" in state:
        instants.append(state["next_plan"]["from"])
    return min(instants, default=None)


def next_expiry_of(state: State) -> Instant | None:
    """Return when the next lot expires."""
    lots = state.lots
    # Lots stand in draw order: by priority, then by expiry. If the outermost two have the same, so have all.
    if not lots or lots[0].priority == lots[-1].priority:
        return lots[0].expires_at if lots else None
    return min([lot.expires_at for lot in lots if lot.expires_at is not None], default=None)


def _expiration(lot: Lot, expires_at: Instant) -> Draft:
    effects = {"lot": lot.id, "units": lot.remaining, "expires_at": expires_at}
    return Draft("expiration", f"expire:{lot.id}", -lot.remaining, {"op": EXPIRE, "lot": lot.id}, effects)


def _run_out(hold: Reservation) -> Draft:
    effects = {"hold": hold.id, "units": hold.units, "expires_at": hold.expires_at}
    return Draft("release", f"release:{hold.id}", 0, {"op": RUN_OUT, "hold": hold.id}, effects)


def _week_close(state: State, seq: int, week: Week, monday: Instant, terms: Terms, plans: PlanBook) -> Draft:
    in_force = plans.in_force(terms.plan_of(state, monday), monday)
    settled = min(in_force.weekly_quota, state.debt.overage) if terms.settle_overage else 0
    rollover = _rollover(state, seq, week, monday, settled, plans)
    opens = settled or (in_force.rollover_max and terms.meter_mode)
    opened = fresh_week(weeks.week_key(monday), 1, in_force)._replace(used=settled) if opens else None
    effects: dict[str, Any] = {
        "closed": week_document(week),
        "opened": week_document(opened) if opened else None,
        "settled": settled,
        **rollover,
    }
    if opened and (alerts := crossed(terms.thresholds, opened, 0, settled)):
        effects["alerts"] = alerts
    amount = settled + rollover.get("units", 0)
    operation = {"op": CLOSE_WEEK, "week": week.key, "cycle": week.cycle}
    return Draft("reset", week_key_of(week.key, week.cycle), amount, operation, effects)


def week_key_of(week: str, cycle: int) -> str:
    """Return the key under which the end of ``week`` is booked."""
    return f"week:{week}" if cycle == 1 else f"week:{week}#{cycle}"


def _rollover(state: State, seq: int, week: Week, monday: Instant, settled: int, plans: PlanBook) -> dict[str, Any]:
    """Return the effects of unused quota that becomes a lot; none where the plan has no rollover or debt is left."""
    version = plans.version(week.plan, week.version, monday)
    if version is None or not version.rollover_max or state.debt.total > settled:
        return {}
    # Time cannot be refused, so units beyond the range of integers stay unused.
    units = min(week.quota - week.used, version.rollover_max, MAX_UNITS - state.balance - settled)
    if units <= 0:
        return {}
    return {"lot": seq, "units": units, "expires_at": instants.add_days(monday, 7 * version.rollover_weeks)}


def _plan_due(state: State, coming: NextPlan, instant: Instant, terms: Terms, plans: PlanBook) -> Draft:
    effects = plan_effects(state, coming.plan, instant, terms, plans)
    return Draft("plan", f"plan-due:{coming.entry}", 0, {"op": PLAN_DUE, "entry": coming.entry}, effects)


def plan_effects(state: State, plan: str, at: Instant, terms: Terms, plans: PlanBook) -> dict[str, Any]:
    """Return the effects of ``plan`` taking effect at ``at``."""
    version = plans.in_force(plan, at)
    effects: dict[str, Any] = {"plan": plan, "version": version.version, "quota": version.weekly_quota}
    if state.week is not None:
        week = state.week._replace(quota=version.weekly_quota)
        # The quota moved, not the usage: whatever is reached under the new one counts as crossed now.
        if alerts := crossed(terms.thresholds, week, -1, week.used):
            effects["alerts"] = alerts
    elif version.rollover_max and terms.meter_mode:
        effects["opened"] = week_document(fresh_week(weeks.week_key(at), 1, version))
    return effects


def fresh_week(key: str, cycle: int, plan: PlanVersion) -> Week:
    return Week(key, cycle, plan.plan, plan.version, plan.weekly_quota, 0, 0, {}, ())


def crossed(thresholds: Sequence[int], week: Week, before: int, after: int) -> list[int]:
    """Return the percents that ``used`` reaches on its way from ``before`` to ``after``, once a week each,
    ascending."""
    if week.quota == 0:
        return []
    low, high, quota = before * 100, after * 100, week.quota
    return sorted(p for p in thresholds if low < p * quota <= high and p not in week.alerts)


def state_at(state: State, seq: int, until: Instant, terms: Terms, plans: PlanBook) -> State:
    """Return ``state``, that of the entry number ``seq``, once everything due by ``until`` is booked on top of it:
    what any read shows."""
    while (event := due(state, seq + 1, until, terms, plans)) is not None:
        seq += 1
        state = apply(state, seq, event.draft.kind, event.draft.effects)
    return state
