"""``meterctl verify``"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Annotated, TypedDict

from meterctl.commands.command import command, new_app, tell_no_journal
from meterctl.commands.options import argument, core_count, option, switch, worker_count
from meterctl.core.domain.checks import check_org
from meterctl.core.errors import BadInput
from meterctl.core.files.atomic import Aside, check_apart, writing
from meterctl.core.files.sources import display_name, open_file, open_file_or_standard_input, unzipped
from meterctl.core.results import Facts, Result, Verification
from meterctl.core.verify import (
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
from meterctl.process.garbage import collect_garbage
from meterctl.process.progress import Progress as ProgressLine
from meterctl.wiring import Wiring

app = new_app()

#: Seconds of checking from which on several processes are worth their start.
_WORTH_PROCESSES = 0.5


@command(app, metrics="verify")
def verify(
    wiring: Wiring,
    org: Annotated[str | None, argument("[ORG]", "One org; or --all, or --file.")] = None,
    all_orgs: Annotated[bool, switch("--all", "Every org, and every head and claim.")] = False,
    file: Annotated[str | None, option("--file", "EXPORT", "An export, plain or gzip; - reads standard input.")] = None,
    seal: Annotated[str | None, option("--seal", "FILE", "Write there where each journal ends.")] = None,
    against: Annotated[str | None, option("--against", "FILE", "Prove that all in that seal is still there.")] = None,
    heads: Annotated[bool, switch("--repair-heads", "Make the cached heads anew, and nothing else.")] = False,
    claims: Annotated[bool, switch("--repair-claims", "Claim every credited payment anew, and nothing else.")] = False,
    workers: Annotated[str | None, option("--workers", "N", "With --all: check in so many processes.")] = None,
) -> Result:
    """Check journals against the rules. Books nothing.

    Exit 8 if anything is found, each finding with its org, entry and check. With --file no store is needed. A seal kept
    elsewhere proves later, with --against, that no journal was cut off or written anew. A long check of all orgs uses
    every core, unless --workers says otherwise.

    \b
    Examples:
      meterctl verify acme
      meterctl verify --all --workers 4 --seal november.seal
      meterctl verify --file export.ndjson --against november.seal
    """
    if [org is not None, all_orgs, file is not None].count(True) != 1:
        raise BadInput("name one org, or give --all, or --file", hint="meterctl verify --all", code="usage")
    if workers is not None and not all_orgs:
        raise BadInput("only a check of all orgs has workers", hint="meterctl verify --all", code="usage")
    collect_garbage()
    if heads or claims:
        if heads and claims:
            raise BadInput("repair one at a time", hint="--repair-heads, then --repair-claims", code="usage")
        if not all_orgs or seal is not None or against is not None or workers is not None:
            what = "heads" if heads else "claims"
            message = f"{what} are repaired for all orgs, without workers, and no seal is read or written with that"
            raise BadInput(message, hint=f"meterctl verify --all --repair-{what}", code="usage")
        return _repair(wiring, claims=claims)
    if seal is not None:
        check_apart("--seal", seal, file, *wiring.own_files)
    with ExitStack() as stack:
        progress = stack.enter_context(_progress())
        sealing = stack.enter_context(_sealing(wiring, seal)) if seal is not None else None
        how: _How = {"seal": _seal(against), "progress": progress, "on_tip": sealing.on_tip if sealing else None}
        found = _verify(wiring, org, file, workers, how)
        if sealing is not None:
            sealing.sound = found.ok
    found.journal_found = found.orgs > 0
    if found.ok and not found.entries:
        place = wiring.describe_store() if file is None else display_name(file)
        tell_no_journal(org, place, "nothing was checked")
    return found


class _How(TypedDict):
    """What every check is given, whatever it looks at."""

    seal: Seal | None
    progress: Progress
    on_tip: OnTip | None


def _verify(wiring: Wiring, org: str | None, file: str | None, workers: str | None, how: _How) -> Verification:
    if file is not None:
        with open_file_or_standard_input(file) as source:
            return verify_file(unzipped(source), latest=latest_at(wiring.clock), **how)
    if org is not None:
        return verify_org(wiring.store, check_org(org), clock=wiring.clock, **how)
    return verify_all(wiring.store, checker=_checker(wiring, workers), clock=wiring.clock, **how)


def _checker(wiring: Wiring, workers: str | None) -> Checker | None:
    """Return the processes that check; None if this one does."""
    count = core_count() if workers is None else worker_count(workers)
    if count == 1:
        return None
    return partial(_in_several if workers else _here_first, wiring, count)


def _here_first(wiring: Wiring, count: int, parts: Iterable[StorePart]) -> Iterator[Checked]:
    """Check parts in this process for as long as others would take to start, and the rest in ``count`` of them."""
    left = iter(parts)
    began = wiring.elapsed()
    for part in left:
        yield check_part(wiring.store, part)
        if wiring.elapsed() - began > _WORTH_PROCESSES:
            yield from _in_several(wiring, count, left)


def _in_several(wiring: Wiring, count: int, parts: Iterable[StorePart]) -> Iterator[Checked]:
    from meterctl.workers.verify import checker  # loads what starts processes

    return checker(count, wiring)(parts)


def _repair(wiring: Wiring, *, claims: bool) -> Facts:
    wiring.check_named()
    return Facts("repair", (repair_claims if claims else repair_heads)(wiring.store)._asdict())


def _seal(path: str | None) -> Seal | None:
    if path is None:
        return None
    with open_file(path) as lines:
        return read_seal(lines)


@contextmanager
def _progress() -> Iterator[Progress]:
    line = ProgressLine("entries")
    try:
        yield lambda _orgs, entries: line.tell(entries, lambda: None)
    finally:
        line.end()


class _Sealing:
    """A seal being written. It is kept only if all checks held: a seal on what is broken would vouch for it."""

    def __init__(self, writer: SealWriter) -> None:
        self.on_tip: OnTip = writer.add
        self.sound = False


@contextmanager
def _sealing(wiring: Wiring, path: str) -> Iterator[_Sealing]:
    with writing(path):
        aside = Aside(path, SEAL)

    def write(line: str) -> None:
        with writing(path):  # only here: what cannot be read meanwhile is told as that
            aside.file.write(line)

    with aside:
        writer = SealWriter(write, wiring.now)
        sealing = _Sealing(writer)
        yield sealing
        if not sealing.sound:
            sys.stderr.write(f"no seal was written to {path}: something was found\n")
            return
        writer.close()
        with writing(path):
            aside.keep()
