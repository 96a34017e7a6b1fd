"""Webhook events become operations: in any order, repeated any number of times, the same state in the end.

An event is taken for what its object says, not for when it arrives. What all events of a run say of one object is put
together first: a payment that is paid stays paid, money that came back has been gone before. The journal remembers the
rest. So a refund that has failed before it was ever booked is booked and reversed at once: should the older news that
it succeeded arrive later, its key is used and it claws nothing.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO, Any, NamedTuple

from meterctl.core import errors
from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.operations import Operation, Request, ReverseRefund
from meterctl.core.errors import BadInput, PaymentRefused
from meterctl.core.model import Instant
from meterctl.core.payments import payments, stripe_objects
from meterctl.core.payments.gather import credits_for, is_credited
from meterctl.core.payments.payments import Credit, Gateway, Giveback, Payment, Standing, standing_credit, steps
from meterctl.core.payments.webhook_file import NO_JSON, Delivery, PutAside, Source, deliveries
from meterctl.core.results import Receipt, Result

SESSION_EVENTS = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
)
REFUND_EVENTS = ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated")
DISPUTE_EVENTS = "charge.dispute."
CHARGE_EVENT = "charge.refunded"

#: What is said of one object by several events: the later in this row holds.
_RANK: tuple[Standing, ...] = ("waiting", "void", "given", "returned")

#: Refusals that another event may lift.
_WAITS = ("unknown_session", "refund_exceeds_payment")


class Refunded(NamedTuple):
    """What a charge says of its refunds without naming them."""

    charge: str
    intent: str | None
    cents: int


class Told(NamedTuple):
    """An event, read."""

    delivery: Delivery
    id: str
    live: bool | None
    payment: Payment | None = None
    givebacks: tuple[Giveback, ...] = ()
    refunded: Refunded | None = None


@dataclass(slots=True)
class Events(Result):
    """What became of a run's events, counted by the sessions, refunds and disputes they speak of. ``problems`` name
    what needs somebody, or another event."""

    name = "events"

    events: int = 0
    ignored: int = 0
    invalid: int = 0
    applied: int = 0
    planned: int = 0
    replayed: int = 0
    unchanged: int = 0
    waiting: int = 0
    pending: int = 0
    refused: int = 0
    conflict: int = 0
    failed: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)
    kept: list[Source] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        return errors.PARTIAL if self.problems else errors.DONE

    def fields(self) -> dict[str, Any]:
        names = (
            "events ignored invalid applied planned replayed unchanged waiting pending refused conflict failed problems"
        )
        return {name: getattr(self, name) for name in names.split()} | {"seconds": round(self.seconds, 3)}

    def count(self, status: str) -> None:
        setattr(self, status, getattr(self, status) + 1)


# -- reading


_EVENT_HINT = "an event a line, as Stripe delivered it"

#: What reading an object raises where it holds something else than Stripe's do.
_MISSHAPEN = (AttributeError, TypeError, UnicodeEncodeError, RecursionError)


def read_event(delivery: Delivery) -> Told:
    """What a delivery tells. Raises `BadInput` for one that is no event, or lacks what matters."""
    try:
        event = json.loads(delivery.body)
    except NO_JSON as problem:
        raise BadInput(f"it is not JSON: {problem}", hint=_EVENT_HINT, code="bad_json") from None
    kind, item = _kind_and_object(event)
    try:
        told = _told(Told(delivery, str(event.get("id", "")), event.get("livemode")), kind, item, event.get("created"))
        # Half of a surrogate pair stands for no character: no store would take it.
        json.dumps(told[1:], ensure_ascii=False).encode()
    except _MISSHAPEN as problem:
        raise _no_event(f"its object is not of the shape of Stripe's: {problem}") from None
    return told


def _told(told: Told, kind: str, item: Mapping[str, Any], created: Any) -> Told:
    told_at = created if type(created) is int else None
    if kind in SESSION_EVENTS:
        return told._replace(payment=stripe_objects.payment_of(item, told_at))
    if kind in REFUND_EVENTS:
        return told._replace(givebacks=(stripe_objects.refund_of(item, told_at),))
    if kind.startswith(DISPUTE_EVENTS):
        return told._replace(givebacks=(stripe_objects.dispute_of(item, told_at, kind),))
    return _charge(told, item, told_at) if kind == CHARGE_EVENT else told


def _kind_and_object(event: Any) -> tuple[str, Mapping[str, Any]]:
    data = event.get("data") if isinstance(event, dict) else None
    item = data.get("object") if isinstance(data, dict) else None
    if not isinstance(item, dict) or not isinstance(event.get("type"), str):
        raise _no_event("it has no type or no object")
    if not isinstance(event.get("livemode"), bool | None):
        raise _no_event("its livemode is neither true nor false")
    return event["type"], item


def _no_event(why: str) -> BadInput:
    return BadInput(f"this is no event of Stripe's: {why}", hint=_EVENT_HINT, code="bad_event")


def _charge(told: Told, charge: Mapping[str, Any], told_at: int | None) -> Told:
    listed = charge.get("refunds")
    refunds = listed.get("data", ()) if isinstance(listed, dict) else ()
    intent, cents = charge.get("payment_intent"), charge.get("amount_refunded")
    found = tuple(stripe_objects.refund_of({"payment_intent": intent, **refund}, told_at) for refund in refunds)
    refunded = Refunded(str(charge.get("id")), intent, cents) if isinstance(cents, int) else None
    return told._replace(givebacks=found, refunded=refunded)


# -- putting together


class Feed:
    """What all events of a run say, by object, and which deliveries said it. ``live`` is the mode of their payments:
    the store's, or of an empty one that of the first event.

    What said it is put ``aside``, in memory unless a file for that is given.
    """

    def __init__(self, live: bool | None = None, aside: IO[bytes] | None = None) -> None:
        self.live = live
        self._aside = PutAside(BytesIO() if aside is None else aside)
        self.payments: dict[str, Payment] = {}
        self.givebacks: dict[str, Giveback] = {}
        self.refunded: dict[str, Refunded] = {}
        self.sessions: dict[str, str] = {}
        self._sources: dict[str, list[Source]] = {}

    def add(self, told: Told) -> bool:
        """Take an event in; False if it says nothing of payments."""
        about = []
        if told.payment is not None:
            about.append(told.payment.session)
            self._add_payment(told.payment)
        for giveback in told.givebacks:
            about.append(giveback.id)
            self.add_giveback(giveback)
        if told.refunded is not None:
            about.append(told.refunded.charge)
            known = self.refunded.get(told.refunded.charge)
            self.refunded[told.refunded.charge] = max(known or told.refunded, told.refunded, key=lambda one: one.cents)
        if about:
            source = self._aside.put(told.delivery, told.id)
            for name in about:
                self._sources.setdefault(name, []).append(source)
        return bool(about)

    def put_aside(self, delivery: Delivery) -> Source:
        """A delivery that says nothing, and is kept for what it may say one day."""
        return self._aside.put(delivery)

    def _add_payment(self, payment: Payment) -> None:
        if payment.intent is not None:
            self.sessions[payment.intent] = payment.session
        known = self.payments.get(payment.session)
        if known is None or (payment.paid, known.at) > (known.paid, payment.at):
            self.payments[payment.session] = payment

    def add_giveback(self, giveback: Giveback) -> None:
        known = self.givebacks.get(giveback.id)
        if known is None or _weight(giveback) > _weight(known):
            self.givebacks[giveback.id] = giveback

    def told_by(self, *names: str) -> list[Source]:
        """The deliveries that spoke of these objects."""
        return [source for name in names for source in self._sources.get(name, ())]

    def untold(self) -> list[Refunded]:
        """Charges that were refunded by more than the refunds that are known, failed ones too: at that time they were
        counted."""
        known: dict[str | None, int] = {}
        for item in self.givebacks.values():
            if not item.is_dispute:
                known[item.charge] = known.get(item.charge, 0) + item.cents
        return [charge for charge in self.refunded.values() if known.get(charge.charge, 0) < charge.cents]


def _weight(item: Giveback) -> tuple[int, int]:
    """Of what is said of one giveback, the heaviest holds: a dispute's money only comes back, bit by bit."""
    return _RANK.index(item.standing), -item.cents


