"""Documents of devkit as plain values, with everything odd about them noted."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from meterctl.core.domain.file_times import file_instant
from meterctl.core.domain.weeks import week_start
from meterctl.core.errors import BadInput
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
    """One entry of an org's ledger array. ``id``: its `_id`, or ``#`` and its place where it has none. ``ledger``: the
    number of the document that holds it, where an org has several."""

    id: str
    kind: str
    amount: int
    session: str | None
    ref: str | None
    source: str | None
    at: Instant | None
    expires_at: Instant | None
    ledger: int = 0

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
    """Everything that devkit knows of one org. ``documents``: ledgers that were found for it. ``cached_balance``: a
    text if it is no whole number, None if a ledger has none."""

    org: str
    entries: Sequence[OldEntry]
    cached_balance: int | str | None
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
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(number, bool) or not isinstance(number, int) or abs(number) > MAX_UNITS:
        raise Unusable(f"{field} is {value!r:.60}, which is no whole number")
    return int(number)


def count(value: Any, field: str) -> int:
    """Return a count, 0 where there is none. Raises `Unusable` for a negative one."""
    number = whole(0 if value is None else value, field)
    if number < 0:
        raise Unusable(f"{field} is {number}, less than nothing")
    return number


def _text(value: Any, field: str) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Unusable(f"{field} is {value!r:.60}, which is no text")
    return value


def texts(value: Any, field: str) -> list[str]:
    """Return the texts of an array, empty ones left out. Raises `Unusable`."""
    return [text for item in array(value, field) if (text := _text(item, f"an item of {field}")) is not None]


def array(value: Any, field: str) -> Sequence[Any]:
    """Return an array, an empty one where there is none. Raises `Unusable`."""
    if value is not None and not isinstance(value, list):
        raise Unusable(f"{field} is {value!r:.60}, which is no array")
    return value or []


def entry_of(document: Any, place: int, ledger: int = 0) -> OldEntry:
    """Return a ledger entry; the reader has made texts of ids and instants. Raises `Unusable`."""
    if not isinstance(document, Mapping):
        raise Unusable(f"a ledger entry is {document!r:.60}")
    kind = _text(document.get("kind"), "kind")
    if kind not in KINDS:
        raise Unusable(f"kind is {kind!r:.60}")
    return OldEntry(
        id=_text(document.get("_id"), "_id") or (f"#{ledger}.{place}" if ledger else f"#{place}"),
        kind=kind,
        amount=whole(document.get("amount"), "amount"),
        session=_text(document.get("stripeSessionId"), "stripeSessionId"),
        ref=_text(document.get("refId"), "refId"),
        source=_text(document.get("source"), "source"),
        at=date(document.get("at"), "at"),
        expires_at=date(document.get("expiresAt"), "expiresAt"),
        ledger=ledger,
    )


def date(value: Any, field: str) -> Instant | None:
    """Return a date: an instant, a text with a time zone, or seconds or milliseconds since 1970. Raises `Unusable`."""
    if value is None:
        return None
    try:
        return file_instant(int(value) if isinstance(value, float) and value.is_integer() else value)
    except BadInput:
        raise Unusable(f"{field} is {value!r:.60}, which is no date with a time zone") from None


def plan_of(document: Mapping[str, Any]) -> tuple[str | None, Instant | None]:
    """Return the plan of a subscription, and its begin. Raises `Unusable`."""
    since = date(document.get("currentPeriodStart"), "currentPeriodStart")
    return _text(document.get("plan"), "plan"), since or date(document.get("lastResetAt"), "lastResetAt")


def is_week(key: Any) -> bool:
    """Return True for the key of a week that the calendar has."""
    try:
        return isinstance(key, str) and bool(_WEEK.fullmatch(key) and week_start(key))
    except BadInput:
        return False


def week_of(document: Mapping[str, Any]) -> OldWeek | None:
    """Return the usage of a week; None for a document of the older monthly counter. Raises `Unusable`."""
    key = document.get("weekKey")
    if key is None:
        return None
    if not is_week(key):
        raise Unusable(f"weekKey is {key!r:.60}, which is no week")
    early = texts(document.get("consumedHistoryIds"), "consumedHistoryIds")
    keys = texts(document.get("consumedAttributionKeys"), "consumedAttributionKeys")
    runs, settled = [], []
    for text in [*early, *keys]:
        if text.startswith("settle:"):
            settled.append(text)
        else:
            run, _, step = text.partition(":")
            runs.append((run, step or FIRST_STEP))
    breakdown = document.get("meterBreakdown") or {}
    if not isinstance(breakdown, Mapping):
        raise Unusable(f"meterBreakdown is {breakdown!r:.60}, which has no features")
    return OldWeek(
        key=key,
        used=count(document.get("meterUsed"), "meterUsed"),
        quota=count(document.get("meterQuota"), "meterQuota"),
        version=count(document.get("planVersion"), "planVersion"),
        breakdown={str(feature): whole(units, f"meterBreakdown.{feature}") for feature, units in breakdown.items()},
        alerts=tuple(percent for percent in (80, 100) if document.get(f"alertedAt{percent}")),
        runs=tuple(dict.fromkeys(runs)),
        settled=tuple(dict.fromkeys(settled)),
        leftover=len(early) if early and keys else 0,
    )
