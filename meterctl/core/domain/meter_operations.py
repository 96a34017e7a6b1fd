"""Operations on the meter: usage, plans, weeks, holds and due events."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from meterctl.core.domain.checks import (
    DEFAULT_STEP,
    MAX_FEATURES,
    check_feature,
    check_instant,
    check_integer,
    check_org,
    check_plan,
    check_ref,
    check_span,
    check_step,
    key_part,
)
from meterctl.core.domain.operation import Operation
from meterctl.core.domain.pricing import normal_cost
from meterctl.core.errors import BadInput
from meterctl.core.model import Instant

#: The word by which an assignment names the Monday after it.
NEXT_WEEK: Literal["next-week"] = "next-week"

#: The default length of a hold.
DEFAULT_HOLD = "60m"


def _check_costs(costs: object) -> None:
    if not isinstance(costs, (dict, Mapping)):  # `Mapping` alone is slow to ask
        raise BadInput("costs are not an object", hint='costs look like {"llm": "0.0125"}', code="bad_costs")
    if len(costs) > MAX_FEATURES:
        raise BadInput("too many features", hint=f"at most {MAX_FEATURES} in one run", code="bad_costs")
    for feature, cost in costs.items():
        check_feature(feature)
        if not isinstance(cost, str):
            hint = "a cost is a decimal text: a float has lost digits already"
            raise BadInput(f"{cost!r} is not a cost", hint=hint, code="bad_costs")


@dataclass(slots=True, eq=False, repr=False)
class Attribute(Operation):
    """Meter a run's step, by costs per feature in US dollars or by ``units`` as they are. With ``hold`` the same entry
    lets that hold go."""

    name = "attribute"

    run: str
    step: str = DEFAULT_STEP
    costs: Mapping[str, str] | None = None
    units: int | None = None
    plan_version: int | None = None
    hold: str | None = None

    def __post_init__(self) -> None:
        check_org(self.org)
        check_ref(self.run, "a run")
        check_step(self.step)
        if (self.costs is None) == (self.units is None):
            raise BadInput("give either costs or units", hint="one of --cost, --costs and --units", code="bad_costs")
        if self.units is not None:
            self.units = check_integer(self.units, "units", least=1)
        if self.plan_version is not None:
            self.plan_version = check_integer(self.plan_version, "plan_version", least=0)
        if self.hold is not None:
            check_ref(self.hold, "a hold")
        if self.costs is not None:
            _check_costs(self.costs)

    @property
    def key(self) -> str:
        return f"run:{key_part(self.run)}:{self.step}"

    def parameters(self) -> dict[str, Any]:
        costs = self.costs
        document = {
            "op": self.name,
            "run": self.run,
            "step": self.step,
            "costs": None if costs is None else {feature: normal_cost(cost) for feature, cost in costs.items()},
            "units": self.units,
            "plan_version": self.plan_version,
        }
        return document if self.hold is None else {**document, "hold": self.hold}


@dataclass(slots=True, eq=False, repr=False)
class AssignPlan(Operation):
    """Put the org on a plan: at once, or from a later instant on (`NEXT_WEEK`: from the coming Monday on)."""

    name = "assign-plan"

    plan: str
    ref: str
    from_at: Instant | Literal["next-week"] | None = None

    def __post_init__(self) -> None:
        check_org(self.org)
        check_plan(self.plan)
        check_ref(self.ref)
        if self.from_at is not None and self.from_at != NEXT_WEEK:
            check_instant(self.from_at, "from_at")

    @property
    def key(self) -> str:
        return f"plan:{self.ref}"

    def parameters(self) -> dict[str, Any]:
        document: dict[str, Any] = {"op": self.name, "plan": self.plan, "ref": self.ref}
        return document if self.from_at is None else {**document, "from": self.from_at}


@dataclass(slots=True, eq=False, repr=False)
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


@dataclass(slots=True, eq=False, repr=False)
class Hold(Operation):
    """Reserve units for a run that is under way, until ``expires_at``, or for a span such as ``90m`` from when it is
    booked (an hour if neither is given)."""

    name = "hold"

    units: int
    ref: str
    expires_at: Instant | None = None
    lasts: str | None = None

    def __post_init__(self) -> None:
        check_org(self.org)
        self.units = check_integer(self.units, "units", least=1)
        check_ref(self.ref)
        if self.lasts is not None and self.expires_at is not None:
            raise BadInput("give either a span or expires_at", hint="one of --for and --expires", code="bad_for")
        if self.expires_at is not None:
            check_instant(self.expires_at, "expires_at")
        else:
            self.lasts = check_span(self.lasts or DEFAULT_HOLD)

    @property
    def key(self) -> str:
        return f"hold:{self.ref}"

    def parameters(self) -> dict[str, Any]:
        until = {"expires_at": self.expires_at} if self.expires_at is not None else {"for": self.lasts}
        return {"op": self.name, "units": self.units, "ref": self.ref, **until}


@dataclass(slots=True, eq=False, repr=False)
class Release(Operation):
    """Let a hold go: ``hold`` is the ref that it was placed under."""

    name = "release"

    hold: str | None = None

    def __post_init__(self) -> None:
        check_org(self.org)
        if self.hold is None:
            raise BadInput("release lacks hold", hint="name the hold by its ref", code="missing_field")
        check_ref(self.hold, "a hold")

    @property
    def key(self) -> str:
        return f"release:{self.hold}"

    def parameters(self) -> dict[str, Any]:
        return {"op": self.name, "hold": self.hold}


@dataclass(slots=True, eq=False, repr=False)
class BookDue(Operation):
    """Book due events and nothing else, as a sweep does with each org. Due events have keys of their own."""

    name = "book-due"

    def __post_init__(self) -> None:
        check_org(self.org)

    @property
    def key(self) -> str:
        return ""

    def parameters(self) -> dict[str, Any]:
        return {"op": self.name}
