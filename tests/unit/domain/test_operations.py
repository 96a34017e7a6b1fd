"""What can be asked for: identifiers, amounts, keys, and the form of an input line."""

from collections.abc import Callable
from typing import Any

import pytest
from bson.int64 import Int64

from meterctl.core.domain import operation_documents
from meterctl.core.domain.checks import (
    MAX_FEATURES,
    check_feature,
    check_flag,
    check_integer,
    check_org,
    check_plan,
    check_ratio,
    check_ref,
    check_step,
    check_text,
)
from meterctl.core.domain.operation_documents import request_from_document
from meterctl.core.domain.operations import (
    Adjust,
    AssignPlan,
    Attribute,
    BookDue,
    CreditPack,
    Debit,
    ExtendLot,
    ForceReset,
    Hold,
    Operation,
    Refund,
    Release,
    Request,
    ReverseRefund,
    Undo,
    VoidLot,
)
from meterctl.core.errors import BadInput
from meterctl.core.model import MAX_UNITS, Instant

WHEN = Instant("2026-11-22T10:03:00.000Z")


def code_of(make: Callable[[], object]) -> str:
    with pytest.raises(BadInput) as caught:
        make()
    assert caught.value.hint
    assert caught.value.exit_code == 2
    return caught.value.code


# identifiers


@pytest.mark.parametrize("org", ["a", "7", "acme", "Acme_1.eu-west", "a" * 64, "org-007"])
def test_an_org(org: str) -> None:
    assert check_org(org) == org


@pytest.mark.parametrize(
    "org",
    [
        "",
        ".a",
        "-a",
        "@a",
        "#a",
        "a b",
        "a,b",
        "a%b",
        "a$b",
        "a\n",
        "é",
        "a" * 129,
        "٣",
        "a\x1b[31m",
        "../x",
        None,
        7,
        b"a",
    ],
)
def test_what_is_no_org(org: object) -> None:
    assert code_of(lambda: check_org(org)) == "bad_org"


@pytest.mark.parametrize("ref", ["r", "cs_test_a1", "!", "~", "a:b:c", "%", "größe", "注文42", "r" * 200])
def test_a_ref(ref: str) -> None:
    assert check_ref(ref) == ref


@pytest.mark.parametrize(
    "ref",
    ["", " ", "a b", "a\tb", "a\n", "\x00", "a\x7f", "a\u00a0b", "a\u200b", "a\u202eb", "\ud800", "r" * 201, None, 7],
)
def test_l54_what_is_no_ref(ref: object) -> None:
    assert code_of(lambda: check_ref(ref)) == "bad_ref"


@pytest.mark.parametrize("step", ["main", "a:b", "A_1-2", ":", "s" * 64])
def test_a_step(step: str) -> None:
    assert check_step(step) == step


@pytest.mark.parametrize("step", ["", "a b", "a.b", "a/b", "é", "s" * 65, "main\n", None, 1])
def test_l22_what_is_no_step(step: object) -> None:
    assert code_of(lambda: check_step(step)) == "bad_step"


@pytest.mark.parametrize("feature", ["llm", "LLM-4_1", "gpt-4.1", "openai/gpt-4o", "a:b@c+d", "f" * 64])
def test_a_feature(feature: str) -> None:
    assert check_feature(feature) == feature


@pytest.mark.parametrize("feature", ["", "a b", "a|b", "$a", "a,b", "default", "base", "f" * 65, None])
def test_l23_what_is_no_feature(feature: object) -> None:
    assert code_of(lambda: check_feature(feature)) == "bad_feature"


@pytest.mark.parametrize("plan", ["", "a.b", "a b", "p" * 65, None])
def test_what_is_no_plan(plan: object) -> None:
    assert code_of(lambda: check_plan(plan)) == "bad_plan"


# numbers, flags, text


@pytest.mark.parametrize("ratio", ["0", "1", "1.25", "0.000000000000000001", "999999999999"])
def test_a_ratio(ratio: str) -> None:
    assert check_ratio("llm", ratio) == check_ratio("default", ratio) == ratio


