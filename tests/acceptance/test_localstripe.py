"""Payments against localstripe, a Stripe server that nobody here wrote, over loopback.

It has customers, payment intents, charges, invoices, refunds and signed webhooks, in the shapes of an old API version;
checkout sessions and disputes it does not have. In front of it stands a door that answers those lists empty, and leaves
out the filters by time that localstripe does not know.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from tests.acceptance.shell import Shell

Json = dict[str, Any]

KEY, SECRET = "sk_test_localstripe", "whsec_localstripe"
START_SECONDS, ANSWER_SECONDS, DELIVERY_SECONDS = 30.0, 10.0, 15.0

#: The server itself listens on every address, and keeps its data in /tmp: here it does neither.
SERVER = """
import sys
from aiohttp import web
from localstripe.resources import Store
from localstripe.server import app
Store.dump_to_disk = lambda self: None
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""

CONFIG = """
[packs.small]
units = 1000
price_cents = 500
currency = "usd"
[stripe]
org = ["metadata.org", "customer.metadata.organizationId"]
payments = ["payment_intent", "invoice"]
"""


class Reply(NamedTuple):
    status: int
    body: bytes


def ask(port: int, method: str, path: str, content: str | None = None) -> Reply:
    connection = HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    try:
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/x-www-form-urlencoded"}
        connection.request(method, path, content, headers)
        response = connection.getresponse()
        return Reply(response.status, response.read())
    finally:
        connection.close()


