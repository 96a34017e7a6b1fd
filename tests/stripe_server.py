"""A stand-in for Stripe's read API, over HTTP or in process, with a small stateful account behind it.

Objects have the shapes of Stripe's published API reference, version 2026-10-28.endive: checkout sessions, payment
intents, charges, refunds, disputes with their balance transactions, and a snapshot event for each change. Lists work as
Stripe's do (newest first, ``limit``, ``starting_after``, ``has_more``, ``created[...]``, filters, ``expand``). It also
plays wrong keys, missing rights, rate limits, failures and slow answers.
"""

import copy
import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import stripe

from meterctl.core.domain.instants import parse, to_millis

API_VERSION = "2026-10-28.endive"
KEY = "rk_test_standin0key1never2printed"
WEBHOOK_SECRET = "whsec_standin"  # noqa: S105 - opens nothing

Json = dict[str, Any]

#: By path: the kind of objects, the right that a restricted key needs, and the filters of the list.
ROUTES = {
    "/v1/checkout/sessions": ("sessions", "rak_checkout_session_read", ("payment_intent", "status", "subscription")),
    "/v1/payment_intents": ("intents", "rak_payment_intent_read", ("customer",)),
    "/v1/charges": ("charges", "rak_charge_read", ("payment_intent", "customer")),
    "/v1/refunds": ("refunds", "rak_charge_read", ("payment_intent", "charge")),
    "/v1/disputes": ("disputes", "rak_dispute_read", ("payment_intent", "charge")),
    "/v1/invoices": ("invoices", "rak_invoice_read", ("status", "customer", "subscription")),
    "/v1/invoice_payments": ("invoice_payments", "rak_invoice_read", ("invoice", "status")),
    "/v1/customers": ("customers", "rak_customer_read", ("email",)),
    "/v1/subscriptions": ("subscriptions", "rak_subscription_read", ("status", "customer", "price")),
    "/v1/payment_links": ("payment_links", "rak_payment_link_read", ("active",)),
    "/v1/events": ("events", "rak_event_read", ("type",)),
}

#: By kind: the fields that can be expanded, and the kind of the object in each.
EXPANDABLE = {
    "sessions": {
        "payment_intent": "intents",
        "customer": "customers",
        "invoice": "invoices",
        "subscription": "subscriptions",
        "payment_link": "payment_links",
        "line_items": "",
    },
    "intents": {"latest_charge": "charges", "customer": "customers"},
    "charges": {"payment_intent": "intents", "customer": "customers", "balance_transaction": "balance_transactions"},
    "refunds": {"payment_intent": "intents", "charge": "charges"},
    "disputes": {"payment_intent": "intents", "charge": "charges"},
    "invoices": {"customer": "customers", "payments": ""},
    "subscriptions": {"customer": "customers", "latest_invoice": "invoices"},
}

#: Parameters of every list.
LIST_PARAMETERS = (
    "limit",
    "starting_after",
    "ending_before",
    "created[gte]",
    "created[lte]",
    "created[gt]",
    "created[lt]",
)


class Fault(NamedTuple):
    """A failure in place of an answer; with ``status`` 0 only a delay. ``content`` replaces the body as it is."""

    status: int
    headers: Mapping[str, str] = {}
    delay: float = 0.0
    content: str | None = None


class Answer(NamedTuple):
    status: int
    body: Json
    headers: Mapping[str, str] = {}
    delay: float = 0.0
    content: str | None = None

    @property
    def text(self) -> str:
        return json.dumps(self.body) if self.content is None else self.content


def seconds(instant: str) -> int:
    return to_millis(parse(instant)) // 1000


