"""Stripe from the command line: the official SDK over HTTP, against the stand-in."""

import gzip
import json
from pathlib import Path

import pytest

from meterctl import schemas
from tests.acceptance.shell import Shell
from tests.acceptance.terminal import at_terminal
from tests.stripe_server import KEY, WEBHOOK_SECRET, Fault, StandIn, seconds, signature_of, signed

T0 = seconds("2026-11-10T10:00:00Z")


def sell(account: StandIn, run: Shell, org: str = "acme") -> str:
    """A pack that was sold and credited."""
    session = account.sell(org, at=T0)
    run.all(f"credit-pack --from-stripe {session}")
    return session


# -- credit-pack --from-stripe


def test_a_purchase_is_credited_as_stripe_says(run: Shell, account: StandIn) -> None:
    session = account.sell(at=T0)
    receipt = run.doc(f"credit-pack --from-stripe {session}")
    assert (receipt["org"], receipt["status"], receipt["balance"]) == ("acme", "applied", 1000)
    assert receipt["entry"]["at"] == "2026-11-10T10:00:00.000Z"
    assert receipt["entry"]["expires_at"] == "2026-12-01T10:00:00.000Z"
    assert receipt["entry"]["paid_cents"] == 500
    assert run.doc(f"credit-pack acme small --from-stripe {session}")["status"] == "replayed"
    assert run.doc(f"credit-pack acme small --session {session}")["status"] == "replayed"


def test_org_and_pack_may_be_given(run: Shell, account: StandIn) -> None:
    session = account.sell(None, None, at=T0)
    assert run.json(f"credit-pack --from-stripe {session}").error["code"] == "no_org"
    assert run.doc(f"credit-pack beta small --from-stripe {session}")["org"] == "beta"


def test_a_time_that_is_said_counts(run: Shell, account: StandIn) -> None:
    session = account.sell(at=T0)
    receipt = run.doc(f"credit-pack --from-stripe {session} --at 2026-11-12")
    assert receipt["entry"]["at"] == "2026-11-12T00:00:00.000Z"


def test_a_dry_run_books_nothing(run: Shell, account: StandIn) -> None:
    session = account.sell(at=T0)
    assert run.doc(f"credit-pack --from-stripe {session} --dry-run")["status"] == "planned"
    assert run.journal() == ""


def test_another_price_is_shown_and_has_to_be_accepted(run: Shell, account: StandIn) -> None:
    session = account.sell(cents=450, discount=100, tax=50, at=T0)
    answer = run.json(f"credit-pack --from-stripe {session}")
    assert (answer.code, answer.error["code"]) == (4, "price_mismatch")
    assert "500 subtotal - 100 discount + 50 tax" in answer.error["message"]
    assert "--accept-discount" in answer.error["hint"]
    assert run.doc(f"credit-pack --from-stripe {session} --accept-paid")["entry"]["paid_cents"] == 450
    assert run.doc(f"credit-pack --from-stripe {session}")["status"] == "replayed"


@pytest.mark.parametrize(
    ("words", "sold", "code", "exit_code"),
    [
        ("", {"quantity": 2, "cents": 500}, "price_mismatch", 4),
        ("", {"quantity": 1, "cents": 1500}, "price_mismatch", 4),
        ("", {"currency": "eur"}, "currency_mismatch", 4),
        ("--accept-paid", {"currency": "eur"}, "currency_mismatch", 4),
        ("beta small", {}, "other_org", 4),
        ("acme gift", {}, "other_pack", 4),
        ("", {"pack": None}, "no_pack", 4),
        ("", {"mode": "setup"}, "unknown_payment", 3),
    ],
)
def test_what_cannot_be_credited_so(
    run: Shell, account: StandIn, words: str, sold: dict[str, object], code: str, exit_code: int
) -> None:
    session = account.sell(at=T0, **sold)  # type: ignore[arg-type]
    answer = run.json(f"credit-pack {words} --from-stripe {session}")
    assert (answer.code, answer.error["code"]) == (exit_code, code)
    assert run.journal() == ""