@pytest.mark.parametrize("ratio", ["", "-1", "1e3", ".5", "1.", "1,5", "nan", "1" * 13, "0." + "1" * 19, "٣"])
def test_what_is_no_ratio(ratio: str) -> None:
    assert code_of(lambda: check_ratio("llm", ratio)) == "bad_ratio"
    assert code_of(lambda: check_ratio("a b", "1")) == code_of(lambda: check_ratio("base", "1")) == "bad_feature"


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1),
        ("1", 1),
        ("+7", 7),
        ("007", 7),
        (MAX_UNITS, MAX_UNITS),
        (str(MAX_UNITS), MAX_UNITS),
        (Int64(MAX_UNITS), MAX_UNITS),
    ],
)
def test_a_whole_number(value: object, number: int) -> None:
    assert check_integer(value, "units", least=1) == number


@pytest.mark.parametrize(
    "value",
    [
        0, -1, 2**53, "0", "-5", str(2**53), "9" * 18, 1.0, "1.0", "120.0", "1e3", "", " 1", "1 ", "1_000", "٣", True,
        None, [1], "nan",
    ],
)  # fmt: skip
def test_l57_what_is_no_number_of_units(value: object) -> None:
    assert code_of(lambda: check_integer(value, "units", least=1)) == "bad_number"


@pytest.mark.parametrize(("value", "flag"), [(True, True), (False, False), ("true", True), ("false", False)])
def test_a_flag(value: object, flag: bool) -> None:
    assert check_flag(value, "allow_debt") is flag


@pytest.mark.parametrize("value", ["", "yes", "True", 1, 0, None])
def test_what_is_no_flag(value: object) -> None:
    assert code_of(lambda: check_flag(value, "allow_debt")) == "bad_flag"


@pytest.mark.parametrize("text", ["x", "two words", "x" * 10, "grüße\n"])
def test_text(text: str) -> None:
    assert check_text(text, "reason", 10) == text


@pytest.mark.parametrize("text", ["", "  ", "\n", "x" * 11, "\ud800", None, 5])
def test_what_is_no_text(text: object) -> None:
    assert code_of(lambda: check_text(text, "reason", 10)) == "bad_reason"


# operations

#: What a credit says beyond pack, session and price.
PLAIN = {"quantity": 1, "tax_cents": 0, "currency": None, "expires_at": None}

