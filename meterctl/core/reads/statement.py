"""Statements of an org: opening balance, every movement of a window, closing balance, and the money behind them.

One pass over the entries of the window; memory does not grow with their number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meterctl.core.domain.checks import check_org
from meterctl.core.domain.entries import book_due, tip_of
from meterctl.core.domain.instants import add_millis
from meterctl.core.domain.policy import PlanBook, Terms
from meterctl.core.model import Entry, Instant
from meterctl.core.ports import Clock, EntryFilter, Journal, Store
from meterctl.core.reads.balance_series import mark_of, opened_at, slices_of
from meterctl.core.reads.movements import DoesNotAddUp, Movements, Window
from meterctl.core.reads.outstanding import Outstanding, Price, price_of
from meterctl.core.reads.past import entry_before
from meterctl.core.reads.period import Period
from meterctl.core.reads.queries import points_of
from meterctl.core.results import Result

if TYPE_CHECKING:
    from meterctl.core.documents.reading import BalancePoint

#: A state without lots and debt, for an org without entries.
_NOTHING: dict[str, Any] = {"lots": [], "debt": {"owed": 0, "overage": 0}, "plan": None, "week": None}


@dataclass(slots=True)
class Statement(Result):
    """A window of an org's journal, added up. ``as_of`` is the instant that the closing balance holds for: the end of
    the window, or now while it is not over."""

    name = "statement"

    org: str
    period: Period
    as_of: Instant
    sums: Movements
    outstanding: Outstanding
    points: "list[BalancePoint]"
    pending: int
    known: bool

    def fields(self) -> dict[str, Any]:
        return {
            "org": self.org,
            "since": self.period.since,
            "until": self.period.until,
            "as_of": self.as_of,
            **self.sums.fields(),
            "pending": self.pending,
            "outstanding": self.outstanding.record(),
            "points": self.points,
            "known": self.known,
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        about = {"org": self.org, "since": self.period.since, "until": self.period.until}
        return ({**about, **row} for row in flat_rows(self.sums, self.outstanding))


def flat_rows(sums: Movements, outstanding: Outstanding) -> Iterator[dict[str, Any]]:
    """Yield each figure of a statement as a record of its own; all records have the same fields."""
    fields = sums.fields()
    yield _figure("opening", units=sums.opening)
    for record in fields["movements"]:
        figures = {"units": record["units"], "entries": record["entries"]}
        yield _figure("movement", name=record["movement"], label=record["label"], **figures)
    yield _figure("closing", units=sums.closing)
    for week in fields["weeks"]:
        yield from _week_figures(week)
    for feature, units in fields["features"].items():
        yield _figure("feature", name="used", label=feature, units=units)
    for money in fields["money"]:
        for name, cents in money.items():
            if name != "currency":
                yield _figure("money", name=name, currency=money["currency"], cents=cents)
    standing = outstanding.record()
    for name in ("units", "paid_units", "held", "owed", "overage"):
        yield _figure("outstanding", name=name, units=standing[name])
    for worth in standing["paid_value"]:
        yield _figure("outstanding", name="paid_value", currency=worth["currency"], cents=worth["cents"])


def _week_figures(week: dict[str, Any]) -> Iterator[dict[str, Any]]:
    label = week["key"] if week["cycle"] == 1 else f"{week['key']}#{week['cycle']}"
    for name in ("quota", "used", "uncovered", "settled", "rolled_over"):
        yield _figure("week", name=name, label=label, units=week[name])


def _figure(section: str, **figures: Any) -> dict[str, Any]:
    columns = dict.fromkeys(("name", "label", "units", "entries", "currency", "cents"))
    return {"section": section, **columns, **figures}


class Statements:
    """Statements of orgs. Reads only."""

    def __init__(self, store: Store, clock: Clock, terms: Terms) -> None:
        self._journal = store.journal
        self._clock = clock
        self._terms = terms
        self.plans = PlanBook(store.plans.all)

    def of(self, org: str, period: Period) -> Statement:
        """Return the statement of ``org`` over ``period``. Raises `DoesNotAddUp` rather than print wrong sums."""
        check_org(org)
        tip = self._journal.tip(org)
        end = self._end(period, tip)
        window = Window(period.since, lambda entry: self.reversed_by(org, entry))
        pending = 0

        def added() -> Iterator[Entry]:
            nonlocal pending
            for entry in self._entries(org, period, tip):
                window.add(entry)
                pending += bool(entry.get("pending"))
                yield entry

        slices = list(slices_of(opened_at(period.since, map(mark_of, added())), period.since, end))
        window.sums.check(org)
        outstanding = self._outstanding(org, window)
        return Statement(
            org=org,
            period=period,
            as_of=end,
            sums=window.sums,
            outstanding=outstanding,
            points=points_of(slices),
            pending=pending,
            known=tip is not None,
        )

    def entries(self, org: str, period: Period) -> Iterator[Entry]:
        """Yield the last entry before ``period`` and all entries in it, in order; due entries come last."""
        return self._entries(org, period, self._journal.tip(check_org(org)))

    def reversed_by(self, org: str, entry: Entry) -> Entry | None:
        """Return the entry that ``entry`` reverses."""
        return self._journal.by_seq(org, entry["reverses"])

    def _entries(self, org: str, period: Period, tip: Entry | None) -> Iterator[Entry]:
        """Yield the last entry before ``period`` and all entries in it, in order; due entries come last."""
        before = entry_before(self._journal, org, period.since)
        last = before
        if before is not None:
            yield before
        where = EntryFilter(after=None if before is None else before["seq"])
        for entry in self._journal.read(org, where):
            if entry["at"] >= period.until:
                return
            last = entry
            yield entry
        yield from self._due(org, last, self._end(period, tip, inclusive=True))

    def _due(self, org: str, last: Entry | None, until: Instant) -> Iterator[Entry]:
        return due_after(org, last, until, self._terms, self.plans, self._clock.now())

    def _end(self, period: Period, tip: Entry | None, *, inclusive: bool = False) -> Instant:
        """Return the end of ``period``, or now where that comes first; ``inclusive``: the last instant inside it."""
        now = max(self._clock.now(), tip["at"]) if tip else self._clock.now()
        until = add_millis(period.until, -1) if inclusive else period.until
        return min(until, now)

    def _outstanding(self, org: str, window: Window) -> Outstanding:
        state = _NOTHING if window.last is None else window.last["state"]
        outstanding = Outstanding()
        outstanding.owe(state)
        outstanding.hold_lots(state["lots"], prices(self._journal, org, [lot["id"] for lot in state["lots"]]))
        if outstanding.balance != window.sums.closing:
            raise DoesNotAddUp(f"{org}: lots less debt are {outstanding.balance:,}, closing is {window.sums.closing:,}")
        return outstanding


def due_after(
    org: str, last: Entry | None, until: Instant, terms: Terms, plans: PlanBook, now: Instant
) -> Iterator[Entry]:
    """Yield the due entries after ``last`` up to ``until``, marked as pending."""
    for entry, _ in book_due(org, tip_of(last), until, terms, plans, now):
        entry["pending"] = True
        yield entry


def prices(journal: Journal, org: str, lots: list[int]) -> dict[int, Price | None]:
    """Return the price of each of these lots of ``org``; None for units that nobody paid for."""
    return {lot: price_of(journal.by_seq(org, lot)) for lot in lots}
