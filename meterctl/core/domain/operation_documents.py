"""Operations as documents: the form they have in files, saved plans and entries."""

import json
import re
from collections.abc import Callable, Mapping, Set
from decimal import Decimal
from typing import Any, Literal

from meterctl.core.domain.checks import check_flag, check_integer
from meterctl.core.domain.file_times import file_instant
from meterctl.core.domain.meter_operations import NEXT_WEEK
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
from meterctl.core.domain.unit_operations import NEVER
from meterctl.core.errors import BadInput, did_you_mean
from meterctl.core.model import MAX_UNITS, Instant

_NAMES_HINT = 'names look like ["pi_1", "ch_1"]'


def read_costs(value: object) -> dict[str, str]:
    """Return the costs by feature in an object of decimal texts or integers. Raises `BadInput`.

    `Attribute` checks the names of the features, the rules check the amounts.
    """
    if not isinstance(value, dict):
        raise BadInput("costs are not an object", hint='costs look like {"llm": "0.0125"}', code="bad_costs")
    return {feature: _cost_text(cost) for feature, cost in value.items()}


def _cost_text(cost: object) -> str:
    if isinstance(cost, str):
        return cost
    # A float has lost digits already; `files.json_text` reads decimals exactly.
    if not isinstance(cost, (Decimal, int)) or isinstance(cost, bool):
        raise BadInput(f"{cost!r} is not a cost", hint="a cost is a decimal text or number", code="bad_costs")
    return str(cost)


def _end(value: object) -> Instant:
    return file_instant(value, ends=True)


_ENVELOPE = frozenset({"op", "org", "at", "actor", "reason"})


#: Returns the value of an argument from that of a field; None where both are the same.
_Reader = Callable[[Any], Any]


class _Form:
    """How one operation is written in an input file: its fields with their readers, and which of them it needs."""

    def __init__(
        self,
        make: type[Operation],
        required: Mapping[str, _Reader | None],
        optional: Mapping[str, _Reader | None] | None = None,
        arguments: Mapping[str, str] | None = None,
    ) -> None:
        """``arguments``: how the operation calls a field whose name Python or another field has taken."""
        self.make = make
        self.fields = {**required, **(optional or {})}
        names = arguments or {}
        self.readers = {field: (names.get(field, field), read) for field, read in self.fields.items()}
        self.required = required.keys()
        self.known = _ENVELOPE | self.fields.keys()

    def check(self, names: Set[str]) -> None:
        """Raise `BadInput` unless the fields ``names`` are the operation's, and all that it needs."""
        name = self.make.name
        if unknown := sorted(names - self.known):
            hint = f"its fields: org, {', '.join(self.fields)}"
            raise BadInput(f"{name} has no field {unknown[0]!r}", hint=hint, code="bad_field")
        if lacking := [field for field in ("org", *self.required) if field not in names]:
            raise BadInput(f"{name} lacks {', '.join(lacking)}", hint="add the missing fields", code="missing_field")


def _positive(what: str) -> Callable[[object], int]:
    return lambda value: check_integer(value, what, least=1)


def _number(what: str, least: int = 0, most: int = MAX_UNITS) -> Callable[[object], int]:
    return lambda value: check_integer(value, what, least=least, most=most)


def _flag(value: object) -> bool:
    return check_flag(value, "allow_debt")


def names_in(text: str) -> tuple[str, ...]:
    """Return the names in ``text``. One name for several would leave each of them free for a second credit."""
    text = text.strip(" ,;")
    if not re.search(r"""[\[\]{}"']""", text):
        return tuple(re.split(r"[\s,;]+", text))
    try:
        return _names(json.loads(text))
    except (ValueError, RecursionError):
        raise BadInput(f"{text!r} is not a list of names", hint=_NAMES_HINT, code="bad_name") from None


def _names(value: object) -> tuple[str, ...]:
    """Read a list of names; a CSV cell holds them as JSON, or with blanks, commas or semicolons between."""
    if isinstance(value, str):
        return names_in(value)
    if isinstance(value, list):
        return tuple(value)
    raise BadInput(f"{value!r} is not a list of names", hint=_NAMES_HINT, code="bad_name")


