"""``meterctl reset-week``"""

from typing import Annotated

from meterctl.commands.command import command, new_app
from meterctl.commands.confirmation import book
from meterctl.commands.options import RequireJournal, option, switch
from meterctl.commands.sweep_options import (
    AllOrgs,
    FailIfLocked,
    Limit,
    MaxErrors,
    Metrics,
    OrgOrAll,
    ShardOption,
    SweepChoice,
    Workers,
    check_options,
    run_sweep,
)
from meterctl.core.domain.operations import ForceReset
from meterctl.core.errors import BadInput
from meterctl.core.results import Result, Sweep
from meterctl.wiring import Wiring

app = new_app()


@command(app, writes=True)
def reset_week(
    wiring: Wiring,
    org: OrgOrAll = None,
    all_orgs: AllOrgs = False,
    shard: ShardOption = None,
    limit: Limit = None,
    max_errors: MaxErrors = None,
    workers: Workers = None,
    fail_if_locked: FailIfLocked = False,
    metrics_file: Metrics = None,
    require_journal: RequireJournal = False,
    force: Annotated[bool, switch("--force", "Close the open week now; needs --ref and --reason.")] = False,
    ref: Annotated[str | None, option("--ref", "REF", "Your reference. A repeat books nothing.")] = None,
) -> Result:
    """Close ended weeks, or one week now by hand.

    Books a reset, dated at the Monday that ended the week: the week is archived, and the next quota settles its
    overage. It is the same sweep as `expire`. With --force the open week is closed now and starts again, without
    settlement.

    \b
    Examples:
      meterctl reset-week --all
      meterctl reset-week acme --force --ref ticket-9 --reason "outage credit" --yes
    """
    options = SweepChoice(
        org=org,
        all_orgs=all_orgs,
        shard=shard,
        limit=limit,
        max_errors=max_errors,
        workers=workers,
        fail_if_locked=fail_if_locked,
        metrics_file=metrics_file,
        require_journal=require_journal,
    )
    if force:
        if org is None or ref is None:
            raise BadInput("--force needs an org, --ref and --reason", hint="meterctl reset-week --help", code="usage")
        check_options("reset-week", options)
        return book(wiring, ForceReset(org, ref), caution=f"this closes the open week of {org} now")
    if ref is not None:
        raise BadInput("--ref goes with --force", hint="meterctl reset-week --help", code="usage")
    check_options("reset-week", options)
    if not wiring.settings.terms.meter_mode:
        return Sweep("reset-week", wiring.at or wiring.now, wiring.options.dry_run, status="disabled")
    return run_sweep(wiring, "reset-week", options)