MADE: list[tuple[Operation, str, dict[str, Any]]] = [
    (
        CreditPack("acme", "small", "cs_1"),
        "session:cs_1",
        {"op": "credit-pack", "pack": "small", "session": "cs_1", "paid_cents": None, **PLAIN},
    ),
    (
        CreditPack("acme", "small", "cs_1", 0),
        "session:cs_1",
        {"op": "credit-pack", "pack": "small", "session": "cs_1", "paid_cents": 0, **PLAIN},
    ),
    (Debit("acme", 5, "r1"), "debit:r1", {"op": "debit", "units": 5, "ref": "r1", "allow_debt": False}),
    (Debit("acme", 5, "r1", True), "debit:r1", {"op": "debit", "units": 5, "ref": "r1", "allow_debt": True}),
    (
        Refund("acme", "cs_1", 250, "re_1"),
        "refund:re_1",
        {"op": "refund", "session": "cs_1", "cents": 250, "refund_id": "re_1"},
    ),
    (ReverseRefund("acme", "re_1"), "refund-reversal:re_1", {"op": "reverse-refund", "refund_id": "re_1"}),
    (
        Adjust("acme", -5, "r1"),
        "adjust:r1",
        {"op": "adjust", "units": -5, "ref": "r1", "expires_at": None, "allow_debt": False},
    ),
    (
        Adjust("acme", 5, "r1", WHEN),
        "adjust:r1",
        {"op": "adjust", "units": 5, "ref": "r1", "expires_at": WHEN, "allow_debt": False},
    ),
    (
        Attribute("acme", "run-1", units=3),
        "run:run-1:main",
        {"op": "attribute", "run": "run-1", "step": "main", "costs": None, "units": 3, "plan_version": None},
    ),
    (
        Attribute("acme", "run-1", "s:2", {"llm": "0.10"}, plan_version=2),
        "run:run-1:s:2",
        {"op": "attribute", "run": "run-1", "step": "s:2", "costs": {"llm": "0.1"}, "units": None, "plan_version": 2},
    ),
    (AssignPlan("acme", "pro", "r1"), "plan:r1", {"op": "assign-plan", "plan": "pro", "ref": "r1"}),
    (Undo("acme", 7), "", {"op": "undo", "of": None}),
    (Undo("acme", of="debit:r1"), "undo:debit:r1", {"op": "undo", "of": "debit:r1"}),
    (Undo("acme", 7, "run:a%3Ab:c"), "undo:run:a%3Ab:c", {"op": "undo", "of": "run:a%3Ab:c"}),
    (ExtendLot("acme", 3, WHEN, "x1"), "extend:x1", {"op": "extend-lot", "lot": 3, "expires_at": WHEN, "ref": "x1"}),
    (ExtendLot("acme", 3, None, "x1"), "extend:x1", {"op": "extend-lot", "lot": 3, "expires_at": None, "ref": "x1"}),
    (VoidLot("acme", 3, "v1"), "void:v1", {"op": "void-lot", "lot": 3, "ref": "v1"}),
    (Hold("acme", 5, "h1"), "hold:h1", {"op": "hold", "units": 5, "ref": "h1", "for": "60m"}),
    (Hold("acme", 5, "h1", lasts="2h"), "hold:h1", {"op": "hold", "units": 5, "ref": "h1", "for": "120m"}),
    (Hold("acme", 5, "h1", WHEN), "hold:h1", {"op": "hold", "units": 5, "ref": "h1", "expires_at": WHEN}),
    (Release("acme", "h1"), "release:h1", {"op": "release", "hold": "h1"}),
    (
        AssignPlan("acme", "pro", "r1", "next-week"),
        "plan:r1",
        {"op": "assign-plan", "plan": "pro", "ref": "r1", "from": "next-week"},
    ),
    (ForceReset("acme", "r1"), "reset:r1", {"op": "reset-week", "ref": "r1"}),
    (BookDue("acme"), "", {"op": "book-due"}),
]


