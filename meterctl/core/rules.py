"""The rules: what an operation books, decided from a state and nothing else.

Everything here is pure. `decide` answers an operation with a `Draft` or a `Refusal`; `due` gives the next event that
time itself brings; `apply` carries a draft's or an entry's effects into the state. `book` makes an entry of a draft,
using `apply`, so what an entry says it did and the state it leaves can never differ.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from meterctl.core import instants, weeks
from meterctl.core.canonical import entry_hash
from meterctl.core.errors import Refusal
from meterctl.core.model import (
    DUE_ACTOR,
    EMPTY,
    FORMAT_VERSION,
    MAX_UNITS,
    NO_HASH,
    Debt,
    Draw,
    Entry,
    Instant,
    Kind,
    Lot,
    PlanVersion,
    State,
    Week,
    state_after,
    state_document,
    week_document,
    week_from_document,
)
from meterctl.core.operations import (
    Adjust,
    AssignPlan,
    Attribute,
    CreditPack,
    Debit,
    ForceReset,
    Operation,
    Refund,
    ReverseRefund,
    Undo,
)
from meterctl.core.pricing import InvalidCost, Priced, in_range, price_run, refund_target
from meterctl.core.terms import PlanBook, Terms, unpublished


class Draft(NamedTuple):
    """An entry to be: what it books, without its place in a journal."""

    kind: Kind
    key: str
    amount: int
    input: dict[str, Any]
    effects: dict[str, Any]


class Idle(NamedTuple):
    """Nothing to book, and that is right: ``status`` says why."""

    status: Literal["unchanged", "disabled"]
    message: str


Decision = Draft | Refusal | Idle


class History(Protocol):
    """What an operation may need to know of an org's past beyond its state."""

    def by_key(self, key: str) -> Entry | None: ...

    def by_seq(self, seq: int) -> Entry | None: ...

    def of_session(self, session: str) -> Sequence[Entry]:
        """All entries that name the session, oldest first."""
        ...

    def forfeited_of(self, lot: int) -> int:
        """Units of ``lot`` that a give-back found expired."""
        ...


class Context(NamedTuple):
    """What a decision rests on: the org's state at ``at``, the seq its entry would get, and the rest of the world.

    ``said`` is the time the caller gave (else now); it lies before ``at`` for an event that arrives late.
    """

    state: State
    seq: int
    at: Instant
    said: Instant
    terms: Terms
    plans: PlanBook
    history: History


# ---------------------------------------------------------------------------------------------------- units and debt


def draw_order(lot: Lot) -> tuple[bool, str, int]:
    """Soonest expiry first, never-expiring last, then the older lot."""
    return (lot.expires_at is None, lot.expires_at or "", lot.id)


def draw(lots: Sequence[Lot], units: int) -> tuple[list[Draw], int]:
    """Take ``units`` from ``lots`` in the given order: the draws, and the units they could not cover."""
    draws: list[Draw] = []
    for lot in lots:
        if not units:
            break
        taken = min(lot.remaining, units)
        draws.append({"lot": lot.id, "units": taken})
        units -= taken
    return draws, units


def repay(debt: Debt, units: int) -> Debt:
    """The part of ``debt`` that ``units`` pay: owed first, then overage."""
    owed = min(debt.owed, units)
    return Debt(owed, min(debt.overage, units - owed))


def _debt_document(debt: Debt) -> dict[str, int]:
    return {"owed": debt.owed, "overage": debt.overage}


def _total(draws: Sequence[Draw]) -> int:
    return sum(drawn["units"] for drawn in draws)


def _credit(state: State, seq: int, units: int, expires_at: Instant | None) -> dict[str, Any]:
    """Effects of ``units`` coming in: debt first, the rest is a lot named after the entry."""
    repaid = repay(state.debt, units)
    return {"lot": seq, "units": units, "expires_at": expires_at, "repaid": _debt_document(repaid)}


# ---------------------------------------------------------------------------------------------------- applying effects


def apply(state: State, seq: int, kind: Kind, effects: Mapping[str, Any]) -> State:
    """The state after an entry number ``seq`` with these effects. Knows no rule: it only does what was recorded."""
    plan = effects["plan"] if kind == "plan" else state.plan
    return State(
        _lots_after(state.lots, seq, kind, effects),
        _debt_after(state.debt, effects),
        plan,
        _week_after(state.week, kind, effects),
    )


