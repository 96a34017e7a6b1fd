"""Typed results of commands, each with the JSON document that scripts read.

A result has a ``document`` (the whole, for ``-o json``), ``rows`` (one record a line, for ndjson and csv) and an
``exit_code``. `meterctl.views` shows it to a person. The class declares its document: each attribute is a field, with
its meaning as annotation, unless it is `hidden`; a property takes part if it is `shown`. Annotations stay text, so no
command pays for them; `meterctl.schemas` reads them.

No result is frozen, though none changes once it is answered: a frozen class takes each command half a millisecond
longer to make, and a backfill twice as long to fill a million of them.
"""

from __future__ import annotations

from abc import ABC
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from meterctl.core import errors

if TYPE_CHECKING:
    from meterctl.core.documents import fields as f
    from meterctl.core.documents.entries import DebtDocument
    from meterctl.core.documents.fields import instant, means, number, signed, text, units
    from meterctl.core.documents.reading import (
        BalanceLot,
        MeterWeek,
        NextExpiry,
    )
    from meterctl.core.documents.writing import Difference, Failure
    from meterctl.core.model import Entry, Instant

Status = Literal["applied", "replayed", "refused", "conflict", "unchanged", "disabled", "planned", "failed"]


SweepCommand = Literal["expire", "reset-week"]


def schema_name(name: str) -> str:
    """Return the ``schema`` of the document ``name``."""
    return f"meterctl.{name}.v1"


class shown(property):  # noqa: N801 - a decorator
    """A property that is a field of the document."""


def hidden(default: Any) -> Any:
    """Return an attribute that is no field of the document."""
    return field(default=default, metadata={"hidden": True})


class Result(ABC):
    """Base of all results. ``name`` is the document's: its schema is ``meterctl.<name>.v1``."""

    __slots__ = ()
    name: ClassVar[str]

    @property
    def exit_code(self) -> int:
        return errors.DONE

    def fields(self) -> dict[str, Any]:
        """Return the document without its ``schema``."""
        return {name: _plain(getattr(self, name)) for name in document_names(type(self))}

    def document(self) -> dict[str, Any]:
        return {"schema": schema_name(self.name), **self.fields()}

    def rows(self) -> Iterable[Mapping[str, Any]]:
        """Return one record a line; a result that is no list is one record."""
        return [self.fields()]


@cache
def document_names(result: type[Result]) -> tuple[str, ...]:
    """Return the names of the fields that the class declares for its document, in order."""
    names = [item.name for item in fields(result) if "hidden" not in item.metadata]  # type: ignore[arg-type]
    return (*names, *(name for name, value in vars(result).items() if isinstance(value, shown)))


def _plain(value: Any) -> Any:
    """Return a value of a result in the form that JSON has for it."""
    if value is None or isinstance(value, str | int | dict):
        return value
    if isinstance(value, float):  # seconds are the only ones
        return round(value, 3)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Finding):
        return value.document()
    if hasattr(value, "_asdict"):  # a named tuple
        return value._asdict()
    if isinstance(value, Result):
        return value.fields()
    return [_plain(item) for item in value]


class Warning(NamedTuple):
    """Something to see about an operation that was not refused for it."""

    code: str
    message: str


class WriteResult(Result):
    """Base of the results of commands that write: each may carry ``warnings``."""

    __slots__ = ()
    warnings: Sequence[Warning]

    def warn(self, code: str, message: str) -> None:
        """Add a warning."""
        object.__setattr__(self, "warnings", (*self.warnings, Warning(code, message)))

    def warning_records(self) -> list[dict[str, str]]:
        """Return the warnings as documents hold them."""
        return [warning._asdict() for warning in self.warnings]


@dataclass(slots=True)
class Receipt(WriteResult):
    """The outcome of one operation."""

    name = "receipt"

    command: Annotated[str, text("operation")]
    org: f.Org
    key: Annotated[str, text("the key it is booked under, once")]
    status: Status
    balance: f.Balance
    message: Annotated[str, text("the outcome in words, for people")]
    reason: Annotated[str | None, text("code of the rule that refused it")] = None
    entry: Annotated[
        Entry | None, means("the entry booked: on a replay the first one, on a dry run the one it would be")
    ] = None
    also: Annotated[Sequence[Entry], means("due events booked by the same call, before it")] = ()
    diff: Annotated[Mapping[str, Difference] | None, means("on a conflict: the parameters that differ")] = None
    undone_by: Annotated[f.Seq | None, means("the entry that took it back")] = None
    warnings: Annotated[Sequence[Warning], means("points an operator should see about it")] = ()
    #: The reason for a ``failed`` one: the org's journal cannot be booked on.
    problem: errors.Damaged | None = hidden(None)  # noqa: RUF009 - it makes a field
    #: The next step, where the case has a better one than its code.
    own_hint: str | None = hidden(None)
    #: Shown in one line if it was booked.
    brief: bool = hidden(False)

    @shown
    def applied(self) -> Annotated[bool, means("true only if this call booked it")]:
        return self.status == "applied"

    @property
    def exit_code(self) -> int:
        if self.status == "conflict":
            return errors.CONFLICT
        if self.status == "failed":
            return errors.UNREACHABLE
        return errors.REFUSALS[self.reason][0] if self.status == "refused" and self.reason else errors.DONE

    @shown
    def hint(self) -> Annotated[str | None, text("the next step after a refusal or conflict, for people")]:
        if self.status == "conflict":
            return (
                "New operation: choose another name (--ref, --session, --refund-id or RUN). "
                "Retry: repeat the original values."
            )
        if self.status != "refused" or self.reason is None:
            return None
        return self.own_hint or errors.REFUSALS[self.reason][1]


