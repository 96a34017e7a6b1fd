"""Read payments of any provider from a file: one line each, with its refunds.

A line has the fields `_FIELDS`, and each of its refunds `_REFUND_FIELDS`. See docs/payments.md.
"""

from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple

from meterctl.core.domain.checks import check_integer, check_org, check_ref
from meterctl.core.domain.file_times import file_instant
from meterctl.core.errors import BadInput
from meterctl.core.files.json_items import JsonItems
from meterctl.core.model import Instant
from meterctl.core.payments.payments import Giveback, Payment, Standing

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
        "refunds",
    }
)
_REFUND_FIELDS = frozenset({"id", "cents", "status", "at", "dispute", "currency"})

#: Our standing for each status word of the providers.
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
#: The status words of a payment that was paid; the money of the last ones went back, as their refunds tell.
_REFUNDED = ("refunded", "partially_refunded", "partial_refund")
_PAID = ("paid", "succeeded", "complete", "completed", *_REFUNDED)
_UNPAID = (
    "unpaid",
    "pending",
    "processing",
    "open",
    "draft",
    "ready",
    "billed",
    "past_due",
    "failed",
    "declined",
    "expired",
    "canceled",
    "cancelled",
    "void",
)

_HINT = "docs/payments.md has the fields of a payment line"


class NeutralPayment(NamedTuple):
    """A payment from a file, with its refunds."""

    line: int
    payment: Payment
    givebacks: tuple[Giveback, ...]


class BadLine(NamedTuple):
    """A line that holds no payment."""

    line: int
    problem: BadInput


def read_payments(file: IO[bytes]) -> Iterator[NeutralPayment | BadLine]:
    """Read the payments in ``file`` one by one; a bad line does not stop the rest."""
    for document in JsonItems(file, _HINT):
        try:
            if document.problem is not None:
                raise document.problem
            yield _payment(document.line, document.value)
        except BadInput as problem:
            yield BadLine(document.line, problem)


def _payment(line: int, fields: Any) -> NeutralPayment:
    if not isinstance(fields, dict):
        raise BadInput("the line is not a JSON object", hint=_HINT, code="bad_payment")
    _check_fields(fields, _FIELDS, "a payment")
    name = check_ref(fields.get("id"), "an id")
    names = fields.get("names") or []
    if not isinstance(names, list):
        raise BadInput("names must be a list", hint=_HINT, code="bad_payment")
    status = _status(fields)
    cents = check_integer(fields.get("paid_cents"), "paid_cents", least=0)
    paid_at = _instant(fields, "paid_at")
    org = _text(fields, "org")
    payment = Payment(
        session=name,
        names=tuple(dict.fromkeys(check_ref(one, "a name") for one in names if one != name)),
        org=None if org is None else check_org(org),
        pack=_text(fields, "pack"),
        cents=cents,
        currency=_currency(fields),
        at=paid_at,
        paid=status in _PAID,
        status=status,
        live=None,
        quantity=check_integer(_value(fields, "quantity", 1), "quantity", least=1),
        tax_cents=check_integer(_value(fields, "tax_cents", 0), "tax_cents", least=0, most=cents),
        discount_cents=check_integer(_value(fields, "discount_cents", 0), "discount_cents", least=0),
        whole=cents,
        has_charge_time=True,
    )
    refunds = fields.get("refunds") or []
    if not isinstance(refunds, list):
        raise BadInput("refunds must be a list", hint=_HINT, code="bad_payment")
    if status in _REFUNDED and not refunds:
        hint = "list them under refunds, with id and cents; a plan never guesses a refund"
        raise BadInput(f"its status is {status}, but it lists no refunds", hint=hint, code="bad_payment")
    return NeutralPayment(line, payment, _refunds(refunds, payment))


def _value(fields: Mapping[str, Any], name: str, default: object) -> Any:
    """Return an optional field; null is as good as none."""
    value = fields.get(name)
    return default if value is None else value


def _status(fields: Mapping[str, Any]) -> str:
    status = _value(fields, "status", "paid")
    word = status.lower() if isinstance(status, str) else ""
    if word not in (*_PAID, *_UNPAID):
        # A credit is taken back only if the payment is certainly unpaid.
        raise BadInput(
            f"{status!r} is not a status of a payment",
            hint=f"one of {', '.join((*_PAID, *_UNPAID))}",
            code="bad_payment",
        )
    return word


def _refunds(refunds: list[Any], payment: Payment) -> tuple[Giveback, ...]:
    """Return the refunds of a payment, each once. Raises `BadInput` if two differ under one id."""
    by_id: dict[str, Giveback] = {}
    for refund in (_refund(fields, payment) for fields in refunds):
        if by_id.setdefault(refund.id, refund) != refund:
            message = f"the refund {refund.id!r} is listed twice, with different values"
            raise BadInput(message, hint="leave the older one out", code="bad_payment")
    return tuple(by_id.values())


def _refund(fields: Any, payment: Payment) -> Giveback:
    if not isinstance(fields, dict):
        raise BadInput("a refund must be a JSON object", hint=_HINT, code="bad_payment")
    _check_fields(fields, _REFUND_FIELDS, "a refund")
    status = _value(fields, "status", "succeeded")
    standing = _STANDINGS.get(status.lower()) if isinstance(status, str) else None
    if standing is None:
        words = ", ".join(_STANDINGS)
        raise BadInput(f"{status!r} is not a refund status", hint=f"one of {words}", code="bad_payment")
    return Giveback(
        id=check_ref(fields.get("id"), "an id"),
        intent=None,
        charge=None,
        cents=check_integer(fields.get("cents"), "cents", least=1),
        currency=payment.currency if fields.get("currency") is None else _currency(fields),
        standing=standing,
        at=_instant(fields, "at") if fields.get("at") is not None else payment.at,
        is_dispute=fields.get("dispute") is True,
        payment=payment.session,
    )


def _check_fields(fields: Mapping[str, Any], known: frozenset[str], label: str) -> None:
    if unknown := sorted(fields.keys() - known):
        raise BadInput(f"{label} has no field {unknown[0]!r}", hint=_HINT, code="bad_field")


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise BadInput(f"{name} must be text", hint=_HINT, code="bad_payment")
    return value.strip()


def _currency(fields: Mapping[str, Any]) -> str:
    value = fields.get("currency")
    if not isinstance(value, str) or len(value) != 3 or not value.isalpha():
        raise BadInput(f"{value!r} is not a currency", hint="three letters such as usd", code="bad_payment")
    return value.lower()


def _instant(fields: Mapping[str, Any], name: str) -> Instant:
    try:
        return file_instant(fields.get(name))
    except BadInput as problem:
        hint = "write the time with its zone, as in 2026-11-22T10:03:00Z, or as seconds since 1970"
        raise BadInput(f"{name}: {problem.message}", hint=hint, code=problem.code) from None
