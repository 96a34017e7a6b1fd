"""List orgs by their units, debt and forecast.

Heads, the cache of tips, select the orgs. The first `MOST_CHECKED` rows are then checked against the journal and carry
``checked: true``. A past instant is answered from the journals alone.
"""

from collections.abc import Iterator, Sequence
from heapq import nsmallest
from itertools import islice
from typing import Any, NamedTuple

from meterctl.core.booking.head_cache import head_of
from meterctl.core.domain.due_events import next_expiry_of, state_at
from meterctl.core.domain.policy import PlanBook, Terms
from meterctl.core.domain.rules import admission
from meterctl.core.errors import Damaged
from meterctl.core.model import Instant, State, state_from_document
from meterctl.core.ports import Head, Store
from meterctl.core.reads.debt_age import debt_began
from meterctl.core.reads.forecaster import Forecaster
from meterctl.core.reads.past import entry_at
from meterctl.core.results import Listing

SORTS = ("org", "balance", "available", "next_expiry", "used", "last_at", "debt_since", "runs_out")

#: Rows that are checked against the journal; each takes a few reads.
MOST_CHECKED = 1000

_Record = dict[str, Any]


class OrgFilter(NamedTuple):
    """Conditions on orgs, all of which must hold."""

    negative: bool = False
    expiring_by: Instant | None = None
    plan: str | None = None
    week_over: int | None = None
    idle_since: Instant | None = None
    prefix: str = ""
    blocked: bool = False
    below: int | None = None
    owing_since: Instant | None = None
    runs_out_by: Instant | None = None

    @property
    def looks_deeper(self) -> bool:
        """Return True if matching takes more than a head."""
        return self.owing_since is not None or self.runs_out_by is not None


class OrgQuery(NamedTuple):
    """A filter, an order, a limit and an instant (None: now) for a list of orgs."""

    criteria: OrgFilter = OrgFilter()
    sort: str = "org"
    limit: int | None = None
    as_of: Instant | None = None


class _ListedOrg(NamedTuple):
    """An org at an instant: its head, and its state with due events."""

    head: Head
    at: Instant
    state: State
    record: _Record


