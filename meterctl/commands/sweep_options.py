"""The shared options of ``expire`` and ``reset-week``, which run the same sweep."""

import re
from contextlib import nullcontext
from typing import Annotated, NamedTuple

from meterctl.commands.command import report_no_journal
from meterctl.commands.options import argument, completer, option, switch, worker_count
from meterctl.core.domain.checks import check_integer, check_org
from meterctl.core.errors import BadInput, MeterctlError
from meterctl.core.files.atomic import check_apart
from meterctl.core.results import Sweep, SweepCommand
from meterctl.core.sweep.due_orgs import WHOLE, Extent, Shard
from meterctl.core.sweep.prometheus import MetricsFile
from meterctl.core.sweep.sweeper import PageBooker, Sweeper
from meterctl.process.interrupts import Interrupts
from meterctl.process.long_run import prepare_long_run
from meterctl.process.progress import Progress
from meterctl.wiring import Wiring

MOST_SHARDS = 100_000

OrgOrAll = Annotated[str | None, argument("[ORG]", "One org; or --all.", completer("complete_orgs"))]
AllOrgs = Annotated[bool, switch("--all", "Every org that has something due.")]
ShardOption = Annotated[str | None, option("--shard", "K/N", "With --all: part K of N, the same orgs each time.")]
Limit = Annotated[str | None, option("--limit", "N", "With --all: at most N orgs, longest due first.")]
MaxErrors = Annotated[str | None, option("--max-errors", "N", "With --all: stop after N failed orgs.")]
Workers = Annotated[str | None, option("--workers", "N", "With --all: sweep in N processes.")]
FailIfLocked = Annotated[bool, switch("--fail-if-locked", "With --all: exit 9 if another sweep is running.")]
Metrics = Annotated[str | None, option("--metrics-file", "FILE", "With --all: write metrics for Prometheus to FILE.")]

_SHARD = re.compile(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})")


class SweepChoice(NamedTuple):
    """The options of a sweep, as on the command line."""

    org: str | None
    all_orgs: bool = False
    shard: str | None = None
    limit: str | None = None
    max_errors: str | None = None
    workers: str | None = None
    fail_if_locked: bool = False
    metrics_file: str | None = None
    require_journal: bool = False


def check_options(name: str, options: SweepChoice) -> None:
    """Raise `BadInput` for options that cannot be combined."""
    if (options.org is None) != options.all_orgs:
        raise BadInput("name one org, or give --all", hint=f"meterctl {name} --all", code="usage")
    if options.org is not None and options._replace(require_journal=False) != SweepChoice(check_org(options.org)):
        message = "--shard, --limit, --max-errors, --workers, --fail-if-locked and --metrics-file need --all"
        raise BadInput(message, hint=f"meterctl {name} --all", code="usage")


def run_sweep(wiring: Wiring, name: SweepCommand, options: SweepChoice) -> Sweep:
    """Sweep one org or all of them. Call `check_options` first."""
    if options.org is None:
        sweep = _sweep_all(wiring, name, options)
    else:
        sweep = wiring.sweeper(name).one(options.org, require_journal=options.require_journal)
    if not sweep.journal_found:
        report_no_journal(wiring, options.org, "nothing is due")
    return sweep


def _sweep_all(wiring: Wiring, name: SweepCommand, options: SweepChoice) -> Sweep:
    extent = _extent(options)
    file = None if options.metrics_file is None else _metrics(wiring, options.metrics_file)
    try:
        sweeper = wiring.sweeper(name, _workers(wiring, options.workers))
    except MeterctlError:  # the store cannot be opened
        if file is not None:
            at, shard = wiring.at or wiring.now, str(extent.shard)
            file.failed(Sweep(name, at, dry_run=wiring.options.dry_run, shard=shard))
        raise
    prepare_long_run()
    with nullcontext() if file is None else file.of(sweeper.sweep), Interrupts() as interrupts:
        sweep = _sweep_with_progress(sweeper, extent, interrupts, options)
        if interrupts.stop:
            raise KeyboardInterrupt
    return sweep


def _metrics(wiring: Wiring, path: str) -> MetricsFile:
    check_apart("--metrics-file", path, *wiring.own_files)
    return MetricsFile(path, wiring.clock)


def _workers(wiring: Wiring, text: str | None) -> PageBooker | None:
    """Return several processes for --workers; None for this process, which also saves plans."""
    count = worker_count(text)
    if count == 1 or wiring.options.plan_out is not None:
        return None
    from meterctl.workers.sweep import SweepWorkers  # imports multiprocessing

    return SweepWorkers(count, wiring)


def _sweep_with_progress(sweeper: Sweeper, extent: Extent, interrupts: Interrupts, options: SweepChoice) -> Sweep:
    progress = Progress("orgs")
    try:
        return sweeper.all(
            extent,
            fail_if_locked=options.fail_if_locked,
            require_journal=options.require_journal,
            on_progress=lambda sweep: progress.tell(sweep.due, lambda: None),
            stop=lambda: interrupts.stop,
        )
    finally:
        progress.end()


def _extent(options: SweepChoice) -> Extent:
    return Extent(
        shard=WHOLE if options.shard is None else _shard(options.shard),
        limit=_number(options.limit, "limit"),
        max_errors=_number(options.max_errors, "max-errors"),
    )


def _number(text: str | None, name: str) -> int | None:
    return None if text is None else check_integer(text, name, least=1)


def _shard(text: str) -> Shard:
    match = _SHARD.fullmatch(text)
    shard = Shard(*map(int, match.groups())) if match else Shard(0, 0)
    if not 1 <= shard.part <= shard.parts <= MOST_SHARDS:
        hint = f"--shard 3/8 is the third of eight shards; the most is {MOST_SHARDS:,}"
        raise BadInput(f"{text!r} is not a shard", hint=hint, code="bad_shard")
    return shard
