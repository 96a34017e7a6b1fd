"""The results of runs over many orgs or lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from meterctl.core import errors
from meterctl.core.results.base import Warning, WriteResult, hidden

if TYPE_CHECKING:
    from meterctl.core.documents import fields as f
    from meterctl.core.documents.fields import instant, means, number, text, units
    from meterctl.core.documents.writing import Failure
    from meterctl.core.model import Instant

SweepCommand = Literal["expire", "reset-week"]


@dataclass(slots=True, eq=False, repr=False)
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


@dataclass(slots=True, eq=False, repr=False)
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