def _lots_after(before: tuple[Lot, ...], seq: int, kind: Kind, effects: Mapping[str, Any]) -> tuple[Lot, ...]:
    changes = _lot_changes(seq, kind, effects)
    if not changes:
        return before
    lots = {lot.id: lot for lot in before}
    for lot_id, units, expires_at in changes:
        lot = lots.get(lot_id)
        remaining = units if lot is None else lot.remaining + units
        if remaining < 0:
            raise ValueError(f"lot {lot_id} would hold {remaining} units")
        lots[lot_id] = Lot(lot_id, remaining, expires_at if lot is None else lot.expires_at)
    return tuple(sorted((lot for lot in lots.values() if lot.remaining), key=draw_order))


def _lot_changes(seq: int, kind: Kind, effects: Mapping[str, Any]) -> list[tuple[int, int, Instant | None]]:
    """``(lot, signed units, expiry if it opens)`` for everything an entry does to lots."""
    changes = [(drawn["lot"], -drawn["units"], None) for drawn in effects.get("draws", ())]
    if kind == "expiration":
        changes.append((effects["lot"], -effects["units"], None))
    elif kind == "reversal":
        changes.extend((back["lot"], back["units"], back["expires_at"]) for back in effects.get("restored", ()))
        if "voided" in effects:
            changes.append((effects["voided"]["lot"], -effects["voided"]["units"], None))
        if "lot" in effects:
            changes.append((effects["lot"], effects["units"], None))
    elif kind in ("topup", "adjustment") and "lot" in effects:
        repaid = effects["repaid"]
        changes.append((seq, effects["units"] - repaid["owed"] - repaid["overage"], effects["expires_at"]))
    return changes


def _debt_after(debt: Debt, effects: Mapping[str, Any]) -> Debt:
    made, repaid = effects.get("debt"), effects.get("repaid")
    owed, overage = debt
    if made:
        owed, overage = owed + made["owed"], overage + made["overage"]
    if repaid:
        owed, overage = owed - repaid["owed"], overage - repaid["overage"]
    return Debt(owed, overage - effects.get("settled", 0))


def _week_after(week: Week | None, kind: Kind, effects: Mapping[str, Any]) -> Week | None:
    if kind == "reset":
        week = None
    if effects.get("opened"):
        week = week_from_document(effects["opened"])
    if week is None:
        return None
    if kind == "usage":
        week = _week_with_usage(week, effects)
    elif kind == "plan":
        week = week._replace(plan=effects["plan"], version=effects["version"], quota=effects["quota"])
    crossed = effects.get("alerts")
    return week._replace(alerts=(*week.alerts, *crossed)) if crossed else week


def _week_with_usage(week: Week, effects: Mapping[str, Any]) -> Week:
    breakdown = dict(week.breakdown)
    for feature, units in effects["breakdown"].items():
        breakdown[feature] = breakdown.get(feature, 0) + units
    return Week(
        week.key,
        week.cycle,
        week.plan,
        week.version,
        week.quota,
        week.used + effects["units"],
        week.uncovered + effects["uncovered"],
        breakdown,
        week.alerts,
    )


# ---------------------------------------------------------------------------------------------------- due events


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
    next_plan = plans.in_force(state.plan or terms.default_plan, monday)
    settled = min(next_plan.weekly_quota, state.debt.overage) if terms.settle_overage else 0
    opened = _fresh_week(weeks.week_key(monday), 1, next_plan)._replace(used=settled) if settled else None
    effects: dict[str, Any] = {
        "closed": week_document(week),
        "opened": week_document(opened) if opened else None,
        "settled": settled,
    }
    if opened and (alerts := crossed(terms.thresholds, opened, 0, settled)):
        effects["alerts"] = alerts
    key = f"week:{week.key}" if week.cycle == 1 else f"week:{week.key}#{week.cycle}"
    return Draft("reset", key, settled, {"op": "close-week", "week": week.key, "cycle": week.cycle}, effects)


def _fresh_week(key: str, cycle: int, plan: PlanVersion) -> Week:
    return Week(key, cycle, plan.plan, plan.version, plan.weekly_quota, 0, 0, {}, ())


