"""``meterctl lot``: list, extend, void"""

from typing import Annotated, Any

from meterctl.commands.command import command, new_app, take_shared
from meterctl.commands.confirmation import book
from meterctl.commands.options import Org, argument, completer, expiry_time, option, switch
from meterctl.core.domain.checks import check_integer
from meterctl.core.domain.operations import ExtendLot, VoidLot
from meterctl.core.domain.unit_operations import NEVER
from meterctl.core.results import Listing, Receipt
from meterctl.wiring import Wiring

app = new_app()

LotNumber = Annotated[str, argument("LOT", "The number of the lot.", completer("complete_lots"))]
Ref = Annotated[str, option("--ref", "REF", "Your reference. A repeat books nothing.")]


@app.callback()
@take_shared
def lot(**_: Any) -> None:
    """List the lots of an org; extend or void one."""


@command(app, "list")
def show_lots(
    wiring: Wiring,
    org: Org,
    all_lots: Annotated[bool, switch("--all", "Include spent, expired and voided lots.")] = False,
) -> Listing:
    """List lots with their state and the use of their units. Books nothing.

    \b
    Example:
      meterctl lot list acme --all
    """
    return wiring.reads.lots(org, all_lots=all_lots)


@command(app, writes=True)
def extend(
    wiring: Wiring,
    org: Org,
    lot: LotNumber,
    expires: Annotated[
        str, option("--expires", "TIME", "The new expiry: later, earlier, or never.", completer("complete_expiries"))
    ],
    ref: Ref,
) -> Receipt:
    """Give a live lot another expiry. Needs --reason.

    Books an extension: the lot keeps its number and its payment.

    \b
    Example:
      meterctl lot extend acme 1 --expires 2027-03-31 --ref ext-7 --reason "outage, TCK-12"
    """
    expires_at = None if expires == NEVER else expiry_time(wiring, expires)
    return book(wiring, ExtendLot(org, check_integer(lot, "lot", least=1), expires_at, ref))


@command(app, writes=True)
def void(wiring: Wiring, org: Org, lot: LotNumber, ref: Ref) -> Receipt:
    """Take away the rest of one lot. Needs --reason.

    Books an adjustment that draws from this lot alone; undo gives the units back.

    \b
    Example:
      meterctl lot void acme 1 --ref void-2 --reason "promotion ended" --yes
    """
    number = check_integer(lot, "lot", least=1)
    return book(wiring, VoidLot(org, number, ref), caution=f"this takes the rest of lot {number} of {org}")
