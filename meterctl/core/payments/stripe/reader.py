"""Read payments, refunds and disputes from Stripe's API: lists page by page, and single objects.

Only the needed fields are expanded, and each answer is checked against the requested id.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

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
)
from meterctl.core.payments.stripe.fields import dispute_of, id_of, invoice_intents, refund_of
from meterctl.core.payments.stripe.objects import payments_of
from meterctl.core.payments.stripe.shop import Json, Shop

PAGE = 100

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

#: Kinds by the prefix of their ids.
PREFIXES = {
    SESSION_PREFIX: "checkout.session",
    INTENT_PREFIX: "payment_intent",
    INVOICE_PREFIX: "invoice",
    "cus_": "customer",
    "sub_": "subscription",
    "plink_": "payment_link",
}

#: Exceptions from reading an object that does not have the shape of Stripe's.
MISSHAPEN = (AttributeError, TypeError, KeyError, ValueError, RecursionError)


class NotExpandable(MeterctlError):
    """Stripe cannot expand a requested field."""

    code = "stripe_not_expandable"


class Broken(NamedTuple):
    """An unreadable payment: its id, or its line in a file, the reason, and the next step if it is not Stripe's."""

    id: str
    message: str
    fix: str = "look at it in Stripe's dashboard, or add it to ignore = [...] under [stripe]"


class Api(Protocol):
    """Requests to Stripe. Raises `NotFound` for a 404, `StripeUnavailable` without an answer."""

    def get(self, path: str, params: Mapping[str, Any], to: str) -> dict[str, Any]: ...


