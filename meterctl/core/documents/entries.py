"""Entries of a journal, by kind, and the state after them."""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from meterctl.core.documents.fields import (
    HASH,
    Actor,
    Breakdown,
    Currency,
    Cycle,
    Expiry,
    Org,
    Pack,
    Paid,
    Percent,
    Plan,
    Quota,
    Reason,
    Refunded,
    RefundId,
    Remaining,
    Seq,
    Session,
    Uncovered,
    Used,
    Version,
    WeekKey,
    instant,
    means,
    signed,
    text,
    units,
)
from meterctl.core.model import MAX_UNITS, Instant


class DebtDocument(TypedDict):
    """Units below zero, by where they came from."""

    owed: Annotated[int, units("clawbacks and forced debits")]
    overage: Annotated[int, units("usage beyond quota and lots")]


class LotDocument(TypedDict):
    """Live units of one credit."""

    id: Seq
    remaining: Remaining
    expires_at: Expiry | None


class DrawDocument(TypedDict):
    """Units taken from a lot, or given back to it."""

    lot: Seq
    units: Annotated[int, units("how many", least=1)]


class Restored(DrawDocument):
    """Units given back to a lot, with the expiry it opens with again."""

    expires_at: Expiry | None


class WeekDocument(TypedDict):
    """A week of metered usage with the plan it was opened under."""

    key: WeekKey
    cycle: Cycle
    plan: Plan
    version: Version
    quota: Quota
    used: Used
    uncovered: Uncovered
    breakdown: Breakdown
    alerts: Annotated[list[Percent], means("thresholds reached, in order")]


class StateDocument(TypedDict):
    """The org's whole state after an entry."""

    lots: Annotated[list[LotDocument], means("live lots in draw order")]
    debt: DebtDocument
    plan: Annotated[Plan | None, means("plan assigned; null: the default plan")]
    week: Annotated[WeekDocument | None, means("the open week; null where there was no usage yet")]


class _Entry(TypedDict):
    """The fields of every entry. hash covers prev and the canonical JSON of the entry without hash."""

    v: Annotated[Literal[1], means("version of the entry format")]
    org: Org
    seq: Seq
    key: Annotated[str, text("the name under which it happens once: unique in the org for ever")]
    balance: Annotated[int, signed("the org's balance after the entry")]
    at: Annotated[Instant, instant("the instant it takes effect")]
    occurred_at: NotRequired[Annotated[Instant, instant("the time the caller gave, if it differs")]]
    recorded_at: Annotated[Instant, instant("the instant it was booked")]
    actor: Actor
    reason: Reason
    input: Annotated[dict[str, Any], means("operation and parameters, which a repetition is compared with")]
    state: StateDocument
    prev: Annotated[str, text("hash of the previous entry; zeros for the first", HASH)]
    hash: Annotated[str, text("SHA-256 over prev and the canonical entry", HASH)]
    pending: NotRequired[Annotated[Literal[True], means("due, and not booked yet")]]


class _Credit(_Entry):
    lot: Annotated[Seq, means("the lot it opens: its own seq")]
    units: Annotated[int, units("units that came in", least=1)]
    expires_at: Expiry | None
    repaid: Annotated[DebtDocument, means("the part of the units that went into debt")]


class _Taking(TypedDict):
    draws: Annotated[list[DrawDocument], means("units taken from lots")]
    debt: Annotated[DebtDocument, means("units that no lot held")]


class Topup(_Credit):
    """A pack bought: opens a lot."""

    kind: Literal["topup"]
    amount: Annotated[int, signed("change of the balance")]
    pack: Pack
    session: Session
    paid_cents: Paid
    currency: Currency


class DebitDocument(_Entry, _Taking):
    """Units taken by hand or by a service."""

    kind: Literal["debit"]
    amount: Annotated[int, units("change of the balance", least=-MAX_UNITS, most=-1)]
    units: Annotated[int, units("units asked", least=1)]


