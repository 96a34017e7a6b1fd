"""Shops as they are: where org and pack stand, what counts as a payment, and which sales are not ours."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from meterctl.core.domain.instants import parse
from meterctl.core.domain.operations import Request
from meterctl.core.domain.policy import Pack, StripeSettings, Terms
from meterctl.core.payments.reconcile.compare import repair_requests, repairable_findings
from meterctl.core.payments.reconcile.gather import gather
from meterctl.core.payments.reconcile.notes import Notes
from meterctl.core.payments.reconcile.repairs import RepairPolicy
from meterctl.core.payments.sales import Seller, credit_for
from meterctl.core.payments.stripe.gateway import connect
from meterctl.core.payments.stripe.reader import Reader
from meterctl.core.payments.stripe.shop import Shop
from meterctl.core.payments.webhooks.event_counts import Events
from tests.desk import Desk, HandClock
from tests.stripe_server import KEY, InProcess, StandIn, seconds
from tests.unit.payments.webhooks.test_settler import settle

T0 = seconds("2026-11-10T10:00:00Z")
NOW = "2026-11-22T10:00:00Z"

PACKS = {
    "small": Pack(1000, 500, "usd", 90, prices={"eur": 460}, stripe_prices=("price_1", "price_1b")),
    "large": Pack(12000, 5000, "usd", stripe_prices=("price_2",)),
    "any": Pack(0, 0, "usd", stripe_prices=("price_any",), unit_price_cents="0.5"),
}


def shop(**settings: Any) -> Shop:
    return Shop(StripeSettings(**settings), PACKS)


class Scene:
    """A shop's account, and a journal for it."""

    def __init__(self, **settings: Any) -> None:
        self.shop = shop(**settings)
        self.account = StandIn()
        self.desk = Desk(now=NOW, packs=PACKS)

    @property
    def gateway(self) -> Reader:
        return connect({"STRIPE_API_KEY": KEY}, HandClock(NOW).sleep, InProcess(self.account), self.shop)

    def events(self, *, with_gateway: bool = False) -> Events:
        return settle(self.desk, self.account.events, self.account if with_gateway else None, shop=self.shop)

    def reconcile(self) -> list[Any]:
        both = gather(self.gateway, self.desk.store, None, parse(NOW), progress=lambda _: None, notes=Notes(None, {}))
        rehearsal = Desk(now=NOW, packs=PACKS)
        for entry in self.desk.store.journal.scan():
            rehearsal.store.journal.append([entry])
        self.counts = both.counts
        return repairable_findings(
            both.cases, RepairPolicy(Seller(PACKS), "x"), lambda requests: list(rehearsal.ledger.execute(requests))
        )

    def mend(self) -> None:
        receipts = list(self.desk.ledger.execute(repair_requests(self.reconcile())))
        assert all(receipt.applied for receipt in receipts), receipts


def told(result: Events) -> Mapping[str, int]:
    quiet = ("problems", "seconds", "events", "warnings")
    return {name: value for name, value in result.fields().items() if value and name not in quiet}


def on_the_session(scene: Scene, org: str) -> None:
    scene.account.sell(None, None, at=T0, metadata={"organizationId": org, "packId": "small", "kind": "extras"})


def on_the_intent(scene: Scene, org: str) -> None:
    scene.account.sell(None, None, at=T0, _intent={"team_id": org, "pack_name": "small"})


def on_the_customer(scene: Scene, org: str) -> None:
    customer = scene.account.customer(organizationId=org)
    scene.account.sell(None, None, at=T0, customer=customer, metadata={"packId": "small"})


def by_the_price(scene: Scene, org: str) -> None:
    items = [scene.account.item(500, price="price_1b")]
    scene.account.sell(None, None, at=T0, client_reference_id=f" {org} ", items=items)


def by_subscription(scene: Scene, org: str) -> None:
    subscription = {"id": "sub_1", "metadata": {"workspaceId": org}}
    scene.account.invoice([scene.account.invoice_line(500, "price_1")], at=T0, subscription=subscription)


