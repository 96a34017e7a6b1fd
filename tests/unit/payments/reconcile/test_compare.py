"""Comparing a case: each finding, and what would mend it."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.instants import parse
from meterctl.core.domain.operation_documents import request_document, request_from_document
from meterctl.core.domain.operations import BookDue, CreditPack, Operation, Refund, Request, ReverseRefund, Undo
from meterctl.core.domain.policy import Pack
from meterctl.core.model import Instant
from meterctl.core.payments.booked import Clawback, Credit
from meterctl.core.payments.payments import MAX_NAMES, Giveback, Payment, names_of
from meterctl.core.payments.reconcile.compare import compare, repair_requests, repairable_findings
from meterctl.core.payments.reconcile.findings import Case, Discrepancy, command_of
from meterctl.core.payments.reconcile.repairs import RepairPolicy
from meterctl.core.payments.sales import Seller
from meterctl.core.results import Receipt, Receipts
from meterctl.core.stores.overlay import OverlayStore
from tests.desk import Desk
from tests.memory_store import MemoryStore

S = "cs_test_1"
AT = parse("2026-11-10T10:00:00Z")
LATER = parse("2026-11-11T10:00:00Z")
PACKS = {"small": Pack(1000, 500, "usd", 90), "large": Pack(9000, 2000, "usd"), "euro": Pack(1, 1, "eur")}
MENDER = RepairPolicy(Seller(PACKS), "tester")


def paid(**fields: Any) -> Payment:
    made = Payment(S, (), "acme", "small", 500, "usd", AT, paid=True, status="complete, paid", live=False)
    return made._replace(**fields)


def credit(*claws: Clawback, **fields: Any) -> Credit:
    return Credit("acme", S, 1, "small", 500, "usd", undone=False, clawbacks=claws)._replace(**fields)


def gone(
    name: str = "re_1",
    cents: int = 100,
    standing: str = "given",
    back_at: Instant | None = None,
    currency: str = "usd",
) -> Giveback:
    dispute = name.startswith("du_")
    return Giveback(name, "pi_1", "ch_1", cents, currency, standing, LATER, back_at, dispute)  # type: ignore[arg-type]


def case(payment: Payment | None, givebacks: Iterable[Giveback] = (), found: Iterable[Credit] = ()) -> Case:
    return Case(S, payment, tuple(givebacks), tuple(found))


def sold(org: str, pack: str, session: str, cents: int = 500) -> CreditPack:
    return CreditPack(org, pack, session, cents, currency="usd")


def undo(org: str, session: str = S) -> Undo:
    return Undo(org, of=f"session:{session}")


def found_in(one: Case, mender: RepairPolicy = MENDER) -> list[tuple[str, list[Operation]]]:
    return [(finding.kind, [request.operation for request in finding.requests]) for finding in compare(one, mender)]


AGREEMENTS = [
    case(paid(), [], [credit()]),
    case(paid(), [gone()], [credit(Clawback("re_1", 100, 2))]),
    case(paid(), [gone(standing="waiting")], [credit()]),
    case(paid(), [gone(standing="waiting")], [credit(Clawback("re_1", 100, 2))]),
    case(paid(), [gone(standing="returned")], [credit()]),
    case(paid(), [gone(standing="returned")], [credit(Clawback("re_1", 100, 2, 3))]),
    case(paid(), [gone(standing="void")], [credit()]),
    case(paid(), [gone()], [credit(Clawback("re_1", 60, 2), Clawback("re_1~2", 40, 3))]),
    case(paid(), [gone(currency="jpy")], [credit(Clawback("re_1", 64, 2))]),
    case(paid(), [gone("du_1", 700)], [credit(Clawback("du_1", 500, 2))]),
    case(paid(), [gone("du_1", 500), gone("re_1", 500)], [credit(Clawback("du_1", 500, 2))]),
    case(paid(org=None, pack=None), [], [credit(org="beta")]),
    case(paid(paid=False, status="open, unpaid")),
    case(paid(paid=False), [], [credit(undone=True)]),
    case(None, [], [credit(undone=True)]),
    case(paid(), [], [credit(undone=True), credit(name=f"{S}~2", seq=3)]),
    case(paid(cents=0), [], [credit(cents=0)]),
]


@pytest.mark.parametrize("one", AGREEMENTS)
def test_what_agrees_is_no_finding(one: Case) -> None:
    assert compare(one, MENDER) == []


DIFFERENCES: list[tuple[Case, list[tuple[str, list[Operation]]]]] = [
    (case(paid()), [("paid_not_credited", [sold("acme", "small", S, 500)])]),
    # It was undone: under the same name it cannot be booked again by the same org, but by another one.
    (
        case(paid(), [], [credit(undone=True)]),
        [("paid_not_credited", [sold("acme", "small", f"{S}~2", 500)])],
    ),
    (
        case(paid(), [], [credit(org="beta", undone=True)]),
        [("paid_not_credited", [sold("acme", "small", S, 500)])],
    ),
    (
        case(paid(), [gone()]),
        [
            ("paid_not_credited", [sold("acme", "small", S, 500)]),
            ("refunded_not_clawed", [Refund("acme", S, 100, "re_1")]),
        ],
    ),
    (case(paid(org=None)), [("paid_not_credited", [])]),
    (case(paid(pack=None)), [("paid_not_credited", [])]),
    (case(paid(pack="euro")), [("paid_not_credited", [])]),
    (case(paid(org="no org")), [("paid_not_credited", [])]),
    (case(paid(org=None), [gone()]), [("paid_not_credited", []), ("refunded_not_clawed", [])]),
    (case(paid(pack="gone")), [("paid_not_credited", [sold("acme", "gone", S, 500)])]),
    (case(None, [], [credit()]), [("unknown_to_stripe", [])]),
    (case(paid(paid=False, status="processing"), [], [credit()]), [("credited_not_paid", [])]),
    (
        case(paid(paid=False), [], [credit(Clawback("r1", 100, 2), Clawback("r2", 100, 3, 4))]),
        [("credited_not_paid", [ReverseRefund("acme", "r1"), undo("acme")])],
    ),
    (
        case(paid(), [], [credit(), credit(name="pi_1", seq=2)]),
        [("duplicate", [undo("acme", "pi_1")])],
    ),
    # The one that is right stays, whichever was first.
    (
        case(paid(), [], [credit(org="beta"), credit(seq=7)]),
        [("duplicate", [undo("beta")])],
    ),
    (
        case(paid(), [], [credit(org="beta")]),
        [("wrong_org", [undo("beta"), sold("acme", "small", S, 500)])],
    ),
    (
        case(paid(pack="large", cents=2000), [], [credit(cents=2000)]),
        [("wrong_pack", [undo("acme"), sold("acme", "large", f"{S}~2", 2000)])],
    ),
    (
        case(paid(), [], [credit(cents=400)]),
        [("wrong_amount", [undo("acme"), sold("acme", "small", f"{S}~2")])],
    ),
    # Never a pack for another price, nor one for the price of three.
    (case(paid(cents=400), [], [credit()]), [("wrong_amount", [])]),
    (case(paid(cents=1500)), [("paid_not_credited", [])]),
    (case(paid(pack="large")), [("paid_not_credited", [])]),
    (
        case(paid(cents=1500, quantity=3)),
        [("paid_not_credited", [CreditPack("acme", "small", S, 1500, quantity=3, currency="usd")])],
    ),
    (case(paid(currency="eur"), [], [credit()]), [("wrong_amount", [])]),
    # An amount in another currency says nothing of how much to claw.
    (case(paid(), [gone(currency="jpy")], [credit()]), [("refunded_not_clawed", [])]),
    (
        case(paid(), [gone("du_1", 800, currency="jpy"), gone()], [credit(Clawback("du_1", 5, 2))]),
        [
            ("refunded_not_clawed", [Refund("acme", S, 100, "re_1")]),
        ],
    ),
    (
        case(paid(), [gone(currency="jpy")]),
        [
            ("paid_not_credited", [sold("acme", "small", S, 500)]),
            ("refunded_not_clawed", []),
        ],
    ),
    (
        case(paid(currency="eur"), [gone(currency="eur")], [credit()]),
        [
            ("wrong_amount", []),
            ("refunded_not_clawed", []),
        ],
    ),
    # What is clawed moves along.
    (
        case(paid(), [gone()], [credit(Clawback("re_1", 100, 2), org="beta", cents=450)]),
        [
            (
                "wrong_org",
                [
                    ReverseRefund("beta", "re_1"),
                    undo("beta"),
                    sold("acme", "small", S, 500),
                    Refund("acme", S, 100, "re_1"),
                ],
            ),
            ("wrong_amount", []),
        ],
    ),
    # And what is wrong about clawbacks is mended on the way.
    (
        case(
            paid(),
            [gone("re_1", 100, "returned"), gone("re_2", 50), gone("re_3", 30)],
            [credit(Clawback("re_1", 100, 2), Clawback("hand", 10, 3), Clawback("re_3", 40, 4), cents=450)],
        ),
        [
            (
                "wrong_amount",
                [
                    ReverseRefund("acme", "re_1"),
                    ReverseRefund("acme", "hand"),
                    ReverseRefund("acme", "re_3"),
                    undo("acme"),
                    sold("acme", "small", f"{S}~2"),
                    Refund("acme", f"{S}~2", 30, "re_3~2"),
                ],
            ),
            ("clawed_not_refunded", []),
            ("failed_refund_clawed", []),
            ("wrong_amount", []),
            ("refunded_not_clawed", [Refund("acme", f"{S}~2", 50, "re_2")]),
        ],
    ),
    (case(paid(), [gone()], [credit()]), [("refunded_not_clawed", [Refund("acme", S, 100, "re_1")])]),
    (
        case(paid(), [gone()], [credit(Clawback("re_1", 100, 2, 3))]),
        [("refunded_not_clawed", [Refund("acme", S, 100, "re_1~2")])],
    ),
    (
        case(paid(), [gone("du_1", 500)], [credit(Clawback("re_1", 400, 2))]),
        [
            ("clawed_not_refunded", [ReverseRefund("acme", "re_1")]),
            ("refunded_not_clawed", [Refund("acme", S, 500, "du_1")]),
        ],
    ),
    (
        case(paid(), [gone()], [credit(Clawback("re_1", 60, 2))]),
        [("wrong_amount", [ReverseRefund("acme", "re_1"), Refund("acme", S, 100, "re_1~2")])],
    ),
    # What shrinks comes before what grows: together they fit.
    (
        case(
            paid(), [gone("re_1", 400), gone("re_2", 100)], [credit(Clawback("re_1", 300, 2), Clawback("re_2", 200, 3))]
        ),
        [
            ("wrong_amount", [ReverseRefund("acme", "re_2"), Refund("acme", S, 100, "re_2~2")]),
            ("wrong_amount", [ReverseRefund("acme", "re_1"), Refund("acme", S, 400, "re_1~2")]),
        ],
    ),
    (
        case(paid(), [gone(standing="returned")], [credit(Clawback("re_1", 100, 2))]),
        [("failed_refund_clawed", [ReverseRefund("acme", "re_1")])],
    ),
    (
        case(paid(), [gone("du_1", standing="void")], [credit(Clawback("du_1", 100, 2))]),
        [("failed_refund_clawed", [ReverseRefund("acme", "du_1")])],
    ),
    (
        case(paid(), [], [credit(Clawback("hand", 100, 2))]),
        [("clawed_not_refunded", [ReverseRefund("acme", "hand")])],
    ),
    # A ticket that claws as much as Stripe says is pointed out, and replaced.
    (
        case(paid(), [gone()], [credit(Clawback("T-77", 100, 2))]),
        [("clawed_by_hand", [ReverseRefund("acme", "T-77"), Refund("acme", S, 100, "re_1")])],
    ),
]


@pytest.mark.parametrize(("one", "expected"), DIFFERENCES)
def test_each_difference_and_what_mends_it(one: Case, expected: list[tuple[str, list[Operation]]]) -> None:
    assert found_in(one) == expected


@pytest.mark.parametrize(("one", "expected"), DIFFERENCES)
def test_every_finding_says_what_to_do(one: Case, expected: list[tuple[str, list[Operation]]]) -> None:
    for finding in compare(one, MENDER):
        document = finding.document()
        assert document["fix"]
        assert document["message"]
        assert len(document["operations"]) == len(finding.requests)


@pytest.mark.parametrize(
    ("givebacks", "found", "text"),
    [
        ([gone(cents=900)], credit(), "gave back 900 usd (400 more than is left of the payment"),
        ([gone(cents=900)], credit(Clawback("re_1", 5, 2)), "gave back 900 usd (400 more than is left of the payment"),
        ([gone(cents=400), gone("du_1", 500)], credit(Clawback("re_1", 400, 2)), "gave back 500 usd (400 more than"),
        ([gone(cents=500)], credit(), "gave back 500 usd, but nothing"),
    ],
)
def test_what_was_given_back_above_the_payment_is_told(givebacks: list[Giveback], found: Credit, text: str) -> None:
    (finding,) = compare(case(paid(), givebacks, [found]), MENDER)
    assert text in finding.message


def test_what_cannot_be_undone_is_mended_in_place() -> None:
    stuck = RepairPolicy(Seller(PACKS), "tester", obstacle="of the 1,000 units of entry 1, 7 are left")
    wrong = case(paid(), [gone()], [credit(Clawback("hand", 10, 2), org="beta"), credit(org="corp", seq=9)])
    assert found_in(wrong, stuck) == [
        ("duplicate", []),
        ("wrong_org", []),
        ("clawed_not_refunded", [ReverseRefund("beta", "hand")]),
        ("refunded_not_clawed", [Refund("beta", S, 100, "re_1")]),
    ]
    (finding,) = compare(case(paid(paid=False), [], [credit()]), stuck)
    assert finding.fix.startswith("by hand: it cannot be undone (of the 1,000 units of entry 1, 7 are left); ")


def test_names_run_out_in_the_end() -> None:
    undone = [credit(name=name, seq=seq, undone=True) for seq, name in enumerate(names_of(S), 1)]
    assert found_in(case(paid(), [], undone)) == [("paid_not_credited", [])]
    claws = [Clawback(name, 100, seq, seq + 1) for seq, name in enumerate(names_of("re_1"), 2)]
    assert len(claws) == MAX_NAMES
    assert found_in(case(paid(), [gone()], [credit(*claws)])) == [("refunded_not_clawed", [])]


def test_mending_takes_place_at_stripes_time() -> None:
    findings = compare(case(paid(), [gone(), gone("re_2", 50, "returned", LATER)]), MENDER)
    assert [request.at for request in repair_requests(findings)] == [AT, LATER]
    reversal = compare(
        case(paid(), [gone(standing="returned", back_at=LATER)], [credit(Clawback("re_1", 100, 2))]), MENDER
    )
    assert [request.at for request in repair_requests(reversal)] == [LATER]
    assert all(request.reason for request in repair_requests(findings))


# -- rehearsing


class Rehearsed:
    """Repairs on a layer above a desk's store, and counts how often."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.turns = 0

    def __call__(self, requests: Sequence[Request]) -> list[Receipt]:
        self.turns += 1
        layer = OverlayStore(self.desk.store, MemoryStore())
        return list(Ledger(layer, self.desk.clock, self.desk.ledger.terms, dry_run=True).execute(requests))