def test_a_pack_that_is_not_in_the_config_is_refused_by_the_journal(run: Shell, account: StandIn) -> None:
    session = account.sell(pack="gone", at=T0)
    answer = run.json(f"credit-pack --from-stripe {session}")
    assert (answer.code, answer.doc["reason"]) == (3, "unknown_pack")


def test_money_that_is_under_way_is_not_credited(run: Shell, account: StandIn) -> None:
    session = account.checkout(at=T0)
    assert run.json(f"credit-pack --from-stripe {session}").error["code"] == "not_paid"
    account.complete(session, at=T0 + 60)
    answer = run.json(f"credit-pack --from-stripe {session}")
    assert (answer.code, answer.error["code"]) == (4, "not_paid")
    account.arrive(session, at=T0 + 120)
    run.all(f"credit-pack --from-stripe {session}")


def test_a_session_of_another_org_is_claimed(run: Shell, account: StandIn) -> None:
    session = account.sell(at=T0)
    run.all(f"credit-pack beta small --session {session}")
    answer = run.json(f"credit-pack --from-stripe {session}")
    assert (answer.code, answer.doc["reason"]) == (4, "session_claimed")


@pytest.mark.parametrize(
    "line",
    [
        "credit-pack --from-stripe cs_test_1 --session cs_test_1",
        "credit-pack --from-stripe cs_test_1 --paid-cents 5",
        "credit-pack acme small",
        "refund --from-stripe re_1 --refund-id re_1",
        "refund --from-stripe cus_1",
        "refund --session cs_test_1 --cents 5 --refund-id re_1",
    ],
)
def test_options_that_do_not_go_together(run: Shell, account: StandIn, line: str) -> None:
    answer = run.json(line)
    assert (answer.code, bool(answer.error["hint"])) == (2, True)


# -- refund --from-stripe


def test_a_refund_is_clawed_as_stripe_says(run: Shell, account: StandIn) -> None:
    session = sell(account, run)
    refund = account.refund(session, 100, at=T0 + 3600)
    receipt = run.doc(f"refund acme --from-stripe {refund}")
    assert (receipt["status"], receipt["key"], receipt["balance"]) == ("applied", f"refund:{refund}", 800)
    assert receipt["entry"]["at"] == "2026-11-10T11:00:00.000Z"
    assert run.doc(f"refund --from-stripe {refund}")["status"] == "replayed"


def test_a_refund_that_fails_is_given_back(run: Shell, account: StandIn) -> None:
    session = sell(account, run)
    refund = account.refund(session, 100, at=T0 + 60, status="pending")
    waiting = run.doc(f"refund --from-stripe {refund}")
    assert (waiting["status"], waiting["balance"]) == ("unchanged", 1000)
    assert "not decided" in waiting["message"]
    account.refund_becomes(refund, "succeeded", at=T0 + 70)
    assert run.doc(f"refund --from-stripe {refund}")["balance"] == 800
    account.refund_becomes(refund, "failed", at=T0 + 80)
    assert run.doc(f"refund --from-stripe {refund}")["balance"] == 1000
    assert run.doc(f"refund --from-stripe {refund}")["status"] == "replayed"


def test_a_refund_that_was_never_clawed_and_failed_is_nothing(run: Shell, account: StandIn) -> None:
    refund = account.refund(sell(account, run), 100, at=T0 + 60)
    account.refund_becomes(refund, "failed", at=T0 + 80)
    receipt = run.doc(f"refund --from-stripe {refund}")
    assert (receipt["status"], "did not succeed" in receipt["message"]) == ("unchanged", True)


