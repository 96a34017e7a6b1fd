"""``meterctl meter``: attribute, hold, release, show, history, alerts, check"""

from typing import Annotated, Any

from meterctl.commands.command import command, new_app, take_shared
from meterctl.commands.confirmation import book
from meterctl.commands.feature_pairs import by_feature
from meterctl.commands.options import Org, argument, completer, expiry_time, filter_time, option
from meterctl.core.domain.checks import DEFAULT_STEP, check_integer
from meterctl.core.domain.operation_documents import read_costs
from meterctl.core.domain.operations import Attribute, Hold, Release
from meterctl.core.errors import BadInput
from meterctl.core.results import Listing, Meter, Receipt
from meterctl.wiring import Wiring

app = new_app()

#: Bytes of a --costs file: far more than the features that a run may have.
_LONGEST_COSTS = 1_000_000


@app.callback()
@take_shared
def meter(**_: Any) -> None:
    """Book metered runs; show weeks, thresholds and admission."""


@command(app, writes=True)
def attribute(
    wiring: Wiring,
    org: Org,
    run: Annotated[str, argument("RUN", "The run's id. Each of its steps is booked once.")],
    step: Annotated[str, option("--step", "STEP", "A step of the run (else the only one).")] = DEFAULT_STEP,
    cost: Annotated[list[str] | None, option("--cost", "FEATURE=USD", "Cost of a feature; repeatable.")] = None,
    costs: Annotated[str | None, option("--costs", "FILE", "Costs as a JSON object; - reads standard input.")] = None,
    units: Annotated[str | None, option("--units", "N", "Units in place of costs.")] = None,
    plan_version: Annotated[str | None, option("--plan-version", "N", "Price by this version of the plan.")] = None,
    hold: Annotated[
        str | None, option("--hold", "REF", "Release this hold in the same entry.", completer("complete_holds"))
    ] = None,
) -> Receipt:
    """Book the usage of a run.

    Books a usage entry: the plan's ratios turn costs into units, which count against the week's quota. Units beyond the
    quota are drawn from lots in the same entry; units beyond the lots are overage. With --hold the reserved units are
    free again; a hold that ran out before is a warning.

    \b
    Examples:
      meterctl meter attribute acme run-42 --cost llm=0.0125 --cost search=0.002
      meterctl meter attribute acme run-43 --step fetch --units 12
    """
    return book(
        wiring,
        Attribute(
            org=org,
            run=run,
            step=step,
            costs=_costs(cost, costs),
            units=None if units is None else check_integer(units, "units", least=1),
            plan_version=None if plan_version is None else check_integer(plan_version, "plan_version", least=0),
            hold=hold,
        ),
    )


@command(app, "hold", writes=True)
def place_hold(
    wiring: Wiring,
    org: Org,
    units: Annotated[str, argument("UNITS", "Units to reserve.")],
    ref: Annotated[str, option("--ref", "REF", "Your reference. A repeat books nothing.")],
    lasts: Annotated[str | None, option("--for", "SPAN", "Duration: 90m, 2h, 3d, at most 31d (else 1h).")] = None,
    expires: Annotated[str | None, option("--expires", "TIME", "The end, in place of --for.")] = None,
) -> Receipt:
    """Reserve units for a run that is about to begin.

    Books a hold: until its release, no other run, debit or hold can use these units. Release it with the run (meter
    attribute --hold) or by meter release; otherwise it expires by itself.

    \b
    Example:
      meterctl meter hold acme 300 --ref job-9 --for 2h
    """
    expires_at = None if expires is None else expiry_time(wiring, expires)
    return book(
        wiring, Hold(org=org, units=check_integer(units, "units", least=1), ref=ref, expires_at=expires_at, lasts=lasts)
    )


@command(app, writes=True)
def release(
    wiring: Wiring,
    org: Org,
    ref: Annotated[str, option("--ref", "REF", "The ref of the hold.", completer("complete_holds"))],
) -> Receipt:
    """Release reserved units, because the run does not happen.

    Books a release: the units are free again at once.

    \b
    Example:
      meterctl meter release acme --ref job-9
    """
    return book(wiring, Release(org, ref))


def _costs(pairs: list[str] | None, file: str | None) -> dict[str, str] | None:
    if pairs and file:
        raise BadInput("give either --cost or --costs", hint="meterctl meter attribute --help", code="usage")
    if file is not None:
        return _costs_of_file(file)
    if not pairs:
        return None
    return read_costs(by_feature("--cost", pairs, unit="USD", example="llm=0.0125", code="bad_costs"))


def _costs_of_file(name: str) -> dict[str, str]:
    from meterctl.core.files.json_text import json_value
    from meterctl.core.files.sources import display_name, open_file_or_standard_input

    try:
        with open_file_or_standard_input(name) as file:
            content = file.read(_LONGEST_COSTS + 1)
        if len(content) > _LONGEST_COSTS:
            raise BadInput(f"it is longer than {_LONGEST_COSTS:,} bytes", hint="", code="bad_costs")
        return read_costs(json_value(content.decode("utf-8-sig")))
    except UnicodeDecodeError as problem:
        message = f"byte {problem.start + 1} is not UTF-8"
    except BadInput as problem:
        message = problem.message
    hint = 'the file holds a JSON object of features and US dollars, such as {"llm": "0.0125"}'
    raise BadInput(f"no costs from {display_name(name)}: {message}", hint=hint, code="bad_costs")


@command(app)
def show(wiring: Wiring, org: Org) -> Meter:
    """Show this week: quota, use, remaining units, and admission. Books nothing.

    \b
    Example:
      meterctl meter show acme
    """
    return wiring.reads.meter(org)


@command(app)
def history(
    wiring: Wiring,
    org: Org,
    limit: Annotated[str, option("--limit", "N", "Number of weeks.")] = "12",
) -> Listing:
    """Show the closed weeks, newest first. Books nothing.

    \b
    Example:
      meterctl meter history acme --limit 4
    """
    return wiring.reads.history(org, check_integer(limit, "limit", least=1, most=1000))


@command(app)
def alerts(
    wiring: Wiring,
    org: Annotated[str | None, argument("[ORG]", "One org (else all).", completer("complete_orgs"))] = None,
    since: Annotated[str | None, option("--since", "TIME", "From then on: 2d, 2026-W47, ...")] = None,
    after: Annotated[str | None, option("--after", "CURSOR", "As a feed: after this `next`, or from a TIME.")] = None,
) -> Listing:
    """Show crossed thresholds and low balances, oldest first. Books nothing.

    With --after it is a feed, in booking order. Each page names in `next` the cursor of the next page, so that no alert
    is missed or repeated. The feed is 90 seconds behind.

    \b
    Examples:
      meterctl meter alerts --since 24h
      meterctl meter alerts --after 24h --json
    """
    if after is None:
        return wiring.reads.alerts(org, filter_time(wiring, "since", since))
    if org is not None or since is not None:
        raise BadInput("a feed has all orgs, from a cursor on", hint="with --after, omit ORG and --since", code="usage")
    return wiring.reads.alert_feed(after if "/" in after else str(filter_time(wiring, "after", after)))


@command(app)
def check(
    wiring: Wiring,
    org: Org,
    units: Annotated[str, option("--units", "N", "Units that the run needs.")] = "0",
) -> Meter:
    """Check if the org may run now: exit 0 if it may, 4 if not. Books nothing, reserves nothing.

    \b
    Example:
      meterctl meter check acme --units 50 && start-the-run
    """
    return wiring.reads.meter(org, requested=check_integer(units, "units", least=0), gate=True)
