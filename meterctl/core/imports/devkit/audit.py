"""Find the errors in devkit's data of one org, with the units that the customer is owed for each, or owes."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from meterctl.core.domain.digest_set import DigestSet
from meterctl.core.imports.devkit.records import OldEntry, OldOrg, OldWeek
from meterctl.core.imports.devkit.replay import Effect, Replay
from meterctl.core.model import Instant

#: Documents that come near MongoDB's 16 MB.
LARGE = 8 * 1024 * 1024

#: The sign that each kind must have.
_SIGNS = {"topup": 1, "debit": -1, "refund": -1, "expiration": -1}


class AuditFinding(NamedTuple):
    """An error in the data.

    ``units``: owed to the customer (positive) or by the customer; None if unknown, or if the error does not concern
    units. ``adjust``: the units of the adjustment that corrects it; 0: none.
    """

    org: str
    finding: str
    id: str | None
    units: int | None
    message: str
    adjust: int = 0


class Audit:
    """Check one org after the other. Names that only one org may use are remembered from org to org."""

    def __init__(self, now: Instant) -> None:
        self._now = now
        self._names = DigestSet()

    def findings(self, old: OldOrg) -> Iterator[AuditFinding]:
        """Yield the errors in an org's data."""
        yield from _documents(old)
        walk, removed_units, names = Replay(), Counter[int](), set[str]()
        for place, entry in enumerate(old.entries):
            effect = walk.feed(place, entry)
            repetition = self._repetition(old.org, entry, names)
            if repetition is not None:
                yield repetition
            if repetition is None or not repetition.adjust:  # one that should not be there is put right as a whole
                yield from _entry(old.org, walk, entry, effect, removed_units)
        yield from self._not_expired(old.org, walk)
        if old.cached_balance is not None and old.cached_balance != old.balance:
            message = f"cachedBalance is {old.cached_balance}, the entries sum to {old.balance}"
            yield AuditFinding(old.org, "cached_balance", None, None, message)
        yield from _weeks(old)

    def _repetition(self, org: str, entry: OldEntry, names: set[str]) -> AuditFinding | None:
        name = _name_of(entry)
        if name is None:
            return None
        if name in names:
            message = f"{name} is booked a second time, with {entry.amount:+} units"
            return AuditFinding(org, "booked_twice", entry.id, -entry.amount, message, adjust=-entry.amount)
        names.add(name)
        if (entry.ref or "").startswith("settle:") or self._names.add(name):  # each org settles its own week
            return None
        return AuditFinding(org, "in_two_orgs", entry.id, None, f"{name} is booked in another org too")

    def _not_expired(self, org: str, walk: Replay) -> Iterator[AuditFinding]:
        """Find credits that the old system should have expired.

        A journal has no lots beside debt. There, units taken after an expiry come from the expired credit, so less
        of it expires: the finding adjusts that difference."""
        uncovered = walk.uncovered
        for credit in walk.credits.values():
            expires_at = credit.entry.expires_at
            if credit.remaining and not credit.closed and expires_at is not None and expires_at <= self._now:
                covered = min(uncovered, credit.remaining)
                uncovered -= covered
                message = f"the credit expired at {expires_at}, and its {credit.remaining} units are still there"
                if covered:
                    message += f"; {covered} units of later debits, which it must not pay, are uncovered"
                yield AuditFinding(org, "not_expired", credit.entry.id, -credit.remaining, message, adjust=-covered)


def _name_of(entry: OldEntry) -> str | None:
    """Return the name under which an entry may be booked once. A session is copied on its refunds, which have refs."""
    if entry.kind == "topup" and entry.session is not None:
        return f"session {entry.session}"
    return None if entry.ref is None else f"{entry.kind} {entry.ref}"


def _documents(old: OldOrg) -> Iterator[AuditFinding]:
    if old.has_text_id:
        yield AuditFinding(old.org, "text_org_id", None, None, "a document names the org by a text, not an ObjectId")
    if old.documents > 1:
        message = f"the org has {old.documents} ledgers; they are taken as one"
        yield AuditFinding(old.org, "two_documents", None, None, message)
    if old.largest_bytes > LARGE:
        yield AuditFinding(old.org, "large_document", None, None, f"a document has {old.largest_bytes:,} bytes")


