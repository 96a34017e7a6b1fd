"""``meterctl debit``"""

from typing import Annotated

from meterctl.commands.command import command, new_app
from meterctl.commands.confirmation import book
from meterctl.commands.options import Org, argument, option, switch
from meterctl.core.domain.checks import check_integer
from meterctl.core.domain.operations import Debit
from meterctl.core.results import Receipt
from meterctl.wiring import Wiring

app = new_app()


@command(app, writes=True)
def debit(
    wiring: Wiring,
    org: Org,
    units: Annotated[str, argument("UNITS", "A whole number > 0.")],
    ref: Annotated[str, option("--ref", "REF", "Your reference. A repeat books nothing.")],
    allow_debt: Annotated[bool, switch("--allow-debt", "Owe the units that the lots do not hold.")] = False,
) -> Receipt:
    """Take units from an org.

    Books a debit. Units are drawn from the lots that expire soonest. If the lots hold too few units, nothing is booked;
    with --allow-debt the org owes the rest, and the next credit repays it first.

    \b
    Example:
      meterctl debit acme 120 --ref invoice-77
    """
    operation = Debit(org, check_integer(units, "units", least=1), ref, allow_debt)
    return book(wiring, operation, caution="this may put the org in debt" if allow_debt else None)
