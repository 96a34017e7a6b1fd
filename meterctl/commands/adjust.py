"""``meterctl adjust``"""

from typing import Annotated

from meterctl.commands.command import command, new_app
from meterctl.commands.confirmation import book
from meterctl.commands.options import Org, argument, completer, expiry_time, option, switch
from meterctl.core.domain.checks import check_integer
from meterctl.core.domain.operations import Adjust
from meterctl.core.model import MAX_UNITS
from meterctl.core.results import Receipt
from meterctl.wiring import Wiring

app = new_app()


@command(app, writes=True)
def adjust(
    wiring: Wiring,
    org: Org,
    units: Annotated[str, argument("UNITS", "A whole number: +50 grants, -50 takes.")],
    ref: Annotated[str, option("--ref", "REF", "Your reference. A repeat books nothing.")],
    expires: Annotated[str | None, option("--expires", "TIME", "Expiry of granted units: a date or 30d.")] = None,
    allow_debt: Annotated[bool, switch("--allow-debt", "Owe the units that the lots do not hold.")] = False,
    priority: Annotated[
        str | None, option("--priority", "N", "0-100: lots with a low number are used first (else 50).")
    ] = None,
    lot: Annotated[
        str | None, option("--lot", "N", "Take units from this lot alone.", completer("complete_lots"))
    ] = None,
) -> Receipt:
    """Correct a balance or grant units. Needs --reason.

    Books an adjustment. Granted units repay debt first; the rest becomes a lot, which expires only with --expires.
    Units taken are drawn like a debit.

    \b
    Examples:
      meterctl adjust acme 500 --ref goodwill-7 --reason "outage on Monday" --expires 2027-01-01
      meterctl adjust acme -20 --ref fix-3 --reason "credited twice by hand"
    """
    amount = check_integer(units, "units", least=-MAX_UNITS)
    never = "leave --expires out: granted units then never expire"
    expires_at = None if expires is None else expiry_time(wiring, expires, never=never)
    operation = Adjust(
        org=org,
        units=amount,
        ref=ref,
        expires_at=expires_at,
        allow_debt=allow_debt,
        priority=None if priority is None else check_integer(priority, "priority", least=0, most=100),
        lot=None if lot is None else check_integer(lot, "lot", least=1),
    )
    return book(wiring, operation, caution="this may put the org in debt" if allow_debt and amount < 0 else None)
