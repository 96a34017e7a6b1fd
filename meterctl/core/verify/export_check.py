"""Verify an exported file, without any store."""

import json
from array import array
from collections.abc import Iterator
from gzip import GzipFile
from typing import IO, Any, Protocol

from meterctl.core.domain.canonical import parse_json, without_hash
from meterctl.core.domain.checks import check_integer, check_org, check_plan, check_ratio
from meterctl.core.domain.digest_set import DigestSet
from meterctl.core.domain.instants import parse
from meterctl.core.errors import BadInput
from meterctl.core.files.sources import seekable
from meterctl.core.model import Entry, Instant, PlanVersion
from meterctl.core.results import Verification
from meterctl.core.verify.checks import Check
from meterctl.core.verify.journal_check import JournalCheck
from meterctl.core.verify.report import OnTip, Progress, Run
from meterctl.core.verify.seal import Seal

#: Lines of a journal between two recorded file offsets.
_STRIDE = 64


def verify_file(
    file: IO[bytes] | GzipFile,
    *,
    seal: Seal | None = None,
    progress: Progress | None = None,
    on_tip: OnTip | None = None,
    base: "Base | None" = None,
    latest: Instant | None = None,
) -> Verification:
    """Check the journals in an export: an entry a line, org by org, each in order of seq.

    A journal that begins after its first entry continues its ``base``, which is checked with it. No entry may take
    effect after ``latest``.

    A file without seek (a pipe, gzip) is copied to a temporary one first; damaged gzip raises `BadInput`. Memory: a few
    bytes for each key of one org, each org and each session of the file.
    """
    run = Run(progress=progress, on_tip=on_tip, seal=seal, latest=latest)
    with seekable(file) as source:
        _ExportCheck(_Lines(source), run, base).run()
    run.settle_ahead(latest)
    return run.done()


class Base(Protocol):
    """The beginnings of journals, for an export of later entries."""

    def entries(self, org: str, before: int) -> Iterator[Entry]:
        """Stream the entries of ``org`` with a lower seq than ``before``."""
        ...

    def entry(self, org: str, seq: int) -> Entry | None:
        """Return one entry; None if there is none."""
        ...


#: The most bytes that an entry may have: as many as a document in MongoDB.
LONGEST_ENTRY = 16 * 1024 * 1024

#: The schema that a plan version in an export names.
PLAN_LINE = "meterctl.exported-plan.v1"


def plan_line(document: object) -> PlanVersion | None:
    """Return the plan version in a line of an export; None for other lines. Raises `BadInput` if malformed."""
    if not isinstance(document, dict) or document.get("schema") != PLAN_LINE:
        return None
    try:
        version = PlanVersion(**{name: document[name] for name in PlanVersion._fields})
        check_plan(version.plan)
        check_integer(version.version, "version", least=1)
        check_integer(version.weekly_quota, "weekly_quota", least=0)
        for feature, ratio in version.ratios.items():
            check_ratio(feature, ratio)
        for instant in (version.effective_from, version.published_at):
            parse(instant)
    except (KeyError, TypeError, AttributeError):
        raise BadInput("a plan version lacks a field, or has one of another type", code="bad_plan") from None
    return version