def test_all_refunds_of_a_payment_are_booked_each_by_its_id(run: Shell, account: StandIn) -> None:
    session = sell(account, run)
    refunds = [account.refund(session, 100, at=T0 + 60 * number) for number in (1, 2)]
    dispute = account.dispute(session, 500, at=T0 + 600)
    document = run.doc(f"refund acme --from-stripe {session}")
    assert [receipt["key"] for receipt in document["receipts"]] == [f"refund:{name}" for name in (*refunds, dispute)]
    assert document["receipts"][-1]["entry"]["cents"] == 300, "together never more than was paid"
    assert document["receipts"][-1]["balance"] == 0
    again = run.doc(f"refund --from-stripe {account.charge_of(session)['id']}")
    assert {receipt["status"] for receipt in again["receipts"]} == {"replayed"}
    assert schemas.adapter("receipts").validate_python(document, strict=True) == document


def test_a_dispute_takes_and_gives_back(run: Shell, account: StandIn) -> None:
    session = sell(account, run)
    dispute = account.dispute(session, 500, at=T0 + 60)
    assert run.doc(f"refund --from-stripe {dispute}")["balance"] == 0
    account.dispute_closes(dispute, "lost", at=T0 + 120, back=200)
    document = run.doc(f"refund --from-stripe {dispute}")
    assert [receipt["command"] for receipt in document["receipts"]] == ["reverse-refund", "refund"]
    assert document["receipts"][-1]["balance"] == 400
    account.dispute_closes(dispute, "won", at=T0 + 180)
    assert run.doc(f"refund --from-stripe {dispute}")["balance"] == 1000


def test_a_dispute_of_what_is_gone_already_is_nothing(run: Shell, account: StandIn) -> None:
    session = sell(account, run)
    refund = account.refund(session, 500, at=T0 + 60)
    run.all(f"refund --from-stripe {refund}")
    dispute = account.dispute(session, 500, at=T0 + 120)
    assert "nothing of the payment is left" in run.doc(f"refund --from-stripe {dispute}")["message"]


def test_a_payment_without_refunds_has_none_to_book(run: Shell, account: StandIn) -> None:
    session = sell(account, run)
    assert run.doc(f"refund --from-stripe {session}")["receipts"] == []
    assert "nothing to do" in run(f"refund --from-stripe {session}").out


def test_a_refund_before_its_credit_waits_and_says_for_what(run: Shell, account: StandIn) -> None:
    session = account.sell(at=T0)
    refund = account.refund(session, 100, at=T0 + 60)
    answer = run.json(f"refund acme --from-stripe {refund}")
    assert (answer.code, answer.error["code"]) == (3, "unknown_session")
    assert f"credit-pack --from-stripe {session}" in answer.error["hint"]
    assert "pending" in answer.error["message"]
    run.all(f"credit-pack --from-stripe {session}", f"refund --from-stripe {refund}")


def test_a_refund_of_another_org_is_refused(run: Shell, account: StandIn) -> None:
    refund = account.refund(sell(account, run), 100, at=T0 + 60)
    answer = run.json(f"refund beta --from-stripe {refund}")
    assert (answer.code, answer.error["code"]) == (4, "other_org")


# -- what keeps Stripe from answering

COMMANDS = ["credit-pack --from-stripe cs_test_1", "refund --from-stripe re_1", "reconcile stripe"]


@pytest.mark.parametrize("line", COMMANDS)
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (None, "stripe_key_missing"),
        ("sk_test_wrongwrong", "stripe_key_rejected"),
        (Fault(429, {"Retry-After": "0"}), "stripe_rate_limited"),
    ],
)
def test_without_an_answer_nothing_is_booked(
    run: Shell, account: StandIn, line: str, fault: str | Fault | None, code: str
) -> None:
    run.all("credit-pack acme small --session s1")
    before = run.journal()
    if isinstance(fault, Fault):
        account.faults = [fault] * 99
    else:
        run.setenv("STRIPE_API_KEY", fault or "")
    answer = run(f"--json {line}")
    told = json.loads(answer.err.splitlines()[-1])
    assert (answer.code, told["code"], bool(told["hint"])) == (10, code, True)
    assert answer.out == ""
    assert "wrongwrong" not in answer.err
    assert KEY not in answer.err
    assert run.journal() == before