def t_shirt(scene: Scene) -> None:
    """Other sales of the same account, of every kind."""
    account = scene.account
    shirt = account.sell(
        None, None, cents=2500, at=T0, items=[account.item(2500, price="price_shirt")], metadata={"kind": "merch"}
    )
    account.refund(shirt, 500, at=T0 + 60)
    account.refund(account.intent(900, at=T0, order="77"), 900, at=T0 + 60)
    account.invoice([account.invoice_line(3900, "price_monthly")], at=T0)
    account.sell(
        None,
        None,
        cents=3900,
        mode="subscription",
        at=T0,
        metadata={"kind": "plan"},
        items=[account.item(3900, price="price_monthly")],
    )


PATTERNS = [
    (
        on_the_session,
        {"org": ("metadata.organizationId",), "pack": ("metadata.packId",), "only": {"metadata.kind": "extras"}},
    ),
    (on_the_intent, {"org": ("payment_intent.metadata.team_id",), "pack": ("payment_intent.metadata.pack_name",)}),
    (on_the_customer, {"org": ("customer.metadata.organizationId",), "pack": ("metadata.packId",)}),
    (by_the_price, {}),
    (by_subscription, {"org": ("subscription.metadata.workspaceId",)}),
]


@pytest.mark.parametrize(("sell", "settings"), PATTERNS)
@pytest.mark.parametrize("way", ["events", "reconcile"])
def test_five_shops_work_by_config_alone(sell: Any, settings: dict[str, Any], way: str) -> None:
    scene = Scene(**settings)
    sell(scene, "acme")
    t_shirt(scene)
    if way == "reconcile":
        scene.mend()
    result = scene.events(with_gateway=True)
    assert (result.exit_code, result.problems) == (0, [])
    assert scene.desk.balance("acme") == 1000
    assert scene.reconcile() == []
    again = scene.events(with_gateway=True)
    assert (again.exit_code, again.applied, scene.desk.balance("acme")) == (0, 0, 1000)


@pytest.mark.parametrize(("sell", "settings"), PATTERNS[:1] + PATTERNS[4:])
def test_events_alone_suffice_where_they_hold_org_and_pack(sell: Any, settings: dict[str, Any]) -> None:
    scene = Scene(**settings)
    sell(scene, "acme")
    assert scene.events().applied == 1
    assert scene.desk.balance("acme") == 1000


@pytest.mark.parametrize(("sell", "settings"), PATTERNS[1:4])
def test_without_a_key_an_object_that_is_only_named_has_to_wait(sell: Any, settings: dict[str, Any]) -> None:
    scene = Scene(**settings)
    sell(scene, "acme")
    result = scene.events()
    assert (result.exit_code, result.problems[0]["reason"]) == (7, "needs_key")
    assert scene.events(with_gateway=True).applied == 1


def test_several_packs_in_one_session_are_a_credit_each() -> None:
    scene = Scene()
    items = [scene.account.item(1000, 2, "price_1"), scene.account.item(5000, 1, "price_2")]
    session = scene.account.sell(None, None, cents=6000, at=T0, items=items, client_reference_id="acme")
    refund = scene.account.refund(session, 3000, at=T0 + 60)
    result = scene.events(with_gateway=True)
    assert (result.exit_code, scene.desk.balance("acme")) == (0, 1000 + 6000)
    keys = [entry["key"] for entry in scene.desk.entries()]
    assert keys == [f"session:{session}", f"session:{session}:2", f"refund:{refund}", f"refund:{refund}:2"]
    assert [entry["cents"] for entry in scene.desk.entries()[2:]] == [500, 2500]
    assert scene.reconcile() == []
    # A later refund is found and shared without a key.
    scene.account.refund(session, 600, at=T0 + 120)
    assert told(settle(scene.desk, scene.account.events[-2:-1], shop=scene.shop)) == {"applied": 1}
    assert scene.desk.balance("acme") == 7000 - 200 - 1200
    assert scene.reconcile() == []


