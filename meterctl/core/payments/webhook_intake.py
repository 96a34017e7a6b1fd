"""Take webhook deliveries in: check who sent them, read them, and count those that are of no use."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import IO, NamedTuple

from meterctl.core.errors import BadInput
from meterctl.core.payments.event_counts import Events
from meterctl.core.payments.shop import Shop
from meterctl.core.payments.stripe_reader import Reader, Span
from meterctl.core.payments.webhook_events import Event, read_event
from meterctl.core.payments.webhook_feed import Feed
from meterctl.core.payments.webhook_file import Delivery, deliveries, kept_line


class Trust(NamedTuple):
    """Which deliveries to believe. ``verify`` checks a body against its signature, None if there is no secret;
    ``unsigned`` takes an event without one although there is a secret."""

    verify: Callable[[str, str], bool] | None = None
    unsigned: bool = False


class Intake:
    """Takes events into ``feed``; counts in ``result`` those that are invalid, foreign, or not about payments.

    ``reject`` gets each invalid delivery as a line that can be read again.
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
        """Take in every event in ``file``. ``keep_invalid`` keeps the invalid ones with the rest: they may become valid
        when a secret is changed back. Raises `BadInput` where a delivery is signed and there is no secret."""
        for delivery in deliveries(file, signature):
            self._take(delivery, self._trust, keep_invalid=keep_invalid)

    def take(self, given: Iterable[Delivery]) -> None:
        """Take in events that came from Stripe itself: nobody has to sign them."""
        for delivery in given:
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
                self._result.kept.append(self._feed.put_aside(delivery))
            else:
                self._reject(kept_line(delivery, reason=problem.code, message=problem.message))
            return
        if event.account is not None and event.account != self._shop.settings.account:
            self._result.foreign += 1
            return
        if self._feed.add(event):
            self._feed.live = event.live if self._feed.live is None else self._feed.live
        else:
            self._result.other += 1


def listed_events(gateway: Reader, span: Span) -> Iterator[Delivery]:
    """The account's own events as deliveries, oldest first."""
    found = [Delivery(0, json.dumps(event)) for event in gateway.events(span)]
    for number, delivery in enumerate(reversed(found), 1):
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
        modes = {True: "live", False: "test"}
        message = f"a {modes[event.live]} event among {modes[live]} payments"
        raise BadInput(message, hint="a store has payments of one mode: use another store", code="mode_mismatch")
    return event


def _check_signature(delivery: Delivery, trust: Trust) -> None:
    """Raise `BadInput` unless the delivery is signed, or need not be. An envelope has a place for the signature: one
    without it was tampered with, or recorded wrong."""
    if not delivery.signature:
        if delivery.enveloped or (trust.verify is not None and not trust.unsigned):
            message = "the delivery has no signature, so anybody may have sent it"
            hint = "record the Stripe-Signature header; --unsigned takes events from a place that you trust"
            raise BadInput(message, hint=hint, code="signature_missing")
        return
    if trust.verify is None:
        hint = "set STRIPE_WEBHOOK_SECRET to the endpoint's signing secret (whsec_...)"
        raise BadInput("a delivery is signed, but there is no secret", hint=hint, code="webhook_secret_missing")
    if not trust.verify(delivery.body, delivery.signature):
        raise BadInput("the signature does not fit the payload", hint="", code="bad_signature")