# -- booking


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
        if outcome.status not in ("pending", "refused", "conflict", "failed"):
            return
        tellers = feed.told_by(name)
        result.problems.append(
            {
                "line": tellers[0].line if tellers else None,
                "event": tellers[0].event if tellers else None,
                "object": name,
                "org": outcome.org,
                "status": outcome.status,
                "reason": outcome.reason,
                "message": outcome.message,
            }
        )


_UNTOLD = (
    "the charge was refunded, but no event names the refund: deliver refund.created events too, or set STRIPE_API_KEY"
)
_UNLINKED = "which session {} belongs to is not known: add its checkout.session event, or set STRIPE_API_KEY"


def _by_time(items: Iterable[Any]) -> list[Any]:
    return sorted(items, key=lambda item: (item.at, item[0]))


def _outcome(receipt: Receipt) -> Outcome:
    return Outcome(receipt.status, receipt.reason, receipt.message, receipt.org)


def read_all(
    file: IO[bytes],
    signature: str | None,
    verify: Callable[[str, str], bool] | None,
    feed: Feed,
    result: Events,
    *,
    keep_invalid: bool = False,
) -> None:
    """Take everything in ``file`` that can be used into ``feed``; the rest, events of the other mode too, is counted in
    ``result`` as invalid or ignored. ``keep_invalid``: what is invalid may not be so for ever, so it is kept as well.

    ``verify`` checks a body against its signature; without it, a delivery with one raises `BadInput`.
    """
    for found in deliveries(file, signature):
        result.events += 1
        try:
            told = _checked(found, verify, feed.live)
            feed.live = told.live if feed.live is None else feed.live
        except BadInput as problem:
            if problem.code == "webhook_secret_missing":
                raise
            result.invalid += 1
            if keep_invalid:
                result.kept.append(feed.put_aside(found))
            result.problems.append(
                {
                    "line": found.line,
                    "event": None,
                    "object": None,
                    "org": None,
                    "status": "invalid",
                    "reason": problem.code,
                    "message": problem.message,
                }
            )
            continue
        result.ignored += not feed.add(told)


def _checked(delivery: Delivery, verify: Callable[[str, str], bool] | None, live: bool | None) -> Told:
    if delivery.signature is not None:
        if verify is None:
            hint = "set STRIPE_WEBHOOK_SECRET to the endpoint's signing secret (whsec_...)"
            raise BadInput("a delivery is signed, but there is no secret", hint=hint, code="webhook_secret_missing")
        if not verify(delivery.body, delivery.signature):
            raise BadInput("the signature does not fit the payload", hint="", code="bad_signature")
    told = read_event(delivery)
    if live is not None and told.live is not None and told.live != live:
        modes = {True: "live", False: "test"}
        message = f"a {modes[told.live]} event among {modes[live]} payments"
        raise BadInput(message, hint="a store has payments of one mode: use another store", code="mode_mismatch")
    return told
