"""The rules: what an operation books, decided from a state and nothing else.

Pure: `decide` answers an operation with a `Draft`, a `Refusal`, or with nothing to do. Time's own events are in
`meterctl.core.domain.due_events`, what effects do to a state in `meterctl.core.domain.effects`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from meterctl.core.domain import instants, weeks
from meterctl.core.domain.due_events import crossed, fresh_week
from meterctl.core.domain.effects import Draft, credit_effects, debt_document, draw, repay, total_units
from meterctl.core.domain.operations import (
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
from meterctl.core.domain.policy import PlanBook, Terms, unpublished
from meterctl.core.domain.pricing import InvalidCost, Priced, price_run, refund_target
from meterctl.core.errors import Damaged, Refusal, did_you_mean
from meterctl.core.model import (
    MAX_UNITS,
    Debt,
    Draw,
    Entry,
    Instant,
    Kind,
    Lot,
    PlanVersion,
    State,
    Week,
    week_document,
)


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


def decide(operation: Operation, context: Context) -> Decision:
    """What ``operation`` books in ``context``. Replays and conflicts are settled before; due events are booked.

    Each rule below is a ladder of refusals, the most basic first; past its last rung nothing can fail but the size of
    the sums, which `out_of_range` tells of the state that results.
    """
    return _RULES[type(operation)](operation, context)


def out_of_range(state: State) -> Refusal | None:
    """A refusal if ``state`` holds a sum that JSON readers could not keep exact."""
    used = 0 if state.week is None else state.week.used
    # Lots and debt never stand together, so the balance bounds both.
    if -MAX_UNITS <= state.balance <= MAX_UNITS and used <= MAX_UNITS:
        return None
    return Refusal("amount_out_of_range", "the org's units would leave the range of +-(2^53 - 1)")


def _draft(kind: Kind, operation: Operation, amount: int, effects: dict[str, Any]) -> Draft:
    return Draft(kind, operation.key, amount, operation.parameters(), effects)


def _decide_credit(operation: CreditPack, context: Context) -> Decision:
    pack = context.terms.packs.get(operation.pack)
    if pack is None:
        near = did_you_mean(operation.pack, context.terms.packs)
        return Refusal("unknown_pack", f"there is no pack {operation.pack!r} in the config{near}")
    paid_cents = pack.price_cents if operation.paid_cents is None else operation.paid_cents
    expires_at = None if pack.expiry_days is None else instants.add_days(context.said, pack.expiry_days)
    effects = {
        "pack": operation.pack,
        "session": operation.session,
        "paid_cents": paid_cents,
        "currency": pack.currency,
        **credit_effects(context.state, context.seq, pack.units, expires_at),
    }
    # The input holds the price as resolved, so that a later price change cannot turn a retry into a conflict.
    return Draft("topup", operation.key, pack.units, {**operation.parameters(), "paid_cents": paid_cents}, effects)


def _take(operation: Debit | Adjust, kind: Kind, units: int, context: Context) -> Decision:
    """Draw ``units``; what no lot holds is owed if the operation allows that, else nothing happens."""
    draws, owed = draw(context.state.lots, units)
    if owed and not operation.allow_debt:
        return Refusal(
            "insufficient_balance",
            f"{units:,} unit{'' if units == 1 else 's'} asked, {total_units(draws):,} available: "
            f"the balance is {context.state.balance:,}",
        )
    effects = {"units": units, "draws": draws, "debt": debt_document(Debt(owed, 0))}
    return _draft(kind, operation, -units, effects)


def _decide_debit(operation: Debit, context: Context) -> Decision:
    return _take(operation, "debit", operation.units, context)


def _decide_adjust(operation: Adjust, context: Context) -> Decision:
    if operation.units < 0:
        return _take(operation, "adjustment", -operation.units, context)
    if operation.expires_at is not None and operation.expires_at <= context.said:
        return Refusal("expires_in_past", f"the units would expire at {operation.expires_at}, before they are given")
    effects = credit_effects(context.state, context.seq, operation.units, operation.expires_at)
    return _draft("adjustment", operation, operation.units, effects)


class Refundable(NamedTuple):
    """Where a session stands: what was sold, what has been given back, and what may still be clawed."""

    topup: Entry
    refunded_cents: int
    clawed: int
    forgiven: int
    expired: int
    forfeited: int

    @property
    def clawable(self) -> int:
        return max(0, self.topup["units"] - self.expired - self.forfeited - self.clawed)

    def target(self, cents: int) -> int:
        """Units that refunding ``cents`` more aims at: what all of it comes to, less what the standing refunds aimed
        at. So parts add up to the pack exactly, whichever of them were taken back."""
        aim = refund_target(self.topup["units"], self.refunded_cents + cents, self.topup["paid_cents"])
        return max(0, aim - self.clawed - self.forgiven)


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
        sum(entry["forgiven"] for entry in standing),
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
        "currency": topup["currency"],
        "lot": topup["seq"],
        "units": clawback,
        "forgiven": target - clawback,
        "draws": draws,
        "debt": debt_document(Debt(owed, 0)),
    }
    return _draft("refund", operation, -clawback, effects)


def _decide_reverse_refund(operation: ReverseRefund, context: Context) -> Decision:
    refund = context.history.by_key(f"refund:{operation.refund_id}")
    if refund is None:
        return Refusal("unknown_refund", f"{operation.org} has no refund {operation.refund_id}")
    amount, effects = give_back(refund, context)
    about = {name: refund[name] for name in ("session", "refund_id", "cents", "currency")}
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
    repaid = repay(context.state.debt, debt_part + total_units(kept))
    by_draws = max(0, repaid.total - debt_part)
    opened = max(0, debt_part - repaid.total)
    effects: dict[str, Any] = {
        "reverses": entry["seq"],
        "repaid": debt_document(repaid),
        "restored": _all_but_last(kept, by_draws),
        "forfeited": [{"lot": gone["lot"], "units": gone["units"]} for gone in forfeited],
    }
    if opened:
        effects |= {"lot": context.seq, "units": opened, "expires_at": None}
    return debt_part + total_units(kept), effects


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
        raise Damaged(f"lot {lot_id} was opened by no entry that is there")
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
        return Refusal("lot_partly_used", f"of the {entry['units']:,} units of entry {entry['seq']}, {left:,} are left")
    # Its lot may be whole although money for it went back: other lots may have paid, or none had to for so few cents.
    # Taken away now, it would be paid twice; and credited to another org, its money could be refunded once more.
    standing = refundable(entry["session"], context.history) if entry["kind"] == "topup" else None
    if standing is not None and standing.refunded_cents:
        return Refusal(
            "lot_partly_used",
            f"{standing.refunded_cents:,} cents of entry {entry['seq']} are refunded: reverse that first",
        )
    effects: dict[str, Any] = {"reverses": entry["seq"], "voided": {"lot": entry["seq"], "units": entry["units"]}}
    if "session" in entry:
        effects["session"] = entry["session"]
    return _draft("reversal", operation, -entry["units"], effects)


def _in_force(context: Context) -> PlanVersion:
    """The version of the org's plan that is in force."""
    return context.plans.in_force(context.terms.plan_of(context.state), context.at)


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
        effects |= {"draws": draws, "debt": debt_document(Debt(0, rest - absorbed))}
    if alerts := crossed(context.terms.thresholds, week, week.used, used):
        effects["alerts"] = alerts
    return _draft("usage", operation, absorbed - overflow, effects)


