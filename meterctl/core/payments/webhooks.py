"""Webhook events become operations: in any order, repeated any number of times, the same state in the end.

An event is taken for what its object says, not for when it arrives. What all events of a run say of one object is put
together first: a payment that is paid stays paid, money that came back has been gone before. The journal remembers the
rest. So a refund that has failed before it was ever booked is booked and reversed at once: should the older news that
it succeeded arrive later, its key is used and it claws nothing.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.operations import Operation, Request, ReverseRefund
from meterctl.core.errors import BadInput, PaymentRefused
from meterctl.core.model import Instant
from meterctl.core.payments import payments
from meterctl.core.payments.event_counts import TROUBLE, Events
from meterctl.core.payments.gather import credits_for, is_credited
from meterctl.core.payments.payments import Credit, Gateway, Giveback, Payment, standing_credit, steps
from meterctl.core.payments.webhook_events import Refunded
from meterctl.core.payments.webhook_feed import Feed
from meterctl.core.payments.webhook_file import Rejected
from meterctl.core.results import Receipt

#: Refusals that another event may lift.
_WAITS = ("unknown_session", "refund_exceeds_payment")


class Booking(NamedTuple):
    """How to book: as whom, and whether to take other prices than the packs'."""

    actor: str
    reason: str | None = None
    accept_paid: bool = False


class Outcome(NamedTuple):
    """What became of one object. ``keep``: what was told of it may be of use once more."""

    status: str
    reason: str | None = None
    message: str = ""
    org: str | None = None
    keep: bool = False


class Settler:
    """Books what a feed says. ``gateway`` None: Stripe is not asked, and what the events leave open stays pending."""

    def __init__(self, ledger: Ledger, gateway: Gateway | None, booking: Booking) -> None:
        self._ledger = ledger
        self._gateway = gateway
        self._booking = booking

    def settle(self, feed: Feed, result: Events) -> None:
        """Book everything, and count and note in ``result`` what became of it."""
        open_charges = self._complete(feed)
        for payment in _by_time(payment for payment in feed.payments.values() if payment.paid):
            self._note(payment.session, self._credit(payment), feed, result)
        for charge in open_charges:
            self._note(charge.charge, Outcome("pending", "refunds_unknown", _UNTOLD), feed, result)
        waiting = [item for item in feed.givebacks.values() if item.standing == "waiting"]
        result.waiting += len(waiting)
        self._claw_all([item for item in feed.givebacks.values() if item.standing != "waiting"], feed, result)

    def _complete(self, feed: Feed) -> list[Refunded]:
        """Ask Stripe for what the events leave open, before anything is booked; what is open still."""
        untold = feed.untold()
        if self._gateway is None:
            return untold
        for charge in untold:
            payment = self._gateway.payment(charge.charge)
            for giveback in [] if payment is None else self._gateway.givebacks_of(payment):
                feed.add_giveback(giveback)
        for item in feed.givebacks.values():
            reference = item.intent or item.charge
            if reference is not None and reference not in feed.sessions and item.standing != "waiting":
                payment = self._gateway.payment(reference)
                # A payment that no checkout session made is none of ours.
                feed.sessions[reference] = "" if payment is None else payment.session
        return []

    def _credit(self, payment: Payment) -> Outcome:
        accept_paid = self._booking.accept_paid or is_credited(self._ledger.store, payment)
        try:
            operation = payments.credit_for(payment, None, None, self._ledger.terms.packs, accept_paid=accept_paid)
        except (PaymentRefused, BadInput) as problem:
            return Outcome("refused", problem.code, problem.message, payment.org)
        return _outcome(self._book(operation, payment.at))

    def _claw_all(self, items: Sequence[Giveback], feed: Feed, result: Events) -> None:
        """Claw in the order of time, and what was refused again as long as others make room for it."""
        # What came back goes first: it makes room.
        left = sorted(_by_time(items), key=lambda item: item.standing == "given")
        moved = True
        while left and moved:  # bounded: each turn settles one, or is the last
            outcomes = [(item, self._claw(item, feed)) for item in left]
            left = [item for item, outcome in outcomes if outcome.status == "pending"]
            moved = any(outcome.status in ("applied", "planned") for _, outcome in outcomes)
            for item, outcome in outcomes:
                if outcome.status != "pending" or not moved:
                    self._note(item.id, outcome, feed, result, self._session_of(item, feed))

    def _session_of(self, item: Giveback, feed: Feed) -> str | None:
        return feed.sessions.get(item.intent or item.charge or "")

    def _claw(self, item: Giveback, feed: Feed) -> Outcome:
        session = self._session_of(item, feed)
        if session is None:
            return Outcome("pending", "unknown_payment", _UNLINKED.format(item.intent or item.charge))
        if not session:
            return Outcome("unchanged", None, "its payment was not made by checkout")
        credit = self._credit_of(session)
        if credit is None:
            return Outcome("pending", "unknown_session", f"session {session} is not credited yet")
        outcome = Outcome("unchanged", None, "", credit.org)
        try:
            operations = steps(item, credit, remember=True)
        except (PaymentRefused, BadInput) as problem:
            return Outcome("refused", problem.code, problem.message, credit.org)
        for operation in operations:
            at = item.back_at if isinstance(operation, ReverseRefund) else item.at
            outcome = _outcome(self._book(operation, at))
            if outcome.status not in ("applied", "planned", "replayed"):
                break
        if outcome.reason in _WAITS:
            # A refund that failed and does not fit in any more needs no memory: no older news of it would fit either.
            return Outcome("unchanged") if item.standing == "returned" else outcome._replace(status="pending")
        return outcome._replace(keep=item.standing == "given" and self._is_cut(item, session))

    def _credit_of(self, session: str) -> Credit | None:
        found = credits_for(self._ledger.store, session)
        return standing_credit(found) or next(iter(found), None)

    def _is_cut(self, item: Giveback, session: str) -> bool:
        """Whether more would be clawed for it, were there more left of the payment: something else may come back."""
        credit = self._credit_of(session)
        return (
            credit is not None and credit.left == 0 and sum(claw.cents for claw in credit.clawed(item.id)) < item.cents
        )

    def _book(self, operation: Operation, at: Instant | None) -> Receipt:
        return self._ledger.one(Request(operation, self._booking.actor, self._booking.reason, at))

    def _note(self, name: str, outcome: Outcome, feed: Feed, result: Events, session: str | None = None) -> None:
        result.count(outcome.status)
        if outcome.keep or outcome.status in ("pending", "refused"):
            # The session's own event says which session the payment is.
            result.kept += feed.told_by(name, *([session] if session else []))
        if outcome.status in ("refused", "conflict"):
            result.rejected += [Rejected(source, outcome.reason, outcome.message) for source in feed.told_by(name)]
        if outcome.status not in TROUBLE:
            return
        tellers = feed.told_by(name)
        result.add_problem(
            outcome.status,
            {
                "line": tellers[0].line if tellers else None,
                "event": tellers[0].event if tellers else None,
                "object": name,
                "org": outcome.org,
                "status": outcome.status,
                "reason": outcome.reason,
                "message": outcome.message,
            },
        )


_UNTOLD = (
    "the charge was refunded, but no event names the refund: deliver refund.created events too, or set STRIPE_API_KEY"
)
_UNLINKED = "which session {} belongs to is not known: add its checkout.session event, or set STRIPE_API_KEY"


def _by_time(items: Iterable[Any]) -> list[Any]:
    return sorted(items, key=lambda item: (item.at, item[0]))


def _outcome(receipt: Receipt) -> Outcome:
    return Outcome(receipt.status, receipt.reason, receipt.message, receipt.org)