def test_a_key_of_the_other_mode_is_refused(run: Shell, account: StandIn) -> None:
    run.all("credit-pack acme small --session cs_live_1")
    answer = run.json("reconcile stripe")
    assert (answer.code, answer.error["code"]) == (4, "mode_mismatch")
    assert account.requests == []


# -- reconcile stripe


def test_agreement_is_exit_code_0(run: Shell, account: StandIn) -> None:
    refund = account.refund(sell(account, run), 100, at=T0 + 60)
    run.all(f"refund --from-stripe {refund}")
    document = run.doc("reconcile stripe")
    assert (document["ok"], document["mode"], document["findings"]) == (True, "test", [])
    assert schemas.adapter("reconcile").validate_python(document, strict=True) == document
    assert "no difference" in run("reconcile stripe --since 2026-11-01").out


def test_what_differs_is_found_planned_and_mended(run: Shell, account: StandIn) -> None:
    credited = account.sell("acme", at=T0)
    lost = account.sell("beta", cents=400, discount=100, at=T0 + 60)
    refund = account.refund(credited, 100, at=T0 + 120)
    unpaid = account.checkout("corp", at=T0)
    run.all(f"credit-pack wrong small --session {credited}", f"credit-pack corp small --session {unpaid}")
    plan = run.place / "plan"
    answer = run.json(f"reconcile stripe --accept-discount --plan-out {plan}")
    assert answer.code == 8
    found = {(item["kind"], item["refund_id"] or item["session"]) for item in answer.doc["findings"]}
    assert found == {
        ("wrong_org", credited),
        ("paid_not_credited", lost),
        ("refunded_not_clawed", refund),
        ("credited_not_paid", unpaid),
    }
    assert schemas.adapter("reconcile").validate_python(answer.doc, strict=True) == answer.doc
    assert account.requests.count("GET /v1/refunds") == 1, "three lists"
    rows = run("reconcile stripe --accept-discount -o ndjson").out.splitlines()
    assert [json.loads(row) for row in rows] == answer.doc["findings"]
    shown = run("reconcile stripe")
    assert (shown.code, "wrong org" in shown.out, "4 differences" in shown.out) == (8, True, True)
    assert "sessions: 2" in shown.err
    mend(run, plan)
    assert run.json("reconcile stripe").code == 0
    assert [run.doc(f"balance {org}")["balance"] for org in ("acme", "beta", "wrong", "corp")] == [800, 1000, 0, 0]


def mend(run: Shell, plan: Path) -> None:
    """Carry out what reconciling planned."""
    run.all(f"apply {plan} --yes")


def test_what_cannot_be_mended_is_told_all_the_same(run: Shell, account: StandIn) -> None:
    session = sell(account, run)
    run.all("debit acme 10 --ref r1")
    account.objects["sessions"][session]["metadata"]["org"] = "beta"
    answer = run.json("reconcile stripe")
    assert answer.code == 8
    (finding,) = answer.doc["findings"]
    assert (finding["operations"], finding["fix"][:7]) == ([], "by hand")
    assert "by hand" in run("reconcile stripe").out


def test_an_interrupted_run_can_be_resumed(run: Shell, account: StandIn) -> None:
    for number in range(150):
        account.sell(f"o{number}", at=T0 + number)
    notes = run.place / "notes"
    account.faults = [Fault(0), *[Fault(429, {"Retry-After": "0"})] * 7]
    assert run.json("reconcile", "stripe", "--resume", str(notes)).code == 10
    assert len(notes.read_text(encoding="utf-8").splitlines()) == 101
    account.requests.clear()
    answer = run.json("reconcile", "stripe", "--resume", str(notes))
    assert (answer.code, len(answer.doc["findings"])) == (8, 150)
    assert account.requests.count("GET /v1/checkout/sessions") == 1 + 2, "and the items of those to be credited"
    assert not notes.exists()


