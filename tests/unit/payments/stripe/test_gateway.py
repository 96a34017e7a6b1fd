"""The gateway: the official SDK in front of the stand-in, without a network."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
import stripe

from meterctl.core.domain.instants import from_millis, parse
from meterctl.core.domain.policy import StripeSettings
from meterctl.core.errors import BadInput, MeterctlError, NotFound, StripeUnavailable
from meterctl.core.payments.payments import Payment, Unreadable
from meterctl.core.payments.stripe.gateway import API_VERSION, PacedClient, connect, verify
from meterctl.core.payments.stripe.lookup import find_givebacks, find_payment
from meterctl.core.payments.stripe.reader import Reader, Span
from meterctl.core.payments.stripe.shop import Shop
from tests.desk import PACKS, HandClock
from tests.stripe_server import KEY, WEBHOOK_SECRET, Fault, InProcess, StandIn, seconds, serving, signed

T0 = seconds("2026-11-20T10:00:00Z")
NOW = parse("2026-11-22T10:00:00Z")


ALL = Span(None, NOW)


def payments(found: Iterable[Payment | Unreadable]) -> list[Payment]:
    return [one for one in found if isinstance(one, Payment)]


@pytest.fixture
def gateway(account: StandIn) -> Reader:
    return connected(account)


def connected(account: StandIn, key: str = KEY) -> Reader:
    return connect({"STRIPE_API_KEY": key}, HandClock(NOW).sleep, InProcess(account), Shop(packs=PACKS))


def test_the_version_asked_for_is_the_one_of_the_sdk() -> None:
    client = stripe.StripeClient("sk_test_1")
    assert client._requestor._options.stripe_version == API_VERSION


# -- reading


def test_a_session_comes_with_when_it_was_paid_and_what_was_bought(account: StandIn, gateway: Reader) -> None:
    session = account.sell(at=T0, quantity=3, discount=100)
    (found,) = gateway.sale(session)
    assert (found.at, found.quantity, found.paid) == (from_millis(T0 * 1000), 3, True)
    assert found.composition == "600 subtotal - 100 discount"
    assert found.names == (account.intent_of(session), account.charge_of(session)["id"])


def test_a_payment_is_found_by_its_intent_and_its_charge(account: StandIn, gateway: Reader) -> None:
    session = account.sell(at=T0)
    by_session = gateway.sale(session)
    assert gateway.sale(account.intent_of(session)) == by_session
    assert gateway.sale(account.charge_of(session)["id"]) == by_session


@pytest.mark.parametrize("reference", ["cs_test_none", "pi_none", "ch_none", "cus_1"])
def test_what_stripe_does_not_know_is_none(gateway: Reader, reference: str) -> None:
    assert gateway.sale(reference) == []


def test_a_charge_without_an_intent_has_no_session(account: StandIn, gateway: Reader) -> None:
    session = account.sell(at=T0)
    charge = account.charge_of(session)
    charge["payment_intent"] = None
    assert gateway.sale(charge["id"]) == []


def test_givebacks_are_found_by_id_and_by_payment(account: StandIn, gateway: Reader) -> None:
    session = account.sell(at=T0)
    refund = account.refund(session, 100, at=T0 + 60)
    dispute = account.dispute(session, 400, at=T0 + 120)
    payment = find_payment(gateway, session)[0]
    assert [item.id for item in gateway.givebacks_of(payment)] == [refund, dispute]
    for name in (refund, dispute):
        found = gateway.giveback(name)
        assert found is not None
        assert (found.id, found.intent, found.standing) == (name, account.intent_of(session), "given")
    assert gateway.giveback("re_none") is None
    assert gateway.giveback("du_none") is None
    assert gateway.givebacks_of(payment._replace(names=())) == []


def test_one_refund_is_asked_for_or_all_of_a_payment(account: StandIn, gateway: Reader) -> None:
    session = account.sell(at=T0)
    refunds = [account.refund(session, 100, at=T0 + 60 * number) for number in (1, 2)]
    one = find_givebacks(gateway, refunds[0])
    assert [item.id for item in one.givebacks] == refunds[:1]
    for reference in (session, account.intent_of(session), account.charge_of(session)["id"]):
        assert {item.id for item in find_givebacks(gateway, reference).givebacks} == set(refunds)


@pytest.mark.parametrize("reference", ["re_none", "du_none", "cs_test_none", "ch_none"])
def test_an_id_that_leads_nowhere_is_not_found(gateway: Reader, reference: str) -> None:
    with pytest.raises(NotFound) as caught:
        find_givebacks(gateway, reference)
    assert caught.value.code == "unknown_payment"


def test_an_id_of_something_else_is_bad_input(gateway: Reader) -> None:
    with pytest.raises(BadInput) as caught:
        find_givebacks(gateway, "cus_1")
    assert caught.value.code == "bad_reference"


def test_lists_are_read_page_by_page(account: StandIn, gateway: Reader) -> None:
    sessions = [account.sell(at=T0 + number) for number in range(230)]
    account.checkout(at=T0)  # still open: not complete
    account.sell(mode="setup", at=T0)
    listed = [payment.session for payment in payments(gateway.sessions(ALL))]
    assert listed == sessions[::-1]
    assert account.requests.count("GET /v1/checkout/sessions") == 3


def test_lists_lie_between_two_instants_and_go_on_from_behind_one(account: StandIn, gateway: Reader) -> None:
    session = account.sell(at=T0)
    refunds = [account.refund(session, 10, at=T0 + 60 * number) for number in range(5)]
    since, until = from_millis((T0 + 60) * 1000 - 1), from_millis((T0 + 180) * 1000)
    assert [item.id for item in gateway.refunds(Span(since, until))] == refunds[3:0:-1]
    assert [item.id for item in gateway.refunds(Span(None, NOW, refunds[2]))] == refunds[1::-1]


def test_disputes_are_listed(account: StandIn, gateway: Reader) -> None:
    dispute = account.dispute(account.sell(at=T0), 500, at=T0 + 60)
    assert [item.id for item in gateway.disputes(ALL)] == [dispute]


def test_an_empty_list_is_read_once(account: StandIn, gateway: Reader) -> None:
    assert list(gateway.refunds(ALL)) == []
    assert account.requests == ["GET /v1/refunds"]


def test_an_intent_and_an_invoice_are_read_as_what_they_are(account: StandIn, gateway: Reader) -> None:
    intent = account.intent(500, at=T0, org="acme", pack="small")
    invoice = account.invoice([account.invoice_line(500, "price_1")], at=T0, org="acme", pack="small")
    for name in (intent, account.charge_of(intent)["id"]):
        (found,) = gateway.sale(name)
        assert (found.session, found.org, found.pack, found.cents, found.has_charge_time) == (
            intent,
            "acme",
            "small",
            500,
            True,
        )
    for name in (invoice, account.intent_of(invoice)):
        (found,) = gateway.sale(name)
        assert (found.session, found.org, found.names) == (invoice, "acme", (account.intent_of(invoice),))


@pytest.mark.parametrize("searches", [True, False])
def test_only_the_intents_that_name_a_pack_are_listed(account: StandIn, gateway: Reader, searches: bool) -> None:
    account.searches = searches
    account.sell(at=T0)
    account.intent(100, at=T0, order="77")
    intent = account.intent(500, at=T0, org="acme", pack="small")
    account.intent(500, at=T0 + 10 * 86_400, org="acme", pack="small")
    listed = payments(gateway.intents(ALL))
    assert [one.session for one in listed if not one.foreign] == [intent]
    assert len(listed) == (1 if searches else 3)


def test_a_malformed_object_costs_itself_only(account: StandIn, gateway: Reader) -> None:
    good, bad, worse = (account.sell(at=T0 + number) for number in range(3))
    account.objects["sessions"][bad]["amount_total"] = None
    account.objects["sessions"][worse]["metadata"] = "x"
    listed = list(gateway.sessions(ALL))
    assert [one.id if isinstance(one, Unreadable) else one.session for one in listed] == [worse, bad, good]


def test_an_answer_that_is_another_object_is_refused(account: StandIn, gateway: Reader) -> None:
    session = account.sell(at=T0)
    account.objects["sessions"]["cs_test_other"] = account.objects["sessions"][session]
    with pytest.raises(MeterctlError) as caught:
        gateway.sale("cs_test_other")
    assert caught.value.code == "other_object"


def test_requests_for_a_connected_account_name_it(account: StandIn) -> None:
    account.account = "acct_7"
    session = account.sell(at=T0)
    shop = Shop(StripeSettings(account="acct_7"), PACKS)
    assert connect({"STRIPE_API_KEY": KEY}, HandClock(NOW).sleep, InProcess(account), shop).sale(session)
    with pytest.raises(MeterctlError):
        connected(account).sale(session)


def test_a_session_of_many_items_is_read_whole(account: StandIn, gateway: Reader) -> None:
    items = [account.item(500) for _ in range(12)]
    session = account.sell(cents=6000, items=items, at=T0)
    assert gateway.sale(session)[0].quantity == 12


# -- what can go wrong


def failure(account: StandIn, gateway: Reader) -> MeterctlError:
    with pytest.raises(MeterctlError) as caught:
        gateway.sale("cs_test_1")
    error = caught.value
    assert KEY not in error.message + error.hint
    assert KEY[-6:] not in error.message + error.hint
    return error


@pytest.mark.parametrize(
    ("status", "code"), [(500, "stripe_unreachable"), (503, "stripe_unreachable"), (400, "stripe_unreachable")]
)
def test_an_answer_that_is_none(
    account: StandIn, gateway: Reader, status: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0)
    account.faults = [Fault(status)] * 9
    error = failure(account, gateway)
    assert (error.code, error.exit_code) == (code, 10)


def test_a_failure_is_tried_again(account: StandIn, gateway: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0)
    session = account.sell(at=T0)
    account.faults = [Fault(500), Fault(502)]
    assert gateway.sale(session)


def test_a_rejected_key(account: StandIn) -> None:
    error = failure(account, connected(account, "sk_test_wrong"))
    assert (error.code, error.exit_code) == ("stripe_key_rejected", 10)
    assert "wrong" not in error.message


def test_a_right_that_is_missing_is_named(account: StandIn, gateway: Reader) -> None:
    account.lacking = {"rak_checkout_session_read"}
    error = failure(account, gateway)
    assert (error.code, error.exit_code) == ("stripe_right_missing", 10)
    assert "rak_checkout_session_read" in error.message


@pytest.mark.parametrize("key", [None, "", "  "])
def test_a_missing_key(key: str | None) -> None:
    with pytest.raises(MeterctlError) as caught:
        connect({} if key is None else {"STRIPE_API_KEY": key}, HandClock(NOW).sleep)
    assert (caught.value.code, caught.value.exit_code) == ("stripe_key_missing", 10)
    assert "docs/stripe.md" in caught.value.hint


@pytest.mark.parametrize("key", ["pk_test_1", "whsec_1", "sk_test_1 2", "nonsense"])
def test_a_key_of_another_kind(key: str) -> None:
    with pytest.raises(MeterctlError) as caught:
        connect({"STRIPE_API_KEY": key}, HandClock(NOW).sleep)
    assert caught.value.code == "stripe_key_rejected"
    assert key not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(("key", "live"), [("sk_test_1", False), ("rk_test_1", False), ("rk_live_1", True)])
def test_a_key_tells_its_mode(key: str, live: bool) -> None:
    assert connect({"STRIPE_API_KEY": key}, HandClock(NOW).sleep).live is live


def test_an_answer_of_the_other_mode_is_refused(account: StandIn, gateway: Reader) -> None:
    session = account.sell(at=T0)
    account.objects["sessions"][session]["livemode"] = True
    with pytest.raises(MeterctlError) as caught:
        gateway.sale(session)
    assert (caught.value.code, caught.value.exit_code) == ("mode_mismatch", 4)


@pytest.mark.parametrize("base", ["http://api.example.org", "ftp://127.0.0.1", "127.0.0.1:80", "http://localhost.org"])
def test_a_key_is_not_sent_in_the_clear_to_elsewhere(base: str) -> None:
    with pytest.raises(BadInput) as caught:
        connect({"STRIPE_API_KEY": KEY, "STRIPE_API_BASE": base}, HandClock(NOW).sleep)
    assert caught.value.code == "bad_api_base"


@pytest.mark.parametrize("base", ["https://api.example.org/", "http://127.0.0.1:12111", "http://[::1]:1", ""])
def test_a_base_may_be_elsewhere_encrypted_or_here(base: str) -> None:
    assert not connect({"STRIPE_API_KEY": KEY, "STRIPE_API_BASE": base}, HandClock(NOW).sleep).live


# -- over HTTP


@pytest.fixture
def clock() -> HandClock:
    return HandClock(NOW)


@pytest.fixture
def remote(account: StandIn, clock: HandClock) -> Iterator[Reader]:
    with serving(account) as base:
        yield connect({"STRIPE_API_KEY": KEY, "STRIPE_API_BASE": base}, clock.sleep)


def test_a_rate_limit_is_waited_out(account: StandIn, remote: Reader, clock: HandClock) -> None:
    session = account.sell(at=T0)
    account.faults = [Fault(429, {"Retry-After": "7"}), Fault(429), Fault(429, {"Retry-After": "9999"})]
    assert remote.sale(session)
    assert clock.slept == [7.0, 1.0, 30.0]


def test_a_rate_limit_is_not_waited_out_for_ever(account: StandIn, remote: Reader, clock: HandClock) -> None:
    account.faults = [Fault(429)] * 50
    error = failure(account, remote)
    assert (error.code, error.exit_code) == ("stripe_rate_limited", 10)
    assert len(clock.slept) == 6


def test_a_slow_answer_is_not_waited_for_longer_than_that(
    account: StandIn, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meterctl.core.payments.stripe.gateway.TIMEOUTS", (1.0, 0.05))
    monkeypatch.setattr("meterctl.core.payments.stripe.gateway.RETRIES", 0)
    account.faults = [Fault(0, {}, 5.0)]
    with serving(account) as base:
        error = failure(account, connect({"STRIPE_API_KEY": KEY, "STRIPE_API_BASE": base}, clock.sleep))
    assert (error.code, error.exit_code) == ("stripe_unreachable", 10)


def test_nobody_there(clock: HandClock, account: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meterctl.core.payments.stripe.gateway.RETRIES", 0)
    with serving(account) as base:
        pass
    error = failure(account, connect({"STRIPE_API_KEY": KEY, "STRIPE_API_BASE": base}, clock.sleep))
    assert (error.code, error.exit_code) == ("stripe_unreachable", 10)
    assert "status.stripe.com" in error.hint


def test_the_client_of_the_sdk_has_timeouts() -> None:
    assert PacedClient(HandClock(NOW).sleep)._timeout == (5.0, 30.0)


# -- signatures


def test_a_signature_fits_its_body_and_no_other() -> None:
    event: dict[str, Any] = signed({"id": "evt_1", "type": "x"})
    assert verify(event["payload"], event["signature"], WEBHOOK_SECRET)
    assert not verify(event["payload"] + " ", event["signature"], WEBHOOK_SECRET)
    assert not verify(event["payload"], event["signature"], "whsec_other")
    assert not verify(event["payload"], "rubbish", WEBHOOK_SECRET)
    assert not verify(event["payload"], "t=1,v1=\u00e9", WEBHOOK_SECRET)
    assert not verify("\ud800", event["signature"], WEBHOOK_SECRET)


class RepeatingApi:
    """An API that gives the same page for ever."""

    def get(self, path: str, params: Mapping[str, Any], to: str) -> dict[str, Any]:  # noqa: ARG002 - a page for all
        return {"object": "list", "data": [{"object": "refund", "id": "re_1"}], "has_more": True}


def test_a_list_that_repeats_a_page_ends_with_an_error() -> None:
    with pytest.raises(StripeUnavailable, match="repeats a page"):
        list(Reader(RepeatingApi(), Shop(), live=False).refunds(ALL))