@pytest.mark.parametrize(("operation", "key", "parameters"), MADE)
def test_key_and_parameters(operation: Operation, key: str, parameters: dict[str, Any]) -> None:
    assert operation.key == key
    assert operation.parameters() == parameters
    assert operation.name == parameters["op"]


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: CreditPack("a b", "small", "s"), "bad_org"),
        (lambda: CreditPack("acme", "sm all", "s"), "bad_pack"),
        (lambda: CreditPack("acme", "small", "s s"), "bad_session"),
        (lambda: CreditPack("acme", "small", "s", -1), "bad_number"),
        (lambda: CreditPack("acme", "small", "s", 2**53), "bad_number"),
        (lambda: Debit("", 5, "r"), "bad_org"),
        (lambda: Debit("acme", 0, "r"), "bad_number"),
        (lambda: Debit("acme", -5, "r"), "bad_number"),
        (lambda: Debit("acme", 2**53, "r"), "bad_number"),
        (lambda: Debit("acme", 5, ""), "bad_ref"),
        (lambda: Refund("-", "s", 1, "re"), "bad_org"),
        (lambda: Refund("acme", "", 1, "re"), "bad_session"),
        (lambda: Refund("acme", "s", 0, "re"), "bad_number"),
        (lambda: Refund("acme", "s", 1, ""), "bad_refund_id"),
        (lambda: ReverseRefund("acme", "a b"), "bad_refund_id"),
        (lambda: ReverseRefund("$", "re"), "bad_org"),
        (lambda: Adjust("acme", 0, "r"), "bad_number"),
        (lambda: Adjust("acme", 2**53, "r"), "bad_number"),
        (lambda: Adjust("acme", -(2**53), "r"), "bad_number"),
        (lambda: Adjust("acme", 5, " "), "bad_ref"),
        (lambda: Adjust("$", 5, "r"), "bad_org"),
        (lambda: Adjust("acme", -5, "r", WHEN), "bad_expires"),
        (lambda: Attribute("$", "run", units=1), "bad_org"),
        (lambda: Attribute("acme", "r u n", units=1), "bad_run"),
        (lambda: Attribute("acme", "run", "a.b", units=1), "bad_step"),
        (lambda: Attribute("acme", "run"), "bad_costs"),
        (lambda: Attribute("acme", "run", costs={}, units=1), "bad_costs"),
        (lambda: Attribute("acme", "run", units=0), "bad_number"),
        (lambda: Attribute("acme", "run", units=1, plan_version=-1), "bad_number"),
        (lambda: Attribute("acme", "run", costs={"base": "1"}), "bad_feature"),
        (lambda: Attribute("acme", "run", costs={f"f{n}": "1" for n in range(MAX_FEATURES + 1)}), "bad_costs"),
        (lambda: AssignPlan("acme", "p p", "r"), "bad_plan"),
        (lambda: AssignPlan("acme", "pro", ""), "bad_ref"),
        (lambda: AssignPlan("$", "pro", "r"), "bad_org"),
        (lambda: Undo("acme", 0), "bad_number"),
        (lambda: Undo("acme"), "missing_field"),
        (lambda: Undo("acme", of=""), "bad_of"),
        (lambda: Undo("acme", of="debit: 1"), "bad_of"),
        (lambda: CreditPack("acme", "small", "s", quantity=0), "bad_number"),
        (lambda: CreditPack("acme", "small", "s", tax_cents=-1), "bad_number"),
        (lambda: CreditPack("acme", "small", "s", 100, tax_cents=101), "bad_number"),
        (lambda: CreditPack("acme", "small", "s", currency="USD"), "bad_currency"),
        (lambda: CreditPack("acme", "small", "s", names=("a b",)), "bad_name"),
        (lambda: CreditPack("acme", "small", "s", names=tuple(f"n{n}" for n in range(21))), "bad_name"),
        (lambda: Adjust("acme", -5, "r", priority=1), "bad_priority"),
        (lambda: Adjust("acme", 5, "r", priority=101), "bad_number"),
        (lambda: Adjust("acme", 5, "r", lot=1), "bad_lot"),
        (lambda: Adjust("acme", -5, "r", lot=0), "bad_number"),
        (lambda: Adjust("acme", -5, "r", allow_debt=True, lot=1), "bad_lot"),
        (lambda: ExtendLot("acme", 0, None, "r"), "bad_number"),
        (lambda: ExtendLot("$", 1, None, "r"), "bad_org"),
        (lambda: ExtendLot("acme", 1, None, ""), "bad_ref"),
        (lambda: VoidLot("acme", 0, "r"), "bad_number"),
        (lambda: VoidLot("$", 1, "r"), "bad_org"),
        (lambda: VoidLot("acme", 1, ""), "bad_ref"),
        (lambda: Hold("acme", 0, "r"), "bad_number"),
        (lambda: Hold("$", 1, "r"), "bad_org"),
        (lambda: Hold("acme", 1, " "), "bad_ref"),
        (lambda: Hold("acme", 1, "r", lasts="soon"), "bad_for"),
        (lambda: Hold("acme", 1, "r", lasts="0m"), "bad_for"),
        (lambda: Hold("acme", 1, "r", lasts="32d"), "bad_for"),
        (lambda: Hold("acme", 1, "r", WHEN, "1h"), "bad_for"),
        (lambda: Release("acme"), "missing_field"),
        (lambda: Release("acme", ""), "bad_hold"),
        (lambda: Release("$", "h"), "bad_org"),
        (lambda: Attribute("acme", "r", units=1, hold=""), "bad_hold"),
        (lambda: Undo("$", 1), "bad_org"),
        (lambda: ForceReset("acme", ""), "bad_ref"),
        (lambda: ForceReset("$", "r"), "bad_org"),
    ],
)
def test_nothing_malformed_can_be_made(make: Callable[[], object], code: str) -> None:
    assert code_of(make) == code


def test_an_operation_of_no_kind_has_neither_key_nor_parameters() -> None:
    with pytest.raises(NotImplementedError):
        _ = Operation("acme").key
    with pytest.raises(NotImplementedError):
        Operation("acme").parameters()


def test_a_hundred_features_are_not_too_many() -> None:
    assert Attribute("acme", "run", costs={f"f{n}": "1" for n in range(MAX_FEATURES)}).costs


