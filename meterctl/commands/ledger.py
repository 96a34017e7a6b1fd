"""``meterctl ledger``"""

from typing import Annotated

import typer

from meterctl.commands.command import command, find_journal, new_app
from meterctl.commands.options import argument, completer, filter_time, option, switch
from meterctl.core.domain.checks import check_integer, check_ref
from meterctl.core.errors import BadInput, did_you_mean
from meterctl.core.model import KINDS, Kind
from meterctl.core.reads.chart import LedgerChart
from meterctl.core.reads.ledger_query import LedgerQuery
from meterctl.core.reads.period import between
from meterctl.core.results import LedgerPage
from meterctl.process.long_run import prepare_long_run
from meterctl.wiring import Wiring

app = new_app()

#: Entries on a page, and the most that --limit may ask for.
PAGE, MOST = 20, 1000

#: Formats that print all matching entries unless --limit is set.
WHOLE = ("csv", "ndjson")

OnlyKinds = Annotated[
    list[str] | None, option("--kind", "KIND", "Only this kind; repeatable.", completer("complete_kinds"))
]


@command(app)
def ledger(
    wiring: Wiring,
    org: Annotated[str | None, argument("[ORG]", "The org; or --session.", completer("complete_orgs"))] = None,
    kind: OnlyKinds = None,
    all_kinds: Annotated[bool, switch("--all-kinds", "Also entries that move no units.")] = False,
    since: Annotated[str | None, option("--since", "TIME", "From then on: 2d, 2026-W47, ...")] = None,
    until: Annotated[str | None, option("--until", "TIME", "Before then; a date, week or month: its end.")] = None,
    limit: Annotated[str | None, option("--limit", "N", "Entries on a page (20; csv and ndjson: all).")] = None,
    before: Annotated[str | None, option("--before", "SEQ", "Only entries below this one, for the next page.")] = None,
    session: Annotated[
        str | None, option("--session", "ID", "Entries of that payment.", completer("complete_sessions"))
    ] = None,
    ref: Annotated[str | None, option("--ref", "REF", "Entries with that ref.", completer("complete_refs"))] = None,
    run: Annotated[str | None, option("--run", "RUN", "Entries of that run.", completer("complete_runs"))] = None,
    by: Annotated[str | None, option("--by", "ACTOR", "Booked by that actor.")] = None,
    reason_has: Annotated[str | None, option("--reason-has", "TEXT", "Only entries with TEXT in the reason.")] = None,
    least: Annotated[str, option("--min", "UNITS", "Only entries that moved UNITS or more, in or out.")] = "0",
    all_orgs: Annotated[bool, switch("--all-orgs", "Search every org.")] = False,
    follow: Annotated[bool, switch("--follow", "Print new entries as they are booked, until Ctrl-C.")] = False,
    chart: Annotated[bool, switch("--chart", "Draw the balance over time.")] = False,
) -> LedgerPage | LedgerChart:
    """Page through an org's journal, newest first. Books nothing.

    Shows the entries that moved units, with the running balance; with --since or --until also the balance at both ends.
    Due events that are not booked yet come first, marked as due. With --session, --ref or --run alone it finds the org;
    by ref or run this takes longer with more orgs. --all-orgs searches every journal: it reads all entries, or those
    from --since on. csv and ndjson print every entry, a table and json the newest 20.

    \b
    Examples:
      meterctl ledger acme --since 7d
      meterctl ledger --session cs_1234
      meterctl ledger --ref r7
      meterctl ledger acme --chart
      meterctl ledger --all-orgs --kind adjustment --by kim --since 7d
    """
    query = LedgerQuery(
        kinds=tuple(_kind(name) for name in kind or ()),
        all_kinds=all_kinds,
        since=filter_time(wiring, "since", since),
        until=filter_time(wiring, "until", until, ends=True),
        limit=_limit(wiring, limit),
        before=None if before is None else check_integer(before, "before", least=1),
        session=None if session is None else check_ref(session, "a session"),
        ref=None if ref is None else check_ref(ref),
        run=None if run is None else check_ref(run, "a run"),
        actor=by,
        reason_has=reason_has,
        least=check_integer(least, "--min", least=0),
    )
    if query.since and query.until:
        between(query.since, query.until)
    if all_orgs:
        return _search(wiring, org, query, alone=not (chart or follow))
    if chart:
        return _chart(wiring, org, query, alone=not follow and limit is None)
    if not follow:
        page = wiring.reads.ledger(org, query)
        if page.next_before is not None and wiring.output in WHOLE:
            typer.echo(f"there are older entries; to see them, add --before {page.next_before}", err=True)
        return page
    if query.until or query.before or query.ref or query.run:
        raise BadInput(
            "--follow cannot be combined with --until, --before, --ref or --run", hint="leave them out", code="usage"
        )
    if wiring.output not in ("table", "ndjson", "csv"):
        message = f"--follow streams for ever; -o {wiring.output} cannot"
        raise BadInput(message, hint="use -o table, ndjson or csv", code="usage")
    return wiring.reads.follow(org, query._replace(limit=query.limit or PAGE))


def _limit(wiring: Wiring, text: str | None) -> int | None:
    """Return the number of entries to show; None for all, in formats for programs."""
    if text is not None:
        return check_integer(text, "limit", least=1, most=MOST)
    return None if wiring.output in WHOLE else PAGE


def _search(wiring: Wiring, org: str | None, query: LedgerQuery, *, alone: bool) -> LedgerPage:
    if org is not None or query.session or query.ref or query.run or query.before or not alone:
        message = "--all-orgs goes with --kind, --all-kinds, --since, --until, --by, --reason-has, --min and --limit"
        raise BadInput(message, hint="leave out the other options", code="usage")
    from meterctl.core.reads.search_all import LedgerSearch

    prepare_long_run()
    find_journal(wiring, "nothing was searched")
    search = LedgerSearch(wiring.store, wiring.clock, wiring.settings.terms)
    if query.limit is None:
        return search.stream(query)
    page = search.newest(query, query.limit)
    if page.left_out and wiring.output in WHOLE:
        typer.echo(f"{page.left_out:,} older entries are not shown; to see them, leave out --limit", err=True)
    return page


def _chart(wiring: Wiring, org: str | None, query: LedgerQuery, *, alone: bool) -> LedgerChart:
    if org is None:
        raise BadInput("--chart needs one org", hint="meterctl ledger ORG --chart", code="usage")
    if not alone or query != LedgerQuery(since=query.since, until=query.until, limit=query.limit):
        only = "leave out all but --since and --until"
        raise BadInput("--chart can only be combined with --since and --until", hint=only, code="usage")
    return wiring.reads.chart(org, query.since, query.until)


def _kind(name: str) -> Kind:
    if name not in KINDS:
        near = did_you_mean(name, KINDS)
        raise BadInput(f"{name!r} is not a kind of entry{near}", hint=f"kinds: {', '.join(KINDS)}", code="bad_kind")
    return name