def crossed(thresholds: Sequence[int], week: Week, before: int, after: int) -> list[int]:
    """The percents that ``used`` reaches on its way from ``before`` to ``after``, once a week each, ascending."""
    if week.quota == 0:
        return []
    low, high, quota = before * 100, after * 100, week.quota
    return sorted(p for p in thresholds if low < p * quota <= high and p not in week.alerts)


# ---------------------------------------------------------------------------------------------------- decisions


def decide(operation: Operation, context: Context) -> Decision:
    """What ``operation`` books in ``context``. Replays and conflicts are settled before; due events are booked.

    Each rule below is a ladder of refusals, the most basic first; past its last rung nothing can fail but the size of
    the sums, which `out_of_range` tells of the state that results.
    """
    return _RULES[type(operation)](operation, context)


def out_of_range(state: State) -> Refusal | None:
    """A refusal if ``state`` holds a sum that JSON readers could not keep exact."""
    used = state.week.used if state.week is not None else 0
    if in_range(state.balance, state.debt.total, used):
        return None
    return Refusal("amount_out_of_range", "the org's units would leave the range of +-(2^53 - 1)")


def _draft(kind: Kind, operation: Operation, amount: int, effects: dict[str, Any]) -> Draft:
    return Draft(kind, operation.key, amount, operation.parameters(), effects)


def _decide_credit(operation: CreditPack, context: Context) -> Decision:
    pack = context.terms.packs.get(operation.pack)
    if pack is None:
        return Refusal("unknown_pack", f"there is no pack {operation.pack!r} in the config")
    paid_cents = pack.price_cents if operation.paid_cents is None else operation.paid_cents
    expires_at = None if pack.expiry_days is None else instants.add_days(context.said, pack.expiry_days)
    effects = {
        "pack": operation.pack,
        "session": operation.session,
        "paid_cents": paid_cents,
        "currency": pack.currency,
        **_credit(context.state, context.seq, pack.units, expires_at),
    }
    # The input holds the price as resolved, so that a later price change cannot turn a retry into a conflict.
    return Draft("topup", operation.key, pack.units, {**operation.parameters(), "paid_cents": paid_cents}, effects)


def _take(operation: Debit | Adjust, kind: Kind, units: int, context: Context) -> Decision:
    """Draw ``units``; what no lot holds is owed if the operation allows that, else nothing happens."""
    draws, owed = draw(context.state.lots, units)
    if owed and not operation.allow_debt:
        return Refusal(
            "insufficient_balance",
            f"{units} units asked, {_total(draws)} available: the balance is {context.state.balance}",
        )
    effects = {"units": units, "draws": draws, "debt": _debt_document(Debt(owed, 0))}
    return _draft(kind, operation, -units, effects)


def _decide_debit(operation: Debit, context: Context) -> Decision:
    return _take(operation, "debit", operation.units, context)


def _decide_adjust(operation: Adjust, context: Context) -> Decision:
    if operation.units < 0:
        return _take(operation, "adjustment", -operation.units, context)
    if operation.expires_at is not None and operation.expires_at <= context.said:
        return Refusal("expires_in_past", f"the units would expire at {operation.expires_at}, before they are given")
    effects = _credit(context.state, context.seq, operation.units, operation.expires_at)
    return _draft("adjustment", operation, operation.units, effects)


class Refundable(NamedTuple):
    """Where a session stands: what was sold, what has been given back, and what may still be clawed."""

    topup: Entry
    refunded_cents: int
    clawed: int
    expired: int
    forfeited: int

    @property
    def clawable(self) -> int:
        return max(0, self.topup["units"] - self.expired - self.forfeited - self.clawed)

    def target(self, cents: int) -> int:
        """Units that refunding ``cents`` more aims at: cumulative, so that parts add up to the pack exactly."""
        units, paid = self.topup["units"], self.topup["paid_cents"]
        reached = refund_target(units, self.refunded_cents, paid)
        return refund_target(units, self.refunded_cents + cents, paid) - reached


def refundable(session: str, history: History) -> Refundable | None:
    """The standing of ``session``, net of reversed refunds; None if the org has no topup of it."""
    topup = history.by_key(f"session:{session}")
    if topup is None:
        return None
    entries = history.of_session(session)
    taken_back = {entry["reverses"] for entry in entries if entry["kind"] == "reversal"}
    standing = [entry for entry in entries if entry["kind"] == "refund" and entry["seq"] not in taken_back]
    expiration = history.by_key(f"expire:{topup['seq']}")
    return Refundable(
        topup,
        sum(entry["cents"] for entry in standing),
        sum(entry["units"] for entry in standing),
        0 if expiration is None else expiration["units"],
        history.forfeited_of(topup["seq"]),
    )


