"""Gathering both sides: what is read of each, from which time on, and again after an interruption."""

import json
from pathlib import Path

import pytest

from meterctl.core.booking.payment_modes import check_key, store_mode
from meterctl.core.domain.instants import from_millis, parse
from meterctl.core.domain.operations import CreditPack
from meterctl.core.domain.policy import Pack, Terms
from meterctl.core.errors import BadInput, MeterctlError, NotFound
from meterctl.core.model import Instant
from meterctl.core.payments.booked import Credit
from meterctl.core.payments.reconcile.compare import compare, repair_requests
from meterctl.core.payments.reconcile.findings import Discrepancy
from meterctl.core.payments.reconcile.gather import BothSides, gather
from meterctl.core.payments.reconcile.notes import Notes
from meterctl.core.payments.reconcile.repairs import RepairPolicy
from meterctl.core.payments.sales import Seller
from meterctl.core.payments.stripe.gateway import connect
from meterctl.core.payments.stripe.lookup import credited_parts, find_payment
from meterctl.core.payments.stripe.reader import Reader
from meterctl.core.payments.stripe.shop import Shop
from tests.desk import PACKS, Desk, HandClock
from tests.stripe_server import KEY, Fault, InProcess, StandIn, seconds

T0 = seconds("2026-11-10T10:00:00Z")
NOW = parse("2026-11-22T10:00:00Z")
DAY = 86_400


class Scene:
    """A stand-in, a journal, and both gathered."""

    def __init__(self) -> None:
        self.account = StandIn()
        self.desk = Desk(now=NOW)
        self.said: list[str] = []

    @property
    def gateway(self) -> Reader:
        return connect({"STRIPE_API_KEY": KEY}, HandClock(NOW).sleep, InProcess(self.account), Shop(packs=PACKS))

    def gather(self, since: Instant | None = None, notes: Notes | None = None) -> BothSides:
        told = notes or Notes(None, {})
        return gather(self.gateway, self.desk.store, since, NOW, progress=self.said.append, notes=told)

    def found(self, since: Instant | None = None) -> list[tuple[str, str]]:
        findings = [
            finding for case in self.gather(since).cases for finding in compare(case, RepairPolicy(Seller(PACKS), "x"))
        ]
        return [(finding.kind, finding.refund_id or finding.session) for finding in findings]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def at(moment: int) -> Instant:
    return from_millis(moment * 1000)


def test_agreement_is_read_in_three_lists(scene: Scene) -> None:
    session = scene.account.sell(at=T0)
    refund = scene.account.refund(session, 100, at=T0 + 60)
    scene.desk.credit(session)
    scene.desk.refund(session, 100, refund)
    both = scene.gather()
    assert scene.found() == []
    assert both.counts == {
        "sessions": 1,
        "intents": 0,
        "invoices": 0,
        "refunds": 1,
        "disputes": 0,
        "foreign": 0,
        "unpaid": 0,
        "other_payments": 0,
        "credits": 1,
        "other_references": 0,
    }
    assert len(scene.account.requests) == 10, "two runs, five lists each"
    assert "sessions: 1, complete" in scene.said


def test_what_is_not_by_stripe_is_counted_and_left_alone(scene: Scene) -> None:
    scene.desk.credit("invoice-77")
    assert scene.found() == []
    assert scene.gather().counts["other_references"] == 1


def test_refunds_of_payments_that_no_session_made_are_counted(scene: Scene) -> None:
    session = scene.account.sell(at=T0)
    scene.account.refund(session, 100, at=T0 + 60)
    del scene.account.objects["sessions"][session]
    assert scene.found() == []
    assert scene.gather().counts["other_payments"] == 1


def test_what_is_booked_for_a_session_that_is_not_listed_is_asked_for(scene: Scene) -> None:
    open_one = scene.account.checkout(at=T0)
    scene.desk.credit(open_one)
    scene.desk.credit("cs_test_none")
    assert scene.found() == [("credited_not_paid", open_one), ("unknown_to_stripe", "cs_test_none")]


