"""Explain an org in figures and sentences: one sum that adds up, its lots, and its next events.

The cost does not grow with the journal: it reads live lots, the newest changes to them, and a few searches.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median_low
from typing import Any, NamedTuple

from meterctl.core.domain import weeks
from meterctl.core.domain.due_events import due
from meterctl.core.domain.effects import apply
from meterctl.core.domain.entries import Tip, book_due, tip_of
from meterctl.core.domain.instants import DAY, to_millis
from meterctl.core.domain.policy import Terms
from meterctl.core.domain.rules import Admission, admission
from meterctl.core.errors import Damaged, plural, shell_command
from meterctl.core.model import Entry, Instant, State, state_after
from meterctl.core.ports import Clock, EntryFilter, Journal, Store
from meterctl.core.reads.debt_age import debt_began
from meterctl.core.reads.explain_words import minute_text, sentences
from meterctl.core.reads.forecast import forecast_record
from meterctl.core.reads.forecaster import Forecaster
from meterctl.core.reads.lot_history import CHANGING, MOST_SEQS, Stories
from meterctl.core.reads.queries import Reads
from meterctl.core.results import Result

#: Lots that are shown: live ones, and the last changed of the others.
MOST_LIVE, MOST_GONE = 50, 10

#: Entries that are read: changes of lots, draws on them, and closed weeks.
CHANGES, DRAWS, RESETS = 300, 200, 12

#: Coming events that are shown, and the instant at which the search for them ends.
UPCOMING, END = 6, Instant("9999-12-31T23:59:59.999Z")

#: Coming changes that are searched for the first one that lets an org run again: some fifty years of weeks.
FAR = 2600

#: Closed weeks that a week is compared with, the fewest needed, and the factor that counts as unusual.
WEEKS, FEWEST_WEEKS, UNUSUAL = 4, 2, 2


@dataclass(frozen=True, slots=True)
class Explanation(Result):
    """The answer of `explain`; ``facts`` is its document."""

    name = "explain"

    facts: Mapping[str, Any]

    @property
    def known(self) -> bool:
        """Return False if the org has no journal."""
        return bool(self.facts["known"])

    def fields(self) -> dict[str, Any]:
        return dict(self.facts)


class _OrgStanding(NamedTuple):
    """An org at an instant: its newest entry by then, the due entries after it, and the state after those."""

    org: str
    at: Instant
    newest: Entry | None
    pending: tuple[Entry, ...]
    tip: Tip
    is_now: bool

    @property
    def state(self) -> State:
        return self.tip.state

    @property
    def seq(self) -> int:
        return 0 if self.newest is None else self.newest["seq"]


class Explainer:
    """Explains orgs. Reads only."""

    def __init__(self, store: Store, clock: Clock, terms: Terms) -> None:
        self._store = store
        self._terms = terms
        self._reads = Reads(store, clock, terms)
        self._plans = self._reads.plans

    def explain(self, org: str, as_of: Instant | None = None) -> Explanation:
        """Return the state of ``org`` at ``as_of`` (None: now) with its causes.

        A future ``as_of`` shows the effect of time alone."""
        standing = self._at(org, as_of)
        recent = _Recent(self._store.journal, standing)
        quota = self._quota(standing.state, standing.at)
        verdict = admission(standing.state, quota, meter_mode=self._terms.meter_mode)
        facts: dict[str, Any] = {
            "org": org,
            "as_of": standing.at,
            "seq": standing.seq,
            "known": standing.newest is not None or (as_of is not None and self._store.journal.tip(org) is not None),
            "pending": len(standing.pending),
            "meter_mode": self._terms.meter_mode,
            "allowed": verdict.allowed,
            "available": verdict.available,
            "sum": self._sum(standing, quota, verdict),
            "plan": self._plan(standing, recent),
            "week": self._week(standing, quota, recent),
            "debt": self._debt(standing, recent),
            **self._lots(standing, recent),
            **self._upcoming(standing, verdict),
        }
        ahead = Forecaster(self._store.journal, self._terms, self._plans).of(
            org, state_after(standing.newest), standing.state, standing.at
        )
        facts["forecast"] = forecast_record(ahead)
        facts["oddities"] = list(self._oddities(standing, recent, facts))
        return Explanation({"said": list(sentences(facts)), **facts})

    def _at(self, org: str, as_of: Instant | None) -> _OrgStanding:
        newest, at, _ = self._reads.standing(org, as_of)
        tip = tip_of(newest)
        entries = list(book_due(org, tip, at, self._terms, self._plans, at))
        pending = tuple(entry for entry, _ in entries)
        return _OrgStanding(
            org=org, at=at, newest=newest, pending=pending, tip=entries[-1][1] if entries else tip, is_now=as_of is None
        )

    def _quota(self, state: State, at: Instant) -> int:
        if state.week is not None:
            return state.week.quota
        return self._plans.in_force(self._terms.plan_of(state, at), at).weekly_quota

    # -- the sum

    def _sum(self, standing: _OrgStanding, quota: int, verdict: Admission) -> dict[str, Any]:
        """Return the sum: ``quota_left + in_lots - owed - overage - held = available``."""
        state = standing.state
        used = 0 if state.week is None else state.week.used
        return {
            "quota": quota,
            "used": used,
            "quota_left": max(0, quota - used),
            "in_lots": sum(lot.remaining for lot in state.lots),
            "owed": state.debt.owed,
            "overage": state.debt.overage,
            "held": state.held,
            "balance": state.balance,
            "available": verdict.available,
            "missing": max(0, 1 - verdict.available),
        }

    def _plan(self, standing: _OrgStanding, recent: "_Recent") -> dict[str, Any]:
        week = standing.state.week
        plan = self._terms.plan_of(standing.state, standing.at)
        assignment = recent.newest_of("plan")
        version = self._plans.in_force(plan, standing.at).version if week is None else week.version
        return {
            "plan": plan if week is None else week.plan,
            "version": version,
            "assigned": standing.state.plan is not None,
            "seqs": [] if assignment is None else [assignment["seq"]],
        }

    def _week(self, standing: _OrgStanding, quota: int, recent: "_Recent") -> dict[str, Any]:
        week, at = standing.state.week, standing.at
        key = weeks.week_key(at) if week is None else week.key
        return {
            "key": key,
            "cycle": 1 if week is None else week.cycle,
            "starts_at": weeks.week_start(key),
            "ends_at": weeks.week_end(key),
            "quota": quota,
            "used": 0 if week is None else week.used,
            "settled": 0 if week is None else week.used - sum(week.breakdown.values()),
            "uncovered": 0 if week is None else week.uncovered,
            "breakdown": {} if week is None else dict(week.breakdown),
            "alerts": [] if week is None else list(week.alerts),
            "since_seq": None if week is None else self._first_of_week(standing, recent),
            "seqs": [] if week is None else recent.runs_of(week.key, week.cycle),
        }

    def _first_of_week(self, standing: _OrgStanding, recent: "_Recent") -> int:
        """Return the first entry whose usage is part of the open week."""
        week = standing.state.week
        assert week is not None
        reset = recent.resets[0] if recent.resets else None
        if reset is not None and (reset["opened"] or {}).get("key") == week.key:
            return reset["seq"]
        return self._reads.last_seq_before(standing.org, weeks.week_start(week.key)) + 1

    # -- debt

    def _debt(self, standing: _OrgStanding, recent: "_Recent") -> dict[str, Any] | None:
        """Return the debt, its start and the entries that made it; None without debt."""
        debt = standing.state.debt
        if not debt.total:
            return None
        assert standing.newest is not None
        began = debt_began(self._store.journal, standing.org, standing.newest)
        assert began is not None  # a due event never makes debt
        first, exact = began
        return {
            "owed": debt.owed,
            "overage": debt.overage,
            "since": first["at"],
            "since_seq": first["seq"],
            "exact": exact,
            "seqs": {part: recent.debtors(part, first) for part in ("owed", "overage")},
        }

    # -- lots

    def _lots(self, standing: _OrgStanding, recent: "_Recent") -> dict[str, Any]:
        live = {lot.id: lot.remaining for lot in standing.state.lots}
        past = [lot for lot in recent.stories.by_last_change() if lot not in live]
        shown = [*list(live.items())[:MOST_LIVE], *((lot, 0) for lot in past[:MOST_GONE])]
        stories = [story for lot, rest in shown if (story := recent.stories.of(lot, rest)) is not None]
        expiries = {lot.id: lot.expires_at for lot in standing.state.lots}
        for story in stories:  # an extension may have changed the expiry
            story["expires_at"] = expiries.get(story["id"], story["expires_at"])
        return {"lots": stories, "more_lots": max(0, len(live) - MOST_LIVE)}

    # -- coming events

    def _upcoming(self, standing: _OrgStanding, verdict: Admission) -> dict[str, Any]:
        """Return the next events by time alone and, for a blocked org, the instant it may run again."""
        events = [_event(entry, tip.state.balance) for entry, tip in islice(self._to_come(standing), UPCOMING)]
        return {"upcoming": events, "allowed_again": None if verdict.allowed else self._again(standing)}

    def _again(self, standing: _OrgStanding) -> dict[str, Any] | None:
        for at, state in islice(self._ahead(standing), FAR):
            quota = self._quota(state, at)
            then = admission(state, quota)
            if then.allowed:
                return {"at": at, "available": then.available, "quota": quota}
        return None

    def _ahead(self, standing: _OrgStanding) -> Iterator[tuple[Instant, State]]:
        """Yield every state that time alone brings, with its instant.

        Due events change the state. While no week is open, each new version of the plan changes the quota."""
        at, state, seq = standing.at, standing.state, standing.tip.seq
        while True:  # bounded: by the caller
            plan = self._terms.plan_of(state, at)
            coming = sorted(version.effective_from for version in self._plans.versions(plan))
            event = due(state, seq + 1, END, self._terms, self._plans)
            until = END if event is None else event.instant
            if state.week is None:
                yield from ((instant, state) for instant in coming if at < instant < until)
            if event is None:
                return
            seq += 1
            at, state = event.instant, apply(state, seq, event.draft.kind, event.draft.effects)
            yield at, state

    def _to_come(self, standing: _OrgStanding) -> Iterator[tuple[Entry, Tip]]:
        return book_due(standing.org, standing.tip, END, self._terms, self._plans, standing.at)

    # -- oddities

    def _oddities(
        self, standing: _OrgStanding, recent: "_Recent", facts: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        if facts["debt"] is not None:
            yield _debt_oddity(facts["debt"], standing.at)
        yield from _burn_oddity(facts["week"], recent.resets, standing.at)
        if facts["week"]["uncovered"]:
            used = plural(facts["week"]["uncovered"], "unit")
            uncovered = f"{used} used this week exceed quota and lots, and were not charged"
            yield _oddity("uncovered", uncovered, facts["week"]["seqs"])
        if not standing.is_now:
            return
        if standing.pending:
            yield _pending_oddity(standing)
        yield from self._stale_head(standing)

    def _stale_head(self, standing: _OrgStanding) -> Iterator[dict[str, Any]]:
        head = self._store.heads.get([standing.org]).get(standing.org)
        head = None if isinstance(head, Damaged) else head
        if standing.newest is not None and (head is None or head.hash != standing.newest["hash"]):
            behind = (
                "is missing or damaged" if head is None else f"is at entry {head.seq}, the journal at {standing.seq}"
            )
            message = f"the cached summary (head) {behind}; repair it with: meterctl verify --all --repair-heads"
            yield _oddity("head_behind", message, [])


class _Recent:
    """The newest entries of an org that an explanation needs, in a few bounded reads, due entries included."""

    def __init__(self, journal: Journal, standing: _OrgStanding) -> None:
        self._journal = journal
        self._standing = standing
        changes = self._read(EntryFilter(kinds=CHANGING), CHANGES)
        self.resets = self._read(EntryFilter(kinds=("reset",)), RESETS)
        self._draws = self._read(EntryFilter(moving=True), DRAWS)
        self._since = changes[-1]["seq"] if len(changes) == CHANGES else 0
        self._changes = changes
        by_seq = {entry["seq"]: entry for entry in standing.pending}
        self.stories = Stories(
            changes[::-1],
            self._draws,
            self._since,
            lambda seq: by_seq.get(seq) or self._journal.by_seq(standing.org, seq),
        )

    def _read(self, where: EntryFilter, most: int) -> list[Entry]:
        """Return the newest entries that match, newest first."""
        pending = [entry for entry in reversed(self._standing.pending) if _fits(entry, where)]
        where = where._replace(before=self._standing.seq + 1)
        return [*pending, *islice(self._journal.read(self._standing.org, where, newest_first=True), most)][:most]

    def newest_of(self, kind: Any) -> Entry | None:
        return next(iter(self._read(EntryFilter(kinds=(kind,)), 1)), None)

    def runs_of(self, week: str, cycle: int) -> list[int]:
        """Return the newest runs of an open week, oldest first."""
        runs = self._read(EntryFilter(kinds=("usage",)), MOST_SEQS)
        return [run["seq"] for run in reversed(runs) if (run["week"], run["cycle"]) == (week, cycle)]

    def debtors(self, part: str, first: Entry) -> list[int]:
        """Return the newest entries that made debt of this kind, oldest first; today's debt began with ``first``."""
        seqs = {entry["seq"] for entry in (first, *self._draws, *self._changes) if entry.get("debt", {}).get(part)}
        return sorted(seq for seq in seqs if seq >= first["seq"])[-MOST_SEQS:]


