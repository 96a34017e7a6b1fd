"""Explain an org in sentences."""

from collections.abc import Iterator, Mapping
from typing import Any

from meterctl.core.domain.instants import to_datetime
from meterctl.core.errors import plural
from meterctl.core.model import Instant


def sentences(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield sentences that can be read to a customer."""
    total = facts["sum"]
    if not facts["meter_mode"]:
        yield f"{facts['org']} may run: the meter is off, so usage is not booked."
    elif facts["allowed"]:
        yield f"{facts['org']} may run: {_units(total['available'])} {_are(total['available'])} available."
    else:
        yield f"{facts['org']} may not run: {_lacking(total)}."
    yield _quota_sentence(facts)
    yield _lots_sentence(total)
    if facts["debt"] is not None:
        yield _debt_sentence(facts["debt"])
    yield _sum_sentence(total)
    if not facts["allowed"]:
        yield _way_out_sentence(facts)
    if facts["upcoming"]:
        yield _next_sentence(facts["upcoming"][0])
    if facts["forecast"] is not None:
        yield _forecast_sentence(facts["forecast"], facts["allowed"])


def _lacking(total: Mapping[str, Any]) -> str:
    available = total["available"]
    return "nothing is available" if available == 0 else f"{_units(available)} {_are(available)} available"


def _quota_sentence(facts: Mapping[str, Any]) -> str:
    total, plan, key = facts["sum"], facts["plan"]["plan"], facts["week"]["key"]
    if not total["quota"]:
        return f"Its plan {plan} grants no units a week: all it uses is drawn from its lots."
    rest = f"{total['quota_left']:,} {_are(total['quota_left'])}" if total["quota_left"] else "none is"
    used = f"it has used {total['used']:,}" if total["used"] else "it has used none"
    if settled := facts["week"]["settled"]:
        used = f"{used}, {settled:,} of which paid for the week before"
    return f"Its plan {plan} grants {_units(total['quota'])} a week; this week ({key}) {used}, so {rest} left."


def _lots_sentence(total: Mapping[str, Any]) -> str:
    return f"Its lots hold {_units(total['in_lots'])}." if total["in_lots"] else "No lot holds any units."


def _debt_sentence(debt: Mapping[str, Any]) -> str:
    owed = f"{_units(debt['owed'])} taken back or forced" if debt["owed"] else ""
    overage = f"{_units(debt['overage'])} used beyond quota and lots" if debt["overage"] else ""
    since = f"since {_day(debt['since'])}" + ("" if debt["exact"] else " or longer")
    return f"It owes {' and '.join(filter(None, (owed, overage)))}, {since}; its next pack pays that first."


def _sum_sentence(total: Mapping[str, Any]) -> str:
    debt = total["owed"] + total["overage"]
    held = f" - {total['held']:,} on hold" if total["held"] else ""
    parts = f"{total['quota_left']:,} left of the quota + {total['in_lots']:,} in lots - {debt:,} of debt{held}"
    return f"{parts} = {total['available']:,} available."


def _way_out_sentence(facts: Mapping[str, Any]) -> str:
    buying = f"With {_units(facts['sum']['missing'])} more it could run at once"
    again = facts["allowed_again"]
    if again is None:
        return f"{buying}; waiting will not help."
    return f"{buying}; else it can run again on {_day(again['at'])}, with {_units(again['available'])}."


def _next_sentence(event: Mapping[str, Any]) -> str:
    day = _day(event["at"])
    if event["kind"] == "expiration":
        return f"On {day}, {_units(event['units'])} of lot {event['lot']} will expire unless they are used before."
    if event["kind"] == "release":
        return f"On {day}, {_units(event['units'])} held for {event['hold']} will be free again."
    if event["kind"] == "plan":
        return f"On {day}, it changes to plan {event['plan']}."
    rollover = f"; {_units(event['units'])} of the rest roll over" if event["units"] else ""
    settled = (
        f"; {_units(event['settled'])} of the debt {_are(event['settled'])} paid from it" if event["settled"] else ""
    )
    return f"On {day} this week ends, and the quota begins anew{settled}{rollover}."


def _forecast_sentence(forecast: Mapping[str, Any], allowed: bool) -> str:
    pace = f"It used {_units(forecast['pace'])} a week on average since {_day(forecast['since'])}"
    if not allowed:
        return f"{pace}."
    if forecast["runs_out_at"] is None:
        return f"{pace}; at this pace it will not run out."
    return f"{pace}; at this pace it runs out on {_day(forecast['runs_out_at'])}."


def _day(instant: Instant) -> str:
    """Return the day in UTC, such as ``Monday 16 November 2026``."""
    day = to_datetime(instant)
    return f"{day:%A} {day.day} {day:%B %Y}"


def _units(count: int) -> str:
    return plural(count, "unit")


def minute_text(instant: Instant) -> str:
    """Return the minute in UTC, such as ``2026-11-16 09:30 UTC``."""
    return f"{instant[:10]} {instant[11:16]} UTC"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
