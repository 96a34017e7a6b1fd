"""The plan follows the subscription: its events, in any order, and reconcile."""

from typing import Any

import pytest

from meterctl.core.domain.instants import from_millis, parse
from meterctl.core.domain.policy import StripeSettings
from meterctl.core.payments.reconcile.findings import Discrepancy
from meterctl.core.payments.reconcile.plan_findings import plan_findings
from meterctl.core.payments.stripe.gateway import connect
from meterctl.core.payments.stripe.shop import Shop
from meterctl.core.payments.stripe.subscriptions import PlanHistory
from tests.desk import PACKS, Desk, HandClock
from tests.stripe_server import KEY, InProcess, StandIn, seconds
from tests.unit.payments.webhooks.test_settler import counts, settle

T0 = seconds("2026-11-10T10:00:00Z")
NOW = parse("2026-11-22T10:00:00Z")
SHOP = Shop(StripeSettings(), PACKS, plan_prices={"price_pro": "pro", "price_max": "max"})


@pytest.fixture
def desk() -> Desk:
    desk = Desk(now=NOW)
    for plan, quota in (("free", 100), ("pro", 1000), ("max", 9000)):
        desk.publish(plan, quota, "2026-01-01T00:00:00Z")
    return desk


def book(desk: Desk, events: list[Any], account: StandIn | None = None, shop: Shop = SHOP) -> dict[str, Any]:
    return counts(settle(desk, events, account, shop=shop))


def differences(desk: Desk, account: StandIn, shop: Shop = SHOP, until: str = NOW) -> list[Discrepancy]:
    gateway = connect({"STRIPE_API_KEY": KEY}, HandClock(NOW).sleep, InProcess(account), shop)
    return list(plan_findings(gateway.subscriptions(), gateway.shop_for, desk.store, "fixer", parse(until)))


def plan_of(desk: Desk, org: str = "acme") -> str | None:
    plan: str | None = desk.tip(org)["plan"]
    return plan


def test_a_subscription_puts_the_org_on_its_plan_and_back(account: StandIn, desk: Desk) -> None:
    subscription = account.subscription("price_pro", at=T0, org="acme")
    assert book(desk, account.events) == {"applied": 1}
    assert (plan_of(desk), desk.tip()["key"]) == ("pro", f"plan:{subscription}:{T0}")
    account.subscription_becomes(subscription, at=T0 + 60, price="price_max")
    account.subscription_becomes(subscription, at=T0 + 90, status="past_due")
    assert book(desk, account.events[1:2]) == {"applied": 1}
    assert book(desk, account.events[2:]) == {"waiting": 1}
    assert plan_of(desk) == "max"
    account.subscription_becomes(subscription, at=T0 + 120, status="canceled")
    assert book(desk, account.events[3:]) == {"applied": 1}
    assert plan_of(desk) == "free"
    before = desk.entries()
    assert book(desk, account.events) == {"replayed": 1}
    for number in range(4):
        book(desk, account.events[number : number + 1])
    assert desk.entries() == before, "older news change nothing"


def test_one_that_ends_with_its_period_is_dated(account: StandIn, desk: Desk) -> None:
    subscription = account.subscription("price_pro", at=T0, org="acme")
    book(desk, account.events)
    end = seconds("2026-12-10T10:00:00Z")
    account.subscription_becomes(subscription, at=T0 + 60, cancel_at_period_end=True, current_period_end=end)
    assert book(desk, account.events[1:]) == {"applied": 1}
    booked: dict[str, Any] = dict(desk.tip())
    assert (booked["plan"], booked["from"]) == ("free", from_millis(end * 1000))
    assert differences(desk, account) == []


def test_one_that_ends_leaves_alone_what_another_has_set(account: StandIn, desk: Desk) -> None:
    old = account.subscription("price_pro", at=T0, org="acme")
    account.subscription("price_max", at=T0 + 60, org="acme")
    account.subscription_becomes(old, at=T0 + 120, status="canceled")
    for event in account.events:
        book(desk, [event])
    assert plan_of(desk) == "max"
    assert differences(desk, account) == []


def test_reconcile_finds_and_mends_a_plan_that_differs(account: StandIn, desk: Desk) -> None:
    subscription = account.subscription("price_pro", at=T0, org="acme")
    account.subscription("price_other", at=T0, org="beta")
    account.subscription("price_pro", at=T0, status="incomplete", org="corp")
    (finding,) = differences(desk, account)
    assert (finding.kind, finding.org, finding.expected, finding.actual) == (
        "plan_differs",
        "acme",
        "plan pro",
        "plan free",
    )
    assert [receipt.applied for receipt in desk.ledger.execute(finding.requests)] == [True]
    assert differences(desk, account) == []
    account.subscription_becomes(subscription, at=T0 + 60, status="canceled")
    (finding,) = differences(desk, account, until="2026-11-22T10:00:01Z")
    assert finding.expected == "plan free"
    list(desk.ledger.execute(finding.requests))
    assert differences(desk, account) == []


def test_the_org_may_stand_on_the_customer(account: StandIn, desk: Desk) -> None:
    shop = SHOP._replace(settings=StripeSettings(org=("customer.metadata.team",)))
    customer = account.customer(team="acme")
    account.subscription("price_pro", at=T0, customer=customer)
    assert book(desk, account.events, shop=shop) == {"pending": 1}
    assert book(desk, account.events, account, shop) == {"applied": 1}
    assert (plan_of(desk), differences(desk, account, shop)) == ("pro", [])


def test_where_no_plan_has_a_price_subscriptions_are_none_of_ours(account: StandIn, desk: Desk) -> None:
    account.subscription("price_pro", at=T0, org="acme")
    assert book(desk, account.events, shop=Shop(packs=PACKS)) == {"other": 1}
    assert book(desk, account.events, shop=SHOP._replace(plan_prices={"price_x": "pro"})) == {"foreign": 1}


def test_an_assignment_of_the_same_second_gets_the_next_free_one() -> None:
    history = PlanHistory("pro", "plan:sub_1:8", ("plan:sub_1:7", "plan:sub_1:8", "plan:sub_2:9"))
    assert [history.free_time("sub_1", at) for at in (6, 7, 8, 9)] == [6, 9, 9, 9]
