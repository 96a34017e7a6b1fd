"""``meterctl expire``"""

from meterctl.commands.common import command, new_app
from meterctl.commands.sweeping import AllOrgs, FailIfLocked, OrgOrAll, run_sweep
from meterctl.core.results import Sweep
from meterctl.wiring import Wiring

app = new_app()


@command(app, writes=True)
def expire(
    wiring: Wiring, org: OrgOrAll = None, all_orgs: AllOrgs = False, fail_if_locked: FailIfLocked = False
) -> Sweep:
    """Book what is due: expired lots and ended weeks.

    Books an expiration for every lot past its expiry, at that instant, of exactly what is left in it; and closes weeks
    that have ended. Nothing depends on when this runs: whatever is due is also booked before any other operation.

    \b
    Examples:
      meterctl expire --all
      meterctl expire acme --dry-run
    """
    return run_sweep(wiring, "expire", org, all_orgs, fail_if_locked)
