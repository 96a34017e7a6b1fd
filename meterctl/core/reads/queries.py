"""Answer questions about an org at any instant, without writing.

Answers include due events that no sweep has booked yet, so they do not depend on the last sweep.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, takewhile
from typing import TYPE_CHECKING, Any

from meterctl.core.domain import weeks
from meterctl.core.domain.checks import check_org
from meterctl.core.domain.due_events import next_expiry_of, state_at
from meterctl.core.domain.entries import book_due, tip_of
from meterctl.core.domain.instants import EARLIEST, add_millis
from meterctl.core.domain.policy import PlanBook, Terms
from meterctl.core.errors import BadInput, NotFound
from meterctl.core.model import Entry, Instant, Lot, NextPlan, State, state_after
from meterctl.core.ports import Clock, EntryFilter, Store
from meterctl.core.reads import balance_series, search
from meterctl.core.reads.chart import LedgerChart
from meterctl.core.reads.feeds import LedgerFeed, alert_records, alerts_behind, cursor_of, follow, is_alert, place_of
from meterctl.core.reads.ledger_query import LedgerQuery
from meterctl.core.reads.past import entry_at, entry_before
from meterctl.core.results import Balance, LedgerPage, Listing, Meter

if TYPE_CHECKING:
    from meterctl.core.documents.reading import BalanceLot, BalanceMark, BalancePoint, NextExpiry
    from meterctl.core.domain.rules import Refundable
    from meterctl.core.reads.forecast import Forecast


class Reads:
    """Answers about orgs under one set of terms."""

    def __init__(self, store: Store, clock: Clock, terms: Terms) -> None:
        self._store = store
        self._clock = clock
        self._terms = terms
        self.plans = PlanBook(store.plans.all)

    # -- an org at an instant

    def standing(self, org: str, as_of: Instant | None) -> tuple[Entry | None, Instant, State]:
        """Return the entry that holds at ``as_of`` (None: now), that instant, and the state then."""
        check_org(org)
        if as_of is None:
            newest = self._store.journal.tip(org)
            at = self._takes_effect(newest)
        else:
            newest, at = entry_at(self._store.journal, org, as_of), as_of
        return newest, at, _state_at(newest, at, self._terms, self.plans)

    def balance(self, org: str, as_of: Instant | None = None) -> Balance:
        """Return units, debt, next expiry, and lots with pack and session. A future ``as_of`` shows time's effect."""
        newest, at, state = self.standing(org, as_of)
        return Balance(
            org=org,
            as_of=at,
            balance=state.balance,
            lots=[self._lot_record(org, lot) for lot in state.lots],
            debt={"owed": state.debt.owed, "overage": state.debt.overage},
            next_expiry=next_expiry(state),
            seq=0 if newest is None else newest["seq"],
            held=state.held,
            known=newest is not None or (as_of is not None and self._store.journal.tip(org) is not None),
        )

    def _lot_record(self, org: str, lot: Lot) -> "BalanceLot":
        opening = self._store.journal.by_seq(org, lot.id)
        about: Mapping[str, Any] = opening or {}
        return {
            "id": lot.id,
            "remaining": lot.remaining,
            "expires_at": lot.expires_at,
            "pack": about.get("pack"),
            "session": about.get("session"),
            "units": about.get("units"),
            "priority": lot.priority,
            "paid": lot.paid,
        }

    def lots(self, org: str, *, all_lots: bool) -> Listing:
        """Return the lots of ``org`` and the history of each; with ``all_lots`` spent and expired ones too."""
        from meterctl.core.reads.lot_list import list_lots

        newest, at, state = self.standing(org, None)
        pending = [entry for entry, _ in book_due(org, tip_of(newest), at, self._terms, self.plans, at)]
        return list_lots(self._store.journal, org, at, state, pending, all_lots=all_lots, known=newest is not None)

    # -- the meter

    def meter(self, org: str, *, requested: int = 0, gate: bool = False) -> Meter:
        """Return this week of ``org``. Before the first usage no week is open: the quota comes from the plan in force.

        A ``gate`` skips the forecast, because a run waits for the answer."""
        newest, at, state = self.standing(org, None)
        week = state.week
        ahead = None if gate else self._forecast(org, state_after(newest), state, at)
        plan = self.plans.in_force(self._terms.plan_of(state, at), at)
        quota = plan.weekly_quota if week is None else week.quota
        key = weeks.week_key(at) if week is None else week.key
        from meterctl.core.domain.rules import admission  # a balance needs no rule

        available, allowed = admission(state, quota, requested, meter_mode=self._terms.meter_mode)
        return Meter(
            org=org,
            plan=plan.plan if week is None else week.plan,
            plan_version=plan.version if week is None else week.version,
            week={
                "key": key,
                "cycle": 1 if week is None else week.cycle,
                "starts_at": weeks.week_start(key),
                "ends_at": weeks.week_end(key),
            },
            quota=quota,
            used=0 if week is None else week.used,
            uncovered=0 if week is None else week.uncovered,
            breakdown={} if week is None else week.breakdown,
            alerts=() if week is None else week.alerts,
            balance=state.balance,
            available=available,
            allowed=allowed,
            as_of=at,
            asked=requested,
            gate=gate,
            pace=None if ahead is None else ahead.pace,
            runs_out_at=None if ahead is None else ahead.runs_out_at,
            held=state.held,
            next_plan=None if state.next_plan is None else _next_plan(state.next_plan),
            known=newest is not None,
            meter_mode=self._terms.meter_mode,
        )

    def _forecast(self, org: str, booked_state: State, state: State, at: Instant) -> "Forecast":
        """Return the pace of ``org`` and the instant it runs out; ``state`` includes due events."""
        from meterctl.core.reads.forecaster import Forecaster  # it loads fractions, which few reads need

        return Forecaster(self._store.journal, self._terms, self.plans).of(org, booked_state, state, at)

    def history(self, org: str, limit: int = 12) -> Listing:
        """Return the closed weeks of ``org``, newest first, each with the entry that closed it."""
        check_org(org)
        where = EntryFilter(kinds=("reset",))
        pending = (entry for entry in self._pending(org) if entry["kind"] == "reset")
        resets = chain(pending, self._store.journal.read(org, where, newest_first=True))
        closed = [_closed_week(entry) for entry in islice(resets, limit)]
        return Listing("history", "weeks", closed, {"org": org, "known": self._is_known(org)})

    def alerts(self, org: str | None, since: Instant | None) -> Listing:
        """Return the thresholds crossed since an instant, oldest first: one record for each percent of an entry.

        Includes due events that are not booked yet only for one org: for all orgs that would mean reading each."""
        start = since or Instant("")
        entries = self._store.journal.alerts(start, org=None if org is None else check_org(org))
        if org is not None:
            due = (entry for entry in reversed(self._pending(org)) if is_alert(entry))
            entries = chain(entries, (entry for entry in due if entry["at"] >= start))
        records = (record for entry in entries for record in alert_records(entry))
        first = list(islice(records, 1))  # a store that fails does so before a heading is printed
        about = {"org": org, "known": org is None or self._is_known(org), "since": since, "until": None, "next": None}
        return Listing("alerts", "alerts", chain(first, records), about)

    def alert_feed(self, after: str) -> Listing:
        """Return a page of all orgs' thresholds as they were recorded, after the cursor or instant ``after``.

        ``next`` is the cursor for the next page. Records of the last `feeds.MARGIN` wait for a later page, because
        another writer's may still arrive before them. So none is missed, and none comes twice.
        """
        entries, last, until = alerts_behind(self._store.journal, self._clock, place_of(after))
        records = [record for entry in entries for record in alert_records(entry)]
        about = {"org": None, "known": True, "since": None, "until": until, "next": cursor_of(last)}
        return Listing("alerts", "alerts", records, about)

    # -- the ledger

    def ledger(self, org: str | None, query: LedgerQuery) -> LedgerPage:
        """Return a page of the journal, newest first. Without ``org``, the query's session, ref or run finds the org.

        Raises `NotFound` if no org has it."""
        org = self._org(org, query)
        newest, _, state = self.standing(org, None)
        look = self._look(query)
        entries = self._page(org, query) if look is None else search.newest_first(look, org)
        matching = filter(query.matches, entries)
        ends = self._ends(org, query)
        if query.limit is None:
            return LedgerPage(org, state.balance, matching, None, query.since, query.until, *ends, newest is not None)
        page = list(islice(matching, query.limit + 1))
        more = len(page) > query.limit
        shown = page[: query.limit]
        next_before = shown[-1]["seq"] if more and shown else None
        return LedgerPage(org, state.balance, shown, next_before, query.since, query.until, *ends, newest is not None)

    def _ends(self, org: str, query: LedgerQuery) -> tuple[int | None, int | None]:
        """Return the balance at both ends of the window of ``query``; None without a window."""
        if query.since is None and query.until is None:
            return None, None
        opening = 0 if query.since is None else self._balance_before(org, query.since)
        now = self.standing(org, None)[2].balance
        return opening, now if query.until is None else self._balance_before(org, query.until)

    def _balance_before(self, org: str, instant: Instant) -> int:
        """Return the balance just before ``instant``, or now if that is earlier."""
        if instant == EARLIEST:
            return 0
        _, now, state = self.standing(org, None)
        return state.balance if instant > now else self.standing(org, add_millis(instant, -1))[2].balance

    def chart(self, org: str, since: Instant | None, until: Instant | None) -> LedgerChart:
        """Return the balance of ``org`` over time: ``since`` (else its first entry) <= at < ``until`` (else now).

        Reads every entry of that time that moved units."""
        newest, now, _ = self.standing(org, None)
        end = now if until is None else min(until, now)
        if since is not None and since >= end:
            raise BadInput(f"--since {since} is not before {end}", hint="choose an earlier --since")
        first = self._store.journal.by_seq(org, 1) if since is None else None
        start = since if first is None else first["at"]
        marks = takewhile(lambda mark: until is None or mark.at < until, self._marks(org, since))
        slices = [] if start is None else list(balance_series.slices_between(marks, start, end))
        return LedgerChart(
            org=org,
            balance=slices[-1].last.balance if slices else 0,
            since=start,
            until=end,
            lowest=_mark_record(balance_series.lowest(slices)),
            highest=_mark_record(balance_series.highest(slices)),
            points=points_of(slices),
            known=newest is not None,
        )

    def _marks(self, org: str, since: Instant | None) -> Iterator[balance_series.SeriesMark]:
        """Yield the balance after each entry that moved it, from the last one before ``since``; due events included."""
        opening = None if since is None else entry_before(self._store.journal, org, since)
        if opening is not None:
            yield balance_series.mark_of(opening)
        where = EntryFilter(after=None if opening is None else opening["seq"], moving=True)
        entries = self._store.journal.read(org, where)
        yield from (balance_series.mark_of(entry) for entry in chain(entries, reversed(self._pending(org))))

    def follow(self, org: str | None, query: LedgerQuery) -> LedgerFeed:
        """Return the page of ``query``, oldest first, and then each matching entry as it is booked."""
        org = self._org(org, query)
        tip = self._store.journal.tip(check_org(org))
        last = 0 if tip is None else tip["seq"]
        page = self.ledger(org, query._replace(before=last + 1))
        entries = [entry for entry in page.entries if "pending" not in entry][::-1]
        new = (entry for entry in follow(self._store.journal, self._clock, org, last) if query.matches(entry))
        return LedgerFeed(
            org=org, balance=page.balance, entries=chain(entries, new), next_before=None, since=query.since
        )

    def _org(self, org: str | None, query: LedgerQuery) -> str:
        if org is not None:
            return org
        if query.session is not None:
            return self._holder(query.session)
        look, journal = self._look(query), self._store.journal
        if look is None:
            raise BadInput(
                "name an org, or give --session, --ref or --run", hint="meterctl ledger --help", code="usage"
            )
        if query.ref is not None:
            return search.org_of(journal, look, f"the ref {query.ref}", "unknown_ref")
        return search.org_of(journal, look, f"the run {query.run}", "unknown_run")

    def _look(self, query: LedgerQuery) -> search.Look | None:
        if query.ref is not None:
            return search.by_ref(self._store.journal, query.ref)
        return None if query.run is None else search.by_run(self._store.journal, query.run)

    def _holder(self, session: str) -> str:
        claim = self._store.claims.holders([session]).get(session)
        if claim is None:
            raise NotFound(
                f"no org holds session {session}", code="unknown_session", hint="credit it with: meterctl credit-pack"
            )
        return claim.org

    def _page(self, org: str, query: LedgerQuery) -> Iterator[Entry]:
        where = EntryFilter(
            before=self._before(org, query),
            after=None if query.since is None else self.last_seq_before(org, query.since),
            kinds=query.kinds,
            moving=not (query.all_kinds or query.kinds),
            session=query.session,
        )
        yield from self._pending(org)
        yield from self._store.journal.read(org, where, newest_first=True)

    def _before(self, org: str, query: LedgerQuery) -> int | None:
        if query.until is None:
            return query.before
        bound = self.last_seq_before(org, query.until) + 1
        return bound if query.before is None else min(bound, query.before)

    def last_seq_before(self, org: str, instant: Instant) -> int:
        """Return the seq of the last entry whose ``at`` is before ``instant``; 0 if there is none."""
        entry = entry_before(self._store.journal, org, instant)
        return 0 if entry is None else entry["seq"]

    def _is_known(self, org: str) -> bool:
        return self._store.journal.tip(org) is not None

    def _pending(self, org: str) -> Sequence[Entry]:
        """Return the due entries that are not booked yet, newest first."""
        newest = self._store.journal.tip(org)
        at, now = self._takes_effect(newest), self._clock.now()
        due = [entry for entry, _ in book_due(org, tip_of(newest), at, self._terms, self.plans, now)]
        for entry in due:
            entry["pending"] = True
        return due[::-1]

    # -- refunds

    def refundable(self, org: str, session: str, at: Instant) -> "Refundable | None":
        """Return the refundable rest of a session at ``at``; None if ``org`` has no topup of it.

        Due events are included; ``at`` must not be before the newest entry."""
        from meterctl.core.booking.journal_view import OrgView
        from meterctl.core.domain.rules import refundable

        view = OrgView(self._store, check_org(org), self._store.journal.tip(org), exact=True)
        for entry, tip in book_due(org, view.tip, at, self._terms, self.plans, self._clock.now()):
            view.add(entry, tip)
        return refundable(session, view)

    def unused_cents(self, org: str, session: str, occurred_at: Instant | None) -> int | None:
        """Return the cents that the unspent part of a pack is worth; None if the org has no topup of the payment."""
        at = self.takes_effect(org, occurred_at)
        standing = self.refundable(org, session, at)
        if standing is None:
            return None
        newest = self._store.journal.tip(org)
        state = _state_at(newest, at, self._terms, self.plans)
        rest = sum(lot.remaining for lot in state.lots if lot.id == standing.topup["seq"])
        return standing.cents_of(rest)

    def takes_effect(self, org: str, occurred_at: Instant | None) -> Instant:
        """Return the instant at which an operation on ``org`` of ``occurred_at`` (None: now) takes effect."""
        return self._takes_effect(self._store.journal.tip(check_org(org)), occurred_at)

    def _takes_effect(self, newest: Entry | None, occurred_at: Instant | None = None) -> Instant:
        at = occurred_at or self._clock.now()
        return at if newest is None else max(at, newest["at"])


