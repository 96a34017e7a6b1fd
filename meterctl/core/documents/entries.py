"""Entries of a journal, by kind, and the state after them."""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from meterctl.core.documents.fields import (
    HASH,
    Actor,
    Breakdown,
    Currency,
    Cycle,
    Expiry,
    HoldId,
    Org,
    Pack,
    Paid,
    Percent,
    Plan,
    Priority,
    Quantity,
    Quota,
    Reason,
    Refunded,
    RefundId,
    Remaining,
    Seq,
    Session,
    Tax,
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
    """Units below zero, by their cause."""

    owed: Annotated[int, units("clawbacks and forced debits")]
    overage: Annotated[int, units("usage beyond quota and lots")]


class LotDocument(TypedDict):
    """Live units of one credit."""

    id: Seq
    remaining: Remaining
    expires_at: Expiry | None
    priority: NotRequired[Priority]
    paid: NotRequired[Annotated[Literal[True], means("of a topup; left out otherwise")]]


class DrawDocument(TypedDict):
    """Units taken from a lot, or given back to it."""

    lot: Seq
    units: Annotated[int, units("units", least=1)]


class Restored(DrawDocument):
    """Units given back to a lot, with all that it opens with again."""

    expires_at: Expiry | None
    priority: NotRequired[Priority]
    paid: NotRequired[Literal[True]]


OverflowPart = TypedDict(
    "OverflowPart",
    {
        "from": Annotated[int | Literal["debt", "uncovered"], means("the lot drawn from; or debt, or nothing")],
        "units": Annotated[int, units("units", least=1)],
    },
)

NextPlanDocument = TypedDict(
    "NextPlanDocument",
    {
        "plan": Plan,
        "from": Annotated[Instant, instant("the instant it takes effect")],
        "entry": Annotated[Seq, means("the assignment")],
    },
)

_Dated = TypedDict("_Dated", {"from": NotRequired[Annotated[Instant, instant("the instant it takes effect")]]})


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
    overflow: NotRequired[
        Annotated[list[OverflowPart], means("units used beyond the quota by source, in the order booked")]
    ]


class HoldDocument(TypedDict):
    """Units reserved for a run."""

    id: HoldId
    units: Annotated[int, units("units reserved", least=1)]
    expires_at: Annotated[Instant, instant("the instant it runs out")]


class StateDocument(TypedDict):
    """The org's whole state after an entry."""

    lots: Annotated[list[LotDocument], means("live lots in draw order")]
    debt: DebtDocument
    plan: Annotated[Plan | None, means("plan assigned; null: the default plan")]
    week: Annotated[WeekDocument | None, means("the open week; null where there was no usage yet")]
    next_plan: NotRequired[Annotated[NextPlanDocument, means("a plan assigned from later on")]]
    holds: NotRequired[Annotated[list[HoldDocument], means("units on hold, by expiry")]]


class ImportedMark(TypedDict):
    """The source of imported history."""

    source: Annotated[str, text("the other system")]
    id: Annotated[str, text("the id that the old thing has there")]
    kind: Annotated[str, text("its kind there")]


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
    approved_by: NotRequired[Annotated[str, text("the person who carried out a saved plan of the actor")]]
    reason: Reason
    input: Annotated[dict[str, Any], means("operation and parameters, which a repetition is compared with")]
    state: StateDocument
    prev: Annotated[str, text("hash of the previous entry; zeros for the first", HASH)]
    hash: Annotated[str, text("SHA-256 over prev and the canonical entry", HASH)]
    imported: NotRequired[Annotated[ImportedMark, means("history of another system")]]
    low: NotRequired[Annotated[list[int], means("balance alerts: the balance fell below these with it, descending")]]
    pending: NotRequired[Annotated[Literal[True], means("due, and not booked yet")]]


class _Credit(_Entry):
    lot: Annotated[Seq, means("the lot it opens: its own seq")]
    units: Annotated[int, units("units that came in", least=1)]
    expires_at: Expiry | None
    priority: NotRequired[Priority]
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
    quantity: Quantity
    paid_cents: Paid
    tax_cents: Tax
    currency: Currency
    names: Annotated[list[str], means("further ids of the same payment")]


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
    units: Annotated[int, units("units that expired", least=1)]
    expires_at: Expiry


class Adjustment(_Entry):
    """A correction or a grant: with lot it brought units in, with draws it took them."""

    kind: Literal["adjustment"]
    amount: Annotated[int, signed("change of the balance, never 0")]
    units: Annotated[int, units("units", least=1)]
    lot: NotRequired[Seq]
    expires_at: NotRequired[Expiry | None]
    priority: NotRequired[Priority]
    repaid: NotRequired[DebtDocument]
    draws: NotRequired[list[DrawDocument]]
    debt: NotRequired[DebtDocument]
    voids: NotRequired[Annotated[Seq, means("the lot that was voided: the rest of it was taken")]]


class Uncounted(TypedDict):
    """Usage that an undo took out of the open week."""

    units: Annotated[int, units("units of the run")]
    breakdown: Breakdown
    uncovered: Uncovered
    debt: Annotated[int, units("overflow that had become debt")]
    draws: Annotated[list[DrawDocument], means("overflow that had been drawn from lots")]


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
    uncounted: NotRequired[Annotated[Uncounted, means("of an undone run: its usage")]]
    session: NotRequired[Session]
    refund_id: NotRequired[RefundId]
    cents: NotRequired[Refunded]
    currency: NotRequired[Currency]


class Released(TypedDict):
    """A hold that a run let go."""

    hold: HoldId
    units: Annotated[int, units("units that were reserved", least=1)]


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
    released: NotRequired[Annotated[Released, means("the hold that it let go")]]


class Reset(_Entry):
    """A week closed; the amount is debt settled from the next week's quota, and units rolled over."""

    kind: Literal["reset"]
    amount: Annotated[int, units("change of the balance")]
    closed: Annotated[WeekDocument, means("the week as it ended")]
    opened: Annotated[WeekDocument | None, means("the week that began with it; null where the next usage opens it")]
    settled: Annotated[int, units("overage paid from the quota of the week that began")]
    alerts: NotRequired[Annotated[list[Percent], means("thresholds that the settled units reached")]]
    lot: NotRequired[Annotated[Seq, means("the lot of units rolled over: its own seq")]]
    units: NotRequired[Annotated[int, units("units of unused quota rolled over", least=1)]]
    expires_at: NotRequired[Expiry]


class PlanChange(_Entry, _Dated):
    """Plan assigned: now, or from a later instant on."""

    kind: Literal["plan"]
    amount: Annotated[Literal[0], means("a plan moves no units")]
    plan: Plan
    version: NotRequired[Version]
    quota: NotRequired[Quota]
    opened: NotRequired[Annotated[WeekDocument, means("the week it opened: quota left at its end rolls over")]]
    alerts: NotRequired[Annotated[list[Percent], means("thresholds reached under the new quota")]]


class Extension(_Entry):
    """A lot's expiry changed."""

    kind: Literal["extension"]
    amount: Annotated[Literal[0], means("an extension moves no units")]
    lot: Seq
    expires_at: Expiry | None


class HoldPlaced(_Entry):
    """Units reserved for a run."""

    kind: Literal["hold"]
    amount: Annotated[Literal[0], means("a hold moves no units")]
    hold: HoldId
    units: Annotated[int, units("units reserved", least=1)]
    expires_at: Annotated[Instant, instant("the instant it runs out")]


class ReleaseDocument(_Entry):
    """Reserved units let go: by hand, or because the hold ran out."""

    kind: Literal["release"]
    amount: Annotated[Literal[0], means("a release moves no units")]
    hold: HoldId
    units: Annotated[int, units("units that were reserved", least=1)]
    expires_at: NotRequired[Annotated[Instant, instant("the instant it ran out; missing if released by hand")]]


EntryDocument = Annotated[
    Topup
    | DebitDocument
    | RefundDocument
    | Expiration
    | Adjustment
    | Reversal
    | Usage
    | Reset
    | PlanChange
    | Extension
    | HoldPlaced
    | ReleaseDocument,
    means("One immutable entry of an org's journal.", discriminator="kind"),
]