def test_what_the_journal_takes_is_rehearsed_once() -> None:
    rehearse = Rehearsed(Desk())
    findings = repairable_findings([case(paid())], MENDER, rehearse)
    assert [finding.kind for finding in findings] == ["paid_not_credited"]
    assert rehearse.turns == 1


def test_a_used_pack_stays_where_it_is_and_the_rest_is_mended() -> None:
    desk = Desk()
    desk.credit(S, org="beta")
    desk.debit(10, "run", org="beta")
    cases = [case(paid(), [gone()], [credit(org="beta")]), case(paid(session="cs_2"))._replace(session="cs_2")]
    rehearse = Rehearsed(desk)
    findings = repairable_findings(cases, MENDER, rehearse)
    assert [(finding.kind, len(finding.requests)) for finding in findings] == [
        ("wrong_org", 0),
        ("refunded_not_clawed", 1),
        ("paid_not_credited", 1),
    ]
    assert "990 are left" in findings[0].fix
    assert rehearse.turns == 2


def test_what_is_refused_all_the_same_says_why() -> None:
    cases = [case(paid(pack="gone"), [gone()])]
    findings = repairable_findings(cases, MENDER, Rehearsed(Desk()))
    assert [(finding.kind, finding.requests) for finding in findings] == [
        ("paid_not_credited", ()),
        ("refunded_not_clawed", ()),
    ]
    assert findings[0].fix == "by hand: there is no pack 'gone' in the config"


