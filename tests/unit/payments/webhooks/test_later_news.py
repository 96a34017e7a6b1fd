"""Events of payments that the journal has already, from an earlier run or by hand."""

from typing import Any

import pytest

from meterctl.core.domain.policy import Pack, StripeSettings
from meterctl.core.payments.stripe.shop import Shop
from tests.desk import Desk
from tests.stripe_server import StandIn
from tests.unit.payments.webhooks.test_settler import NOW, T0, books, counts, settle

PACKS = {
    "small": Pack(1000, 500, "usd", stripe_prices=("price_s",)),
    "large": Pack(12000, 5000, "usd", stripe_prices=("price_l",)),
}
SHOP = Shop(StripeSettings(), PACKS)

Json = dict[str, Any]


@pytest.fixture
def desk() -> Desk:
    return Desk(now=NOW, packs=PACKS)


def settled(desk: Desk, *events: Json) -> Json:
    return counts(settle(desk, list(events), shop=SHOP))


def invoice(account: StandIn, *lines: tuple[int, str]) -> tuple[str, str, Json, Json]:
    """Pay an invoice of these lines; return its id, its intent, and the events of invoice and payment."""
    name = account.invoice([account.invoice_line(cents, price) for cents, price in lines], at=T0, org="acme")
    paid, link, _ = account.events[-3:]
    return name, link["data"]["object"]["payment"]["payment_intent"], paid, link


# -- a payment that covers more than one pack


@pytest.mark.parametrize("is_first", [True, False], ids=["by hand first", "event first"])
def test_a_pack_beside_other_items_is_credited_once(account: StandIn, desk: Desk, is_first: bool) -> None:
    _, intent, paid, link = invoice(account, (500, "price_s"), (900, "price_of_a_shirt"))
    if is_first:
        desk.credit(intent)
    settled(desk, paid, link)
    receipt = desk.credit(intent)
    assert (receipt.status, receipt.balance) == ("replayed", 1000)
    assert [amount for _, amount in books(desk)] == [1000]


def test_a_refund_of_a_payment_beside_other_items_waits_for_a_key(account: StandIn, desk: Desk) -> None:
    _, intent, paid, link = invoice(account, (500, "price_s"), (900, "price_of_a_shirt"))
    settled(desk, paid, link)
    account.refund(intent, 900, at=T0 + 60)
    assert settled(desk, account.events[-2]) == {"pending": 1}
    assert counts(settle(desk, [account.events[-2]], account, shop=SHOP)) == {"applied": 1}
    assert books(desk)[-1][1] == -642  # 900 of 1,400 cents, so 321 of the pack's 500


def test_a_payment_of_several_packs_is_not_credited_beside_one_by_hand(account: StandIn, desk: Desk) -> None:
    name, intent, paid, link = invoice(account, (500, "price_s"), (5000, "price_l"))
    desk.credit(intent, pack="large", cents=5000)
    result = settle(desk, [paid, link], shop=SHOP)
    assert counts(result) == {"conflict": 2}
    problem = result.problems[0]
    assert problem["reason"] == "credited_otherwise"
    assert f"{name} buys 2 packs, but {intent} credits it to acme with pack 'large' for 5000 usd" in problem["message"]
    assert "meterctl reconcile stripe --plan-out FILE" in problem["message"]
    assert len(books(desk)) == 1


def test_a_session_of_several_packs_is_not_credited_beside_one_by_hand(account: StandIn, desk: Desk) -> None:
    items = [account.item(500, price="price_s"), account.item(5000, price="price_l")]
    session = account.sell(pack=None, cents=5500, items=items, at=T0)
    desk.credit(session, pack="large", cents=5000)
    assert counts(settle(desk, account.events, account, shop=SHOP)) == {"conflict": 2}
    assert len(books(desk)) == 1


def test_a_payment_in_parts_is_known_by_its_sum(account: StandIn, desk: Desk) -> None:
    items = [account.item(500, price="price_s"), account.item(5000, price="price_l")]
    account.sell(pack=None, cents=5500, items=items, at=T0)
    assert counts(settle(desk, account.events, account, shop=SHOP)) == {"applied": 2}
    assert settled(desk, *account.events) == {"replayed": 1}  # without a key, and so without the items
    account.events[0]["data"]["object"]["amount_total"] = 5600
    assert settled(desk, *account.events) == {"pending": 1}


