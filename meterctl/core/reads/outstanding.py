"""Units that customers still hold, and the price that was paid for them, exact. Pure.

A paid lot with ``remaining`` of ``units`` left is worth paid_cents * remaining / units. These fractions are added up
exactly, by currency, and the sum is rounded once, half up. So many small lots lose nothing, and the same journal gives
the same cents in whatever order it is read.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import floor
from typing import Any, NamedTuple

#: Binary digits behind the point of a first, quick sum; it decides unless the exact sum lies this close to a half.
_DIGITS = 128


class Price(NamedTuple):
    """The price of all ``units`` of a lot that was bought: ``cents`` in all, ``tax`` of them tax."""

    units: int
    cents: int
    tax: int
    currency: str
    pack: str


def price_of(opening: Mapping[str, Any] | None) -> Price | None:
    """Return the price of the lot that the entry ``opening`` opened; None for units that nobody paid for."""
    if opening is None or opening["kind"] != "topup" or not opening["units"]:
        return None
    tax = opening.get("tax_cents") or 0
    return Price(
        units=opening["units"], cents=opening["paid_cents"], tax=tax, currency=opening["currency"], pack=opening["pack"]
    )


class ExactSum:
    """A sum of fractions, kept by denominator: there are as many of those as sizes of packs."""

    def __init__(self) -> None:
        self._numerators: Counter[int] = Counter()

    def add(self, numerator: int, denominator: int) -> None:
        self._numerators[denominator] += numerator

    def extend(self, other: "ExactSum") -> None:
        for denominator, numerator in other._numerators.items():
            self._numerators[denominator] += numerator

    @property
    def value(self) -> Fraction:
        """The sum itself. Its cost grows with the square of the number of sizes."""
        return sum((Fraction(part, whole) for whole, part in self._numerators.items()), Fraction(0))

    def rounded(self) -> int:
        """Return the sum rounded half up, without adding up fractions unless it lies at a half."""
        scale = 1 << _DIGITS
        low = sum(part * scale // whole for whole, part in self._numerators.items())
        # Each part was rounded down by less than one.
        least, most = (low + scale // 2) // scale, (low + len(self._numerators) + scale // 2) // scale
        return least if least == most else half_up(self.value)


class Outstanding:
    """Live units and debt, of one org or of many."""

    def __init__(self) -> None:
        self.units = self.paid_units = self.held = self.owed = self.overage = 0
        self._cents: dict[str, ExactSum] = {}
        self._tax: dict[str, ExactSum] = {}

    @property
    def balance(self) -> int:
        return self.units - self.owed - self.overage

    def hold(self, remaining: int, price: Price | None) -> None:
        """Count ``remaining`` units of a live lot."""
        self.units += remaining
        if price is None:
            return
        self.paid_units += remaining
        self._cents.setdefault(price.currency, ExactSum()).add(remaining * price.cents, price.units)
        self._tax.setdefault(price.currency, ExactSum()).add(remaining * price.tax, price.units)

    def hold_lots(self, lots: Iterable[Mapping[str, Any]], prices: Mapping[int, Price | None]) -> None:
        """Count live ``lots``, each with its price."""
        for lot in lots:
            self.hold(lot["remaining"], prices[lot["id"]])

    def owe(self, state: Mapping[str, Any]) -> None:
        """Count the debt and the holds of an org's state."""
        self.owed += state["debt"]["owed"]
        self.overage += state["debt"]["overage"]
        holds: Sequence[Mapping[str, Any]] = state.get("holds") or ()
        self.held += sum(hold["units"] for hold in holds)

    def add(self, other: "Outstanding") -> None:
        """Add the units and debt of another org."""
        self.units += other.units
        self.paid_units += other.paid_units
        self.held += other.held
        self.owed += other.owed
        self.overage += other.overage
        for mine, theirs in ((self._cents, other._cents), (self._tax, other._tax)):
            for currency, total in theirs.items():
                mine.setdefault(currency, ExactSum()).extend(total)

    def value(self, currency: str) -> Fraction:
        """Return the exact price of the paid units in ``currency``."""
        return self._cents[currency].value if currency in self._cents else Fraction(0)

    def record(self) -> dict[str, Any]:
        """Return the figures as a document holds them."""
        worth = [
            {
                "currency": currency,
                "cents": self._cents[currency].rounded(),
                "tax_cents": self._tax[currency].rounded(),
            }
            for currency in sorted(self._cents)
        ]
        names = ("units", "paid_units", "held", "owed", "overage")
        return {**{name: getattr(self, name) for name in names}, "paid_value": worth}


def half_up(value: Fraction) -> int:
    """Round a value >= 0 to the nearest integer, halves up."""
    return floor(value + Fraction(1, 2))