class StandIn:
    """An account at Stripe. Times are seconds since 1970, as in Stripe's API."""

    def __init__(self, *, live: bool = False, key: str = KEY) -> None:
        self.live = live
        self.key = key
        self.objects: dict[str, dict[str, Json]] = {kind: {} for kind, _, _ in ROUTES.values()}
        self.events: list[Json] = []
        self.account: str | None = None
        self.searches = True
        self.objects["balance_transactions"] = {}
        self.faults: list[Fault] = []
        #: By path: the failure that each request of it gets.
        self.broken: dict[str, Fault] = {}
        #: A path whose list never ends: each page has another object.
        self.endless = ""
        self.lacking: set[str] = set()
        self.requests: list[str] = []
        self._count = 0

    # -- changes in the account

    def checkout(
        self,
        org: str | None = "acme",
        pack: str | None = "small",
        cents: int = 500,
        *,
        at: int,
        currency: str = "usd",
        quantity: int = 1,
        discount: int = 0,
        tax: int = 0,
        mode: str = "payment",
        items: Sequence[Json] | None = None,
        inside: bool = False,
        **more: Any,
    ) -> str:
        """Open a session with a total of ``cents``; return its id.

        ``items`` come from `item`; with ``inside`` the prices include the tax.
        """
        subtotal = cents + discount - (0 if inside else tax)
        metadata = {name: value for name, value in (("org", org), ("pack", pack)) if value is not None}
        session: Json = {
            "id": self._id(f"cs_{'live' if self.live else 'test'}_a1"),
            "object": "checkout.session",
            "amount_subtotal": subtotal,
            "amount_total": cents,
            "client_reference_id": None,
            "created": at,
            "currency": currency,
            "customer": None,
            "expires_at": at + 86_400,
            "livemode": self.live,
            "metadata": metadata,
            "mode": mode,
            "payment_intent": None,
            "payment_method_types": ["card"],
            "payment_status": "unpaid",
            "status": "open",
            "total_details": {"amount_discount": discount, "amount_shipping": 0, "amount_tax": tax},
            "ui_mode": "hosted_page",
            "invoice": None,
            "subscription": None,
            "payment_link": None,
            "_line_items": [
                self.item(cents, quantity, currency=currency, tax=tax, discount=discount, subtotal=subtotal)
            ]
            if items is None
            else list(items),
            **more,
        }
        self.objects["sessions"][session["id"]] = session
        return str(session["id"])

    def item(
        self,
        cents: int,
        quantity: int = 1,
        price: str = "price_none",
        *,
        currency: str = "usd",
        tax: int = 0,
        discount: int = 0,
        subtotal: int | None = None,
        text: str = "A pack of units",
    ) -> Json:
        """Return an item of a session with a total of ``cents``."""
        return {
            "id": self._id("li_"),
            "object": "item",
            "amount_discount": discount,
            "amount_subtotal": cents if subtotal is None else subtotal,
            "amount_tax": tax,
            "amount_total": cents,
            "currency": currency,
            "description": text,
            "price": {"id": price, "object": "price", "unit_amount": cents // quantity, "currency": currency},
            "quantity": quantity,
        }

    def customer(self, **metadata: str) -> str:
        customer: Json = {
            "id": self._id("cus_"),
            "object": "customer",
            "livemode": self.live,
            "metadata": metadata,
            "created": 1,
        }
        self.objects["customers"][customer["id"]] = customer
        return str(customer["id"])

    def intent(
        self, cents: int, *, at: int, currency: str = "usd", customer: str | None = None, **metadata: str
    ) -> str:
        """Pay without a checkout, off session for example; return the payment intent's id."""
        intent = self._new_intent(cents, currency, at, customer, metadata)
        self._charge(intent, at)
        self._record_event("payment_intent.succeeded", intent, at)
        return str(intent["id"])

    def capture_part(self, intent_id: str, cents: int, *, at: int, makes_refund: bool) -> str | None:
        """Capture ``cents`` of what was authorized; return the id of the refund that Stripe made of the rest until
        2025."""
        intent = self.objects["intents"][intent_id]
        charge = self.objects["charges"][intent["latest_charge"]]
        move = {"id": self._id("txn_3"), "object": "balance_transaction", "currency": charge["currency"]}
        move["amount"] = charge["amount"] if makes_refund else cents
        self.objects["balance_transactions"][move["id"]] = move
        charge |= {"amount_captured": cents, "balance_transaction": move["id"]}
        intent["amount_received"] = cents
        self.events[-1]["data"]["object"] = self._shown(intent)
        rest = charge["amount"] - cents
        return self.refund(intent_id, rest, at=at) if makes_refund else None

    def _new_intent(self, cents: int, currency: str, at: int, customer: str | None, metadata: Json) -> Json:
        intent: Json = {
            "id": self._id("pi_3"),
            "object": "payment_intent",
            "amount": cents,
            "amount_received": 0,
            "created": at,
            "currency": currency,
            "customer": customer,
            "latest_charge": None,
            "livemode": self.live,
            "metadata": metadata,
            "status": "processing",
        }
        self.objects["intents"][intent["id"]] = intent
        return intent

    def invoice(
        self,
        lines: Sequence[Json],
        *,
        at: int,
        customer: str | None = None,
        subscription: Json | None = None,
        **metadata: str,
    ) -> str:
        """Pay an invoice of ``lines`` (see `invoice_line`); return its id."""
        total = sum(line["amount"] for line in lines)
        tax = sum(one["amount"] for line in lines for one in line["taxes"] if one["tax_behavior"] == "exclusive")
        intent = self._new_intent(total + tax, lines[0]["currency"], at, customer, {})
        self._charge(intent, at)
        details = (
            None if subscription is None else {"subscription": subscription["id"], "metadata": subscription["metadata"]}
        )
        invoice: Json = {
            "id": self._id("in_1"),
            "object": "invoice",
            "amount_paid": total + tax,
            "billing_reason": "manual" if subscription is None else "subscription_cycle",
            "created": at,
            "currency": lines[0]["currency"],
            "customer": customer,
            "lines": {"object": "list", "data": list(lines), "has_more": False},
            "livemode": self.live,
            "metadata": metadata,
            "parent": None if details is None else {"subscription_details": details, "type": "subscription_details"},
            "status": "paid",
            "status_transitions": {"paid_at": at},
            "subtotal": total,
            "total": total + tax,
            "total_discount_amounts": [],
            "total_taxes": [one for line in lines for one in line["taxes"]],
        }
        self.objects["invoices"][invoice["id"]] = invoice
        paid: Json = {
            "id": self._id("inpay_"),
            "object": "invoice_payment",
            "created": at,
            "invoice": invoice["id"],
            "livemode": self.live,
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
            "status": "paid",
        }
        self.objects["invoice_payments"][paid["id"]] = paid
        self._record_event("invoice.paid", invoice, at)
        self._record_event("invoice_payment.paid", paid, at)
        self._record_event("payment_intent.succeeded", intent, at)
        return str(invoice["id"])

    def invoice_line(self, cents: int, price: str, quantity: int = 1, *, tax: int = 0, inside: bool = False) -> Json:
        behavior = "inclusive" if inside else "exclusive"
        return {
            "id": self._id("il_"),
            "object": "line_item",
            "amount": cents,
            "currency": "usd",
            "description": "A pack of units",
            "discount_amounts": [],
            "metadata": {},
            "pricing": {"price_details": {"price": price, "product": "prod_1"}, "type": "price_details"},
            "quantity": quantity,
            "taxes": [{"amount": tax, "tax_behavior": behavior}] if tax else [],
        }

    def subscription(
        self, price: str, *, at: int, status: str = "active", customer: str | None = None, **metadata: str
    ) -> str:
        """Begin a subscription; return its id."""
        subscription: Json = {
            "id": self._id("sub_1"),
            "object": "subscription",
            "cancel_at_period_end": False,
            "created": at,
            "customer": customer,
            "ended_at": None,
            "items": {"object": "list", "data": [{"id": self._id("si_"), "price": {"id": price}, "quantity": 1}]},
            "livemode": self.live,
            "metadata": metadata,
            "status": status,
        }
        self.objects["subscriptions"][subscription["id"]] = subscription
        self._record_event("customer.subscription.created", subscription, at)
        return str(subscription["id"])

    def subscription_becomes(self, name: str, *, at: int, price: str | None = None, **changes: Any) -> None:
        """Change the price or status of a subscription; status ``canceled`` ends it."""
        subscription = self.objects["subscriptions"][name]
        subscription |= changes
        if price is not None:
            subscription["items"]["data"][0]["price"] = {"id": price}
        ended = subscription["status"] == "canceled"
        subscription["ended_at"] = at if ended else None
        self._record_event(f"customer.subscription.{'deleted' if ended else 'updated'}", subscription, at)

    def complete(self, session_id: str, *, at: int) -> None:
        """Complete a session; its money is on the way."""
        session = self.objects["sessions"][session_id]
        intent = self._new_intent(
            session["amount_total"],
            session["currency"],
            session["created"],
            session["customer"],
            session.get("_intent", {}),
        )
        session |= {"status": "complete", "payment_intent": intent["id"]}
        if session["amount_total"] == 0:
            session |= {"payment_status": "no_payment_required", "payment_intent": None}
        self._record_event("checkout.session.completed", session, at)

    def arrive(self, session_id: str, *, at: int, report: bool = True) -> None:
        """Let the money of a completed session arrive."""
        session = self.objects["sessions"][session_id]
        intent = self.objects["intents"][session["payment_intent"]]
        self._charge(intent, at)
        session |= {"payment_status": "paid"}
        if report:
            self._record_event("checkout.session.async_payment_succeeded", session, at)

    def _charge(self, intent: Json, at: int) -> None:
        charge: Json = {
            "id": self._id("ch_3"),
            "object": "charge",
            "amount": intent["amount"],
            "amount_captured": intent["amount"],
            "amount_refunded": 0,
            "captured": True,
            "created": at,
            "currency": intent["currency"],
            "customer": intent["customer"],
            "disputed": False,
            "livemode": self.live,
            "metadata": intent["metadata"],
            "paid": True,
            "payment_intent": intent["id"],
            "refunded": False,
            "status": "succeeded",
        }
        self.objects["charges"][charge["id"]] = charge
        intent |= {"latest_charge": charge["id"], "status": "succeeded", "amount_received": intent["amount"]}

    def pay(self, session_id: str, *, at: int) -> None:
        """Complete a session by card: one event for completion and payment."""
        self.complete(session_id, at=at)
        if self.objects["sessions"][session_id]["payment_status"] == "unpaid":
            self.arrive(session_id, at=at, report=False)
        self.events[-1]["data"]["object"] = self._shown(self.objects["sessions"][session_id])

    def sell(
        self, org: str | None = "acme", pack: str | None = "small", cents: int = 500, *, at: int, **more: Any
    ) -> str:
        """Open a session and pay it; return its id."""
        session_id = self.checkout(org, pack, cents, at=at - 60, **more)
        self.pay(session_id, at=at)
        return session_id

    def fail(self, session_id: str, *, at: int) -> None:
        """Let the payment of a completed session fail."""
        self._record_event("checkout.session.async_payment_failed", self.objects["sessions"][session_id], at)

    def expire(self, session_id: str, *, at: int) -> None:
        session = self.objects["sessions"][session_id]
        session["status"] = "expired"
        self._record_event("checkout.session.expired", session, at)

    def refund(self, session_id: str, cents: int, *, at: int, status: str = "succeeded") -> str:
        """Refund ``cents``, at most the rest of the charge; return the refund's id."""
        charge = self.charge_of(session_id)
        assert cents <= charge["amount"] - charge["amount_refunded"], "Stripe refuses to refund more than is left"
        refund: Json = {
            "id": self._id("re_3"),
            "object": "refund",
            "amount": cents,
            "balance_transaction": self._id("txn_3"),
            "charge": charge["id"],
            "created": at,
            "currency": charge["currency"],
            "metadata": {},
            "payment_intent": charge["payment_intent"],
            "reason": "requested_by_customer",
            "receipt_number": None,
            "status": status,
        }
        self.objects["refunds"][refund["id"]] = refund
        self._add_refunded(charge, cents)
        self._record_event("refund.created", refund, at)
        self._record_event("charge.refunded", charge, at)
        return str(refund["id"])

    def refund_becomes(self, refund_id: str, status: str, *, at: int) -> None:
        """Let a refund succeed, fail or be cancelled."""
        refund = self.objects["refunds"][refund_id]
        if status in ("failed", "canceled"):
            self._add_refunded(self.objects["charges"][refund["charge"]], -refund["amount"])
            refund |= {"failure_reason": "declined", "failure_balance_transaction": self._id("txn_3")}
        refund["status"] = status
        self._record_event("refund.failed" if status == "failed" else "refund.updated", refund, at)

    def _add_refunded(self, charge: Json, cents: int) -> None:
        charge["amount_refunded"] += cents
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]

    def dispute(self, session_id: str, cents: int, *, at: int, withdrawn: bool = True, inquiry: bool = False) -> str:
        """Dispute ``cents``, and withdraw them unless it is only an inquiry; return the dispute's id."""
        charge = self.charge_of(session_id)
        dispute: Json = {
            "id": self._id("du_1"),
            "object": "dispute",
            "amount": cents,
            "balance_transactions": [],
            "charge": charge["id"],
            "created": at,
            "currency": charge["currency"],
            "evidence_details": {"due_by": at + 604_800, "has_evidence": False, "submission_count": 0},
            "is_charge_refundable": False,
            "livemode": self.live,
            "metadata": {},
            "payment_intent": charge["payment_intent"],
            "reason": "fraudulent",
            "status": "warning_needs_response" if inquiry else "needs_response",
        }
        self.objects["disputes"][dispute["id"]] = dispute
        charge["disputed"] = True
        self._record_event("charge.dispute.created", dispute, at)
        if withdrawn and not inquiry:
            self._move(dispute, -cents, at)
            self._record_event("charge.dispute.funds_withdrawn", dispute, at)
        return str(dispute["id"])

    def dispute_closes(self, dispute_id: str, status: str, *, at: int, back: int = 0) -> None:
        """Close a dispute as ``won`` (all comes back), ``lost`` (``back`` cents do) or ``warning_closed``."""
        dispute = self.objects["disputes"][dispute_id]
        dispute["status"] = status
        self._record_event("charge.dispute.closed", dispute, at)
        back = dispute["amount"] if status == "won" else back
        if back:
            self._move(dispute, back, at)
            self._record_event("charge.dispute.funds_reinstated", dispute, at)

    def dispute_moves(self, dispute_id: str, *, out: bool, at: int) -> None:
        """Move the disputed money once more."""
        dispute = self.objects["disputes"][dispute_id]
        dispute["status"] = "needs_response" if out else "won"
        self._move(dispute, -dispute["amount"] if out else dispute["amount"], at)
        self._record_event(f"charge.dispute.funds_{'withdrawn' if out else 'reinstated'}", dispute, at)

    def _move(self, dispute: Json, cents: int, at: int) -> None:
        move = {
            "id": self._id("txn_1"),
            "object": "balance_transaction",
            "amount": cents,
            "created": at,
            "currency": dispute["currency"],
            "fee": 1500 if cents < 0 else 0,
            "reporting_category": "dispute" if cents < 0 else "dispute_reversal",
            "source": dispute["id"],
            "type": "adjustment",
        }
        dispute["balance_transactions"] = [*dispute["balance_transactions"], move]

    def charge_of(self, name: str) -> Json:
        """Return the charge of a session, payment intent or invoice."""
        return self.objects["charges"][self.objects["intents"][self.intent_of(name)]["latest_charge"]]

    def intent_of(self, name: str) -> str:
        if name.startswith("pi_"):
            return name
        if name.startswith("in_"):
            paid = next(one for one in self.objects["invoice_payments"].values() if one["invoice"] == name)
            return str(paid["payment"]["payment_intent"])
        return str(self.objects["sessions"][name]["payment_intent"])

    def _id(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}Qx{self._count:06d}"

    def _record_event(self, kind: str, item: Json, at: int) -> None:
        event = {
            "id": self._id("evt_1"),
            "object": "event",
            "api_version": API_VERSION,
            "created": at,
            "data": {"object": self._shown(item)},
            "livemode": self.live,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
        } | ({"account": self.account} if self.account else {})
        self.events.append(event)
        self.objects["events"][str(event["id"])] = event

    @staticmethod
    def _shown(item: Json) -> Json:
        shown = copy.deepcopy({name: value for name, value in item.items() if not name.startswith("_")})
        if isinstance(lines := shown.get("lines"), dict) and len(lines["data"]) > 10:
            shown["lines"] = lines | {"data": lines["data"][:10], "has_more": True}
        return shown

    # -- the API

    def answer(self, method: str, url: str, headers: Any) -> Answer:
        """Return the API's answer to a request."""
        parts = urlsplit(url)
        self.requests.append(f"{method.upper()} {parts.path}")
        fault = self.faults.pop(0) if self.faults else self.broken.get(parts.path)
        if fault is not None and fault.status:
            kind = "rate_limit" if fault.status == 429 else "api_error"
            return Answer(fault.status, _error(kind, "try again later"), fault.headers, fault.delay, fault.content)
        if parts.path == self.endless:
            item = {"id": self._id("xx_1"), "object": "refund", "created": 1, "livemode": self.live}
            return Answer(200, {"object": "list", "data": [item], "has_more": True})
        answer = self._authorized(method, parts.path, dict(parse_qsl(parts.query)), headers)
        return answer if fault is None else answer._replace(delay=fault.delay)

    def _authorized(self, method: str, path: str, query: Mapping[str, str], headers: Any) -> Answer:
        key = headers.get("Authorization", "").removeprefix("Bearer ")
        if key != self.key:
            message = f"Invalid API Key provided: {key[:8]}****{key[-4:]}"
            return Answer(401, _error("invalid_request_error", message))
        if headers.get("Stripe-Version") != API_VERSION:
            return Answer(400, _error("invalid_request_error", "this stand-in speaks one API version only"))
        if method.lower() != "get":
            return Answer(403, _error("invalid_request_error", "this key may not write"))
        if (headers.get("Stripe-Account") or None) != self.account:
            return Answer(403, _error("invalid_request_error", "the key has no access to this account"))
        return self._route(path, query)

    def _route(self, path: str, query: Mapping[str, str]) -> Answer:
        for prefix, (kind, right, filters) in ROUTES.items():
            if path != prefix and not path.startswith(f"{prefix}/"):
                continue
            if right in self.lacking:
                message = f"The provided key '{self.key[:8]}***' does not have the required permissions. Having the "
                return Answer(403, _error("invalid_request_error", f"{message}'{right}' permission would allow it."))
            if path == prefix:
                return self._list(path, kind, filters, query)
            name, _, part = path.removeprefix(f"{prefix}/").partition("/")
            if name == "search":
                return self._search(path, kind, query)
            return self._items(kind, name, part) if part else self._one(kind, name, query)
        return Answer(404, _error("invalid_request_error", f"Unrecognized request URL (GET: {path})."))

    def _one(self, kind: str, name: str, query: Mapping[str, str]) -> Answer:
        item = self.objects[kind].get(name)
        if item is None:
            message = f"No such {kind.removesuffix('s')}: '{name}'"
            return Answer(404, _error("invalid_request_error", message, code="resource_missing"))
        return _refused_parameters(query, ()) or self._shown_with([item], kind, _expands(query), one=True)

    def _items(self, kind: str, name: str, part: str) -> Answer:
        item = self.objects[kind].get(name, {})
        data = {"line_items": item.get("_line_items"), "lines": (item.get("lines") or {}).get("data")}.get(part)
        if data is None:
            return Answer(404, _error("invalid_request_error", "Unrecognized request URL."))
        return Answer(200, {"object": "list", "data": data, "has_more": False})

    def _search(self, path: str, kind: str, query: Mapping[str, str]) -> Answer:
        """Search as Stripe does, with the clauses used here."""
        if not self.searches or kind != "intents":
            return Answer(404, _error("invalid_request_error", f"Unrecognized request URL (GET: {path})."))
        matches = [item for item in self.objects[kind].values() if _matches(item, query["query"])]
        data = [self._shown(item) for item in matches]
        return Answer(200, {"object": "search_result", "data": data, "has_more": False, "next_page": None, "url": path})

    def _list(self, path: str, kind: str, filters: tuple[str, ...], query: Mapping[str, str]) -> Answer:
        special = ("payment[type]", "payment[payment_intent]") if kind == "invoice_payments" else ()
        if refused := _refused_parameters(query, (*LIST_PARAMETERS, *filters, *special)):
            return refused
        items = sorted(self.objects[kind].values(), key=lambda item: (item["created"], item["id"]), reverse=True)
        items = [
            item
            for item in items
            if all(item.get(name) == query[name] for name in filters if name in query and query[name] != "all")
        ]
        if "payment[payment_intent]" in query:
            items = [item for item in items if item["payment"]["payment_intent"] == query["payment[payment_intent]"]]
        items = [item for item in items if _created_fits(item["created"], query)]
        after = query.get("starting_after")
        if after is not None:
            if after not in self.objects[kind]:
                return Answer(400, _error("invalid_request_error", f"No such object: '{after}'"))
            mark = (self.objects[kind][after]["created"], after)
            items = [item for item in items if (item["created"], item["id"]) < mark]
        limit = int(query.get("limit", "10"))
        if not 1 <= limit <= 100:
            return Answer(400, _error("invalid_request_error", "limit lies between 1 and 100"))
        expand = [name.removeprefix("data.") for name in _expands(query)]
        answer = self._shown_with(items[:limit], kind, expand)
        return (
            answer
            if answer.status != 200
            else answer._replace(
                body={"object": "list", "data": answer.body["data"], "has_more": len(items) > limit, "url": path}
            )
        )

    def _shown_with(self, items: Sequence[Json], kind: str, expand: list[str], *, one: bool = False) -> Answer:
        for path in expand:
            at: str | None = kind
            for field in path.split("."):
                at = EXPANDABLE.get(at or "", {}).get(field)
                if at is None:
                    message = f"This property cannot be expanded ({path})."
                    return Answer(400, _error("invalid_request_error", message))
        data = [self._expanded(item, expand) for item in items]
        return Answer(200, data[0] if one else {"data": data})

    def _expanded(self, item: Json, expand: list[str]) -> Json:
        shown = self._shown(item)
        for path in expand:
            self._expand(shown, item, path.split("."))
        return shown

    def _expand(self, shown: Json, item: Json, path: list[str]) -> None:
        field, rest = path[0], path[1:]
        if field == "line_items":
            shown[field] = {
                "object": "list",
                "data": item["_line_items"][:10],
                "has_more": len(item["_line_items"]) > 10,
            }
            return
        if field == "payments":
            paid = [one for one in self.objects["invoice_payments"].values() if one["invoice"] == item["id"]]
            shown[field] = {"object": "list", "data": paid, "has_more": False}
            return
        value = shown.get(field)
        name = value["id"] if isinstance(value, dict) else value
        if name is None:
            return
        kinds = (objects for objects in self.objects.values() if name in objects)
        inner = next(kinds)[name]
        if not isinstance(value, dict):
            shown[field] = self._shown(inner)
        if rest:
            self._expand(shown[field], inner, rest)


