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

from meterctl.core.errors import BadInput, NotFound, StripeUnavailable
from meterctl.core.payments.shop import Shop
from meterctl.core.payments.stripe_reader import NotExpandable, Reader

API_VERSION = "2026-10-28.endive"

#: Seconds to connect, and to wait for (the rest of) an answer.
TIMEOUTS = (5.0, 30.0)

#: How often the SDK tries again after a failure, and how often a rate limit is waited out.
RETRIES, WAITS = 2, 6

#: The longest that one rate limit is waited out, in seconds.
LONGEST_WAIT = 30.0

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


#: A shop that says nothing of its own.
_ANY_SHOP = Shop()


def connect(
    environ: Mapping[str, str],
    sleep: Callable[[float], None],
    client: stripe.HTTPClient | None = None,
    shop: Shop = _ANY_SHOP,
) -> Reader:
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
    api = StripeApi(made, shop.settings.account)
    return Reader(api, shop, live="_test_" not in key)


def _api_base(given: str | None) -> str:
    """Where the API is. The key travels there: in the clear only within this machine."""
    if not given:
        return "https://api.stripe.com"
    parts = urlsplit(given)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return given.rstrip("/")
    hint = "STRIPE_API_BASE is https://..., or http:// on this machine; unset it to use Stripe itself"
    raise BadInput(f"STRIPE_API_BASE {given!r} is no place to send a key to", hint=hint, code="bad_api_base")


class StripeApi:
    """`stripe_reader.Api` on the SDK."""

    def __init__(self, client: stripe.StripeClient, account: str | None) -> None:
        self._client = client
        self._options = {} if account is None else {"stripe_account": account}

    def get(self, path: str, params: Mapping[str, Any], to: str) -> dict[str, Any]:
        with _answers(to):
            # As plain data: the SDK's own objects cost more time than all the rest of a reconciliation.
            answer = self._client.raw_request("get", path, **params, **self._options)
        data = answer.data
        if not isinstance(data, dict):
            raise StripeUnavailable(f"Stripe's answer to {to} is no object")
        return data


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
        if problem.http_status == 400 and "expand" in str(problem).lower():
            raise NotExpandable(_without_key(problem)) from None
        if problem.http_status == 404:
            raise NotFound(f"Stripe could not {to}: {_without_key(problem)}", code="unknown_payment") from None
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
