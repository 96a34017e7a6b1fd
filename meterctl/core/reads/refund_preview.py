"""Preview the effect of a refund."""

from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.operations import Refund, Request
from meterctl.core.reads.queries import Reads
from meterctl.core.results import Facts, Receipt


def preview_refund(reads: Reads, rehearsal: Ledger, request: Request, operation: Refund) -> Facts | Receipt:
    """Return the clawback of a refund, the fate of its units so far, and the balance after it.

    A refused refund returns its receipt. ``rehearsal`` is a ledger that books nothing."""
    at = reads.takes_effect(operation.org, request.at)
    before = reads.balance(operation.org, at)
    receipt = rehearsal.one(request)
    standing = reads.refundable(operation.org, operation.session, at)
    if receipt.status != "planned" or receipt.entry is None or standing is None:
        return receipt
    entry, topup = receipt.entry, standing.topup
    remaining = next((lot["remaining"] for lot in before.lots if lot["id"] == topup["seq"]), 0)
    lost_units = standing.expired + standing.forfeited + standing.clawed
    refunded_cents = standing.refunded_cents + operation.cents
    return Facts(
        "refund-preview",
        {
            "org": operation.org,
            "session": operation.session,
            "pack": topup["pack"],
            "currency": topup["currency"],
            "paid_cents": topup["paid_cents"],
            "cents": operation.cents,
            "refunded_cents_before": standing.refunded_cents,
            "refunded_cents_after": refunded_cents,
            "pack_units": topup["units"],
            "remaining_units": remaining,
            "used_units": max(0, topup["units"] - lost_units - remaining),
            "expired_units": standing.expired,
            "clawed_units_before": standing.clawed,
            "units": entry["units"],
            "forgiven": entry["forgiven"],
            "draws": entry["draws"],
            "balance": before.balance,
            "balance_after": entry["balance"],
            "debt_after": entry["state"]["debt"],
            "refundable_cents_after": topup["paid_cents"] - refunded_cents,
            "clawable_units_after": max(0, standing.clawable - entry["units"]),
        },
    )