def _refused_parameters(query: Mapping[str, str], known: tuple[str, ...]) -> Answer | None:
    """Return Stripe's error for an unknown parameter, or None."""
    unknown = [name for name in query if name not in known and not name.startswith("expand[")]
    if not unknown:
        return None
    return Answer(400, _error("invalid_request_error", f"Received unknown parameter: {unknown[0]}"))


def _matches(item: Json, query: str) -> bool:
    return all(_fits(item, clause) for clause in query.split(" AND "))


def _fits(item: Json, clause: str) -> bool:
    if match := re.fullmatch(r"(-?)metadata\['([^']*)'\]:(null|'([^']*)')", clause):
        negated, name, value, text = match.groups()
        held = item["metadata"].get(name)
        return (held is None) != bool(negated) if value == "null" else (held == text) != bool(negated)
    if match := re.fullmatch(r"status:'(\w+)'", clause):
        return bool(item["status"] == match[1])
    match = re.fullmatch(r"created([<>]=)(\d+)", clause)
    assert match, f"no clause of Stripe's: {clause}"
    return bool(item["created"] >= int(match[2]) if match[1] == ">=" else item["created"] <= int(match[2]))


def _expands(query: Mapping[str, str]) -> list[str]:
    return [value for name, value in query.items() if name.startswith("expand[")]


