"""Documents of commands that show and check."""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from meterctl.core.documents.entries import DebtDocument, DrawDocument, WeekDocument
from meterctl.core.documents.fields import (
    Available,
    Balance,
    Currency,
    Cycle,
    Expiry,
    Held,
    Org,
    Overage,
    Owed,
    Pack,
    Paid,
    Percent,
    Plan,
    Quota,
    Refunded,
    RefundId,
    Remaining,
    Seconds,
    Seq,
    Session,
    Used,
    Warnings,
    WeekKey,
    cents,
    instant,
    means,
    number,
    signed,
    text,
    units,
)
from meterctl.core.model import Instant


class BalanceLot(TypedDict):
    """A live lot and its origin."""

    id: Seq
    remaining: Remaining
    expires_at: Expiry | None
    priority: Annotated[int, number("lots with a lower number are drawn first", most=100)]
    paid: Annotated[bool, means("true: of a pack that was paid for")]

    pack: Annotated[Pack | None, means("pack, if the lot is of one")]
    session: Annotated[Session | None, means("payment of the pack")]
    units: Annotated[int | None, units("units the lot opened with, debt repaid included", least=1)]


class NextExpiry(TypedDict):
    """The next expiry."""

    at: Expiry
    units: Annotated[int, units("units that expire then", least=1)]


class MeterWeek(TypedDict):
    """The week."""

    key: WeekKey
    cycle: Cycle
    starts_at: Annotated[Instant, instant("Monday 00:00")]
    ends_at: Annotated[Instant, instant("the next Monday 00:00, when the week is over")]


class BalanceMark(TypedDict):
    """A balance, and the entry that made it."""

    at: Annotated[Instant, instant("from when on it stood so")]
    seq: Seq
    balance: Annotated[int, signed("the balance after that entry")]
    pending: Annotated[bool, means("true: the entry is due, and not booked yet")]


class BalancePoint(BalanceMark):
    """A slice of time: its last entry, and the lowest and highest balance in it."""

    low: Annotated[int, signed("the lowest balance in that slice")]
    high: Annotated[int, signed("the highest balance in that slice")]


class ClosedWeek(WeekDocument):
    """A week as it ended, and the entry that closed it."""

    settled: Annotated[int, units("overage paid from the quota of the next week")]
    closed_at: Annotated[Instant, instant("the instant it ended")]
    seq: Seq


class HistoryDocument(TypedDict):
    """Closed weeks, newest first."""

    schema: Literal["meterctl.history.v1"]
    org: Org
    known: Annotated[bool, means("false: the org has no journal")]
    weeks: list[ClosedWeek]


class LotState(TypedDict):
    """A lot and its history: units = debt + used + clawed + expired + forfeited + voided + remaining."""

    id: Seq
    state: Literal["live", "spent", "expired", "voided"]
    kind: Annotated[Literal["topup", "adjustment", "reversal", "reset"], means("kind of the entry that opened it")]
    remaining: Annotated[int, units("the rest of the lot")]
    expires_at: Expiry | None
    extended: Annotated[bool, means("true: the expiry was changed after the lot was opened")]
    priority: Annotated[int, number("lots with a lower number are drawn first", most=100)]
    paid: Annotated[bool, means("true: of a pack that was paid for")]
    pack: Annotated[Pack | None, means("pack, if the lot is of one")]
    session: Annotated[Session | None, means("payment of the pack")]
    opened_at: Annotated[Instant, instant("the instant it was opened")]
    units: Annotated[int, units("units it opened with, debt repaid included", least=1)]
    debt: Annotated[int, units("units that paid debt")]
    used: Annotated[int, units("units drawn and not given back")]
    clawed: Annotated[int, units("units that refunds took and did not give back")]
    expired: Annotated[int, units("units that expired")]
    forfeited: Annotated[int, units("units that came back after its expiry")]
    voided: Annotated[int, units("units removed when it was undone or voided")]


class LotsDocument(TypedDict):
    """The lots of an org: live ones in draw order, then past ones, newest first."""

    schema: Literal["meterctl.lots.v1"]
    org: Org
    known: Annotated[bool, means("false: the org has no journal")]
    as_of: Annotated[Instant, instant("the instant these figures are true of")]
    lots: list[LotState]


class Alert(TypedDict):
    """A threshold crossed, or a balance that fell below a level."""

    org: Org
    kind: Annotated[Literal["threshold", "balance"], means("a percent of the quota reached, or a low balance")]
    week: WeekKey | None
    cycle: Cycle | None
    percent: Percent | None
    used: Used | None
    quota: Quota | None
    below: Annotated[int | None, signed("the level that the balance fell below; null: a threshold")]
    balance: Annotated[int, signed("the balance after it")]
    at: Annotated[Instant, instant("the instant it was crossed")]
    recorded_at: Annotated[Instant, instant("the instant the crossing was booked")]
    seq: Seq