@dataclass(slots=True)
class Sweep(WriteResult):
    """The outcome of a sweep. Every org that was due is counted once more: as done, failed or skipped."""

    name = "sweep"

    command: SweepCommand
    at: Annotated[Instant, instant("the sweep booked everything due by then")]
    dry_run: Annotated[bool, means("true: nothing was booked")] = False
    due: Annotated[int, number("orgs with something due")] = 0
    done: Annotated[int, number("orgs with something booked")] = 0
    failed: Annotated[int, number("orgs named in errors")] = 0
    skipped: Annotated[int, number("orgs that another writer finished first")] = 0
    expired_lots: Annotated[int, number("lots expired")] = 0
    expired_units: Annotated[int, units("the rest of those lots")] = 0
    weeks_closed: Annotated[int, number("weeks closed")] = 0
    settled_units: Annotated[int, units("overage settled from the quota of new weeks")] = 0
    rolled_over_units: Annotated[int, units("unused quota that became lots")] = 0
    released_holds: Annotated[int, number("holds that ran out")] = 0
    shard: Annotated[str | None, text("the part of all orgs, as number/count; null: one org, by name")] = None
    errors: list[Failure] = field(default_factory=list)
    locked_by: Annotated[str | None, text("the holder of the sweep lock, so that this call stopped")] = None
    seconds: f.Seconds = 0.0
    status: Annotated[
        Literal["done", "disabled", "locked"], means("locked: left to another sweep; disabled: the meter is off")
    ] = "done"
    store: Annotated[str, text("the store, without any secret")] = ""
    journal_found: Annotated[bool, means("false: the store has no journal, or none of the org")] = True
    warnings: Annotated[Sequence[Warning], means("points an operator should see about it")] = ()

    @property
    def exit_code(self) -> int:
        return errors.PARTIAL if self.failed else errors.DONE


@dataclass(slots=True)
class Balance(Result):
    """The units an org holds: live lots and their origin, debt, and the next expiry."""

    name = "balance"

    org: f.Org
    as_of: Annotated[Instant, instant("the instant these figures are true of")]
    balance: f.Balance
    lots: Annotated[Sequence[BalanceLot], means("live lots in draw order")]
    debt: DebtDocument
    next_expiry: NextExpiry | None
    seq: Annotated[int, number("the newest entry behind it; 0 where there is none")]
    held: Annotated[int, units("units on hold: reserved for runs that are under way")] = 0
    known: Annotated[bool, means("false: the org has no journal")] = True


@dataclass(slots=True)
class Meter(Result):
    """The week of an org, and its admission: a pre-check, not a reservation."""

    name = "meter"

    org: f.Org
    plan: f.Plan
    plan_version: f.Version
    week: MeterWeek
    quota: f.Quota
    used: f.Used
    uncovered: f.Uncovered
    breakdown: Annotated[Mapping[str, int], means("units by feature; sums to the usage")]
    alerts: Annotated[Sequence[f.Percent], means("thresholds reached, in order")]
    balance: f.Balance
    available: Annotated[int, signed("the rest of the quota plus the balance, less units on hold")]
    allowed: Annotated[bool, means("true: it may run the units asked")]
    as_of: Annotated[Instant, instant("the instant these figures are true of")]
    asked: Annotated[int, units("units asked; 0: any at all")] = 0
    gate: bool = hidden(False)
    pace: Annotated[int | None, units("average metered use a week; null: too little history, or not reckoned")] = None
    runs_out_at: Annotated[Instant | None, instant("at that pace nothing is left then; null: not foreseen")] = None
    held: Annotated[int, units("units on hold: reserved for runs that are under way")] = 0
    next_plan: Annotated[Mapping[str, Any] | None, means("a plan assigned from later on; null: none")] = None
    known: Annotated[bool, means("false: the org has no journal")] = True

    @shown
    def remaining(self) -> Annotated[int, units("the rest of the quota")]:
        return max(0, self.quota - self.used)

    @property
    def exit_code(self) -> int:
        """As an answer to "may it run?" (``gate``), a no is a refusal."""
        return errors.REFUSED if self.gate and not self.allowed else errors.DONE


