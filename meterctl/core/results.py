"""What commands answer: typed results, each with the JSON document that scripts read.

A result has a ``document`` (the whole, for ``-o json``), ``rows`` (one record a line, for ndjson and csv) and an
``exit_code``. How it looks to a person is in `meterctl.views`.

None is frozen, though none changes once it is answered: a class that is takes each command half a millisecond longer to
make, and a backfill twice as long to fill a million of them.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

from meterctl.core import errors
from meterctl.core.model import Entry, Instant

Status = Literal["applied", "replayed", "refused", "conflict", "unchanged", "disabled", "planned", "failed"]


def schema_name(name: str) -> str:
    return f"meterctl.{name}.v1"


class Result(ABC):
    """Base of all results. ``name`` is the document's: its schema is ``meterctl.<name>.v1``."""

    __slots__ = ()
    name: ClassVar[str]

    @property
    def exit_code(self) -> int:
        return errors.DONE

    @abstractmethod
    def fields(self) -> dict[str, Any]:
        """The document without its ``schema``."""

    def document(self) -> dict[str, Any]:
        return {"schema": schema_name(self.name), **self.fields()}

    def rows(self) -> Iterable[Mapping[str, Any]]:
        """One record a line; a result that is no list is one record."""
        return [self.fields()]


class Warning(NamedTuple):
    """Something an operator should see about an operation that was not refused for it."""

    code: str
    message: str


@dataclass(slots=True)
class Receipt(Result):
    """What became of one operation.

    ``entry`` is what was booked; on a replay the first one, on a dry run the one it would be. ``also`` are due events
    booked by the same call. ``balance`` is the org's now. ``diff`` says on a conflict which parameters differ, each as
    ``{"first": ..., "now": ...}``. ``undone_by`` is the seq of the entry that took a replayed one back.
    """

    name = "receipt"

    command: str
    org: str
    key: str
    status: Status
    balance: int
    message: str
    reason: str | None = None
    entry: Entry | None = None
    also: tuple[Entry, ...] = ()
    diff: Mapping[str, Mapping[str, Any]] | None = None
    undone_by: int | None = None
    warnings: tuple[Warning, ...] = ()

    @property
    def applied(self) -> bool:
        return self.status == "applied"

    @property
    def exit_code(self) -> int:
        if self.status == "conflict":
            return errors.CONFLICT
        if self.status == "failed":
            return errors.UNEXPECTED
        return errors.REFUSALS[self.reason][0] if self.status == "refused" and self.reason else errors.DONE

    @property
    def hint(self) -> str | None:
        """What to do about a no; None where there was none."""
        if self.status == "conflict":
            return "if it is another operation, give it a name of its own; if it is the same, repeat it as it was"
        return errors.REFUSALS[self.reason][1] if self.status == "refused" and self.reason else None

    def fields(self) -> dict[str, Any]:
        return {
            "command": self.command,
            "org": self.org,
            "key": self.key,
            "status": self.status,
            "applied": self.applied,
            "reason": self.reason,
            "message": self.message,
            "hint": self.hint,
            "entry": self.entry,
            "also": list(self.also),
            "balance": self.balance,
            "diff": self.diff,
            "undone_by": self.undone_by,
            "warnings": [warning._asdict() for warning in self.warnings],
        }


@dataclass(slots=True)
class Sweep(Result):
    """What a sweep did. Orgs are counted once each: ``due`` were found, ``done`` had something booked, ``skipped`` had
    nothing left to book (another writer was first), ``failed`` are named in ``errors``. ``shard`` is None where
    one org was swept by name."""

    name = "sweep"

    command: str
    at: Instant
    dry_run: bool = False
    due: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0
    expired_lots: int = 0
    expired_units: int = 0
    weeks_closed: int = 0
    settled_units: int = 0
    shard: str | None = None
    errors: list[dict[str, str]] = field(default_factory=list)
    locked_by: str | None = None
    seconds: float = 0.0
    status: Literal["done", "disabled"] = "done"

    @property
    def exit_code(self) -> int:
        return errors.PARTIAL if self.failed else errors.DONE

    def fields(self) -> dict[str, Any]:
        names = (
            "command at shard due done failed skipped expired_lots expired_units weeks_closed settled_units errors "
            "locked_by"
        )
        values = {name: getattr(self, name) for name in names.split()}
        return {
            **values,
            "seconds": round(self.seconds, 3),
            "dry_run": self.dry_run,
            "status": self.status,
        }


@dataclass(slots=True)
class Balance(Result):
    """What an org holds at ``as_of``: units, live lots with where they came from, debt, and what expires next."""

    name = "balance"

    org: str
    as_of: Instant
    balance: int
    lots: Sequence[Mapping[str, Any]]
    debt: Mapping[str, int]
    next_expiry: Mapping[str, Any] | None
    seq: int

    def fields(self) -> dict[str, Any]:
        return {
            "org": self.org,
            "as_of": self.as_of,
            "balance": self.balance,
            "lots": list(self.lots),
            "debt": dict(self.debt),
            "next_expiry": self.next_expiry,
            "seq": self.seq,
        }


