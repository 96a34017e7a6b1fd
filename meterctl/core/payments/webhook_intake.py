"""Take webhook deliveries in: check who sent them, read them, and count those that are of no use."""

from collections.abc import Callable
from typing import IO, NamedTuple

from meterctl.core.errors import BadInput
from meterctl.core.payments.event_counts import Events
from meterctl.core.payments.webhook_events import Event, read_event
from meterctl.core.payments.webhook_feed import Feed
from meterctl.core.payments.webhook_file import Delivery, deliveries, kept_line


class Trust(NamedTuple):
    """Which deliveries to believe. ``verify`` checks a body against its signature, None if there is no secret;
    ``unsigned`` takes an event without one although there is a secret."""

    verify: Callable[[str, str], bool] | None = None
    unsigned: bool = False


def read_all(
    file: IO[bytes],
    signature: str | None,
    trust: Trust,
    feed: Feed,
    result: Events,
    *,
    keep_invalid: bool = False,
    reject: Callable[[str], None] = lambda _: None,
) -> None:
    """Take every event in ``file`` into ``feed``; count in ``result`` those that are invalid, or not about payments.

    ``keep_invalid`` keeps the invalid ones with the rest: they may become valid when a secret is changed back.
    ``reject`` gets the others, each as a line that can be read again. Raises `BadInput` where a delivery is signed and
    there is no secret.
    """
    for delivery in deliveries(file, signature):
        result.events += 1
        try:
            event = _checked(delivery, trust, feed.live)
            feed.live = event.live if feed.live is None else feed.live
        except BadInput as problem:
            if problem.code == "webhook_secret_missing":
                raise
            _count_invalid(delivery, problem, result)
            if keep_invalid:
                result.kept.append(feed.put_aside(delivery))
            else:
                reject(kept_line(delivery, reason=problem.code, message=problem.message))
            continue
        result.other += not feed.add(event)


def _count_invalid(delivery: Delivery, problem: BadInput, result: Events) -> None:
    result.count("invalid")
    about = {"line": delivery.line, "event": None, "object": None, "org": None, "status": "invalid"}
    result.add_problem("invalid", about | {"reason": problem.code, "message": problem.message})


def _checked(delivery: Delivery, trust: Trust, live: bool | None) -> Event:
    if delivery.problem is None:
        _check_signature(delivery, trust)
    event = read_event(delivery)
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