def test_l21_runs_and_steps_with_colons_keep_keys_apart() -> None:
    pairs = [
        (run, step)
        for run in ("a", "a:b", "a:b:c", "a%3Ab", "a%3ab", "a%", "a%25", ":", "::", "%", "%3A")
        for step in ("b", "c", "b:c", ":", "b:c:d", "main")
    ]
    keys = {Attribute("acme", run, step, units=1).key for run, step in pairs}
    assert len(keys) == len(pairs)


def test_costs_written_differently_are_the_same_input() -> None:
    one, other = ({"llm": "0.10", "ocr": "2"}, {"ocr": "2.000", "llm": "1e-1"})
    assert Attribute("acme", "r", costs=one).parameters() == Attribute("acme", "r", costs=other).parameters()


# requests


@pytest.mark.parametrize("operation", [Adjust("acme", 5, "r"), Undo("acme", 1), ForceReset("acme", "r")])
def test_l08_what_an_operator_does_by_hand_needs_a_reason(operation: Operation) -> None:
    assert code_of(lambda: Request(operation, "kim")) == "reason_required"
    assert code_of(lambda: Request(operation, "kim", " ")) == "bad_reason"
    assert Request(operation, "kim", "typo").reason == "typo"


@pytest.mark.parametrize(
    ("actor", "reason", "code"),
    [
        ("", None, "bad_actor"),
        ("a" * 201, None, "bad_actor"),
        ("kim", "", "bad_reason"),
        ("kim", "x" * 2001, "bad_reason"),
    ],
)
def test_who_and_why_are_checked(actor: str, reason: str | None, code: str) -> None:
    assert code_of(lambda: Request(Debit("acme", 1, "r"), actor, reason)) == code


def test_everything_else_needs_none() -> None:
    assert Request(Debit("acme", 1, "r"), "kim").reason is None


# input lines


def read(**document: Any) -> Request:
    return request_from_document(document, actor="batch", reason="import")


