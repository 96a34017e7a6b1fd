"""What the rules are parameterised with: the config's terms and the published plans."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Literal, NamedTuple

from meterctl.core.model import Instant, PlanVersion, State


class Pack(NamedTuple):
    """A pack on sale. ``expiry_days`` None: its units never expire."""

    units: int
    price_cents: int
    currency: str
    expiry_days: int | None = None


class Terms(NamedTuple):
    """The part of the config that decides what is booked. Decimals are texts; ``max_units_per_run`` 0 means no cap."""

    meter_mode: bool = True
    default_plan: str = "free"
    dollars_to_units: str = "1000"
    run_base: int = 1
    max_units_per_run: int = 0
    thresholds: tuple[int, ...] = (80, 100)
    overage: Literal["debt", "absorb"] = "debt"
    settle_overage: bool = True
    packs: Mapping[str, Pack] = {}

    def plan_of(self, state: State) -> str:
        """The plan that an org in ``state`` is on."""
        return state.plan or self.default_plan


class PlanBook:
    """The published versions of all plans, and which of them is in force when.

    ``load`` is called once, on first use: most operations concern no plan, and should not pay for reading them.
    """

    def __init__(self, load: Callable[[], Iterable[PlanVersion]]) -> None:
        self._load = load

    @cached_property
    def _by_plan(self) -> dict[str, list[PlanVersion]]:
        by_plan: dict[str, list[PlanVersion]] = {}
        for version in sorted(self._load(), key=lambda version: (version.plan, version.version)):
            by_plan.setdefault(version.plan, []).append(version)
        return by_plan

    def names(self) -> list[str]:
        return list(self._by_plan)

    def versions(self, plan: str) -> list[PlanVersion]:
        """All versions of ``plan``, oldest first."""
        return list(self._by_plan.get(plan, ()))

    def newest(self, plan: str) -> PlanVersion | None:
        """The last version of ``plan`` that was published, in force yet or not."""
        versions = self._by_plan.get(plan)
        return versions[-1] if versions else None

    def in_force(self, plan: str, at: Instant) -> PlanVersion:
        """The highest version with ``effective_from <= at``; before the first, the first; version 0 (quota 0, ratio 1)
        for a plan that nobody published."""
        versions = self._by_plan.get(plan)
        if not versions:
            return unpublished(plan, at)
        return next((version for version in reversed(versions) if version.effective_from <= at), versions[0])

    def version(self, plan: str, number: int, at: Instant) -> PlanVersion | None:
        """Version ``number`` of ``plan``; 0 is known only for a plan that nobody published."""
        versions = self._by_plan.get(plan)
        if not versions:
            return unpublished(plan, at) if number == 0 else None
        return next((version for version in versions if version.version == number), None)


def unpublished(plan: str, at: Instant) -> PlanVersion:
    """What stands for a plan without any version: no quota, ratio 1."""
    return PlanVersion(plan, 0, 0, {}, at, at, "", None)
