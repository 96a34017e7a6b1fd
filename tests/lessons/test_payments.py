"""Lessons about payments: webhooks that nobody signed, files used twice at once, and credits taken back."""

import gzip
import io
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

import pytest

from meterctl.core.booking.ledger import Ledger
from meterctl.core.booking.payment_modes import store_mode
from meterctl.core.domain import instants
from meterctl.core.domain.instants import parse
from meterctl.core.domain.operations import Refund, Request, ReverseRefund
from meterctl.core.domain.policy import StripeSettings
from meterctl.core.payments.reconcile.compare import repairable_findings
from meterctl.core.payments.reconcile.findings import Discrepancy
from meterctl.core.payments.reconcile.gather import gather
from meterctl.core.payments.reconcile.notes import Notes
from meterctl.core.payments.reconcile.repairs import RepairPolicy
from meterctl.core.payments.sales import Seller
from meterctl.core.payments.stripe.gateway import connect, verify
from meterctl.core.payments.stripe.reader import Reader
from meterctl.core.payments.stripe.shop import Shop
from meterctl.core.payments.webhooks.event_counts import MOST_PROBLEMS, Events
from meterctl.core.payments.webhooks.feed import Feed
from meterctl.core.payments.webhooks.intake import Intake, Trust
from meterctl.core.payments.webhooks.settler import Booking, Settler
from meterctl.core.results import Receipt
from meterctl.core.stores.overlay import OverlayStore
from meterctl.process.long_run import prepare_long_run
from tests.desk import PACKS, Desk, HandClock
from tests.memory_store import MemoryStore
from tests.stripe_server import KEY, WEBHOOK_SECRET, InProcess, StandIn, seconds, signature_of

T0 = seconds("2026-11-10T10:00:00Z")
NOW = "2026-11-22T10:00:00Z"

SHOP = Shop(packs=PACKS)

SIGNED = Trust(lambda body, header: verify(body, header, WEBHOOK_SECRET))


def book(desk: Desk, text: str | bytes, trust: Trust = SIGNED) -> Events:
    result, feed = Events(), Feed()
    Intake(trust, SHOP, feed, result).read(io.BytesIO(text.encode() if isinstance(text, str) else text))
    Settler(desk.ledger, None, Booking("hook", shop=SHOP)).settle(feed, result)
    return result


def paid(org: str = "acme") -> dict[str, Any]:
    account = StandIn()
    account.sell(org, at=T0)
    return account.events[0]


def settle(desk: Desk, account: StandIn, *numbers: int, shop: Shop = SHOP, with_gateway: bool = False) -> Events:
    """Book the account's events, or those of these numbers; ``asked``: with a key."""
    events = [account.events[number] for number in numbers] if numbers else account.events
    text = "\n".join(json.dumps(event) for event in events).encode()
    Intake(Trust(), shop, feed := Feed(), result := Events()).read(io.BytesIO(text))
    gateway = reader(account, shop) if with_gateway else None
    Settler(desk.ledger, gateway, Booking("hook", shop=shop)).settle(feed, result)
    return result


def reader(account: StandIn, shop: Shop = SHOP) -> Reader:
    return connect({"STRIPE_API_KEY": KEY}, HandClock(NOW).sleep, InProcess(account), shop)


def reconcile(desk: Desk, account: StandIn, shop: Shop = SHOP) -> list[Discrepancy]:
    both = gather(reader(account, shop), desk.store, None, parse(NOW), progress=lambda _: None, notes=Notes(None, {}))

    def rehearse(requests: Sequence[Request]) -> list[Receipt]:
        layer = OverlayStore(desk.store, MemoryStore())
        return list(Ledger(layer, desk.clock, desk.ledger.terms, dry_run=True).execute(requests))

    return repairable_findings(both.cases, RepairPolicy(Seller(shop.packs), "fixer"), rehearse)


def test_l64_no_way_in_books_a_pack_for_another_price(desk: Desk) -> None:
    account = StandIn()
    account.sell(cents=1500, at=T0)
    account.sell(pack="forever", cents=500, currency="eur", at=T0 + 1)
    two = account.sell("beta", cents=1000, quantity=2, at=T0 + 2)
    result = settle(desk, account, with_gateway=True)
    assert [one["reason"] for one in result.problems] == ["price_mismatch", "price_mismatch"]
    assert (desk.balance("acme"), desk.balance("beta")) == (0, 2000)
    assert desk.tip("beta")["session"] == two
    findings = reconcile(desk, account)
    assert [(one.kind, one.requests) for one in findings] == [("paid_not_credited", ())] * 2


