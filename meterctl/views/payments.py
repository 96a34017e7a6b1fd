"""Show differences between payments and the journal, and the outcomes of webhook events."""

from collections.abc import Iterable, Iterator

from meterctl.core.errors import shell_command
from meterctl.core.payments.reconcile.findings import Discrepancy, Reconciliation
from meterctl.core.payments.webhooks.event_counts import STATUSES, TROUBLE, Events
from meterctl.core.results import Receipts
from meterctl.views import words
from meterctl.views.blocks import Block, Cell, Column, Grid, Heading, Note, Pairs, Row, Styled, Tone
from meterctl.views.entries import show_receipt
from meterctl.views.registry import view

_READ = ("payment", "session", "intent", "invoice", "refund", "dispute")

#: Kinds that are shown only if there are any.
_RARE = ("intent", "invoice")


@view("reconcile")
def show_reconciliation(result: Reconciliation) -> Iterable[Block]:
    count = len(result.findings)
    outcome = Styled(f"✗ {words.plural(count, 'difference')}", "bad") if count else Styled("✓ no difference", "good")
    since = "" if result.since is None else f" since {words.when_utc(result.since)}"
    mode = "" if result.mode is None else f" ({result.mode} mode)"
    yield Heading((outcome, f": {result.provider}{mode} and the journal{since}"))
    yield Pairs(list(_read_pairs(result)))
    if not count:
        return
    columns = [
        Column("difference"),
        Column("org"),
        Column("payment", least=12),
        Column(result.provider if result.mode else "provider", least=10),
        Column("journal", least=10),
        Column("fix", rank=1, least=16),
    ]
    yield Grid(columns, [_finding_row(finding) for finding in result.findings])
    yield Note(_advice(result))


def _read_pairs(result: Reconciliation) -> Iterator[tuple[str, Cell]]:
    counts = result.counts
    kinds = [name for name in _READ if f"{name}s" in counts and (counts[f"{name}s"] or name not in _RARE)]
    rest = [f"{counts[name]:,} {name}" for name in ("foreign", "unpaid") if counts.get(name)]
    place = f"at {result.provider}" if result.mode else "in the file"
    yield place, ", ".join([*(words.plural(counts[f"{name}s"], name) for name in kinds), *rest])
    others = counts.get("other_references", 0)
    yield (
        "in the journal",
        f"{words.plural(counts.get('credits', 0), 'topup')}" + (f", and {others:,} not by Stripe" if others else ""),
    )
    yield "took", words.duration(result.seconds)


def _finding_row(finding: Discrepancy) -> Row:
    mend = words.plural(len(finding.requests), "operation") if finding.requests else finding.fix
    kind = finding.kind.replace("_", " ")
    return Row([kind, finding.org or "-", finding.refund_id or finding.session, finding.expected, finding.actual, mend])


def _advice(result: Reconciliation) -> str:
    operations = sum(len(finding.requests) for finding in result.findings)
    if not operations:
        return "no operation can fix these: see -o json for the details of each"
    if result.plan_out is not None:
        apply = shell_command("apply", result.plan_out)
        return f"{words.plural(operations, 'operation')} saved; review them, then run: {apply}"
    return f"{words.plural(operations, 'operation')} would fix as much as possible: save them with --plan-out FILE"


@view("events")
def show_events(events: Events) -> Iterable[Block]:
    outcome = Styled("✗ done, with problems", "bad") if events.problems else Styled("✓ done", "good")
    yield Heading((outcome, f": {words.plural(events.events, 'event')}"))
    names = [name for name in STATUSES if getattr(events, name) or name in ("applied", "replayed")]
    yield Pairs([(name, Styled(words.units(getattr(events, name)), _tone(name, events))) for name in names])
    if events.problems:
        columns = [Column("line", right=True), Column("object", least=12), Column("status"), Column("reason", least=24)]
        rows = [
            Row([str(item["line"] or "-"), item["object"] or "-", item["status"], item["message"]])
            for item in events.problems
        ]
        yield Grid(columns, rows)
        if events.more:
            yield Note(f"and {events.more:,} more: --rejects FILE saves every invalid or refused event with its reason")
        yield Note("fix these and run it again: nothing is booked twice")


def _tone(name: str, events: Events) -> Tone:
    return "bad" if name in TROUBLE and getattr(events, name) else ""


@view("receipts")
def show_receipts(receipts: Receipts) -> Iterable[Block]:
    if not receipts.receipts:
        yield Heading((Styled("○ nothing to do", "warn"), f": {receipts.command}"))
    for receipt in receipts.receipts:
        yield from show_receipt(receipt)
