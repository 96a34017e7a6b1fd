"""Write and read saved plans: rehearsed operations to review and to apply unchanged.

A plan is NDJSON: a header, then one line per operation that would book something. A line holds the request (as in an
input file), the basis of its review, and the entries it would book. docs/plans.md describes the format.
"""

import json
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from operator import index
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple

from meterctl.core.booking.ledger import Chunks, Ledger
from meterctl.core.domain.canonical import NOT_CANONICAL, canonical_bytes
from meterctl.core.domain.operation_documents import request_document, request_from_document
from meterctl.core.domain.operations import Request
from meterctl.core.domain.policy import Terms
from meterctl.core.domain.precondition import Basis, EntryPlace, figures_of, place_of
from meterctl.core.errors import BadInput
from meterctl.core.files.atomic import Aside, writing
from meterctl.core.files.sources import open_file, seekable
from meterctl.core.model import Entry, Instant
from meterctl.core.ports import Clock, Store
from meterctl.core.results import Receipt, schema_name

NAME = "saved-plan"

#: Longest line, in bytes: a run has at most a hundred features.
_MAX_LINE = 1024 * 1024

_BAD_HINT = "save the plan again with --plan-out FILE"


class Header(NamedTuple):
    """The first line of a plan.

    ``left_out`` counts, by status, the operations that would book nothing. ``amount`` is the sum of all entries.
    ``sha256`` covers every line after the header, then the rest of the header.
    """

    made_at: Instant
    actor: str
    store: str
    operations: int
    orgs: int
    entries: int
    amount: int
    left_out: dict[str, int]
    sha256: str

    def document(self) -> dict[str, Any]:
        return {"schema": schema_name(NAME), **self._asdict()}

    def line(self) -> bytes:
        """Return the header as a line in canonical form."""
        return canonical_bytes(self.document()) + b"\n"

    def hashed_part(self) -> bytes:
        """Return the part of the header that ``sha256`` covers."""
        document = self.document()
        del document["sha256"]
        return canonical_bytes(document) + b"\n"


class PlanStep(NamedTuple):
    """An operation of a plan: its line number, the request with its basis, and the planned entries.

    An entry is ``{seq, key, kind, amount, balance, digest}``, with ``debt`` if it makes any.
    """

    line: int
    request: Request
    entries: Sequence[Mapping[str, Any]]


# -- writing


class PlanFile:
    """A plan being written. Its file appears only when it is complete."""

    def __init__(self, path: str, actor: str, made_at: Instant, store: str) -> None:
        self._path = path
        self._about = (made_at, actor, store)
        self._hash = sha256()
        self._left_out: Counter[str] = Counter()
        self._operations = self._entries = self._amount = 0
        # For each org: its last entry (seq and hash) before the plan, and the last planned one.
        self._orgs: dict[str, tuple[int, str, EntryPlace]] = {}
        with writing(path):  # fail before the rehearsal, not after it
            self._aside = Aside(path, NAME)
        self._body: IO[bytes] = TemporaryFile()  # noqa: SIM115 - `close` does

    def add(self, request: Request, receipt: Receipt) -> None:
        """Add ``request`` with the entries from its rehearsal."""
        entries = receipt.also if receipt.entry is None else (*receipt.also, receipt.entry)
        if receipt.status == "planned":
            self._add(request, entries)
        else:
            self._left_out[receipt.status] += 1

    def _add(self, request: Request, entries: Sequence[Entry]) -> None:
        org, first = request.operation.org, entries[0]
        places = [place_of(entry) for entry in entries]
        seq, tip_hash, below = self._orgs.get(org, (first["seq"] - 1, first["prev"], None))
        self._orgs[org] = (seq, tip_hash, places[-1])
        line = {
            "request": request_document(request),
            "basis": {"seq": seq, "hash": tip_hash},
            "below": below._asdict() if below else None,
            "entries": [_planned(entry, place) for entry, place in zip(entries, places, strict=True)],
        }
        text = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        self._body.write(text)
        self._hash.update(text)
        self._operations += 1
        self._entries += len(entries)
        self._amount += sum(entry["amount"] for entry in entries)

    def save(self) -> Header:
        """Write the plan to its file; return its header."""
        counts = (self._operations, len(self._orgs), self._entries, self._amount)
        header = Header(*self._about, *counts, dict(self._left_out), sha256="")
        self._hash.update(header.hashed_part())
        header = header._replace(sha256=self._hash.hexdigest())
        self._body.seek(0)
        with writing(self._path):
            whole = self._aside.file.buffer
            whole.write(header.line())
            shutil.copyfileobj(self._body, whole)
            self._aside.keep()
        return header

    def close(self) -> None:
        """Delete the temporary files; a saved plan stays."""
        self._body.close()
        self._aside.close()


def _planned(entry: Entry, place: EntryPlace) -> dict[str, Any]:
    return figures_of(entry) | {"digest": place.digest}


