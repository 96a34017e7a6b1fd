"""How a long run went: sweeps, backfills, checks."""

from collections.abc import Iterable, Iterator

from meterctl.core.results import Backfill, Finding, Sweep, Verification
from meterctl.views import words
from meterctl.views.blocks import Block, Cell, Column, Grid, Heading, Note, Pairs, Row, Said
from meterctl.views.registry import view


@view("sweep")
def show_sweep(sweep: Sweep) -> Iterable[Block]:
    yield Heading((*_sweep_outcome(sweep), f": {sweep.command} as of {words.when_utc(sweep.at)}"))
    if sweep.due or sweep.locked_by is None:
        yield Pairs(list(_sweep_pairs(sweep)))
    if sweep.errors:
        columns = [Column("org"), Column("what went wrong", least=20)]
        yield Grid(columns, [Row([error["org"], error["message"]]) for error in sweep.errors], "failed")
        yield Note("the other orgs are done; run it again for these")
    if sweep.dry_run:
        yield Note("nothing is booked yet")


def _sweep_outcome(sweep: Sweep) -> Iterator[Said]:
    if sweep.status == "disabled":
        yield Said("○ switched off", "warn")
    elif sweep.locked_by is not None:
        yield Said(f"○ left to {sweep.locked_by}, which is sweeping", "warn")
    elif sweep.failed:
        yield Said(f"✗ {words.plural(sweep.failed, 'org')} failed", "bad")
    elif sweep.done:
        yield Said("○ would sweep", "accent") if sweep.dry_run else Said("✓ swept", "good")
    else:
        yield Said("✓ nothing is due", "good")


def _sweep_pairs(sweep: Sweep) -> Iterator[tuple[str, Cell]]:
    failed = Said(f"{sweep.failed:,} failed", "bad" if sweep.failed else "")
    yield "orgs", (f"{sweep.due:,} due: {sweep.done:,} done, ", failed, f", {sweep.skipped:,} skipped")
    yield "expired", f"{words.plural(sweep.expired_lots, 'lot')} with {words.plural(sweep.expired_units, 'unit')}"
    settled = f", {words.plural(sweep.settled_units, 'unit')} of debt settled" if sweep.settled_units else ""
    yield "closed", words.plural(sweep.weeks_closed, "week") + settled
    yield "took", words.duration(sweep.seconds)


#: What became of input lines, and which of it is trouble.
_COUNTS = ("applied", "planned", "replayed", "unchanged", "disabled", "refused", "conflict", "invalid", "failed")
_TROUBLE = frozenset({"refused", "conflict", "invalid", "failed"})


@view("backfill")
def show_backfill(backfill: Backfill) -> Iterable[Block]:
    yield Heading((_backfill_outcome(backfill), f": {words.plural(backfill.lines, 'line')}"))
    pairs: list[tuple[str, Cell]] = []
    for name in _COUNTS:
        count = getattr(backfill, name)
        if count or name in ("applied", "replayed"):
            pairs.append((name, Said(words.units(count), "bad" if name in _TROUBLE else "")))
    yield Pairs([*pairs, ("took", _speed(backfill))])
    if backfill.exit_code:
        yield Note(
            "--results FILE tells line by line; mend those lines and run the file again: nothing is booked twice"
        )
    if backfill.late:
        late = f"{words.plural(backfill.late, 'line')} took effect later than written, behind newer entries of the org"
        yield Note(f"{late}; before a file is booked, --sort at puts its lines in order of time", "warn")
    if backfill.twice_in_file:
        yield Note(f"keys that stand in this file before: {backfill.twice_in_file:,} (twice_in_file)", "warn")
    if backfill.planned:
        yield Note("nothing is booked yet")


def _backfill_outcome(backfill: Backfill) -> Said:
    if backfill.planned:
        return Said("✗ would book, but not every line", "bad") if backfill.exit_code else Said("○ would book", "accent")
    return Said("✗ done, but not every line", "bad") if backfill.exit_code else Said("✓ done", "good")


def _speed(backfill: Backfill) -> str:
    took = words.duration(backfill.seconds)
    return f"{took}, {int(backfill.lines / backfill.seconds):,} lines a second" if backfill.seconds > 0 else took


@view("verify")
def show_verification(verification: Verification) -> Iterable[Block]:
    looked = f": {words.plural(verification.entries, 'entry')} of {words.plural(verification.orgs, 'org')}"
    yield Heading((_verify_outcome(verification), looked, f" in {words.duration(verification.seconds)}"))
    if verification.findings:
        columns = [Column("org"), Column("seq", right=True), Column("check", right=True), Column("finding", least=24)]
        rows = [
            Row([finding.org or "-", _seq(finding.seq), str(finding.check), _message(finding)])
            for finding in verification.findings
        ]
        yield Grid(columns, rows)
    if verification.more:
        yield Note(f"and {words.plural(verification.more, 'finding')} more, counted only", "warn")


def _verify_outcome(verification: Verification) -> Said:
    if not verification.ok:
        count = sum(finding.times for finding in verification.findings) + verification.more
        return Said(f"✗ {words.plural(count, 'finding')}", "bad")
    return Said("✓ all checks hold", "good") if verification.entries else Said("○ nothing to check", "warn")


def _message(finding: Finding) -> str:
    return finding.message if finding.times == 1 else f"{finding.message} ({finding.times:,} times)"


def _seq(seq: int | None) -> str:
    return "-" if seq is None else str(seq)