def _entry(
    org: str, walk: Replay, entry: OldEntry, effect: Effect, removed_units: Counter[int]
) -> Iterator[AuditFinding]:
    if not entry.has_id:
        yield AuditFinding(org, "no_id", entry.id, None, f"the {entry.kind} in place {entry.id} has no _id")
    sign = _SIGNS.get(entry.kind)
    if sign is not None and entry.amount * sign < 0:
        message = f"a {entry.kind} has {entry.amount:+} units"
        yield AuditFinding(org, "wrong_sign", entry.id, -2 * entry.amount, message, adjust=-2 * entry.amount)
    elif effect.own is not None and entry.kind == "expiration":
        yield from _expiration(org, walk, entry, effect, removed_units)
    elif effect.own is not None and entry.kind == "refund":
        yield from _refund(org, walk, entry, effect, removed_units)


def _expiration(
    org: str, walk: Replay, entry: OldEntry, effect: Effect, removed_units: Counter[int]
) -> Iterator[AuditFinding]:
    assert effect.own is not None
    excess = -entry.amount - effect.own_units
    if excess:
        credit = walk.credits[effect.own]
        message = f"{-entry.amount} units of {credit.entry.id} expired, where {effect.own_units} were left"
        yield AuditFinding(org, "whole_pack_expiration", entry.id, excess, message, adjust=excess)
    removed_units[effect.own] += effect.own_units  # expired: no refund may claw it


def _refund(
    org: str, walk: Replay, entry: OldEntry, effect: Effect, removed_units: Counter[int]
) -> Iterator[AuditFinding]:
    assert effect.own is not None
    credit, units = walk.credits[effect.own], -entry.amount
    topup_units = credit.entry.amount
    above = min(units, max(0, credit.clawed - topup_units))
    if above:
        message = f"refunds of session {entry.session} claw {credit.clawed} units, its topup had {topup_units}"
        yield AuditFinding(org, "refund_above_topup", entry.id, above, message, adjust=above)
    expired = min(units - above, max(0, credit.clawed - above - (topup_units - removed_units[effect.own])))
    if expired:
        message = f"{expired} of the {units} units that the refund clawed had expired before"
        yield AuditFinding(org, "clawback_after_expiry", entry.id, expired, message, adjust=expired)


# -- weeks


def _weeks(old: OldOrg) -> Iterator[AuditFinding]:
    org = old.org
    debits: Counter[str] = Counter()
    credits: dict[str, int] = {}
    for entry in old.entries:
        if entry.kind == "debit" and entry.ref is not None:
            debits[entry.ref] -= entry.amount
        elif entry.kind == "adjustment" and entry.ref is not None and entry.ref.startswith("settle:"):
            credits[entry.ref] = credits.get(entry.ref, 0) + entry.amount
    keys = Counter(week.key for week in old.weeks)
    for key, count in keys.items():
        if count > 1:
            yield AuditFinding(org, "two_weeks", key, None, f"week {key} has {count} documents")
    for week in old.weeks:
        yield from _week(org, week, debits, credits)
    charged_keys = {key for week in old.weeks for key in week.settled}
    for key, units in credits.items():
        if key not in charged_keys:
            message = f"{key} credited {units} units, and no week is charged for them"
            yield AuditFinding(org, "settlement_not_charged", key, -units, message, adjust=-units)


def _week(org: str, week: OldWeek, debits: Mapping[str, int], credits: Mapping[str, int]) -> Iterator[AuditFinding]:
    if week.leftover:
        message = f"week {week.key} holds {week.leftover} consumedHistoryIds beside consumedAttributionKeys"
        yield AuditFinding(org, "leftover_history_ids", week.key, None, message)
    settled = sum(credits.get(key, 0) for key in week.settled)
    breakdown_sum = sum(week.breakdown.values())
    missing = [key for key in week.settled if key not in credits]
    beyond = week.used - breakdown_sum - settled
    for key in missing:
        units = beyond if len(missing) == 1 and beyond > 0 else None
        message = f"week {week.key} is charged for {key}, and nothing was credited for it"
        yield AuditFinding(org, "settlement_not_credited", key, units, message, adjust=units or 0)
    if beyond and not missing and week.used != breakdown_sum:
        message = f"week {week.key} counts {week.used} units, its breakdown {breakdown_sum}, its settlements {settled}"
        yield AuditFinding(org, "breakdown_differs", week.key, None, message)
    overflow = max(0, week.used - week.quota)
    paid = sum(debits.get(ref, 0) for run, step in week.runs for ref in {run, f"{run}:{step}"})
    if overflow > paid:
        message = f"week {week.key} counts {overflow} units above its quota, and debits of its runs {paid}"
        yield AuditFinding(org, "overflow_not_debited", week.key, paid - overflow, message, adjust=paid - overflow)
