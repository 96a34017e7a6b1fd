"""Commands that messages suggest: whatever an id holds, they can be pasted into a shell."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from meterctl.core.domain.operations import AssignPlan, BookDue, CreditPack, Operation, Refund, ReverseRefund, Undo
from meterctl.core.errors import shell_command, shell_word, with_org
from meterctl.core.payments.reconcile.findings import command_of
from tests.desk import Desk

SOURCES = Path(__file__).parents[2] / "meterctl"
COMMAND = re.compile(r"\bmeterctl [a-z]")
QUOTING = ("shell_word", "shell_command")

WORDS = ["acme", "auth0|507f", "it's", "a#b", "$(id)", "`id`", "x;y", "cs_1~2", "a b", "--all", "*", "&", ""]


@pytest.mark.parametrize("word", WORDS)
def test_a_shell_reads_the_word_as_it_is(word: str) -> None:
    assert shlex.split(shell_word(word), comments=True) == [word]


def test_a_command_is_read_word_by_word() -> None:
    assert shlex.split(shell_command("ledger", *WORDS, 7), comments=True) == ["meterctl", "ledger", *WORDS, "7"]


ORG, SESSION, REFUND = "auth0|507f", "cs_1;rm", "re_1$(x)"


@pytest.mark.parametrize(
    "operation",
    [
        CreditPack(ORG, "small", SESSION, 500, quantity=2, tax_cents=5, names=("pi_`x`",)),
        Refund(ORG, SESSION, 5, REFUND),
        ReverseRefund(ORG, REFUND),
        Undo(ORG, of=f"session:{SESSION}"),
        AssignPlan(ORG, "pro", "sub_1;x:1"),
        BookDue(ORG),
    ],
)
def test_an_operation_is_shown_as_a_command_for_a_shell(operation: Operation) -> None:
    words = shlex.split(command_of(operation), comments=True)
    assert ORG in words
    for name in ("session", "refund_id", "ref"):
        if value := getattr(operation, name, None):
            assert value in words


def test_hints_of_refusals_quote_ids() -> None:
    desk = Desk()
    desk.credit("s1", org=ORG)
    desk.void(1, "v1", org=ORG)
    for receipt in (desk.void(1, "v;2", org=ORG), desk.extend(1, "2027-01-01T00:00:00Z", "e;1", org=ORG)):
        assert receipt.hint is not None
        assert ORG in shlex.split(receipt.hint.partition("meterctl ")[2], comments=True)
    assert shlex.quote(ORG) in str(desk.debit(9, "d;1", org=ORG).hint)


def test_a_refused_hold_names_no_option_that_a_hold_does_not_have() -> None:
    desk = Desk()
    refused = desk.hold(101, "h1")
    assert refused.reason == "insufficient_balance"
    assert refused.hint == "see quota, balance and holds with: meterctl explain acme"


def unquoted(tree: ast.AST) -> Iterator[int]:
    """Yield the lines of texts that put a value into a command unquoted."""
    for text in (node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)):
        begun = False
        for part in text.values:
            if isinstance(part, ast.Constant):
                begun = begun or COMMAND.search(str(part.value)) is not None
            elif begun and isinstance(part, ast.FormattedValue) and not _is_quoted(part.value):
                yield text.lineno


def _is_quoted(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in QUOTING


def test_no_message_puts_a_value_into_a_command_unquoted() -> None:
    assert list(unquoted(ast.parse('f"x: meterctl verify {org}"'))) == [1]
    found = [
        f"{path.relative_to(SOURCES)}:{line}"
        for path in sorted(SOURCES.rglob("*.py"))
        for line in unquoted(ast.parse(path.read_text("utf-8")))
    ]
    assert found == []


def test_only_the_word_for_the_org_is_replaced_in_a_hint() -> None:
    hint = "see the debt with: meterctl balance ORG; or meterctl adjust acme --ref ORG-1 ORG"
    assert (
        with_org(hint, "a|b") == "see the debt with: meterctl balance 'a|b'; or meterctl adjust acme --ref ORG-1 'a|b'"
    )
