"""``meterctl report``"""

from typing import Annotated

from meterctl.commands.command import command, find_journal, new_app
from meterctl.commands.options import completer, option
from meterctl.commands.period_options import Month, Since, Until, period_of
from meterctl.core.domain.instants import parse_ahead
from meterctl.core.errors import BadInput, did_you_mean, name_source
from meterctl.core.reads.report import GROUPINGS, Report, Reporter
from meterctl.process.long_run import prepare_long_run
from meterctl.wiring import Wiring

app = new_app()


@command(app, formats=("html",))
def report(
    wiring: Wiring,
    month: Month = None,
    since: Since = None,
    until: Until = None,
    by: Annotated[
        str, option("--by", "GROUP", f"One of {', '.join(GROUPINGS)}.", completer("complete_groupings"))
    ] = "kind",
    expiring: Annotated[str | None, option("--expiring", "SPAN", "The units that expire within 14d, 36h.")] = None,
) -> Report:
    """Report on all orgs: the sums of their statements, and the units outstanding with the price paid.

    Books nothing. Reads the whole journal once. Outstanding units are those that customers hold at the end of the
    window. paid_value is the price paid for them by currency, exact, rounded once.

    \b
    Examples:
      meterctl report
      meterctl report --month 2026-10 --by pack
      meterctl report --since today --expiring 7d
      meterctl report --since 2026-01-01 --until 2026-12-31 -o html > 2026.html
    """
    grouping = next((known for known in GROUPINGS if known == by), None)
    if grouping is None:
        near = did_you_mean(by, GROUPINGS)
        raise BadInput(f"cannot group by {by!r}{near}", hint=f"by one of: {', '.join(GROUPINGS)}", code="bad_group")
    period = period_of(wiring, month, since, until)
    with name_source("--expiring"):
        span = None if expiring is None else parse_ahead(expiring)
    prepare_long_run()
    find_journal(wiring, "all sums are 0")
    return Reporter(wiring.store, wiring.clock, wiring.settings.terms).of(period, grouping, span)