@pytest.mark.parametrize("way", ["credit-pack", "reconcile"])
def test_several_packs_in_a_session_that_an_invoice_paid_are_a_credit_each(way: str) -> None:
    """A subscription session names no payment intent: only its invoice does, whose refund is that of every part."""
    scene = Scene()
    items = [scene.account.item(1000, 2, "price_1"), scene.account.item(5000, 1, "price_2")]
    invoice = scene.account.invoice([scene.account.invoice_line(6000, "price_monthly")], at=T0)
    session = scene.account.sell(
        None, None, cents=6000, at=T0, items=items, client_reference_id="acme", mode="subscription"
    )
    scene.account.objects["sessions"][session] |= {"payment_intent": None, "invoice": invoice}
    scene.account.refund(invoice, 6000, at=T0 + 60)
    if way == "reconcile":
        findings = scene.reconcile()
        assert [(finding.kind, finding.session, finding.refund_id) for finding in findings] == [
            ("paid_not_credited", session, None),
            ("refunded_not_clawed", session, "re_3Qx000015"),
            ("paid_not_credited", f"{session}:2", None),
            ("refunded_not_clawed", f"{session}:2", "re_3Qx000015:2"),
        ]
        receipts = list(scene.desk.ledger.execute(repair_requests(findings)))
        assert [receipt.status for receipt in receipts] == ["applied"] * 4
        assert scene.desk.balance("acme") == 0
    else:
        payments = scene.gateway.sale(session)
        requests = [Request(credit_for(payment, Seller(PACKS)), "x") for payment in payments]
        assert [receipt.status for receipt in scene.desk.ledger.execute(requests)] == ["applied"] * 2
        assert scene.desk.balance("acme") == 14_000
        scene.mend()
        assert scene.desk.balance("acme") == 0
    assert scene.reconcile() == []


def test_an_invoice_credits_the_items_that_are_packs() -> None:
    scene = Scene()
    lines = [
        scene.account.invoice_line(3900, "price_monthly"),
        scene.account.invoice_line(500, "price_1", tax=40),
        scene.account.invoice_line(600, "price_1", tax=100, inside=True),
        scene.account.invoice_line(10_000, "price_2", 2),
    ]
    invoice = scene.account.invoice(lines, at=T0, org="acme")
    result = scene.events()
    assert told(result) == {"applied": 3}
    assert scene.desk.balance("acme") == 1000 + 1000 + 24_000
    booked = {entry["session"]: (entry["paid_cents"], entry["tax_cents"]) for entry in scene.desk.entries()}
    paid = zip(lines[1:], [(540, 40), (600, 100), (10_000, 0)], strict=True)
    assert booked == {f"{invoice}:{line['id']}": cents for line, cents in paid}
    assert scene.reconcile() == []


def test_a_refund_of_a_mixed_invoice_needs_the_whole_to_be_shared() -> None:
    scene = Scene()
    lines = [scene.account.invoice_line(4500, "price_monthly"), scene.account.invoice_line(500, "price_1")]
    invoice = scene.account.invoice(lines, at=T0, org="acme")
    scene.events()
    scene.account.refund(invoice, 1000, at=T0 + 60)
    refunded = scene.account.events[-2:-1]
    result = settle(scene.desk, refunded, shop=scene.shop)
    assert (told(result), result.problems[0]["reason"]) == ({"pending": 1}, "unknown_payment")
    assert told(settle(scene.desk, refunded, scene.account, shop=scene.shop)) == {"applied": 1}
    assert scene.desk.balance("acme") == 800
    assert scene.reconcile() == []


def test_a_top_up_without_a_session_is_credited_once_whatever_tells_of_it() -> None:
    scene = Scene()
    intent = scene.account.intent(500, at=T0, org="acme", pack="small")
    assert told(scene.events()) == {"applied": 1}
    assert scene.desk.tip()["session"] == intent
    assert scene.reconcile() == []
    session = scene.account.sell(at=T0, _intent={"org": "acme", "pack": "small"})
    intents = [event for event in scene.account.events if event["type"] == "payment_intent.succeeded"]
    intents[-1]["data"]["object"] = scene.account.objects["intents"][scene.account.intent_of(session)]
    assert told(settle(scene.desk, intents[-1:], shop=scene.shop)) == {"applied": 1}
    assert scene.desk.balance("acme") == 2000
    assert scene.events().applied == 0
    assert scene.desk.balance("acme") == 2000


def test_any_amount_buys_units_by_their_price() -> None:
    scene = Scene(pack=("metadata.pack",))
    scene.account.intent(725, at=T0, org="acme", pack="any")
    assert told(scene.events()) == {"applied": 1}
    assert scene.desk.balance("acme") == 1450


