"""Format figures, money and times for people.

No function reads the clock: "in 12 days" is relative to an instant of the result."""

from collections.abc import Iterable, Mapping
from typing import Any

from meterctl.core.domain.instants import DAY, HOUR, MINUTE, to_millis
from meterctl.core.errors import plural as plural
from meterctl.core.model import Instant

#: Currencies without minor units.
_WHOLE = "bif clp djf gnf jpy kmf krw mga pyg rwf uyi vnd vuv xaf xof xpf".split()  # noqa: SIM905 - one line

#: Decimal places of currencies that do not have two, as Stripe counts them, because amounts come from there. It
#: counts krónur and Ugandan shillings in hundredths and ariary whole, where ISO 4217 does the opposite.
_DIGITS = {
    **dict.fromkeys(_WHOLE, 0),
    **dict.fromkeys(("bhd", "iqd", "jod", "kwd", "lyd", "omr", "tnd"), 3),
    **dict.fromkeys(("clf", "uyw"), 4),
}

#: Expiries nearer than this are shown as warnings.
SOON_DAYS = 14


def units(count: int) -> str:
    return f"{count:,}"


def signed(count: int) -> str:
    return f"{count:+,}" if count else "0"


def signed_units(count: int) -> str:
    return f"{signed(count)} {'unit' if abs(count) == 1 else 'units'}"


def money(cents: int, currency: str | None) -> str:
    """Return ``cents`` in the currency's own form, as ``5.00 USD``; without a currency, as cents."""
    if not currency:
        return plural(cents, "cent")
    digits = _DIGITS.get(currency.lower(), 2)
    whole, part = divmod(abs(cents), 10**digits)
    fraction = f".{part:0{digits}}" if digits else ""
    return f"{'-' if cents < 0 else ''}{whole:,}{fraction} {currency.upper()}"


def when(instant: str | None) -> str:
    """Return an instant to the minute, in UTC; a dash for None."""
    return f"{instant[:10]} {instant[11:16]}" if instant else "-"


def when_utc(instant: str | None) -> str:
    return f"{when(instant)} UTC" if instant else "never"


def span(millis: int) -> str:
    """Return a length of time in its largest fitting unit, rounded down."""
    if millis >= 2 * DAY:
        return f"{millis // DAY} days"
    if millis >= 2 * HOUR:
        return f"{millis // HOUR} hours"
    return plural(millis // MINUTE, "minute") if millis >= MINUTE else "less than a minute"


def relative(now: str, then: str) -> str:
    """Return the distance from ``now`` to ``then``: ``in 12 days``, ``3 hours ago``."""
    distance = to_millis(Instant(then)) - to_millis(Instant(now))
    return f"in {span(distance)}" if distance >= 0 else f"{span(-distance)} ago"


def percent(part: int, whole: int) -> str:
    """Return a percentage, rounded down, so that 100 % appears only when it is reached."""
    return f"{part * 100 // whole} %" if whole > 0 else "-"


def duration(seconds: float) -> str:
    if seconds >= 120:
        return span(int(seconds * 1000))
    return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds:.2f} s"


def debt(parts: Mapping[str, int] | None) -> str:
    """Return the parts of a debt that are not zero: ``200 owed, 40 overage``."""
    return ", ".join(f"{count:,} {name}" for name, count in (parts or {}).items() if count)


def draws(parts: Iterable[Mapping[str, Any]]) -> str:
    """Return units by lot: ``lot 3: 40, lot 4: 60``."""
    return ", ".join(f"lot {draw['lot']}: {draw['units']:,}" for draw in parts)


def breakdown(by_feature: Mapping[str, int]) -> str:
    """Return units by feature, the most first."""
    by_units = sorted(by_feature.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{feature} {count:,}" for feature, count in by_units)


def percents(alerts: Iterable[int]) -> str:
    return ", ".join(f"{alert} %" for alert in alerts)