def test_an_invoice_of_many_lines_is_not_taken_for_another_sale(account: StandIn, desk: Desk) -> None:
    lines = [(100, "price_of_a_shirt")] * 12
    name, _, paid, _ = invoice(account, *lines, (500, "price_s"))
    result = settle(desk, [paid], shop=SHOP)
    assert (counts(result), result.problems[0]["reason"]) == ({"pending": 1}, "needs_key")
    assert counts(settle(desk, [paid], account, shop=SHOP)) == {"applied": 1}
    assert books(desk) == [(f"session:{name}", 1000)]


# -- a payment that somebody credited under its charge


def test_a_payment_that_is_credited_under_its_charge_is_asked_for(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    desk.credit(account.charge_of(session)["id"])
    assert counts(settle(desk, account.events, account, shop=SHOP)) == {"replayed": 1}
    other = account.sell(at=T0 + 60)
    assert counts(settle(desk, account.events, account, shop=SHOP)) == {"applied": 1, "replayed": 1}
    assert [key for key, _ in books(desk)] == [f"session:{account.charge_of(session)['id']}", f"session:{other}"]


def test_a_payment_whose_wrong_credit_was_undone_names_the_way_to_credit_it(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    desk.credit(session, pack="large", cents=500)
    desk.undo(1)
    result = settle(desk, account.events, shop=SHOP)
    assert counts(result) == {"conflict": 1}
    assert result.problems[0]["message"].endswith("save a plan: meterctl reconcile stripe --plan-out FILE")


# -- names that come later


@pytest.mark.parametrize("packs", [1, 2])
def test_an_intent_that_is_known_later_finds_its_invoice(account: StandIn, desk: Desk, packs: int) -> None:
    lines = [(500, "price_s"), (5000, "price_l")][:packs]
    _, intent, paid, link = invoice(account, *lines)
    assert settled(desk, paid) == {"applied": packs}
    account.refund(intent, 500 if packs == 1 else 5500, at=T0 + 60)
    refund = account.events[-2]
    assert settled(desk, refund) == {"pending": 1}
    assert settled(desk, link) == {"replayed": 1}
    assert settled(desk, refund) == {"applied": 1}
    assert sum(amount for _, amount in books(desk)) == 0


def test_an_intent_that_is_known_first_waits_for_its_invoice(account: StandIn, desk: Desk) -> None:
    _, _, paid, link = invoice(account, (500, "price_s"))
    result = settle(desk, [link], shop=SHOP)
    assert (counts(result), len(result.to_keep)) == ({"unchanged": 1}, 1)
    assert settled(desk, paid, link) == {"applied": 1}
    link["created"] = T0 - 40 * 86_400
    link["data"]["object"]["invoice"] = "in_other"
    assert settle(desk, [link], shop=SHOP).to_keep == []


# -- a charge without its refunds


def test_a_refunded_charge_is_explained_by_the_journal(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    account.refund(session, 100, at=T0 + 60)
    account.refund(session, 200, at=T0 + 70)
    paid, first, charge, second, more = account.events
    assert settled(desk, paid, first) == {"applied": 2}
    assert settled(desk, charge) == {"replayed": 1}
    assert settled(desk, more) == {"pending": 1}
    assert settled(desk, more, second) == {"applied": 1, "replayed": 1}
    assert settled(desk, charge, more) == {"replayed": 1}


def test_a_refund_by_hand_does_not_explain_a_charge(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    account.refund(session, 100, at=T0 + 60)
    paid, _, charge = account.events
    settled(desk, paid)
    desk.refund(session, 100, "TCK-1")
    assert settled(desk, charge) == {"pending": 1}


def test_a_dispute_does_not_explain_a_charge(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    account.refund(session, 100, at=T0 + 60)
    paid, _, charge = account.events
    account.dispute(session, 100, at=T0 + 70)
    settled(desk, paid, account.events[-1])
    assert settled(desk, charge) == {"pending": 1}


def test_a_refund_without_its_charge_explains_it_by_the_intent(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    account.refund(session, 100, at=T0 + 60)
    paid, refund, charge = account.events
    refund["data"]["object"]["charge"] = None
    assert settled(desk, paid, refund, charge) == {"applied": 2}