def test_l65_nothing_is_taken_back_that_stripe_does_not_call_unpaid(desk: Desk) -> None:
    account = StandIn()
    intent = account.intent(500, at=T0)
    invoice = account.invoice([account.invoice_line(500, "price_x")], at=T0)
    session = account.sell(None, None, mode="subscription", at=T0)
    charge = account.charge_of(account.sell("acme", at=T0))["id"]
    for name in (intent, invoice, session, charge):
        desk.credit(name)
    assert reconcile(desk, account) == []
    for name in ("pi_none", "cs_test_none", "in_none", "ch_none"):
        desk.credit(name)
    findings = reconcile(desk, account)
    assert [(one.kind, one.requests) for one in findings] == [("unknown_to_stripe", ())] * 4
    unpaid = account.checkout(at=T0)
    desk.credit(unpaid)
    assert [one.kind for one in reconcile(desk, account) if one.requests] == ["credited_not_paid"]


@pytest.mark.parametrize("cents", [5, 499])
def test_l66_a_refund_that_is_booked_with_other_cents_is_a_conflict(desk: Desk, cents: int) -> None:
    account = StandIn()
    session = account.sell(at=T0)
    refund = account.refund(session, 500, at=T0 + 60)
    settle(desk, account, 0)
    desk.refund(session, cents, refund)
    result = settle(desk, account, 1)
    assert (result.conflict, result.exit_code, result.problems[0]["reason"]) == (1, 7, "refund_differs")
    (finding,) = reconcile(desk, account)
    operations = [request.operation for request in finding.requests]
    again = Refund("acme", session, 500, f"{refund}~2")
    assert operations == [ReverseRefund("acme", refund), again]
    assert all(receipt.applied for receipt in desk.ledger.execute(finding.requests))
    assert (reconcile(desk, account), desk.balance()) == ([], 0)
    assert settle(desk, account).replayed == 2


def test_l70_a_payment_that_was_undone_gives_a_store_no_mode(desk: Desk) -> None:
    desk.credit("cs_test_x")
    assert store_mode(desk.store) is False
    desk.undo(1)
    assert store_mode(desk.store) is None
    live = StandIn(live=True)
    live.sell(at=T0)
    assert settle(desk, live).applied == 1
    assert store_mode(desk.store) is True
    refused = desk.credit("cs_test_y")
    assert (refused.reason, refused.exit_code) == ("mode_mismatch", 4)
    assert refused.message == "cs_test_y is a test payment, but the store holds live payments"


def test_l88_a_refund_of_any_later_run_finds_its_payment_without_a_key(desk: Desk) -> None:
    account = StandIn()
    sales = [account.sell(at=T0), account.intent(500, at=T0, org="acme", pack="small")]
    assert settle(desk, account).applied == 2
    for number, sale in enumerate(sales):
        account.events.clear()
        account.refund(sale, 100, at=T0 + 60)
        account.dispute(sale, 400, at=T0 + 120)
        result = settle(desk, account)
        assert (result.exit_code, desk.balance()) == (0, 1000 * (1 - number)), "refund and dispute are clawed"


@pytest.mark.parametrize("inside", [True, False])
def test_l89_tax_is_no_mismatch(desk: Desk, inside: bool) -> None:
    account = StandIn()
    account.sell(cents=500 if inside else 595, tax=80 if inside else 95, inside=inside, at=T0)
    assert settle(desk, account).applied == 1
    entry = desk.tip()
    assert (entry["units"], entry["tax_cents"]) == (1000, 80 if inside else 95)
    assert reconcile(desk, account) == []


def test_l90_other_sales_of_the_account_make_no_sound(desk: Desk) -> None:
    only = Shop(StripeSettings(only={"metadata.kind": "extras"}), PACKS)
    account = StandIn()
    shirt = account.sell("acme", None, cents=2500, at=T0)
    account.refund(shirt, 500, at=T0 + 60)
    account.intent(900, at=T0, order="77")
    set_aside = account.sell("acme", None, cents=2500, at=T0)
    result = settle(desk, account, shop=only)
    assert (result.exit_code, result.foreign >= 3, reconcile(desk, account, only)) == (0, True, [])
    ignoring = Shop(StripeSettings(ignore=(shirt, set_aside)), PACKS)
    assert (settle(desk, account, shop=ignoring).exit_code, reconcile(desk, account, ignoring)) == (0, [])