@pytest.mark.parametrize(
    ("document", "operation"),
    [
        ({"op": "credit-pack", "pack": "small", "session": "s"}, CreditPack("acme", "small", "s")),
        (
            {"op": "credit-pack", "pack": "small", "session": "s", "paid_cents": "0"},
            CreditPack("acme", "small", "s", 0),
        ),
        ({"op": "debit", "units": "5", "ref": "r", "allow_debt": "true"}, Debit("acme", 5, "r", True)),
        ({"op": "debit", "units": 5, "ref": "r", "allow_debt": None}, Debit("acme", 5, "r")),
        ({"op": "refund", "session": "s", "cents": 9, "refund_id": "re"}, Refund("acme", "s", 9, "re")),
        ({"op": "reverse-refund", "refund_id": "re"}, ReverseRefund("acme", "re")),
        ({"op": "adjust", "units": "-5", "ref": "r"}, Adjust("acme", -5, "r")),
        (
            {"op": "adjust", "units": 5, "ref": "r", "expires_at": "2026-11-22T11:03:00+01:00"},
            Adjust("acme", 5, "r", WHEN),
        ),
        ({"op": "attribute", "run": "r", "units": 4}, Attribute("acme", "r", units=4)),
        (
            {"op": "attribute", "run": "r", "step": "s", "costs": {"llm": "0.1", "ocr": 2}, "plan_version": 1},
            Attribute("acme", "r", "s", {"llm": "0.1", "ocr": "2"}, None, 1),
        ),
        ({"op": "assign-plan", "plan": "pro", "ref": "r"}, AssignPlan("acme", "pro", "r")),
        ({"op": "undo", "seq": "7"}, Undo("acme", 7)),
        ({"op": "undo", "of": "debit:r1"}, Undo("acme", of="debit:r1")),
        ({"op": "extend-lot", "lot": 3, "expires_at": "never", "ref": "x"}, ExtendLot("acme", 3, None, "x")),
        (
            {"op": "extend-lot", "lot": "3", "expires_at": "2026-11-22T10:03Z", "ref": "x"},
            ExtendLot("acme", 3, WHEN, "x"),
        ),
        ({"op": "void-lot", "lot": 3, "ref": "v"}, VoidLot("acme", 3, "v")),
        ({"op": "hold", "units": 5, "ref": "h"}, Hold("acme", 5, "h")),
        ({"op": "hold", "units": 5, "ref": "h", "for": "90m"}, Hold("acme", 5, "h", None, "90m")),
        ({"op": "hold", "units": 5, "ref": "h", "expires_at": "2026-11-22T10:03Z"}, Hold("acme", 5, "h", WHEN)),
        ({"op": "release", "ref": "h"}, Release("acme", "h")),
        ({"op": "release", "hold": "h"}, Release("acme", "h")),
        ({"op": "attribute", "run": "r", "units": 4, "hold": "h"}, Attribute("acme", "r", units=4, hold="h")),
        (
            {"op": "credit-pack", "pack": "small", "session": "s", "names": ["pi", "ch", "pi", "s"], "quantity": 2},
            CreditPack("acme", "small", "s", quantity=2, names=("pi", "ch")),
        ),
        (
            {"op": "credit-pack", "pack": "small", "session": "s", "names": "pi ch", "tax_cents": 5, "currency": "eur"},
            CreditPack("acme", "small", "s", tax_cents=5, names=("pi", "ch"), currency="eur"),
        ),
        ({"op": "adjust", "units": 5, "ref": "r", "priority": "10"}, Adjust("acme", 5, "r", priority=10)),
        ({"op": "adjust", "units": -5, "ref": "r", "lot": 2}, Adjust("acme", -5, "r", lot=2)),
        (
            {"op": "assign-plan", "plan": "pro", "ref": "r", "from": "next-week"},
            AssignPlan("acme", "pro", "r", "next-week"),
        ),
        (
            {"op": "assign-plan", "plan": "pro", "ref": "r", "from": "2026-11-22T10:03Z"},
            AssignPlan("acme", "pro", "r", WHEN),
        ),
        ({"op": "reset-week", "ref": "r"}, ForceReset("acme", "r")),
        ({"op": "book-due"}, BookDue("acme")),
    ],
)
def test_an_input_line(document: dict[str, Any], operation: Operation) -> None:
    request = read(org="acme", **document)
    assert request == Request(operation, "batch", "import", None)


def test_every_operation_of_a_file_has_its_line_above() -> None:
    assert set(operation_documents._FORMS) == {
        "credit-pack", "debit", "refund", "reverse-refund", "adjust", "attribute", "assign-plan", "undo",
        "reset-week", "book-due", "extend-lot", "void-lot", "hold", "release",
    }  # fmt: skip


def test_a_field_that_says_nothing_is_left_out_whatever_its_name() -> None:
    assert read(op="debit", org="acme", units=5, ref="r", note=None, at=None) == read(
        op="debit", org="acme", units=5, ref="r"
    )


