"""Partial captures: the rest that was authorized and never captured is no refund, on every way in."""

import json

import pytest

from meterctl.core.payments.stripe import reader
from tests.acceptance.shell import Shell
from tests.stripe_server import KEY, Fault, StandIn, seconds

T0 = seconds("2026-11-10T10:00:00Z")


def captured(account: StandIn, of: int = 1000, *, makes_refund: bool = True) -> tuple[str, str | None]:
    """A payment of which 500 cents were captured, and the refund of the rest."""
    intent = account.intent(of, at=T0, org="acme", pack="small")
    return intent, account.capture_part(intent, 500, at=T0 + 1, makes_refund=makes_refund)


def events(account: StandIn, *kinds: str) -> str:
    return "\n".join(json.dumps(event) for event in account.events if not kinds or event["type"] in kinds)


def balance(run: Shell) -> int:
    units: int = run.doc("balance acme")["balance"]
    return units


@pytest.mark.parametrize("of", [1000, 700, 2000])
@pytest.mark.parametrize("makes_refund", [True, False])
def test_events_credit_what_was_captured_and_keep_it(run: Shell, account: StandIn, of: int, makes_refund: bool) -> None:
    captured(account, of, makes_refund=makes_refund)
    run.file("events.ndjson", events(account))
    assert run("events events.ndjson").code == 0
    assert balance(run) == 1000
    assert run("reconcile stripe").code == 0
    assert run("verify --all").code == 0


@pytest.mark.parametrize(("of", "pending"), [(2000, 0), (1000, 1), (700, 1)])
def test_without_a_key_a_doubt_waits(run: Shell, account: StandIn, of: int, pending: int) -> None:
    captured(account, of)
    run.file("events.ndjson", events(account, "payment_intent.succeeded", "refund.created"))
    run.setenv("STRIPE_API_KEY", "")
    answer = run("--json events events.ndjson --pending waiting.ndjson")
    assert (answer.code, answer.doc["pending"]) == (7 if pending else 0, pending)
    assert balance(run) == 1000
    if pending:
        assert answer.doc["problems"][0]["reason"] == "release_or_refund"
        run.setenv("STRIPE_API_KEY", KEY)
        run.file("none.ndjson", "")
        assert run("events none.ndjson --pending waiting.ndjson").code == 0
        assert balance(run) == 1000


@pytest.mark.parametrize("makes_refund", [True, False])
def test_a_real_refund_of_the_same_amount_is_clawed(run: Shell, account: StandIn, makes_refund: bool) -> None:
    intent, _ = captured(account, makes_refund=makes_refund)
    run.all(f"credit-pack --from-stripe {intent}")
    real = account.refund(intent, 500, at=T0 + 86_400)
    run.file("events.ndjson", events(account))
    assert run("events events.ndjson").code == 0
    assert balance(run) == 0
    assert run.doc("ledger acme --kind refund")["entries"][0]["refund_id"] == real
    assert run("reconcile stripe").code == 0


def test_one_refund_or_all_of_a_payment_leave_out_the_release(run: Shell, account: StandIn) -> None:
    intent, release = captured(account)
    run.all(f"credit-pack --from-stripe {intent}")
    for reference in (release, intent):
        receipt = run.doc(f"refund --from-stripe {reference}")
        assert receipt["status"] == "unchanged"
    assert balance(run) == 1000


def test_reconcile_takes_back_a_release_that_was_booked_as_a_refund(run: Shell, account: StandIn) -> None:
    intent, _ = captured(account)
    run.all(f"credit-pack --from-stripe {intent}")
    # A run of events without the payment's own event, and without a key, cannot know better.
    run.file("refund.ndjson", events(account, "refund.created"))
    run.setenv("STRIPE_API_KEY", "")
    assert run("events refund.ndjson").code == 0
    assert balance(run) == 0
    run.setenv("STRIPE_API_KEY", KEY)
    assert run("reconcile stripe --plan-out plan.ndjson").code == 8
    assert run("apply plan.ndjson --yes").code == 0
    assert balance(run) == 1000
    assert run("reconcile stripe").code == 0


