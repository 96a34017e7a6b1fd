"""Options for the window of a statement or report: a month, or since and until."""

from typing import TYPE_CHECKING, Annotated

from meterctl.commands.options import filter_time, option, print_time
from meterctl.core.errors import BadInput, name_source
from meterctl.wiring import Wiring

if TYPE_CHECKING:  # ``--help`` does not need this import
    from meterctl.core.reads.period import Period

Month = Annotated[str | None, option("--month", "YYYY-MM", "That calendar month, in UTC (else the last one).")]
Since = Annotated[str | None, option("--since", "TIME", "From then on: 2026-10-01, 2026-W40, 30d, ...")]
Until = Annotated[str | None, option("--until", "TIME", "Before then; a date, week or month: its end (else now).")]


def period_of(wiring: Wiring, month: str | None, since: str | None, until: str | None) -> "Period":
    """Return the window that the options name; the last calendar month if they name none."""
    from meterctl.core.domain.instants import add_millis
    from meterctl.core.reads import period

    if month is not None:
        if since is not None or until is not None:
            raise BadInput("give either --month, or --since and --until", hint="--month 2026-10", code="usage")
        with name_source("--month"):
            chosen = period.month(month)
    elif since is not None:
        begin = filter_time(wiring, "since", since)
        end = filter_time(wiring, "until", until, ends=True)
        # A period ends before its end: without --until, an entry of this very millisecond belongs to it.
        chosen = period.between(begin or wiring.now, end or add_millis(wiring.now, 1))
    elif until is not None:
        raise BadInput("--until needs a --since", hint="add --since, or name a --month", code="usage")
    else:
        chosen = period.month_before(wiring.now)
        print_time(wiring, "since", chosen.since)
        print_time(wiring, "until", chosen.until)
    if chosen.since > wiring.now:
        message = f"the period begins at {chosen.since}, after now ({wiring.now})"
        raise BadInput(message, hint="name a period that has begun", code="in_future")
    return chosen