def _created_fits(created: int, query: Mapping[str, str]) -> bool:
    least, most = int(query.get("created[gte]", 0)), int(query.get("created[lte]", 2**40))
    return least <= created <= most


def _error(kind: str, message: str, **more: str) -> Json:
    return {"error": {"type": kind, "message": message, **more}}


def signed(event: Json, secret: str = WEBHOOK_SECRET, at: int = 1_700_000_000) -> Json:
    """Return an event as a recorded delivery: the body as text, and its signature header."""
    body = json.dumps(event, indent=2)
    return {"payload": body, "signature": signature_of(body, secret, at)}


def signature_of(body: str, secret: str = WEBHOOK_SECRET, at: int = 1_700_000_000) -> str:
    """Return the header that signs a body."""
    header: str = stripe.WebhookSignature.generate_signature_header(body, secret, at)
    return header


class InProcess(stripe.HTTPClient):
    """The SDK's HTTP client without a network: it calls the stand-in directly."""

    name = "in-process"

    def __init__(self, account: StandIn) -> None:
        super().__init__()
        self._account = account

    def request(  # type: ignore[override]  # as in the SDK
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[str, int, Mapping[str, str]]:
        assert post_data is None, "reading sends nothing"
        answer = self._account.answer(method, url, headers or {})
        return answer.text, answer.status, {name.lower(): value for name, value in answer.headers.items()}

    def close(self) -> None:
        pass


@contextmanager
def serving(account: StandIn) -> Iterator[str]:
    """Serve the account's API on loopback; yield its base URL."""
    lock, closing = threading.Lock(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_DELETE(self) -> None:
            self._answer()

        def _answer(self) -> None:
            with lock:
                answer = account.answer(self.command, self.path, self.headers)
            closing.wait(answer.delay)
            content = answer.text.encode()
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Ignore clients that disconnect while waiting."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
