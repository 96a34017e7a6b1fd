"""``meterctl plan``: publish, list, show, assign"""

import sys
from dataclasses import replace
from typing import Annotated, Any

from meterctl.commands.command import command, new_app, take_shared
from meterctl.commands.completion import complete_plans
from meterctl.commands.confirmation import agree, book, is_to_ask, place_of
from meterctl.commands.feature_pairs import by_feature
from meterctl.commands.options import Org, argument, completer, option, start_time, switch
from meterctl.core.booking.plan_publisher import NewVersion, Publication, publish, version_record
from meterctl.core.domain.checks import check_integer, check_plan
from meterctl.core.domain.meter_operations import NEXT_WEEK
from meterctl.core.domain.operations import AssignPlan
from meterctl.core.domain.policy import PlanBook
from meterctl.core.errors import BadInput, NotFound, did_you_mean
from meterctl.core.model import Instant, PlanVersion
from meterctl.core.results import Listing, Receipt, Result
from meterctl.wiring import Wiring

app = new_app()


@app.callback()
@take_shared
def plan(**_: Any) -> None:
    """Publish, list and assign plans."""


@command(app, "publish", writes=True, plans=False)
def publish_version(
    wiring: Wiring,
    plan: Annotated[str | None, argument("[PLAN]", "The plan.", complete_plans)] = None,
    quota: Annotated[str | None, option("--quota", "N", "Units a week.")] = None,
    ratio: Annotated[
        list[str] | None, option("--ratio", "FEATURE=RATIO", "Units per unit of cost; repeatable.")
    ] = None,
    effective_from: Annotated[
        str | None, option("--effective-from", "TIME", "In force from then on: a time or 30d (else now).")
    ] = None,
    rollover_max: Annotated[
        str | None, option("--rollover-max", "N", "Most units of unused quota that roll over (else 0).")
    ] = None,
    rollover_weeks: Annotated[
        str | None, option("--rollover-weeks", "N", "Weeks until rolled-over units expire (else 1).")
    ] = None,
    from_config: Annotated[bool, switch("--from-config", "Publish the plans of the config.")] = False,
) -> Result:
    """Publish a plan's next version.

    Stores an immutable version: weekly quota and ratios. Orgs on the plan get it with their next week. Publishing the
    same terms again does nothing.

    \b
    Examples:
      meterctl plan publish pro --quota 200000 --ratio default=1 --ratio llm=1.25
      meterctl plan publish --from-config
    """
    if effective_from is not None and wiring.options.at is not None:
        raise BadInput("--effective-from and --at cannot be combined", hint="leave out one of them", code="usage")
    since = wiring.at if effective_from is None else start_time(wiring, "--effective-from", effective_from)
    if from_config:
        if any(value is not None for value in (quota, rollover_max, rollover_weeks)) or ratio:
            raise BadInput("--from-config takes quota and ratios from the config", hint="leave them out", code="usage")
        return _publish_config(wiring, plan, since)
    if plan is None or quota is None:
        raise BadInput("publishing needs a plan and --quota", hint="meterctl plan publish --help", code="usage")
    version = NewVersion(
        plan=check_plan(plan),
        weekly_quota=check_integer(quota, "quota", least=0),
        ratios=by_feature("--ratio", ratio or [], unit="RATIO", example="llm=1.25", code="bad_ratio"),
        effective_from=since,
        actor=wiring.actor,
        reason=wiring.options.reason,
        rollover_max=check_integer("0" if rollover_max is None else rollover_max, "rollover_max", least=0),
        rollover_weeks=check_integer(
            "1" if rollover_weeks is None else rollover_weeks, "rollover_weeks", least=1, most=520
        ),
    )
    return _publish(wiring, version)


def _publish(wiring: Wiring, version: NewVersion) -> Publication:
    if is_to_ask(wiring):
        _confirm(wiring, publish(wiring.store.plans, wiring.write_clock(), version, dry_run=True))
    return publish(wiring.store.plans, wiring.write_clock(), version, dry_run=wiring.options.dry_run)


def _confirm(wiring: Wiring, planned: Publication) -> None:
    from meterctl.render import show

    if planned.status == "planned":
        show(planned, sys.stderr)
        agree(f"{place_of(wiring)} Publish this, for every org on the plan?")


def _publish_config(wiring: Wiring, only: str | None, since: Instant | None) -> Listing:
    specs = wiring.settings.plans
    if only is not None and only not in specs:
        near = did_you_mean(only, specs)
        raise NotFound(f"the config has no plan {only!r}{near}", code="unknown_plan", hint="meterctl config show")
    results = [
        _publish(wiring, replace(version, effective_from=since))
        for version in wiring.configured_plans()
        if only in (None, version.plan)
    ]
    warnings = [warning for result in results for warning in result.warnings]
    return Listing("plans", "plans", [result.record() for result in results], warnings=warnings)


@command(app, "list")
def list_plans(wiring: Wiring) -> Listing:
    """List the plans with the version in force. Changes nothing.

    \b
    Example:
      meterctl plan list
    """
    book_of_plans = PlanBook(wiring.store.plans.all)
    in_force = [book_of_plans.in_force(name, wiring.now) for name in book_of_plans.names()]
    return Listing("plans", "plans", [version_record(version) for version in in_force])


@command(app)
def show(wiring: Wiring, plan: Annotated[str, argument("PLAN", "The plan.", complete_plans)]) -> Listing:
    """Show every version of a plan, oldest first. Changes nothing.

    \b
    Example:
      meterctl plan show pro
    """
    catalogue = PlanBook(wiring.store.plans.all)
    versions: list[PlanVersion] = catalogue.versions(check_plan(plan))
    if not versions:
        near = did_you_mean(plan, catalogue.names())
        raise NotFound(f"there is no published plan {plan!r}{near}", code="unknown_plan", hint="meterctl plan list")
    return Listing("plan", "versions", [version_record(version) for version in versions], {"plan": plan})


@command(app, writes=True)
def assign(
    wiring: Wiring,
    org: Org,
    plan: Annotated[str, argument("PLAN", "A published plan.", complete_plans)],
    ref: Annotated[str, option("--ref", "REF", "Your reference. A repeat books nothing.")],
    from_: Annotated[
        str | None,
        option(
            "--from",
            "TIME",
            "From then on: a time, 30d, or next-week, the coming Monday (else now).",
            completer("complete_starts"),
        ),
    ] = None,
) -> Receipt:
    """Put an org on a plan: at once, or from a later instant on.

    Books a plan entry. An open week keeps its use and takes the new quota; newly reached thresholds are recorded. With
    --from the present plan stays in force until then; a later assignment replaces this one. Assigning the same plan
    again gives an open week its newest version.

    \b
    Examples:
      meterctl plan assign acme pro --ref upgrade-12
      meterctl plan assign acme free --ref downgrade-3 --from next-week
    """
    if from_ == NEXT_WEEK:
        return book(wiring, AssignPlan(org, plan, ref, NEXT_WEEK))
    return book(wiring, AssignPlan(org, plan, ref, None if from_ is None else start_time(wiring, "--from", from_)))
