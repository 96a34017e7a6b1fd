"""The result of an import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from meterctl.core.results import Result, shown

if TYPE_CHECKING:
    from meterctl.core.documents import fields as f
    from meterctl.core.documents.fields import means, number, text


@dataclass(slots=True)
class ImportReport(Result):
    """The outcome of an import."""

    name = "import"

    source: Annotated[str, text("file, or store without any secret, that it came from")]
    orgs: Annotated[int, number("orgs in the source")] = 0
    entries: Annotated[int, number("entries in the source")] = 0
    known: Annotated[int, number("entries of it that the store had already")] = 0
    imported: Annotated[int, number("entries of it that were appended, or would be on a dry run")] = 0
    plans: Annotated[int, number("plan versions of it that are new here")] = 0
    missing_plans: Annotated[
        Sequence[str], means("plans that imported orgs are on, of which neither source nor store has a version")
    ] = ()
    dry_run: Annotated[bool, means("true: nothing was imported")] = False
    seconds: f.Seconds = 0.0

    @shown
    def status(self) -> Annotated[Literal["applied", "unchanged", "planned"], means("unchanged: nothing was new")]:
        if self.dry_run:
            return "planned"
        return "applied" if self.imported or self.plans else "unchanged"
