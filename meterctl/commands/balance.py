"""``meterctl balance``"""

from typing import Annotated

from meterctl.commands.command import command, new_app
from meterctl.commands.options import Org, filter_time, option
from meterctl.core.results import Balance
from meterctl.wiring import Wiring

app = new_app()


@command(app)
def balance(
    wiring: Wiring,
    org: Org,
    as_of: Annotated[str | None, option("--as-of", "TIME", "At that time instead of now.")] = None,
) -> Balance:
    """Show units, lots, debt and the next expiry of an org. Books nothing.

    \b
    Example:
      meterctl balance acme --as-of 2026-11-01
    """
    return wiring.reads.balance(org, filter_time(wiring, "as of", as_of))
