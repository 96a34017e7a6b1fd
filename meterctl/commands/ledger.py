"""``meterctl ledger``"""

from typing import Annotated

from meterctl.commands.command import command, new_app
from meterctl.commands.options import argument, filter_time, option, switch
from meterctl.core.domain.checks import check_integer, check_ref
from meterctl.core.errors import BadInput, did_you_mean
from meterctl.core.model import KINDS, Kind
from meterctl.core.reads.queries import LedgerQuery
from meterctl.core.results import LedgerChart, LedgerPage
from meterctl.wiring import Wiring

app = new_app()

MOST = 1000


@command(app)
def ledger(
    wiring: Wiring,
    org: Annotated[str | None, argument("[ORG]", "The org; or --session.")] = None,
    kind: Annotated[list[str] | None, option("--kind", "KIND", "Only this kind; repeatable.")] = None,
    all_kinds: Annotated[bool, switch("--all-kinds", "Also entries that move no units.")] = False,
    since: Annotated[str | None, option("--since", "TIME", "From then on: 2d, 2026-W47, ...")] = None,
    until: Annotated[str | None, option("--until", "TIME", "Before then.")] = None,
    limit: Annotated[str, option("--limit", "N", "Entries on a page.")] = "20",
    before: Annotated[str | None, option("--before", "SEQ", "Below this entry: pages on.")] = None,
    session: Annotated[str | None, option("--session", "ID", "Of that payment.")] = None,
    ref: Annotated[str | None, option("--ref", "REF", "Booked under that ref.")] = None,
    run: Annotated[str | None, option("--run", "RUN", "Of that run.")] = None,
    follow: Annotated[bool, switch("--follow", "Go on with each entry as it is booked, until Ctrl-C.")] = False,
    chart: Annotated[bool, switch("--chart", "Draw the balance over time.")] = False,
) -> LedgerPage | LedgerChart:
    """Page through an org's journal, newest first. Books nothing.

    Shows the entries that moved units, with the running balance. What is due but not booked yet stands at the top,
    marked as such. With --session, --ref or --run alone it finds the org; by ref or run that takes longer the more
    orgs there are.

    \b
    Examples:
      meterctl ledger acme --since 7d
      meterctl ledger --session cs_1234
      meterctl ledger --ref r7
      meterctl ledger acme --chart
    """
    query = LedgerQuery(
        kinds=tuple(_kind(name) for name in kind or ()),
        all_kinds=all_kinds,
        since=filter_time(wiring, "since", since),
        until=filter_time(wiring, "until", until),
        limit=check_integer(limit, "limit", least=1, most=MOST),
        before=None if before is None else check_integer(before, "before", least=1),
        session=None if session is None else check_ref(session, "a session"),
        ref=None if ref is None else check_ref(ref),
        run=None if run is None else check_ref(run, "a run"),
    )
    if chart:
        return _chart(wiring, org, query, follow=follow)
    if not follow:
        return wiring.reads.ledger(org, query)
    if query.until or query.before or query.ref or query.run:
        raise BadInput("what is followed has no end", hint="leave out --until, --before, --ref, --run", code="usage")
    if wiring.output not in ("table", "ndjson", "csv"):
        raise BadInput(f"a feed never ends, {wiring.output} has to", hint="-o ndjson gives one line each", code="usage")
    return wiring.reads.follow(org, query)


def _chart(wiring: Wiring, org: str | None, query: LedgerQuery, *, follow: bool) -> LedgerChart:
    if org is None:
        raise BadInput("a chart is of one org", hint="name it: meterctl ledger ORG --chart", code="usage")
    if follow or query != LedgerQuery(since=query.since, until=query.until):
        only = "it goes with --since and --until only"
        raise BadInput("a chart shows the balance after every entry, not after some", hint=only, code="usage")
    return wiring.reads.chart(org, query.since, query.until)


def _kind(name: str) -> Kind:
    if name not in KINDS:
        near = did_you_mean(name, KINDS)
        raise BadInput(f"{name!r} is no kind of entry{near}", hint=f"kinds: {', '.join(KINDS)}", code="bad_kind")
    return name
