"""Units from costs, refund targets and rounding: exact, in integers, without a float anywhere."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from meterctl.core.domain.pattern import lazy_pattern

# Bounds on digits and exponent keep a hostile cost such as 1e999999999 from becoming an integer of a billion digits.
_COST = lazy_pattern(r"\+?(?:(\d{1,18})(?:\.(\d{0,30}))?|\.(\d{1,30}))(?:[eE]([+-]?\d{1,2}))?", re.ASCII)
_LONGEST_COST = 60


class InvalidCost(ValueError):
    """A cost that is not a decimal number >= 0 of a sane size."""


class Cost(NamedTuple):
    """A cost in US dollars as a fraction, and its one ``text``, the same for equal costs."""

    numerator: int
    denominator: int
    text: str


class RunUnits(NamedTuple):
    """Units of one run, by bucket. The buckets always sum to ``units``; ``capped_from`` is the total before the
    cap, None if it was not capped."""

    units: int
    breakdown: dict[str, int]
    capped_from: int | None


def _exact(text: str) -> Cost | None:
    """Return ``text`` as a number, or None if it is no cost."""
    return _short_exact(text) if len(text) <= _LONGEST_COST else None


@lru_cache(maxsize=256)  # a cost is read to compare it with the first time it was asked for, then to price it
def _short_exact(text: str) -> Cost | None:
    match = _COST.fullmatch(text)
    if match is None:
        return None
    whole, after_digits, after_none, exponent = match.groups("")
    fraction = after_digits or after_none
    digits, places = int(whole + fraction), len(fraction) - int(exponent or 0)
    if places < 0:
        digits, places = digits * 10**-places, 0
    written = str(digits).zfill(places + 1)
    point = len(written) - places
    normal = f"{written[:point]}.{written[point:]}".rstrip("0").rstrip(".") if places else written
    return Cost(digits, 10**places, normal)


def parse_cost(text: str) -> Cost:
    """Return a cost in US dollars, exactly as written. Raises `InvalidCost`."""
    cost = _exact(text)
    if cost is None:
        raise InvalidCost(f"{text[:60]!r} is not a cost in US dollars")
    return cost


def normal_cost(text: str) -> str:
    """One text for equal costs (``0.10``, ``1e-1`` -> ``0.1``), so that a retry that writes it differently is the
    same operation; text that is no cost stays as it is."""
    cost = _exact(text)
    return text if cost is None else cost.text


@lru_cache(maxsize=1024)
def _factor(ratio: str, dollars_to_units: str) -> tuple[int, int]:
    from decimal import Decimal

    numerator, denominator = Decimal(ratio).as_integer_ratio()
    scale, divisor = Decimal(dollars_to_units).as_integer_ratio()
    return numerator * scale, denominator * divisor


def ratio_for(ratios: Mapping[str, str], feature: str) -> str:
    """Return the ratio of ``feature``: its own, else ``default``, else 1."""
    return ratios.get(feature) or ratios.get("default") or "1"


def feature_units(cost: str, ratio: str, dollars_to_units: str) -> int:
    """floor(cost x ratio x dollars_to_units), exact."""
    numerator, denominator, _ = parse_cost(cost)
    scale, divisor = _factor(ratio, dollars_to_units)
    return numerator * scale // (denominator * divisor)


def price_run(
    costs: Mapping[str, str], ratios: Mapping[str, str], *, dollars_to_units: str, run_base: int, cap: int
) -> RunUnits:
    """Units of a run from its costs by feature. At least ``run_base`` (the shortfall stands under ``base``), at most
    ``cap`` (0: no cap). Features that come to 0 units leave no bucket. Raises `InvalidCost`."""
    breakdown = {}
    for feature in sorted(costs):
        units = feature_units(costs[feature], ratio_for(ratios, feature), dollars_to_units)
        if units:
            breakdown[feature] = units
    total = sum(breakdown.values())
    if total < run_base:
        breakdown["base"] = run_base - total
        total = run_base
    if 0 < cap < total:
        return RunUnits(cap, scale_to(breakdown, cap), total)
    return RunUnits(total, breakdown, None)


def scale_to(breakdown: Mapping[str, int], total: int) -> dict[str, int]:
    """Return the buckets scaled to sum to ``total`` by largest remainder, ties by name; empty buckets are left out."""
    whole = sum(breakdown.values())
    buckets = {name: units * total // whole for name, units in breakdown.items()}
    by_remainder = sorted(breakdown, key=lambda name: (-(breakdown[name] * total % whole), name))
    for name in by_remainder[: total - sum(buckets.values())]:
        buckets[name] += 1
    return {name: units for name, units in sorted(buckets.items()) if units}


def refund_target(units: int, cents: int, paid_cents: int) -> int:
    """Units to have clawed once ``cents`` of ``paid_cents`` are refunded: round-half-up(units x cents / paid)."""
    return (2 * units * cents + paid_cents) // (2 * paid_cents)
