"""Webhook events: read from any form, put together, booked in any order."""

import io
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from meterctl.core.domain.instants import from_millis
from meterctl.core.domain.policy import StripeSettings
from meterctl.core.errors import BadInput
from meterctl.core.payments.stripe.gateway import connect, verify
from meterctl.core.payments.stripe.shop import Shop
from meterctl.core.payments.webhooks.deliveries import Delivery, Source, deliveries, lines
from meterctl.core.payments.webhooks.event_counts import Events
from meterctl.core.payments.webhooks.events import read_event
from meterctl.core.payments.webhooks.feed import Feed
from meterctl.core.payments.webhooks.intake import Intake, Trust
from meterctl.core.payments.webhooks.settler import Booking, Settler
from meterctl.core.ports import Store
from tests.desk import PACKS, Desk, HandClock
from tests.stripe_server import KEY, WEBHOOK_SECRET, InProcess, StandIn, seconds, signed

T0 = seconds("2026-11-10T10:00:00Z")
NOW = "2026-11-22T10:00:00Z"

Json = dict[str, Any]


@pytest.fixture
def desk() -> Desk:
    return Desk(now=NOW)


SHOP = Shop(StripeSettings(), PACKS)


def settle(
    desk: Desk,
    events: list[Json] | str,
    account: StandIn | None = None,
    *,
    discounts: bool = False,
    accept_paid: frozenset[str] = frozenset(),
    shop: Shop = SHOP,
) -> Events:
    """Book events; with an ``account``, Stripe is asked for what they leave open."""
    result = Events()
    text = events if isinstance(events, str) else "\n".join(json.dumps(event) for event in events)
    feed = take(text, result, shop=shop)
    clock = HandClock(NOW)
    gateway = None if account is None else connect({"STRIPE_API_KEY": KEY}, clock.sleep, InProcess(account), shop)
    Settler(desk.ledger, gateway, Booking("hook", None, shop, discounts, accept_paid)).settle(feed, result)
    return result


def take(
    text: str,
    result: Events,
    trust: Trust = Trust(),  # noqa: B008 - never changed
    feed: Feed | None = None,
    *,
    shop: Shop = SHOP,
) -> Feed:
    feed = feed or Feed()
    Intake(trust, shop, feed, result).read(as_file(text))
    return feed


def as_file(text: str) -> io.BytesIO:
    return io.BytesIO(text.encode())


def bodies(kept: list[Source]) -> list[Json]:
    return [json.loads(json.loads(line)["delivery"]) for line in lines(kept)]


def counts(result: Events) -> Json:
    quiet = ("problems", "seconds", "events")
    return {name: value for name, value in result.fields().items() if value and name not in quiet}


def books(desk: Desk) -> list[tuple[str, int]]:
    return [(entry["key"], entry["amount"]) for entry in desk.entries()]


# -- reading


def test_events_come_as_a_line_each_or_as_json(account: StandIn) -> None:
    account.sell(at=T0)
    account.sell(at=T0 + 60)
    lines = "\n\n".join(json.dumps(event) for event in account.events) + "\n"
    array = json.dumps(account.events, indent=2)
    one = json.dumps(account.events[0], indent=2)
    for text, number in ((lines, 2), (array, 2), (one, 1)):
        feed = take(text, result := Events(), Trust())
        assert (len(feed.sales), result.events, result.problems) == (number, number, [])
    assert [delivery[0] for delivery in deliveries(as_file(lines))] == [1, 3]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda sent: sent,
        lambda sent: {"payload": sent["payload"], "headers": {"Stripe-SIGNATURE": sent["signature"]}},
        lambda sent: {"body": sent["payload"], "headers": {"Stripe-Signature": [sent["signature"]]}},
    ],
)
def test_a_recorded_delivery_is_opened(account: StandIn, wrap: Any) -> None:
    account.sell(at=T0)
    sent = wrap(signed(account.events[0]))
    check = lambda body, header: verify(body, header, WEBHOOK_SECRET)  # noqa: E731
    feed = take(json.dumps(sent), result := Events(), Trust(check))
    assert (len(feed.sales), result.invalid) == (1, 0)


