"""One run of verify: its counts, findings and progress."""

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

#: Receives the numbers of orgs and entries so far, now and then.
Progress = Callable[[int, int], None]

#: The end of a journal: org, seq and hash of its last entry.
Tip = tuple[str, int, str]

#: Receives the end of each journal, as `SealWriter.add` does.
OnTip = Callable[[str, int, str], None]

#: Findings to keep; further ones are only counted.
MOST_FINDINGS = 10_000

_REPORT_EVERY = 10_000


class Doubt(NamedTuple):
    """A deviation that the next moments may settle: the head of ``org`` is behind entry ``seq``; with a ``key``, the
    topup of a claimed session is missing; with ``at``, the entry takes effect then, ahead of now."""

    org: str
    seq: int
    key: str | None = None
    at: Instant | None = None


class Checked(NamedTuple):
    """The result of checking some orgs, the ends of their journals, and the doubts to check again."""

    result: Verification
    tips: list[Tip]
    doubts: list[Doubt]


class Run:
    """Collects the findings of a run.

    ``seal``: ends of journals to compare with; ``org``: the only org of the run (None: all); ``latest``: no entry may
    take effect later (None: not checked).
    """

    def __init__(
        self,
        *,
        progress: Progress | None,
        on_tip: OnTip | None,
        seal: Seal | None,
        org: str | None = None,
        latest: Instant | None = None,
    ) -> None:
        self._progress = progress
        self._on_tip = on_tip
        self._seal = seal
        self._org = org
        self._latest = latest
        self._start = time.monotonic()
        self._result = Verification()
        self._places: dict[tuple[str | None, int, str], int] = {}
        self.doubts: list[Doubt] = []

    def start(self, org: str, lookup: Lookup) -> JournalCheck:
        self._result.orgs += 1
        seal = None if self._seal is None else self._seal.take(org)
        return JournalCheck(org, lookup, seal)

    def entry(self, findings: list[Finding]) -> None:
        """Count an entry and add its findings."""
        result = self._result
        result.entries += 1
        if findings:
            self.add(findings)
        if result.entries % _REPORT_EVERY == 0:
            self.tell()

    def end(self, check: JournalCheck) -> None:
        """Finish the journal of ``check``."""
        self.add(check.finish())
        if self._latest is not None and check.at > self._latest:
            self.doubt(Doubt(check.org, check.seq, at=check.at))
        if self._on_tip is not None and check.tip is not None:
            self._on_tip(check.org, check.seq, check.hash)

    def tell(self, orgs: int = 0, entries: int = 0) -> None:
        """Report progress, with ``orgs`` and ``entries`` that are not yet counted."""
        if self._progress is not None:
            self._progress(self._result.orgs + orgs, self._result.entries + entries)

    def take(self, checked: Checked) -> None:
        """Add the results of a part that was checked separately."""
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

    def add(self, new: Iterable[Finding]) -> None:
        findings = self._result.findings
        for finding in new:
            name = (finding.org, finding.check, finding.message)
            place = self._places.get(name)
            if place is not None:
                findings[place] = findings[place]._replace(times=findings[place].times + finding.times)
            elif len(findings) < MOST_FINDINGS:
                self._places[name] = len(findings)
                findings.append(finding)
            else:
                self._result.more += finding.times

    def doubt(self, doubt: Doubt) -> None:
        """Keep a doubt to check again at the end; beyond some thousands, only count it."""
        if len(self.doubts) < MOST_FINDINGS:
            self.doubts.append(doubt)
        else:
            self._result.more += 1

    def settle_ahead(self, latest: Instant | None) -> None:
        """Report the entries that take effect after ``latest``, which may be later than it was at their check."""
        doubts, self.doubts = self.doubts, [doubt for doubt in self.doubts if doubt.at is None]
        for org, seq, _, at in doubts:
            if at is not None and (latest is None or at > latest):
                message = f"it takes effect at {at}, in the future: until then new entries get this time"
                self.note(org, seq, Check.AHEAD, message)

    def note(self, org: str | None, seq: int | None, check: Check, message: str) -> None:
        self.add([Finding(org, seq, int(check), message)])

    def group_by_org(self) -> None:
        """Sort the findings by org, because the order of the checks varies."""
        self._result.findings.sort(key=lambda finding: (finding.org is None, finding.org or ""))

    def done(self) -> Verification:
        """Return the result, with the sealed journals that are missing."""
        for org, seal in self._seal.rest() if self._seal is not None else ():
            if self._org in (None, org):
                message = f"the journal is missing; it was sealed at entry {seal.seq}"
                self.note(org, None, Check.SEAL, message)
        self._result.seconds = time.monotonic() - self._start
        return self._result


def readable(items: Iterable[Item], note: Callable[[str], None]) -> Iterator[Item]:
    """Yield ``items`` up to the first that cannot be read; report that one to ``note``."""
    try:
        yield from items
    except StoreDamaged as problem:
        note(f"from here on the store cannot be read: {problem.message}")