def _expiry(value: object) -> Instant | None:
    return None if value == NEVER else _end(value)


def _from(value: object) -> Instant | Literal["next-week"]:
    return NEXT_WEEK if value == NEXT_WEEK else file_instant(value)


_FORMS: dict[str, _Form] = {
    "credit-pack": _Form(
        CreditPack,
        {"pack": None, "session": None},
        {
            "paid_cents": _number("paid_cents"),
            "quantity": _positive("quantity"),
            "tax_cents": _number("tax_cents"),
            "names": _names,
            "expires_at": _end,
            "currency": None,
        },
    ),
    "debit": _Form(Debit, {"units": _positive("units"), "ref": None}, {"allow_debt": _flag}),
    "refund": _Form(Refund, {"session": None, "cents": _positive("cents"), "refund_id": None}),
    "reverse-refund": _Form(ReverseRefund, {"refund_id": None}),
    "adjust": _Form(
        Adjust,
        {"units": _number("units", -MAX_UNITS), "ref": None},
        {
            "expires_at": _end,
            "allow_debt": _flag,
            "priority": _number("priority", most=100),
            "lot": _positive("lot"),
        },
    ),
    "attribute": _Form(
        Attribute,
        {"run": None},
        {
            "step": None,
            "costs": read_costs,
            "units": _positive("units"),
            "plan_version": _number("plan_version"),
            "hold": None,
        },
    ),
    "assign-plan": _Form(AssignPlan, {"plan": None, "ref": None}, {"from": _from}, {"from": "from_at"}),
    "undo": _Form(Undo, {}, {"of": None, "seq": _positive("seq")}),
    "extend-lot": _Form(ExtendLot, {"lot": _positive("lot"), "expires_at": _expiry, "ref": None}),
    "void-lot": _Form(VoidLot, {"lot": _positive("lot"), "ref": None}),
    "hold": _Form(
        Hold, {"units": _positive("units"), "ref": None}, {"expires_at": _end, "for": None}, {"for": "lasts"}
    ),
    "release": _Form(Release, {}, {"hold": None, "ref": None}, {"ref": "hold"}),
    "reset-week": _Form(ForceReset, {"ref": None}),
    "book-due": _Form(BookDue, {}),
}


#: The names of operations in input files.
OPERATIONS: Set[str] = _FORMS.keys()

#: The fields that a line of an input file may have.
FIELDS = _ENVELOPE.union(*(form.fields for form in _FORMS.values()))


def request_from_document(document: Mapping[str, Any], *, actor: str, reason: str | None = None) -> Request:
    """Read a request from one input line: ``op``, ``org``, the operation's fields, and optionally ``at``, ``actor`` and
    ``reason`` (else the given ones). A field that is null counts as left out. Raises `BadInput`."""
    name = document.get("op")
    form = _FORMS.get(name) if isinstance(name, str) else None
    if form is None:
        near = did_you_mean(str(name), _FORMS)
        what = "the op is missing" if name is None else f"op {name!r} is unknown{near}"
        raise BadInput(what, hint=f"op is one of: {', '.join(_FORMS)}", code="bad_op")
    arguments: dict[str, Any] = {}
    for field, value in document.items():
        if value is not None and field in form.readers:
            argument, read = form.readers[field]
            arguments[argument] = value if read is None else read(value)
    if not (form.required <= arguments.keys() and document.keys() <= form.known) or document.get("org") is None:
        form.check({field for field, value in document.items() if value is not None})
    at = document.get("at")
    return Request(
        form.make(document["org"], **arguments),
        actor=document.get("actor") or actor,
        reason=document.get("reason") or reason,
        at=None if at is None else file_instant(at),
    )


def request_document(request: Request) -> dict[str, Any]:
    """Return a request as a line of an input file: `request_from_document` reads it back."""
    operation = request.operation
    envelope = {"at": request.at, "actor": request.actor, "reason": request.reason}
    parameters = {name: value for name, value in operation.document().items() if value is not None}
    return {"op": operation.name, "org": operation.org, **parameters, **envelope}
