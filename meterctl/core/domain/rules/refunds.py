"""Refunds: units clawed back for money given back, and given back again where the refund failed."""

from typing import NamedTuple

from meterctl.core.domain.effects import debt_document, draft, draw
from meterctl.core.domain.entries import undo_key
from meterctl.core.domain.operations import Refund, ReverseRefund
from meterctl.core.domain.pricing import refund_target
from meterctl.core.domain.rules.context import Context, Decision, History
from meterctl.core.domain.rules.giving_back import give_back
from meterctl.core.errors import Refusal
from meterctl.core.model import Debt, Entry


class Refundable(NamedTuple):
    """A sold pack: its topup, the cents refunded so far, and the units of it that are clawed, forgiven or expired."""

    topup: Entry
    refunded_cents: int
    clawed: int
    forgiven: int
    expired: int
    forfeited: int
    voided: int = 0

    @property
    def clawable(self) -> int:
        """Return the units that may still be clawed: those that are gone already are nobody's to give back."""
        lost_units = self.expired + self.forfeited + self.voided + self.clawed
        return max(0, self.topup["units"] - lost_units)

    @property
    def refundable_cents(self) -> int:
        """Return the cents that were paid and not refunded yet."""
        return max(0, self.topup["paid_cents"] - self.refunded_cents)

    def target(self, cents: int) -> int:
        """Return the units that refunding ``cents`` more aims at: those of all cents so far, less those that the
        standing refunds aimed at. So parts add up to the pack exactly, whichever of them were taken back."""
        aim = refund_target(self.topup["units"], self.refunded_cents + cents, self.topup["paid_cents"])
        return max(0, aim - self.clawed - self.forgiven)

    def cents_of(self, unspent: int) -> int:
        """Return the cents that ``unspent`` units of the lot are worth, rounded down: refunding them claws no more."""
        units, paid = self.topup["units"], self.topup["paid_cents"]
        aim = self.clawed + self.forgiven + unspent
        # The most cents in all whose units, rounded half up, do not pass those aimed at.
        most = -(-paid * (2 * aim + 1) // (2 * units)) - 1 - self.refunded_cents
        return max(0, min(unspent * paid // units, most, self.refundable_cents))


def refundable(session: str, history: History) -> Refundable | None:
    """Return the standing of the payment with this name, net of reversed refunds; None if the org has no topup of
    it."""
    first_name = history.session_of(session)
    topup = None if first_name is None else history.by_key(f"session:{first_name}")
    if topup is None:
        return None
    entries = history.of_session(topup["session"])
    taken_back = {entry["reverses"] for entry in entries if entry["kind"] == "reversal"}
    standing = [entry for entry in entries if entry["kind"] == "refund" and entry["seq"] not in taken_back]
    expiration = history.by_key(f"expire:{topup['seq']}")
    return Refundable(
        topup,
        sum(entry["cents"] for entry in standing),
        sum(entry["units"] for entry in standing),
        sum(entry["forgiven"] for entry in standing),
        0 if expiration is None else expiration["units"],
        history.forfeited_of(topup["seq"]),
        history.voided_of(topup["seq"]),
    )


def decide_refund(operation: Refund, context: Context) -> Decision:
    """Claw back the units of the cents given back: from the pack's own lot first."""
    standing = refundable(operation.session, context.history)
    if standing is None:
        return Refusal("unknown_session", f"{operation.org} has no pack paid by session {operation.session}")
    topup = standing.topup
    if context.history.by_key(undo_key(topup)) is not None:
        return Refusal("undone", f"the topup of session {operation.session} (seq {topup['seq']}) was undone")
    if operation.cents > standing.refundable_cents:
        return _exceeds(operation, standing)
    target = standing.target(operation.cents)
    clawback = min(target, standing.clawable)
    own = [lot for lot in context.state.lots if lot.id == topup["seq"]]
    others = [lot for lot in context.state.lots if lot.id != topup["seq"]]
    draws, owed = draw([*own, *others], clawback)
    effects = {
        "session": topup["session"],
        "refund_id": operation.refund_id,
        "cents": operation.cents,
        "currency": topup["currency"],
        "lot": topup["seq"],
        "units": clawback,
        "forgiven": target - clawback,
        "draws": draws,
        "debt": debt_document(Debt(owed, 0)),
    }
    decision = draft("refund", operation, -clawback, effects)
    # Whichever of its names the payment was called by, the entry holds the one it was booked under.
    return decision._replace(input={**decision.input, "session": topup["session"]})


def _exceeds(operation: Refund, standing: Refundable) -> Refusal:
    rest, paid = standing.refundable_cents, standing.topup["paid_cents"]
    so_far = f", and {standing.refunded_cents:,} are refunded" if standing.refunded_cents else ""
    would_do = f"at most {rest:,} cents would do" if rest else "nothing is left to refund"
    return Refusal("refund_exceeds_payment", f"{operation.cents:,} cents asked; {paid:,} were paid{so_far}: {would_do}")


def decide_reverse_refund(operation: ReverseRefund, context: Context) -> Decision:
    """Give back the units that a refund clawed."""
    refund = context.history.by_key(f"refund:{operation.refund_id}")
    if refund is None:
        return Refusal("unknown_refund", f"{operation.org} has no refund {operation.refund_id}")
    amount, effects = give_back(refund, context)
    about = {name: refund[name] for name in ("session", "refund_id", "cents", "currency")}
    return draft("reversal", operation, amount, {**about, **effects})
