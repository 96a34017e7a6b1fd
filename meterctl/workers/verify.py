"""Check all orgs in several processes."""

from functools import partial

from meterctl.core.verify import Checked, Checker, StorePart, check_part
from meterctl.wiring import Wiring
from meterctl.workers.pool import Workers


def checker(count: int, wiring: Wiring) -> Checker:
    """Return a checker that uses ``count`` processes, this one among them."""
    # A check changes nothing, so it can be killed; one long journal may take minutes.
    others = Workers(count - 1, _check, wiring, breaks_off=True)
    return partial(others.answers, here=partial(_check, wiring))


def _check(wiring: Wiring, part: StorePart) -> Checked:
    return check_part(wiring.store, part)
