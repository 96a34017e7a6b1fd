"""One run of verify: what it counts, keeps, and tells while it goes on."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from meterctl.core.errors import StoreDamaged
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


class Checked(NamedTuple):
    """What came of checking some orgs, and where their journals end."""

    result: Verification
    tips: list[Tip]


class Run:
    """Collects what one run finds. ``seal``: what to compare journals with; ``scope``: which orgs it is about."""

    def __init__(
        self, *, progress: Progress | None, on_tip: OnTip | None, seal: Seal | None, scope: Scope | None = None
    ) -> None:
        self._progress = progress
        self._on_tip = on_tip
        self._seal = seal
        self._scope = scope
        self._started = time.monotonic()
        self._result = Verification()

    def covers(self, org: str) -> bool:
        return self._scope is None or self._scope(org)

    def start(self, org: str, lookup: Lookup) -> JournalCheck:
        self._result.orgs += 1
        return JournalCheck(org, lookup, self._seal.take(org) if self._seal is not None else None)

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
        self.add(checked.result.findings)
        if self._on_tip is not None:
            for tip in checked.tips:
                self._on_tip(*tip)
        self.tell()

    def add(self, found: Iterable[Finding]) -> None:
        for finding in found:
            if len(self._result.findings) < KEPT:
                self._result.findings.append(finding)
            else:
                self._result.more += 1

    def note(self, org: str | None, seq: int | None, check: Check, message: str) -> None:
        self.add([Finding(org, seq, int(check), message)])

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