def _fits(entry: Entry, where: EntryFilter) -> bool:
    return (not where.kinds or entry["kind"] in where.kinds) and (not where.moving or entry["amount"] != 0)


def _event(entry: Entry, balance: int) -> dict[str, Any]:
    lot, closed = entry["kind"] == "expiration", entry.get("closed")
    return {
        "at": entry["at"],
        "kind": entry["kind"],
        "lot": entry.get("lot") if entry["kind"] in ("expiration", "reset") else None,
        "units": entry.get("units"),
        "week": None if closed is None else closed["key"],
        "settled": entry.get("settled"),
        "hold": entry.get("hold"),
        "plan": entry.get("plan"),
        "balance": balance,
        "seqs": [entry["lot"]] if lot else [],
    }


# -- oddities in words


def _oddity(code: str, message: str, seqs: Sequence[int]) -> dict[str, Any]:
    return {"code": code, "message": message, "seqs": list(seqs)}


def _debt_oddity(debt: Mapping[str, Any], at: Instant) -> dict[str, Any]:
    days = (to_millis(at) - to_millis(debt["since"])) // DAY
    age = "for less than a day" if days < 1 else f"for {plural(days, 'day')}" + ("" if debt["exact"] else " at least")
    seqs = sorted({*debt["seqs"]["owed"], *debt["seqs"]["overage"]})
    return _oddity(
        "debt", f"{plural(debt['owed'] + debt['overage'], 'unit')} of debt have been open {age}", seqs[-MOST_SEQS:]
    )


