"""Documents of commands that show and check."""

from typing import Annotated, Any, Literal, TypedDict

from meterctl.core.documents.entries import DebtDocument, DrawDocument, EntryDocument, LotDocument, WeekDocument
from meterctl.core.documents.fields import (
    Balance,
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
    Refunded,
    RefundId,
    Seconds,
    Seq,
    Session,
    Uncovered,
    Used,
    Version,
    WeekKey,
    cents,
    instant,
    means,
    number,
    signed,
    text,
    units,
)


class BalanceLot(LotDocument):
    """A live lot and where it came from."""

    pack: Annotated[Pack | None, means("pack, if the lot is of one")]
    session: Annotated[Session | None, means("payment of the pack")]
    units: Annotated[int | None, units("what the lot opened with, debt repaid included", least=1)]


class NextExpiry(TypedDict):
    """What expires next."""

    at: Expiry
    units: Annotated[int, units("how much expires then", least=1)]


class BalanceDocument(TypedDict):
    """What an org holds."""

    schema: Literal["meterctl.balance.v1"]
    org: Org
    as_of: Annotated[str, instant("when it holds that")]
    balance: Balance
    lots: Annotated[list[BalanceLot], means("live lots in draw order")]
    debt: DebtDocument
    next_expiry: NextExpiry | None
    seq: Annotated[int, number("the newest entry it rests on; 0 where there is none")]


class MeterWeek(TypedDict):
    """Which week it is."""

    key: WeekKey
    cycle: Cycle
    starts_at: Annotated[str, instant("Monday 00:00")]
    ends_at: Annotated[str, instant("the next Monday 00:00, when the week is over")]


class MeterDocument(TypedDict):
    """Where an org stands in its week, and whether it may run."""

    schema: Literal["meterctl.meter.v1"]
    org: Org
    plan: Plan
    plan_version: Version
    week: MeterWeek
    quota: Quota
    used: Used
    remaining: Annotated[int, units("what is left of the quota")]
    uncovered: Uncovered
    breakdown: Breakdown
    alerts: Annotated[list[Percent], means("thresholds reached, in order")]
    balance: Balance
    available: Annotated[int, signed("what is left of quota and balance together")]
    allowed: Annotated[bool, means("whether it may run what was asked")]
    asked: Annotated[int, units("what was asked; 0: anything at all")]
    as_of: Annotated[str, instant("when it stands there")]


class LedgerDocument(TypedDict):
    """A page of a journal, newest first."""

    schema: Literal["meterctl.ledger.v1"]
    org: Org
    balance: Balance
    entries: list[EntryDocument]
    next_before: Annotated[Seq | None, means("--before of the next page; null: this is the last")]
    since: Annotated[str | None, instant("entries from then on")]
    until: Annotated[str | None, instant("entries before then")]


class BalanceMark(TypedDict):
    """A balance, and the entry that made it."""

    at: Annotated[str, instant("from when on it stood so")]
    seq: Seq
    balance: Annotated[int, signed("the balance after that entry")]
    pending: Annotated[bool, means("true: the entry is due, and not booked yet")]


class BalancePoint(BalanceMark):
    """How a slice of time ended, by its last entry, and how low and how high the balance was in it."""

    low: Annotated[int, signed("the lowest balance in that slice")]
    high: Annotated[int, signed("the highest balance in that slice")]


class LedgerChartDocument(TypedDict):
    """The balance of an org over time."""

    schema: Literal["meterctl.ledger-chart.v1"]
    org: Org
    balance: Annotated[int, signed("the balance at the end")]
    since: Annotated[str | None, instant("where it begins: as asked, else at the first entry; null: there is none")]
    until: Annotated[str, instant("where it ends: as asked, else now")]
    lowest: Annotated[BalanceMark | None, means("where it was lowest, the first time")]
    highest: Annotated[BalanceMark | None, means("where it was highest, the first time")]
    points: Annotated[
        list[BalancePoint],
        means(
            "by equal slices of the time, at most 240 of them; slices in which no units moved have none, "
            "for the balance stays what it was. With a since that lies behind the first entry, the first is the "
            "balance at that instant"
        ),
    ]


class ClosedWeek(WeekDocument):
    """A week as it ended, and the entry that closed it."""

    settled: Annotated[int, units("overage paid from the quota of the next week")]
    closed_at: Annotated[str, instant("when it ended")]
    seq: Seq


class HistoryDocument(TypedDict):
    """Closed weeks, newest first."""

    schema: Literal["meterctl.history.v1"]
    org: Org
    weeks: list[ClosedWeek]