def test_l91_every_envelope_is_taken(desk: Desk) -> None:
    account = StandIn()
    for org in ("a", "b", "c", "d", "e"):
        account.sell(org, at=T0)
    a, b, c, d, e = account.events
    listed = {"object": "list", "data": [a], "has_more": False}
    bridge = {"detail-type": b["type"], "source": "aws.partner/stripe.com/ed_1", "detail": b}
    bodies = "".join(json.dumps(event, indent=2) for event in (c, d))
    thin = {"id": "evt_t", "object": "v2.core.event", "type": "v1.checkout.session.completed", "livemode": False}
    thin["related_object"] = {"id": e["data"]["object"]["id"], "type": "checkout.session", "url": "/"}
    text = f"\ufeff{json.dumps(listed)}\n{json.dumps([bridge])}\n{bodies}\n{json.dumps(thin)}".encode()
    for with_gateway in (False, True):
        Intake(Trust(), SHOP, feed := Feed(), result := Events()).read(io.BytesIO(text))
        Settler(desk.ledger, reader(account) if with_gateway else None, Booking("hook", shop=SHOP)).settle(feed, result)
        assert (result.invalid, result.pending, result.applied) == (
            0,
            0 if with_gateway else 1,
            1 if with_gateway else 4,
        )
    first, second = "whsec_old", WEBHOOK_SECRET
    either = Trust(lambda body, header: any(verify(body, header, one) for one in (first, second)))
    body = json.dumps(a)
    for secret in (first, second):
        line = json.dumps({"payload": body, "signature": signature_of(body, secret)})
        assert book(desk, line, either).replayed == 1


UNSIGNED_ENVELOPES: tuple[dict[str, Any], ...] = (
    {"signature": None},
    {"signature": ""},
    {"signature": " "},
    {"signature": []},
    {"signature": 0},
    {},
    {"headers": {}},
    {"headers": None},
    {"headers": {"host": "shop.example"}},
    {"headers": {"stripe-signature": None}},
    {"headers": {"Stripe-Signature": ""}},
    {"headers": {"Stripe-Signature": []}},
    {"headers": [["Host", "shop.example"]]},
)


@pytest.mark.parametrize("envelope", UNSIGNED_ENVELOPES)
def test_l97_an_envelope_without_a_signature_is_never_booked(envelope: dict[str, Any]) -> None:
    desk = Desk()
    line = json.dumps({"payload": json.dumps(paid()), **envelope})
    for trust in (SIGNED, SIGNED._replace(unsigned=True), Trust()):
        result = book(desk, line, trust)
        assert (result.invalid, result.applied, result.exit_code) == (1, 0, 7)
        assert result.problems[0]["reason"] == "signature_missing"


def test_l97_a_body_beside_its_signature_is_an_envelope(desk: Desk) -> None:
    body = json.dumps(paid())
    for signature in (None, "", signature_of(body, "whsec_another")):
        result = book(desk, json.dumps({"body": body, "signature": signature}))
        assert (result.invalid, result.applied) == (1, 0)
    assert book(desk, json.dumps({"body": body, "signature": signature_of(body)})).applied == 1


def test_l97_an_event_without_a_signature_needs_a_word_where_a_secret_is_set(desk: Desk) -> None:
    for wrap in (lambda event: event, lambda event: [event], lambda event: {"object": "list", "data": [event]}):
        result = book(desk, json.dumps(wrap(paid())))
        assert (result.invalid, result.problems[0]["reason"]) == (1, "signature_missing")
    assert book(desk, json.dumps(paid()), SIGNED._replace(unsigned=True)).applied == 1
    body = json.dumps(paid())
    assert book(desk, json.dumps({"payload": body, "signature": signature_of(body)})).replayed == 1


def waiting_refunds(name: str, count: int) -> str:
    """Refunds of payments that no store knows."""
    account = StandIn()
    account.refund(account.sell("acme", at=T0), 100, at=T0 + 60)
    (refund,) = (event for event in account.events if event["type"] == "refund.created")
    text = json.dumps(refund)
    ids = {refund["id"]: "evt", refund["data"]["object"]["id"]: "re", refund["data"]["object"]["payment_intent"]: "pi"}
    lines = []
    for number in range(count):
        line = text
        for old, kind in ids.items():
            line = line.replace(f'"{old}"', f'"{kind}_{name}{number}"')
        lines.append(line)
    return "".join(f"{line}\n" for line in lines)


