"""Documents of statements and reports. Sums of many entries may leave the range of a single one."""

from typing import Annotated, Literal, TypedDict

from meterctl.core.documents.fields import (
    Currency,
    Cycle,
    Meaning,
    Org,
    Plan,
    Quota,
    WeekKey,
    instant,
    means,
)
from meterctl.core.documents.reading import BalancePoint

Movement = Literal[
    "bought",
    "granted",
    "refund_reversed",
    "undone",
    "settled",
    "rolled_over",
    "used",
    "debited",
    "corrected",
    "refunded",
    "expired",
    "voided",
]


def _sum(meaning: str, *, least: int | None = 0) -> Meaning:
    return Meaning(meaning, least)


Units = Annotated[int, _sum("units moved: positive in, negative out", least=None)]
Count = Annotated[int, _sum("number of entries")]
Opening = Annotated[int, _sum("balance as the window begins, in units", least=None)]
Closing = Annotated[int, _sum("balance as the window ends, in units: opening + movements", least=None)]
Since = Annotated[str, instant("the window begins, inclusive")]
Until = Annotated[str, instant("the window ends, exclusive")]
AsOf = Annotated[str, instant("closing balance and outstanding units hold for it: the end, or now if that is earlier")]
Settled = Annotated[int, _sum("overage paid from the next week's quota, in units")]
RolledOver = Annotated[int, _sum("unused quota that became a lot, in units")]
UsedInWindow = Annotated[int, _sum("metered units in the window, less those of undone runs", least=None)]
UncoveredInWindow = Annotated[int, _sum("metered units that nothing covered and that were not booked", least=None)]
Features = Annotated[dict[str, int], means("metered units by feature; they sum to those of the weeks")]


class StatementMovement(TypedDict):
    """Units of one sort that came or went in the window."""

    movement: Movement
    kind: str
    label: Annotated[str | None, means("the pack, the reason of a grant or correction, or the thing undone")]
    units: Units
    entries: Count


class StatementWeek(TypedDict):
    """A meter week, as far as it lies in the window."""

    key: WeekKey
    cycle: Cycle
    plan: Plan
    quota: Quota
    used: UsedInWindow
    uncovered: UncoveredInWindow
    settled: Settled
    rolled_over: RolledOver


class ReportWeek(TypedDict):
    """A meter week of all orgs."""

    key: WeekKey
    used: UsedInWindow
    uncovered: UncoveredInWindow
    settled: Settled
    rolled_over: RolledOver


class MoneyDocument(TypedDict):
    """Payments and refunds of the window in one currency, in its minor units."""

    currency: Currency
    paid: Annotated[int, _sum("paid for packs, tax included")]
    tax: Annotated[int, _sum("the part of it that is tax")]
    refunded: Annotated[int, _sum("given back")]
    refunds_reversed: Annotated[int, _sum("refunds that were taken back")]
    undone: Annotated[int, _sum("payments whose purchase was undone")]
    net: Annotated[int, _sum("paid - undone - refunded + refunds_reversed", least=None)]


class PaidValue(TypedDict):
    """The price paid for outstanding units, in one currency."""

    currency: Currency
    cents: Annotated[int, _sum("price paid, tax included, in minor units; exact, rounded once, half up")]
    tax_cents: Annotated[int, _sum("the part of it that is tax, rounded likewise")]


class OutstandingDocument(TypedDict):
    """Units that customers still hold, and owe."""

    units: Annotated[int, _sum("units in live lots")]
    paid_units: Annotated[int, _sum("those of them that were bought")]
    held: Annotated[int, _sum("units reserved by holds")]
    owed: Annotated[int, _sum("debt of clawbacks and forced debits, in units")]
    overage: Annotated[int, _sum("debt of usage beyond quota and lots, in units")]
    paid_value: list[PaidValue]


class ExpiringDocument(TypedDict):
    """The part of the outstanding units that expires soon."""

    by: Annotated[str, instant("they expire by then")]
    units: Annotated[int, _sum("units in live lots")]
    paid_units: Annotated[int, _sum("those of them that were bought")]
    paid_value: list[PaidValue]


class StatementDocument(TypedDict):
    """A window of an org's journal, added up."""

    schema: Literal["meterctl.statement.v1"]
    org: Org
    since: Since
    until: Until
    as_of: AsOf
    opening: Opening
    closing: Closing
    movements: list[StatementMovement]
    weeks: list[StatementWeek]
    features: Features
    money: list[MoneyDocument]
    entries: Count
    pending: Annotated[int, _sum("those of the entries that are due, and not booked yet")]
    outstanding: OutstandingDocument
    points: Annotated[list[BalancePoint], means("the balance over time, in at most 240 slices")]
    known: Annotated[bool, means("false: the org has no journal")]


class ReportGroup(TypedDict):
    """The part of a report that belongs to one movement, plan, pack or org."""

    group: Annotated[str, means("name of the movement, plan, pack or org; (granted): units that nobody bought")]
    orgs: Annotated[int, _sum("orgs in it")]
    entries: Annotated[int, _sum("entries behind its movements")]
    opening: Annotated[int | None, _sum("balance as the window begins; null: a part of orgs", least=None)]
    movements: Annotated[dict[str, int], means("units by movement")]
    closing: Annotated[int | None, _sum("balance as the window ends; null: a part of orgs", least=None)]
    money: list[MoneyDocument]
    outstanding: OutstandingDocument


class ReportDocument(TypedDict):
    """All orgs over a window, added up, and the units outstanding at its end."""

    schema: Literal["meterctl.report.v1"]
    since: Since
    until: Until
    as_of: AsOf
    by: Annotated[Literal["kind", "plan", "pack", "org"], means("the grouping")]
    orgs: Annotated[int, _sum("orgs with entries before the window's end")]
    opening: Opening
    closing: Closing
    movements: list[StatementMovement]
    weeks: list[ReportWeek]
    features: Features
    money: list[MoneyDocument]
    entries: Count
    groups: list[ReportGroup]
    outstanding: OutstandingDocument
    expiring: Annotated[ExpiringDocument | None, means("null: not asked for")]
