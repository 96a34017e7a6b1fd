"""``meterctl verify``"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Annotated, TypedDict

from meterctl.commands.command import command, new_app, report_no_journal
from meterctl.commands.options import (
    RequireJournal,
    argument,
    completer,
    core_count,
    option,
    switch,
    worker_count,
)
from meterctl.core.booking.checked_clock import JudgedClock
from meterctl.core.domain.checks import check_org
from meterctl.core.errors import BadInput, NoJournal, shell_command
from meterctl.core.files.atomic import Aside, check_apart, writing
from meterctl.core.files.sources import display_name, open_file, open_file_or_standard_input, unzip
from meterctl.core.results import Facts, Result, Verification
from meterctl.core.verify import (
    LONGEST_SEAL_LINE,
    SEAL,
    Checked,
    Checker,
    OnTip,
    Progress,
    Seal,
    SealWriter,
    StorePart,
    check_part,
    latest_at,
    read_seal,
    repair_heads,
    verify_all,
    verify_file,
    verify_org,
)
from meterctl.core.verify.claim_repair import repair_claims
from meterctl.process.long_run import prepare_long_run
from meterctl.process.progress import Progress as ProgressLine
from meterctl.wiring import Wiring

app = new_app()

#: Seconds of checking after which starting several processes pays off.
_WORTH_PROCESSES = 0.5


@command(app, metrics="verify")
def verify(
    wiring: Wiring,
    org: Annotated[str | None, argument("[ORG]", "One org; or --all, or --file.", completer("complete_orgs"))] = None,
    all_orgs: Annotated[bool, switch("--all", "Every org, and every head and claim.")] = False,
    file: Annotated[str | None, option("--file", "EXPORT", "An export, plain or gzip; - reads standard input.")] = None,
    seal: Annotated[str | None, option("--seal", "FILE", "Write the end of each journal to FILE.")] = None,
    against: Annotated[
        str | None, option("--against", "FILE", "Prove that the journals still contain everything in this seal.")
    ] = None,
    heads: Annotated[bool, switch("--repair-heads", "Only rebuild the cached heads.")] = False,
    claims: Annotated[bool, switch("--repair-claims", "Only rebuild the claims of credited payments.")] = False,
    workers: Annotated[str | None, option("--workers", "N", "With --all: check in N processes.")] = None,
    require_journal: RequireJournal = False,
) -> Result:
    """Check journals against the rules. Books nothing.

    Exit 8 with a finding; each names its org, entry and check. --file needs no store. Keep a seal elsewhere: with
    --against it proves later that no journal was cut off or rewritten. A long check of all orgs uses every core unless
    --workers is set.

    \b
    Examples:
      meterctl verify acme
      meterctl verify --all --workers 4 --seal november.seal
      meterctl verify --file export.ndjson --against november.seal
    """
    if [org is not None, all_orgs, file is not None].count(True) != 1:
        raise BadInput("name one org, or give --all, or --file", hint="meterctl verify --all", code="usage")
    if workers is not None and not all_orgs:
        raise BadInput("--workers needs --all", hint="meterctl verify --all", code="usage")
    prepare_long_run()
    if heads or claims:
        if heads and claims:
            raise BadInput("repair one at a time", hint="first --repair-heads, then --repair-claims", code="usage")
        if not all_orgs or seal is not None or against is not None or workers is not None:
            target = "heads" if heads else "claims"
            message = f"--repair-{target} needs --all, and cannot be combined with --seal, --against or --workers"
            raise BadInput(message, hint=shell_command("verify", "--all", f"--repair-{target}"), code="usage")
        return _repair(wiring, claims=claims)
    if seal is not None:
        check_apart("--seal", seal, file, *wiring.own_files)
    with ExitStack() as stack:
        progress = stack.enter_context(_progress())
        sealing = stack.enter_context(_sealing(wiring, seal)) if seal is not None else None
        settings: _CheckSettings = {
            "seal": _seal(against),
            "progress": progress,
            "on_tip": sealing.on_tip if sealing else None,
        }
        result = _verify(wiring, org, file, workers, settings)
        result.journal_found = result.orgs > 0
        if result.ok and not result.entries:
            _report_nothing(wiring, org, file, require_journal=require_journal)
        if sealing is not None:
            sealing.sound = result.ok
    return result


def _report_nothing(wiring: Wiring, org: str | None, file: str | None, *, require_journal: bool) -> None:
    """Warn that nothing was checked, or raise `NoJournal`; either way no seal vouches for an empty store by mistake."""
    place = None if file is None else display_name(file)
    if require_journal:
        raise NoJournal(f"{place or wiring.describe_store()} has no journal{'' if org is None else f' of {org}'}")
    report_no_journal(wiring, org, "nothing was checked", place)


class _CheckSettings(TypedDict):
    """The arguments of every check."""

    seal: Seal | None
    progress: Progress
    on_tip: OnTip | None


def _verify(
    wiring: Wiring, org: str | None, file: str | None, workers: str | None, settings: _CheckSettings
) -> Verification:
    if file is not None:
        with open_file_or_standard_input(file) as source:
            return verify_file(unzip(source), latest=latest_at(wiring.clock), **settings)
    limits = wiring.settings.clock_limits
    clock = JudgedClock(wiring.clock, wiring.store.clock, limits, is_pinned=wiring.is_pinned, doubt=_warn_of_clock)
    if org is not None:
        return verify_org(wiring.store, check_org(org), clock=clock, **settings)
    return verify_all(wiring.store, checker=_checker(wiring, workers), clock=clock, **settings)


def _warn_of_clock(problem: str) -> None:
    sys.stderr.write(f"warning: {problem}\n")


def _checker(wiring: Wiring, workers: str | None) -> Checker | None:
    """Return a checker with several processes; None for this process."""
    count = core_count() if workers is None else worker_count(workers)
    if count == 1:
        return None
    return partial(_in_several if workers else _here_first, wiring, count)


def _here_first(wiring: Wiring, count: int, parts: Iterable[StorePart]) -> Iterator[Checked]:
    """Check parts in this process at first, and the rest of a long check in ``count`` processes."""
    rest = iter(parts)
    began = wiring.elapsed()
    for part in rest:
        yield check_part(wiring.store, part)
        if wiring.elapsed() - began > _WORTH_PROCESSES:
            yield from _in_several(wiring, count, rest)


def _in_several(wiring: Wiring, count: int, parts: Iterable[StorePart]) -> Iterator[Checked]:
    from meterctl.workers.verify import checker  # imports multiprocessing

    return checker(count, wiring)(parts)


def _repair(wiring: Wiring, *, claims: bool) -> Facts:
    wiring.check_named()
    return Facts("repair", (repair_claims if claims else repair_heads)(wiring.store)._asdict())


def _seal(path: str | None) -> Seal | None:
    if path is None:
        return None
    with open_file(path) as file:
        return read_seal(iter(lambda: file.readline(LONGEST_SEAL_LINE), b""))


@contextmanager
def _progress() -> Iterator[Progress]:
    line = ProgressLine("entries")
    try:
        yield lambda _orgs, entries: line.tell(entries, lambda: None)
    finally:
        line.end()


class _Sealing:
    """A seal being written. It is kept only if all checks pass, because a seal vouches for the journals."""

    def __init__(self, writer: SealWriter) -> None:
        self.on_tip: OnTip = writer.add
        self.sound = False


@contextmanager
def _sealing(wiring: Wiring, path: str) -> Iterator[_Sealing]:
    with writing(path):
        aside = Aside(path, SEAL)

    def write(line: str) -> None:
        with writing(path):  # not around the block: its read errors are not write errors
            aside.file.write(line)

    with aside:
        writer = SealWriter(write, wiring.now)
        sealing = _Sealing(writer)
        yield sealing
        if not sealing.sound:
            sys.stderr.write(f"no seal was written to {path}, because the check has findings\n")
            return
        writer.close()
        with writing(path):
            aside.keep()