@pytest.mark.parametrize(("faults", "code"), [((), 0), ((Fault(0), Fault(400)), 10)])
def test_on_a_terminal_progress_leaves_a_clean_line(
    run: Shell, account: StandIn, faults: tuple[Fault, ...], code: int
) -> None:
    account.faults = list(faults)
    answer, screen = at_terminal(run, ["reconcile", "stripe"], asked="reconcile: sessions", answer="")
    _, *shown, rest = screen.split("\r\x1b[K")
    assert (shown[0], "reconcile:" in rest) == ("reconcile: sessions: 0, complete", False)
    assert answer.code == code


@pytest.mark.parametrize("option", ["--plan-out", "--resume"])
def test_a_file_that_cannot_be_written(run: Shell, account: StandIn, option: str) -> None:
    account.sell(at=T0)
    answer = run(f"--json reconcile stripe {option} no/such/place")
    assert (answer.code, json.loads(answer.err.splitlines()[-1])["code"]) == (2, "bad_file")


# -- events


def lines(account: StandIn, *numbers: int) -> str:
    events = [account.events[number] for number in numbers] if numbers else account.events
    return "\n".join(json.dumps(event) for event in events)


def test_events_are_booked_from_a_file_or_standard_input(run: Shell, account: StandIn) -> None:
    account.refund(account.sell(at=T0), 100, at=T0 + 60)
    path = run.file("events.ndjson", lines(account))
    document = run.doc(f"events {path}")
    assert (document["events"], document["applied"], document["problems"]) == (3, 2, [])
    assert schemas.adapter("events").validate_python(document, strict=True) == document
    again = run("events -", stdin=lines(account))
    assert (again.code, "replayed" in again.out) == (0, True)
    assert run.doc("balance acme")["balance"] == 800


def test_events_are_read_from_whatever_holds_them(run: Shell, account: StandIn) -> None:
    account.refund(account.sell(at=T0), 100, at=T0 + 60)
    zipped = run.place / "events"
    zipped.write_bytes(gzip.compress(lines(account).encode()))
    assert run.doc("events", "events")["applied"] == 2
    assert run.doc("events", run.pipe("pipe", json.dumps(account.events)))["replayed"] == 2
    zipped.write_bytes(zipped.read_bytes()[:-9])
    answer = run.json("events", "events")
    assert (answer.code, answer.error["code"]) == (2, "bad_file")
    assert answer.error["message"].startswith("events: the rest of the file cannot be read: ")