def _state_at(newest: Entry | None, at: Instant, terms: Terms, plans: PlanBook) -> State:
    return state_at(state_after(newest), 0 if newest is None else newest["seq"], at, terms, plans)


def _closed_week(reset: Entry) -> dict[str, Any]:
    return {**reset["closed"], "settled": reset["settled"], "closed_at": reset["at"], "seq": reset["seq"]}


def _mark_record(mark: balance_series.SeriesMark | None) -> "BalanceMark | None":
    return None if mark is None else {"at": mark.at, "seq": mark.seq, "balance": mark.balance, "pending": mark.pending}


def points_of(slices: Iterable[balance_series.Slice]) -> "list[BalancePoint]":
    """Return ``slices`` as records: the last mark of each, with the lowest and the highest balance."""
    return [_point_record(piece) for piece in slices]


def _point_record(piece: balance_series.Slice) -> "BalancePoint":
    at, seq, balance, pending = piece.last
    low, high = piece.low.balance, piece.high.balance
    return {"at": at, "seq": seq, "balance": balance, "pending": pending, "low": low, "high": high}


def next_expiry(state: State) -> "NextExpiry | None":
    """Return the next expiry and its units; None if nothing expires."""
    soonest = next_expiry_of(state)
    if soonest is None:
        return None
    return {"at": soonest, "units": sum(lot.remaining for lot in state.lots if lot.expires_at == soonest)}


def _next_plan(coming: NextPlan) -> dict[str, Any]:
    return {"plan": coming.plan, "from": coming.from_at, "entry": coming.entry}
