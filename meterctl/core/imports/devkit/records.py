"""Documents of devkit as plain values, with everything odd about them noted."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from meterctl.core.model import MAX_UNITS, Instant

KINDS = ("topup", "debit", "refund", "expiration", "adjustment")

_WEEK = re.compile(r"[0-9]{4}-W(0[1-9]|[1-4][0-9]|5[0-3])")
_EXPIRED = re.compile(r"expire-(?P<id>.+)")
_REFUNDED = re.compile(r"refund-(?P<session>.+)-(?P<cents>[0-9]{1,12})-(?P<id>[^-]+)")

#: The step of a run that names none.
FIRST_STEP = "initial"


class Unusable(ValueError):
    """A document holds a value that does not fit its field."""


class OldEntry(NamedTuple):
    """One entry of an org's ledger array. ``id``: its `_id`, or ``#`` and its place where it has none."""

    id: str
    kind: str
    amount: int
    session: str | None
    ref: str | None
    source: str | None
    at: Instant | None
    expires_at: Instant | None

    @property
    def has_id(self) -> bool:
        return not self.id.startswith("#")

    @property
    def expires(self) -> str | None:
        """The id of the credit that this expiration is named after."""
        match = _EXPIRED.fullmatch(self.ref) if self.kind == "expiration" and self.ref else None
        return match["id"] if match else None

    @property
    def cents(self) -> int | None:
        """The cents that a refund's ref names."""
        match = _REFUNDED.fullmatch(self.ref) if self.kind == "refund" and self.ref else None
        return int(match["cents"]) if match else None


class OldWeek(NamedTuple):
    """The usage of one ISO week. ``runs``: the consumed keys of runs, as ``(run, step)``."""

    key: str
    used: int
    quota: int
    version: int
    breakdown: Mapping[str, int]
    alerts: tuple[int, ...]
    runs: tuple[tuple[str, str], ...]
    settled: tuple[str, ...]
    leftover: int


class OldOrg(NamedTuple):
    """Everything that devkit knows of one org. ``documents``: ledgers that were found for it."""

    org: str
    entries: Sequence[OldEntry]
    cached_balance: int | None
    documents: int
    weeks: Sequence[OldWeek]
    plan: str | None
    plan_since: Instant | None
    has_text_id: bool
    largest_bytes: int

    @property
    def balance(self) -> int:
        return sum(entry.amount for entry in self.entries)


def whole(value: Any, field: str) -> int:
    """Return a number of JavaScript's as an integer. Raises `Unusable` for a fraction, or none at all."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MAX_UNITS:
        raise Unusable(f"{field} is {value!r}, which is no whole number")
    return int(value)


def _text(value: Any, field: str) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Unusable(f"{field} is {value!r}, which is no text")
    return value


def entry_of(document: Mapping[str, Any], place: int) -> OldEntry:
    """Return a ledger entry; the reader has made texts of ids and instants. Raises `Unusable`."""
    kind = _text(document.get("kind"), "kind")
    if kind not in KINDS:
        raise Unusable(f"kind is {kind!r}")
    return OldEntry(
        id=_text(document.get("_id"), "_id") or f"#{place}",
        kind=kind,
        amount=whole(document.get("amount"), "amount"),
        session=_text(document.get("stripeSessionId"), "stripeSessionId"),
        ref=_text(document.get("refId"), "refId"),
        source=_text(document.get("source"), "source"),
        at=_instant(document.get("at"), "at"),
        expires_at=_instant(document.get("expiresAt"), "expiresAt"),
    )


def _instant(value: Any, field: str) -> Instant | None:
    if value is not None and not (isinstance(value, str) and len(value) == 24 and value.endswith("Z")):
        raise Unusable(f"{field} is {value!r}, which is no date")
    return None if value is None else Instant(value)


def week_of(document: Mapping[str, Any]) -> OldWeek | None:
    """Return the usage of a week; None for a document of the older monthly counter. Raises `Unusable`."""
    key = document.get("weekKey")
    if key is None:
        return None
    if not isinstance(key, str) or not _WEEK.fullmatch(key):
        raise Unusable(f"weekKey is {key!r}")
    early, keys = document.get("consumedHistoryIds") or [], document.get("consumedAttributionKeys") or []
    runs, settled = [], []
    for raw_key in [*early, *keys]:
        text = _text(raw_key, "a consumed key") or ""
        if text.startswith("settle:"):
            settled.append(text)
        elif text:
            run, _, step = text.partition(":")
            runs.append((run, step or FIRST_STEP))
    breakdown = document.get("meterBreakdown") or {}
    version = document.get("planVersion")
    return OldWeek(
        key=key,
        used=max(0, whole(document.get("meterUsed") or 0, "meterUsed")),
        quota=max(0, whole(document.get("meterQuota") or 0, "meterQuota")),
        version=version if isinstance(version, int) and 0 <= version <= MAX_UNITS else 0,
        breakdown={str(feature): whole(units, f"meterBreakdown.{feature}") for feature, units in breakdown.items()},
        alerts=tuple(percent for percent in (80, 100) if document.get(f"alertedAt{percent}")),
        runs=tuple(dict.fromkeys(runs)),
        settled=tuple(dict.fromkeys(settled)),
        leftover=len(early) if early and keys else 0,
    )
