"""What a caller can ask for: one class per operation, checked when it is made.

``name`` is the word for it in input files, ``key`` makes it happen once, ``parameters`` is what a replay is
compared with (``actor``, ``reason`` and time are not part of it). Making one from a value that cannot mean anything
raises `BadInput`, so nothing malformed ever reaches rules or stores. None is changed afterwards; they are not frozen
because of what that costs each command at its start (see `meterctl.core.results`).
"""

import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, ClassVar

from meterctl.core import instants
from meterctl.core.basis import Basis
from meterctl.core.errors import BadInput
from meterctl.core.model import MAX_UNITS, Instant
from meterctl.core.pricing import normal_cost

DEFAULT_STEP = "main"

#: Buckets that are ours: ``default`` names the ratio for the rest and units given as such, ``base`` the run's minimum.
RESERVED_FEATURES = frozenset({"default", "base"})

MAX_FEATURES = 100
MAX_REASON = 2000

_ORG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PLAIN_REF = re.compile(r"[!-~]{1,200}")
_STEP = re.compile(r"[A-Za-z0-9:_-]{1,64}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_RATIO = re.compile(r"[0-9]{1,12}(\.[0-9]{1,18})?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,1000}")


def _matches(pattern: re.Pattern[str], what: str, value: object, rule: str) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise BadInput(f"{value!r} is not {what}", hint=f"{what} is {rule}", code=f"bad_{what.split()[-1]}")
    return value


def check_org(value: object) -> str:
    return _matches(_ORG, "an org", value, "a letter or digit, then up to 63 letters, digits or any of _ . -")


def check_ref(value: object, what: str = "a ref") -> str:
    # The plain pattern decides nearly all; other scripts' letters are welcome as long as they can be seen.
    if isinstance(value, str) and (
        _PLAIN_REF.fullmatch(value) or (0 < len(value) <= 200 and value.isprintable() and " " not in value)
    ):
        return value
    raise BadInput(
        f"{value!r} is not {what}",
        hint=f"{what} is 1-200 printable characters without spaces",
        code=f"bad_{what.split()[-1]}",
    )


def check_step(value: object) -> str:
    if value == DEFAULT_STEP:
        return DEFAULT_STEP
    return _matches(_STEP, "a step", value, "1-64 letters, digits or any of : _ -")


def check_plan(value: object) -> str:
    return _matches(_NAME, "a plan", value, "1-64 letters, digits or any of _ -")


def check_feature(value: object) -> str:
    feature = _matches(_NAME, "a feature", value, "1-64 letters, digits or any of _ -")
    if feature in RESERVED_FEATURES:
        raise BadInput(f"the feature name {feature!r} is reserved", hint="name it otherwise", code="bad_feature")
    return feature


def check_integer(value: object, what: str, *, least: int, most: int = MAX_UNITS) -> int:
    """An integer given as such or in digits. ``120.0``, ``1e3``, ``True`` and blanks are none."""
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    # What was stored may come back as a subclass: a store's driver has one for long integers.
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadInput(
            f"{what}: {value!r} is not a whole number", hint=f"{what} is a whole number >= {least}", code="bad_number"
        )
    if not least <= value <= most:
        raise BadInput(
            f"{what}: {value} is out of range", hint=f"{what} lies within {least} .. {most}", code="bad_number"
        )
    return value


def check_ratio(feature: str, ratio: str) -> str:
    """The ratio of a plan for ``feature`` (``default`` for the rest): a decimal number >= 0, exactly as written."""
    if feature != "default":
        check_feature(feature)
    return _matches(_RATIO, "a ratio", ratio, "a decimal number such as 1.25")


def check_flag(value: object, what: str) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise BadInput(f"{what}: {value!r} is neither true nor false", hint=f"{what} is true or false", code="bad_flag")


def check_text(value: object, what: str, longest: int) -> str:
    """Free text: anything that can be encoded; what it shows on a terminal is the renderer's care."""
    if not isinstance(value, str) or len(value) > longest or not value.strip():
        raise BadInput(f"{what} is missing or too long", hint=f"{what} is 1-{longest} characters", code=f"bad_{what}")
    if not _is_encodable(value):
        raise BadInput(f"{what} is not valid text", hint=f"{what} is UTF-8", code=f"bad_{what}")
    return value


