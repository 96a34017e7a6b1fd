"""``meterctl backfill``"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Annotated

from meterctl.commands.command import command, new_app
from meterctl.commands.confirmation import agree, is_to_ask, place_of
from meterctl.commands.options import argument, option, switch, worker_count
from meterctl.core.backfill.account import Account
from meterctl.core.backfill.booker import CHUNK, CHUNK_BYTES, LineBooker, LineByLine, ResultsFile, ResultsStream
from meterctl.core.backfill.repeats import MOST_KEYS
from meterctl.core.errors import BadInput
from meterctl.core.files.operation_lines import InputFile, Line, open_input
from meterctl.core.files.sources import STANDARD_STREAM
from meterctl.core.results import Backfill
from meterctl.process.interrupts import Interrupts
from meterctl.process.long_run import prepare_long_run
from meterctl.process.progress import Progress
from meterctl.wiring import Wiring

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from meterctl.core.model import Instant

app = new_app()

#: Longest message about a line, in characters, because it may quote the line.
LONGEST_MESSAGE = 500


@command(app, writes=True, metrics="backfill")
def backfill(
    wiring: Wiring,
    file: Annotated[str, argument("FILE|-", "NDJSON or CSV, plain or gzip; - reads standard input.")],
    results: Annotated[str | None, option("--results", "FILE|-", "Write one answer per line, as NDJSON.")] = None,
    workers: Annotated[str | None, option("--workers", "N", "Book in N processes, split by org.")] = None,
    sort: Annotated[str | None, option("--sort", "at", "Book in order of org and time, not in file order.")] = None,
    line_buffered: Annotated[
        bool, switch("--line-buffered", "Book and answer each line at once, for another program.")
    ] = False,
    timezone: Annotated[
        str | None, option("--timezone", "NAME", "Zone for times without one, such as Europe/Berlin.")
    ] = None,
) -> Backfill:
    """Book a file of operations, once each.

    Books every line under its own ref, in file order; with several --workers, in file order within each org. Running
    the same file again books nothing twice, and finishes an interrupted run. A bad line is reported, and the next lines
    are still booked. A line is {"op": "debit", "org": "acme", "units": 5, "ref": "r1"}; in CSV the header names the
    fields. Times need a zone, in the file or by --timezone. If the file is not in order of time, a line may take effect
    late, after newer entries of its org: --sort at prevents that. With --results - and --line-buffered the answers go
    to standard output, and the summary to standard error.

    \b
    Example:
      meterctl backfill november.ndjson.gz --results answers.ndjson
      meterctl backfill usage.csv --timezone Europe/Berlin --sort at
      meterctl backfill lines.ndjson --results - --line-buffered
    """
    count = worker_count(workers)
    zone = _zone(timezone)
    if line_buffered and (count > 1 or sort is not None):
        raise BadInput(
            "--line-buffered cannot be combined with --sort or --workers", hint="leave out one of them", code="usage"
        )
    if sort not in (None, "at"):
        raise BadInput(f"cannot sort by {sort!r}", hint="write --sort at, or leave it out", code="usage")
    if is_to_ask(wiring):
        agree(f"{place_of(wiring)} Book the operations in {file}?")
    prepare_long_run()
    began = wiring.elapsed()
    with ExitStack() as stack:
        source = stack.enter_context(open_input(file))
        wiring.store.require_ours()  # a file without any line would not touch the store
        lines = stack.enter_context(
            _in_order(source.lines(ahead=not line_buffered), zone, wiring.at, by_time=sort is not None)
        )
        answers = _answers(stack, wiring, results, file, to_output=line_buffered)
        interrupts = stack.enter_context(Interrupts())
        booker = LineByLine(_booker(wiring, count)) if line_buffered else _booker(wiring, count)
        account = _run(booker, source, _chunks(source, lines, interrupts, 1 if line_buffered else CHUNK), answers)
    account.tally.seconds = wiring.elapsed() - began
    account.tally.answers_printed = isinstance(answers, ResultsStream)
    if results is None:
        _report_unbooked(account)
    _report_uncompared(account)
    if interrupts.stop:
        place = f"{account.tally.lines:,} lines" if sort is not None else f"line {account.line}"
        sys.stderr.write(f"stopped after {place}; to go on, run the same again\n")
        raise KeyboardInterrupt
    return account.tally


@contextmanager
def _in_order(
    lines: Iterator[Line], zone: "ZoneInfo | None", at: "Instant | None", *, by_time: bool
) -> Iterator[Iterator[Line]]:
    """Yield the lines in booking order. ``at`` is the time of lines without one."""
    if zone is None and not by_time:
        yield lines
        return
    from meterctl.core.files.local_times import with_instants

    lines = with_instants(lines, zone, at)
    if not by_time:
        yield lines
        return
    from meterctl.core.backfill.sorting import sorted_lines

    with sorted_lines(lines) as in_order:
        yield in_order


def _zone(name: str | None) -> "ZoneInfo | None":
    if name is None:
        return None
    from meterctl.core.files.local_times import time_zone

    return time_zone(name)


def _booker(wiring: Wiring, count: int) -> LineBooker:
    """Return several processes, or this one. A dry run always uses this one."""
    if count == 1 or wiring.options.dry_run:
        return wiring.backfiller()
    from meterctl.workers.backfill import LineWorkers  # imports multiprocessing

    wiring.check_clock()  # here, because a worker cannot ask a person
    return LineWorkers(count, wiring.options, wiring.environ)


def _answers(
    stack: ExitStack, wiring: Wiring, results: str | None, file: str, *, to_output: bool
) -> ResultsFile | ResultsStream | None:
    """Open the destination of the answers: a file, or standard output (``-``) for lines answered at once."""
    if results is None:
        return None
    if results == STANDARD_STREAM:
        if to_output:
            return ResultsStream(sys.stdout)
        hint = "name a file; or add --line-buffered: the answers then go to standard output"
        raise BadInput("--results - needs --line-buffered", hint=hint, code="bad_results")
    return stack.enter_context(ResultsFile(results, file, *wiring.own_files))


def _run(
    booker: LineBooker, source: InputFile, chunks: Iterator[list[Line]], results: ResultsFile | ResultsStream | None
) -> Account:
    account, progress = Account(), Progress("lines")
    try:
        with closing(booker.answers(chunks)) as batches:
            for answers in batches:
                batch = account.take(answers)
                if results is not None:
                    results.write(batch)
                progress.tell(account.tally.lines, lambda: source.position() / source.size if source.size else None)
    finally:
        progress.end()
    return account


def _report_unbooked(account: Account) -> None:
    """Print the first lines that booked nothing and need attention. A results file lists them all."""
    from meterctl.views.safety import visible_line
    from meterctl.views.words import plural

    for answer in account.examples:
        text = visible_line(f"line {answer.line}: {answer.status}: {answer.message}")
        sys.stderr.write(f"{text[:LONGEST_MESSAGE]}\n")
    if more := account.to_look_at - len(account.examples):
        sys.stderr.write(f"and {plural(more, 'line')} more; --results FILE lists them all\n")


def _report_uncompared(account: Account) -> None:
    if account.keys.is_full:
        sys.stderr.write(f"only the first {MOST_KEYS:,} operations of the file were checked for repeated refs\n")


def _chunks(source: InputFile, lines: Iterator[Line], interrupts: Interrupts, size: int) -> Iterator[list[Line]]:
    while not interrupts.stop:
        chunk: list[Line] = []
        with interrupts.may_wait():
            end = source.length + CHUNK_BYTES
            for line in islice(lines, size):
                chunk.append(line)
                if source.length >= end:
                    break
        if not chunk:
            return
        yield chunk
