"""What Stripe's objects say, in our shapes; what to book for them."""

from typing import Any

import pytest

from meterctl.core.domain.instants import from_millis
from meterctl.core.domain.operations import CreditPack, Operation, Refund, ReverseRefund
from meterctl.core.domain.policy import Pack, StripeSettings
from meterctl.core.errors import BadInput, MeterctlError
from meterctl.core.model import Instant
from meterctl.core.payments import clawbacks, payments
from meterctl.core.payments.booked import Clawback, Credit
from meterctl.core.payments.payments import Giveback, Payment
from meterctl.core.payments.sales import Seller, credit_for
from meterctl.core.payments.stripe.fields import dispute_of, refund_of
from meterctl.core.payments.stripe.objects import payments_of
from meterctl.core.payments.stripe.shop import Shop

T0 = 1_763_000_000
AT = from_millis(T0 * 1000)
PACKS = {"small": Pack(1000, 500, "usd", 90), "euro": Pack(1000, 500, "eur")}


def session(**fields: Any) -> dict[str, Any]:
    return {
        "id": "cs_test_1",
        "object": "checkout.session",
        "amount_total": 500,
        "created": T0,
        "currency": "usd",
        "livemode": False,
        "metadata": {"org": "acme", "pack": "small"},
        "mode": "payment",
        "payment_intent": "pi_1",
        "payment_status": "paid",
        "status": "complete",
        **fields,
    }


SHOP = Shop(StripeSettings(), PACKS)


def only(item: dict[str, Any], event_time: int | None = None, shop: Shop = SHOP) -> Payment:
    (made,) = payments_of(item, shop, event_time)
    return made


def payment(**fields: Any) -> Payment:
    return only(session())._replace(**fields)


def credit_op(**fields: Any) -> CreditPack:
    return CreditPack("acme", "small", "cs_test_1", 500, names=("pi_1",), currency="usd", **fields)


def giveback(
    name: str = "re_1", cents: int = 100, standing: str = "given", at: Instant = AT, currency: str = "usd"
) -> Giveback:
    dispute = name.startswith("du_")
    return Giveback(name, "pi_1", "ch_1", cents, currency, standing, at, is_dispute=dispute)  # type: ignore[arg-type]


def credit(*claws: Clawback, cents: int = 500, undone: bool = False) -> Credit:
    return Credit("acme", "cs_test_1", 1, "small", cents, "usd", undone, claws)


# -- objects


def test_a_session_tells_who_bought_what_and_what_was_paid() -> None:
    assert payment() == Payment(
        "cs_test_1", ("pi_1",), "acme", "small", 500, "usd", AT, True, "complete, paid", False, whole=500
    )


