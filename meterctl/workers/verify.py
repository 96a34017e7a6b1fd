"""A check of all orgs in several processes, each of which checks some orgs at a time."""

from meterctl.core.verify import Checked, Checker, StorePart, check_part
from meterctl.wiring import Wiring
from meterctl.workers.pool import Workers


def checker(count: int, wiring: Wiring) -> Checker:
    """``count`` processes that check parts of a store."""
    # A check leaves nothing half done, and one long journal may take minutes.
    return Workers(count, _check, wiring, breaks_off=True).answers


def _check(wiring: Wiring, part: StorePart) -> Checked:
    return check_part(wiring.store, part)
