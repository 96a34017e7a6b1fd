"""What a caller can ask for: one class per operation, checked when it is made.

``name`` is the word for it in input files, ``key`` makes it happen once, ``parameters`` is what a replay is
compared with (``actor``, ``reason`` and time are not part of it). Making one from a value that cannot mean anything
raises `BadInput`, so nothing malformed ever reaches rules or stores. None is changed afterwards; they are not frozen
because of what that costs each command at its start (see `meterctl.core.results`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from meterctl.core.domain.checks import (
    _NAME,
    DEFAULT_STEP,
    MAX_FEATURES,
    MAX_REASON,
    _matches,
    check_feature,
    check_integer,
    check_org,
    check_plan,
    check_ref,
    check_step,
    check_text,
    key_part,
)
from meterctl.core.domain.precondition import Basis
from meterctl.core.domain.pricing import normal_cost
from meterctl.core.errors import BadInput
from meterctl.core.model import MAX_UNITS, Instant


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