def _week_to_open(context: Context) -> Week:
    return fresh_week(weeks.week_key(context.at), 1, _in_force(context))


def _price(operation: Attribute, context: Context) -> Priced | Refusal:
    """Units of a run: as given, or from its costs by the ratios of the version given, frozen or in force."""
    version = _pricing_version(operation, context)
    if isinstance(version, Refusal):
        return version
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
    if (priced.capped_from or priced.units) > MAX_UNITS:
        return Refusal("amount_out_of_range", "the run comes to more than 2^53 - 1 units")
    return priced


def _pricing_version(operation: Attribute, context: Context) -> PlanVersion | Refusal:
    week, number = context.state.week, operation.plan_version
    plan = week.plan if week is not None else context.terms.plan_of(context.state)
    if number is None:
        if week is None:
            return context.plans.in_force(plan, context.at)
        if week.version == 0:  # opened before anyone published the plan
            return unpublished(plan, context.at)
        number = week.version
    version = context.plans.version(plan, number, context.at)
    return version or Refusal("unknown_plan_version", f"plan {plan} has no version {number}")


def _decide_assign_plan(operation: AssignPlan, context: Context) -> Decision:
    plan, terms = operation.plan, context.terms
    if plan != terms.default_plan and not context.plans.versions(plan):
        near = did_you_mean(plan, context.plans.names())
        return Refusal("unknown_plan", f"nobody has published a plan {plan!r}{near}")
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
    fresh = fresh_week(week.key, week.cycle + 1, _in_force(context))
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


class Admission(NamedTuple):
    """Whether an org may run: ``available`` units are left of quota and balance together."""

    available: int
    allowed: bool


def admission(state: State, quota: int, asked: int = 0) -> Admission:
    """May an org in ``state``, with ``quota`` for the week, run ``asked`` units? The only place that says so."""
    used = 0 if state.week is None else state.week.used
    available = max(0, quota - used) + state.balance
    return Admission(available, available >= max(1, asked))
