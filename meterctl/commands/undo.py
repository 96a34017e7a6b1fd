"""``meterctl undo``"""

from typing import Annotated

from meterctl.commands.command import command, new_app
from meterctl.commands.confirmation import book
from meterctl.commands.options import Org, argument
from meterctl.core.domain.checks import check_integer
from meterctl.core.domain.operations import Undo
from meterctl.core.results import Receipt
from meterctl.wiring import Wiring

app = new_app()


@command(app, writes=True)
def undo(
    wiring: Wiring,
    org: Org,
    seq: Annotated[str, argument("SEQ", "The entry, by its number in the ledger.")],
) -> Receipt:
    """Take back a debit, an adjustment or a topup. Needs --reason.

    Books a reversal: units taken go back to the lots they came from; units granted are removed, as long as none of them
    was used. An undone topup frees its session for another org.

    \b
    Example:
      meterctl undo acme 17 --reason "wrong org" --yes
    """
    return book(wiring, Undo(org, check_integer(seq, "seq", least=1)), caution=f"this takes back entry {seq} of {org}")
