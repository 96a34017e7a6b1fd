"""``meterctl audit``: devkit"""

from typing import Annotated, Any

from meterctl.commands.command import command, new_app, report_no_ledgers, take_shared
from meterctl.commands.options import option
from meterctl.core.imports.devkit.audit_report import AuditReport
from meterctl.wiring import Wiring

app = new_app()


@app.callback()
@take_shared
def audit(**_: Any) -> None:
    """Find errors in the data of another system."""


@command(app)
def devkit(
    wiring: Wiring,
    source: Annotated[str | None, option("--from", "URI", "The old database (else METERCTL_DEVKIT).")] = None,
    org: Annotated[str | None, option("--org", "ORG", "Only this org.")] = None,
    plan_out: Annotated[str | None, option("--plan-out", "FILE", "Save the correcting adjustments as a plan.")] = None,
) -> AuditReport:
    """Audit devkit's collections: list errors, and the units owed to or by each customer. Books nothing.

    Reads the old database and never writes there. Exit code 8 if it finds an error. --plan-out saves the adjustments
    that correct these errors as a plan for `meterctl apply`; import the data first.

    \b
    Example:
      meterctl audit devkit --from mongodb://db/devkit --plan-out amends.ndjson
    """
    from meterctl.core.imports.devkit.audit import Audit, AuditFinding
    from meterctl.core.imports.devkit.audit_report import adjustments
    from meterctl.core.imports.devkit.gather import org_of
    from meterctl.core.imports.devkit.records import Unusable

    began = wiring.elapsed()
    database = wiring.devkit(source)
    result, audit, correctable = AuditReport(database.place), Audit(wiring.now), []
    for documents in database.everything() if org is None else [database.one(org)]:
        result.orgs += 1
        try:
            old = org_of(documents)
        except Unusable as problem:
            result.take(AuditFinding(documents.org, "unreadable", None, None, str(problem)))
            continue
        result.entries += len(old.entries)
        for finding in audit.findings(old):
            result.take(finding)
            if finding.adjust and plan_out is not None:
                correctable.append(finding)
    if not result.orgs:
        report_no_ledgers(database.place, "nothing was audited")
    if plan_out is not None:
        wiring.save_plan(plan_out, adjustments(correctable, wiring.actor))
        result.plan_out = plan_out
    result.seconds = wiring.elapsed() - began
    return result
