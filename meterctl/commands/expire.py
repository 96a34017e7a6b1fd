"""``meterctl expire``"""

from meterctl.commands.command import command, new_app
from meterctl.commands.options import RequireJournal
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
from meterctl.core.results import Sweep
from meterctl.wiring import Wiring

app = new_app()


@command(app, writes=True)
def expire(
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
) -> Sweep:
    """Book due events: expired lots and ended weeks.

    Books an expiration for the rest of every expired lot, dated at its expiry, and closes ended weeks. The time of the
    run does not matter: due events are also booked before any other operation. If two sweeps run at once, the second
    leaves the work to the first.

    \b
    Examples:
      meterctl expire --all
      meterctl expire --all --shard 3/8 --metrics-file /var/lib/node_exporter/meterctl.prom
      meterctl expire acme --dry-run
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
    check_options("expire", options)
    return run_sweep(wiring, "expire", options)