def test_signatures_are_checked(run: Shell, account: StandIn) -> None:
    account.sell(at=T0)
    sent = signed(account.events[0])
    recorded = run.file("sent.ndjson", json.dumps(sent))
    body = run.file("body.json", sent["payload"])
    answer = run.json("events", recorded)
    assert (answer.code, answer.error["code"]) == (2, "webhook_secret_missing")
    run.setenv("STRIPE_WEBHOOK_SECRET", "whsec_other")
    answer = run.json("events", recorded)
    assert (answer.code, answer.doc["invalid"], answer.doc["problems"][0]["reason"]) == (7, 1, "bad_signature")
    run.setenv("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET)
    assert run.doc("events", body, "--signature", sent["signature"])["applied"] == 1
    assert run.doc("events", recorded)["replayed"] == 1
    assert WEBHOOK_SECRET not in answer.out + answer.err


def test_what_has_to_wait_is_kept_and_tried_again(run: Shell, account: StandIn) -> None:
    account.refund(account.sell(at=T0), 100, at=T0 + 60)
    pending = run.place / "pending.ndjson"
    refunded = run.file("one.ndjson", lines(account, 1))
    answer = run.json("events", refunded, "--pending", str(pending))
    assert (answer.code, answer.doc["pending"]) == (7, 1)
    assert "not credited yet" in run("events", refunded, "--dry-run", "--pending", str(pending)).out
    assert len(pending.read_text(encoding="utf-8").splitlines()) == 1
    part = Path(run.file("pending.ndjson.part", "mine"))
    paid = run.file("two.ndjson", lines(account, 0))
    assert run.doc("events", paid, "--pending", str(pending))["applied"] == 2
    assert (pending.read_text(encoding="utf-8"), part.read_text(encoding="utf-8")) == ("", "mine")
    assert run.doc("balance acme")["balance"] == 800


@pytest.mark.parametrize("pending", ["events.ndjson", "./events.ndjson", "link", "meterctl.db", "-"])
def test_what_has_to_wait_takes_the_place_of_nothing_that_is_read(run: Shell, account: StandIn, pending: str) -> None:
    account.refund(account.sell(at=T0), 100, at=T0 + 60)
    path = Path(run.file("events.ndjson", lines(account)))
    (run.place / "link").symlink_to(path)
    answer = run.json("events", "events.ndjson", "--pending", pending)
    assert (answer.code, answer.error["code"]) == (2, "usage")
    assert "--pending" in answer.error["message"]
    assert path.read_text(encoding="utf-8") == lines(account)
    assert run.journal() == ""
    assert not (run.place / "-").exists()


def test_what_has_to_wait_has_a_place_before_anything_is_booked(run: Shell, account: StandIn) -> None:
    account.sell(at=T0)
    answer = run.json("events", run.file("events.ndjson", lines(account)), "--pending", "nowhere/pending.ndjson")
    assert (answer.code, answer.error["code"]) == (2, "bad_file")
    assert run.journal() == ""


def test_what_was_kept_and_is_invalid_now_stays(run: Shell, account: StandIn) -> None:
    account.refund(account.sell(at=T0), 100, at=T0 + 60)
    paid, refunded, _ = account.events
    pending = run.place / "pending.ndjson"
    run.setenv("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET)
    assert run.json("events", "-", "--pending", str(pending), stdin=json.dumps(signed(refunded))).doc["pending"] == 1
    kept = pending.read_text(encoding="ascii")
    run.setenv("STRIPE_WEBHOOK_SECRET", "whsec_other")
    for given in (json.dumps(signed(paid)), ""):  # what is invalid and was not kept before is not kept now
        answer = run.json("events", "-", "--pending", str(pending), stdin=given)
        assert {problem["reason"] for problem in answer.doc["problems"]} == {"bad_signature"}
        assert (answer.code, pending.read_text(encoding="ascii")) == (7, kept)
    run.setenv("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET)
    assert run.json("events", "-", "--pending", str(pending), stdin=json.dumps(signed(paid))).doc["applied"] == 2
    assert pending.read_text(encoding="ascii") == ""


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"payload": "{", "signature": null}', "signature_missing"),
        ('{"type": "refund.created"', "bad_json"),
        ("x[[", "bad_json"),
        ('{"type": "refund.created"}', "bad_event"),
        ('{"type": "refund.created", "data": {"object": {"id": "re_1"}}}', "bad_payload"),
        ('{"type": "refund.created", "livemode": true, "data": {"object": {}}}', "bad_payload"),
        ('{"type": "customer.created", "livemode": true, "data": {"object": {}}}', "mode_mismatch"),
    ],
)
def test_a_line_of_what_was_kept_that_is_of_no_use_stays(run: Shell, account: StandIn, line: str, reason: str) -> None:
    sell(account, run)
    pending = Path(run.file("pending.ndjson", f"{line}\n"))
    for _ in range(2):
        answer = run.json("events", "-", "--pending", str(pending))
        assert (answer.code, [problem["reason"] for problem in answer.doc["problems"]]) == (7, [reason])
        (kept,) = pending.read_text(encoding="ascii").splitlines()
        assert {name: text and text.strip() for name, text in json.loads(kept).items()} in (
            {"payload": "{", "signature": None},
            {"delivery": line},
        )


def test_what_was_kept_is_refused_in_another_mode_than_what_is_given(run: Shell, account: StandIn) -> None:
    account.sell(at=T0)
    live = StandIn(live=True)
    live.sell(at=T0)
    pending = Path(run.file("pending.ndjson", json.dumps(live.events[0])))
    answer = run.json("events", "-", "--pending", str(pending), stdin=json.dumps(account.events[0]))
    assert (answer.code, answer.doc["applied"], answer.doc["invalid"]) == (7, 1, 1)
    assert [problem["reason"] for problem in answer.doc["problems"]] == ["mode_mismatch"]
    assert "cs_live" not in run.journal()
    assert json.loads(json.loads(pending.read_bytes())["delivery"]) == live.events[0]