def _decide_refund(operation: Refund, context: Context) -> Decision:
    standing = refundable(operation.session, context.history)
    if standing is None:
        return Refusal("unknown_session", f"{operation.org} has no pack paid by session {operation.session}")
    topup = standing.topup
    if context.history.by_key(f"undo:{topup['seq']}") is not None:
        return Refusal("undone", f"the topup of session {operation.session} (seq {topup['seq']}) was undone")
    if standing.refunded_cents + operation.cents > topup["paid_cents"]:
        return Refusal(
            "refund_exceeds_payment",
            f"{operation.cents} cents, after {standing.refunded_cents} refunded, exceed the {topup['paid_cents']} paid",
        )
    target = standing.target(operation.cents)
    clawback = min(target, standing.clawable)
    own = [lot for lot in context.state.lots if lot.id == topup["seq"]]
    others = [lot for lot in context.state.lots if lot.id != topup["seq"]]
    draws, owed = draw([*own, *others], clawback)
    effects = {
        "session": operation.session,
        "refund_id": operation.refund_id,
        "cents": operation.cents,
        "lot": topup["seq"],
        "units": clawback,
        "forgiven": target - clawback,
        "draws": draws,
        "debt": _debt_document(Debt(owed, 0)),
    }
    return _draft("refund", operation, -clawback, effects)


def _decide_reverse_refund(operation: ReverseRefund, context: Context) -> Decision:
    refund = context.history.by_key(f"refund:{operation.refund_id}")
    if refund is None:
        return Refusal("unknown_refund", f"{operation.org} has no refund {operation.refund_id}")
    amount, effects = give_back(refund, context)
    about = {"session": refund["session"], "refund_id": refund["refund_id"], "cents": refund["cents"]}
    return _draft("reversal", operation, amount, {**about, **effects})


def give_back(entry: Entry, context: Context) -> tuple[int, dict[str, Any]]:
    """Amount and effects of giving back what ``entry`` took.

    What came from lots that have expired by now stays gone. The rest is a credit: it repays today's debt, with the part
    that had become debt first, then with the draws, last drawn first. Draws left over go back to their lots, debt left
    over becomes a lot that never expires.
    """
    forfeited: list[Draw] = []
    kept: list[Draw] = []
    for drawn in entry.get("draws", []):
        expires_at = _expiry_of(drawn["lot"], context)
        expired = expires_at is not None and expires_at <= context.at
        (forfeited if expired else kept).append({**drawn, "expires_at": expires_at})
    debt_part = entry["debt"]["owed"]
    repaid = repay(context.state.debt, debt_part + _total(kept))
    by_draws = max(0, repaid.total - debt_part)
    opened = max(0, debt_part - repaid.total)
    effects: dict[str, Any] = {
        "reverses": entry["seq"],
        "repaid": _debt_document(repaid),
        "restored": _all_but_last(kept, by_draws),
        "forfeited": [{"lot": gone["lot"], "units": gone["units"]} for gone in forfeited],
    }
    if opened:
        effects |= {"lot": context.seq, "units": opened, "expires_at": None}
    return debt_part + _total(kept), effects


def _all_but_last(draws: Sequence[Draw], units: int) -> list[Draw]:
    """``draws`` without the last ``units`` of them."""
    left: list[Draw] = []
    for drawn in reversed(draws):
        used = min(units, drawn["units"])
        units -= used
        if drawn["units"] > used:
            left.append({**drawn, "units": drawn["units"] - used})
    return left[::-1]


def _expiry_of(lot_id: int, context: Context) -> Instant | None:
    """When a lot expires or did: from the state while it lives, else from the entry that opened it."""
    for lot in context.state.lots:
        if lot.id == lot_id:
            return lot.expires_at
    opening = context.history.by_seq(lot_id)
    if opening is None:
        raise ValueError(f"lot {lot_id} was opened by no entry")
    return opening.get("expires_at")


