"""An org explained."""

from typing import Annotated, Literal, TypedDict

from meterctl.core.documents.fields import (
    Actor,
    Available,
    Balance,
    Breakdown,
    Currency,
    Cycle,
    Expiry,
    Held,
    HoldId,
    Org,
    Overage,
    Owed,
    Pack,
    Paid,
    Percent,
    Plan,
    Quota,
    Reason,
    Seq,
    Session,
    Uncovered,
    Used,
    Version,
    WeekKey,
    instant,
    means,
    number,
    signed,
    text,
    units,
)
from meterctl.core.model import Instant

Seqs = Annotated[list[Seq], means("entries behind it, oldest first: the newest ten where there are more")]


class Sum(TypedDict):
    """The units available: quota_left + in_lots - owed - overage - held = available."""

    quota: Quota
    used: Used
    quota_left: Annotated[int, units("the rest of the quota")]
    in_lots: Annotated[int, units("units in live lots")]
    owed: Owed
    overage: Overage
    held: Held
    balance: Balance
    available: Available
    missing: Annotated[int, units("units that would have to come in before it may run; 0: it may run")]


class ExplainedPlan(TypedDict):
    """The plan that grants the quota."""

    plan: Plan
    version: Version
    assigned: Annotated[bool, means("false: it has the default plan")]
    seqs: Seqs


class ExplainedWeek(TypedDict):
    """The current week of the org."""

    key: WeekKey
    cycle: Cycle
    starts_at: Annotated[Instant, instant("Monday 00:00")]
    ends_at: Annotated[Instant, instant("the next Monday 00:00, when the week is over")]
    quota: Quota
    used: Used
    settled: Annotated[int, units("the part that paid debt of the week before")]
    uncovered: Uncovered
    breakdown: Breakdown
    alerts: Annotated[list[Percent], means("thresholds reached, in order")]
    since_seq: Annotated[Seq | None, means("the entry from which on usage counted in it; null: none did")]
    seqs: Seqs


class DebtSeqs(TypedDict):
    """The entries that made each kind of debt."""

    owed: Seqs
    overage: Seqs


class ExplainedDebt(TypedDict):
    """Debt, and its causes."""

    owed: Annotated[int, units("of clawbacks and forced debits")]
    overage: Annotated[int, units("of usage beyond quota and lots")]
    since: Annotated[Instant, instant("the instant it began")]
    since_seq: Seq
    exact: Annotated[bool, means("false: it began then or earlier")]
    seqs: DebtSeqs


class LotSeqs(TypedDict, total=False):
    """The entries behind each number of a lot."""

    units: Seqs
    debt: Seqs
    used: Seqs
    clawed: Seqs
    expired: Seqs
    forfeited: Seqs
    voided: Seqs


class ExplainedLot(TypedDict):
    """The history of a lot: units = debt + used + clawed + expired + forfeited + voided + left."""

    id: Seq
    kind: Annotated[Literal["topup", "adjustment", "reversal", "reset"], means("kind of the entry that opened it")]
    pack: Annotated[Pack | None, means("pack, if it is of one")]
    session: Annotated[Session | None, means("payment of the pack")]
    paid_cents: Paid | None
    currency: Currency | None
    opened_at: Annotated[Instant, instant("the instant it was opened")]
    actor: Actor
    reason: Reason
    expires_at: Expiry | None
    units: Annotated[int, units("units bought, granted or given back", least=1)]
    priority: Annotated[int, number("lots with a lower number are drawn first", most=100)]
    debt: Annotated[int, units("units that paid debt")]
    used: Annotated[int, units("units drawn and not given back")]
    clawed: Annotated[int, units("units that refunds took and did not give back")]
    expired: Annotated[int, units("units that expired")]
    forfeited: Annotated[int, units("units that came back after its expiry")]
    voided: Annotated[int, units("units removed when it was undone or voided")]
    left: Annotated[int, units("units left")]
    complete: Annotated[bool, means("false: it is so old that clawbacks may be counted as used")]
    seqs: LotSeqs


class Upcoming(TypedDict):
    """The next events by time alone."""

    at: Annotated[Instant, instant("when")]
    kind: Literal["expiration", "reset", "release", "plan"]
    lot: Annotated[Seq | None, means("the lot that expires, or that unused quota becomes")]
    units: Annotated[int | None, units("units that expire, roll over, or are held no more")]
    week: Annotated[WeekKey | None, means("the week that ends")]
    settled: Annotated[int | None, units("overage paid from the quota of the next week")]
    hold: Annotated[HoldId | None, means("the hold that runs out")]
    plan: Annotated[Plan | None, means("the plan that takes effect")]
    balance: Annotated[int, signed("the balance then")]
    seqs: Seqs


class WeekUseDocument(TypedDict):
    """The metered use of a calendar week."""

    key: WeekKey
    used: Annotated[int, units("metered units, all cycles together")]


class ForecastDocument(TypedDict):
    """The pace of an org, and when it runs out at it."""

    pace: Annotated[int, units("average metered use a week: the use of these weeks by the time since their begin")]
    runs_out_at: Annotated[Instant | None, instant("less than one unit is available then; null: not in ten years")]
    since: Annotated[Instant, instant("begin of the history that it was reckoned from")]
    weeks: Annotated[list[WeekUseDocument], means("the last four weeks and this one, as far as the journal goes back")]


class Again(TypedDict):
    """The instant from which a blocked org may run again by itself."""

    at: Annotated[Instant, instant("from then on")]
    available: Annotated[int, units("units available then", least=1)]
    quota: Quota


class Oddity(TypedDict):
    """Something that somebody should look at."""

    code: Literal["debt", "unusual_burn", "uncovered", "overdue", "head_behind"]
    message: Annotated[str, text("the oddity, for people")]
    seqs: Seqs


class Explain(TypedDict):
    """The reasons an org may or may not run, lot by lot, and its next events."""

    schema: Literal["meterctl.explain.v1"]
    said: Annotated[list[str], means("the answer in sentences, for a customer")]
    org: Org
    as_of: Annotated[Instant, instant("the instant these figures are true of")]
    seq: Annotated[int, number("the newest entry it is based on; 0: none")]
    known: Annotated[bool, means("false: the org has no journal")]
    pending: Annotated[int, number("due events counted in that are not booked yet")]
    meter_mode: Annotated[bool, means("false: the meter is off: usage is not booked, and every org may run")]
    allowed: Annotated[bool, means("true: it may run")]
    available: Annotated[int, signed("the rest of the quota plus the balance")]
    sum: Sum
    plan: ExplainedPlan
    week: ExplainedWeek
    debt: ExplainedDebt | None
    lots: Annotated[list[ExplainedLot], means("live ones in draw order, then the last that went")]
    more_lots: Annotated[int, number("live lots that are not told of")]
    upcoming: list[Upcoming]
    allowed_again: Again | None
    forecast: Annotated[ForecastDocument | None, means("null: too little history")]
    oddities: list[Oddity]
