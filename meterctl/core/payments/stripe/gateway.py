"""Read from Stripe through its official SDK; no other module imports it. Nothing is ever written to Stripe.

The API version is pinned, so that objects keep the shape that `objects` reads. Requests have timeouts and a few
retries. On a rate limit the client waits as long as Stripe asks, within bounds.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import stripe

from meterctl.core.errors import BadInput, NotFound, StripeUnavailable
from meterctl.core.payments.stripe.reader import NotExpandable, Reader
from meterctl.core.payments.stripe.shop import Shop

API_VERSION = "2026-10-28.endive"

#: Seconds to connect, and to wait for the next bytes of an answer.
TIMEOUTS = (5.0, 30.0)

#: The SDK's retries after a failure, and our waits for a rate limit.
RETRIES, WAITS = 2, 6

#: The longest wait for a rate limit, in seconds.
LONGEST_WAIT = 30.0

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_KEY = re.compile(r"(?:sk|rk)_(test_|live_)?[A-Za-z0-9_]+")
_KEY_HINT = "create a restricted key with read rights (docs/stripe.md lists them) and set STRIPE_API_KEY to it"


class PacedClient(stripe.RequestsClient):
    """The SDK's HTTP client, which also waits for rate limits: the SDK itself does not retry them."""

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
            self._sleep(_seconds_to_wait(answer[2], attempt))
            answer = super().request(method, url, headers, post_data)
        return answer


def _seconds_to_wait(headers: Mapping[str, str], attempt: int) -> float:
    """Return the seconds to wait: Stripe's Retry-After, or else twice as long each time."""
    seconds = headers.get("Retry-After", "")
    return min(float(seconds) if seconds.isdigit() else 0.5 * 2**attempt, LONGEST_WAIT)


#: A shop with the default settings.
_ANY_SHOP = Shop()


def connect(
    environ: Mapping[str, str],
    sleep: Callable[[float], None],
    client: stripe.HTTPClient | None = None,
    shop: Shop = _ANY_SHOP,
) -> Reader:
    """Return a reader of Stripe with the key in ``STRIPE_API_KEY``, at ``STRIPE_API_BASE`` if set.

    No request is sent yet. Raises `StripeUnavailable` without a usable key.
    """
    key = environ.get("STRIPE_API_KEY", "").strip()
    if not key:
        raise StripeUnavailable("STRIPE_API_KEY is not set", hint=_KEY_HINT, code="stripe_key_missing")
    if _KEY.fullmatch(key) is None:
        message = "STRIPE_API_KEY does not hold a secret or restricted key"
        raise StripeUnavailable(message, hint=_KEY_HINT, code="stripe_key_rejected")
    stripe.enable_telemetry = False
    client_of_key = stripe.StripeClient(
        key,
        stripe_version=API_VERSION,
        base_addresses={"api": _api_base(environ.get("STRIPE_API_BASE"))},
        max_network_retries=RETRIES,
        http_client=client or PacedClient(sleep),
    )
    api = StripeApi(client_of_key, shop.settings.account)
    return Reader(api, shop, live="_test_" not in key)


def _api_base(url: str | None) -> str:
    """Return the API's base URL. The key is sent there, so plain HTTP is allowed on this machine only."""
    if not url:
        return "https://api.stripe.com"
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return url.rstrip("/")
    hint = "use https://..., or http:// on this machine only; unset it to use Stripe itself"
    raise BadInput(
        f"STRIPE_API_BASE {url!r} is not a safe address: the key would be sent there", hint=hint, code="bad_api_base"
    )


class StripeApi:
    """Implement `reader.Api` with the SDK."""

    def __init__(self, client: stripe.StripeClient, account: str | None) -> None:
        self._client = client
        self._options = {} if account is None else {"stripe_account": account}

    def get(self, path: str, params: Mapping[str, Any], to: str) -> dict[str, Any]:
        with _answers(to):
            # Plain data: building the SDK's own objects takes longer than the rest of a reconciliation.
            answer = self._client.raw_request("get", path, **params, **self._options)
        data = answer.data
        if not isinstance(data, dict):
            raise StripeUnavailable(f"Stripe's answer is not an object (request: {to})")
        return data


@contextmanager
def _answers(to: str) -> Iterator[None]:
    """Turn the SDK's exceptions into errors that an operator can act on; ``to`` names the request."""
    try:
        yield
    except stripe.AuthenticationError:
        message = "Stripe rejected the key in STRIPE_API_KEY"
        raise StripeUnavailable(message, hint=_KEY_HINT, code="stripe_key_rejected") from None
    except stripe.PermissionError as problem:
        message = f"the key may not {to}: {_without_key(problem)}"
        raise StripeUnavailable(message, hint=_KEY_HINT, code="stripe_right_missing") from None
    except stripe.RateLimitError:
        message = f"Stripe's rate limit blocked the request to {to}, even after {WAITS} waits"
        raise StripeUnavailable(message, hint=_LATER_HINT, code="stripe_rate_limited") from None
    except stripe.StripeError as problem:
        if problem.http_status == 400 and "expand" in str(problem).lower():
            raise NotExpandable(_without_key(problem)) from None
        if problem.http_status == 404:
            raise NotFound(f"Stripe could not {to}: {_without_key(problem)}", code="unknown_payment") from None
        raise StripeUnavailable(f"the request to {to} failed at Stripe: {_without_key(problem)}") from None


_LATER_HINT = "nothing was booked: run it again later; reconcile --resume FILE continues an interrupted run"


def _without_key(problem: stripe.StripeError) -> str:
    """Return the SDK's message in one line, without any key in it."""
    text = " ".join((problem.user_message or type(problem).__name__).split())
    return re.sub(r"\b(?:sk|rk|whsec)_\S+", "(key)", text)


def verify(body: str, header: str, secret: str) -> bool:
    """Return True if ``header`` (``Stripe-Signature``) signs ``body`` with the endpoint's ``secret``.

    Its age does not matter: a repeated delivery books nothing twice.
    """
    try:
        stripe.WebhookSignature.verify_header(body, header, secret, tolerance=None)
    except (stripe.SignatureVerificationError, TypeError, UnicodeEncodeError):
        return False  # TypeError, UnicodeEncodeError: the header is not ASCII, or the body not UTF-8
    return True