def _pending_oddity(standing: _OrgStanding) -> dict[str, Any]:
    since = minute_text(standing.pending[0]["at"])
    events = plural(len(standing.pending), "due event")
    message = f"{events} not booked yet, the oldest since {since}; book with: {shell_command('expire', standing.org)}"
    return _oddity("overdue", message, [])


def _burn_oddity(week: Mapping[str, Any], resets: Sequence[Entry], at: Instant) -> Iterator[dict[str, Any]]:
    """Yield an oddity if the open week uses far more than a usual one, by now or at its pace."""
    by_week: dict[str, int] = {}
    closing: dict[str, int] = {}
    for reset in reversed(resets):
        closed = reset["closed"]
        by_week[closed["key"]] = by_week.get(closed["key"], 0) + closed["used"]
        closing[closed["key"]] = reset["seq"]
    by_week.pop(week["key"], None)
    past = list(by_week)[-WEEKS:]
    if len(past) < FEWEST_WEEKS or not week["used"]:
        return
    usual = median_low([by_week[key] for key in past])
    elapsed, whole = to_millis(at) - to_millis(week["starts_at"]), 7 * DAY
    # A pace means nothing in the first day of a week.
    pace = week["used"] * whole // elapsed if elapsed >= DAY else week["used"]
    if max(pace, week["used"]) > UNUSUAL * usual:
        median = f"the median of {past[0]} to {past[-1]} is {usual:,} a week"
        message = f"{plural(week['used'], 'unit')} used this week so far; {median}"
        yield _oddity("unusual_burn", message, [closing[key] for key in past])
