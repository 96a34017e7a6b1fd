"""Listing orgs by what they hold, from the cached heads."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from meterctl.core.due import next_expiry_of, state_at
from meterctl.core.model import Instant, State, state_from_document
from meterctl.core.ports import Head, Store
from meterctl.core.results import Listing
from meterctl.core.terms import PlanBook, Terms

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
    """The orgs that match, as they stand now. In order of org it is a stream; any other order holds what matches."""
    plans = PlanBook(store.plans.all)
    records = _matching(store, now, terms, plans, wanted)
    if sort != "org":
        records = iter(sorted(records, key=lambda record: _sort_key(record, sort)))
    found = records if limit is None else islice(records, limit)
    return Listing("orgs", "orgs", found, {"expiring_by": wanted.expiring_by, "idle_since": wanted.idle_since})


def _matching(store: Store, now: Instant, terms: Terms, plans: PlanBook, wanted: OrgFilter) -> Iterator[dict[str, Any]]:
    for head in store.heads.read():
        state = state_at(state_from_document(head.state), max(now, head.at), terms, plans)
        record = _record(head, state, now, terms, plans)
        if _wanted(record, wanted):
            yield record


def _record(head: Head, state: State, now: Instant, terms: Terms, plans: PlanBook) -> dict[str, Any]:
    plan = state.plan or terms.default_plan
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
