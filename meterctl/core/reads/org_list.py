"""Listing orgs by what they hold, from the cached heads."""

from collections.abc import Iterator, Sequence
from heapq import nsmallest
from itertools import islice
from typing import Any, NamedTuple

from meterctl.core.booking.head_cache import head_of
from meterctl.core.domain.due_events import next_expiry_of, state_at
from meterctl.core.domain.policy import PlanBook, Terms
from meterctl.core.errors import Damaged
from meterctl.core.model import Instant, state_from_document
from meterctl.core.ports import Head, Store
from meterctl.core.results import Listing

SORTS = ("org", "balance", "next_expiry", "used", "last_at")


class OrgFilter(NamedTuple):
    """Which orgs to list: all given conditions hold."""

    negative: bool = False
    expiring_by: Instant | None = None
    plan: str | None = None
    week_over: int | None = None
    idle_since: Instant | None = None


def list_orgs(
    store: Store, now: Instant, terms: Terms, wanted: OrgFilter, *, sort: str = "org", limit: int | None = None
) -> Listing:
    """The orgs that match, as they stand now. In order of org it is a stream. Any other order holds as many records as
    it lists, and without a limit that is all that match."""
    records = _matching(store, now, terms, wanted)
    found = islice(records, limit) if sort == "org" else _sorted(records, sort, limit)
    return Listing("orgs", "orgs", found, {"expiring_by": wanted.expiring_by, "idle_since": wanted.idle_since})


def _matching(store: Store, now: Instant, terms: Terms, wanted: OrgFilter) -> Iterator[dict[str, Any]]:
    plans = PlanBook(store.plans.all)
    for head in store.heads.read():
        sound_head = _from_journal(store, head) if isinstance(head, Damaged) else head
        if sound_head is None:
            continue
        record = _record(sound_head, now, terms, plans)
        if _wanted(record, wanted):
            yield record


def _from_journal(store: Store, damaged: Damaged) -> Head | None:
    """The head that the org of a damaged one should have; None if it has no journal."""
    tip = None if damaged.org is None else store.journal.tip(damaged.org)
    return None if tip is None else head_of(tip)


def _sorted(records: Iterator[dict[str, Any]], sort: str, limit: int | None) -> Sequence[dict[str, Any]]:
    def key(record: dict[str, Any]) -> tuple[bool, Any, str]:
        return _sort_key(record, sort)

    return sorted(records, key=key) if limit is None else nsmallest(limit, records, key)


def _record(head: Head, now: Instant, terms: Terms, plans: PlanBook) -> dict[str, Any]:
    state = state_at(state_from_document(head.state), max(now, head.at), terms, plans)
    plan = terms.plan_of(state)
    week = state.week
    next_expiry = next_expiry_of(state)
    return {
        "org": head.org,
        "balance": state.balance,
        "owed": state.debt.owed,
        "overage": state.debt.overage,
        "lots": len(state.lots),
        "next_expiry": next_expiry,
        "expiring_units": sum(lot.remaining for lot in state.lots if lot.expires_at == next_expiry)
        if next_expiry
        else 0,
        "plan": plan,
        "quota": plans.in_force(plan, now).weekly_quota if week is None else week.quota,
        "used": 0 if week is None else week.used,
        "last_at": head.at,
        "seq": head.seq,
    }


def _wanted(record: dict[str, Any], wanted: OrgFilter) -> bool:
    expiry = record["next_expiry"]
    return (
        (not wanted.negative or record["balance"] < 0)
        and (wanted.expiring_by is None or (expiry is not None and expiry <= wanted.expiring_by))
        and (wanted.plan is None or record["plan"] == wanted.plan)
        and (wanted.week_over is None or record["used"] * 100 > wanted.week_over * record["quota"])
        and (wanted.idle_since is None or record["last_at"] < wanted.idle_since)
    )


def _sort_key(record: dict[str, Any], sort: str) -> tuple[bool, Any, str]:
    value = record[sort]
    # The most used first; everything else ascending, what has no value last.
    return (value is None, -value if sort == "used" else value, record["org"])
