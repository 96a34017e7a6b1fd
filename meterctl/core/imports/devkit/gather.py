"""Gather all documents of an org into one record."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from meterctl.core.domain.checks import check_org
from meterctl.core.errors import BadInput
from meterctl.core.imports.devkit.records import (
    OldEntry,
    OldOrg,
    OldWeek,
    Unusable,
    array,
    date,
    entry_of,
    plan_of,
    week_of,
    whole,
)
from meterctl.core.model import Instant


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
    @property
    def damage(self) -> str | None: ...


def org_of(documents: OrgDocuments) -> OldOrg:
    """Return the record of an org. Raises `Unusable`, which names the value, if somebody has to correct it first."""
    if documents.damage is not None:
        raise Unusable(documents.damage)
    try:
        check_org(documents.org)
    except BadInput as problem:
        raise Unusable(problem.message) from None
    ledgers = sorted(documents.ledgers, key=lambda ledger: str(ledger.get("createdAt") or ""))
    weeks = [week for document in documents.weeks if (week := week_of(document)) is not None]
    plan, since = plan_of(documents.subscriptions[-1] if documents.subscriptions else {})
    return OldOrg(
        org=documents.org,
        entries=_entries(ledgers),
        cached_balance=_cached_balance([ledger.get("cachedBalance") for ledger in ledgers]),
        documents=len(ledgers),
        weeks=sorted(weeks, key=lambda week: week.key),
        plan=plan,
        plan_since=since,
        has_text_id=documents.has_text_id,
        largest_bytes=documents.largest_bytes,
    )


def _entries(ledgers: Sequence[Mapping[str, Any]]) -> list[OldEntry]:
    """Return the entries of all ledgers, each with an id of its own and the first ones with a time."""
    entries: list[OldEntry] = []
    repeated: Counter[str] = Counter()
    for number, ledger in enumerate(ledgers):
        for place, document in enumerate(array(ledger.get("ledger"), "ledger")):
            entry = entry_of(document, place, number)
            repeated[entry.id] += 1
            if repeated[entry.id] > 1:  # a retried write stores the same entry twice
                entry = entry._replace(id=f"{entry.id}~{repeated[entry.id]}")
            entries.append(entry)
    if entries and entries[0].at is None:
        entries[0] = entries[0]._replace(at=_begin(entries, ledgers[0]))
    return entries


def _begin(entries: Sequence[OldEntry], ledger: Mapping[str, Any]) -> Instant:
    """Return the time of a first entry without one: that of the first with one, else of the ledger."""
    known = next((entry.at for entry in entries if entry.at is not None), None)
    begin = known or date(ledger.get("createdAt"), "createdAt") or date(ledger.get("updatedAt"), "updatedAt")
    if begin is None:
        raise Unusable("no entry has a date, nor has its ledger")
    return begin


def _cached_balance(balances: Sequence[Any]) -> int | str | None:
    if not balances or None in balances:
        return None
    try:
        return sum(whole(balance, "cachedBalance") for balance in balances)
    except Unusable:
        return ", ".join(f"{balance!r:.60}" for balance in balances)


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
