"""Verifying an exported file, without any store."""

import json
from array import array
from collections.abc import Iterator
from gzip import GzipFile
from typing import IO, Any

from meterctl.core.domain.canonical import parse_json
from meterctl.core.domain.checks import check_org
from meterctl.core.domain.digest_set import Seen
from meterctl.core.errors import BadInput
from meterctl.core.files.sources import seekable
from meterctl.core.model import Entry
from meterctl.core.results import Verification
from meterctl.core.verify.checks import Check
from meterctl.core.verify.journal_check import JournalCheck
from meterctl.core.verify.report import OnTip, Progress, Run
from meterctl.core.verify.seal import Seal

#: Every so many lines of a journal, the place in the file is kept.
_STRIDE = 64


def verify_file(
    file: IO[bytes] | GzipFile,
    *,
    seal: Seal | None = None,
    progress: Progress | None = None,
    on_tip: OnTip | None = None,
) -> Verification:
    """Check the journals in an export: an entry a line, orgs one after the other, each in order of seq.

    A file that cannot be sought in (a pipe, gzip) is copied to a temporary one first; gzip that is damaged raises
    `BadInput`. Memory: a few bytes for each key of one org, each org and each session of the file.
    """
    run = Run(progress=progress, on_tip=on_tip, seal=seal)
    with seekable(file) as source:
        _ExportCheck(_Lines(source), run).run()
    return run.done()


class _Lines:
    """The lines of a file, with a way back to those of the journal that is being read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._offset = file.tell()  # of the line that is read next
        self._start = self._offset  # of the line read last
        self._marks = array("Q")
        self._count = 0

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Number and text of each line that is not blank."""
        for number, line in enumerate(self._file, 1):
            self._start, self._offset = self._offset, self._offset + len(line)
            if not line.isspace():
                yield number, line

    def new_journal(self) -> None:
        """The line read last begins a journal."""
        self._marks = array("Q")
        self._count = 0

    def passed(self) -> None:
        """The line read last is part of the journal."""
        if self._count % _STRIDE == 0:
            self._marks.append(self._start)
        self._count += 1

    def entry(self, seq: int) -> object:
        """The entry of the journal that should stand in the line number ``seq``; None if there is none."""
        mark, rest = divmod(seq - 1, _STRIDE)
        if seq < 1 or mark >= len(self._marks):
            return None
        self._file.seek(self._marks[mark])
        line = b""
        for _ in range(rest + 1):
            line = self._file.readline()
        self._file.seek(self._offset)
        return _parse(line)


class _ExportCheck:
    def __init__(self, lines: _Lines, run: Run) -> None:
        self._lines = lines
        self._run = run
        self._journal: JournalCheck | None = None
        self._orgs = Seen()
        self._sessions = Seen()
        self._credited: dict[int, str] = {}  # by seq of the topup: the sessions this org holds

    def run(self) -> None:
        for number, line in self._lines:
            document = _parse(line)
            org = document.get("org") if isinstance(document, dict) else None
            if not _is_org(org):
                self._no_entry(number, document)
                continue
            if self._journal is None or org != self._journal.org:
                self._end_journal()
                self._begin_journal(str(org))
            self._entry(document, line, number)
        self._end_journal()

    def _no_entry(self, number: int, document: object) -> None:
        """A line of no org: it stands in the place of an entry of the org before."""
        what = "it is no JSON object" if not isinstance(document, dict) else "it names no org"
        message = f"line {number} is not an entry: {what}"
        if self._journal is None:
            self._run.entry([])
            self._run.note(None, None, Check.FORM, message)
        else:
            self._lines.passed()
            self._run.entry(self._journal.unreadable(message))

    def _begin_journal(self, org: str) -> None:
        if not self._orgs.add(org):
            self._run.note(org, None, Check.ORDER, "its entries are in the file in more than one place")
        self._lines.new_journal()
        self._journal = self._run.start(org, self._lines.entry)

    def _entry(self, document: object, line: bytes, number: int) -> None:
        assert self._journal is not None
        self._lines.passed()
        found = self._journal.feed(document)
        self._run.entry([finding._replace(message=f"line {number}: {finding.message}") for finding in found])
        tip = self._journal.tip
        if tip is None:
            return
        if not _says_each_once(line, tip, self._journal.text):
            message = f"line {number}: it names a field twice, so readers may see different entries"
            self._run.note(tip["org"], tip["seq"], Check.FORM, message)
        self._count_session(tip)

    # -- check 14, as far as a file goes: no session is credited to two orgs

    def _count_session(self, entry: Entry) -> None:
        if entry["kind"] == "topup":
            self._credited[entry["seq"]] = entry["session"]
        elif entry["kind"] == "reversal" and "voided" in entry:
            self._credited.pop(entry["reverses"], None)

    def _end_journal(self) -> None:
        if self._journal is None:
            return
        self._run.end(self._journal)
        for seq, session in self._credited.items():
            if not self._sessions.add(session):
                message = f"session {session!r} is credited in an org before this one too"
                self._run.note(self._journal.org, seq, Check.CLAIM, message)
        self._credited.clear()
        self._journal = None


def _is_org(name: object) -> bool:
    try:
        return bool(check_org(name))
    except BadInput:
        return False


def _parse(line: bytes) -> object:
    """What ``line`` holds; None if it is not JSON."""
    try:
        return parse_json(line)
    except ValueError:
        return None


def _says_each_once(line: bytes, entry: Entry, text: bytes) -> bool:
    """Whether no object in ``line`` names a field twice. A line in canonical form cannot."""
    written = line.rstrip(b"\r\n").replace(b'"hash":"%b",' % entry["hash"].encode(), b"", 1)
    if written == text:
        return True
    try:
        json.loads(line, object_pairs_hook=_distinct)
    except ValueError:
        return False
    return True


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name stands twice")
    return document