LINE = {"id": "li_1", "amount_total": 500, "amount_tax": 0, "amount_discount": 0, "price": {"id": "price_x"}}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"client_reference_id": "beta", "metadata": None}, {"org": "beta", "pack": None}),
        ({"metadata": {"org": " acme ", "pack": "small\n"}}, {"org": "acme", "pack": "small"}),
        ({"payment_status": "unpaid"}, {"paid": False, "status": "complete, unpaid"}),
        ({"status": "open", "payment_status": "unpaid"}, {"paid": False, "status": "open, unpaid"}),
        ({"status": None}, {"paid": True}),
        ({"payment_status": "no_payment_required", "amount_total": 0}, {"paid": True, "cents": 0}),
        ({"payment_intent": {"id": "pi_2"}, "invoice": "in_1"}, {"names": ("pi_2", "in_1"), "has_charge_time": False}),
        (
            {"payment_intent": {"id": "pi_2", "created": T0 + 5, "latest_charge": {"id": "ch_2", "created": T0 + 9}}},
            {"at": from_millis((T0 + 9) * 1000), "names": ("pi_2", "ch_2"), "has_charge_time": True},
        ),
        ({"line_items": {"data": [{**LINE, "quantity": 2}, {**LINE, "quantity": None}]}}, {"quantity": 1}),
        (
            {"amount_total": 1000, "line_items": {"data": [{**LINE, "amount_total": 1000, "quantity": 2}]}},
            {"quantity": 2},
        ),
        ({"line_items": {"data": [{**LINE, "quantity": 2}], "has_more": True}}, {"quantity": None}),
        (
            {"amount_subtotal": 600, "total_details": {"amount_discount": 200, "amount_tax": 100}},
            {"composition": "600 subtotal - 200 discount + 100 tax", "discount_cents": 200, "tax_cents": 100},
        ),
        ({"amount_subtotal": 500, "total_details": {"amount_tax": 80}}, {"tax_cents": 80, "tax_inside": True}),
        ({"currency": "EUR"}, {"currency": "eur"}),
        ({"livemode": True}, {"live": True}),
        ({"mode": "subscription"}, {"foreign": False, "pack": "small"}),
        ({"mode": "subscription", "metadata": {"org": "acme"}}, {"foreign": True}),
    ],
)
def test_a_session_in_all_its_states(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    found = only(session(**fields))
    assert {name: getattr(found, name) for name in expected} == expected


def test_an_event_tells_when_where_the_object_does_not() -> None:
    assert only(session(), T0 + 60).at == from_millis((T0 + 60) * 1000)


def test_a_setup_moves_no_money() -> None:
    assert payments_of(session(mode="setup"), SHOP) == []


@pytest.mark.parametrize("missing", ["id", "amount_total", "currency", "created"])
def test_a_session_that_lacks_something_is_no_session(missing: str) -> None:
    with pytest.raises(BadInput) as caught:
        only({name: value for name, value in session().items() if name != missing})
    assert caught.value.code == "bad_payload"


REFUND = {"id": "re_1", "object": "refund", "amount": 100, "created": T0, "currency": "usd", "payment_intent": "pi_1"}


@pytest.mark.parametrize(
    ("status", "standing"),
    [
        ("succeeded", "given"),
        ("pending", "waiting"),
        ("requires_action", "waiting"),
        ("failed", "returned"),
        ("canceled", "void"),
        (None, "given"),
        ("something new", "waiting"),
    ],
)
def test_a_refund_stands_as_its_status_says(status: str | None, standing: str) -> None:
    found = refund_of({**REFUND, "status": status, "charge": {"id": "ch_1"}})
    assert found == Giveback("re_1", "pi_1", "ch_1", 100, "usd", standing, AT)  # type: ignore[arg-type]


def test_a_refund_came_back_when_its_event_says() -> None:
    assert refund_of({**REFUND, "status": "failed"}, T0 + 7).back_at == from_millis((T0 + 7) * 1000)
    assert refund_of({**REFUND, "status": "succeeded"}, T0 + 7).back_at is None


def dispute(status: str, *moves: int, **fields: Any) -> dict[str, Any]:
    moved = [{"amount": cents, "created": T0 + 10 * number} for number, cents in enumerate(moves, 1)]
    return {
        "id": "du_1",
        "object": "dispute",
        "amount": 500,
        "balance_transactions": moved,
        "charge": "ch_1",
        "created": T0,
        "currency": "usd",
        "payment_intent": "pi_1",
        "status": status,
        **fields,
    }


@pytest.mark.parametrize(
    ("item", "told", "cents", "standing"),
    [
        (dispute("warning_needs_response"), "", 500, "waiting"),
        (dispute("warning_closed"), "", 500, "void"),
        (dispute("prevented"), "", 500, "void"),
        (dispute("needs_response"), "", 500, "waiting"),
        (dispute("needs_response", -500), "", 500, "given"),
        (dispute("lost", -500), "", 500, "given"),
        (dispute("lost"), "", 500, "void"),
        (dispute("won", -500), "", 500, "returned"),
        (dispute("under_review", -500, 500), "", 500, "returned"),
        (dispute("lost", -500, 200), "", 300, "given"),
        # The account's own currency is another one: the share counts.
        (dispute("lost", -1000, 250), "", 375, "given"),
        (dispute("needs_response"), "charge.dispute.funds_withdrawn", 500, "given"),
        (dispute("under_review", -500), "charge.dispute.funds_reinstated", 500, "returned"),
        (dispute("lost", -500, 200), "charge.dispute.funds_reinstated", 300, "given"),
        (dispute("lost", -500, 500, -500), "", 500, "given"),
        (dispute("won", -500, 500, -500, 500), "", 500, "returned"),
        (dispute("lost", -500, 100, 150, -50), "", 300, "given"),
    ],
)
def test_a_dispute_is_what_its_money_did(item: dict[str, Any], told: str, cents: int, standing: str) -> None:
    found = dispute_of(item, None, told)
    assert (found.cents, found.standing) == (cents, standing)
    assert found.is_dispute


def test_a_dispute_that_shows_no_money_at_all_waits() -> None:
    item = {name: value for name, value in dispute("lost").items() if name != "balance_transactions"}
    assert dispute_of(item).standing == "waiting"


@pytest.mark.parametrize(
    ("item", "event_time", "at", "back_at"),
    [
        (dispute("needs_response", -500), None, T0 + 10, None),
        (dispute("won", -500, 500), None, T0 + 10, T0 + 20),
        (dispute("lost", -500, 100), None, T0 + 20, None),
        (dispute("won", -500), T0 + 33, T0 + 10, T0 + 33),
        (dispute("won", -500), None, T0 + 10, None),
        (dispute("won"), T0 + 33, T0, T0 + 33),
        (dispute("needs_response"), None, T0, None),
        (dispute("won", balance_transactions=[{"amount": -500}, {"amount": 500}]), T0 + 33, T0, T0 + 33),
    ],
)
def test_a_dispute_happens_when_its_money_moves(
    item: dict[str, Any], event_time: int | None, at: int, back_at: int | None
) -> None:
    found = dispute_of(item, event_time)
    expected = None if back_at is None else from_millis(back_at * 1000)
    assert (found.at, found.back_at) == (from_millis(at * 1000), expected)


# -- crediting


def test_a_paid_session_credits_what_its_metadata_name() -> None:
    assert credit_for(payment(), Seller(PACKS)) == credit_op()


@pytest.mark.parametrize(
    ("fields", "given", "code"),
    [
        ({"paid": False}, {}, "not_paid"),
        ({"org": None}, {}, "no_org"),
        ({"pack": None}, {}, "no_pack"),
        ({"missing_object": "cus_1"}, {}, "needs_key"),
        ({}, {"org": "beta"}, "other_org"),
        ({}, {"pack": "euro"}, "other_pack"),
        ({"currency": "eur"}, {}, "currency_mismatch"),
        ({"cents": 400, "discount_cents": 100}, {}, "price_mismatch"),
        ({"cents": 1000}, {}, "price_mismatch"),
        ({"quantity": 2, "cents": 500}, {}, "price_mismatch"),
        ({"quantity": 3, "cents": 1000}, {}, "price_mismatch"),
        ({"cents": 550, "tax_cents": 30}, {}, "price_mismatch"),
    ],
)
def test_a_payment_that_cannot_be_booked_so(fields: dict[str, Any], given: dict[str, Any], code: str) -> None:
    with pytest.raises(MeterctlError) as caught:
        credit_for(payment(**fields), Seller(PACKS), **given)
    assert caught.value.code == code
    assert caught.value.hint


@pytest.mark.parametrize(
    ("fields", "booked"),
    [
        ({"quantity": 2, "cents": 1000}, {"quantity": 2}),
        ({"cents": 580, "tax_cents": 80}, {"tax_cents": 80}),
        ({"cents": 500, "tax_cents": 80, "tax_inside": True}, {"tax_cents": 80}),
        ({"quantity": 3, "cents": 1740, "tax_cents": 240}, {"quantity": 3, "tax_cents": 240}),
    ],
)
def test_quantity_and_tax_are_no_mismatch(fields: dict[str, Any], booked: dict[str, Any]) -> None:
    operation = credit_for(payment(**fields), Seller(PACKS))
    assert {name: getattr(operation, name) for name in booked} == booked
    assert operation.paid_cents == fields["cents"]


def test_the_refusal_shows_how_the_amount_comes_about() -> None:
    with pytest.raises(MeterctlError, match=r"the buyer paid 400 usd \(500 subtotal - 100 discount\).*costs 500 usd"):
        credit_for(payment(cents=400, composition="500 subtotal - 100 discount"), Seller(PACKS))


@pytest.mark.parametrize("fields", [{"cents": 400}, {"quantity": 2, "cents": 700}, {"cents": 0}])
def test_another_price_can_be_accepted(fields: dict[str, Any]) -> None:
    booked = credit_for(payment(**fields), Seller(PACKS, accept_paid=frozenset({"cs_test_1"})))
    assert booked.paid_cents == fields["cents"]


@pytest.mark.parametrize(
    "fields",
    [
        {"cents": 400, "discount_cents": 100},
        {"cents": 480, "tax_cents": 80, "discount_cents": 100},
        {"cents": 400, "tax_cents": 64, "tax_inside": True, "discount_cents": 100},
        {"cents": 0, "discount_cents": 500},
    ],
)
def test_a_discount_that_explains_the_price_can_be_accepted(fields: dict[str, Any]) -> None:
    assert credit_for(payment(**fields), Seller(PACKS, discounts=True)).paid_cents == fields["cents"]
    with pytest.raises(MeterctlError, match="costs 500 usd"):
        credit_for(payment(**{**fields, "cents": fields["cents"] + 1}), Seller(PACKS, discounts=True))


def test_another_currency_never_can() -> None:
    with pytest.raises(MeterctlError, match="sold in eur"):
        credit_for(payment(pack="euro"), Seller(PACKS, accept_paid=frozenset({"cs_test_1"})))


def test_a_pack_that_is_unknown_is_left_to_the_journal_to_refuse() -> None:
    assert credit_for(payment(pack="gone"), Seller(PACKS)).pack == "gone"


def test_what_was_accepted_once_is_accepted_for_ever() -> None:
    booked = Credit("acme", "pi_1", 1, "small", 400, "usd", undone=False, tax_cents=7)
    operation = credit_for(payment(cents=400, tax_cents=9), Seller(PACKS), credits=[booked])
    assert (operation.paid_cents, operation.tax_cents) == (400, 7)


# -- names


def test_names_are_found_again() -> None:
    names = payments.names_of("cs_1")
    assert names[:3] == ["cs_1", "cs_1~2", "cs_1~3"]
    assert len(names) == payments.MAX_NAMES
    assert {payments.base_of(name) for name in names} == {"cs_1"}
    assert payments.free_name("cs_1", {"cs_1", "cs_1~2"}) == "cs_1~3"
    assert payments.free_name("cs_1", names) is None


# -- clawing

LATER = from_millis((T0 + 100) * 1000)


@pytest.mark.parametrize(
    ("givebacks", "claws", "due"),
    [
        ([giveback(cents=200)], [], {"re_1": 200}),
        ([giveback(cents=200, standing="waiting")], [], {}),
        ([giveback(cents=200), giveback("du_1", 500, at=LATER)], [], {"re_1": 200, "du_1": 300}),
        # What is booked already counts first.
        ([giveback(cents=200), giveback("du_1", 500, at=LATER)], [Clawback("du_1", 500, 2)], {"re_1": 0, "du_1": 500}),
        ([giveback(cents=200)], [Clawback("re_1", 100, 2)], {"re_1": 200}),
        ([giveback(cents=200)], [Clawback("re_1", 300, 2)], {"re_1": 200}),
        ([giveback(cents=200)], [Clawback("re_1", 200, 2, 3), Clawback("re_1~2", 150, 4)], {"re_1": 200}),
        ([giveback("du_1", 700)], [], {"du_1": 500}),
    ],
)
def test_all_together_never_exceed_the_payment(
    givebacks: list[Giveback], claws: list[Clawback], due: dict[str, int]
) -> None:
    assert clawbacks.claims_on(500, givebacks, credit(*claws)) == due


def test_without_a_credit_nothing_is_booked_yet() -> None:
    assert clawbacks.claims_on(500, [giveback(cents=600)], None) == {"re_1": 500}


def refund(cents: int, name: str) -> Refund:
    return Refund("acme", "cs_test_1", cents, name)


def reverse(name: str) -> ReverseRefund:
    return ReverseRefund("acme", name)


@pytest.mark.parametrize(
    ("item", "claws", "expected"),
    [
        (giveback(standing="waiting"), [], []),
        (giveback(), [], [refund(100, "re_1")]),
        (giveback(), [Clawback("re_1", 100, 2)], [refund(100, "re_1")]),
        # It was taken back meanwhile: that it was given is old news.
        (giveback(), [Clawback("re_1", 100, 2, 3)], [refund(100, "re_1")]),
        (giveback(standing="returned"), [Clawback("re_1", 100, 2)], [reverse("re_1")]),
        (giveback(standing="returned"), [Clawback("re_1", 100, 2, 3)], [reverse("re_1")]),
        (giveback(standing="returned"), [], [refund(100, "re_1"), reverse("re_1")]),
        (giveback(standing="void"), [Clawback("re_1", 100, 2)], [reverse("re_1")]),
        (giveback(standing="void"), [], []),
        # A refund never takes more than is left: if it seems so, something is missing, and it has to wait.
        (giveback(cents=200), [Clawback("re_0", 400, 2)], [refund(200, "re_1")]),
        # A dispute may, and then what is left counts.
        (giveback("du_1", 500), [Clawback("re_0", 400, 2)], [refund(100, "du_1")]),
        (giveback(cents=200), [Clawback("du_0", 400, 2)], [refund(100, "re_1")]),
        (giveback("du_1", 500), [Clawback("re_0", 500, 2)], []),
        # Something came back, and there is room for what was cut off before.
        (
            giveback("du_1", 500),
            [Clawback("re_0", 400, 2, 4), Clawback("du_1", 100, 3)],
            [refund(400, "du_1~2")],
        ),
        # A dispute won in part.
        (giveback("du_1", 300), [Clawback("du_1", 500, 2)], [reverse("du_1"), refund(300, "du_1~2")]),
        # Old news of it, later: it is not clawed up again.
        (
            giveback("du_1", 500),
            [Clawback("du_1", 500, 2, 3), Clawback("du_1~2", 300, 4)],
            [refund(300, "du_1~2")],
        ),
    ],
)
def test_steps_bring_the_journal_to_what_is_known(
    item: Giveback, claws: list[Clawback], expected: list[Operation]
) -> None:
    assert clawbacks.steps(item, credit(*claws), remember=True) == expected


def test_only_news_need_a_memory_of_what_came_back() -> None:
    assert clawbacks.steps(giveback(standing="returned"), credit()) == []


def test_what_does_not_fit_needs_no_memory() -> None:
    item = giveback("du_1", 500, "returned")
    assert clawbacks.steps(item, credit(Clawback("re_0", 500, 2)), remember=True) == []


def test_money_in_another_currency_is_not_clawed_as_if_it_were_the_payments() -> None:
    with pytest.raises(MeterctlError, match="re_1 gave back 100 jpy, but its payment is booked in usd") as refused:
        clawbacks.steps(giveback(currency="jpy"), credit())
    assert refused.value.code == "currency_mismatch"
    assert clawbacks.steps(giveback(currency="jpy", standing="returned"), credit(), remember=True) == []


@pytest.mark.parametrize("remember", [False, True])
def test_what_was_reckoned_over_by_hand_stands(remember: bool) -> None:
    by_hand = credit(Clawback("re_1", 64, 2))
    assert clawbacks.steps(giveback(currency="jpy"), by_hand, remember=remember) == [refund(64, "re_1")]
    back = clawbacks.steps(giveback(currency="jpy", standing="returned"), by_hand, remember=remember)
    assert back == [reverse("re_1")]


@pytest.mark.parametrize(("of_many", "option"), [(True, "--accept-paid cs_9"), (False, "--accept-paid")])
def test_the_hint_on_a_price_fits_the_command(of_many: bool, option: str) -> None:
    with pytest.raises(MeterctlError) as refused:
        credit_for(payment(session="cs_9", cents=499), Seller(PACKS, of_many=of_many))
    assert refused.value.hint.endswith(f"add: {option}")


@pytest.mark.parametrize(
    ("session", "message", "source"),
    [
        ("cs_1", " in any field listed under [stripe] org in the config", "--from-stripe cs_1"),
        ("txn_1", "", "--session txn_1"),
    ],
)
def test_a_payment_without_an_org_names_its_own_source(session: str, message: str, source: str) -> None:
    with pytest.raises(MeterctlError) as refused:
        credit_for(payment(session=session, org=None), Seller(PACKS))
    assert refused.value.message == f"{session} names no org{message}"
    assert refused.value.hint == f"name the org: meterctl credit-pack ORG PACK {source}"
