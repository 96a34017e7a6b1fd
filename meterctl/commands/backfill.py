"""``meterctl backfill``"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Annotated

from meterctl.commands.asking import agree, is_to_ask, place_of
from meterctl.commands.common import argument, command, new_app, option
from meterctl.core.backfill import CHUNK, Backfiller, Caller, ResultsFile
from meterctl.core.inputs import InputFile, Line, open_input
from meterctl.core.results import Backfill
from meterctl.interrupts import Interrupts
from meterctl.longrun import collect_garbage
from meterctl.progress import Progress
from meterctl.wiring import Wiring

app = new_app()


@command(app, writes=True)
def backfill(
    wiring: Wiring,
    file: Annotated[str, argument("FILE|-", "NDJSON or CSV, plain or gzip; - reads standard input.")],
    results: Annotated[str | None, option("--results", "FILE", "Write what became of each line, as NDJSON.")] = None,
) -> Backfill:
    """Book a file of operations, once each.

    Books what each line asks for, in file order, under the line's own ref: running the same file again books nothing
    twice, and a file or a run that was cut off is finished by running it again. A bad line is reported and stops
    nothing. A line is {"op": "debit", "org": "acme", "units": 5, "ref": "r1"}; in CSV the header names the fields.

    \b
    Example:
      meterctl backfill november.ndjson.gz --results answers.ndjson
    """
    if is_to_ask(wiring):
        agree(f"{place_of(wiring)} Book the operations in {file}?")
    collect_garbage()
    began = wiring.elapsed()
    with ExitStack() as stack:
        source = stack.enter_context(open_input(file))
        lines = source.lines()
        answers = stack.enter_context(ResultsFile(results, source=file)) if results is not None else None
        interrupts = stack.enter_context(Interrupts())
        backfiller = Backfiller(wiring.ledger, Caller(wiring.actor, wiring.options.reason, wiring.at))
        _run(backfiller, source, _chunks(lines, interrupts), answers)
    backfiller.tally.seconds = wiring.elapsed() - began
    if interrupts.asked:
        sys.stderr.write(f"stopped after line {backfiller.line}; to go on: meterctl backfill {file}\n")
        raise KeyboardInterrupt
    return backfiller.tally


def _run(backfiller: Backfiller, source: InputFile, chunks: Iterator[list[Line]], results: ResultsFile | None) -> None:
    progress = Progress("lines")
    try:
        for answers in backfiller.answers(chunks):
            if results is not None:
                results.write(answers)
            progress.tell(backfiller.tally.lines, lambda: source.position() / source.size if source.size else None)
    finally:
        progress.end()


def _chunks(lines: Iterator[Line], interrupts: Interrupts) -> Iterator[list[Line]]:
    while not interrupts.asked:
        chunk: list[Line] = []
        with interrupts.may_wait():
            chunk = list(islice(lines, CHUNK))
        if not chunk:
            return
        yield chunk