def test_a_line_may_say_who_why_and_when() -> None:
    request = read(op="undo", org="acme", seq=1, actor="kim", reason="typo", at="2026-11-22T10:03Z")
    assert (request.actor, request.reason, request.at) == ("kim", "typo", WHEN)


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({}, "bad_op"),
        ({"op": "mint"}, "bad_op"),
        ({"op": ["debit"]}, "bad_op"),
        ({"op": "expire", "org": "acme", "ref": "r"}, "bad_op"),
        ({"op": "debit", "org": "acme", "units": 5, "ref": "r", "unit": 5}, "bad_field"),
        ({"op": "debit", "org": "acme", "units": 5}, "missing_field"),
        ({"op": "debit", "units": 5, "ref": "r"}, "missing_field"),
        ({"op": "debit", "org": None, "units": 5, "ref": "r"}, "missing_field"),
        ({"op": "debit", "org": "acme", "units": None, "ref": "r"}, "missing_field"),
        ({"op": "debit", "org": "acme", "units": 5.0, "ref": "r"}, "bad_number"),
        ({"op": "debit", "org": "acme", "units": "120.0", "ref": "r"}, "bad_number"),
        ({"op": "debit", "org": "acme", "units": -5, "ref": "r"}, "bad_number"),
        ({"op": "debit", "org": "acme", "units": 5, "ref": "r", "allow_debt": 1}, "bad_flag"),
        ({"op": "debit", "org": "acme", "units": 5, "ref": 7}, "bad_ref"),
        ({"op": "refund", "org": "acme", "session": "s", "cents": 0, "refund_id": "re"}, "bad_number"),
        ({"op": "credit-pack", "org": "acme", "pack": "p", "session": "s", "paid_cents": -1}, "bad_number"),
        ({"op": "attribute", "org": "acme", "run": "r", "costs": "0.1"}, "bad_costs"),
        ({"op": "attribute", "org": "acme", "run": "r", "costs": {"llm": 0.1}}, "bad_costs"),
        ({"op": "attribute", "org": "acme", "run": "r", "costs": {"llm": True}}, "bad_costs"),
        ({"op": "attribute", "org": "acme", "run": "r", "costs": {"llm": None}}, "bad_costs"),
        ({"op": "attribute", "org": "acme", "run": "r", "costs": {"a b": "1"}}, "bad_feature"),
        ({"op": "attribute", "org": "acme", "run": "r", "units": 1, "plan_version": -1}, "bad_number"),
        ({"op": "attribute", "org": "acme", "run": "r"}, "bad_costs"),
        ({"op": "undo", "org": "acme", "seq": 0}, "bad_number"),
        ({"op": "undo", "org": "acme", "seq": "9" * 2000}, "bad_number"),
        ({"op": "book-due", "org": ["acme"]}, "bad_org"),
        ({"op": "book-due", "org": "no org!"}, "bad_org"),
        ({"op": "adjust", "org": "acme", "units": 0, "ref": "r"}, "bad_number"),
        ({"op": "adjust", "org": "acme", "units": 5, "ref": "r", "expires_at": 5}, "bad_time"),
        ({"op": "debit", "org": "acme", "units": 5, "ref": "r", "at": 5}, "bad_time"),
        ({"op": "debit", "org": "acme", "units": 5, "ref": "r", "at": "soon"}, "bad_time"),
        ({"op": "debit", "org": "acme", "units": 5, "ref": "r", "actor": 5}, "bad_actor"),
        ({"op": "debit", "org": "acme", "units": 5, "ref": "r", "reason": "\ud800"}, "bad_reason"),
    ],
)
def test_a_line_that_cannot_mean_anything(document: dict[str, Any], code: str) -> None:
    assert code_of(lambda: read(**document)) == code


# values that only Python can give: whatever an entry could not be read with again is refused when it is made


NO_INSTANT = ["", "soon", "2026-12-31", "2026-12-31T00:00:00Z", "2026-02-30T00:00:00.000Z", "never", 1798675200, True]


