"""``meterctl orgs``"""

from typing import Annotated

from meterctl.commands.command import command, new_app
from meterctl.commands.options import filter_time, option, switch, tell_time
from meterctl.core.domain.checks import check_integer, check_plan
from meterctl.core.domain.instants import add_millis, parse_ahead
from meterctl.core.errors import BadInput, said_by
from meterctl.core.model import Instant
from meterctl.core.reads.org_list import SORTS, OrgFilter, list_orgs
from meterctl.core.results import Listing
from meterctl.process.garbage import collect_garbage
from meterctl.wiring import Wiring

app = new_app()


@command(app)
def orgs(
    wiring: Wiring,
    negative: Annotated[bool, switch("--negative", "Those with a balance below 0.")] = False,
    expiring: Annotated[str | None, option("--expiring", "SPAN", "Those with units expiring within 14d, 36h.")] = None,
    plan: Annotated[str | None, option("--plan", "PLAN", "Those on that plan.")] = None,
    week_over: Annotated[str | None, option("--week-over", "PERCENT", "Those past that share of their quota.")] = None,
    idle: Annotated[str | None, option("--idle", "SPAN", "Those with no entry for so long.")] = None,
    sort: Annotated[str, option("--sort", "FIELD", f"By {', '.join(SORTS)}.")] = "org",
    limit: Annotated[str | None, option("--limit", "N", "At most so many.")] = None,
) -> Listing:
    """List orgs by what they hold. Books nothing.

    Reads the cached heads; what is due but not booked yet is counted in.

    \b
    Examples:
      meterctl orgs --negative --sort balance
      meterctl orgs --expiring 14d
    """
    if sort not in SORTS:
        raise BadInput(f"cannot sort by {sort!r}", hint=f"by one of: {', '.join(SORTS)}", code="bad_sort")
    wanted = OrgFilter(
        negative=negative,
        expiring_by=None if expiring is None else _expiring_by(wiring, expiring),
        plan=None if plan is None else check_plan(plan),
        week_over=None if week_over is None else check_integer(week_over, "percent", least=0, most=100_000),
        idle_since=filter_time(wiring, "idle since", idle, "--idle"),
    )
    collect_garbage()
    most = None if limit is None else check_integer(limit, "limit", least=1)
    return list_orgs(wiring.store, wiring.now, wiring.settings.terms, wanted, sort=sort, limit=most)


def _expiring_by(wiring: Wiring, span: str) -> Instant:
    with said_by("--expiring"):
        by = add_millis(wiring.now, parse_ahead(span))
    tell_time(wiring, "expiring by", by)
    return by