def _decide_undo(operation: Undo, context: Context) -> Decision:
    entry = context.history.by_seq(operation.seq)
    if entry is None:
        return Refusal("unknown_entry", f"{operation.org} has no entry {operation.seq}")
    taken = entry["kind"] == "debit" or (entry["kind"] == "adjustment" and entry["amount"] < 0)
    if taken:
        amount, effects = give_back(entry, context)
        return _draft("reversal", operation, amount, effects)
    if entry["kind"] in ("topup", "adjustment"):
        return _void(operation, entry, context)
    return Refusal("not_undoable", f"entry {operation.seq} is a {entry['kind']}: it cannot be undone")


def _void(operation: Undo, entry: Entry, context: Context) -> Decision:
    whole = Lot(entry["seq"], entry["units"], entry["expires_at"])
    if whole not in context.state.lots:
        left = next((lot.remaining for lot in context.state.lots if lot.id == entry["seq"]), 0)
        return Refusal("lot_partly_used", f"of the {entry['units']} units of entry {entry['seq']}, {left} are left")
    effects: dict[str, Any] = {"reverses": entry["seq"], "voided": {"lot": entry["seq"], "units": entry["units"]}}
    if "session" in entry:
        effects["session"] = entry["session"]
    return _draft("reversal", operation, -entry["units"], effects)


def _org_plan(context: Context) -> str:
    return context.state.plan or context.terms.default_plan


def _decide_attribute(operation: Attribute, context: Context) -> Decision:
    if not context.terms.meter_mode:
        return Idle("disabled", "meter mode is off: usage is not booked")
    priced = _price(operation, context)
    if isinstance(priced, Refusal):
        return priced
    week = context.state.week or _week_to_open(context)
    used = week.used + priced.units
    overflow = max(0, used - week.quota) - max(0, week.used - week.quota)
    draws, rest = draw(context.state.lots, overflow)
    absorbed = rest if context.terms.overage == "absorb" else 0
    effects: dict[str, Any] = {
        "run": operation.run,
        "step": operation.step,
        "week": week.key,
        "cycle": week.cycle,
        "units": priced.units,
        "breakdown": priced.breakdown,
        "overflow": overflow,
        "uncovered": absorbed,
    }
    if context.state.week is None:
        effects["opened"] = week_document(week)
    if priced.capped_from is not None:
        effects["capped_from"] = priced.capped_from
    if overflow:
        effects |= {"draws": draws, "debt": _debt_document(Debt(0, rest - absorbed))}
    if alerts := crossed(context.terms.thresholds, week, week.used, used):
        effects["alerts"] = alerts
    return _draft("usage", operation, absorbed - overflow, effects)


def _week_to_open(context: Context) -> Week:
    return _fresh_week(weeks.week_key(context.at), 1, context.plans.in_force(_org_plan(context), context.at))


def _price(operation: Attribute, context: Context) -> Priced | Refusal:
    """Units of a run: as given, or from its costs by the ratios of the version given, frozen or in force."""
    version = _pricing_version(operation, context)
    if version is None:
        return Refusal("unknown_plan_version", f"the org's plan has no version {operation.plan_version}")
    if operation.units is not None:
        return Priced(operation.units, {"default": operation.units}, None)
    terms = context.terms
    try:
        priced = price_run(
            operation.costs or {},
            version.ratios,
            dollars_to_units=terms.dollars_to_units,
            run_base=terms.run_base,
            cap=terms.max_units_per_run,
        )
    except InvalidCost as problem:
        return Refusal("invalid_cost", str(problem))
    if priced.units > MAX_UNITS:
        return Refusal("amount_out_of_range", "the run comes to more than 2^53 - 1 units")
    return priced


def _pricing_version(operation: Attribute, context: Context) -> PlanVersion | None:
    week = context.state.week
    plan = week.plan if week is not None else _org_plan(context)
    if operation.plan_version is not None:
        return context.plans.version(plan, operation.plan_version, context.at)
    if week is None:
        return context.plans.in_force(plan, context.at)
    if week.version == 0:  # opened before anyone published the plan
        return unpublished(plan, context.at)
    return context.plans.version(plan, week.version, context.at)


