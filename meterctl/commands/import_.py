"""``meterctl import``"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from tempfile import TemporaryFile
from typing import IO, Annotated

from meterctl.commands.command import command, new_app, report_no_journal, report_no_ledgers
from meterctl.commands.confirmation import agree, is_to_ask, place_of
from meterctl.commands.options import argument, option
from meterctl.core.errors import BadInput
from meterctl.core.imports.devkit.importer import DevkitImportReport
from meterctl.core.imports.report import ImportReport
from meterctl.core.results import Result
from meterctl.core.stores.url import open_store, same_place, without_secret
from meterctl.process.long_run import prepare_long_run
from meterctl.wiring import Wiring

app = new_app()


@command(app, "import", writes=True, plans=False)
def import_journals(
    wiring: Wiring,
    source: Annotated[
        str, argument("EXPORT|-|STORE|devkit", "An export, plain or gzip; another store's URL; or devkit.")
    ],
    old: Annotated[str | None, option("--from", "URI", "devkit: the old database (else METERCTL_DEVKIT).")] = None,
    org: Annotated[str | None, option("--org", "ORG", "devkit: only this org.")] = None,
) -> Result:
    """Bring journals in from an export, or from another store.

    Checks the whole export first, alone and against the store. Books the missing entries unchanged. A journal
    may be new to the store or continue its journal; otherwise the import is refused and adds nothing. Claims and heads
    are made along with the entries; plan versions come with `export --plans`. Run it again after any interruption.

    `import devkit` imports the data of the old system (docs/devkit.md). It only reads the old collections, and a second
    run imports only new data.

    \b
    Examples:
      meterctl import backup.ndjson.gz --store mongodb://db/restored
      meterctl import sqlite:credits.db --store mongodb://db/credits
      meterctl import devkit --from mongodb://db/devkit --dry-run
    """
    if source == "devkit":
        return _devkit(wiring, old, org)
    if old is not None or org is not None:
        raise BadInput("--from and --org belong to: meterctl import devkit", hint="leave them out", code="usage")
    return _export(wiring, source)


def _devkit(wiring: Wiring, uri: str | None, org: str | None) -> DevkitImportReport:
    from meterctl.core.booking.payment_modes import check_source, mode_by_marks
    from meterctl.core.imports.devkit.importer import DevkitImporter
    from meterctl.process.progress import Progress

    prepare_long_run()
    database = wiring.devkit(uri)
    if is_to_ask(wiring):
        agree(f"{place_of(wiring)} Import {database.place}?")
    _check_target(wiring)
    began, line = wiring.elapsed(), Progress("orgs")
    result = DevkitImportReport(database.place, dry_run=wiring.options.dry_run)
    packs, dry_run = wiring.settings.terms.packs, wiring.options.dry_run
    check_source(mode_by_marks(lambda mark: database.has_session(mark, org)), database.place, wiring.store)
    importer = DevkitImporter(wiring.store, packs, wiring.actor, wiring.write_clock().now(), dry_run=dry_run)
    try:
        for report in importer.run(database.everything() if org is None else [database.one(org)]):
            result.take(report)
            line.tell(result.orgs, lambda: None)
    finally:
        line.end()
    if not result.orgs:
        report_no_ledgers(database.place, "nothing was imported")
    result.seconds = wiring.elapsed() - began
    return result


def _export(wiring: Wiring, source: str) -> ImportReport:
    from meterctl.core.imports.export_file import import_export
    from meterctl.process.progress import Progress

    prepare_long_run()
    if is_to_ask(wiring):
        agree(f"{place_of(wiring)} Import {without_secret(source) if _is_store(source) else source}?")
    _check_target(wiring)
    began, line = wiring.elapsed(), Progress("entries")
    with ExitStack() as stack:
        stack.callback(line.end)
        name, lines = stack.enter_context(_opened(wiring, source))
        wiring.check_clock()
        result = import_export(
            lines,
            name,
            wiring.store,
            dry_run=wiring.options.dry_run,
            progress=lambda _orgs, entries: line.tell(entries, lambda: None),
        )
    result.seconds = wiring.elapsed() - began
    if not result.orgs:
        report_no_journal(wiring, None, "nothing was imported", name)
    if result.missing_plans:
        plans = ", ".join(result.missing_plans)
        sys.stderr.write(
            f"the store has no version of these plans: {plans}; export them with --plans, or publish them\n"
        )
    return result


def _check_target(wiring: Wiring) -> None:
    # The import bypasses the ledger, which would check the store and the clock.
    wiring.store.require_ours()
    if not wiring.options.dry_run:
        wiring.check_clock()


def _is_store(source: str) -> bool:
    return source.startswith(("sqlite:", "mongodb://", "mongodb+srv://"))


@contextmanager
def _opened(wiring: Wiring, source: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Open the source; yield its name and a seekable file."""
    from meterctl.core.files.sources import display_name, open_file_or_standard_input, seekable, unzip
    from meterctl.core.imports.export_file import check_readable
    from meterctl.core.reads.export_lines import whole_store
    from meterctl.core.verify.export_check import entry_lines

    if _is_store(source):
        if same_place(source, wiring.store_url):
            raise BadInput(
                "source and target are the same store", hint="name another target with --store", code="usage"
            )
        with closing(open_store(source, only_look=True)) as other, TemporaryFile() as copy:
            copy.writelines(whole_store(other))
            copy.seek(0)
            yield other.describe(), copy
        return
    with open_file_or_standard_input(source) as file, seekable(unzip(file)) as lines:
        start = lines.tell()
        if first := next((line for line in entry_lines(lines) if not line.isspace()), None):
            check_readable(first)
        lines.seek(start)
        yield display_name(source), lines
