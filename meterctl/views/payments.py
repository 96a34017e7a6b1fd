"""Payments and the journal: what differs, and what webhook events came to."""

from collections.abc import Iterable, Iterator

from meterctl.core.payments.event_counts import TROUBLE, Events
from meterctl.core.payments.findings import Discrepancy, Receipts, Reconciliation
from meterctl.views import words
from meterctl.views.blocks import Block, Cell, Column, Grid, Heading, Note, Pairs, Row, Said, Tone
from meterctl.views.entries import show_receipt
from meterctl.views.registry import view

_READ = ("payment", "session", "intent", "invoice", "refund", "dispute")

#: Kinds that are only told of where there are some.
_RARE = ("intent", "invoice")


@view("reconcile")
def show_reconciliation(found: Reconciliation) -> Iterable[Block]:
    count = len(found.findings)
    outcome = Said(f"✗ {words.plural(count, 'difference')}", "bad") if count else Said("✓ no difference", "good")
    since = "" if found.since is None else f" since {words.when_utc(found.since)}"
    mode = "" if found.mode is None else f" ({found.mode} mode)"
    yield Heading((outcome, f": {found.provider}{mode} and the journal{since}"))
    yield Pairs(list(_read_pairs(found)))
    if not count:
        return
    columns = [
        Column("difference"),
        Column("org"),
        Column("payment", least=12),
        Column(found.provider if found.mode else "provider", least=10),
        Column("journal", least=10),
        Column("to mend", rank=1, least=16),
    ]
    yield Grid(columns, [_finding_row(finding) for finding in found.findings])
    yield Note(_advice(found))


def _read_pairs(found: Reconciliation) -> Iterator[tuple[str, Cell]]:
    counts = found.counts
    kinds = [name for name in _READ if f"{name}s" in counts and (counts[f"{name}s"] or name not in _RARE)]
    rest = [f"{counts[name]:,} {name}" for name in ("foreign", "unpaid") if counts.get(name)]
    place = f"at {found.provider}" if found.mode else "in the file"
    yield place, ", ".join([*(words.plural(counts[f"{name}s"], name) for name in kinds), *rest])
    others = counts.get("other_references", 0)
    yield (
        "in the journal",
        f"{words.plural(counts.get('credits', 0), 'topup')}" + (f", and {others:,} not by Stripe" if others else ""),
    )
    yield "took", words.duration(found.seconds)


def _finding_row(finding: Discrepancy) -> Row:
    mend = words.plural(len(finding.requests), "operation") if finding.requests else finding.fix
    kind = finding.kind.replace("_", " ")
    return Row([kind, finding.org or "-", finding.refund_id or finding.session, finding.expected, finding.found, mend])


def _advice(found: Reconciliation) -> str:
    operations = sum(len(finding.requests) for finding in found.findings)
    if not operations:
        return "nothing of it can be mended by an operation: -o json says more of each"
    if found.plan_out is not None:
        return f"{words.plural(operations, 'operation')} saved; look at them, then: meterctl apply {found.plan_out}"
    return f"{words.plural(operations, 'operation')} would mend it as far as possible: --plan-out FILE writes them"


#: What became of the objects that events spoke of, and which of it is trouble.
_COUNTS = (
    "applied",
    "planned",
    "replayed",
    "unchanged",
    "waiting",
    "pending",
    "unpaid",
    "refused",
    "conflict",
    "failed",
    "foreign",
    "other",
    "invalid",
)


@view("events")
def show_events(events: Events) -> Iterable[Block]:
    outcome = Said("✗ done, but not with all", "bad") if events.problems else Said("✓ done", "good")
    yield Heading((outcome, f": {words.plural(events.events, 'event')}"))
    names = [name for name in _COUNTS if getattr(events, name) or name in ("applied", "replayed")]
    yield Pairs([(name, Said(words.units(getattr(events, name)), _tone(name, events))) for name in names])
    if events.problems:
        columns = [Column("line", right=True), Column("object", least=12), Column("status"), Column("why", least=24)]
        rows = [
            Row([str(item["line"] or "-"), item["object"] or "-", item["status"], item["message"]])
            for item in events.problems
        ]
        yield Grid(columns, rows)
        if events.more:
            yield Note(f"and {events.more:,} more: --rejects FILE keeps what was invalid or refused, with the reason")
        yield Note("run it again when that has changed: nothing is booked twice")


def _tone(name: str, events: Events) -> Tone:
    return "bad" if name in TROUBLE and getattr(events, name) else ""


@view("receipts")
def show_receipts(answered: Receipts) -> Iterable[Block]:
    if not answered.receipts:
        yield Heading((Said("○ nothing to do", "warn"), f": {answered.command}"))
    for receipt in answered.receipts:
        yield from show_receipt(receipt)