# -- as text

OPERATIONS: list[tuple[Operation, str]] = [
    (CreditPack("acme", "small", S, 400), f"meterctl credit-pack acme small --session {S} --paid-cents 400"),
    (Refund("acme", S, 100, "re_1"), f"meterctl refund acme --session {S} --cents 100 --refund-id re_1"),
    (ReverseRefund("acme", "re_1"), "meterctl refund acme --reverse re_1"),
    (Undo("acme", of="session:cs_1"), "meterctl undo acme --session cs_1 --reason TEXT"),
]


@pytest.mark.parametrize(("operation", "text"), OPERATIONS)
def test_an_operation_is_a_command_and_a_line_of_a_file(operation: Operation, text: str) -> None:
    assert command_of(operation) == text
    request = Request(operation, "tester", "because", AT)
    assert request_from_document(request_document(request), actor="someone else") == request


def test_any_other_operation_has_a_command_too() -> None:
    assert command_of(BookDue("acme")) == "meterctl book-due acme"


def test_several_receipts_are_as_bad_as_the_worst() -> None:
    desk = Desk()
    desk.credit(S)
    receipts = [desk.refund(S, 100, "re_1"), desk.refund("cs_none", 100, "re_2"), desk.refund(S, 50, "re_1")]
    answered = Receipts("refund", receipts)
    assert answered.exit_code == 5
    assert [row["status"] for row in answered.rows()] == ["applied", "refused", "conflict"]
    assert answered.document()["receipts"] == list(answered.rows())
    assert Receipts("refund", []).exit_code == 0