class RefundDocument(_Entry, _Taking):
    """Clawback for money given back."""

    kind: Literal["refund"]
    amount: Annotated[int, units("change of the balance", least=-MAX_UNITS, most=0)]
    session: Session
    refund_id: RefundId
    cents: Refunded
    currency: Currency
    lot: Annotated[Seq, means("the lot of the pack refunded")]
    units: Annotated[int, units("units clawed back")]
    forgiven: Annotated[int, units("units not clawed because they were gone already")]


class Expiration(_Entry):
    """A lot's unspent rest, at its expiry."""

    kind: Literal["expiration"]
    amount: Annotated[int, units("change of the balance", least=-MAX_UNITS, most=-1)]
    lot: Seq
    units: Annotated[int, units("what expired", least=1)]
    expires_at: Expiry


class Adjustment(_Entry):
    """A correction or a grant: with lot it brought units in, with draws it took them."""

    kind: Literal["adjustment"]
    amount: Annotated[int, signed("change of the balance, never 0")]
    units: Annotated[int, units("how many", least=1)]
    lot: NotRequired[Seq]
    expires_at: NotRequired[Expiry | None]
    repaid: NotRequired[DebtDocument]
    draws: NotRequired[list[DrawDocument]]
    debt: NotRequired[DebtDocument]


class Reversal(_Entry):
    """An undo, or a refund taken back: it gives units back (restored) or removes a lot (voided)."""

    kind: Literal["reversal"]
    amount: Annotated[int, signed("change of the balance")]
    reverses: Annotated[Seq, means("the entry taken back")]
    restored: NotRequired[Annotated[list[Restored], means("units that went back to lots")]]
    forfeited: NotRequired[Annotated[list[DrawDocument], means("units that stay gone: their lot has expired")]]
    repaid: NotRequired[DebtDocument]
    lot: NotRequired[Seq]
    units: NotRequired[Annotated[int, units("units the lot opens with", least=1)]]
    expires_at: NotRequired[None]
    voided: NotRequired[Annotated[DrawDocument, means("the lot removed, whole")]]
    session: NotRequired[Session]
    refund_id: NotRequired[RefundId]
    cents: NotRequired[Refunded]
    currency: NotRequired[Currency]


class Usage(_Entry):
    """A metered run; the amount is the part beyond the week's quota."""

    kind: Literal["usage"]
    amount: Annotated[int, units("change of the balance", least=-MAX_UNITS, most=0)]
    run: Annotated[str, text("the run")]
    step: Annotated[str, text("the run's step")]
    week: WeekKey
    cycle: Cycle
    units: Annotated[int, units("units of the run")]
    breakdown: Breakdown
    overflow: Annotated[int, units("the part above the quota")]
    uncovered: Uncovered
    opened: NotRequired[Annotated[WeekDocument, means("the week it opened, as it stood before the run")]]
    capped_from: NotRequired[Annotated[int, units("units of the run before the cap", least=1)]]
    draws: NotRequired[list[DrawDocument]]
    debt: NotRequired[DebtDocument]
    alerts: NotRequired[Annotated[list[Percent], means("thresholds this run reached, in order")]]


class Reset(_Entry):
    """A week closed; the amount is debt settled from the next week's quota."""

    kind: Literal["reset"]
    amount: Annotated[int, units("change of the balance")]
    closed: Annotated[WeekDocument, means("the week as it ended")]
    opened: Annotated[WeekDocument | None, means("the week that began with it; null where the next usage opens it")]
    settled: Annotated[int, units("overage paid from the quota of the week that began")]
    alerts: NotRequired[Annotated[list[Percent], means("thresholds that the settled units reached")]]


class PlanChange(_Entry):
    """Plan assigned."""

    kind: Literal["plan"]
    amount: Annotated[Literal[0], means("a plan moves no units")]
    plan: Plan
    version: Version
    quota: Quota
    alerts: NotRequired[Annotated[list[Percent], means("thresholds reached under the new quota")]]


EntryDocument = Annotated[
    Topup | DebitDocument | RefundDocument | Expiration | Adjustment | Reversal | Usage | Reset | PlanChange,
    means("One immutable entry of an org's journal.", discriminator="kind"),
]
