"""What commands answer: typed results, each with the JSON document that scripts read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from meterctl.core import errors
from meterctl.core.model import Entry, Instant

Status = Literal["applied", "replayed", "refused", "conflict", "unchanged", "disabled", "planned", "failed"]


def schema_name(name: str) -> str:
    return f"meterctl.{name}.v1"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one operation.

    ``entry`` is what was booked; on a replay the first one, on a dry run the one it would be. ``also`` are due events
    booked by the same call. ``balance`` is the org's now. ``diff`` says on a conflict which parameters differ, each as
    ``{"first": ..., "now": ...}``. ``undone_by`` is the seq of the entry that took a replayed one back.
    """

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

    def document(self) -> dict[str, Any]:
        return {
            "schema": schema_name("receipt"),
            "command": self.command,
            "org": self.org,
            "key": self.key,
            "status": self.status,
            "applied": self.applied,
            "reason": self.reason,
            "message": self.message,
            "entry": self.entry,
            "also": list(self.also),
            "balance": self.balance,
            "diff": self.diff,
            "undone_by": self.undone_by,
        }


@dataclass(slots=True)
class Sweep:
    """What a sweep did. Orgs are counted once each: ``due`` were found, ``done`` had something booked, ``skipped`` had
    nothing left to book (another writer was first), ``failed`` are named in ``errors``."""

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
    errors: list[dict[str, str]] = field(default_factory=list)
    locked_by: str | None = None
    seconds: float = 0.0
    status: Literal["done", "disabled"] = "done"

    @property
    def exit_code(self) -> int:
        return errors.PARTIAL if self.failed else errors.DONE

    def document(self) -> dict[str, Any]:
        names = (
            "command at due done failed skipped expired_lots expired_units weeks_closed settled_units errors locked_by"
        )
        values = {name: getattr(self, name) for name in names.split()}
        return {
            "schema": schema_name("sweep"),
            **values,
            "seconds": round(self.seconds, 3),
            "dry_run": self.dry_run,
            "status": self.status,
        }
