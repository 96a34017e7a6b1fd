"""Show the outcome of imports and audits."""

from collections.abc import Iterable

from meterctl.core.errors import shell_command
from meterctl.core.imports.devkit.audit_report import AuditReport
from meterctl.core.imports.devkit.importer import DevkitImportReport
from meterctl.core.imports.report import ImportReport
from meterctl.views import words
from meterctl.views.blocks import Block, Cell, Column, Grid, Heading, Note, Pairs, Row, Styled
from meterctl.views.registry import view

#: The most findings that are shown one by one.
SHOWN = 40


@view("import")
def show_import(imported: ImportReport) -> Iterable[Block]:
    new = bool(imported.imported or imported.plans)
    if imported.dry_run and new:
        outcome = Styled("○ would import", "accent")
    else:
        outcome = Styled("✓ imported", "good") if new else Styled("✓ nothing is new", "accent")
    yield Heading((outcome, f": {imported.source}"))
    known = f", {imported.known:,} of them here already" if imported.known else ""
    pairs: list[tuple[str, Cell]] = [
        ("journals", words.plural(imported.orgs, "org")),
        ("entries", f"{imported.entries:,} in the export{known}"),
        ("new", f"{words.plural(imported.imported, 'entry')}, {words.plural(imported.plans, 'plan version')}"),
        ("took", words.duration(imported.seconds)),
    ]
    if imported.missing_plans:
        pairs.append(("plans without a version", Styled(", ".join(imported.missing_plans), "warn")))
    yield Pairs(pairs)
    yield Note("nothing is imported yet" if imported.dry_run else "check it with: meterctl verify --all")


@view("audit")
def show_audit(audit: AuditReport) -> Iterable[Block]:
    count = sum(audit.counts.values())
    outcome = Styled(f"✗ {words.plural(count, 'finding')}", "bad") if count else Styled("✓ nothing is wrong", "good")
    yield Heading((outcome, f": {words.plural(audit.orgs, 'org')} of {audit.source}"))
    yield Pairs(
        [
            ("entries", words.units(audit.entries)),
            ("owed to customers", words.plural(audit.owed, "unit")),
            ("owed by customers", words.plural(audit.owing, "unit")),
        ]
    )
    if not count:
        return
    kinds = [Row([name, words.units(number)]) for name, number in sorted(audit.counts.items())]
    yield Grid([Column("finding", least=12), Column("times", right=True)], kinds, "by kind")
    columns = [
        Column("org", least=10),
        Column("finding", least=10),
        Column("units", right=True),
        Column("what", least=20),
    ]
    rows = [
        Row(
            [
                each["org"],
                each["finding"],
                "" if each["units"] is None else words.signed(each["units"]),
                each["message"],
            ]
        )
        for each in audit.findings[:SHOWN]
    ]
    yield Grid(columns, rows, "findings")
    if count > SHOWN:
        yield Note(f"{words.plural(count - SHOWN, 'finding')} more: -o json or -o ndjson lists them")
    if audit.plan_out is not None:
        yield Note(f"to carry out the adjustments: {shell_command('apply', audit.plan_out)}")


@view("devkit-import")
def show_devkit_import(result: DevkitImportReport) -> Iterable[Block]:
    if result.failed:
        outcome = Styled(f"✗ {words.plural(result.failed, 'org')} with problems", "bad")
    elif result.dry_run and result.imported:
        outcome = Styled("○ would import", "accent")
    else:
        outcome = Styled("✓ imported", "good") if result.imported else Styled("✓ nothing is new", "accent")
    yield Heading((outcome, f": {words.plural(result.orgs, 'org')} of {result.source}"))
    yield Pairs(
        [
            ("new entries", words.units(result.imported)),
            ("old ledgers", words.plural(result.old_balance, "unit")),
            ("journals", words.plural(result.balance, "unit")),
            ("took", words.duration(result.seconds)),
        ]
    )
    problems = [report for report in result.reports if report["problems"]]
    if problems:
        columns = [Column("org", least=10), Column("status"), Column("problems", least=20)]
        rows = [Row([each["org"], each["status"], "; ".join(each["problems"])]) for each in problems[:SHOWN]]
        yield Grid(columns, rows, "orgs with problems")
    yield Note("nothing is imported yet" if result.dry_run else "check it with: meterctl verify --all")
