"""Gather all documents of an org into one record."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from meterctl.core.domain.checks import check_org
from meterctl.core.errors import BadInput
from meterctl.core.imports.devkit.records import OldOrg, OldWeek, Unusable, entry_of, week_of, whole


class OrgDocuments(Protocol):
    """The documents of one org, as a database gives them."""

    @property
    def org(self) -> str: ...
    @property
    def ledgers(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def weeks(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def subscriptions(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def has_text_id(self) -> bool: ...
    @property
    def largest_bytes(self) -> int: ...


def org_of(documents: OrgDocuments) -> OldOrg:
    """Return the record of an org. Raises `Unusable`, which names the value, if somebody has to correct it first."""
    try:
        check_org(documents.org)
    except BadInput as problem:
        raise Unusable(problem.message) from None
    ledgers = sorted(documents.ledgers, key=lambda ledger: str(ledger.get("createdAt") or ""))
    raw = [entry for ledger in ledgers for entry in _list(ledger.get("ledger"), "ledger")]
    balances = [whole(ledger.get("cachedBalance") or 0, "cachedBalance") for ledger in ledgers]
    weeks = [week for document in documents.weeks if (week := week_of(document)) is not None]
    plan = documents.subscriptions[-1] if documents.subscriptions else {}
    since = plan.get("currentPeriodStart") or plan.get("lastResetAt")
    return OldOrg(
        org=documents.org,
        entries=[entry_of(_record(entry), place) for place, entry in enumerate(raw)],
        cached_balance=sum(balances) if balances else None,
        documents=len(ledgers),
        weeks=sorted(weeks, key=lambda week: week.key),
        plan=plan.get("plan") or None,
        plan_since=since,
        has_text_id=documents.has_text_id,
        largest_bytes=documents.largest_bytes,
    )


def _list(value: Any, field: str) -> Sequence[Any]:
    if value is not None and not isinstance(value, list):
        raise Unusable(f"{field} is no array")
    return value or []


def _record(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Unusable(f"a ledger entry is {value!r}")
    return value


def merge_weeks(weeks: Sequence[OldWeek]) -> list[OldWeek]:
    """Return one record for each week: two documents of one week count together, each run once."""
    by_key: dict[str, OldWeek] = {}
    for week in weeks:
        other = by_key.get(week.key)
        by_key[week.key] = week if other is None else _together(other, week)
    return list(by_key.values())


def _together(one: OldWeek, other: OldWeek) -> OldWeek:
    features = {*one.breakdown, *other.breakdown}
    return OldWeek(
        key=one.key,
        used=one.used + other.used,
        quota=max(one.quota, other.quota),
        version=max(one.version, other.version),
        breakdown={
            feature: one.breakdown.get(feature, 0) + other.breakdown.get(feature, 0) for feature in sorted(features)
        },
        alerts=tuple(sorted({*one.alerts, *other.alerts})),
        runs=tuple(dict.fromkeys((*one.runs, *other.runs))),
        settled=tuple(dict.fromkeys((*one.settled, *other.settled))),
        leftover=one.leftover + other.leftover,
    )