def test_a_topup_may_stand_under_the_intent_or_the_charge(scene: Scene) -> None:
    first, second = scene.account.sell(at=T0), scene.account.sell(at=T0 + 60)
    scene.desk.credit(scene.account.intent_of(first))
    scene.desk.credit(str(scene.account.charge_of(second)["id"]))
    assert scene.found() == []
    scene.desk.credit(first)
    assert scene.found() == [("duplicate", first)]


def test_a_session_that_is_paid_while_lists_are_read_is_asked_for_again(scene: Scene) -> None:
    session = scene.account.checkout(at=T0)
    scene.account.complete(session, at=T0 + 60)
    scene.desk.credit(session)
    gateway = scene.gateway

    def paid_meanwhile(text: str) -> None:
        if text.startswith("disputes:"):
            scene.account.arrive(session, at=T0 + 120)

    both = gather(gateway, scene.desk.store, None, NOW, progress=paid_meanwhile, notes=Notes(None, {}))
    assert [compare(case, RepairPolicy(Seller(PACKS), "x")) for case in both.cases] == [[]]


def test_since_reads_what_was_made_or_booked_since(scene: Scene) -> None:
    account, desk = scene.account, scene.desk
    old, new = account.sell(at=T0), account.sell(at=T0 + 10 * DAY)
    assert scene.found(at(T0 + 9 * DAY)) == [("paid_not_credited", new)]
    desk.do(CreditPack("acme", "small", old, 500), at(T0))
    desk.credit(new, at=at(T0 + 10 * DAY))
    assert scene.found(at(T0 + 9 * DAY)) == []
    # An old payment with a new refund, under a name that the journal knows.
    first = account.refund(old, 100, at=T0 + 60)
    second = account.refund(old, 50, at=T0 + 10 * DAY)
    desk.do(CreditPack("acme", "small", old, 500, names=(account.intent_of(old),)))
    account.requests.clear()
    assert scene.found(at(T0 + 9 * DAY)) == [("refunded_not_clawed", second)]
    assert len(account.requests) == 5, "no call more than a full run"
    desk.refund(old, 100, first)
    desk.refund(old, 50, second)
    assert scene.found(at(T0 + 9 * DAY)) == []


def test_since_leaves_alone_what_is_older_on_both_sides(scene: Scene) -> None:
    scene.desk.credit(scene.account.sell(at=T0), org="wrong", at=at(T0))
    assert scene.found(at(T0 + 9 * DAY)) == []


def test_since_sees_what_was_booked_for_an_old_payment(scene: Scene) -> None:
    old = scene.account.sell(at=T0)
    scene.desk.credit(old, org="wrong")
    assert scene.found(at(T0 + 9 * DAY)) == [("wrong_org", old)]


def test_since_counts_refunds_of_other_payments(scene: Scene) -> None:
    session = scene.account.sell(at=T0)
    scene.account.refund(session, 100, at=T0 + 10 * DAY)
    del scene.account.objects["sessions"][session]
    assert scene.gather(at(T0 + 9 * DAY)).counts["other_payments"] == 1


def test_a_session_is_paid_up_to_a_day_after_it_was_made(scene: Scene) -> None:
    session = scene.account.checkout(at=T0)
    scene.account.pay(session, at=T0 + DAY - 60)
    assert scene.found(at(T0 + DAY - 120)) == [("paid_not_credited", session)]


def test_progress_is_told(scene: Scene) -> None:
    for number in range(201):
        scene.account.sell(org=f"o{number}", at=T0 + number)
    scene.gather()
    assert scene.said[:3] == ["sessions: 100", "sessions: 200", "sessions: 201, complete"]


def test_progress_of_orgs_is_told(scene: Scene) -> None:
    for number in range(1000):
        scene.desk.credit(f"hand-{number}", org=f"o{number}")
    scene.gather()
    assert "orgs: 1,000" in scene.said