@pytest.mark.parametrize("value", NO_INSTANT)
@pytest.mark.parametrize(
    "make",
    [
        lambda value: CreditPack("acme", "small", "cs_1", expires_at=value),
        lambda value: Adjust("acme", 5, "r", expires_at=value),
        lambda value: ExtendLot("acme", 1, value, "r"),
        lambda value: Hold("acme", 5, "r", expires_at=value),
        lambda value: AssignPlan("acme", "pro", "r", from_at=value),
        lambda value: Request(Debit("acme", 5, "r"), "mia", at=value),
    ],
)
def test_a_time_in_another_form_is_refused(make: Callable[[Any], object], value: object) -> None:
    assert code_of(lambda: make(value)) == "bad_time"


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: CreditPack("acme", "small", "cs_1", currency="EUR"), "bad_currency"),
        (lambda: CreditPack("acme", "small", "cs_1", currency=""), "bad_currency"),
        (lambda: CreditPack("acme", "small", "cs_1", currency=978), "bad_currency"),  # type: ignore[arg-type]
        (lambda: CreditPack("acme", "small", "cs_1", names="pi_1"), "bad_name"),  # type: ignore[arg-type]
        (lambda: CreditPack("acme", "small", "cs_1", names=7), "bad_name"),  # type: ignore[arg-type]
        (lambda: CreditPack("acme", "small", "cs_1", names=("pi 1",)), "bad_name"),
        (lambda: CreditPack("acme", "small", "cs_1", names=(None,)), "bad_name"),  # type: ignore[arg-type]
        (lambda: CreditPack("acme", "small", "cs_1", quantity=0), "bad_number"),
        (lambda: CreditPack("acme", "small", "cs_1", tax_cents=1.5), "bad_number"),  # type: ignore[arg-type]
        (lambda: Adjust("acme", 5, "r", priority=101), "bad_number"),
        (lambda: Adjust("acme", 5, "r", priority=True), "bad_number"),
        (lambda: Adjust("acme", 5, "r", allow_debt=1), "bad_flag"),  # type: ignore[arg-type]
        (lambda: Debit("acme", 5, "r", allow_debt="yes"), "bad_flag"),  # type: ignore[arg-type]
        (lambda: Hold("acme", 5, "r", lasts="1 h"), "bad_for"),
        (lambda: Hold("acme", 5, "r", lasts="0m"), "bad_for"),
        (lambda: Hold("acme", 5, "r", lasts="32d"), "bad_for"),
        (lambda: Hold("acme", 5, "r", lasts=60), "bad_for"),  # type: ignore[arg-type]
        (lambda: Attribute("acme", "run", costs={"llm": 0.1}), "bad_costs"),  # type: ignore[dict-item]
        (lambda: Attribute("acme", "run", costs=["llm"]), "bad_costs"),  # type: ignore[arg-type]
        (lambda: Attribute("acme", "run", units=1, hold=""), "bad_hold"),
        (lambda: Undo("acme", of="debit:\n"), "bad_of"),
        (lambda: Request(Debit("acme", 5, "r"), "mia", approved_by=""), "bad_approved_by"),
    ],
)
def test_a_malformed_value_is_refused(make: Callable[[], object], code: str) -> None:
    assert code_of(make) == code


def test_digits_become_the_number_that_is_stored() -> None:
    pack = CreditPack("acme", "small", "cs_1", paid_cents="500", quantity="2", tax_cents="0")  # type: ignore[arg-type]
    assert (pack.paid_cents, pack.quantity, pack.tax_cents) == (500, 2, 0)
    grant = Adjust("acme", "5", "r", priority="7", allow_debt="true")  # type: ignore[arg-type]
    assert (grant.units, grant.priority, grant.allow_debt) == (5, 7, True)
    assert Adjust("acme", -5, "r", lot="3").lot == 3  # type: ignore[arg-type]
    run = Attribute("acme", "run", units="9", plan_version="2")  # type: ignore[arg-type]
    assert (run.units, run.plan_version) == (9, 2)
    assert Undo("acme", seq="4", of="debit:r").seq == 4  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["pi_1 ch_1", "pi_1,ch_1", "pi_1, ch_1", "pi_1;ch_1", " pi_1 ;ch_1; ", "pi_1\nch_1", '["pi_1", "ch_1"]']
)
def test_each_name_in_a_text_is_a_name(text: str) -> None:
    fields = {"op": "credit-pack", "org": "acme", "pack": "small", "session": "cs_1", "names": text}
    operation = request_from_document(fields, actor="me").operation
    assert isinstance(operation, CreditPack)
    assert operation.names == ("pi_1", "ch_1")


@pytest.mark.parametrize(
    "text",
    [
        "[",
        '["pi_1"',
        '{"a": 1}x[',
        "[1]",
        '[["pi_1"]]',
        "[" * 100_000,
        '["pi 1"]',
        ",",
        "'pi_1'",
        '{"a": 1}',
        '"pi_1" "ch_1"',
    ],
)
def test_a_text_that_holds_no_names_is_refused(text: str) -> None:
    fields = {"op": "credit-pack", "org": "acme", "pack": "small", "session": "cs_1", "names": text}
    with pytest.raises(BadInput) as caught:
        request_from_document(fields, actor="me")
    assert caught.value.code in ("bad_name", "bad_a name", "bad_ref")


def test_a_list_of_names_is_taken_as_it_is() -> None:
    fields = {"op": "credit-pack", "org": "acme", "pack": "small", "session": "cs_1", "names": ["a,b", "c;d"]}
    operation = request_from_document(fields, actor="me").operation
    assert isinstance(operation, CreditPack)
    assert operation.names == ("a,b", "c;d")
