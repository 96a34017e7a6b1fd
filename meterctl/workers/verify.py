"""Check all orgs in several processes."""

from meterctl.core.verify import Checked, Checker, StorePart, check_part
from meterctl.wiring import Wiring
from meterctl.workers.pool import Workers


def checker(count: int, wiring: Wiring) -> Checker:
    """Return a checker that uses ``count`` processes."""
    # A check changes nothing, so it can be killed; one long journal may take minutes.
    return Workers(count, _check, wiring, breaks_off=True).answers


def _check(wiring: Wiring, part: StorePart) -> Checked:
    return check_part(wiring.store, part)
