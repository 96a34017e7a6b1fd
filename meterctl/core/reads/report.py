"""Reports over all orgs: the sums of their statements, in groups, and the units that are outstanding.

One pass over the whole journal, as `verify` makes it. Memory grows with the number of groups (by org: with the orgs),
not with the journal.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal

from meterctl.core.domain.instants import add_millis
from meterctl.core.domain.policy import PlanBook, Terms
from meterctl.core.model import Entry, Instant
from meterctl.core.ports import Clock, Store
from meterctl.core.reads.movements import (
    MOVEMENTS,
    DoesNotAddUp,
    Movements,
    Window,
    count_money,
    count_parts,
    money_record,
)
from meterctl.core.reads.outstanding import Outstanding, Price, price_of
from meterctl.core.reads.period import Period
from meterctl.core.reads.statement import due_after, flat_rows
from meterctl.core.results import Result

GroupBy = Literal["kind", "plan", "pack", "org"]

GROUPINGS: tuple[GroupBy, ...] = ("kind", "plan", "pack", "org")

#: Prices of an org's lots that are kept while its entries are read, beyond those of its live lots.
_KEPT_PRICES = 2000

#: The group of units that nobody bought, in a report by pack.
GRANTED = "(granted)"


@dataclass(slots=True)
class Group:
    """The part of a report that belongs to one plan, pack or org."""

    orgs: int = 0
    sums: Movements = field(default_factory=Movements)
    outstanding: Outstanding = field(default_factory=Outstanding)

    def add(self, other: "Group") -> None:
        self.orgs += other.orgs
        self.sums.add(other.sums)
        self.outstanding.add(other.outstanding)

    def record(self, name: str, *, balances: bool = True) -> dict[str, Any]:
        """Return the group as a document holds it. Without ``balances`` it is a part of orgs: it has movements only."""
        units = dict.fromkeys(MOVEMENTS, 0)
        for key, tally in self.sums.by_key.items():
            units[key.movement] += tally.units
        money = self.sums.money
        return {
            "group": name,
            "orgs": self.orgs,
            "entries": sum(tally.entries for tally in self.sums.by_key.values()),
            "opening": self.sums.opening if balances else None,
            "movements": {movement: count for movement, count in units.items() if count},
            "closing": self.sums.closing if balances else None,
            "money": [money_record(currency, money[currency]) for currency in sorted(money)],
            "outstanding": self.outstanding.record(),
        }


@dataclass(slots=True)
class Report(Result):
    """All orgs over a window. ``as_of`` is the instant that closing and outstanding units hold for."""

    name = "report"

    period: Period
    as_of: Instant
    by: GroupBy
    orgs: int
    total: Group
    groups: list[dict[str, Any]]
    expiring_by: Instant | None = None
    expiring: Outstanding | None = None

    def fields(self) -> dict[str, Any]:
        sums = self.total.sums.fields()
        weeks = [
            {name: week[name] for name in ("key", "used", "uncovered", "settled", "rolled_over")}
            for week in sums["weeks"]
        ]
        return {
            "since": self.period.since,
            "until": self.period.until,
            "as_of": self.as_of,
            "by": self.by,
            "orgs": self.orgs,
            **sums,
            "weeks": weeks,
            "groups": self.groups,
            "outstanding": self.total.outstanding.record(),
            "expiring": self._expiring(),
        }

    def _expiring(self) -> dict[str, Any] | None:
        if self.expiring is None:
            return None
        record = self.expiring.record()
        return {"by": self.expiring_by, **{name: record[name] for name in ("units", "paid_units", "paid_value")}}

    def rows(self) -> Iterator[dict[str, Any]]:
        about = {"since": self.period.since, "until": self.period.until}
        for row in flat_rows(self.total.sums, self.total.outstanding):
            if not (row["section"] == "week" and row["name"] == "quota"):
                yield {**about, "group": None, **row}
        for group in self.groups:
            for row in _group_rows(group):
                yield {**about, "group": group["group"], **row}


def _group_rows(group: dict[str, Any]) -> Iterator[dict[str, Any]]:
    columns: dict[str, Any] = dict.fromkeys(("name", "label", "units", "entries", "currency", "cents"))
    if group["opening"] is not None:
        yield {"section": "opening", **columns, "units": group["opening"]}
    for movement, units in group["movements"].items():
        yield {"section": "movement", **columns, "name": movement, "units": units}
    if group["closing"] is not None:
        yield {"section": "closing", **columns, "units": group["closing"]}
    for worth in group["outstanding"]["paid_value"]:
        value = {"name": "paid_value", "currency": worth["currency"], "cents": worth["cents"]}
        yield {"section": "outstanding", **columns, **value}


class Reporter:
    """Reports over all orgs. Reads only."""

    def __init__(self, store: Store, clock: Clock, terms: Terms) -> None:
        self._journal = store.journal
        self._clock = clock
        self._terms = terms
        self._plans = PlanBook(store.plans.all)

    def of(self, period: Period, by: GroupBy = "kind", expiring: int | None = None) -> Report:
        """Return the report over ``period``, and of the outstanding units those that expire within ``expiring``
        milliseconds. Raises `DoesNotAddUp` rather than print wrong sums."""
        total, groups = Group(), dict[str, Group]()
        as_of = min(period.until, max(self._clock.now(), period.since))
        expiring_by = None if expiring is None else add_millis(as_of, expiring)
        soon = None if expiring is None else Outstanding()
        for org, entries in groupby(self._journal.scan(), key=lambda entry: entry["org"]):
            reading = _OrgReading(self, org, period, by)
            reading.read(entries)
            if reading.window.last is None:
                continue
            part = reading.total()
            total.add(part)
            if soon is not None and expiring_by is not None:
                reading.hold_expiring(soon, expiring_by)
            for name, share in reading.shares(part):
                groups.setdefault(name, Group()).add(share)
        total.sums.check("all orgs")
        records = [groups[name].record(name, balances=by in ("plan", "org")) for name in sorted(groups)]
        return Report(
            period=period,
            as_of=as_of,
            by=by,
            orgs=total.orgs,
            total=total,
            groups=records,
            expiring_by=expiring_by,
            expiring=soon,
        )

    def due_after(self, org: str, last: Entry, until: Instant) -> Iterator[Entry]:
        """Yield the due entries after ``last`` up to ``until`` or now, if that is earlier."""
        now = max(self._clock.now(), last["at"])
        return due_after(org, last, min(until, now), self._terms, self._plans, now)

    def entry(self, org: str, seq: int) -> Entry | None:
        return self._journal.by_seq(org, seq)

    def plan_of(self, entry: Entry) -> str:
        plan: str | None = entry["state"]["plan"]
        return plan or self._terms.default_plan


class _OrgReading:
    """The entries of one org on their way into a report."""

    def __init__(self, reporter: Reporter, org: str, period: Period, by: GroupBy) -> None:
        self._reporter = reporter
        self._org = org
        self._period = period
        self._by = by
        self._prices: dict[int, Price | None] = {}
        self._packs: dict[str, Group] = {}
        self.window = Window(period.since, self._reversed)

    def read(self, entries: Iterator[Entry]) -> None:
        """Add the entries up to the end of the window, due ones included."""
        for entry in entries:
            if entry["at"] >= self._period.until:
                return
            self._add(entry)
        if self.window.last is not None:
            until = add_millis(self._period.until, -1)
            for entry in self._reporter.due_after(self._org, self.window.last, until):
                self._add(entry)

    def _add(self, entry: Entry) -> None:
        self.window.add(entry)
        if entry["kind"] == "topup":
            self._prices[entry["seq"]] = price_of(entry)
            self._forget(entry)
        if self._by == "pack" and entry["at"] >= self._period.since and (pack := self._pack_of(entry)):
            sums = self._packs.setdefault(pack, Group()).sums
            count_parts(sums, entry)
            count_money(sums, entry, self._reversed)

    def _forget(self, entry: Entry) -> None:
        """Drop the prices of lots that are gone; one that comes back is looked up again."""
        if len(self._prices) > _KEPT_PRICES:
            live = {lot["id"] for lot in entry["state"]["lots"]}
            self._prices = {lot: price for lot, price in self._prices.items() if lot in live}

    def _reversed(self, entry: Entry) -> Entry | None:
        return self._reporter.entry(self._org, entry["reverses"])

    def _price(self, lot: int) -> Price | None:
        if lot not in self._prices:
            self._prices[lot] = price_of(self._reporter.entry(self._org, lot))
        return self._prices[lot]

    def _pack_of(self, entry: Entry) -> str | None:
        """Return the pack whose units ``entry`` sold, clawed, gave back or saw expire; None for anything else."""
        kind = entry["kind"]
        if kind == "reversal" and "session" in entry:
            first = self._reversed(entry)
            return None if first is None else self._pack_of(first)
        if kind not in ("topup", "refund", "expiration"):
            return None
        price = self._price(entry["lot"])
        return None if price is None else price.pack

    def total(self) -> Group:
        """Return the org's sums, checked."""
        last = self.window.last
        assert last is not None
        self.window.sums.check(self._org)
        outstanding = Outstanding()
        outstanding.owe(last["state"])
        for lot in last["state"]["lots"]:
            outstanding.hold(lot["remaining"], self._price(lot["id"]))
        closing = self.window.sums.closing
        if outstanding.balance != closing:
            raise DoesNotAddUp(f"{self._org}: lots less debt are {outstanding.balance:,}, closing is {closing:,}")
        return Group(1, self.window.sums, outstanding)

    def hold_expiring(self, soon: Outstanding, by: Instant) -> None:
        """Count the live lots that expire by then."""
        last = self.window.last
        assert last is not None
        for lot in last["state"]["lots"]:
            if lot["expires_at"] is not None and lot["expires_at"] <= by:
                soon.hold(lot["remaining"], self._price(lot["id"]))

    def shares(self, total: Group) -> Iterator[tuple[str, Group]]:
        """Yield the org's part of each group that it belongs to."""
        last = self.window.last
        assert last is not None
        if self._by == "org":
            yield self._org, total
        elif self._by == "plan":
            yield self._reporter.plan_of(last), total
        elif self._by == "kind":
            yield from ((name, Group(1, sums)) for name, sums in total.sums.by_movement().items())
        else:
            yield from self._pack_shares(last)

    def _pack_shares(self, last: Entry) -> Iterator[tuple[str, Group]]:
        for lot in last["state"]["lots"]:
            price = self._price(lot["id"])
            group = self._packs.setdefault(GRANTED if price is None else price.pack, Group())
            group.outstanding.hold(lot["remaining"], price)
        for name, group in self._packs.items():
            group.orgs = 1
            yield name, group