def test_l101_what_waits_survives_several_runs_at_once(tmp_path: Path) -> None:
    """Each of four processes reads the file of those that wait, and writes it anew with its own."""
    names, count = "abcd", 40
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("METERCTL_", "STRIPE_"))}
    command = [sys.executable, "-m", "meterctl", "--json", "--store", f"sqlite:{tmp_path}/j.db", "events"]
    running = []
    for name in names:
        (tmp_path / name).write_text(waiting_refunds(name, count), encoding="utf-8")
        words = [*command, name, "--pending", "waiting.ndjson"]
        running.append(subprocess.Popen(words, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True))
    assert [(process.communicate(timeout=120), process.returncode)[1] for process in running] == [7] * len(names)
    refunds = [
        json.loads(json.loads(line)["delivery"])
        for line in (tmp_path / "waiting.ndjson").read_text(encoding="utf-8").splitlines()
    ]
    assert sorted(refund["id"] for refund in refunds) == sorted(f"evt_{n}{i}" for n in names for i in range(count))


BAD_DELIVERIES = (
    b'{"id": "\xff"}',
    b"\xff\xfe\x00",
    b"x" * (17 * 1024 * 1024),
    b'{"id": "' + b"x" * (2 * 1024 * 1024) + b'"}',
    b'{"id": "evt_1", "type"',
    b'{"id": "evt_1", "type": "refund.cre',
    b'{"id": "evt_1"}}',
    b"{" * 100_000,
    b"null",
    b'{"type": "refund.created", "data": {"object": {"amount": {}}}}',
)


@pytest.mark.parametrize("bad", BAD_DELIVERIES)
def test_l102_a_bad_delivery_keeps_no_other_from_being_booked(bad: bytes) -> None:
    desk = Desk()
    good = [json.dumps(paid(org)).encode() for org in ("acme", "beta")]
    result = book(desk, b"\n".join([good[0], bad, good[1].replace(b"Qx00", b"Qy00")]), Trust())
    assert (result.applied, result.invalid >= 1, result.exit_code) == (2, True, 7)
    assert [desk.balance(org) for org in ("acme", "beta")] == [1000, 1000]


def test_l102_a_sale_that_cannot_be_read_yet_keeps_no_other_from_being_booked(desk: Desk) -> None:
    shop = Shop(packs={"small": PACKS["small"]._replace(stripe_prices=("price_1",))})
    unread, whole = paid("acme"), paid("beta")
    whole["data"]["object"] |= {"id": "cs_test_whole", "payment_intent": "pi_whole"}
    session = unread["data"]["object"]
    session["metadata"] = {"org": "acme"}
    session.pop("created", None)
    result, feed = Events(), Feed()
    Intake(Trust(), shop, feed, result).read(io.BytesIO(json.dumps([unread, whole]).encode()))
    Settler(desk.ledger, None, Booking("hook", shop=shop)).settle(feed, result)
    assert (result.applied, result.pending, desk.balance("beta")) == (1, 1, 1000)
    assert "cannot be read without its line items" in result.problems[0]["message"]
    (sale,) = [sale for sale in feed.sales.values() if sale[0].missing_object]
    assert sale[0].at == instants.from_millis(unread["created"] * 1000), "the time of its event"


def test_l103_a_million_bad_lines_are_ten_problems_and_a_count() -> None:
    desk = Desk()
    good = json.dumps(paid()).encode()
    count = 20_000  # the memory of each line would show: some 2 KB, and the collector leaves some MB lying about
    result = Events()
    prepare_long_run()  # as the command does: tests before this one may have left it off
    tracemalloc.start()
    file = io.BytesIO(b'{"id": "evt_1"\n' * count + good)
    held = tracemalloc.get_traced_memory()[0]
    Intake(Trust(), SHOP, feed := Feed(), result).read(file)
    assert tracemalloc.get_traced_memory()[1] - held < 12_000_000
    tracemalloc.stop()
    Settler(desk.ledger, None, Booking("hook", shop=SHOP)).settle(feed, result)
    assert (result.invalid, result.applied) == (count, 1)
    assert (len(result.problems), result.more) == (MOST_PROBLEMS, count - MOST_PROBLEMS)
    assert len(json.dumps(result.document())) < 10_000


@pytest.mark.parametrize("line", [b"\n", b" "])
def test_l103_gzip_that_unpacks_to_far_more_is_read_in_bounded_memory(line: bytes) -> None:
    zipped = gzip.compress(line * (100_000_000 // len(line) if line == b" " else 200_000))
    tracemalloc.start()
    file = cast(IO[bytes], gzip.GzipFile(fileobj=io.BytesIO(zipped)))
    Intake(Trust(), SHOP, Feed(), result := Events()).read(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000_000
    assert len(result.problems) <= MOST_PROBLEMS