def entry_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of an export. Raises `BadInput` for a longer one than any entry, which would fill the memory."""
    for number, line in enumerate(iter(lambda: file.readline(LONGEST_ENTRY + 1), b""), 1):
        if len(line) > LONGEST_ENTRY:
            message = f"line {number} is longer than {LONGEST_ENTRY:,} bytes, so the file is no export"
            raise BadInput(message, hint="make one with: meterctl export --all > FILE", code="bad_file")
        yield line


class _Lines:
    """The lines of a file, with access to earlier entries of the current journal."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._offset = file.tell()  # of the line that is read next
        self._start = self._offset  # of the line read last
        self._marks = array("Q")
        self._count = 0

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Yield number and text of each line that is not blank. Raises `BadInput` for one that can be no entry."""
        for number, line in enumerate(entry_lines(self._file), 1):
            self._start, self._offset = self._offset, self._offset + len(line)
            if not line.isspace():
                yield number, line

    def new_journal(self) -> None:
        """Note that the last line begins a journal."""
        self._marks = array("Q")
        self._count = 0

    def add_line(self) -> None:
        """Note that the last line is part of the journal."""
        if self._count % _STRIDE == 0:
            self._marks.append(self._start)
        self._count += 1

    def entry(self, seq: int) -> object:
        """Return the document in line ``seq`` of the journal; None if there is none."""
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
    def __init__(self, lines: _Lines, run: Run, base: Base | None) -> None:
        self._lines = lines
        self._run = run
        self._base = base
        self._journal: JournalCheck | None = None
        self._orgs = DigestSet()
        self._sessions = DigestSet()
        self._payments: dict[int, tuple[str, ...]] = {}  # names of the org's payments, by seq of the topup

    def run(self) -> None:
        for number, line in self._lines:
            document = _parse(line)
            if self._is_plan(document, number):
                continue
            org = document.get("org") if isinstance(document, dict) else None
            if not _is_org(org):
                self._no_entry(number, document)
                continue
            if self._journal is None or org != self._journal.org:
                self._end_journal()
                self._begin_journal(str(org), document)
            self._entry(document, line, number)
        self._end_journal()

    def _no_entry(self, number: int, document: object) -> None:
        """Report a line without an org, as an unreadable entry of the org before it."""
        problem = "it is no JSON object" if not isinstance(document, dict) else "it names no org"
        message = f"line {number} is not an entry: {problem}"
        if self._journal is None:
            self._run.entry([])
            self._run.note(None, None, Check.FORM, message)
        else:
            self._lines.add_line()
            self._run.entry(self._journal.unreadable(message))

    def _is_plan(self, document: object, number: int) -> bool:
        try:
            return plan_line(document) is not None
        except BadInput as problem:
            self._run.note(None, None, Check.FORM, f"line {number}: {problem.message}")
            return True

    def _begin_journal(self, org: str, document: object) -> None:
        if not self._orgs.add(org):
            self._run.note(org, None, Check.ORDER, "its entries are not together in the file")
        self._lines.new_journal()
        base, first = self._base, document.get("seq") if isinstance(document, dict) else None
        if base is None or not isinstance(first, int) or first <= 1:
            self._journal = self._run.start(org, self._lines.entry)
            return
        skipped = first - 1
        self._journal = self._run.start(
            org, lambda seq: base.entry(org, seq) if seq <= skipped else self._lines.entry(seq - skipped)
        )
        for entry in base.entries(org, first):
            self._run.add(self._journal.feed(entry))
            self._count_session(entry)

    def _entry(self, document: object, line: bytes, number: int) -> None:
        assert self._journal is not None
        self._lines.add_line()
        findings = self._journal.feed(document)
        self._run.entry([finding._replace(message=f"line {number}: {finding.message}") for finding in findings])
        tip = self._journal.tip
        if tip is None:
            return
        if not _has_distinct_fields(line, tip, self._journal.text):
            message = f"line {number}: it has a field twice, so readers may see different entries"
            self._run.note(tip["org"], tip["seq"], Check.FORM, message)
        self._count_session(tip)

    # -- check 14, as far as a file goes: no session is credited to two orgs

    def _count_session(self, entry: Entry) -> None:
        if entry["kind"] == "topup":
            self._payments[entry["seq"]] = (entry["session"], *entry["names"])
        elif entry["kind"] == "reversal" and "voided" in entry:
            self._payments.pop(entry["reverses"], None)

    def _end_journal(self) -> None:
        if self._journal is None:
            return
        self._run.end(self._journal)
        for seq, names in self._payments.items():
            for name in names:
                if not self._sessions.add(name):
                    message = f"the payment {name!r} is already credited by an earlier entry"
                    self._run.note(self._journal.org, seq, Check.CLAIM, message)
        self._payments.clear()
        self._journal = None


def _is_org(name: object) -> bool:
    try:
        return bool(check_org(name))
    except BadInput:
        return False


def _parse(line: bytes) -> object:
    """Return the JSON value of ``line``; None if it is not JSON."""
    try:
        return parse_json(line)
    except ValueError:
        return None


def _has_distinct_fields(line: bytes, entry: Entry, text: bytes) -> bool:
    """Return True if no object in ``line`` has a field twice; a canonical line never does."""
    content = without_hash(line.rstrip(b"\r\n"), entry["hash"])
    if content == text:
        return True
    try:
        json.loads(line, object_pairs_hook=_distinct)
    except ValueError:
        return False
    return True


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name appears twice")
    return document