def planning_ledger(store: Store, clock: Clock, terms: Terms, plan: PlanFile) -> Ledger:
    """Return a ledger that rehearses requests on the overlay ``store`` and writes them to ``plan``."""
    return Ledger(store, clock, terms, dry_run=True, recorder=_Planner(plan, clock))


class _Planner:
    """Writes each request and its receipt to a plan.

    The time of each operation is fixed, so that applying the plan books exactly the reviewed entries."""

    def __init__(self, plan: PlanFile, clock: Clock) -> None:
        self._plan = plan
        self._clock = clock

    def record(self, chunks: Chunks, execute: Callable[[Chunks], Iterator[list[Receipt]]]) -> Iterator[list[Receipt]]:
        waiting: deque[Request] = deque()
        for receipts in execute(self._with_times(chunks, waiting)):
            for receipt in receipts:
                self._plan.add(waiting.popleft(), receipt)
            yield receipts

    def _with_times(self, chunks: Chunks, waiting: deque[Request]) -> Iterator[Sequence[Request]]:
        for chunk in chunks:
            now = self._clock.now()
            requests = [request if request.at else replace(request, at=now) for request in chunk]
            waiting.extend(requests)
            yield requests


# -- reading


class SavedPlan:
    """A plan that is complete and unchanged."""

    def __init__(self, header: Header, file: IO[bytes]) -> None:
        self.header = header
        self._file = file
        self._start = file.tell()

    def steps(self) -> Iterator[PlanStep]:
        """Yield its operations, in order. Raises `BadInput` for a bad line."""
        self._file.seek(self._start)
        for number in range(2, self.header.operations + 2):
            yield _step(number, self._file.readline(_MAX_LINE))


@contextmanager
def open_plan(path: str) -> Iterator[SavedPlan]:
    """Open the plan at ``path``. Raises `BadInput` if it is missing, cut off or changed."""
    with open_file(path) as source, seekable(source) as file:
        line = file.readline(_MAX_LINE)
        header = _header(path, line)
        plan = SavedPlan(header, file)
        _check(path, line, header, file)
        _check_sums(path, plan)
        yield plan


def _check(path: str, first: bytes, header: Header, rest: Iterable[bytes]) -> None:
    """Raise `BadInput` unless the plan is unchanged; ``first`` is its first line, ``rest`` the other lines."""
    lines, digest = 0, sha256()
    for line in rest:
        lines += 1
        digest.update(line)
    if digest.hexdigest() == header.sha256:
        raise _bad(f"{path} was saved by an earlier meterctl, whose plans did not protect their header")
    try:
        digest.update(header.hashed_part())
        unchanged = header.line() == first and (lines, digest.hexdigest()) == (header.operations, header.sha256)
    except (*NOT_CANONICAL, RecursionError):  # a value that no valid header has
        unchanged = False
    if not unchanged:
        raise _bad(f"{path} was cut off or changed since it was saved")


def _check_sums(path: str, plan: SavedPlan) -> None:
    """Compare the sums in the header with the lines: a reviewer may have read only the header."""
    orgs, entries, amount = set[str](), 0, 0
    for step in plan.steps():
        orgs.add(step.request.operation.org)
        entries += len(step.entries)
        amount += sum(entry["amount"] for entry in step.entries)
    sums = {"orgs": len(orgs), "entries": entries, "amount": amount}
    for name, right in sums.items():
        if (written := getattr(plan.header, name)) != right:
            raise _bad(f"{path} was edited: its header says {name} {written!r}, its lines come to {right:,}")


def _header(path: str, line: bytes) -> Header:
    document = _object(line)
    if document.get("schema") != schema_name(NAME):
        raise _bad(f"{path} is not a saved plan")
    try:
        return Header(**{name: document[name] for name in Header._fields})
    except KeyError as problem:
        raise _bad(f"{path} is not a saved plan: its header lacks {problem}") from None


def _step(number: int, line: bytes) -> PlanStep:
    document = _object(line)
    try:
        request = request_from_document(document["request"], actor="")
        basis, below, entries = document["basis"], document["below"], document["entries"]
        places = tuple(EntryPlace(entry["seq"], entry["digest"]) for entry in entries)
        under = None if below is None else EntryPlace(below["seq"], below["digest"])
        for entry in entries:
            index(entry["amount"]), index(entry.get("debt", 0))  # raises TypeError unless both are integers
        figures = tuple({name: value for name, value in entry.items() if name != "digest"} for entry in entries)
        review = Basis(basis["seq"], basis["hash"], under, places, figures)
        return PlanStep(number, replace(request, basis=review), entries)
    except (KeyError, TypeError, AttributeError, BadInput) as problem:
        raise _bad(f"line {number} is not an operation of a plan: {problem}") from None


def _object(line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except (*NOT_CANONICAL, RecursionError):
        document = None
    return document if isinstance(document, dict) else {}


def _bad(message: str) -> BadInput:
    return BadInput(message, hint=_BAD_HINT, code="bad_plan")
