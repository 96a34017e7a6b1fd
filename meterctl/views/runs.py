"""Show the outcome of sweeps, backfills and checks."""

from collections.abc import Iterable, Iterator

from meterctl.core.results import Backfill, Finding, Sweep, Verification
from meterctl.views import words
from meterctl.views.blocks import Block, Cell, Column, Grid, Heading, Note, Pairs, Row, Styled
from meterctl.views.registry import view


@view("sweep")
def show_sweep(sweep: Sweep) -> Iterable[Block]:
    yield Heading((*_sweep_outcome(sweep), f": {sweep.command} as of {words.when_utc(sweep.at)}"))
    if sweep.due or sweep.locked_by is None:
        yield Pairs(list(_sweep_pairs(sweep)))
    if sweep.errors:
        columns = [Column("org"), Column("problem", least=20)]
        yield Grid(columns, [Row([error["org"], error["message"]]) for error in sweep.errors], "failed")
        yield Note("all other orgs are done; run it again for these")
    if sweep.dry_run:
        yield Note("nothing is booked yet")


def _sweep_outcome(sweep: Sweep) -> Iterator[Styled]:
    if sweep.status == "disabled":
        yield Styled("○ switched off", "warn")
    elif sweep.locked_by is not None:
        yield Styled(f"○ skipped: {sweep.locked_by} is already sweeping", "warn")
    elif sweep.failed:
        yield Styled(f"✗ {words.plural(sweep.failed, 'org')} failed", "bad")
    elif sweep.done:
        yield Styled("○ would sweep", "accent") if sweep.dry_run else Styled("✓ swept", "good")
    else:
        yield Styled("✓ nothing is due", "good")


def _sweep_pairs(sweep: Sweep) -> Iterator[tuple[str, Cell]]:
    failed = Styled(f"{sweep.failed:,} failed", "bad" if sweep.failed else "")
    yield "orgs", (f"{sweep.due:,} due: {sweep.done:,} done, ", failed, f", {sweep.skipped:,} skipped")
    yield "expired", f"{words.plural(sweep.expired_lots, 'lot')} with {words.plural(sweep.expired_units, 'unit')}"
    settled = f", {words.plural(sweep.settled_units, 'unit')} of debt settled" if sweep.settled_units else ""
    rolled = f", {words.plural(sweep.rolled_over_units, 'unit')} rolled over" if sweep.rolled_over_units else ""
    yield "closed", words.plural(sweep.weeks_closed, "week") + settled + rolled
    if sweep.released_holds:
        yield "released", words.plural(sweep.released_holds, "hold")
    yield "took", words.duration(sweep.seconds)


#: Outcomes of input lines in the order they are shown, and the ones that are problems.
_COUNTS = ("applied", "planned", "replayed", "unchanged", "disabled", "refused", "conflict", "invalid", "failed")
_TROUBLE = frozenset({"refused", "conflict", "invalid", "failed"})


@view("backfill")
def show_backfill(backfill: Backfill) -> Iterable[Block]:
    yield Heading((_backfill_outcome(backfill), f": {words.plural(backfill.lines, 'line')}"))
    pairs: list[tuple[str, Cell]] = []
    for name in _COUNTS:
        count = getattr(backfill, name)
        if count or name in ("applied", "replayed"):
            pairs.append((name, Styled(words.units(count), "bad" if name in _TROUBLE else "")))
    yield Pairs([*pairs, ("took", _speed(backfill))])
    if backfill.exit_code:
        yield Note("list every line with --results FILE; correct these and run the file again: nothing is booked twice")
    if backfill.late:
        late = f"{words.plural(backfill.late, 'line')} took effect later than written, behind newer entries of the org"
        yield Note(f"{late}; next time book the file with --sort at, in order of time", "warn")
    if backfill.twice_in_file:
        yield Note(
            f"{words.plural(backfill.twice_in_file, 'line')} repeat a key of the same file (twice_in_file)", "warn"
        )
    if backfill.planned:
        yield Note("nothing is booked yet")


def _backfill_outcome(backfill: Backfill) -> Styled:
    if backfill.planned:
        return (
            Styled("✗ would book, but not every line", "bad")
            if backfill.exit_code
            else Styled("○ would book", "accent")
        )
    return Styled("✗ done, but not every line", "bad") if backfill.exit_code else Styled("✓ done", "good")


def _speed(backfill: Backfill) -> str:
    took = words.duration(backfill.seconds)
    return f"{took}, {int(backfill.lines / backfill.seconds):,} lines a second" if backfill.seconds > 0 else took


@view("verify")
def show_verification(verification: Verification) -> Iterable[Block]:
    scope = f": {words.plural(verification.entries, 'entry')} of {words.plural(verification.orgs, 'org')}"
    yield Heading((_verify_outcome(verification), scope, f" in {words.duration(verification.seconds)}"))
    if verification.findings:
        columns = [Column("org"), Column("seq", right=True), Column("check", right=True), Column("finding", least=24)]
        rows = [
            Row([finding.org or "-", _seq(finding.seq), str(finding.check), _message(finding)])
            for finding in verification.findings
        ]
        yield Grid(columns, rows)
    if verification.more:
        yield Note(f"and {words.plural(verification.more, 'finding')} more, counted only", "warn")


def _verify_outcome(verification: Verification) -> Styled:
    if not verification.ok:
        count = sum(finding.times for finding in verification.findings) + verification.more
        return Styled(f"✗ {words.plural(count, 'finding')}", "bad")
    return Styled("✓ all checks hold", "good") if verification.entries else Styled("○ nothing to check", "warn")


def _message(finding: Finding) -> str:
    return finding.message if finding.times == 1 else f"{finding.message} ({finding.times:,} times)"


def _seq(seq: int | None) -> str:
    return "-" if seq is None else str(seq)