@pytest.mark.parametrize(
    ("odd", "signs"),
    [("Caf\u00e9", True), ("\u2028\u0085", True), ("\\ud800", True), ("\\u00e9", True), ("\ud800", False)],
)
def test_what_is_kept_comes_back_exactly(run: Shell, account: StandIn, odd: str, signs: bool) -> None:
    account.refund(account.sell(at=T0), 100, at=T0 + 60)
    paid, refunded, _ = account.events
    body = json.dumps(refunded | {"odd": "ODD"}).replace("ODD", odd)
    sent = {"payload": body, "signature": signature_of(body)} if signs else {"delivery": body}
    run.setenv("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET)
    pending = run.place / "pending.ndjson"
    assert run.json("events", "-", "--pending", str(pending), "--unsigned", stdin=json.dumps(sent)).code == 7
    assert json.loads(pending.read_bytes()) == sent
    assert [path.name for path in run.place.glob("*.part")] == []
    assert run.json("events", "-", "--pending", str(pending), "--unsigned", stdin=json.dumps(paid)).doc["applied"] == 2


def test_a_dry_run_of_events_books_and_keeps_nothing(run: Shell, account: StandIn) -> None:
    session = account.sell(cents=400, at=T0)
    account.refund(session, 100, at=T0 + 60)
    path = run.file("events.ndjson", lines(account))
    pending = run.place / "pending.ndjson"
    document = run.doc(f"events {path} --dry-run --accept-paid {session} --pending {pending}")
    assert document["planned"] == 2
    assert (run.journal(), pending.exists()) == ("", False)


def test_events_can_be_planned_first(run: Shell, account: StandIn) -> None:
    account.refund(account.sell(at=T0), 100, at=T0 + 60)
    path = run.file("events.ndjson", lines(account))
    run.all(f"events {path} --plan-out plan --pending pending.ndjson")
    assert (run.journal(), (run.place / "pending.ndjson").exists()) == ("", False)
    run.all("apply plan --yes")
    assert run.doc("balance acme")["balance"] == 800


def test_events_need_no_key_where_they_tell_all(run: Shell, account: StandIn) -> None:
    run.setenv("STRIPE_API_KEY", "")
    account.refund(account.sell(at=T0), 100, at=T0 + 60)
    assert run.doc("events", run.file("events.ndjson", lines(account)))["applied"] == 2
    assert account.requests == []


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_of_no_use_as_a_whole(run: Shell, account: StandIn, content: bytes | None) -> None:
    path = run.place / "events.ndjson"
    if content is not None:
        path.write_bytes(content)
    answer = run.json("events", str(path))
    assert (answer.code, answer.error["code"]) == (2, "bad_file")


def test_an_outage_while_events_leave_something_open_books_nothing(run: Shell, account: StandIn) -> None:
    first, second = account.sell(at=T0), account.sell(at=T0 + 60)
    account.refund(first, 100, at=T0 + 120)
    account.faults = [Fault(429, {"Retry-After": "0"})] * 9
    path = run.file("events.ndjson", lines(account, 1, 2))
    assert run.json("events", path).code == 10
    assert run.journal() == ""
    assert second
    # All of it is done once Stripe answers again.
    account.faults = []
    assert run.json("events", path).doc["pending"] == 1


def test_nothing_is_ever_written_at_stripe(run: Shell, account: StandIn) -> None:
    session = sell(account, run)
    account.refund(session, 100, at=T0 + 60)
    run(f"refund --from-stripe {session}")
    run("reconcile stripe")
    run("events -", stdin=lines(account))
    assert {asked.split()[0] for asked in account.requests} == {"GET"}