def test_a_list_without_its_right_ends_the_run_but_that_of_invoices_is_left_out(scene: Scene) -> None:
    session = scene.account.sell(at=T0)
    scene.account.lacking = {"rak_invoice_read"}
    assert scene.found() == [("paid_not_credited", session)]
    (skipped,) = [line for line in scene.said if "skipped" in line]
    assert skipped.startswith("invoices: skipped: ")
    assert skipped.endswith('grant that right, or remove "invoice" from payments under [stripe]')
    scene.account.lacking = {"rak_dispute_read"}
    with pytest.raises(MeterctlError) as caught:
        scene.gather()
    assert caught.value.code == "stripe_right_missing"


def test_a_payment_of_a_list_that_cannot_be_read_is_named_and_the_others_are_compared(scene: Scene) -> None:
    good, bad = scene.account.sell(at=T0), scene.account.sell(at=T0 + 60)
    scene.account.objects["sessions"][bad]["amount_total"] = None
    assert scene.found() == [("paid_not_credited", good)]
    both = scene.gather()
    assert [item.id for item in both.unreadable] == [bad]
    assert both.counts["sessions"] == 1


@pytest.mark.parametrize("most", [0, 50])
def test_what_is_not_credited_is_read_in_detail_one_by_one_or_by_one_more_list(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("meterctl.core.payments.reconcile.gather.MOST_LOOKUPS", most)
    sold = [scene.account.sell(cents=500 * n, quantity=n, at=T0 + n) for n in (1, 2)]
    scene.account.objects["sessions"][scene.account.sell(at=T0 + 9)]["amount_total"] = None
    cases = {case.session: case.payment for case in scene.gather().cases}
    assert [payment and payment.quantity for payment in map(cases.get, sold)] == [1, 2]
    read = [request for request in scene.account.requests if request != "GET /v1/checkout/sessions"]
    assert len(read) == (4 + 2 if most else 4)


def test_many_credits_of_old_payments_are_found_by_one_list(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of payments before the window, only those with a credit in it are read; the list ends once all are known."""
    monkeypatch.setattr("meterctl.core.payments.reconcile.gather.MOST_LOOKUPS", 1)
    other, *sold, unreadable, not_credited = [scene.account.sell(at=T0 + n) for n in range(5)]
    scene.account.objects["sessions"][unreadable]["amount_total"] = None
    scene.desk.credit(sold[0], org="wrong")
    scene.desk.credit(sold[1])
    scene.desk.credit("cs_test_none")
    since = at(T0 + 9 * DAY)
    assert scene.found(since) == [("wrong_org", sold[0]), ("unknown_to_stripe", "cs_test_none")]
    scene.desk.credit(not_credited)
    scene.desk.undo(1, org="wrong")
    assert {case.session for case in scene.gather(since).cases} >= {sold[1], not_credited}
    assert other not in {case.session for case in scene.gather(since).cases}


def test_credits_that_are_too_many_to_look_up_are_counted(scene: Scene) -> None:
    for number in range(203):
        scene.desk.credit(f"cs_test_none{number:03}")
    since = at(T0 + 9 * DAY)
    assert scene.found(since) == [("unknown_to_stripe", f"cs_test_none{number:03}") for number in range(200)]
    (item,) = scene.gather(since).unreadable
    assert (item.id, item.message.split(",")[0]) == (
        "cs_test_none200",
        "it and 2 more credits are on no list of Stripe",
    )
    assert len(scene.found()) == 203


def test_a_session_of_many_items_is_compared_pack_by_pack() -> None:
    """The lists hold ten items of a session: until it is read whole, it is one payment of no pack."""
    account, desk = StandIn(), Desk(now=NOW)
    packs = {"small": Pack(1000, 500, "usd", stripe_prices=("price_1",))}
    packs["large"] = Pack(6000, 2000, "usd", stripe_prices=("price_2",))
    desk.ledger.terms = Terms(packs=packs)
    items = [*(account.item(500, price="price_1") for _ in range(11)), account.item(2000, price="price_2")]
    session = account.sell(None, None, cents=7500, at=T0, items=items, client_reference_id="acme")
    refund = account.refund(session, 750, at=T0 + 60)
    reader = connect({"STRIPE_API_KEY": KEY}, HandClock(NOW).sleep, InProcess(account), Shop(packs=packs))

    def found() -> list[Discrepancy]:
        both = gather(reader, desk.store, None, NOW, progress=lambda _: None, notes=Notes(None, {}))
        return [one for case in both.cases for one in compare(case, RepairPolicy(Seller(packs), "x"))]

    first = found()
    assert [(one.kind, one.session, one.refund_id) for one in first] == [
        ("paid_not_credited", session, None),
        ("refunded_not_clawed", session, refund),
        ("paid_not_credited", f"{session}:2", None),
        ("refunded_not_clawed", f"{session}:2", f"{refund}:2"),
    ]
    receipts = list(desk.ledger.execute(repair_requests(first)))
    assert [receipt.status for receipt in receipts] == ["applied"] * 4
    assert desk.balance("acme") == (11_000 + 6000) * 9 // 10
    assert found() == []


# -- resuming

ABOUT = {"mode": "test", "since": None, "until": NOW}


def test_an_interrupted_run_goes_on_where_it_stopped(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meterctl.core.payments.stripe.gateway.WAITS", 0)
    sessions = [scene.account.sell(at=T0 + number) for number in range(250)]
    refunds = [scene.account.refund(session, 100, at=T0 + 1000) for session in sessions[:3]]
    scene.account.dispute(sessions[5], 500, at=T0 + 2000)
    path = tmp_path / "notes.ndjson"
    scene.account.faults = [Fault(0), Fault(0), Fault(429)]
    with pytest.raises(MeterctlError) as caught:
        scene.gather(notes=Notes(path, ABOUT))
    assert caught.value.code == "stripe_rate_limited"
    path.write_text(path.read_text(encoding="utf-8")[:-9], encoding="utf-8")  # and it was killed while writing
    scene.account.sell(at=seconds("2026-11-23T10:00:00Z"))  # made after the run began: not in it
    scene.account.requests.clear()
    notes = Notes(path, {**ABOUT, "until": parse("2026-11-24T10:00:00Z")})
    assert notes.about["until"] == NOW
    both = scene.gather(notes=notes)
    assert sorted(case.session for case in both.cases) == sessions
    assert both.counts["sessions"] == 250
    assert scene.account.requests.count("GET /v1/checkout/sessions") == 1 + 3, "and the items of those to be credited"
    # Once all is read, nothing is read again.
    scene.account.requests.clear()
    again = scene.gather(notes=Notes(path, ABOUT))
    assert again == both
    assert scene.account.requests == ["GET /v1/checkout/sessions"] * 3, "but the items of those that are to be credited"
    assert sum(len(case.givebacks) for case in again.cases) == len(refunds) + 1
    notes.drop()
    assert not path.exists()
    notes.drop()


def test_notes_of_another_run_are_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "notes.ndjson"
    Notes(path, ABOUT)
    for other in ({**ABOUT, "mode": "live"}, {**ABOUT, "since": "2026-11-01T00:00:00.000Z"}):
        with pytest.raises(BadInput) as caught:
            Notes(path, other)
        assert caught.value.code == "bad_resume"
    path.write_text("something else\n[1]\n", encoding="utf-8")
    with pytest.raises(BadInput):
        Notes(path, ABOUT)
    Notes(None, ABOUT).drop()


def test_a_line_of_notes_that_is_none_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "notes.ndjson"
    path.write_text(json.dumps({"about": ABOUT}) + '\n[1]\n{"other": 1}\n', encoding="utf-8")
    notes = Notes(path, ABOUT)
    assert not notes.is_done("sessions")


@pytest.mark.parametrize("odd", ["\u00e9", "\u2028", "\u0085", "\x1c", "\r", "\ud800"])
def test_notes_hold_any_character(scene: Scene, tmp_path: Path, odd: str) -> None:
    path = tmp_path / "notes.ndjson"
    scene.account.sell("acme", f"a{odd}b", at=T0)
    first = scene.gather(notes=Notes(path, ABOUT))
    again = scene.gather(notes=Notes(path, ABOUT))
    assert [case.payment and case.payment.pack for case in again.cases] == [f"a{odd}b"]
    assert again == first
    assert len(scene.account.requests) == 7, "five lists once, and the session itself twice"


@pytest.mark.parametrize("left", [b"", b'"Caf\xc3', b'"Caf\xc3\xa9", "pack"', None])
def test_a_line_that_was_cut_off_anywhere_loses_nothing(scene: Scene, tmp_path: Path, left: bytes | None) -> None:
    path = tmp_path / "notes.ndjson"
    for number in range(3):
        scene.account.sell(f"o{number}", at=T0 + number)
    whole = scene.gather(notes=Notes(path, ABOUT))
    *before, last = path.read_bytes().split(b"\n")[:4]
    # None: only the end of the line is missing.
    path.write_bytes(b"\n".join([*before, last if left is None else b'{"list": "sessions", "item": [' + left]))
    for _ in range(3):
        assert scene.gather(notes=Notes(path, ABOUT)) == whole


def test_notes_that_cannot_be_kept(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (tmp_path / "none" / "notes", tmp_path, file / "notes"):
        with pytest.raises(BadInput) as caught:
            Notes(path, ABOUT)
        assert (caught.value.code, str(path) in caught.value.message) == ("bad_file", True)


def test_notes_that_cannot_be_kept_any_more(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    notes = Notes(path, ABOUT)
    path.unlink()
    path.mkdir()
    with pytest.raises(BadInput) as written:
        notes.done("sessions")
    with pytest.raises(BadInput) as dropped:
        notes.drop()
    assert (written.value.code, dropped.value.code) == ("bad_file", "bad_file")


# -- modes, credits


def test_the_store_tells_its_mode_by_the_sessions_it_holds(scene: Scene) -> None:
    assert store_mode(scene.desk.store) is None
    scene.desk.credit("invoice-1")
    scene.desk.credit("zzz")
    assert store_mode(scene.desk.store) is None
    check_key(scene.gateway.live, scene.desk.store)
    scene.desk.credit("cs_test_1")
    assert store_mode(scene.desk.store) is False
    check_key(scene.gateway.live, scene.desk.store)


@pytest.mark.parametrize(
    ("session", "key", "named"), [("cs_live_1", "rk_test_1", "test"), ("cs_test_1", "sk_live_1", "live")]
)
def test_a_key_of_the_other_mode_is_refused(scene: Scene, session: str, key: str, named: str) -> None:
    scene.desk.credit(session)
    with pytest.raises(MeterctlError) as caught:
        check_key(connect({"STRIPE_API_KEY": key}, HandClock(NOW).sleep).live, scene.desk.store)
    assert (caught.value.code, caught.value.exit_code) == ("mode_mismatch", 4)
    assert f"the key is a {named} key" in caught.value.message


def test_an_undone_topup_gives_a_store_no_mode(scene: Scene) -> None:
    scene.desk.credit("cs_test_1")
    scene.desk.undo(1)
    assert store_mode(scene.desk.store) is None
    scene.desk.credit("cs_live_1")
    assert store_mode(scene.desk.store) is True


def test_refunds_belong_to_the_credit_that_stands(scene: Scene) -> None:
    session = scene.account.sell(at=T0)
    sale = find_payment(scene.gateway, session)

    def credit(org: str | None = None) -> Credit:
        return credited_parts(scene.desk.store, sale, org)[0].credit

    with pytest.raises(NotFound) as caught:
        credit()
    assert "--from-stripe" in caught.value.hint
    scene.desk.credit(session)
    assert credit().seq == 1
    scene.desk.undo(1)
    assert credit().undone
    scene.desk.credit(f"{session}~2")
    assert credit("acme").seq == 3
    with pytest.raises(MeterctlError) as refused:
        credit("beta")
    assert refused.value.code == "other_org"
