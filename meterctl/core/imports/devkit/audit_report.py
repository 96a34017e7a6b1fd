"""The report of an audit of devkit's data, and the operations that would correct the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, TypedDict, cast

from meterctl.core import errors
from meterctl.core.domain.operations import Adjust, Request
from meterctl.core.results import Result, shown

if TYPE_CHECKING:
    from meterctl.core.documents import fields as f
    from meterctl.core.documents.fields import means, number, text, units
    from meterctl.core.imports.devkit.audit import AuditFinding

#: Findings that are listed; beyond these they are counted.
KEPT = 10_000


class AuditFindingRecord(TypedDict):
    """Something wrong in the old data."""

    org: Annotated[str, means("the org, or the document that names none")]
    finding: Annotated[str, means("kind of finding; stable")]
    id: Annotated[str | None, means("entry, week or settlement that it is about; null: the org as a whole")]
    units: Annotated[int | None, means("units the customer is owed, or owes if negative; null: none, or not known")]
    message: Annotated[str, means("the finding, for people")]
    adjust: Annotated[int, means("units of the adjustment that the plan has for it; 0: none")]


@dataclass(slots=True)
class AuditReport(Result):
    """The outcome of an audit."""

    name = "audit"

    source: Annotated[str, text("the database, without any secret")]
    orgs: Annotated[int, number("orgs looked at")] = 0
    entries: Annotated[int, number("ledger entries looked at")] = 0
    findings: Annotated[list[AuditFindingRecord], means("the findings, org by org")] = field(default_factory=list)
    more: Annotated[int, number("findings beyond those listed")] = 0
    counts: Annotated[dict[str, int], means("findings by kind")] = field(default_factory=Counter)
    owed: Annotated[int, units("sum that customers are owed")] = 0
    owing: Annotated[int, units("sum that customers owe")] = 0
    plan_out: Annotated[str | None, text("the file that the plan was saved to; null: none")] = None
    seconds: f.Seconds = 0.0

    @shown
    def ok(self) -> Annotated[bool, means("true: nothing was found")]:
        return not self.counts

    @property
    def exit_code(self) -> int:
        return errors.FINDINGS if self.counts else errors.DONE

    def take(self, finding: AuditFinding) -> None:
        """Count a finding."""
        self.counts[finding.finding] = self.counts.get(finding.finding, 0) + 1
        units = finding.units or 0
        self.owed, self.owing = self.owed + max(0, units), self.owing + max(0, -units)
        if len(self.findings) < KEPT:
            self.findings.append(cast(AuditFindingRecord, finding._asdict()))
        else:
            self.more += 1


def adjustments(findings: Sequence[AuditFinding], actor: str) -> Iterator[Request]:
    """Yield an adjustment for each finding that an adjustment can correct, each under a ref of its own."""
    for finding in findings:
        if finding.adjust:
            ref = f"audit:{finding.finding}:{finding.id}"
            operation = Adjust(finding.org, finding.adjust, ref, allow_debt=finding.adjust < 0)
            yield Request(operation, actor, f"audit of the old data: {finding.message}"[:2000])
