"""One run of verify: what it counts, keeps, and tells while it goes on."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from meterctl.core.errors import StoreDamaged
from meterctl.core.model import Instant
from meterctl.core.results import Finding, Verification
from meterctl.core.verify.checks import Check
from meterctl.core.verify.journal_check import JournalCheck
from meterctl.core.verify.lookback import Lookup
from meterctl.core.verify.seal import Seal

Item = TypeVar("Item")

#: Told the orgs and entries done so far, now and then.
Progress = Callable[[int, int], None]

#: Where a journal ends: org, seq and hash of its last entry.
Tip = tuple[str, int, str]

#: Told where a journal ends. `SealWriter.add` is one.
OnTip = Callable[[str, int, str], None]

#: Told whether an org is part of the run.
Scope = Callable[[str], bool]

#: Findings that are kept; beyond these they are counted.
KEPT = 10_000

_TOLD_EVERY = 10_000


class Doubt(NamedTuple):
    """Something that a writer may be about to put right: the head of ``org``, to reach entry ``seq``; or, with a
    ``key``, the topup of a session that ``org`` has claimed."""

    org: str
    seq: int
    key: str | None = None


class Checked(NamedTuple):
    """What came of checking some orgs, where their journals end, and what has to be looked at again."""

    result: Verification
    tips: list[Tip]
    doubts: list[Doubt]


class Run:
    """Collects what one run finds. ``seal``: what to compare journals with; ``scope``: which orgs it is about;
    ``latest``: no entry may take effect later (None: not checked)."""

    def __init__(
        self,
        *,
        progress: Progress | None,
        on_tip: OnTip | None,
        seal: Seal | None,
        scope: Scope | None = None,
        latest: Instant | None = None,
    ) -> None:
        self._progress = progress
        self._on_tip = on_tip
        self._seal = seal
        self._scope = scope
        self._latest = latest
        self._started = time.monotonic()
        self._result = Verification()
        self._kept: dict[tuple[str | None, int, str], int] = {}
        self.doubts: list[Doubt] = []

    def covers(self, org: str) -> bool:
        return self._scope is None or self._scope(org)

    def start(self, org: str, lookup: Lookup) -> JournalCheck:
        self._result.orgs += 1
        sealed = None if self._seal is None else self._seal.take(org)
        return JournalCheck(org, lookup, sealed, latest=self._latest)

    def entry(self, found: list[Finding]) -> None:
        """Count an entry, with what is wrong with it."""
        result = self._result
        result.entries += 1
        if found:
            self.add(found)
        if result.entries % _TOLD_EVERY == 0:
            self.tell()

    def end(self, check: JournalCheck) -> None:
        """The journal of ``check`` is over."""
        self.add(check.finish())
        if self._on_tip is not None and check.tip is not None:
            self._on_tip(check.org, check.seq, check.hash)

    def tell(self, orgs: int = 0, entries: int = 0) -> None:
        """Tell how far it is: ``orgs`` and ``entries`` beyond those that are counted."""
        if self._progress is not None:
            self._progress(self._result.orgs + orgs, self._result.entries + entries)

    def take(self, checked: Checked) -> None:
        """Count what was checked by itself."""
        self._result.orgs += checked.result.orgs
        self._result.entries += checked.result.entries
        self._result.more += checked.result.more
        for doubt in checked.doubts:
            self.doubt(doubt)
        self.add(checked.result.findings)
        if self._on_tip is not None:
            for tip in checked.tips:
                self._on_tip(*tip)
        self.tell()

    def add(self, found: Iterable[Finding]) -> None:
        findings = self._result.findings
        for finding in found:
            name = (finding.org, finding.check, finding.message)
            place = self._kept.get(name)
            if place is not None:
                findings[place] = findings[place]._replace(times=findings[place].times + finding.times)
            elif len(findings) < KEPT:
                self._kept[name] = len(findings)
                findings.append(finding)
            else:
                self._result.more += finding.times

    def doubt(self, doubt: Doubt) -> None:
        """Remember something to look at again when all else is done; beyond some thousands it is only counted."""
        if len(self.doubts) < KEPT:
            self.doubts.append(doubt)
        else:
            self._result.more += 1

    def note(self, org: str | None, seq: int | None, check: Check, message: str) -> None:
        self.add([Finding(org, seq, int(check), message)])

    def group_by_org(self) -> None:
        """Put the findings of each org together: the order in which orgs are checked, and looked at again, varies."""
        self._result.findings.sort(key=lambda finding: (finding.org is None, finding.org or ""))

    def done(self) -> Verification:
        """The result, once everything was looked at."""
        for org, sealed in self._seal.left() if self._seal is not None else ():
            if self.covers(org):
                message = f"the journal is gone; when it was sealed, it reached entry {sealed.seq}"
                self.note(org, None, Check.SEAL, message)
        self._result.seconds = time.monotonic() - self._started
        return self._result


def readable(items: Iterable[Item], note: Callable[[str], None]) -> Iterator[Item]:
    """``items`` up to the first that cannot be read, of which ``note`` is told."""
    stream = iter(items)
    while True:  # bounded: by the items
        try:
            item = next(stream)
        except StopIteration:
            return
        except StoreDamaged as problem:
            note(f"from here on the store cannot be read: {problem.message}")
            return
        yield item
