"""Define the vocabulary of documents: one meaning and one range for a field, wherever it appears.

Only annotations carry these; nothing reads them but `meterctl.schemas`.
"""

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, TypedDict

from meterctl.core.errors import REFUSALS
from meterctl.core.model import MAX_UNITS, Instant

INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"
WEEK = r"^[0-9]{4}-W[0-9]{2}$"
HASH = r"^[0-9a-f]{64}$"


if TYPE_CHECKING:
    RefusalCode = str
else:  # type checkers take no computed values
    RefusalCode = Literal[tuple(REFUSALS)]

WarningCode = Literal[
    "new_org", "took_effect_later", "expired_on_arrival", "price_differs", "hold_ran_out", "clock_pinned"
]


class Meaning(NamedTuple):
    """The meaning of a field, and the values it may take."""

    description: str
    least: int | None = None
    most: int | None = None
    pattern: str | None = None
    format: str | None = None
    discriminator: str | None = None


def means(description: str, *, discriminator: str | None = None) -> Meaning:
    """Return the meaning of a field that needs no range. ``discriminator``: the field that selects a variant."""
    return Meaning(description, discriminator=discriminator)


def number(meaning: str, *, least: int = 0, most: int = MAX_UNITS) -> Meaning:
    """Return the JSON Schema of an integer that every JSON reader keeps exact."""
    return Meaning(meaning, least, most)


def units(meaning: str, *, least: int = 0, most: int = MAX_UNITS) -> Meaning:
    return number(f"{meaning}, in units", least=least, most=most)


def cents(meaning: str) -> Meaning:
    return number(f"{meaning}, in minor units of the currency")


def text(meaning: str, pattern: str | None = None) -> Meaning:
    return Meaning(meaning, pattern=pattern)


def instant(meaning: str) -> Meaning:
    return Meaning(f"{meaning}; UTC with milliseconds", pattern=INSTANT, format="date-time")


def signed(meaning: str) -> Meaning:
    return units(meaning, least=-MAX_UNITS)


class WarningRecord(TypedDict):
    """A remark on an operation that was carried out all the same."""

    code: Annotated[WarningCode, means("code of the warning")]
    message: Annotated[str, text("the warning, for people")]


Warnings = Annotated[list[WarningRecord], means("points an operator should see about it")]


# The same field has the same meaning in every document.

Org = Annotated[str, text("the org's id")]
Seq = Annotated[int, number("number of an entry in its org's journal", least=1)]
Balance = Annotated[int, signed("units the org holds: all lots less all debt")]
Available = Annotated[int, signed("the rest of the quota plus the balance, less units on hold")]
Held = Annotated[int, units("units on hold: reserved for runs that are under way")]
Owed = Annotated[int, units("debt of clawbacks and forced debits")]
Overage = Annotated[int, units("debt of usage beyond quota and lots")]
Remaining = Annotated[int, units("the rest of the lot", least=1)]
Percent = Annotated[int, number("percent of the quota", least=1)]
Expiry = Annotated[Instant, instant("the instant the units expire")]
Session = Annotated[str, text("the payment reference of a pack")]
RefundId = Annotated[str, text("the refund's own id")]
WeekKey = Annotated[str, text("ISO week", WEEK)]
Cycle = Annotated[int, number("the cycle of the week: one more after each forced reset", least=1)]
Plan = Annotated[str, text("plan")]
Version = Annotated[int, number("version of the plan; 0 for a plan that nobody published")]
Quota = Annotated[int, units("units the plan grants in the week")]
Used = Annotated[int, units("units that count against the week's quota so far")]
Uncovered = Annotated[int, units("usage that neither quota nor lots covered and that was not booked")]
Breakdown = Annotated[dict[str, int], means("units by feature; sums to the usage")]
Actor = Annotated[str, text("the person or process that did it")]
Reason = Annotated[str | None, text("the reason, in the actor's words")]
Seconds = Annotated[float, Meaning("duration, in seconds", least=0)]
Ratios = Annotated[dict[str, str], means("units per unit of cost by feature, as decimal text")]
Pack = Annotated[str, text("pack as named in the config")]
Currency = Annotated[str, text("lower-case ISO 4217 code", "^[a-z]{3}$")]
Paid = Annotated[int, cents("the price paid for the pack")]
Refunded = Annotated[int, cents("the money given back")]
Quantity = Annotated[int, number("number of packs bought", least=1)]
Tax = Annotated[int, cents("the tax within the price paid")]
Priority = Annotated[int, number("lots with a lower number are drawn first; left out at 50", most=100)]
HoldId = Annotated[str, text("the hold: the ref that it was placed under")]
