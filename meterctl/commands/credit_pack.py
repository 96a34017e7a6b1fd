"""``meterctl credit-pack``"""

from typing import Annotated

from meterctl.commands.common import Org, argument, book, command, new_app, option
from meterctl.core.operations import CreditPack, check_integer
from meterctl.core.results import Receipt
from meterctl.wiring import Wiring

app = new_app()


@command(app, writes=True)
def credit_pack(
    wiring: Wiring,
    org: Org,
    pack: Annotated[str, argument("PACK", "A pack of the config.")],
    session: Annotated[str, option("--session", "ID", "The payment: it is credited once.")],
    paid_cents: Annotated[str | None, option("--paid-cents", "N", "What was paid (else the pack's price).")] = None,
) -> Receipt:
    """Book a sold pack.

    Books a topup: the units first repay debt, the rest is a lot with the pack's expiry. The session is claimed for the
    org: no other org can be credited for it, unless this topup is undone.

    \b
    Example:
      meterctl credit-pack acme small --session cs_1234
    """
    # What nobody paid for is no sale: a pack that is free has a price of 0 in the config, a gift is an adjustment.
    paid = None if paid_cents is None else check_integer(paid_cents, "paid_cents", least=1)
    return book(wiring, CreditPack(org, pack, session, paid))