def test_a_right_that_is_missing_leaves_the_doubt(run: Shell, account: StandIn) -> None:
    intent, _ = captured(account)
    run.all(f"credit-pack --from-stripe {intent}")
    account.broken[f"/v1/charges/{account.charge_of(intent)['id']}"] = Fault(403)
    run.file("events.ndjson", events(account))
    answer = run("--json events events.ndjson")
    assert (answer.code, answer.doc["pending"]) == (7, 1)
    assert balance(run) == 1000


def test_a_session_of_which_only_a_part_was_captured_is_not_credited_whole(run: Shell, account: StandIn) -> None:
    session = account.sell(cents=500, at=T0)
    account.capture_part(account.intent_of(session), 300, at=T0 + 1, makes_refund=True)
    answer = run.json(f"credit-pack --from-stripe {session}")
    assert (answer.code, answer.error["code"]) == (4, "price_mismatch")
    found = run.json("reconcile stripe")
    assert found.code == 8
    assert run.journal() == ""


# -- failures of one endpoint

#: Every path that a reconciliation of these payments asks for.
PATHS = ["/v1/checkout/sessions", "/v1/payment_intents/search", "/v1/invoices", "/v1/refunds", "/v1/disputes"]

FAULTS = [
    (Fault(401), "stripe_key_rejected"),
    (Fault(403), "stripe_right_missing"),
    (Fault(404), "stripe_unreachable"),
    (Fault(429, {"Retry-After": "0"}), "stripe_rate_limited"),
    (Fault(500), "stripe_unreachable"),
    (Fault(200, content="<html>maintenance</html>"), "stripe_unreachable"),
    (Fault(200, content="[]"), "stripe_unreachable"),
    (Fault(200, content='{"data": '), "stripe_unreachable"),
    (Fault(200, content=""), "stripe_unreachable"),
    (Fault(0, delay=5.0), "stripe_unreachable"),
]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meterctl.core.payments.stripe.gateway.TIMEOUTS", (1.0, 0.3))
    monkeypatch.setattr("meterctl.core.payments.stripe.gateway.RETRIES", 0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("fault", "code"), FAULTS, ids=lambda value: str(getattr(value, "status", value)))
def test_a_list_that_fails_ends_the_run_and_books_nothing(
    run: Shell, account: StandIn, path: str, fault: Fault, code: str
) -> None:
    session = account.sell(at=T0)
    account.intent(500, at=T0, org="acme", pack="small")
    account.refund(session, 100, at=T0)
    run.all("credit-pack acme small --session cs_test_other")
    before = run.journal()
    account.broken[path] = fault
    answer = run("--json reconcile stripe --plan-out plan.ndjson")
    if (path, fault.status) == ("/v1/invoices", 403):
        assert answer.code == 8  # a key without that right reads the rest, and says so
        assert "invoices: skipped" in answer.err
    elif (path, fault.status) == ("/v1/payment_intents/search", 404):
        assert answer.code == 8  # not offered in every country: intents are listed instead
    else:
        error = json.loads(answer.err.splitlines()[-1])
        assert (answer.code, error["code"], bool(error["hint"])) == (10, code, True)
        assert answer.out == ""
        assert not (run.place / "plan.ndjson").exists()
    assert KEY not in answer.err
    assert run.journal() == before


@pytest.mark.parametrize("path", PATHS)
def test_a_list_without_an_end_is_given_up(
    run: Shell, account: StandIn, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MOST_PAGES", 3)
    account.endless = path
    answer = run("--json reconcile stripe")
    error = json.loads(answer.err.splitlines()[-1])
    assert (answer.code, error["code"]) == (10, "stripe_unreachable")
    assert "goes on after 3 pages" in error["message"]
    assert len([request for request in account.requests if request.endswith(path)]) == 3