def test_a_signature_may_come_beside_the_body(account: StandIn) -> None:
    account.sell(at=T0)
    sent = signed(account.events[0])
    assert list(deliveries(as_file(sent["payload"]), sent["signature"])) == [
        Delivery(1, sent["payload"], sent["signature"])
    ]


def test_a_signature_that_does_not_fit_makes_an_event_invalid(account: StandIn) -> None:
    account.sell(at=T0)
    sent = signed(account.events[0], "whsec_other")
    check = lambda body, header: verify(body, header, WEBHOOK_SECRET)  # noqa: E731
    feed = take(json.dumps(sent), result := Events(), Trust(check))
    assert (feed.sales, result.invalid) == ({}, 1)
    assert result.problems[0]["reason"] == "bad_signature"


def test_a_signature_without_a_secret_cannot_be_checked(account: StandIn) -> None:
    account.sell(at=T0)
    with pytest.raises(BadInput) as caught:
        take(json.dumps(signed(account.events[0])), Events())
    assert caught.value.code == "webhook_secret_missing"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "bad_json"),
        ('{"payload": "{"}', "signature_missing"),
        ('{"delivery": "{"}', "bad_json"),
        ('{"delivery": 7}', "bad_event"),
        ('{"delivery_base64": "/w=="}', "bad_encoding"),
        ('{"delivery_base64": "?"}', "bad_encoding"),
        ("[1]", "bad_event"),
        ("7", "bad_event"),
        ('{"type": "refund.created"}', "bad_event"),
        ('{"type": "refund.created", "data": {"object": 1}}', "bad_event"),
        ('{"data": {"object": {}}}', "bad_event"),
        ('{"type": "refund.created", "data": {"object": {"id": "re_1"}}}', "bad_payload"),
        ('{"type": "charge.dispute.created", "data": {"object": {}}}', "bad_payload"),
        ('{"type": "checkout.session.completed", "data": {"object": {"id": "cs_1"}}}', "bad_payload"),
        ('{"payload": ' + '{"a":' * 100_000, "bad_json"),
        (json.dumps({"delivery": "[" * 100_000}), "bad_json"),
    ],
)
def test_what_is_no_event_is_told_and_the_rest_goes_on(account: StandIn, desk: Desk, line: str, reason: str) -> None:
    account.sell(at=T0)
    result = settle(desk, f"{line}\n{json.dumps(account.events[0])}")
    assert counts(result) == {"invalid": 1, "applied": 1}
    assert (result.problems[0]["line"], result.problems[0]["reason"]) == (1, reason)
    assert result.exit_code == 7


def test_an_event_of_an_array_that_is_no_event_is_told(account: StandIn, desk: Desk) -> None:
    account.sell(at=T0)
    assert counts(settle(desk, json.dumps(["x", *account.events]))) == {"invalid": 1, "applied": 1}


PAID, REFUND, CHARGE, DISPUTE = range(4)


@pytest.mark.parametrize(
    ("number", "odd", "reason"),
    [
        (PAID, {"metadata": "x"}, "bad_event"),
        (PAID, {"metadata": {"org": 5}}, "bad_payload"),
        (PAID, {"metadata": {"org": "acme", "pack": ["small"]}}, "bad_payload"),
        (PAID, {"client_reference_id": {}, "metadata": {"org": ["acme"]}}, "bad_payload"),
        (PAID, {"line_items": {"data": None}}, "bad_event"),
        (PAID, {"line_items": {"data": [{"quantity": "2"}]}}, "bad_payload"),
        (PAID, {"total_details": [1]}, "bad_event"),
        (PAID, {"id": "cs_\ud800"}, "bad_event"),
        (REFUND, {"status": []}, "bad_event"),
        (REFUND, {"amount": "100"}, "bad_payload"),
        (REFUND, {"payment_intent": "pi_\ud800"}, "bad_event"),
        (CHARGE, {"refunds": {"data": None}}, "bad_event"),
        (CHARGE, {"refunds": {"data": [1]}}, "bad_event"),
        (DISPUTE, {"balance_transactions": 5}, "bad_event"),
    ],
)
def test_an_object_of_another_shape_is_told_and_the_rest_goes_on(
    account: StandIn, desk: Desk, number: int, odd: Json, reason: str
) -> None:
    session = account.sell(at=T0)
    account.refund(session, 100, at=T0 + 60)
    account.dispute(session, 100, at=T0 + 70)
    event = account.events[number]
    event["data"]["object"] |= odd
    account.sell("other", at=T0)
    result = settle(desk, [event, account.events[-1]])
    assert (counts(result), result.problems[0]["reason"]) == ({"invalid": 1, "applied": 1}, reason)
    assert desk.balance("other") == 1000