@dataclass(slots=True)
class Meter(Result):
    """Where an org stands in its week, and whether it may run ``asked`` units: a pre-check, not a reservation."""

    name = "meter"

    org: str
    plan: str
    plan_version: int
    week: Mapping[str, Any]
    quota: int
    used: int
    uncovered: int
    breakdown: Mapping[str, int]
    alerts: Sequence[int]
    balance: int
    available: int
    allowed: bool
    as_of: Instant
    asked: int = 0
    gate: bool = False

    @property
    def exit_code(self) -> int:
        """As an answer to "may it run?" (``gate``), a no is a refusal."""
        return errors.REFUSED if self.gate and not self.allowed else errors.DONE

    def fields(self) -> dict[str, Any]:
        return {
            "org": self.org,
            "plan": self.plan,
            "plan_version": self.plan_version,
            "week": dict(self.week),
            "quota": self.quota,
            "used": self.used,
            "remaining": max(0, self.quota - self.used),
            "uncovered": self.uncovered,
            "breakdown": dict(self.breakdown),
            "alerts": list(self.alerts),
            "balance": self.balance,
            "available": self.available,
            "allowed": self.allowed,
            "asked": self.asked,
            "as_of": self.as_of,
        }


@dataclass(slots=True)
class LedgerPage(Result):
    """A page of a journal, newest first. Entries that are due but not booked yet carry ``pending: true``; ``since`` and
    ``until`` are the instants that were asked for."""

    name = "ledger"

    org: str
    balance: int
    entries: Iterable[Mapping[str, Any]]
    next_before: int | None
    since: Instant | None = None
    until: Instant | None = None

    def fields(self) -> dict[str, Any]:
        return {
            "org": self.org,
            "balance": self.balance,
            "entries": list(self.entries),
            "next_before": self.next_before,
            "since": self.since,
            "until": self.until,
        }

    def rows(self) -> Iterable[Mapping[str, Any]]:
        return self.entries


@dataclass(slots=True)
class LedgerChart(Result):
    """The balance of an org from ``since`` (None: it has no journal) to ``until``, and where it was ``lowest`` and
    ``highest``. Each of the ``points`` stands for what happened in a slice of time; ``balance`` is the last one's."""

    name = "ledger-chart"

    org: str
    balance: int
    since: Instant | None
    until: Instant
    lowest: Mapping[str, Any] | None
    highest: Mapping[str, Any] | None
    points: Sequence[Mapping[str, Any]]

    def fields(self) -> dict[str, Any]:
        return {
            "org": self.org,
            "balance": self.balance,
            "since": self.since,
            "until": self.until,
            "lowest": self.lowest,
            "highest": self.highest,
            "points": list(self.points),
        }

    def rows(self) -> Iterable[Mapping[str, Any]]:
        return self.points


@dataclass(slots=True)
class Listing(Result):
    """Any list of records under one name: ``items`` stand in the document under ``plural``, after ``about``. They may
    be a stream: then the result is read once."""

    name: str  # type: ignore[misc]
    plural: str
    items: Iterable[Mapping[str, Any]]
    about: Mapping[str, Any] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        return {**self.about, self.plural: list(self.items)}

    def rows(self) -> Iterable[Mapping[str, Any]]:
        return self.items


@dataclass(slots=True)
class Facts(Result):
    """Any single record under one name."""

    name: str  # type: ignore[misc]
    facts: Mapping[str, Any]
    exit_code: int = errors.DONE

    def fields(self) -> dict[str, Any]:
        return dict(self.facts)


@dataclass(slots=True)
class Backfill(Result):
    """How many lines of an input file came to what."""

    name = "backfill"

    lines: int = 0
    applied: int = 0
    replayed: int = 0
    refused: int = 0
    conflict: int = 0
    invalid: int = 0
    failed: int = 0
    unchanged: int = 0
    disabled: int = 0
    planned: int = 0
    seconds: float = 0.0

    @property
    def unbooked(self) -> int:
        """Lines that were not booked, and should have been."""
        return self.refused + self.conflict + self.invalid + self.failed

    @property
    def exit_code(self) -> int:
        return errors.PARTIAL if self.unbooked else errors.DONE

    def count(self, statuses: Iterable[str]) -> None:
        for status, lines in Counter(statuses).items():
            self.lines += lines
            setattr(self, status, getattr(self, status) + lines)

    def fields(self) -> dict[str, Any]:
        names = "lines applied replayed refused conflict invalid failed unchanged disabled planned"
        return {name: getattr(self, name) for name in names.split()} | {"seconds": round(self.seconds, 3)}


class Finding(NamedTuple):
    """Something that `verify` found: which check (see docs/format.md), and where, as far as that can be said."""

    org: str | None
    seq: int | None
    check: int
    message: str


@dataclass(slots=True)
class Verification(Result):
    """What `verify` looked at and found. ``more`` findings beyond those listed were only counted."""

    name = "verify"

    orgs: int = 0
    entries: int = 0
    findings: list[Finding] = field(default_factory=list)
    more: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def exit_code(self) -> int:
        return errors.DONE if self.ok else errors.FINDINGS

    def fields(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "orgs": self.orgs,
            "entries": self.entries,
            "findings": [finding._asdict() for finding in self.findings],
            "more": self.more,
            "seconds": round(self.seconds, 3),
        }
