"""``meterctl refund``"""

from secrets import token_hex
from typing import TYPE_CHECKING, Annotated

from meterctl.commands.command import command, new_app
from meterctl.commands.confirmation import book
from meterctl.commands.options import argument, completer, option, switch
from meterctl.core.domain.checks import check_integer, check_org
from meterctl.core.domain.operations import Refund, ReverseRefund
from meterctl.core.errors import BadInput
from meterctl.core.results import Receipt, Receipts, Result
from meterctl.wiring import Wiring

if TYPE_CHECKING:
    from meterctl.core.payments.booked import Credit
    from meterctl.core.payments.payments import Giveback

app = new_app()


@command(app, writes=True)
def refund(
    wiring: Wiring,
    org: Annotated[str | None, argument("ORG", "The org's id.", completer("complete_orgs"))] = None,
    session: Annotated[
        str | None, option("--session", "ID", "The payment refunded.", completer("complete_sessions"))
    ] = None,
    cents: Annotated[str | None, option("--cents", "N", "The amount refunded.")] = None,
    refund_id: Annotated[
        str | None, option("--refund-id", "ID", "The refund's own id. A repeat books nothing.")
    ] = None,
    reverse: Annotated[
        str | None,
        option("--reverse", "REFUND_ID", "Reverse this refund, because it failed.", completer("complete_refunds")),
    ] = None,
    unused: Annotated[bool, switch("--unused", "Refund the value of the unspent part of the pack.")] = False,
    preview: Annotated[
        bool, switch("--preview", "Show the units to claw back (else for --unused); book nothing.")
    ] = False,
    from_stripe: Annotated[
        str | None, option("--from-stripe", "ID", "Book this refund or dispute, or those of this payment.")
    ] = None,
) -> Result:
    """Claw back units for money given back, or take such a refund back.

    Books a refund. It takes the refunded share of the pack's units from the pack's own lot, then from other lots, then
    as debt. Expired units are not taken again. --reverse books a reversal that gives these units back. A dispute is a
    refund under the dispute's id. --from-stripe takes re_..., dp_..., du_..., or the id of a session, payment or charge
    for all of its refunds: succeeded ones are clawed back, failed or won ones reversed, others wait.

    \b
    Examples:
      meterctl refund acme --session cs_1234 --cents 250 --refund-id re_1
      meterctl refund acme --session cs_1234 --unused --refund-id re_1
      meterctl refund acme --session cs_1234 --preview
      meterctl refund acme --reverse re_1
      meterctl refund --from-stripe re_3Q2x
    """
    if from_stripe is not None:
        if session or cents or refund_id or reverse or preview or unused:
            raise BadInput(
                "--from-stripe cannot be combined with other refund options",
                hint="meterctl refund --from-stripe ID",
                code="usage",
            )
        return _from_stripe(wiring, from_stripe, org)
    if org is None:
        raise BadInput("a refund needs ORG", hint="meterctl refund --help", code="usage")
    if reverse is not None:
        if session or cents or refund_id or preview or unused:
            message = "--reverse cannot be combined with other refund options"
            raise BadInput(message, hint="meterctl refund ORG --reverse REFUND_ID", code="usage")
        return book(wiring, ReverseRefund(org, reverse))
    if cents is not None and unused:
        raise BadInput("--unused and --cents cannot be combined", hint="leave out one of them", code="usage")
    if preview and session is None:
        hint = "meterctl refund ORG --session ID --preview"
        raise BadInput("a preview of a refund needs --session", hint=hint, code="usage")
    if session is None or (refund_id is None and not preview) or (cents is None and not (unused or preview)):
        hint = "meterctl refund ORG --session ID --cents N --refund-id ID; or --unused in place of --cents"
        raise BadInput("a refund needs --session, --cents and --refund-id", hint=hint, code="usage")
    amount = _unused_cents(wiring, org, session, refund_id) if cents is None else check_integer(cents, "cents", least=1)
    if preview:
        return _preview(wiring, Refund(org, session, amount, refund_id or f"preview-{token_hex(8)}"))
    return book(wiring, Refund(org, session, amount, refund_id or ""))


def _preview(wiring: Wiring, operation: Refund) -> Result:
    from meterctl.core.reads.refund_preview import preview_refund

    if wiring.options.plan_out is not None:
        raise BadInput("--preview cannot be combined with --plan-out", hint="leave out one of them", code="usage")
    return preview_refund(wiring.reads, wiring.rehearsal(), wiring.request(operation), operation)


def _unused_cents(wiring: Wiring, org: str, session: str, refund_id: str | None) -> int:
    """Return the value of the unspent part of a pack in cents, rounded down.

    A refund that is booked already has the cents of then, so a retry is a replay. For an unknown payment return 1: the
    rules refuse it later.
    """
    key = check_org(org), f"refund:{refund_id}"
    if refund_id is not None and (booked := wiring.store.journal.by_keys([key]).get(key)) is not None:
        return int(booked["cents"])
    cents = wiring.reads.unused_cents(org, session, wiring.at)
    if cents == 0:
        message = f"nothing is left of the pack that {session} paid, or it is worth less than a cent"
        raise BadInput(message, hint="name the amount with --cents N", code="nothing_unused")
    return 1 if cents is None else cents


def _from_stripe(wiring: Wiring, reference: str, org: str | None) -> Result:
    from meterctl.core.payments.payments import oldest_first, shares
    from meterctl.core.payments.stripe.lookup import credited_parts, find_givebacks

    result = find_givebacks(wiring.stripe, reference)
    parts = credited_parts(wiring.ledger.store, result.sale, org)
    receipts: list[Receipt] = []
    for item in oldest_first(result.givebacks):
        shares_of_parts = shares(item, result.sale)
        for part in parts:
            ids = set(part.credit.all_names)
            number = next((n for n, one in enumerate(result.sale) if ids & set(one.all_names)), 0)
            receipts += _settle(wiring, part.credit, shares_of_parts[number])
    return receipts[0] if len(receipts) == 1 else Receipts("refund", receipts)


def _settle(wiring: Wiring, credit: "Credit", item: "Giveback") -> list[Receipt]:
    """Book the state of one refund or dispute at Stripe; return the receipts."""
    from meterctl.core.payments.booked import credits_for
    from meterctl.core.payments.clawbacks import back_time, steps

    # Read the credit again: an earlier refund may have changed it.
    now = credits_for(wiring.ledger.store, [credit.name])
    credit = next((one for one in now if (one.org, one.seq) == (credit.org, credit.seq)), credit)
    operations = steps(item, credit)
    if not operations:
        return [_nothing(wiring, credit.org, item)]
    times = [back_time(item) if isinstance(operation, ReverseRefund) else item.at for operation in operations]
    return [book(wiring, operation, at=at) for operation, at in zip(operations, times, strict=True)]


def _nothing(wiring: Wiring, org: str, item: "Giveback") -> Receipt:
    messages = {
        "waiting": f"Stripe has not decided {item.id} yet: there is nothing to claw back; run it again later",
        "given": f"{item.id}: nothing of the payment is left to claw back",
    }
    message = messages.get(item.standing, f"{item.id} did not succeed, and nothing was clawed back for it")
    balance = wiring.reads.balance(org).balance
    return Receipt(
        command="refund", org=org, key=f"refund:{item.id}", status="unchanged", balance=balance, message=message
    )