@dataclass(slots=True)
class LedgerPage(Result):
    """A page of a journal, newest first. Entries that are due but not booked yet are pending."""

    name = "ledger"

    org: Annotated[f.Org | None, means("null: all orgs")]
    balance: Annotated[f.Balance | None, means("balance now; null: of all orgs")]
    entries: Iterable[Entry]
    next_before: Annotated[f.Seq | None, means("--before of the next page; null: this is the last")]
    since: Annotated[Instant | None, instant("entries from then on")] = None
    until: Annotated[Instant | None, instant("entries before then")] = None
    opening: Annotated[int | None, signed("balance as that window begins; null: no window")] = None
    closing: Annotated[int | None, signed("balance as that window ends, or now; null: no window")] = None
    known: Annotated[bool, means("false: the org has no journal")] = True

    def rows(self) -> Iterable[Mapping[str, Any]]:
        return self.entries


@dataclass(slots=True)
class Listing(WriteResult):
    """Any list of records under one name: ``items`` stand in the document under ``plural``, after ``about``. They may
    be a stream: then the result is read once."""

    name: str  # type: ignore[misc]
    plural: str
    items: Iterable[Mapping[str, Any]]
    about: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[Warning] = ()

    def fields(self) -> dict[str, Any]:
        warnings = {"warnings": self.warning_records()} if self.warnings else {}
        return {**self.about, self.plural: list(self.items), **warnings}

    def rows(self) -> Iterable[Mapping[str, Any]]:
        return self.items


@dataclass(slots=True)
class Facts(WriteResult):
    """Any single record under one name."""

    name: str  # type: ignore[misc]
    facts: Mapping[str, Any]
    exit_code: int = errors.DONE
    warnings: Sequence[Warning] = ()

    def fields(self) -> dict[str, Any]:
        return {**self.facts, **({"warnings": self.warning_records()} if self.warnings else {})}


@dataclass(slots=True)
class Backfill(WriteResult):
    """The number of lines of an input file by their outcome."""

    name = "backfill"

    lines: Annotated[int, number("lines answered")] = 0
    applied: Annotated[int, number("lines booked")] = 0
    replayed: Annotated[int, number("lines booked before")] = 0
    refused: Annotated[int, number("lines that a rule refused")] = 0
    conflict: Annotated[int, number("lines whose key was used with other values")] = 0
    invalid: Annotated[int, number("lines that are no operation")] = 0
    failed: Annotated[int, number("lines whose org's journal cannot be read")] = 0
    unchanged: Annotated[int, number("lines that change nothing")] = 0
    disabled: Annotated[int, number("lines of usage while the meter is off")] = 0
    planned: Annotated[int, number("lines that would be booked, on a dry run")] = 0
    late: Annotated[int, number("lines that took effect later than they say, behind newer entries of their org")] = 0
    twice_in_file: Annotated[int, number("lines that repeat a key of the same file")] = 0
    seconds: f.Seconds = 0.0
    warnings: Annotated[Sequence[Warning], means("points an operator should see about it")] = ()
    #: The answers to the lines went to standard output, so this goes to standard error.
    answers_printed: bool = hidden(default=False)

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


class Finding(NamedTuple):
    """A result of `verify`: the number of the check (see docs/format.md), and the place, as far as it is known.

    It was found ``times`` times, at different entries; ``seq`` is the first.
    """

    org: str | None
    seq: int | None
    check: int
    message: str
    times: int = 1

    def document(self) -> dict[str, Any]:
        """Return it as documents hold it."""
        fields = self._asdict()
        fields["count"] = fields.pop("times")
        return fields


@dataclass(slots=True)
class Verification(Result):
    """The findings of the checks of journals."""

    name = "verify"

    orgs: Annotated[int, number("orgs checked")] = 0
    entries: Annotated[int, number("entries checked")] = 0
    findings: list[Finding] = field(default_factory=list)
    more: Annotated[int, number("findings beyond those listed")] = 0
    seconds: f.Seconds = 0.0
    journal_found: Annotated[bool, means("false: there was no journal to check")] = True

    @shown
    def ok(self) -> Annotated[bool, means("true: there is no finding")]:
        return not self.findings

    @property
    def exit_code(self) -> int:
        return errors.DONE if self.ok else errors.FINDINGS
