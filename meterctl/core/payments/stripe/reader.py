"""Read payments, refunds and disputes from Stripe's API: lists page by page, and single objects.

Only the needed fields are expanded, and each answer is checked against the requested id.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple, Protocol, TypeVar

from meterctl.core.domain.instants import to_millis
from meterctl.core.errors import BadInput, MeterctlError, NotFound, PaymentRefused, StripeUnavailable
from meterctl.core.model import Instant
from meterctl.core.payments.payments import (
    CHARGE_PREFIXES,
    DISPUTE_PREFIXES,
    INTENT_PREFIX,
    INVOICE_PREFIX,
    SESSION_PREFIX,
    Giveback,
    Payment,
    Unreadable,
)
from meterctl.core.payments.releases import without_release
from meterctl.core.payments.sale_book import with_names
from meterctl.core.payments.stripe.fields import MISSHAPEN, dispute_of, id_of, invoice_intents, refund_of
from meterctl.core.payments.stripe.objects import payments_of
from meterctl.core.payments.stripe.shop import Json, Shop

T = TypeVar("T")

PAGE = 100

#: The most pages of one list: a server whose list never ends must not keep a run busy for ever.
MOST_PAGES = 50_000

SESSIONS, INTENTS, INVOICES = "/v1/checkout/sessions", "/v1/payment_intents", "/v1/invoices"
REFUNDS, DISPUTES, CHARGES = "/v1/refunds", "/v1/disputes", "/v1/charges"
SUBSCRIPTIONS, EVENTS = "/v1/subscriptions", "/v1/events"

#: The API path of each kind of object.
PATHS = {
    "checkout.session": SESSIONS,
    "payment_intent": INTENTS,
    "invoice": INVOICES,
    "refund": REFUNDS,
    "dispute": DISPUTES,
    "charge": CHARGES,
    "subscription": SUBSCRIPTIONS,
    "customer": "/v1/customers",
    "payment_link": "/v1/payment_links",
}


class NotExpandable(MeterctlError):
    """Stripe cannot expand a requested field."""

    code = "stripe_not_expandable"


class Api(Protocol):
    """Requests to Stripe."""

    def get(self, path: str, params: Mapping[str, Any], to: str) -> dict[str, Any]:
        """Return the object at ``path``; ``to`` is the purpose, for errors, such as ``read cs_1``.

        Raises `NotFound` for a 404, `NotExpandable`, and `StripeUnavailable` without an answer.
        """
        ...


class Span(NamedTuple):
    """The creation times to list, and the object to continue after."""

    since: Instant | None
    until: Instant
    after: str | None = None

    def params(self) -> dict[str, Any]:
        """Return the span as parameters of a list."""
        created = {"lte": to_millis(self.until) // 1000}
        if self.since is not None:
            created["gte"] = -(-to_millis(self.since) // 1000)
        return {"created": created} | ({"starting_after": self.after} if self.after else {})


class Reader:
    """Read access to Stripe. Every method raises `StripeUnavailable` if Stripe does not answer.

    ``live`` is True if the key is for live payments.
    """

    def __init__(self, api: Api, shop: Shop, *, live: bool) -> None:
        self._api = api
        self.shop = shop
        self.live = live

    # -- lists

    def sessions(self, span: Span, *, full: bool = False) -> Iterator[Payment | Unreadable]:
        """List complete sessions, newest first; ``full`` with their items and the time of their charge."""
        if not self.shop.takes("checkout"):
            return iter(())
        expand = [f"data.{root}" for root in self.shop.roots]
        if full:
            expand = [*expand, "data.payment_intent.latest_charge", "data.line_items"]
        return self._payments(self._all(SESSIONS, {"status": "complete", "expand": expand, **span.params()}))

    def intents(self, span: Span) -> Iterator[Payment | Unreadable]:
        """List the succeeded payment intents that name a pack, with a search if Stripe offers one."""
        keys = self._keys_on_intents()
        if not keys or not self.shop.takes("payment_intent"):
            return
        created = span.params()["created"]
        times = " AND ".join(
            f"created{sign}{created[name]}" for name, sign in (("gte", ">="), ("lte", "<=")) if name in created
        )
        try:
            searches = [
                self._all(f"{INTENTS}/search", {"query": f"{clause} AND status:'succeeded' AND {times}"})
                for clause in keys
            ]
            firsts = [list(islice(items, 1)) for items in searches]  # the first request shows if Stripe can search
        except (NotFound, StripeUnavailable) as problem:
            if problem.code != "unknown_payment" and not _NO_SEARCH.search(problem.message):
                raise
            yield from self._payments(
                self._all(INTENTS, {"expand": self._expand("data.", "payment_intent"), **span.params()})
            )
            return
        ids: set[str] = set()
        for item in chain.from_iterable(chain(*pair) for pair in zip(firsts, searches, strict=True)):
            if _id(item) not in ids:
                ids.add(_id(item))
                yield from self._payments([item])

    def _keys_on_intents(self) -> list[str]:
        """Return search clauses for intents that may be our payments."""
        settings = self.shop.settings
        for place, value in settings.only.items():
            if place.startswith(_INTENT_METADATA):
                return [f"metadata['{_metadata_name(place)}']:'{value}'"]
        if any(place.startswith("customer.") for place in settings.pack):
            return []
        return [
            f"-metadata['{_metadata_name(place)}']:null"
            for place in settings.pack
            if place.startswith(_INTENT_METADATA)
        ]

    def invoices(self, span: Span) -> Iterator[Payment | Unreadable]:
        """List the paid invoices."""
        if not self.shop.takes("invoice"):
            return
        expand = ["data.payments", *self._expand("data.", "invoice")]
        yield from self._payments(self._all(INVOICES, {"status": "paid", "expand": expand, **span.params()}))

    def refunds(self, span: Span) -> Iterator[Giveback | Unreadable]:
        """List the refunds, newest first."""
        return _readable(self._all(REFUNDS, span.params()), lambda item: [refund_of(item)])

    def disputes(self, span: Span) -> Iterator[Giveback | Unreadable]:
        """List the disputes, newest first."""
        return _readable(self._all(DISPUTES, span.params()), lambda item: [dispute_of(item)])

    def events(self, span: Span) -> Iterator[dict[str, Any]]:
        """List the account's events, newest first: Stripe keeps them for 30 days."""
        return self._all(EVENTS, span.params())

    def subscriptions(self) -> Iterator[dict[str, Any]]:
        """List all subscriptions, ended ones too."""
        return self._all(SUBSCRIPTIONS, {"status": "all", "expand": self._expand("data.", "subscription")})

    def _payments(self, items: Iterable[dict[str, Any]]) -> Iterator[Payment | Unreadable]:
        return _readable(items, lambda item: payments_of(item, self.shop_for(item)))

    def _all(self, path: str, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield every object of a list, page after page."""
        query = {name: value for name, value in {**params, "limit": PAGE}.items() if value != []}
        after: dict[str, Any] | None = {}
        pages = 0
        while after is not None:
            pages += 1
            if pages > MOST_PAGES:
                hint = "name a shorter time with --since, and see status.stripe.com"
                raise StripeUnavailable(f"Stripe's list {path} goes on after {MOST_PAGES:,} pages", hint=hint)
            query |= after
            page = self._page(path, query)
            data = page.pop("data", None)
            items = [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []
            place, after = after, _next_page(page, items)
            if after is not None and after == place:
                raise StripeUnavailable(f"Stripe's list {path} repeats a page", hint="run it again later")
            del page, data  # a page is freed before the next one is read
            items.reverse()
            while items:
                yield self._of_this_mode(items.pop())

    def _page(self, path: str, query: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._api.get(path, query, f"list {path.removeprefix('/v1/')}")
        except NotExpandable:
            query.pop("expand", None)  # another API version: only the expanded fields are lost
            return self._api.get(path, query, f"list {path.removeprefix('/v1/')}")
        except NotFound as problem:
            if path.endswith("/search"):
                raise
            raise StripeUnavailable(problem.message, hint="check STRIPE_API_BASE, if it is set") from None

    # -- one thing

    def sale(self, reference: str) -> list[Payment]:
        """Return the full payment of a session, payment intent, invoice or charge, in its parts.

        It is empty if Stripe has none. The payment intent of a session or invoice gives the payment of that object.
        """
        if reference.startswith(SESSION_PREFIX):
            return self._session(reference)
        if reference.startswith(INVOICE_PREFIX):
            return self._invoice(reference)
        intent = self._intent_of(reference)
        if intent is None:
            return []
        session = next(self._all(SESSIONS, {"payment_intent": intent}), None) if self.shop.takes("checkout") else None
        if session is not None and id_of(session.get("payment_intent")) == intent:
            return self._session(_id(session))
        item = self.object("payment_intent", intent, ["latest_charge", *self._expand("", "payment_intent")])
        if item is None:
            return []
        invoice = id_of(item.get("invoice")) or self._invoice_of(intent)
        return self._invoice(invoice) if invoice else self._read(item)

    def _session(self, session: str) -> list[Payment]:
        item = self.object(
            "checkout.session",
            session,
            ["payment_intent.latest_charge", "line_items", *self._expand("", "checkout.session")],
        )
        if item is None:
            return []
        self._complete(item, "line_items", f"{SESSIONS}/{session}/line_items")
        invoice = id_of(item.get("invoice"))
        payments = self._read(item)
        if invoice and item.get("payment_intent") is None:
            paid_by = self.object("invoice", invoice, ["payments"]) or {}
            return list(with_names(tuple(payments), invoice_intents(paid_by)))
        return payments

    def _invoice(self, invoice: str) -> list[Payment]:
        item = self.object("invoice", invoice, ["payments", *self._expand("", "invoice")])
        if item is None:
            return []
        self._complete(item, "lines", f"{INVOICES}/{invoice}/lines")
        return self._read(item)

    def _complete(self, item: dict[str, Any], name: str, path: str) -> None:
        """Read the whole list at ``path`` if the object holds only its first page."""
        lines = item.get(name)
        if isinstance(lines, Mapping) and lines.get("has_more"):
            item[name] = {"data": list(self._all(path, {})), "has_more": False}

    def _invoice_of(self, intent: str) -> str | None:
        """Return the invoice that a payment intent pays: since 2025 the intent itself does not name it."""
        query = {"payment": {"type": "payment_intent", "payment_intent": intent}}
        try:
            payment = next(self._all("/v1/invoice_payments", query), None)
        except (NotFound, StripeUnavailable):
            return None
        return None if payment is None else id_of(payment.get("invoice"))

    def _read(self, item: dict[str, Any]) -> list[Payment]:
        try:
            return payments_of(item, self.shop_for(item))
        except MISSHAPEN as problem:
            hint = "look at it in Stripe's dashboard"
            message = f"{_id(item)} does not look like a Stripe object: {problem}"
            raise BadInput(message, hint=hint, code="bad_payload") from None

    def shop_for(self, item: Json) -> Shop:
        """Return the shop with the objects that ``item`` names but does not hold, read one by one."""
        known = {}
        for root in self.shop.roots:
            name = item.get(root)
            if isinstance(name, str) and name and item.get("object") != root:
                known[name] = self.object(root, name) or {}
        return self.shop._replace(known=known) if known else self.shop

    def _intent_of(self, reference: str) -> str | None:
        if reference.startswith(INTENT_PREFIX):
            return reference
        if not reference.startswith(CHARGE_PREFIXES):
            return None
        charge = self.object("charge", reference)
        return None if charge is None else id_of(charge.get("payment_intent"))

    def giveback(self, giveback_id: str) -> Giveback | None:
        """Return a refund or a dispute by its id, or None."""
        if giveback_id.startswith(DISPUTE_PREFIXES):
            dispute = self.object("dispute", giveback_id)
            return None if dispute is None else dispute_of(dispute)
        refund = self.object("refund", giveback_id)
        return None if refund is None else refund_of(refund)

    def givebacks_of(self, payment: Payment) -> list[Giveback]:
        """Return all refunds and disputes of a payment; none if it has no payment intent.

        The release of an uncaptured rest is void."""
        intent = next((name for name in payment.all_names if name.startswith(INTENT_PREFIX)), None)
        if intent is None:
            return []
        of = {"payment_intent": intent.partition(":")[0]}
        refunds = map(refund_of, self._all(REFUNDS, of))
        givebacks = [*refunds, *map(dispute_of, self._all(DISPUTES, of))]
        return without_release(givebacks, payment, self.is_release)

    def is_release(self, refund: Giveback) -> bool | None:
        """Return True if a refund of a charge that was captured in part stands for its uncaptured rest; None if Stripe
        does not tell.

        Where Stripe makes such a refund, the charge moved the whole amount, else the captured one."""
        try:
            charge = self.object("charge", refund.charge, ["balance_transaction"]) if refund.charge else None
        except StripeUnavailable as problem:
            if problem.code == "stripe_right_missing":
                return None
            raise
        move = (charge or {}).get("balance_transaction")
        if charge is None or not isinstance(move, Mapping) or move.get("currency") != charge.get("currency"):
            return None
        answers = {charge.get("amount"): True, charge.get("amount_captured"): False}
        return answers.get(move.get("amount"))

    def object(self, kind: str, name: str, expand: Iterable[str] = ()) -> dict[str, Any] | None:
        """Return one object, or None if Stripe has none. Raises `PaymentRefused` if Stripe sends another."""
        path, fields = f"{PATHS[kind]}/{name}", list(expand)
        try:
            item = self._api.get(path, {"expand": fields} if fields else {}, f"read {name}")
        except NotExpandable:
            item = self._api.get(path, {}, f"read {name}")
        except NotFound:
            return None
        if item.get("id") != name:
            raise PaymentRefused(f"Stripe sent {item.get('id')!r} when asked for {name}", code="other_object")
        return self._of_this_mode(item)

    def _expand(self, before: str, kind: str) -> list[str]:
        return [f"{before}{root}" for root in self.shop.roots if root != kind and root in _FIELDS.get(kind, ())]

    def _of_this_mode(self, item: dict[str, Any]) -> dict[str, Any]:
        if item.get("livemode", self.live) != self.live:
            raise PaymentRefused(
                "Stripe's answer is from another mode (test or live) than the key", code="mode_mismatch"
            )
        return item


#: Places of the config that a search for payment intents can name.
_INTENT_METADATA = ("metadata.", "payment_intent.metadata.")

#: Stripe's messages in countries without a search.
_NO_SEARCH = re.compile(r"not (supported|available|enabled)|[Uu]nrecognized")

#: The objects that an object of a kind refers to.
_FIELDS = {
    "checkout.session": ("payment_intent", "customer", "invoice", "subscription", "payment_link"),
    "payment_intent": ("customer",),
    "invoice": ("customer", "subscription"),
    "subscription": ("customer",),
}


def _metadata_name(place: str) -> str:
    """Return the key within the metadata that a place names."""
    return place.rpartition("metadata.")[2]


def _readable(
    items: Iterable[dict[str, Any]], read: Callable[[dict[str, Any]], Iterable[T]]
) -> Iterator[T | Unreadable]:
    """Yield the contents of each object, or an `Unreadable` in their place."""
    for item in items:
        try:
            yield from read(item)
        except BadInput as problem:
            yield Unreadable(_id(item), problem.message)
        except MISSHAPEN as problem:
            yield Unreadable(_id(item), f"it does not look like a Stripe object: {problem}")


def _next_page(page: Json, items: Sequence[Json]) -> dict[str, Any] | None:
    """Return the parameters that continue a list after this page, or None at its end."""
    if not page.get("has_more") or not items:
        return None
    return {"page": page["next_page"]} if "next_page" in page else {"starting_after": items[-1].get("id")}


def _id(item: Json) -> str:
    return str(item.get("id") or "an object without an id")