class LocalStripe:
    """A running localstripe: what a shop does there, and the webhooks that came of it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.deliveries: list[Json] = []

    def post(self, path: str, **fields: object) -> Json:
        reply = ask(self.port, "POST", path, urlencode(fields))
        assert reply.status == 200, reply
        result: Json = json.loads(reply.body or b"{}")
        return result

    def customer(self, **metadata: str) -> str:
        made = self.post("/v1/customers", **{f"metadata[{name}]": value for name, value in metadata.items()})
        return str(made["id"])

    def card(self, customer: str) -> str:
        card = {"type": "card", "card[number]": "4242424242424242", "card[exp_month]": 12, "card[exp_year]": 2030}
        method = self.post("/v1/payment_methods", **card, **{"card[cvc]": "123"})
        self.post(f"/v1/payment_methods/{method['id']}/attach", customer=customer)
        return str(method["id"])

    def intent(self, cents: int, customer: str, **metadata: str) -> Json:
        """Pay with a payment intent; return it."""
        more = {f"metadata[{name}]": value for name, value in metadata.items()}
        made = self.post(
            "/v1/payment_intents",
            amount=cents,
            currency="usd",
            customer=customer,
            payment_method=self.card(customer),
            confirm="true",
            **more,
        )
        return made | {"latest_charge": made["latest_charge"]["id"]}  # it is always expanded here

    def delivered(self, kind: str, count: int = 1) -> list[Json]:
        """Wait for webhooks of a kind."""
        until = time.monotonic() + DELIVERY_SECONDS
        while time.monotonic() < until:
            result = [one for one in self.deliveries if json.loads(one["payload"])["type"] == kind]
            if len(result) >= count:
                return result
            time.sleep(0.05)
        raise AssertionError(f"no {count} deliveries of {kind}: {self.deliveries}")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def door_to(port: int) -> type[BaseHTTPRequestHandler]:
    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path in ("/v1/disputes", "/v1/invoice_payments"):
                reply = Reply(200, b'{"object": "list", "data": [], "has_more": false}')
            else:
                query = [pair for pair in parse_qsl(parts.query) if not pair[0].startswith(("created[", "status"))]
                query = [pair for pair in query if not (pair[0].startswith("expand[") and "payments" in pair[1])]
                reply = ask(port, "GET", f"{parts.path}?{urlencode(query)}")
            self.send_response(reply.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Door


def endpoint_of(stripe: LocalStripe) -> type[BaseHTTPRequestHandler]:
    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            stripe.deliveries.append({"payload": body, "signature": self.headers["Stripe-Signature"]})
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Endpoint


@pytest.fixture
def stripe(run: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalStripe]:
    """Start localstripe with an endpoint for its webhooks, and point the commands at it."""
    run.config(CONFIG)
    monkeypatch.delenv("METERCTL_NOW", raising=False)
    port = free_port()
    made = LocalStripe(port)
    environ = {"PATH": os.environ["PATH"]}
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(port)], env=environ)
    try:
        wait_for(port, process)
        with listening(door_to(port)) as door, listening(endpoint_of(made)) as endpoint:
            made.post("/_config/webhooks/test", url=f"http://127.0.0.1:{endpoint}/", secret=SECRET)
            monkeypatch.setenv("STRIPE_API_BASE", f"http://127.0.0.1:{door}")
            monkeypatch.setenv("STRIPE_API_KEY", KEY)
            monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", SECRET)
            yield made
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, "localstripe ended"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("localstripe does not listen")


def write(path: Path, deliveries: list[Json]) -> Path:
    path.write_text("".join(f"{json.dumps(one)}\n" for one in deliveries), encoding="utf-8")
    return path


def test_a_payment_intent_is_credited_refunded_and_reconciled(run: Shell, stripe: LocalStripe) -> None:
    customer = stripe.customer(organizationId="acme")
    intent = stripe.intent(500, customer, pack="small")
    receipt = run.doc(f"credit-pack --from-stripe {intent['id']}")
    assert (receipt["org"], receipt["status"], receipt["balance"]) == ("acme", "applied", 1000)
    charge = intent["latest_charge"]
    assert charge in receipt["entry"]["names"]
    refund = stripe.post("/v1/refunds", charge=charge, amount=250)
    clawed = run.doc(f"refund --from-stripe {refund['id']}")
    assert (clawed["status"], clawed["balance"]) == ("applied", 500)
    assert run.doc("reconcile stripe")["findings"] == []


def test_signed_webhooks_are_booked_once(run: Shell, stripe: LocalStripe, tmp_path: Path) -> None:
    customer = stripe.customer(organizationId="acme")
    stripe.intent(500, customer, pack="small")
    stripe.intent(700, customer)  # a sale of something else
    file = write(tmp_path / "deliveries.ndjson", stripe.delivered("payment_intent.succeeded", 2))
    counts = run.doc(f"events {file}")
    assert (counts["applied"], counts["foreign"], counts["problems"]) == (1, 1, [])
    again = run.doc(f"events {file}")
    assert (again["applied"], again["replayed"]) == (0, 1)
    assert run.doc("balance acme")["balance"] == 1000


def test_a_changed_delivery_is_invalid(run: Shell, stripe: LocalStripe, tmp_path: Path) -> None:
    stripe.intent(500, stripe.customer(organizationId="acme"), pack="small")
    (delivery,) = stripe.delivered("payment_intent.succeeded")
    forged = delivery | {"payload": delivery["payload"].replace('"amount": 500', '"amount": 5')}
    answer = run.json(f"events {write(tmp_path / 'forged.ndjson', [forged])}")
    assert (answer.code, answer.doc["invalid"], answer.doc["problems"][0]["reason"]) == (7, 1, "bad_signature")
    assert run.journal() == ""


def test_what_was_lost_is_found_and_mended(run: Shell, stripe: LocalStripe, tmp_path: Path) -> None:
    customer = stripe.customer(organizationId="acme")
    intents = [stripe.intent(500, customer, pack="small") for _ in range(3)]
    refund = stripe.post("/v1/refunds", payment_intent=intents[0]["id"])
    run.all(f"credit-pack acme small --session {intents[0]['latest_charge']}")  # by hand, under the charge
    plan = tmp_path / "mend.plan"
    answer = run.json(f"reconcile stripe --plan-out {plan}")
    found = {(one["kind"], one["refund_id"] or one["session"]) for one in answer.doc["findings"]}
    lost = {("paid_not_credited", one["id"]) for one in intents[1:]}
    assert found == {*lost, ("refunded_not_clawed", refund["id"])}
    run.all(f"apply {plan}")
    assert run.doc("reconcile stripe")["findings"] == []
    assert run.doc("balance acme")["balance"] == 2000
