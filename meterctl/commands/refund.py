"""``meterctl refund``"""

from secrets import token_hex
from typing import Annotated

from meterctl.commands.common import Org, book, command, new_app, option, switch
from meterctl.core.errors import BadInput
from meterctl.core.operations import Refund, ReverseRefund, check_integer
from meterctl.core.results import Result
from meterctl.wiring import Wiring

app = new_app()


@command(app, writes=True)
def refund(
    wiring: Wiring,
    org: Org,
    session: Annotated[str | None, option("--session", "ID", "The payment refunded.")] = None,
    cents: Annotated[str | None, option("--cents", "N", "How much was given back.")] = None,
    refund_id: Annotated[str | None, option("--refund-id", "ID", "The refund's own id: it is booked once.")] = None,
    reverse: Annotated[str | None, option("--reverse", "REFUND_ID", "Take that refund back: it failed.")] = None,
    preview: Annotated[bool, switch("--preview", "Show what it would claw; book nothing.")] = False,
) -> Result:
    """Claw back units for money given back, or take such a refund back.

    Books a refund: its share of the pack's units, by the price paid, from the pack's own lot, then from others, then
    as debt. Units that have expired are not clawed again. --reverse books a reversal that gives exactly that back. A
    dispute is a refund under the dispute's id.

    \b
    Examples:
      meterctl refund acme --session cs_1234 --cents 250 --refund-id re_1
      meterctl refund acme --session cs_1234 --cents 250 --preview
      meterctl refund acme --reverse re_1
    """
    if reverse is not None:
        if session or cents or refund_id or preview:
            raise BadInput("--reverse stands alone", hint="meterctl refund ORG --reverse REFUND_ID", code="usage")
        return book(wiring, ReverseRefund(org, reverse))
    if session is None or cents is None or (refund_id is None and not preview):
        raise BadInput("a refund needs --session, --cents and --refund-id", hint="meterctl refund --help", code="usage")
    amount = check_integer(cents, "cents", least=1)
    if preview:
        return wiring.preview_refund(Refund(org, session, amount, refund_id or f"preview-{token_hex(8)}"))
    return book(wiring, Refund(org, session, amount, refund_id or ""))