class Alerts(TypedDict):
    """Thresholds crossed, oldest first; a feed in the order in which they were booked."""

    schema: Literal["meterctl.alerts.v1"]
    org: Annotated[Org | None, means("null: all orgs")]
    known: Annotated[bool, means("false: the org has no journal")]
    since: Annotated[Instant | None, instant("crossed from then on")]
    until: Annotated[Instant | None, instant("of a feed: booked before then; later entries are not settled yet")]
    next: Annotated[str | None, text("of a feed: the cursor to go on with, opaque")]
    alerts: list[Alert]


class OrgRecord(TypedDict):
    """An org in short."""

    org: Org
    balance: Balance
    available: Available
    allowed: Annotated[bool, means("true: it may run; false: it is blocked")]
    held: Held
    owed: Owed
    overage: Overage
    debt_since: Annotated[Instant | None, instant("begin of today's debt; null: none, or not looked up")]
    lots: Annotated[int, number("live lots")]
    next_expiry: Expiry | None
    expiring_units: Annotated[int, units("units that expire then")]
    plan: Plan
    quota: Quota
    used: Used
    pace: Annotated[int | None, units("average metered use a week; null: too little history, or not looked up")]
    runs_out: Annotated[Instant | None, instant("at that pace nothing is left then; null: not foreseen")]
    last_at: Annotated[Instant, instant("the instant its newest entry takes effect")]
    seq: Seq
    checked: Annotated[bool, means("true: held against the journal; false: as cached, beyond the first 1,000 rows")]


class Orgs(TypedDict):
    """Orgs and their balances."""

    schema: Literal["meterctl.orgs.v1"]
    as_of: Annotated[Instant, instant("the instant these figures are true of")]
    prefix: Annotated[str | None, text("those whose id begins so")]
    expiring_by: Annotated[Instant | None, instant("those with units that expire by then")]
    idle_since: Annotated[Instant | None, instant("those with no entry since then")]
    owing_since: Annotated[Instant | None, instant("those in debt since then or longer")]
    runs_out_by: Annotated[Instant | None, instant("those that run out by then at their pace")]
    orgs: list[OrgRecord]


class RefundPreview(TypedDict):
    """The units a refund would claw back."""

    schema: Literal["meterctl.refund-preview.v1"]
    org: Org
    session: Session
    pack: Pack
    currency: Currency
    paid_cents: Paid
    cents: Refunded
    refunded_cents_before: Annotated[int, cents("refunded so far")]
    refunded_cents_after: Annotated[int, cents("refunded with it")]
    pack_units: Annotated[int, units("units of the pack", least=1)]
    remaining_units: Annotated[int, units("the rest of the pack's lot")]
    used_units: Annotated[int, units("units of it used")]
    expired_units: Annotated[int, units("units of it expired")]
    clawed_units_before: Annotated[int, units("units that earlier refunds clawed back")]
    units: Annotated[int, units("units it would claw back")]
    forgiven: Annotated[int, units("units it would claw, but are gone already")]
    draws: Annotated[list[DrawDocument], means("the lots it would be taken from")]
    balance: Balance
    balance_after: Annotated[int, signed("the balance with it")]
    debt_after: Annotated[DebtDocument, means("the debt with it")]
    refundable_cents_after: Annotated[int, cents("money that could still be refunded")]
    clawable_units_after: Annotated[int, units("units that could still be clawed back")]
    warnings: NotRequired[Warnings]


class FindingRecord(TypedDict):
    """A result of a check of a journal."""

    org: Org | None
    seq: Seq | None
    check: Annotated[int, number("the check; 0: it is no entry at all")]
    message: Annotated[str, text("the fault, for people")]
    count: Annotated[int, number("findings equal to it, itself included; seq is the first one's", least=1)]


class Disagreement(TypedDict):
    """A difference between a payment at its provider and the journal."""

    kind: Annotated[str, text("the kind of difference")]
    org: Org | None
    session: Session
    refund_id: RefundId | None
    expected: Annotated[str, text("the state at the provider: Stripe, or the file of payments")]
    found: Annotated[str, text("the state of the journal")]
    message: Annotated[str, text("the difference, for people")]
    fix: Annotated[str, text("commands that would mend it")]
    operations: Annotated[list[dict[str, Any]], means("the same, as lines for backfill")]


class Reconcile(TypedDict):
    """The differences between a provider's payments and the journal."""

    schema: Literal["meterctl.reconcile.v1"]
    ok: Annotated[bool, means("true: nothing differs")]
    mode: Annotated[Literal["live", "test"] | None, means("mode of the Stripe key; null for a file of payments")]
    since: Annotated[Instant | None, instant("payments and bookings from then on")]
    until: Annotated[Instant, instant("payments and bookings before then")]
    counts: Annotated[dict[str, int], means("objects seen, and findings by kind")]
    findings: list[Disagreement]
    plan_out: Annotated[str | None, text("file with the operations that would mend it")]
    seconds: Seconds
    journal_found: Annotated[bool, means("false: the store has no journal")]