def _decide_assign_plan(operation: AssignPlan, context: Context) -> Decision:
    plan, terms = operation.plan, context.terms
    if plan != terms.default_plan and not context.plans.versions(plan):
        return Refusal("unknown_plan", f"nobody has published a plan {plan!r}")
    if context.state.plan == plan:
        return Idle("unchanged", f"{operation.org} is on plan {plan} already")
    version = context.plans.in_force(plan, context.at)
    effects: dict[str, Any] = {"plan": plan, "version": version.version, "quota": version.weekly_quota}
    if context.state.week is not None:
        week = context.state.week._replace(quota=version.weekly_quota)
        # The quota moved, not the usage: whatever is reached under the new one counts as crossed now.
        if alerts := crossed(terms.thresholds, week, -1, week.used):
            effects["alerts"] = alerts
    return _draft("plan", operation, 0, effects)


def _decide_force_reset(operation: ForceReset, context: Context) -> Decision:
    if not context.terms.meter_mode:
        return Idle("disabled", "meter mode is off: there is no week to reset")
    week = context.state.week
    if week is None:
        return Refusal("no_open_week", f"{operation.org} has no open week")
    fresh = _fresh_week(week.key, week.cycle + 1, context.plans.in_force(_org_plan(context), context.at))
    effects = {"closed": week_document(week), "opened": week_document(fresh), "settled": 0}
    return _draft("reset", operation, 0, effects)


_RULES: dict[type[Operation], Callable[[Any, Context], Decision]] = {
    CreditPack: _decide_credit,
    Debit: _decide_debit,
    Refund: _decide_refund,
    ReverseRefund: _decide_reverse_refund,
    Adjust: _decide_adjust,
    Attribute: _decide_attribute,
    AssignPlan: _decide_assign_plan,
    Undo: _decide_undo,
    ForceReset: _decide_force_reset,
}


# ---------------------------------------------------------------------------------------------------- entries


class Stamp(NamedTuple):
    """Who books an entry and when. ``said``: the caller's time, None if he gave none."""

    actor: str
    reason: str | None
    recorded_at: Instant
    said: Instant | None = None


class Tip(NamedTuple):
    """Where a journal ends: what the next entry needs to know. `START` before the first."""

    seq: int
    at: Instant
    hash: str
    state: State


START = Tip(0, Instant(""), NO_HASH, EMPTY)


def tip_of(entry: Entry | None) -> Tip:
    return START if entry is None else Tip(entry["seq"], entry["at"], entry["hash"], state_after(entry))


def book(org: str, tip: Tip, at: Instant, draft: Draft, stamp: Stamp) -> tuple[Entry, Tip]:
    """The entry that ``draft`` becomes on top of ``tip``, and the tip it makes. ``at`` never goes back."""
    seq, at = tip.seq + 1, max(at, tip.at)
    state = apply(tip.state, seq, draft.kind, draft.effects)
    entry: dict[str, Any] = {
        "v": FORMAT_VERSION,
        "org": org,
        "seq": seq,
        "key": draft.key,
        "kind": draft.kind,
        "amount": draft.amount,
        "balance": state.balance,
        "at": at,
        "recorded_at": stamp.recorded_at,
        "actor": stamp.actor,
        "reason": stamp.reason,
        "input": draft.input,
        **draft.effects,
        "state": state_document(state),
        "prev": tip.hash,
    }
    if stamp.said is not None and stamp.said != at:
        entry["occurred_at"] = stamp.said
    entry["hash"] = entry_hash(entry)
    return entry, Tip(seq, at, entry["hash"], state)  # type: ignore[return-value]


def state_at(state: State, until: Instant, terms: Terms, plans: PlanBook) -> State:
    """``state`` once everything due by ``until`` is booked: what any read shows."""
    while (event := due(state, until, terms, plans)) is not None:
        state = apply(state, 0, event.draft.kind, event.draft.effects)
    return state


def book_due(
    org: str, tip: Tip, until: Instant, terms: Terms, plans: PlanBook, recorded_at: Instant
) -> Iterator[tuple[Entry, Tip]]:
    """Book everything due by ``until`` on top of ``tip``, in order of its own instant. Ends: each event removes a
    lot, or a week with at least one unit of debt settled or no week after it."""
    stamp = Stamp(DUE_ACTOR, None, recorded_at)
    while (event := due(tip.state, until, terms, plans)) is not None:
        entry, tip = book(org, tip, event.instant, event.draft, stamp)
        yield entry, tip