class Span(NamedTuple):
    """The creation times to list, and the object to continue after."""

    since: Instant | None
    until: Instant
    after: str | None = None

    def params(self) -> dict[str, Any]:
        created = {"lte": to_millis(self.until) // 1000}
        if self.since is not None:
            created["gte"] = -(-to_millis(self.since) // 1000)
        return {"created": created} | ({"starting_after": self.after} if self.after else {})


class Reader:
    """Implement `payments.Gateway` with an API."""

    def __init__(self, api: Api, shop: Shop, *, live: bool) -> None:
        self._api = api
        self.shop = shop
        self.live = live

    # -- lists

    def sessions(self, span: Span, *, full: bool = False) -> Iterator[Payment | Broken]:
        """List complete sessions, newest first; ``full`` with their items and the time of their charge."""
        if not self.shop.takes("checkout"):
            return iter(())
        expand = [f"data.{root}" for root in self.shop.roots]
        if full:
            expand = [*expand, "data.payment_intent.latest_charge", "data.line_items"]
        return self._payments(self._all(SESSIONS, {"status": "complete", "expand": expand, **span.params()}))

    def intents(self, span: Span) -> Iterator[Payment | Broken]:
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
            first = [next(items, None) for items in searches]
        except (NotFound, StripeUnavailable) as problem:
            if problem.code != "unknown_payment" and not _NO_SEARCH.search(problem.message):
                raise
            yield from self._payments(
                self._all(INTENTS, {"expand": self._expand("data.", "payment_intent"), **span.params()})
            )
            return
        ids: set[str] = set()
        for head, rest in zip(first, searches, strict=True):
            for item in (*([head] if head is not None else []), *rest):
                if item.get("id") not in ids:
                    ids.add(str(item.get("id")))
                    yield from self._payments([item])

    def _keys_on_intents(self) -> list[str]:
        """Return search clauses for intents that may be our payments."""
        only = [
            f"metadata['{place.rpartition('metadata.')[2]}']:'{value}'"
            for place, value in self.shop.settings.only.items()
            if place.startswith(("metadata.", "payment_intent.metadata."))
        ]
        packs = [
            f"-metadata['{place.rpartition('metadata.')[2]}']:null"
            for place in self.shop.settings.pack
            if place.startswith(("metadata.", "payment_intent.metadata."))
        ]
        elsewhere = any(place.startswith("customer.") for place in self.shop.settings.pack)
        return only[:1] or ([] if elsewhere else packs)

    def invoices(self, span: Span) -> Iterator[Payment | Broken]:
        """List the paid invoices."""
        if not self.shop.takes("invoice"):
            return
        expand = ["data.payments", *self._expand("data.", "invoice")]
        yield from self._payments(self._all(INVOICES, {"status": "paid", "expand": expand, **span.params()}))

    def refunds(self, span: Span) -> Iterator[Giveback | Broken]:
        return self._givebacks(refund_of, self._all(REFUNDS, span.params()))

    def disputes(self, span: Span) -> Iterator[Giveback | Broken]:
        return self._givebacks(dispute_of, self._all(DISPUTES, span.params()))

    def events(self, span: Span) -> Iterator[dict[str, Any]]:
        """List the account's events, newest first: Stripe keeps them for 30 days."""
        return self._all(EVENTS, span.params())

    def subscriptions(self) -> Iterator[dict[str, Any]]:
        return self._all(SUBSCRIPTIONS, {"status": "all", "expand": self._expand("data.", "subscription")})

    def _payments(self, items: Iterable[dict[str, Any]]) -> Iterator[Payment | Broken]:
        for item in items:
            try:
                yield from payments_of(item, self.knowing(item))
            except BadInput as problem:
                yield Broken(_id(item), problem.message)
            except MISSHAPEN as problem:
                yield Broken(_id(item), f"it does not look like a Stripe object: {problem}")

    def _givebacks(
        self, read: Callable[[dict[str, Any]], Giveback], items: Iterable[dict[str, Any]]
    ) -> Iterator[Giveback | Broken]:
        for item in items:
            try:
                yield read(item)
            except BadInput as problem:
                yield Broken(_id(item), problem.message)
            except MISSHAPEN as problem:
                yield Broken(_id(item), f"it does not look like a Stripe object: {problem}")

    def _all(self, path: str, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield every object of a list, page after page."""
        query = {name: value for name, value in {**params, "limit": PAGE}.items() if value != []}
        after: dict[str, Any] | None = {}
        while after is not None:  # bounded: by Stripe's list
            query |= after
            page = self._page(path, query)
            data = page.pop("data", None)
            items = [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []
            after = _next_page(page, items)
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

    # -- one thing

    def sale(self, reference: str) -> list[Payment]:
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
        lines = item.get("line_items")
        if isinstance(lines, Mapping) and lines.get("has_more"):
            data = list(self._all(f"{SESSIONS}/{session}/line_items", {}))
            item |= {"line_items": {"data": data, "has_more": False}}
        invoice = id_of(item.get("invoice"))
        payments = self._read(item)
        if invoice and item.get("payment_intent") is None:
            paid_by = self.object("invoice", invoice, ["payments"]) or {}
            names = invoice_intents(paid_by)
            payments = [payment._replace(names=(*payment.names, *names)) for payment in payments]
        return payments

    def _invoice(self, invoice: str) -> list[Payment]:
        item = self.object("invoice", invoice, ["payments", *self._expand("", "invoice")])
        if item is None:
            return []
        lines = item.get("lines")
        if isinstance(lines, Mapping) and lines.get("has_more"):
            data = list(self._all(f"{INVOICES}/{invoice}/lines", {}))
            item |= {"lines": {"data": data, "has_more": False}}
        return self._read(item)

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
            return payments_of(item, self.knowing(item))
        except MISSHAPEN as problem:
            hint = "look at it in Stripe's dashboard"
            message = f"{_id(item)} does not look like a Stripe object: {problem}"
            raise BadInput(message, hint=hint, code="bad_payload") from None

    def knowing(self, item: Json) -> Shop:
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
        if giveback_id.startswith(DISPUTE_PREFIXES):
            dispute = self.object("dispute", giveback_id)
            return None if dispute is None else dispute_of(dispute)
        refund = self.object("refund", giveback_id)
        return None if refund is None else refund_of(refund)

    def givebacks_of(self, payment: Payment) -> list[Giveback]:
        intent = next((name for name in payment.all_names if name.startswith(INTENT_PREFIX)), None)
        if intent is None:
            return []
        of = {"payment_intent": intent.partition(":")[0]}
        refunds = map(refund_of, self._all(REFUNDS, of))
        return [*refunds, *map(dispute_of, self._all(DISPUTES, of))]

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


#: Stripe's messages in countries without a search.
_NO_SEARCH = re.compile(r"not (supported|available|enabled)|[Uu]nrecognized")

#: The objects that an object of a kind refers to.
_FIELDS = {
    "checkout.session": ("payment_intent", "customer", "invoice", "subscription", "payment_link"),
    "payment_intent": ("customer",),
    "invoice": ("customer", "subscription"),
    "subscription": ("customer",),
}


def _next_page(page: Json, items: Sequence[Json]) -> dict[str, Any] | None:
    """Return the parameters that continue a list after this page, or None at its end."""
    if not page.get("has_more") or not items:
        return None
    return {"page": page["next_page"]} if "next_page" in page else {"starting_after": items[-1].get("id")}


def _id(item: Json) -> str:
    return str(item.get("id") or "an object without an id")
