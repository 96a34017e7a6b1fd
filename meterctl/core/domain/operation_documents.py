"""Operations as documents: the form they have in files, saved plans and entries."""

from collections.abc import Callable, Mapping, Set
from decimal import Decimal
from typing import Any

from meterctl.core.domain.checks import check_flag, check_integer
from meterctl.core.domain.file_times import file_instant
from meterctl.core.domain.operations import (
    Adjust,
    AssignPlan,
    Attribute,
    BookDue,
    CreditPack,
    Debit,
    ForceReset,
    Operation,
    Refund,
    Request,
    ReverseRefund,
    Undo,
)
from meterctl.core.errors import BadInput, did_you_mean
from meterctl.core.model import MAX_UNITS, Instant


def read_costs(value: object) -> dict[str, str]:
    """Costs by feature from an object of decimal texts or integers. What a feature may be called is `Attribute`'s part,
    what a cost must be the rules'."""
    if not isinstance(value, Mapping):
        raise BadInput("costs are not an object", hint='costs look like {"llm": "0.0125"}', code="bad_costs")
    return {feature: _cost_text(cost) for feature, cost in value.items()}


def _cost_text(cost: object) -> str:
    # A float has lost digits already and is never one of ours: see `inputs`.
    if not isinstance(cost, (str, Decimal, int)) or isinstance(cost, bool):
        raise BadInput(f"{cost!r} is not a cost", hint="a cost is a decimal text or number", code="bad_costs")
    return str(cost)


def _end(value: object) -> Instant:
    return file_instant(value, ends=True)


_ENVELOPE = frozenset({"op", "org", "at", "actor", "reason"})


class _Form:
    """How one operation is written in an input file: its fields with their readers, and which of them it needs."""

    def __init__(
        self,
        make: type[Operation],
        required: Mapping[str, Callable[[Any], Any]],
        optional: Mapping[str, Callable[[Any], Any]] | None = None,
    ) -> None:
        self.make = make
        self.fields = {**required, **(optional or {})}
        self.readers = list(self.fields.items())
        self.required = required.keys()
        self.known = _ENVELOPE | self.fields.keys()

    def check(self, given: Set[str]) -> None:
        """Raise `BadInput` unless the fields that are ``given`` are the operation's, and all that it needs."""
        name = self.make.name
        if unknown := sorted(given - self.known):
            hint = f"its fields: org, {', '.join(self.fields)}"
            raise BadInput(f"{name} has no field {unknown[0]!r}", hint=hint, code="bad_field")
        if lacking := [field for field in ("org", *self.required) if field not in given]:
            raise BadInput(f"{name} lacks {', '.join(lacking)}", hint="add the missing fields", code="missing_field")


def _same(value: Any) -> Any:
    return value


def _positive(what: str) -> Callable[[object], int]:
    return lambda value: check_integer(value, what, least=1)


def _flag(value: object) -> bool:
    return check_flag(value, "allow_debt")


_FORMS: dict[str, _Form] = {
    "credit-pack": _Form(
        CreditPack,
        {"pack": _same, "session": _same},
        {"paid_cents": lambda value: check_integer(value, "paid_cents", least=0)},
    ),
    "debit": _Form(Debit, {"units": _positive("units"), "ref": _same}, {"allow_debt": _flag}),
    "refund": _Form(Refund, {"session": _same, "cents": _positive("cents"), "refund_id": _same}),
    "reverse-refund": _Form(ReverseRefund, {"refund_id": _same}),
    "adjust": _Form(
        Adjust,
        {"units": lambda value: check_integer(value, "units", least=-MAX_UNITS), "ref": _same},
        {"expires_at": _end, "allow_debt": _flag},
    ),
    "attribute": _Form(
        Attribute,
        {"run": _same},
        {
            "step": _same,
            "costs": read_costs,
            "units": _positive("units"),
            "plan_version": lambda value: check_integer(value, "plan_version", least=0),
        },
    ),
    "assign-plan": _Form(AssignPlan, {"plan": _same, "ref": _same}),
    "undo": _Form(Undo, {"seq": _positive("seq")}),
    "reset-week": _Form(ForceReset, {"ref": _same}),
    "book-due": _Form(BookDue, {}),
}


#: The fields that a line of an input file may have.
FIELDS = _ENVELOPE.union(*(form.fields for form in _FORMS.values()))


def request_from_document(document: Mapping[str, Any], *, actor: str, reason: str | None = None) -> Request:
    """A request from one input line: ``op``, ``org``, the operation's fields, and optionally ``at``, ``actor`` and
    ``reason`` (else the given ones). A field that is null counts as left out. Raises `BadInput`."""
    name = document.get("op")
    form = _FORMS.get(name) if isinstance(name, str) else None
    if form is None:
        near = did_you_mean(str(name), _FORMS)
        what = "the op is missing" if name is None else f"op {name!r} is unknown{near}"
        raise BadInput(what, hint=f"op is one of: {', '.join(_FORMS)}", code="bad_op")
    arguments: dict[str, Any] = {}
    for field, read in form.readers:
        if (value := document.get(field)) is not None:
            arguments[field] = read(value)
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
    """A request as a line of an input file: `request_from_document` reads it back."""
    operation = request.operation
    said = {"at": request.at, "actor": request.actor, "reason": request.reason}
    parameters = {name: value for name, value in operation.parameters().items() if value is not None}
    return {"op": operation.name, "org": operation.org, **parameters, **said}