class OrgLister:
    """Lists orgs under one set of terms. Reads only."""

    def __init__(self, store: Store, now: Instant, terms: Terms) -> None:
        self._store = store
        self._now = now
        self._terms = terms
        self._plans = PlanBook(store.plans.all)
        self._forecaster = Forecaster(store.journal, terms, self._plans)

    def list(self, query: OrgQuery) -> Listing:
        """Return the orgs that match ``query``.

        Sorted by org they are a stream; any other order holds all listed records in memory."""
        criteria = query.criteria
        shown = self._in_order(query)
        about = {
            "as_of": query.as_of or self._now,
            "prefix": criteria.prefix or None,
            "expiring_by": criteria.expiring_by,
            "idle_since": criteria.idle_since,
            "owing_since": criteria.owing_since,
            "runs_out_by": criteria.runs_out_by,
        }
        return Listing("orgs", "orgs", shown, about)

    def _in_order(self, query: OrgQuery) -> Iterator[_Record]:
        """Return the records in order, the first ones checked; drop those that no longer match once checked."""
        records = self._matching(query)
        if query.sort != "org":
            records = iter(_sort(records, query))
        return islice(records if query.as_of is not None else self._checked(records, query.criteria), query.limit)

    def _matching(self, query: OrgQuery) -> Iterator[_Record]:
        past = query.as_of is not None
        deeper = past or query.criteria.looks_deeper or query.sort in ("debt_since", "runs_out")
        for head in self._heads(query):
            standing = self._standing(head, query.as_of, checked=past)
            if not _matches(standing.record, query.criteria):
                continue
            if deeper:
                self._look_deeper(standing)
            if _matches_deeper(standing.record, query.criteria):
                yield standing.record

    def _heads(self, query: OrgQuery) -> Iterator[Head]:
        prefix = query.criteria.prefix
        if query.as_of is not None:
            for org in self._orgs(prefix):
                entry = entry_at(self._store.journal, org, query.as_of)
                if entry is not None:
                    yield head_of(entry)
            return
        if prefix:
            yield from (head for head in map(self._sound, self._store.heads.get([prefix]).values()) if head is not None)
        for item in self._store.heads.read(after=prefix):
            head = self._sound(item)
            if head is None:
                continue
            if not head.org.startswith(prefix):
                return
            yield head

    def _orgs(self, prefix: str) -> Iterator[str]:
        if prefix and self._store.journal.tip(prefix) is not None:
            yield prefix
        for org in self._store.journal.orgs(after=prefix):
            if not org.startswith(prefix):
                return
            yield org

    def _sound(self, head: Head | Damaged) -> Head | None:
        """Return the head, made anew from the journal if it is damaged; None without a journal."""
        if not isinstance(head, Damaged):
            return head
        tip = None if head.org is None else self._store.journal.tip(head.org)
        return None if tip is None else head_of(tip)

    def _standing(self, head: Head, as_of: Instant | None, *, checked: bool) -> _ListedOrg:
        at = max(self._now, head.at) if as_of is None else as_of
        state = state_at(state_from_document(head.state), head.seq, at, self._terms, self._plans)
        return _ListedOrg(head, at, state, self._record(head, state, at, checked=checked))

    def _record(self, head: Head, state: State, at: Instant, *, checked: bool) -> _Record:
        plan, week, next_expiry = self._terms.plan_of(state, at), state.week, next_expiry_of(state)
        quota = self._plans.in_force(plan, at).weekly_quota if week is None else week.quota
        verdict = admission(state, quota, meter_mode=self._terms.meter_mode)
        expiring = sum(lot.remaining for lot in state.lots if lot.expires_at == next_expiry) if next_expiry else 0
        return {
            "org": head.org,
            "balance": state.balance,
            "available": verdict.available,
            "allowed": verdict.allowed,
            "held": state.held,
            "owed": state.debt.owed,
            "overage": state.debt.overage,
            "debt_since": None,
            "lots": len(state.lots),
            "next_expiry": next_expiry,
            "expiring_units": expiring,
            "plan": plan,
            "quota": quota,
            "used": 0 if week is None else week.used,
            "pace": None,
            "runs_out": None,
            "last_at": head.at,
            "seq": head.seq,
            "checked": checked,
        }

    def _look_deeper(self, standing: _ListedOrg) -> None:
        """Add the figures that need the journal: the age of the debt, and the forecast."""
        record = standing.record
        if record["owed"] or record["overage"]:
            record["debt_since"] = self._debt_since(standing.head)
        before_due = state_from_document(standing.head.state)
        ahead = self._forecaster.of(standing.head.org, before_due, standing.state, standing.at)
        record["pace"], record["runs_out"] = ahead.pace, ahead.runs_out_at

    def _debt_since(self, head: Head) -> Instant | None:
        newest = self._store.journal.by_seq(head.org, head.seq)
        began = None if newest is None else debt_began(self._store.journal, head.org, newest)
        return None if began is None else began[0]["at"]

    def _checked(self, records: Iterator[_Record], criteria: OrgFilter) -> Iterator[_Record]:
        for record in islice(records, MOST_CHECKED):
            tip = self._store.journal.tip(record["org"])
            if tip is None:
                continue
            standing = self._standing(head_of(tip), None, checked=True)
            self._look_deeper(standing)
            if _matches(standing.record, criteria) and _matches_deeper(standing.record, criteria):
                yield standing.record
        yield from records


def _sort(records: Iterator[_Record], query: OrgQuery) -> Sequence[_Record]:
    def key(record: _Record) -> tuple[bool, Any, str]:
        return _sort_key(record, query.sort)

    return sorted(records, key=key) if query.limit is None else nsmallest(query.limit, records, key)


def _matches(record: _Record, criteria: OrgFilter) -> bool:
    """Return True if the figures of a head match."""
    expiry = record["next_expiry"]
    return all(
        (
            not criteria.negative or record["balance"] < 0,
            not criteria.blocked or not record["allowed"],
            criteria.below is None or record["balance"] < criteria.below,
            criteria.expiring_by is None or (expiry is not None and expiry <= criteria.expiring_by),
            criteria.plan is None or record["plan"] == criteria.plan,
            criteria.week_over is None or record["used"] * 100 > criteria.week_over * record["quota"],
            criteria.idle_since is None or record["last_at"] < criteria.idle_since,
            criteria.owing_since is None or record["owed"] + record["overage"] > 0,
        )
    )


def _matches_deeper(record: _Record, criteria: OrgFilter) -> bool:
    """Return True if the figures that need the journal match."""
    since, out = record["debt_since"], record["runs_out"]
    return (criteria.owing_since is None or (since is not None and since <= criteria.owing_since)) and (
        criteria.runs_out_by is None or (out is not None and out <= criteria.runs_out_by)
    )


def _sort_key(record: _Record, sort: str) -> tuple[bool, Any, str]:
    value = record[sort]
    # Most used first, anything else ascending, missing values last.
    return (value is None, -value if sort == "used" else value, record["org"])