@lru_cache(maxsize=64)  # one caller's name and reason stand on every line of a file
def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def key_part(text: str) -> str:
    """``text`` with its colons escaped, so that run ``a:b`` step ``c`` and run ``a`` step ``b:c`` differ."""
    return text.replace("%", "%25").replace(":", "%3A") if ":" in text or "%" in text else text


@dataclass(slots=True)
class Operation:
    """Base of all: an operation concerns one org."""

    name: ClassVar[str]
    needs_reason: ClassVar[bool] = False

    org: str

    @property
    def key(self) -> str:
        raise NotImplementedError

    def parameters(self) -> dict[str, Any]:
        raise NotImplementedError


@dataclass(slots=True)
class CreditPack(Operation):
    """Book a sold pack. ``paid_cents`` None: the pack's price."""

    name = "credit-pack"

    pack: str
    session: str
    paid_cents: int | None = None

    def __post_init__(self) -> None:
        check_org(self.org)
        _matches(_NAME, "a pack", self.pack, "1-64 letters, digits or any of _ -")
        check_ref(self.session, "a session")
        if self.paid_cents is not None:
            check_integer(self.paid_cents, "paid_cents", least=0)

    @property
    def key(self) -> str:
        return f"session:{self.session}"

    def parameters(self) -> dict[str, Any]:
        return {"op": self.name, "pack": self.pack, "session": self.session, "paid_cents": self.paid_cents}


@dataclass(slots=True)
class Debit(Operation):
    """Take units. What the lots do not hold is refused, or owed if ``allow_debt``."""

    name = "debit"

    units: int
    ref: str
    allow_debt: bool = False

    def __post_init__(self) -> None:
        check_org(self.org)
        check_integer(self.units, "units", least=1)
        check_ref(self.ref)

    @property
    def key(self) -> str:
        return f"debit:{self.ref}"

    def parameters(self) -> dict[str, Any]:
        return {"op": self.name, "units": self.units, "ref": self.ref, "allow_debt": self.allow_debt}


@dataclass(slots=True)
class Refund(Operation):
    """Claw back the units of ``cents`` that were given back on a session. A dispute is a refund under its own id."""

    name = "refund"

    session: str
    cents: int
    refund_id: str

    def __post_init__(self) -> None:
        check_org(self.org)
        check_ref(self.session, "a session")
        check_integer(self.cents, "cents", least=1)
        check_ref(self.refund_id, "a refund_id")

    @property
    def key(self) -> str:
        return f"refund:{self.refund_id}"

    def parameters(self) -> dict[str, Any]:
        return {"op": self.name, "session": self.session, "cents": self.cents, "refund_id": self.refund_id}


@dataclass(slots=True)
class ReverseRefund(Operation):
    """Give back what a refund clawed: it failed, or the dispute was won."""

    name = "reverse-refund"

    refund_id: str

    def __post_init__(self) -> None:
        check_org(self.org)
        check_ref(self.refund_id, "a refund_id")

    @property
    def key(self) -> str:
        return f"refund-reversal:{self.refund_id}"

    def parameters(self) -> dict[str, Any]:
        return {"op": self.name, "refund_id": self.refund_id}


@dataclass(slots=True)
class Adjust(Operation):
    """A correction or a grant: units may be positive or negative, never 0."""

    name = "adjust"
    needs_reason = True

    units: int
    ref: str
    expires_at: Instant | None = None
    allow_debt: bool = False

    def __post_init__(self) -> None:
        check_org(self.org)
        if check_integer(self.units, "units", least=-MAX_UNITS) == 0:
            raise BadInput("an adjustment of 0 units changes nothing", hint="units are not 0", code="bad_number")
        check_ref(self.ref)
        if self.expires_at is not None and self.units < 0:
            raise BadInput("only units that are added can expire", hint="leave expires_at out", code="bad_expires")

    @property
    def key(self) -> str:
        return f"adjust:{self.ref}"

    def parameters(self) -> dict[str, Any]:
        return {
            "op": self.name,
            "units": self.units,
            "ref": self.ref,
            "expires_at": self.expires_at,
            "allow_debt": self.allow_debt,
        }


