"""The base of all results, the document that a result declares, and the result of one operation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from meterctl.core import errors
from meterctl.core.domain.record import Record

if TYPE_CHECKING:
    from meterctl.core.documents import fields as f
    from meterctl.core.documents.fields import means, text
    from meterctl.core.documents.writing import Difference
    from meterctl.core.model import Entry

Status = Literal["applied", "replayed", "refused", "conflict", "unchanged", "disabled", "planned", "failed"]


def schema_name(name: str) -> str:
    """Return the ``schema`` of the document ``name``."""
    return f"meterctl.{name}.v1"


class shown(property):  # noqa: N801 - a decorator
    """A property that is a field of the document."""


def hidden(default: Any) -> Any:
    """Return an attribute that is no field of the document."""
    return field(default=default, metadata={"hidden": True})


class Result(Record):
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


#: The names of each class, once they were asked for.
_NAMES: dict[type, tuple[str, ...]] = {}


def document_names(result: type[Result]) -> tuple[str, ...]:
    """Return the names of the fields that the class declares for its document, in order."""
    known = _NAMES.get(result)
    if known is None:
        names = [item.name for item in fields(result) if "hidden" not in item.metadata]  # type: ignore[arg-type]
        known = (*names, *(name for name, value in vars(result).items() if isinstance(value, shown)))
        _NAMES[result] = known
    return known


def _plain(value: Any) -> Any:
    """Return a value of a result in the form that JSON has for it."""
    if value is None or isinstance(value, str | int | dict):
        return value
    if isinstance(value, float):  # seconds are the only ones
        return round(value, 3)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Result):
        return value.fields()
    if hasattr(value, "document"):  # a record that says so itself
        return value.document()
    if hasattr(value, "_asdict"):  # a named tuple
        return value._asdict()
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


@dataclass(slots=True, eq=False, repr=False)
class Receipt(WriteResult):
    """The outcome of one operation."""

    name = "receipt"

    command: Annotated[str, text("operation")]
    org: f.Org
    key: Annotated[str, text("the key it is booked under, once")]
    status: Status
    balance: f.Balance
    message: Annotated[str, text("the outcome in words, for people")]
    reason: Annotated[f.RefusalCode | None, means("code of the rule that refused it")] = None
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
            return self.own_hint or (
                "New operation: choose another name (--ref, --session, --refund-id or RUN). "
                "Retry: repeat the original values."
            )
        if self.status != "refused" or self.reason is None:
            return None
        return self.own_hint or errors.with_org(errors.REFUSALS[self.reason][1], self.org)
