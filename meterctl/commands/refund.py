"""``meterctl refund``"""

from secrets import token_hex
from typing import TYPE_CHECKING, Annotated

from meterctl.commands.command import command, new_app
from meterctl.commands.confirmation import book
from meterctl.commands.options import argument, option, switch
from meterctl.core.domain.checks import check_integer
from meterctl.core.domain.operations import Refund, ReverseRefund
from meterctl.core.errors import BadInput
from meterctl.core.results import Receipt, Result
from meterctl.wiring import Wiring

if TYPE_CHECKING:
    from meterctl.core.payments.booked import Credit
    from meterctl.core.payments.payments import Giveback

app = new_app()


@command(app, writes=True)
def refund(
    wiring: Wiring,
    org: Annotated[str | None, argument("ORG", "The org's id.")] = None,
    session: Annotated[str | None, option("--session", "ID", "The payment refunded.")] = None,
    cents: Annotated[str | None, option("--cents", "N", "How much was given back.")] = None,
    refund_id: Annotated[str | None, option("--refund-id", "ID", "The refund's own id: it is booked once.")] = None,
    reverse: Annotated[str | None, option("--reverse", "REFUND_ID", "Take that refund back: it failed.")] = None,
    unused: Annotated[bool, switch("--unused", "As many cents as the unspent part of the pack is worth.")] = False,
    preview: Annotated[bool, switch("--preview", "Show what it would claw; book nothing.")] = False,
    from_stripe: Annotated[
        str | None, option("--from-stripe", "ID", "Book what Stripe says of a refund or dispute, or of a payment's.")
    ] = None,
) -> Result:
    """Claw back units for money given back, or take such a refund back.

    Books a refund: its share of the pack's units, by the price paid, from the pack's own lot, then from others, then
    as debt. Units that have expired are not clawed again. --reverse books a reversal that gives exactly that back. A
    dispute is a refund under the dispute's id. With --from-stripe (re_..., dp_..., du_..., or a session's, payment's or
    charge's id for all of its own): what succeeded is clawed, what failed or was won is reversed, the rest waits.

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
            raise BadInput("--from-stripe stands alone", hint="meterctl refund --from-stripe ID", code="usage")
        return _from_stripe(wiring, from_stripe, org)
    if org is None:
        raise BadInput("a refund needs ORG", hint="meterctl refund --help", code="usage")
    if reverse is not None:
        if session or cents or refund_id or preview or unused:
            raise BadInput("--reverse stands alone", hint="meterctl refund ORG --reverse REFUND_ID", code="usage")
        return book(wiring, ReverseRefund(org, reverse))
    if cents is not None and unused:
        raise BadInput("--unused says how many cents", hint="leave out --cents", code="usage")
    if session is None or (refund_id is None and not preview) or (cents is None and not (unused or preview)):
        hint = "meterctl refund ORG --session ID --cents N --refund-id ID; or --unused in place of --cents"
        raise BadInput("a refund needs --session, --cents and --refund-id", hint=hint, code="usage")
    amount = _unused_cents(wiring, org, session) if cents is None else check_integer(cents, "cents", least=1)
    if preview:
        return _preview(wiring, Refund(org, session, amount, refund_id or f"preview-{token_hex(8)}"))
    return book(wiring, Refund(org, session, amount, refund_id or ""))


def _preview(wiring: Wiring, operation: Refund) -> Result:
    from meterctl.core.reads.refund_preview import preview_refund

    if wiring.options.plan_out is not None:
        raise BadInput("a preview is no plan", hint="leave out --preview, or --plan-out", code="usage")
    return preview_refund(wiring.reads, wiring.rehearsal(), wiring.request(operation), operation)


def _unused_cents(wiring: Wiring, org: str, session: str) -> int:
    """Return the cents that the unspent part of a pack is worth, rounded down. One that is not known is left to the
    rules, which refuse it."""
    cents = wiring.reads.unused_cents(org, session, wiring.at)
    if cents == 0:
        message = f"nothing is left of the pack that {session} paid, or it is worth less than a cent"
        raise BadInput(message, hint="give the cents: --cents N", code="nothing_unused")
    return 1 if cents is None else cents


def _from_stripe(wiring: Wiring, reference: str, org: str | None) -> Result:
    from meterctl.core.payments.findings import Receipts
    from meterctl.core.payments.lookup import credited_parts, find_givebacks
    from meterctl.core.payments.payments import shares

    found = find_givebacks(wiring.stripe, reference)
    parts = credited_parts(wiring.ledger.store, found.sale, org)
    receipts: list[Receipt] = []
    for item in sorted(found.givebacks, key=lambda one: (one.at, one.id)):
        falling = shares(item, found.sale)
        for part in parts:
            named = set(part.credit.all_names)
            number = next((n for n, one in enumerate(found.sale) if named & set(one.all_names)), 0)
            receipts += _settle(wiring, part.credit, falling[number])
    return receipts[0] if len(receipts) == 1 else Receipts("refund", receipts)


def _settle(wiring: Wiring, credit: "Credit", item: "Giveback") -> list[Receipt]:
    """Bring the journal to what Stripe says of one giveback."""
    from meterctl.core.payments.booked import credits_for
    from meterctl.core.payments.clawbacks import back_time, steps

    # As it is now: a refund before this one may have been booked on it.
    now = credits_for(wiring.ledger.store, [credit.name])
    credit = next((one for one in now if (one.org, one.seq) == (credit.org, credit.seq)), credit)
    operations = steps(item, credit)
    if not operations:
        return [_nothing(wiring, credit.org, item)]
    times = [back_time(item) if isinstance(operation, ReverseRefund) else item.at for operation in operations]
    return [book(wiring, operation, at=at) for operation, at in zip(operations, times, strict=True)]


def _nothing(wiring: Wiring, org: str, item: "Giveback") -> Receipt:
    said = {
        "waiting": f"{item.id} is not decided at Stripe yet: there is nothing to claw; run it again later",
        "given": f"{item.id}: nothing is left of the payment to claw",
    }
    message = said.get(item.standing, f"{item.id} did not go through, and nothing was clawed for it")
    balance = wiring.reads.balance(org).balance
    return Receipt("refund", org, f"refund:{item.id}", "unchanged", balance, message)