def test_a_finding_is_about_one_thing() -> None:
    finding = Discrepancy("duplicate", S, "acme", None, "one", "two", "twice", fix="by hand")
    assert finding.document() == {
        "kind": "duplicate",
        "org": "acme",
        "session": S,
        "refund_id": None,
        "expected": "one",
        "found": "two",
        "message": "twice",
        "fix": "by hand",
        "operations": [],
    }


def test_printed_commands_quote_org_ids_for_the_shell() -> None:
    assert command_of(ReverseRefund("a|b", "T|7")) == "meterctl refund 'a|b' --reverse 'T|7'"


def test_a_payment_under_another_name_is_credited_anew() -> None:
    desk = Desk()
    desk.credit("pi_1", "short", cents=500)
    one = case(paid(names=("pi_1",)), [], [credit(name="pi_1", pack="short")])
    (finding,) = repairable_findings([one], MENDER, Rehearsed(desk))
    anew = CreditPack("acme", "small", f"{S}~2", 500, names=("pi_1",), currency="usd")
    assert [request.operation for request in finding.requests] == [undo("acme", "pi_1"), anew]
    assert all(receipt.applied for receipt in desk.ledger.execute(finding.requests))
    assert desk.balance() == 1000


def test_a_pack_beside_one_that_cannot_be_undone_is_not_planned() -> None:
    desk = Desk()
    desk.credit("pi_1", "short", cents=2000)
    desk.debit(10, "run")
    parts = [paid(session="in_1:a", names=("in_1", "pi_1")), paid(session="in_1:b", names=("in_1:2",), pack="short")]
    cases = [
        Case("in_1:a", parts[0], (), (credit(name="pi_1", pack="short", cents=2000),)),
        Case("in_1:b", parts[1]),
    ]
    findings = repairable_findings(cases, MENDER, Rehearsed(desk))
    assert [(finding.kind, len(finding.requests)) for finding in findings] == [
        ("wrong_pack", 0),
        ("wrong_amount", 0),
        ("paid_not_credited", 0),
    ]
    assert "may stand for this pack too" in findings[2].fix
