"""What ``expire`` and ``reset-week`` share: they are one sweep, reported from two sides."""

import re
from contextlib import nullcontext
from typing import Annotated, NamedTuple

from meterctl.commands.command import tell_no_journal
from meterctl.commands.options import argument, option, switch, worker_count
from meterctl.core.domain.checks import check_integer, check_org
from meterctl.core.errors import BadInput
from meterctl.core.files.atomic import check_apart
from meterctl.core.results import Sweep, SweepCommand
from meterctl.core.sweep.due_orgs import WHOLE, Extent, Shard
from meterctl.core.sweep.prometheus import MetricsFile
from meterctl.core.sweep.sweeper import PageBooker, Sweeper
from meterctl.process.garbage import collect_garbage
from meterctl.process.interrupts import Interrupts
from meterctl.process.progress import Progress
from meterctl.wiring import Wiring

MOST_SHARDS = 100_000

OrgOrAll = Annotated[str | None, argument("[ORG]", "One org; or --all.")]
AllOrgs = Annotated[bool, switch("--all", "Every org that has something due.")]
ShardOption = Annotated[str | None, option("--shard", "K/N", "With --all: part K of N, the same orgs each time.")]
Limit = Annotated[str | None, option("--limit", "N", "With --all: at most so many orgs, longest due first.")]
MaxErrors = Annotated[str | None, option("--max-errors", "N", "With --all: stop when so many orgs have failed.")]
Workers = Annotated[str | None, option("--workers", "N", "With --all: sweep in so many processes.")]
FailIfLocked = Annotated[bool, switch("--fail-if-locked", "With --all: exit 9 if another sweep is running.")]
Metrics = Annotated[str | None, option("--metrics-file", "FILE", "With --all: write figures for Prometheus there.")]

RequireJournal = Annotated[bool, switch("--require-journal", "Exit 10 if there is no journal: for cron.")]

_SHARD = re.compile(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})")


class SweepChoice(NamedTuple):
    """What the command line said of the sweep."""

    org: str | None
    all_orgs: bool = False
    shard: str | None = None
    limit: str | None = None
    max_errors: str | None = None
    workers: str | None = None
    fail_if_locked: bool = False
    metrics_file: str | None = None
    require_journal: bool = False


def check_wanted(name: str, wanted: SweepChoice) -> None:
    """Raise `BadInput` for what does not go together."""
    if (wanted.org is None) != wanted.all_orgs:
        raise BadInput("name one org, or give --all", hint=f"meterctl {name} --all", code="usage")
    if wanted.org is not None and wanted._replace(require_journal=False) != SweepChoice(check_org(wanted.org)):
        message = "only a sweep of all orgs has parts, limits, workers, a lock and metrics"
        raise BadInput(message, hint=f"meterctl {name} --all", code="usage")


def run_sweep(wiring: Wiring, name: SweepCommand, wanted: SweepChoice) -> Sweep:
    """Sweep one org or all of them, as `check_wanted` has found it in order."""
    if wanted.org is None:
        sweep = _sweep_all(wiring, name, wanted)
    else:
        sweep = wiring.sweeper(name).one(wanted.org, require_journal=wanted.require_journal)
    if not sweep.journal_found:
        tell_no_journal(wanted.org, wiring.describe_store(), "nothing is due")
    return sweep


def _sweep_all(wiring: Wiring, name: SweepCommand, wanted: SweepChoice) -> Sweep:
    extent = _extent(wanted)
    sweeper = wiring.sweeper(name, _workers(wiring, wanted.workers))
    file = None if wanted.metrics_file is None else _metrics(wiring, wanted.metrics_file)
    collect_garbage()
    with nullcontext() if file is None else file.of(sweeper.sweep), Interrupts() as interrupts:
        sweep = _watched(sweeper, extent, interrupts, wanted)
        if interrupts.stop:
            raise KeyboardInterrupt
    return sweep


def _metrics(wiring: Wiring, path: str) -> MetricsFile:
    check_apart("--metrics-file", path, *wiring.own_files)
    return MetricsFile(path, wiring.clock)


def _workers(wiring: Wiring, wanted: str | None) -> PageBooker | None:
    """Processes that book, if several are ``wanted``. What is planned is not booked: this one does."""
    count = worker_count(wanted)
    if count == 1 or wiring.options.plan_out is not None:
        return None
    from meterctl.workers.sweep import SweepWorkers  # loads what starts processes

    return SweepWorkers(count, wiring)


def _watched(sweeper: Sweeper, extent: Extent, interrupts: Interrupts, wanted: SweepChoice) -> Sweep:
    progress = Progress("orgs")
    try:
        return sweeper.all(
            extent,
            fail_if_locked=wanted.fail_if_locked,
            require_journal=wanted.require_journal,
            on_progress=lambda sweep: progress.tell(sweep.due, lambda: None),
            stop=lambda: interrupts.stop,
        )
    finally:
        progress.end()


def _extent(wanted: SweepChoice) -> Extent:
    return Extent(
        shard=WHOLE if wanted.shard is None else _shard(wanted.shard),
        limit=_number(wanted.limit, "limit"),
        max_errors=_number(wanted.max_errors, "max-errors"),
    )


def _number(text: str | None, what: str) -> int | None:
    return None if text is None else check_integer(text, what, least=1)


def _shard(text: str) -> Shard:
    found = _SHARD.fullmatch(text)
    shard = Shard(*map(int, found.groups())) if found else Shard(0, 0)
    if not 1 <= shard.part <= shard.parts <= MOST_SHARDS:
        hint = f"--shard 3/8 is the third of eight parts; there may be {MOST_SHARDS:,}"
        raise BadInput(f"{text!r} is no shard", hint=hint, code="bad_shard")
    return shard
