"""What a field means, wherever it stands: one description, one range."""

from typing import Annotated, Any

from pydantic import Field

from meterctl.core.model import MAX_UNITS

INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"
WEEK = r"^[0-9]{4}-W[0-9]{2}$"
HASH = r"^[0-9a-f]{64}$"


def number(meaning: str, *, least: int = 0, most: int = MAX_UNITS) -> Any:
    """An integer that every JSON reader keeps exact."""
    return Field(ge=least, le=most, description=meaning)


def units(meaning: str, *, least: int = 0, most: int = MAX_UNITS) -> Any:
    return number(f"{meaning}, in units", least=least, most=most)


def cents(meaning: str) -> Any:
    return number(f"{meaning}, in minor units of the currency")


def text(meaning: str, pattern: str | None = None) -> Any:
    return Field(description=meaning, pattern=pattern)


def instant(meaning: str) -> Any:
    return Field(
        description=f"{meaning}; UTC with milliseconds", pattern=INSTANT, json_schema_extra={"format": "date-time"}
    )


def signed(meaning: str) -> Any:
    return units(meaning, least=-MAX_UNITS)


# What the same field means wherever it stands

Org = Annotated[str, text("the org's id")]
Seq = Annotated[int, number("number of an entry in its org's journal", least=1)]
Balance = Annotated[int, signed("what the org holds: all lots less all debt")]
Remaining = Annotated[int, units("what is left of the lot", least=1)]
Percent = Annotated[int, number("percent of the quota", least=1)]
Expiry = Annotated[str, instant("when the units expire")]
Session = Annotated[str, text("the payment reference of a pack")]
RefundId = Annotated[str, text("the refund's own id")]
WeekKey = Annotated[str, text("ISO week", WEEK)]
Cycle = Annotated[int, number("which cycle of the week: one more after each forced reset", least=1)]
Plan = Annotated[str, text("plan")]
Version = Annotated[int, number("version of the plan; 0 for a plan that nobody published")]
Quota = Annotated[int, units("what the plan grants in the week")]
Used = Annotated[int, units("what counts against the week's quota so far")]
Uncovered = Annotated[int, units("usage that neither quota nor lots covered and that was not booked")]
Breakdown = Annotated[dict[str, int], Field(description="units by feature; sums to the usage")]
Actor = Annotated[str, text("who did it")]
Reason = Annotated[str | None, text("why, in the actor's words")]
Seconds = Annotated[float, Field(ge=0, description="how long it took, in seconds")]
Ratios = Annotated[dict[str, str], Field(description="units per unit of cost by feature, as decimal text")]
Pack = Annotated[str, text("pack as named in the config")]
Currency = Annotated[str, text("lower-case ISO 4217 code", "^[a-z]{3}$")]
Paid = Annotated[int, cents("what was paid for the pack")]
Refunded = Annotated[int, cents("what was given back")]
