"""Payments of any provider, as a file states them: a line each, with the refunds of it.

A line is ``{"id", "names", "org", "pack", "quantity", "paid_cents", "tax_cents", "currency", "paid_at", "refunds":
[{"id", "cents", "status", "at"}]}``. Docs/payments.md says more.
"""

from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple

from meterctl.core.domain import instants
from meterctl.core.domain.checks import check_integer, check_org, check_ref
from meterctl.core.errors import BadInput
from meterctl.core.model import Instant
from meterctl.core.payments.payments import Giveback, Payment, Standing
from meterctl.core.payments.webhook_documents import JsonItems

_FIELDS = frozenset(
    {
        "id",
        "names",
        "org",
        "pack",
        "quantity",
        "paid_cents",
        "tax_cents",
        "discount_cents",
        "currency",
        "paid_at",
        "status",
    }
    | {"refunds"}
)
_REFUND_FIELDS = frozenset({"id", "cents", "status", "at", "dispute", "currency"})

#: The word for each standing, and those that providers use for the same.
_STANDINGS: Mapping[str, Standing] = {
    "succeeded": "given",
    "completed": "given",
    "refunded": "given",
    "approved": "given",
    "pending": "waiting",
    "failed": "returned",
    "reversed": "returned",
    "won": "returned",
    "canceled": "void",
    "cancelled": "void",
    "rejected": "void",
}
_PAID = ("paid", "succeeded", "completed")

_HINT = "docs/payments.md has the fields of a payment line"


class NeutralPayment(NamedTuple):
    """A payment from a file, with its refunds."""

    line: int
    payment: Payment
    givebacks: tuple[Giveback, ...]


class BadLine(NamedTuple):
    line: int
    problem: BadInput


def read_payments(file: IO[bytes]) -> Iterator[NeutralPayment | BadLine]:
    """Read the payments in ``file``, one by one; a line that is none costs itself only."""
    for found in JsonItems(file):
        try:
            if found.problem is not None:
                raise found.problem
            yield _payment(found.line, found.value)
        except BadInput as problem:
            yield BadLine(found.line, problem)


def _payment(line: int, given: Any) -> NeutralPayment:
    if not isinstance(given, dict):
        raise BadInput("it is no object", hint=_HINT, code="bad_payment")
    _check_fields(given, _FIELDS, "a payment")
    name = check_ref(given.get("id"), "an id")
    names = given.get("names") or []
    if not isinstance(names, list):
        raise BadInput("names is no list", hint=_HINT, code="bad_payment")
    status = str(given.get("status") or "paid")
    cents = check_integer(given.get("paid_cents"), "paid_cents", least=0)
    paid_at = _instant(given, "paid_at")
    payment = Payment(
        name,
        tuple(dict.fromkeys(check_ref(one, "a name") for one in names if one != name)),
        _text(given, "org", check_org),
        _text(given, "pack", None),
        cents,
        _currency(given),
        paid_at,
        status in _PAID,
        status,
        None,
        check_integer(given.get("quantity", 1), "quantity", least=1),
        check_integer(given.get("tax_cents", 0), "tax_cents", least=0, most=cents),
        discount_cents=check_integer(given.get("discount_cents", 0), "discount_cents", least=0),
        whole=cents,
        timed=True,
    )
    refunds = given.get("refunds") or []
    if not isinstance(refunds, list):
        raise BadInput("refunds is no list", hint=_HINT, code="bad_payment")
    return NeutralPayment(line, payment, tuple(_refund(refund, payment) for refund in refunds))


def _refund(given: Any, payment: Payment) -> Giveback:
    if not isinstance(given, dict):
        raise BadInput("a refund is no object", hint=_HINT, code="bad_payment")
    _check_fields(given, _REFUND_FIELDS, "a refund")
    status = given.get("status", "succeeded")
    standing = _STANDINGS.get(status) if isinstance(status, str) else None
    if standing is None:
        words = ", ".join(_STANDINGS)
        raise BadInput(f"{status!r} is no status of a refund", hint=f"one of {words}", code="bad_payment")
    return Giveback(
        check_ref(given.get("id"), "an id"),
        None,
        None,
        check_integer(given.get("cents"), "cents", least=1),
        _currency(given) if "currency" in given else payment.currency,
        standing,
        _instant(given, "at") if given.get("at") is not None else payment.at,
        is_dispute=given.get("dispute") is True,
        payment=payment.session,
    )


def _check_fields(given: Mapping[str, Any], known: frozenset[str], what: str) -> None:
    if unknown := sorted(given.keys() - known):
        raise BadInput(f"{what} has no field {unknown[0]!r}", hint=_HINT, code="bad_field")


def _text(given: Mapping[str, Any], name: str, check: Any) -> str | None:
    value = given.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise BadInput(f"{name} is no text", hint=_HINT, code="bad_payment")
    value = value.strip()
    return value if check is None else str(check(value))


def _currency(given: Mapping[str, Any]) -> str:
    value = given.get("currency")
    if not isinstance(value, str) or len(value) != 3 or not value.isalpha():
        raise BadInput(f"{value!r} is no currency", hint="three letters such as usd", code="bad_payment")
    return value.lower()


def _instant(given: Mapping[str, Any], name: str) -> Instant:
    value = given.get(name)
    if not isinstance(value, str):
        raise BadInput(f"{name}: {value!r} is no time", hint="a time looks like 2026-11-22T10:03:00Z", code="bad_time")
    return instants.parse(value)