@pytest.mark.parametrize("livemode", ["yes", 1, 0, [], {}])
def test_a_mode_is_true_or_false(account: StandIn, desk: Desk, livemode: object) -> None:
    account.sell(at=T0)
    account.sell("beta", at=T0)
    account.events[0]["livemode"] = livemode
    del account.events[1]["livemode"]
    result = settle(desk, account.events)
    assert (counts(result), result.problems[0]["reason"]) == ({"invalid": 1, "applied": 1}, "bad_event")


@pytest.mark.parametrize("odd", [{"id": "re 1"}, {"id": "re_1" * 100}, {"amount": -5}, {"amount": 2**53}])
def test_a_refund_that_cannot_be_booked_is_refused_and_the_rest_goes_on(
    account: StandIn, desk: Desk, odd: Json
) -> None:
    session = account.sell(at=T0)
    account.refund(session, 100, at=T0 + 60)
    account.refund(session, 200, at=T0 + 70)
    account.events[1]["data"]["object"] |= odd
    result = settle(desk, [account.events[number] for number in (0, 1, 3)])
    assert (counts(result), desk.balance()) == ({"applied": 2, "refused": 1}, 600)


def places(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """The path to each value inside of one."""
    yield path
    for name, item in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        yield from places(item, *path, name)


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copied = value.copy()
    copied[path[0]] = replaced(value[path[0]], path[1:], new)
    return copied


@pytest.mark.parametrize("odd", [None, "x", "\ud800", -1, 10**30, True, [], [None], {"data": 5}])
def test_whatever_an_event_holds_the_rest_goes_on(account: StandIn, odd: object) -> None:
    history(account)
    account.sell("other", at=T0)
    *events, other = account.events
    for event in events:
        # With the other mode it would be the first event that counts.
        for path in set(places(event)) - {("livemode",)}:
            desk = Desk(now=NOW)
            settle(desk, [replaced(event, path, odd), events[0], other])
            assert desk.balance("other") == 1000, (event["type"], path)


def test_other_events_are_ignored(account: StandIn, desk: Desk) -> None:
    other = {"type": "customer.created", "data": {"object": {"id": "cus_1", "object": "customer"}}}
    account.sell(pack=None, at=T0, mode="subscription")
    account.sell(at=T0, mode="setup")
    account.intent(500, at=T0, order="77")
    result = settle(desk, [other, *account.events])
    assert counts(result) == {"other": 2, "foreign": 2}
    assert result.exit_code == 0


def test_an_event_of_the_other_mode_is_refused(account: StandIn) -> None:
    account.sell(at=T0)
    live = StandIn(live=True)
    live.sell(at=T0)
    text = "\n".join(json.dumps(event) for event in [*account.events, *live.events])
    feed = take(text, result := Events(), Trust())
    assert (len(feed.sales), result.invalid) == (1, 1)
    assert result.problems[0]["reason"] == "mode_mismatch"
    assert not take(json.dumps(account.events[0]), Events(), feed=Feed(live=True)).sales


# -- booking


def test_a_purchase_is_booked_at_stripes_time(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    assert counts(settle(desk, account.events)) == {"applied": 1}
    entry = desk.tip()
    assert (entry["key"], entry["at"], entry["paid_cents"]) == (f"session:{session}", from_millis(T0 * 1000), 500)
    assert entry["actor"] == "hook"


def test_again_is_a_replay(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    account.refund(session, 100, at=T0 + 60)
    account.refund_becomes(account.refund(session, 200, at=T0 + 70), "failed", at=T0 + 80)
    settle(desk, account.events)
    before = desk.entries()
    assert counts(settle(desk, account.events * 3)) == {"replayed": 3}
    assert desk.entries() == before


def test_money_that_is_under_way_is_not_credited_yet(account: StandIn, desk: Desk) -> None:
    session = account.checkout(at=T0)
    account.complete(session, at=T0 + 60)
    assert counts(settle(desk, account.events)) == {"unpaid": 1}
    account.arrive(session, at=T0 + 90_000)
    assert counts(settle(desk, account.events)) == {"applied": 1}
    assert desk.tip()["at"] == from_millis((T0 + 90_000) * 1000)


def test_money_that_never_came_is_not_credited(account: StandIn, desk: Desk) -> None:
    failed, expired = account.checkout(at=T0), account.checkout(at=T0)
    account.complete(failed, at=T0 + 60)
    account.fail(failed, at=T0 + 90_000)
    account.expire(expired, at=T0 + 90_000)
    result = settle(desk, account.events)
    assert (counts(result), result.exit_code) == ({"unpaid": 1, "unchanged": 1}, 0)


def test_another_price_has_to_be_accepted(account: StandIn, desk: Desk) -> None:
    session = account.sell(cents=400, discount=100, at=T0)
    result = settle(desk, account.events)
    assert (counts(result), result.exit_code) == ({"refused": 1}, 7)
    assert (result.problems[0]["reason"], result.problems[0]["org"]) == ("price_mismatch", "acme")
    assert [delivery.line for delivery in result.to_keep] == [1]
    assert counts(settle(desk, account.events, accept_paid=frozenset({"cs_other"}))) == {"refused": 1}
    assert counts(settle(desk, account.events, accept_paid=frozenset({session}))) == {"applied": 1}
    assert counts(settle(desk, account.events)) == {"replayed": 1}, "once is enough"
    account.sell("beta", cents=400, discount=100, at=T0)
    assert counts(settle(desk, account.events[1:], discounts=True)) == {"applied": 1}


def test_a_conflict_is_told(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    desk.credit(session, cents=400)
    result = settle(desk, account.events)
    assert (counts(result), result.problems[0]["status"], result.to_keep) == ({"conflict": 1}, "conflict", [])


def history(account: StandIn) -> str:
    """A payment to which everything happens: a refund fails, another succeeds late, a dispute is won in part."""
    session = account.sell(at=T0)
    account.refund_becomes(account.refund(session, 200, at=T0 + 60), "failed", at=T0 + 70)
    account.refund_becomes(account.refund(session, 100, at=T0 + 80, status="pending"), "succeeded", at=T0 + 90)
    dispute = account.dispute(session, 300, at=T0 + 100)
    account.dispute_closes(dispute, "lost", at=T0 + 110, back=50)
    return session


def test_any_order_and_any_parts_end_in_the_same_state(account: StandIn) -> None:
    history(account)
    # charge.refunded names no refund; what it tells, refund.created tells better.
    events = [event for event in account.events if event["type"] != "charge.refunded"]
    orders = list(itertools.permutations(range(len(events)), 3))
    assert len(events) == 9
    for first in orders[::31]:
        order = [*first, *(number for number in range(len(events)) if number not in first)]
        for size in (1, 2, 9):
            desk = Desk(now=NOW)
            kept: list[Json] = []
            for start in range(0, len(order), size):
                batch = [events[number] for number in order[start : start + size]]
                result = settle(desk, [*kept, *batch], account)
                kept = bodies(result.to_keep)
            assert desk.balance() == 1000 - 2 * (100 + 250), (order, size)
            assert settle(desk, events, account).applied == 0


def test_a_refund_waits_for_its_credit(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    account.refund(session, 100, at=T0 + 60)
    paid, refunded = account.events[0], account.events[1]
    # Without its session's event nobody knows what was refunded, unless Stripe may be asked.
    result = settle(desk, [refunded])
    assert (counts(result), result.exit_code) == ({"pending": 1}, 7)
    assert result.problems[0]["reason"] == "unknown_payment"
    result = settle(desk, [refunded], account)
    assert (counts(result), result.problems[0]["reason"]) == ({"pending": 1}, "unknown_session")
    assert session in result.problems[0]["message"]
    assert [body["id"] for body in bodies(result.to_keep)] == [refunded["id"]]
    assert counts(settle(desk, [refunded, paid])) == {"applied": 2}


def test_a_refund_that_waits_keeps_its_sessions_event(account: StandIn, desk: Desk) -> None:
    session = account.sell(cents=400, at=T0)
    account.refund(session, 100, at=T0 + 60)
    result = settle(desk, account.events[:2])
    assert counts(result) == {"refused": 1, "pending": 1}
    kept = bodies(result.to_keep)
    assert counts(settle(desk, kept, accept_paid=frozenset({session}))) == {"applied": 2}


def test_a_refund_that_is_pending_at_stripe_waits_there(account: StandIn, desk: Desk) -> None:
    account.refund(account.sell(at=T0), 100, at=T0 + 60, status="pending")
    result = settle(desk, account.events, account)
    assert counts(result) == {"applied": 1, "waiting": 1}
    assert result.exit_code == 0


def test_old_news_of_a_refund_that_failed_claws_nothing(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    account.refund_becomes(account.refund(session, 500, at=T0 + 60), "failed", at=T0 + 70)
    paid, succeeded, _, failed = account.events
    settle(desk, [paid, failed])
    assert desk.balance() == 1000
    assert counts(settle(desk, [paid, succeeded])) == {"replayed": 2}
    assert desk.balance() == 1000


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_cancelled_refund_claws_nothing_in_any_order(account: StandIn, desk: Desk, order: tuple[int, ...]) -> None:
    refund = account.refund(account.sell(at=T0), 100, at=T0 + 60)
    account.refund_becomes(refund, "canceled", at=T0 + 120)
    events = [account.events[number] for number in (0, 1, -1)]
    assert counts(settle(desk, [events[number] for number in order])) in (
        {"applied": 1, "unchanged": 1},
        {"applied": 1},
    )
    assert desk.balance() == 1000


def test_a_refund_that_was_made_again_after_it_failed_waits_for_that_news(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    failing = account.refund(session, 500, at=T0 + 60)
    account.refund_becomes(failing, "failed", at=T0 + 70)
    account.refund(session, 500, at=T0 + 80)
    paid, first, _, failed, second, _ = account.events
    settle(desk, [paid, first])
    result = settle(desk, [paid, second])
    assert (counts(result), result.problems[0]["reason"]) == ({"pending": 1, "replayed": 1}, "refund_exceeds_payment")
    assert counts(settle(desk, [paid, second, failed])) == {"applied": 2, "replayed": 1}
    assert desk.balance() == 0
    # And the other way round there is no room for a memory, nor need of one.
    late = Desk(now=NOW)
    settle(late, [paid, second])
    assert counts(settle(late, [paid, failed])) == {"replayed": 1, "unchanged": 1}
    assert counts(settle(late, [paid, first]))["pending"] == 1
    assert late.balance() == 0


def test_a_dispute_of_more_than_is_left_takes_what_is_left(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    refund = account.refund(session, 200, at=T0 + 60)
    account.dispute(session, 500, at=T0 + 100)
    result = settle(desk, account.events)
    assert counts(result) == {"applied": 3}
    assert [entry["cents"] for entry in desk.entries()[1:]] == [200, 300]
    # The refund fails after all: the dispute, which was kept for that, takes the rest.
    account.refund_becomes(refund, "failed", at=T0 + 200)
    kept = bodies(result.to_keep)
    assert counts(settle(desk, [*kept, account.events[-1]])) == {"applied": 2, "replayed": 1}
    assert (desk.balance(), [entry["cents"] for entry in desk.entries()[3:]]) == (0, [200, 200])


def test_a_dispute_of_what_is_gone_already_takes_nothing(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    account.refund(session, 500, at=T0 + 60)
    account.dispute(session, 500, at=T0 + 100)
    assert counts(settle(desk, account.events)) == {"applied": 2, "unchanged": 1}
    assert desk.balance() == 0


def test_a_refund_in_another_currency_is_refused_and_kept(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    account.refund(session, 100, at=T0 + 60)
    for event in account.events[1:]:
        event["data"]["object"]["currency"] = "jpy"
    result = settle(desk, account.events)
    assert (counts(result), result.exit_code) == ({"applied": 1, "refused": 1}, 7)
    assert (result.problems[0]["reason"], result.problems[0]["org"]) == ("currency_mismatch", "acme")
    assert desk.balance() == 1000
    assert len(result.to_keep) == 2


def test_an_undone_topup_is_not_clawed(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    account.refund(session, 100, at=T0 + 60)
    settle(desk, account.events[:1])
    desk.undo(1)
    result = settle(desk, account.events)
    assert counts(result) == {"replayed": 1, "refused": 1}
    assert result.problems[0]["reason"] == "undone"


def test_refunds_of_other_payments_are_none_of_ours(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    account.refund(session, 100, at=T0 + 60)
    del account.objects["sessions"][session]
    assert counts(settle(desk, [account.events[1]], account)) == {"foreign": 1}


def test_a_charge_that_was_refunded_leads_to_its_refunds(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    refund = account.refund(session, 100, at=T0 + 60)
    paid, _, charge = account.events
    result = settle(desk, [paid, charge])
    assert (counts(result), result.problems[0]["reason"]) == ({"applied": 1, "pending": 1}, "refunds_unknown")
    assert counts(settle(desk, [paid, charge], account)) == {"replayed": 1, "applied": 1}
    assert desk.tip()["key"] == f"refund:{refund}"
    assert counts(settle(desk, account.events)) == {"replayed": 2}


def test_a_charge_that_stripe_does_not_know_any_more_leads_nowhere(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    account.refund(session, 100, at=T0 + 60)
    account.objects["charges"].clear()
    assert counts(settle(desk, [account.events[2]], account)) == {}


def test_a_charge_may_bring_its_refunds_along(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    refund = account.refund(session, 100, at=T0 + 60)
    paid, created, charge = account.events
    bare = {name: value for name, value in created["data"]["object"].items() if name != "payment_intent"}
    charge["data"]["object"]["refunds"] = {"object": "list", "data": [bare], "has_more": False}
    assert counts(settle(desk, [paid, charge])) == {"applied": 2}
    assert desk.tip()["key"] == f"refund:{refund}"


def test_a_charge_without_an_amount_tells_nothing(account: StandIn, desk: Desk) -> None:
    account.refund(account.sell(at=T0), 100, at=T0 + 60)
    charge = account.events[2]
    del charge["data"]["object"]["amount_refunded"]
    assert counts(settle(desk, [charge])) == {"other": 1}


def test_of_two_tales_of_a_charge_the_longer_holds(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    account.refund(session, 100, at=T0 + 60)
    account.refund(session, 200, at=T0 + 70)
    paid, first, charge, _, more = account.events
    for order in ([charge, more], [more, charge]):
        result = settle(Desk(now=NOW), [paid, first, *order])
        assert counts(result) == {"applied": 2, "pending": 1}


def test_an_event_without_a_time_leaves_it_to_the_object(account: StandIn, desk: Desk) -> None:
    session = account.sell(at=T0)
    del account.events[0]["created"]
    settle(desk, account.events)
    assert desk.tip()["at"] == from_millis((T0 - 60) * 1000)
    assert read_event(Delivery(1, json.dumps(account.events[0])), SHOP).payments
    assert session == desk.tip()["session"]


def test_a_dry_run_books_nothing(account: StandIn, store_below: Store) -> None:
    from meterctl.core.booking.ledger import Ledger
    from meterctl.core.domain.policy import Terms
    from meterctl.core.stores.overlay import OverlayStore
    from tests.memory_store import MemoryStore

    account.refund(account.sell(at=T0), 100, at=T0 + 60)
    desk = Desk(store_below, now=NOW)
    layer = OverlayStore(store_below, MemoryStore())
    desk.ledger = Ledger(layer, desk.clock, Terms(packs=PACKS), dry_run=True)
    assert counts(settle(desk, account.events)) == {"planned": 2}
    assert list(store_below.journal.orgs()) == []


@pytest.fixture
def store_below() -> Store:
    from tests.memory_store import MemoryStore

    return MemoryStore()
