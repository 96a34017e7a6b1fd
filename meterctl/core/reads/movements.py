"""Sort the amounts of journal entries into movements, so that opening + movements = closing. Pure.

Every entry that changes a balance belongs to one or more movements, and their units sum to its amount. An entry that
does not fit raises `DoesNotAddUp`: a statement is complete or there is none. Memory is bounded by the number of weeks
and by `MOST_NAMES`, whatever the length of the journal.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from meterctl.core.errors import FINDINGS, MeterctlError, shell_command
from meterctl.core.model import Entry, Instant

#: Movements in the order in which a statement prints them.
MOVEMENTS = (
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
)

#: Distinct names (features, reasons of grants) that are kept apart; all further ones are summed up as `OTHERS`.
MOST_NAMES, OTHERS = 1000, "(others)"

#: Finds the purchase that an undo took back.
TopupOf = Callable[[Entry], Entry | None]

_FIGURES = ("paid", "tax", "refunded", "refunds_reversed", "undone")


class DoesNotAddUp(MeterctlError):
    """A statement would not be exact; the message names the entry."""

    code = "does_not_add_up"
    exit_code = FINDINGS
    hint = "check the journal with: meterctl verify ORG"


class MovementPart(NamedTuple):
    """Units of an entry that belong to one movement; ``label`` says which pack, grant or kind of undo."""

    movement: str
    label: str | None
    units: int


class MovementKey(NamedTuple):
    movement: str
    kind: str
    label: str | None


@dataclass(slots=True)
class UnitTally:
    """Units and the number of entries behind them."""

    units: int = 0
    entries: int = 0


# -- one entry


def parts_of(entry: Entry) -> list[MovementPart]:
    """Return the movements that ``entry`` is made of; those of an entry that moves nothing are empty.

    Raises `DoesNotAddUp` for an unknown kind and for parts that do not sum to the amount."""
    sort = _SORTERS.get(entry["kind"])
    if sort is None:
        raise _broken(entry, f"its kind {entry['kind']!r} is not known to statements")
    parts = [part for part in sort(entry) if part.units]
    if sum(part.units for part in parts) != entry["amount"]:
        raise _broken(
            entry, f"its parts sum to {sum(part.units for part in parts):,}, its amount is {entry['amount']:,}"
        )
    return parts


def _broken(entry: Entry, problem: str) -> DoesNotAddUp:
    org, seq = entry["org"], entry["seq"]
    return DoesNotAddUp(f"entry {seq} of {org}: {problem}", hint=f"check it with: {shell_command('verify', org)}")


def _topup(entry: Entry) -> list[MovementPart]:
    return [MovementPart("bought", entry["pack"], entry["amount"])]


def _adjustment(entry: Entry) -> list[MovementPart]:
    if "voids" in entry:
        return [MovementPart("voided", None, entry["amount"])]
    movement = "granted" if entry["amount"] > 0 else "corrected"
    return [MovementPart(movement, entry["reason"], entry["amount"])]


def _reset(entry: Entry) -> list[MovementPart]:
    rolled_over = entry["units"] if "lot" in entry else 0
    return [MovementPart("settled", None, entry["settled"]), MovementPart("rolled_over", None, rolled_over)]


#: Labels of undone entries that took units, by the first part of their key.
_GIVEN_BACK = {"adjust": "correction", "void": "voided lot"}


def _reversal(entry: Entry) -> list[MovementPart]:
    if "refund_id" in entry:
        return [MovementPart("refund_reversed", None, entry["amount"])]
    return [MovementPart("undone", undone_label(entry), entry["amount"])]


def undone_label(entry: Mapping[str, Any]) -> str:
    """Return the label of an undo: the reversed run, pack or grant, or the origin of the units it gives back."""
    if "uncounted" in entry:
        return "run"
    if "voided" in entry:
        return "pack" if "session" in entry else "grant"
    return _GIVEN_BACK.get(entry["key"].removeprefix("undo:").partition(":")[0], "debit")


def _simple(movement: str) -> Callable[[Entry], list[MovementPart]]:
    return lambda entry: [MovementPart(movement, None, entry["amount"])]


def _nothing(_: Entry) -> list[MovementPart]:
    return []


_SORTERS: dict[str, Callable[[Entry], list[MovementPart]]] = {
    "topup": _topup,
    "debit": _simple("debited"),
    "refund": _simple("refunded"),
    "expiration": _simple("expired"),
    "adjustment": _adjustment,
    "reversal": _reversal,
    "usage": _simple("used"),
    "reset": _reset,
    "plan": _nothing,
    "extension": _nothing,
    "hold": _nothing,
    "release": _nothing,
}


# -- weeks


@dataclass(slots=True)
class WeekFigures:
    """A meter week as far as a window shows it. ``used`` is usage in the window, net of undone runs; ``settled`` and
    ``rolled_over`` were booked when the week closed."""

    key: str
    cycle: int
    plan: str = ""
    quota: int = 0
    used: int = 0
    uncovered: int = 0
    settled: int = 0
    rolled_over: int = 0

    def add(self, other: "WeekFigures") -> None:
        self.used += other.used
        self.uncovered += other.uncovered
        self.settled += other.settled
        self.rolled_over += other.rolled_over

    def record(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


# -- a window


@dataclass(slots=True)
class Movements:
    """The sums of a window, of one org or of many."""

    opening: int = 0
    closing: int = 0
    entries: int = 0
    by_key: dict[MovementKey, UnitTally] = field(default_factory=dict)
    features: Counter[str] = field(default_factory=Counter)
    weeks: dict[tuple[str, int], WeekFigures] = field(default_factory=dict)
    money: dict[str, Counter[str]] = field(default_factory=dict)

    def count(self, key: MovementKey, units: int, entries: int = 1) -> None:
        if key.label is not None and key not in self.by_key and len(self.by_key) >= MOST_NAMES:
            key = key._replace(label=OTHERS)
        tally = self.by_key.setdefault(key, UnitTally())
        tally.units += units
        tally.entries += entries

    def use(self, feature: str, units: int) -> None:
        known = feature in self.features or len(self.features) < MOST_NAMES
        self.features[feature if known else OTHERS] += units

    def week(self, key: str, cycle: int) -> WeekFigures:
        return self.weeks.setdefault((key, cycle), WeekFigures(key, cycle))

    def pay(self, currency: str, figure: str, cents: int) -> None:
        self.money.setdefault(currency, Counter())[figure] += cents

    def add(self, other: "Movements") -> None:
        """Add the sums of another org over the same window."""
        self.opening += other.opening
        self.closing += other.closing
        self.entries += other.entries
        for key, tally in other.by_key.items():
            self.count(key, tally.units, tally.entries)
        for feature, units in other.features.items():
            self.use(feature, units)
        for (week, _), figures in other.weeks.items():
            self.week(week, 1).add(figures)
        for currency, figures_of in other.money.items():
            for figure, cents in figures_of.items():
                self.pay(currency, figure, cents)

    def by_movement(self) -> dict[str, "Movements"]:
        """Return the tallies by movement, each as sums of their own without balances."""
        parts: dict[str, Movements] = {}
        for key, tally in self.by_key.items():
            parts.setdefault(key.movement, Movements()).count(key, tally.units, tally.entries)
        return parts

    def check(self, subject: str) -> None:
        """Raise `DoesNotAddUp` unless opening + movements = closing and features and weeks tell of the same usage."""
        total = sum(tally.units for tally in self.by_key.values())
        if self.opening + total != self.closing:
            raise DoesNotAddUp(
                f"{subject}: opening {self.opening:,} + movements {total:,} is not closing {self.closing:,}"
            )
        by_feature, by_week = sum(self.features.values()), sum(week.used for week in self.weeks.values())
        if by_feature != by_week:
            raise DoesNotAddUp(f"{subject}: usage is {by_feature:,} by feature and {by_week:,} by week")

    def fields(self) -> dict[str, Any]:
        """Return the sums as a document holds them."""
        return {
            "opening": self.opening,
            "closing": self.closing,
            "movements": list(self._movement_records()),
            "weeks": [self.weeks[key].record() for key in sorted(self.weeks)],
            "features": dict(sorted(self.features.items())),
            "money": [money_record(currency, self.money[currency]) for currency in sorted(self.money)],
            "entries": self.entries,
        }

    def _movement_records(self) -> Iterator[dict[str, Any]]:
        order = {name: place for place, name in enumerate(MOVEMENTS)}
        for key in sorted(self.by_key, key=lambda key: (order[key.movement], key.kind, key.label or "")):
            tally = self.by_key[key]
            yield {**key._asdict(), "units": tally.units, "entries": tally.entries}


def money_record(currency: str, cents: Mapping[str, int]) -> dict[str, Any]:
    """Return the figures of one currency; ``net`` is the sum of payments less refunds."""
    figures = {name: cents.get(name, 0) for name in _FIGURES}
    net = figures["paid"] - figures["undone"] - figures["refunded"] + figures["refunds_reversed"]
    return {"currency": currency, **figures, "net": net}


# -- entries in order


class Window:
    """Adds up the entries of one org from ``since`` on, in order; earlier ones only set the opening balance."""

    def __init__(self, since: Instant, topup_of: TopupOf) -> None:
        self.sums = Movements()
        self._since = since
        self._topup_of = topup_of
        self._last: Entry | None = None

    @property
    def last(self) -> Entry | None:
        """Return the newest entry that was added."""
        return self._last

    def add(self, entry: Entry) -> None:
        sums, before = self.sums, 0 if self._last is None else self._last["balance"]
        follows = self._last is not None or entry["seq"] == 1
        if follows and before + entry["amount"] != entry["balance"]:
            raise _broken(entry, f"{before:,} before it and {entry['amount']:,} do not make {entry['balance']:,}")
        sums.closing = entry["balance"]
        self._last = entry
        if entry["at"] < self._since:
            sums.opening = entry["balance"]
            return
        sums.entries += 1
        count_parts(sums, entry)
        count_usage(sums, entry)
        count_money(sums, entry, self._topup_of)


def count_parts(sums: Movements, entry: Entry) -> None:
    """Count the movements of ``entry``."""
    for part in parts_of(entry):
        sums.count(MovementKey(part.movement, entry["kind"], part.label), part.units)


def count_usage(sums: Movements, entry: Entry) -> None:
    """Count the metered units of ``entry`` by week and feature, and the close of a week."""
    kind = entry["kind"]
    if kind == "usage":
        _use(sums, entry, entry["units"], entry["breakdown"], entry["uncovered"])
    elif kind == "reversal" and "uncounted" in entry:
        uncounted: Mapping[str, Any] = entry["uncounted"]
        units_by_feature = {feature: -units for feature, units in uncounted["breakdown"].items()}
        _use(sums, entry, -uncounted["units"], units_by_feature, -uncounted["uncovered"])
    elif kind == "reset":
        closed = entry["closed"]
        week = sums.week(closed["key"], closed["cycle"])
        week.plan, week.quota = closed["plan"], closed["quota"]
        week.settled += entry["settled"]
        week.rolled_over += entry["units"] if "lot" in entry else 0


def _use(sums: Movements, entry: Entry, units: int, breakdown: Mapping[str, int], uncovered: int) -> None:
    open_week = entry["state"]["week"]
    week = sums.week(open_week["key"], open_week["cycle"])
    week.plan, week.quota = open_week["plan"], open_week["quota"]
    week.used += units
    week.uncovered += uncovered
    for feature, part in breakdown.items():
        sums.use(feature, part)


def count_money(sums: Movements, entry: Entry, topup_of: TopupOf) -> None:
    """Count the payments and refunds of ``entry``."""
    kind = entry["kind"]
    if kind == "topup":
        sums.pay(entry["currency"], "paid", entry["paid_cents"])
        sums.pay(entry["currency"], "tax", _tax_of(entry))
    elif kind == "refund":
        sums.pay(entry["currency"], "refunded", entry["cents"])
    elif kind == "reversal" and "refund_id" in entry:
        sums.pay(entry["currency"], "refunds_reversed", entry["cents"])
    elif kind == "reversal" and undone_label(entry) == "pack":
        topup = topup_of(entry)
        if topup is None:
            raise _broken(entry, f"the purchase that it undoes, entry {entry['reverses']}, is missing")
        sums.pay(topup["currency"], "undone", topup["paid_cents"])


def _tax_of(topup: Mapping[str, Any]) -> int:
    tax: int = topup.get("tax_cents") or 0
    return tax