@pytest.mark.parametrize(
    ("sale", "reason"),
    [
        ({"cents": 1500}, "price_mismatch"),
        ({"cents": 500, "pack": "large"}, "price_mismatch"),
        ({"cents": 460}, "price_mismatch"),
        ({"cents": 500, "currency": "gbp"}, "currency_mismatch"),
        ({"cents": 400, "discount": 100}, "price_mismatch"),
        ({"org": "not an org"}, "bad_org"),
        ({"org": None}, "no_org"),
        ({"pack": "gone"}, "unknown_pack"),
    ],
)
def test_the_same_check_holds_on_every_way_in(sale: dict[str, Any], reason: str) -> None:
    scene = Scene(pack=("metadata.pack",))
    scene.account.sell(at=T0, **sale)
    for with_gateway in (False, True):
        result = scene.events(with_gateway=with_gateway)
        assert (result.exit_code, [problem["reason"] for problem in result.problems]) == (7, [reason])
    (finding,) = scene.reconcile()
    assert (finding.kind, finding.requests) == ("paid_not_credited", ())
    assert not scene.desk.entries()


def test_a_fee_as_an_item_of_its_own_says_so() -> None:
    scene = Scene(pack=("metadata.pack",))
    items = [scene.account.item(500), scene.account.item(50, text="Handling fee")]
    scene.account.sell(cents=550, items=items, at=T0)
    result = scene.events(with_gateway=True)
    assert "Handling fee for 50 usd" in result.problems[0]["message"]


def test_another_currency_of_the_pack_is_its_price_there() -> None:
    scene = Scene(pack=("metadata.pack",))
    scene.account.sell(cents=460, currency="eur", at=T0)
    assert told(scene.events()) == {"applied": 1}
    assert (scene.desk.tip()["currency"], scene.desk.balance()) == ("eur", 1000)


def test_thin_events_name_an_object_that_is_read_with_a_key() -> None:
    scene = Scene(pack=("metadata.pack",))
    session = scene.account.sell(at=T0)
    refund = scene.account.refund(session, 100, at=T0 + 60)
    thin = [
        {
            "id": f"evt_{name}",
            "object": "v2.core.event",
            "type": f"v1.{kind}",
            "livemode": False,
            "created": "2026-11-10T10:00:00.000Z",
            "related_object": {"id": name, "type": shape, "url": f"/v1/{name}"},
        }
        for name, kind, shape in (
            (session, "checkout.session.completed", "checkout.session"),
            (refund, "refund.created", "refund"),
            ("prod_1", "product.created", "product"),
        )
    ]
    result = settle(scene.desk, thin, shop=scene.shop)
    assert (told(result), {one["reason"] for one in result.problems}) == ({"pending": 2, "other": 1}, {"needs_key"})
    assert told(settle(scene.desk, thin, scene.account, shop=scene.shop)) == {"applied": 2, "other": 1}
    assert scene.desk.balance() == 800


def test_events_of_another_account_are_foreign() -> None:
    scene = Scene(pack=("metadata.pack",))
    scene.account.sell(at=T0)
    event = {**scene.account.events[0], "account": "acct_other"}
    result = settle(scene.desk, [event], shop=scene.shop)
    assert (told(result), result.exit_code) == ({"foreign": 1}, 0)
    named = shop(pack=("metadata.pack",), account="acct_other")
    assert told(settle(scene.desk, [event], shop=named)) == {"applied": 1}


def test_a_payment_that_is_set_aside_makes_no_sound() -> None:
    scene = Scene(pack=("metadata.pack",))
    session = scene.account.sell(org=None, at=T0)
    scene.shop = shop(pack=("metadata.pack",), ignore=(scene.account.intent_of(session),))
    assert told(scene.events()) == {"foreign": 1}
    assert scene.reconcile() == []


def test_terms_hold_packs_of_any_amount() -> None:
    assert Terms(packs=PACKS).packs["any"].unit_price_cents == "0.5"
    assert json.dumps(PACKS["small"].stripe_prices) == '["price_1", "price_1b"]'