class Alert(TypedDict):
    """A threshold crossed."""

    org: Org
    week: WeekKey
    cycle: Cycle
    percent: Percent
    used: Used
    quota: Quota
    at: Annotated[str, instant("when it was crossed")]
    recorded_at: Annotated[str, instant("when that was booked")]
    seq: Seq


class Alerts(TypedDict):
    """Thresholds crossed, oldest first; a feed in the order in which they were booked."""

    schema: Literal["meterctl.alerts.v1"]
    org: Annotated[Org | None, means("null: all orgs")]
    since: Annotated[str | None, instant("crossed from then on")]
    until: Annotated[str | None, instant("of a feed: booked before then, for what was later is not settled yet")]
    next: Annotated[str | None, text("of a feed: the cursor to go on with, opaque")]
    alerts: list[Alert]


class OrgRecord(TypedDict):
    """What an org holds, in short."""

    org: Org
    balance: Balance
    owed: Annotated[int, units("debt of clawbacks and forced debits")]
    overage: Annotated[int, units("debt of usage beyond quota and lots")]
    lots: Annotated[int, number("live lots")]
    next_expiry: Expiry | None
    expiring_units: Annotated[int, units("what expires then")]
    plan: Plan
    quota: Quota
    used: Used
    last_at: Annotated[str, instant("when its newest entry takes effect")]
    seq: Seq


class Orgs(TypedDict):
    """Orgs by what they hold."""

    schema: Literal["meterctl.orgs.v1"]
    expiring_by: Annotated[str | None, instant("those with units that expire by then")]
    idle_since: Annotated[str | None, instant("those with no entry since then")]
    orgs: list[OrgRecord]


class RefundPreview(TypedDict):
    """What a refund would claw back."""

    schema: Literal["meterctl.refund-preview.v1"]
    org: Org
    session: Session
    pack: Pack
    currency: Currency
    paid_cents: Paid
    cents: Refunded
    refunded_cents_before: Annotated[int, cents("refunded so far")]
    refunded_cents_after: Annotated[int, cents("refunded with it")]
    pack_units: Annotated[int, units("what the pack held", least=1)]
    remaining_units: Annotated[int, units("what is left in the pack's lot")]
    used_units: Annotated[int, units("what was used of it")]
    expired_units: Annotated[int, units("what expired of it")]
    clawed_units_before: Annotated[int, units("what earlier refunds clawed back")]
    units: Annotated[int, units("what it would claw back")]
    forgiven: Annotated[int, units("what it would claw, but is gone already")]
    draws: Annotated[list[DrawDocument], means("the lots it would be taken from")]
    balance: Balance
    balance_after: Annotated[int, signed("the balance with it")]
    debt_after: Annotated[DebtDocument, means("the debt with it")]
    refundable_cents_after: Annotated[int, cents("what could still be refunded")]
    clawable_units_after: Annotated[int, units("what could still be clawed back")]


class FindingRecord(TypedDict):
    """Something that a check found."""

    org: Org | None
    seq: Seq | None
    check: Annotated[int, number("which check; 0: it is no entry at all")]
    message: Annotated[str, text("what is wrong, for people")]


class Verify(TypedDict):
    """What the checks of journals found."""

    schema: Literal["meterctl.verify.v1"]
    ok: Annotated[bool, means("true: nothing was found")]
    orgs: Annotated[int, number("orgs looked at")]
    entries: Annotated[int, number("entries looked at")]
    findings: list[FindingRecord]
    more: Annotated[int, number("findings beyond those listed")]
    seconds: Seconds


class Disagreement(TypedDict):
    """Something that Stripe and the journal differ on."""

    kind: Annotated[str, text("what kind of difference")]
    org: Org | None
    session: Session
    refund_id: RefundId | None
    expected: Annotated[str, text("what Stripe says")]
    found: Annotated[str, text("what the journal says")]
    message: Annotated[str, text("what differs, for people")]
    fix: Annotated[str, text("commands that would mend it")]
    operations: Annotated[list[dict[str, Any]], means("the same, as lines for backfill")]


class Reconcile(TypedDict):
    """Where Stripe and the journal differ."""

    schema: Literal["meterctl.reconcile.v1"]
    ok: Annotated[bool, means("true: nothing differs")]
    mode: Annotated[Literal["live", "test"], means("mode of the Stripe key")]
    since: Annotated[str | None, instant("what was paid or booked from then on")]
    until: Annotated[str, instant("what was paid or booked before then")]
    counts: Annotated[dict[str, int], means("how many were seen, and findings by kind")]
    findings: list[Disagreement]
    plan_out: Annotated[str | None, text("file with the operations that would mend it")]
    seconds: Seconds
