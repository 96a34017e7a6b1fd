"""Stripe through its official SDK: the only module that imports it. It reads, and never writes there.

The API version is pinned, so that objects keep the shape that `stripe_objects` reads. Every request has timeouts;
failures are tried again a few times, and a rate limit is waited out as long as Stripe asks, within bounds.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import stripe

from meterctl.core.domain.instants import to_millis
from meterctl.core.errors import BadInput, NotFound, PaymentRefused, StripeUnavailable
from meterctl.core.model import Instant
from meterctl.core.payments import stripe_objects
from meterctl.core.payments.payments import (
    CHARGE_PREFIXES,
    DISPUTE_PREFIXES,
    INTENT_PREFIX,
    SESSION_PREFIX,
    Giveback,
    Payment,
)

API_VERSION = "2026-10-28.endive"

#: Seconds to connect, and to wait for (the rest of) an answer.
TIMEOUTS = (5.0, 30.0)

#: How often the SDK tries again after a failure, and how often a rate limit is waited out.
RETRIES, WAITS = 2, 6

#: The longest that one rate limit is waited out, in seconds.
LONGEST_WAIT = 30.0

PAGE = 100

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_KEY = re.compile(r"(?:sk|rk)_(test_|live_)?[A-Za-z0-9_]+")
_KEY_HINT = "make a restricted key that reads (docs/stripe.md says which rights) and set STRIPE_API_KEY to it"


class PacedClient(stripe.RequestsClient):
    """The SDK's own HTTP client, which also waits out rate limits: the SDK gives up at once on them."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        super().__init__(timeout=TIMEOUTS)
        self._sleep = sleep

    def request(  # type: ignore[override]  # as in the SDK
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        answer = super().request(method, url, headers, post_data)
        for attempt in range(WAITS):
            if answer[1] != 429:
                break
            self._sleep(_wait_asked(answer[2], attempt))
            answer = super().request(method, url, headers, post_data)
        return answer


def _wait_asked(headers: Mapping[str, str], attempt: int) -> float:
    """The seconds that an answer asks to wait; else twice as long each time."""
    asked = headers.get("Retry-After", "")
    return min(float(asked) if asked.isdigit() else 0.5 * 2**attempt, LONGEST_WAIT)


def connect(
    environ: Mapping[str, str], sleep: Callable[[float], None], client: stripe.HTTPClient | None = None
) -> "StripeGateway":
    """Stripe with the key in ``STRIPE_API_KEY``, at ``STRIPE_API_BASE`` if that is set. Raises `StripeUnavailable`
    without a usable key; asks nothing yet."""
    key = environ.get("STRIPE_API_KEY", "").strip()
    if not key:
        raise StripeUnavailable("there is no Stripe key", hint=_KEY_HINT, code="stripe_key_missing")
    if _KEY.fullmatch(key) is None:
        message = "STRIPE_API_KEY does not hold a secret or restricted key"
        raise StripeUnavailable(message, hint=_KEY_HINT, code="stripe_key_rejected")
    stripe.enable_telemetry = False
    made = stripe.StripeClient(
        key,
        stripe_version=API_VERSION,
        base_addresses={"api": _api_base(environ.get("STRIPE_API_BASE"))},
        max_network_retries=RETRIES,
        http_client=client or PacedClient(sleep),
    )
    return StripeGateway(made, live="_test_" not in key)


def _api_base(given: str | None) -> str:
    """Where the API is. The key travels there: in the clear only within this machine."""
    if not given:
        return "https://api.stripe.com"
    parts = urlsplit(given)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return given.rstrip("/")
    hint = "STRIPE_API_BASE is https://..., or http:// on this machine; unset it to use Stripe itself"
    raise BadInput(f"STRIPE_API_BASE {given!r} is no place to send a key to", hint=hint, code="bad_api_base")


class StripeGateway:
    """`payments.Gateway` on the SDK."""

    def __init__(self, client: stripe.StripeClient, *, live: bool) -> None:
        self._api = client.v1
        self.live = live

    # -- lists

    def sessions(self, since: Instant | None, until: Instant, after: str | None = None) -> Iterator[Payment]:
        asked = {"status": "complete", "expand": list(_EXPAND_LISTED)}
        listed = self._pages(self._api.checkout.sessions.list, asked, since, until, after)
        return (payment for payment in map(stripe_objects.payment_of, listed) if payment is not None)

    def refunds(self, since: Instant | None, until: Instant, after: str | None = None) -> Iterator[Giveback]:
        return map(stripe_objects.refund_of, self._pages(self._api.refunds.list, {}, since, until, after))

    def disputes(self, since: Instant | None, until: Instant, after: str | None = None) -> Iterator[Giveback]:
        return map(stripe_objects.dispute_of, self._pages(self._api.disputes.list, {}, since, until, after))

    def _pages(
        self,
        ask: Callable[[Any], Any],
        asked: Mapping[str, Any],
        since: Instant | None,
        until: Instant,
        after: str | None,
    ) -> Iterator[dict[str, Any]]:
        created = {"lte": to_millis(until) // 1000}
        if since is not None:
            created["gte"] = -(-to_millis(since) // 1000)
        params: dict[str, Any] = {**asked, "limit": PAGE, "created": created}
        if after is not None:
            params["starting_after"] = after
        return self._all(ask, params)

    def _all(self, ask: Callable[[Any], Any], params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        more = True
        while more:  # bounded: by what Stripe has
            with _answers("list payments"):
                page = ask(params)
            yield from (self._checked(item) for item in page.data)
            more = bool(page.has_more and page.data)
            if more:
                params = {**params, "starting_after": page.data[-1].id}

    # -- one thing

    def payment(self, reference: str) -> Payment | None:
        if reference.startswith(SESSION_PREFIX):
            sessions = self._api.checkout.sessions
            found = self._one(lambda: sessions.retrieve(reference, {"expand": list(_EXPAND)}), reference)
            return None if found is None else stripe_objects.payment_of(found)
        intent = self._intent_of(reference)
        if intent is None:
            return None
        expand = [*_EXPAND_LISTED, "data.line_items"]
        params = {"payment_intent": intent, "limit": 1, "expand": expand}
        found = next(self._all(self._api.checkout.sessions.list, params), None)
        return None if found is None else stripe_objects.payment_of(found)

    def _intent_of(self, reference: str) -> str | None:
        if reference.startswith(INTENT_PREFIX):
            return reference
        if not reference.startswith(CHARGE_PREFIXES):
            return None
        charge = self._one(lambda: self._api.charges.retrieve(reference), reference)
        intent = None if charge is None else charge.get("payment_intent")
        return intent if isinstance(intent, str) else None

    def giveback(self, giveback_id: str) -> Giveback | None:
        if giveback_id.startswith(DISPUTE_PREFIXES):
            dispute = self._one(lambda: self._api.disputes.retrieve(giveback_id), giveback_id)
            return None if dispute is None else stripe_objects.dispute_of(dispute)
        refund = self._one(lambda: self._api.refunds.retrieve(giveback_id), giveback_id)
        return None if refund is None else stripe_objects.refund_of(refund)

    def givebacks_of(self, payment: Payment) -> list[Giveback]:
        if payment.intent is None:
            return []
        of = {"payment_intent": payment.intent, "limit": PAGE}
        refunds = map(stripe_objects.refund_of, self._all(self._api.refunds.list, of))
        return [*refunds, *map(stripe_objects.dispute_of, self._all(self._api.disputes.list, of))]

    def _one(self, ask: Callable[[], Any], reference: str) -> dict[str, Any] | None:
        try:
            with _answers(f"read {reference}"):
                return self._checked(ask())
        except NotFound:
            return None

    def _checked(self, item: Any) -> dict[str, Any]:
        """``item`` as plain data, once it is sure to be of the key's mode."""
        found: dict[str, Any] = item.to_dict()
        if found.get("livemode", self.live) != self.live:
            raise PaymentRefused("Stripe answered in the other mode than the key's", code="mode_mismatch")
        return found


_EXPAND = ("payment_intent.latest_charge", "line_items")
_EXPAND_LISTED = ("data.payment_intent.latest_charge",)


@contextmanager
def _answers(to: str) -> Iterator[None]:
    """Turn what the SDK raises while asked ``to`` do something into what an operator can act on."""
    try:
        yield
    except stripe.AuthenticationError:
        message = "Stripe does not accept the key in STRIPE_API_KEY"
        raise StripeUnavailable(message, hint=_KEY_HINT, code="stripe_key_rejected") from None
    except stripe.PermissionError as problem:
        message = f"the key may not {to}: {_without_key(problem)}"
        raise StripeUnavailable(message, hint=_KEY_HINT, code="stripe_right_missing") from None
    except stripe.RateLimitError:
        message = f"Stripe's rate limit did not let us {to}, after {WAITS} waits"
        raise StripeUnavailable(message, hint=_LATER_HINT, code="stripe_rate_limited") from None
    except stripe.StripeError as problem:
        if problem.http_status == 404:
            raise NotFound(f"Stripe knows nothing under that id: {_without_key(problem)}") from None
        raise StripeUnavailable(f"Stripe could not be asked to {to}: {_without_key(problem)}") from None


_LATER_HINT = "nothing was booked: run it again later; reconcile goes on where it stopped with --resume FILE"


def _without_key(problem: stripe.StripeError) -> str:
    """What the SDK says, in one line, without the key that it may quote."""
    text = " ".join((problem.user_message or type(problem).__name__).split())
    return re.sub(r"\b(?:sk|rk|whsec)_\S+", "(key)", text)


def verify(body: str, header: str, secret: str) -> bool:
    """Whether ``header`` (``Stripe-Signature``) signs ``body`` with the endpoint's ``secret``. How old it is does not
    matter: a delivery that is played again books nothing twice."""
    try:
        stripe.WebhookSignature.verify_header(body, header, secret, tolerance=None)
    except (stripe.SignatureVerificationError, TypeError, UnicodeEncodeError):
        return False  # the last two: Stripe signs in ASCII, and no body that is not UTF-8
    return True