@dataclass(slots=True)
class Attribute(Operation):
    """Meter a run's step, by costs per feature in US dollars or by ``units`` as they are."""

    name = "attribute"

    run: str
    step: str = DEFAULT_STEP
    costs: Mapping[str, str] | None = None
    units: int | None = None
    plan_version: int | None = None

    def __post_init__(self) -> None:
        check_org(self.org)
        check_ref(self.run, "a run")
        check_step(self.step)
        if (self.costs is None) == (self.units is None):
            raise BadInput("give either costs or units", hint="one of --cost, --costs and --units", code="bad_costs")
        if self.units is not None:
            check_integer(self.units, "units", least=1)
        if self.plan_version is not None:
            check_integer(self.plan_version, "plan_version", least=0)
        if self.costs is not None:
            if len(self.costs) > MAX_FEATURES:
                raise BadInput("too many features", hint=f"at most {MAX_FEATURES} in one run", code="bad_costs")
            for feature in self.costs:
                check_feature(feature)

    @property
    def key(self) -> str:
        return f"run:{key_part(self.run)}:{self.step}"

    def parameters(self) -> dict[str, Any]:
        costs = self.costs
        return {
            "op": self.name,
            "run": self.run,
            "step": self.step,
            "costs": None if costs is None else {feature: normal_cost(cost) for feature, cost in costs.items()},
            "units": self.units,
            "plan_version": self.plan_version,
        }


@dataclass(slots=True)
class AssignPlan(Operation):
    """Put the org on a plan, at once."""

    name = "assign-plan"

    plan: str
    ref: str

    def __post_init__(self) -> None:
        check_org(self.org)
        check_plan(self.plan)
        check_ref(self.ref)

    @property
    def key(self) -> str:
        return f"plan:{self.ref}"

    def parameters(self) -> dict[str, Any]:
        return {"op": self.name, "plan": self.plan, "ref": self.ref}


@dataclass(slots=True)
class Undo(Operation):
    """Take back a debit, an adjustment or a topup."""

    name = "undo"
    needs_reason = True

    seq: int

    def __post_init__(self) -> None:
        check_org(self.org)
        check_integer(self.seq, "seq", least=1)

    @property
    def key(self) -> str:
        return f"undo:{self.seq}"

    def parameters(self) -> dict[str, Any]:
        return {"op": self.name, "seq": self.seq}


@dataclass(slots=True)
class ForceReset(Operation):
    """Close the open week now and begin its next cycle."""

    name = "reset-week"
    needs_reason = True

    ref: str

    def __post_init__(self) -> None:
        check_org(self.org)
        check_ref(self.ref)

    @property
    def key(self) -> str:
        return f"reset:{self.ref}"

    def parameters(self) -> dict[str, Any]:
        return {"op": self.name, "ref": self.ref}


@dataclass(slots=True)
class BookDue(Operation):
    """Book what is due and nothing else: what a sweep does with each org. Due events carry keys of their own."""

    name = "book-due"

    def __post_init__(self) -> None:
        check_org(self.org)

    @property
    def key(self) -> str:
        return ""

    def parameters(self) -> dict[str, Any]:
        return {"op": self.name}


@dataclass(slots=True)
class Request:
    """An operation with who asks, why, and when it happened (None: now). With a ``basis`` it is carried out as it was
    reviewed or not at all."""

    operation: Operation
    actor: str
    reason: str | None = None
    at: Instant | None = None
    basis: Basis | None = None

    def __post_init__(self) -> None:
        check_text(self.actor, "actor", 200)
        if self.reason is not None:
            check_text(self.reason, "reason", MAX_REASON)
        elif self.operation.needs_reason:
            raise BadInput(
                f"{self.operation.name} needs a reason", hint="say why with --reason", code="reason_required"
            )


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


def _instant(value: object) -> Instant:
    if not isinstance(value, str):
        raise BadInput(f"{value!r} is not a time", hint="a time looks like 2026-11-22T10:03:00Z", code="bad_time")
    return instants.parse(value)


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
        {"expires_at": _instant, "allow_debt": _flag},
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
        what = "the op is missing" if name is None else f"op {name!r} is unknown"
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
        at=None if at is None else _instant(at),
    )


def request_document(request: Request) -> dict[str, Any]:
    """A request as a line of an input file: `request_from_document` reads it back."""
    operation = request.operation
    said = {"at": request.at, "actor": request.actor, "reason": request.reason}
    parameters = {name: value for name, value in operation.parameters().items() if value is not None}
    return {"op": operation.name, "org": operation.org, **parameters, **said}
