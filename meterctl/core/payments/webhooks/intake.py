"""Take in webhook deliveries: check their signatures, read them, and count the unusable ones."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import IO, NamedTuple

from meterctl.core.booking.payment_modes import MODES, differing
from meterctl.core.errors import BadInput
from meterctl.core.payments.stripe.reader import Reader, Span
from meterctl.core.payments.stripe.shop import Shop
from meterctl.core.payments.webhooks.deliveries import Delivery, deliveries, delivery_line
from meterctl.core.payments.webhooks.event_counts import Events
from meterctl.core.payments.webhooks.events import Event, read_event
from meterctl.core.payments.webhooks.feed import Feed


class Trust(NamedTuple):
    """Rules for trusting deliveries.

    ``verify`` checks a body against its signature; None without a secret. ``unsigned`` accepts events without a
    signature although there is a secret.
    """

    verify: Callable[[str, str], bool] | None = None
    unsigned: bool = False


class Intake:
    """Add events to ``feed``; count invalid, foreign and unrelated ones in ``result``.

    ``reject`` receives each invalid delivery as a line that can be read again.
    """

    def __init__(
        self, trust: Trust, shop: Shop, feed: Feed, result: Events, reject: Callable[[str], None] = lambda _: None
    ) -> None:
        self._trust = trust
        self._shop = shop
        self._feed = feed
        self._result = result
        self._reject = reject

    def read(self, file: IO[bytes], signature: str | None = None, *, keep_invalid: bool = False) -> None:
        """Take in every event in ``file``.

        ``keep_invalid`` keeps invalid ones for a later run, with another secret for example. Raises `BadInput` for a
        signed delivery if there is no secret.
        """
        for delivery in deliveries(file, signature):
            self._take(delivery, self._trust, keep_invalid=keep_invalid)

    def take(self, items: Iterable[Delivery]) -> None:
        """Take in events read from Stripe's API, which need no signature."""
        for delivery in items:
            self._take(delivery, Trust(), keep_invalid=False)

    def _take(self, delivery: Delivery, trust: Trust, *, keep_invalid: bool) -> None:
        self._result.events += 1
        try:
            event = _checked(delivery, trust, self._shop, self._feed.live)
        except BadInput as problem:
            if problem.code == "webhook_secret_missing":
                raise
            _count_invalid(delivery, problem, self._result)
            if keep_invalid:
                self._result.to_keep.append(self._feed.put_aside(delivery))
            else:
                self._reject(delivery_line(delivery, reason=problem.code, message=problem.message))
            return
        if event.account is not None and event.account != self._shop.settings.account:
            self._result.foreign += 1
            return
        if self._feed.add(event):
            self._feed.live = event.live if self._feed.live is None else self._feed.live
        else:
            self._result.other += 1


def listed_events(gateway: Reader, span: Span) -> Iterator[Delivery]:
    """Yield the account's own events as deliveries, oldest first."""
    newest_first = [Delivery(0, json.dumps(event)) for event in gateway.events(span)]
    for number, delivery in enumerate(reversed(newest_first), 1):
        yield delivery._replace(line=number)


def _count_invalid(delivery: Delivery, problem: BadInput, result: Events) -> None:
    result.count("invalid")
    about = {"line": delivery.line, "event": None, "object": None, "org": None, "status": "invalid"}
    result.add_problem("invalid", about | {"reason": problem.code, "message": problem.message})


def _checked(delivery: Delivery, trust: Trust, shop: Shop, live: bool | None) -> Event:
    if delivery.problem is None:
        _check_signature(delivery, trust)
    event = read_event(delivery, shop)
    if live is not None and event.live is not None and event.live != live:
        raise BadInput(
            differing(f"this is a {MODES[event.live]} event", live),
            hint="a store holds payments of one mode only: use another store (--store)",
            code="mode_mismatch",
        )
    return event


def _check_signature(delivery: Delivery, trust: Trust) -> None:
    """Raise `BadInput` unless the delivery has a valid signature or needs none.

    An envelope has a field for the signature, so one without it was tampered with or recorded wrongly.
    """
    if not delivery.signature:
        if delivery.in_envelope or (trust.verify is not None and not trust.unsigned):
            message = "the delivery has no signature, so its sender is unknown"
            hint = "record the Stripe-Signature header too; for a file that you trust, add --unsigned"
            raise BadInput(message, hint=hint, code="signature_missing")
        return
    if trust.verify is None:
        hint = "set STRIPE_WEBHOOK_SECRET to the endpoint's signing secret (whsec_...)"
        raise BadInput(
            "the delivery is signed, but STRIPE_WEBHOOK_SECRET is not set", hint=hint, code="webhook_secret_missing"
        )
    if not trust.verify(delivery.body, delivery.signature):
        raise BadInput("the signature does not match the payload", hint="", code="bad_signature")
