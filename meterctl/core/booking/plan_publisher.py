"""Publish plan versions: immutable and numbered."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from meterctl.core.domain.checks import check_ratio
from meterctl.core.domain.policy import PlanBook
from meterctl.core.errors import UNREACHABLE, MeterctlError
from meterctl.core.model import Instant, PlanVersion
from meterctl.core.ports import Clock, Plans
from meterctl.core.results import Warning, WriteResult

#: Waits before another try when someone else published the same number first, in seconds.
BACKOFF = (0.1, 0.3, 0.9)


class PublishContended(MeterctlError):
    """Others published versions of the same plan each time we tried."""

    code = "contended"
    exit_code = UNREACHABLE
    hint = "see the published versions with: meterctl plan show PLAN; then run the same command again"


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version to publish. ``effective_from`` None: now."""

    plan: str
    weekly_quota: int
    ratios: Mapping[str, str]
    effective_from: Instant | None
    actor: str
    reason: str | None
    rollover_max: int = 0
    rollover_weeks: int = 1

    def __post_init__(self) -> None:
        for feature, ratio in self.ratios.items():
            check_ratio(feature, ratio)


@dataclass(slots=True)
class Publication(WriteResult):
    """A plan version and whether this call published it."""

    name = "plan-version"

    status: Literal["applied", "unchanged", "planned"]
    version: PlanVersion
    warnings: Sequence[Warning] = ()

    def fields(self) -> dict[str, Any]:
        return {**self.record(), "warnings": self.warning_records()}

    def record(self) -> dict[str, Any]:
        """Return the version and its status, as a list of plans holds them."""
        return {"status": self.status, "applied": self.status == "applied", **version_record(self.version)}


def version_record(version: PlanVersion) -> dict[str, Any]:
    """Return a plan version as printed and stored."""
    return {
        "plan": version.plan,
        "version": version.version,
        "weekly_quota": version.weekly_quota,
        "ratios": dict(version.ratios),
        "effective_from": version.effective_from,
        "published_at": version.published_at,
        "actor": version.actor,
        "reason": version.reason,
        "rollover_max": version.rollover_max,
        "rollover_weeks": version.rollover_weeks,
    }


def publish(plans: Plans, clock: Clock, terms: NewVersion, *, dry_run: bool = False) -> Publication:
    """Publish version n + 1 of a plan. The very same terms again, with no date of their own, change nothing.

    Losing the number to another publisher is retried, three times at most. Raises `PublishContended`.
    """
    for pause in (0.0, *BACKOFF):
        if pause:
            clock.sleep(pause)
        newest = PlanBook(plans.all).newest(terms.plan)
        if newest is not None and terms.effective_from is None and _same_terms(newest, terms):
            return Publication("unchanged", newest)
        version = _next_version(newest, terms, clock.now())
        if dry_run or plans.add(version):
            return Publication("planned" if dry_run else "applied", version, _delays(terms, version))
    raise PublishContended(f"others published versions of plan {terms.plan} at the same time")


def _delays(terms: NewVersion, version: PlanVersion) -> list[Warning]:
    """Return the warning about a version that is in force later than requested."""
    if terms.effective_from is None or terms.effective_from == version.effective_from:
        return []
    message = (
        f"asked for {terms.effective_from}, {version.plan} v{version.version} is in force from "
        f"{version.effective_from}: not before v{version.version - 1}"
    )
    return [Warning("took_effect_later", message)]


def not_published(plans: Plans, terms: Iterable[NewVersion]) -> list[str]:
    """Return the plans of ``terms`` that are unpublished, or whose newest version has other terms."""
    book = PlanBook(plans.all)
    newest = ((each, book.newest(each.plan)) for each in terms)
    return [each.plan for each, version in newest if version is None or not _same_terms(version, each)]


def _same_terms(version: PlanVersion, terms: NewVersion) -> bool:
    return (version.weekly_quota, dict(version.ratios), version.rollover_max, version.rollover_weeks) == (
        terms.weekly_quota,
        dict(terms.ratios),
        terms.rollover_max,
        terms.rollover_weeks,
    )


def _next_version(newest: PlanVersion | None, terms: NewVersion, now: Instant) -> PlanVersion:
    effective_from = terms.effective_from or now
    if newest is not None:
        effective_from = max(effective_from, newest.effective_from)
    number = 1 if newest is None else newest.version + 1
    return PlanVersion(
        terms.plan,
        number,
        terms.weekly_quota,
        terms.ratios,
        effective_from,
        now,
        terms.actor,
        terms.reason,
        terms.rollover_max,
        terms.rollover_weeks,
    )
