"""Webhook events in several runs: news that comes late, again, or without the items of its session."""

from meterctl.core.domain.policy import Pack, StripeSettings
from meterctl.core.payments.stripe.shop import Shop
from tests.desk import Desk
from tests.stripe_server import StandIn
from tests.unit.payments.webhooks.test_settler import NOW, T0, bodies, counts, settle

SMALL = Pack(1000, 500, "usd", stripe_prices=("price_small",))
LARGE = Pack(6000, 2000, "usd", stripe_prices=("price_large",))
BASKET = Shop(StripeSettings(), {"small": SMALL, "large": LARGE})


def fill_basket(account: StandIn) -> str:
    """Sell a small and a large pack in one session."""
    items = [account.item(500, 1, "price_small"), account.item(2000, 1, "price_large")]
    return account.sell("acme", None, 2500, at=T0, items=items)


def test_a_failed_refund_without_room_is_kept_until_other_money_came_back() -> None:
    account, desk = StandIn(), Desk(now=NOW)
    session = account.sell(at=T0)
    account.refund_becomes(account.refund(session, 500, at=T0 + 60), "failed", at=T0 + 70)
    account.refund_becomes(account.refund(session, 300, at=T0 + 80), "failed", at=T0 + 90)
    paid, first, _, first_failed, second, _, second_failed = account.events
    settle(desk, [paid, first])
    result = settle(desk, [paid, second_failed])
    assert counts(result) == {"replayed": 1, "unchanged": 1}
    kept = bodies(result.to_keep)
    assert second_failed["id"] in {body["id"] for body in kept}
    result = settle(desk, [first_failed, *kept])
    assert (desk.balance(), result.exit_code) == (1000, 0)
    settle(desk, [paid, second])  # the old news of its success finds its key used
    assert desk.balance() == 1000


def test_a_failed_refund_is_not_kept_for_ever() -> None:
    account, desk = StandIn(), Desk(now="2026-12-22T10:00:00Z")
    session = account.sell(at=T0)
    account.refund_becomes(account.refund(session, 500, at=T0 + 60), "failed", at=T0 + 70)
    account.refund(session, 500, at=T0 + 80)
    paid, _, _, failed, second, _ = account.events
    settle(desk, [paid, second])
    result = settle(desk, [paid, failed])
    assert (counts(result), list(result.to_keep)) == ({"replayed": 1, "unchanged": 1}, [])


def test_a_won_dispute_without_room_is_kept() -> None:
    account, desk = StandIn(), Desk(now=NOW)
    session = account.sell(at=T0)
    account.refund(session, 500, at=T0 + 60)
    account.dispute_closes(account.dispute(session, 500, at=T0 + 80), "won", at=T0 + 90)
    paid, refunded, _, _, withdrawn, closed, reinstated = account.events
    settle(desk, [paid, refunded])
    result = settle(desk, [paid, reinstated])
    assert {body["id"] for body in bodies(result.to_keep)} >= {reinstated["id"]}
    assert desk.balance() == 0
    assert closed["type"] == "charge.dispute.closed"
    assert withdrawn["type"] == "charge.dispute.funds_withdrawn"


def test_a_refund_is_shared_by_the_journal_if_the_session_came_again_without_items() -> None:
    account, desk = StandIn(), Desk(now=NOW, packs=BASKET.packs)
    session = fill_basket(account)
    refund = account.refund(session, 250, at=T0 + 60)
    paid, refunded, _ = account.events
    assert counts(settle(desk, [paid], account, shop=BASKET)) == {"applied": 2}
    assert counts(settle(desk, [paid, refunded], shop=BASKET))["applied"] == 1
    claws = [entry for entry in desk.entries() if entry["kind"] == "refund"]
    assert [(claw["refund_id"], claw["cents"]) for claw in claws] == [(refund, 50), (f"{refund}:2", 200)]
    assert desk.balance() == 7000 - 100 - 600


def test_a_dispute_won_in_part_is_shared_without_items_too() -> None:
    account, desk = StandIn(), Desk(now=NOW, packs=BASKET.packs)
    session = fill_basket(account)
    account.dispute_closes(account.dispute(session, 250, at=T0 + 60), "lost", at=T0 + 90, back=50)
    paid, _, withdrawn, _, reinstated = account.events
    settle(desk, [paid], account, shop=BASKET)
    settle(desk, [paid, withdrawn], shop=BASKET)
    assert desk.balance() == 7000 - 100 - 600
    settle(desk, [paid, reinstated], shop=BASKET)
    assert desk.balance() == 7000 - 80 - 480


def test_a_dispute_withdrawn_twice_is_not_booked_beside_its_twin() -> None:
    account, desk = StandIn(), Desk(now=NOW)
    session = account.sell(at=T0)
    dispute = account.dispute(session, 100, at=T0 + 60)
    account.dispute_closes(dispute, "won", at=T0 + 90)
    account.dispute_moves(dispute, out=True, at=T0 + 120)
    paid, *_, reinstated, again = account.events
    settle(desk, [paid])
    desk.refund(session, 100, "ticket-1")
    settle(desk, [reinstated])
    result = settle(desk, [again])
    assert (counts(result), result.problems[0]["reason"]) == ({"refused": 1}, "clawed_by_hand")
    assert desk.balance() == 800


def test_the_fourth_move_of_a_dispute_is_kept_without_room() -> None:
    account, desk = StandIn(), Desk(now=NOW)
    session = account.sell(at=T0)
    failing = account.refund(session, 500, at=T0 + 10)
    account.refund_becomes(failing, "failed", at=T0 + 20)
    dispute = account.dispute(session, 500, at=T0 + 60)
    account.dispute_closes(dispute, "won", at=T0 + 90)
    account.dispute_moves(dispute, out=True, at=T0 + 120)
    account.dispute_moves(dispute, out=False, at=T0 + 150)
    paid, refunded, _, failed, _, withdrawn, _, won, third, fourth = account.events
    settle(desk, [paid, withdrawn])
    settle(desk, [won])
    settle(desk, [refunded])
    kept = bodies(settle(desk, [fourth]).to_keep)
    assert fourth["id"] in {body["id"] for body in kept}
    settle(desk, [failed])
    settle(desk, [third, *kept])
    assert desk.balance() == 1000
