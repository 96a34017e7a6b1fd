"""``meterctl audit``: devkit"""

from typing import Annotated, Any

from meterctl.commands.command import command, new_app, take_shared
from meterctl.commands.options import option
from meterctl.core.imports.devkit.audit_report import Audited
from meterctl.wiring import Wiring

app = new_app()


@app.callback()
@take_shared
def audit(**_: Any) -> None:
    """Look for what is wrong in the data of another system."""


@command(app)
def devkit(
    wiring: Wiring,
    source: Annotated[str | None, option("--from", "URI", "The old database (else METERCTL_DEVKIT).")] = None,
    org: Annotated[str | None, option("--org", "ORG", "Only this org.")] = None,
    plan_out: Annotated[str | None, option("--plan-out", "FILE", "Save a plan of the adjustments due.")] = None,
) -> Audited:
    """Audit devkit's collections: what is wrong, and the units that each customer is owed or owes. Books nothing.

    Reads the old database and never writes there. Exit code 8 if anything is found. --plan-out saves the adjustments
    that would put right what an adjustment can, as a plan for `meterctl apply`; import the data first.

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
    result, audit, mendable = Audited(database.place), Audit(wiring.now), []
    for documents in database.read(database.orgs() if org is None else [org]):
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
                mendable.append(finding)
    if plan_out is not None:
        wiring.save_plan(plan_out, adjustments(mendable, wiring.actor))
        result.plan_out = plan_out
    result.seconds = wiring.elapsed() - began
    return result
