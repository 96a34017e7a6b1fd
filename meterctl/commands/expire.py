"""``meterctl expire``"""

from meterctl.commands.command import command, new_app
from meterctl.commands.sweep_options import (
    AllOrgs,
    FailIfLocked,
    Limit,
    MaxErrors,
    Metrics,
    OrgOrAll,
    RequireJournal,
    ShardOption,
    SweepChoice,
    Workers,
    check_wanted,
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
    """Book what is due: expired lots and ended weeks.

    Books an expiration for every lot past its expiry, at that instant, of exactly what is left in it; and closes weeks
    that have ended. Nothing depends on when this runs: whatever is due is also booked before any other operation. Two
    sweeps at once book everything once; a second one leaves the work to the first.

    \b
    Examples:
      meterctl expire --all
      meterctl expire --all --shard 3/8 --metrics-file /var/lib/node_exporter/meterctl.prom
      meterctl expire acme --dry-run
    """
    wanted = SweepChoice(
        org, all_orgs, shard, limit, max_errors, workers, fail_if_locked, metrics_file, require_journal
    )
    check_wanted("expire", wanted)
    return run_sweep(wiring, "expire", wanted)
