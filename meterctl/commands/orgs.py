"""``meterctl orgs``"""

from typing import Annotated

from meterctl.commands.command import command, find_journal, new_app
from meterctl.commands.options import argument, completer, filter_time, option, print_time, switch
from meterctl.core.domain.checks import check_integer, check_plan
from meterctl.core.domain.instants import add_millis, parse_ahead
from meterctl.core.errors import BadInput, did_you_mean, name_source
from meterctl.core.model import MAX_UNITS, Instant
from meterctl.core.reads.org_list import SORTS, OrgFilter, OrgLister, OrgQuery
from meterctl.core.results import Listing
from meterctl.process.long_run import prepare_long_run
from meterctl.wiring import Wiring

app = new_app()


@command(app)
def orgs(
    wiring: Wiring,
    prefix: Annotated[
        str | None, argument("[PREFIX]", "Those whose id begins with PREFIX.", completer("complete_orgs"))
    ] = None,
    negative: Annotated[bool, switch("--negative", "Those with a balance below 0.")] = False,
    blocked: Annotated[bool, switch("--blocked", "Those that may not run.")] = False,
    below: Annotated[str | None, option("--below", "N", "Those with a balance below N.")] = None,
    owing_since: Annotated[str | None, option("--owing-since", "SPAN", "Those in debt for 30d or longer.")] = None,
    runs_out: Annotated[str | None, option("--runs-out", "SPAN", "Those that run out within 14d.")] = None,
    expiring: Annotated[str | None, option("--expiring", "SPAN", "Those with units expiring within 14d, 36h.")] = None,
    plan: Annotated[str | None, option("--plan", "PLAN", "Those on that plan.", completer("complete_plans"))] = None,
    week_over: Annotated[str | None, option("--week-over", "PERCENT", "Those past PERCENT of their quota.")] = None,
    idle: Annotated[str | None, option("--idle", "SPAN", "Those without an entry for SPAN.")] = None,
    as_of: Annotated[str | None, option("--as-of", "TIME", "At that time instead of now, from the journals.")] = None,
    sort: Annotated[str, option("--sort", "FIELD", f"By {', '.join(SORTS)}.", completer("complete_sorts"))] = "org",
    limit: Annotated[str | None, option("--limit", "N", "At most N orgs.")] = None,
) -> Listing:
    """List orgs by balance, debt, plan or use. Books nothing.

    Finds them by the cached heads, including due events that are not booked yet. The first 1,000 rows are checked
    against the journal; further ones are marked as cached. --owing-since, --runs-out and --as-of read the journal of
    every org that passes the other filters.

    \b
    Examples:
      meterctl orgs --blocked
      meterctl orgs --negative --sort balance
      meterctl orgs --runs-out 14d --sort runs_out
      meterctl orgs --blocked --as-of yesterday
    """
    if sort not in SORTS:
        message = f"cannot sort by {sort!r}{did_you_mean(sort, SORTS)}"
        raise BadInput(message, hint=f"by one of: {', '.join(SORTS)}", code="bad_sort")
    filters = OrgFilter(
        negative=negative,
        expiring_by=_ahead(wiring, "expiring by", "--expiring", expiring),
        plan=None if plan is None else check_plan(plan),
        week_over=None if week_over is None else check_integer(week_over, "percent", least=0, most=100_000),
        idle_since=filter_time(wiring, "idle since", idle, "--idle"),
        prefix=prefix or "",
        blocked=blocked,
        below=None if below is None else check_integer(below, "--below", least=-MAX_UNITS, most=MAX_UNITS),
        owing_since=filter_time(wiring, "owing since", owing_since, "--owing-since"),
        runs_out_by=_ahead(wiring, "runs out by", "--runs-out", runs_out),
    )
    instant = filter_time(wiring, "as of", as_of)
    prepare_long_run()
    find_journal(wiring, "it has no orgs")
    most = None if limit is None else check_integer(limit, "limit", least=1)
    lister = OrgLister(wiring.store, wiring.now, wiring.settings.terms)
    return lister.list(OrgQuery(filters, sort, most, instant))


def _ahead(wiring: Wiring, name: str, flag: str, span: str | None) -> Instant | None:
    """Return the instant that lies ``span`` ahead; None without one."""
    if span is None:
        return None
    with name_source(flag):
        by = add_millis(wiring.now, parse_ahead(span))
    print_time(wiring, name, by)
    return by
