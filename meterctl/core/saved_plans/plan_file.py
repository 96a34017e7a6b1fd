"""Saved plans: operations that were rehearsed and written down, to be reviewed and carried out as they are.

A plan is NDJSON: a header, then a line per operation that would book something: the request (as a line of an input
file), the basis it was reviewed on, and the entries it would book. docs/plans.md describes the form.
"""

import json
import shutil
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from operator import index
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple

from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.canonical import NOT_CANONICAL, canonical_bytes
from meterctl.core.domain.operation_documents import request_document, request_from_document
from meterctl.core.domain.operations import Request
from meterctl.core.domain.policy import Terms
from meterctl.core.domain.precondition import Basis, Place, figures_of, place_of
from meterctl.core.errors import BadInput
from meterctl.core.files.atomic import Aside, writing
from meterctl.core.files.sources import opened, seekable
from meterctl.core.model import Entry, Instant
from meterctl.core.ports import Clock, Store
from meterctl.core.results import Receipt, schema_name

NAME = "saved-plan"

#: Bytes that a line may have: a run has a hundred features at most.
_MAX_LINE = 1024 * 1024

_BAD_HINT = "make the plan again with --plan-out FILE"


class Header(NamedTuple):
    """What a plan says of itself. ``left_out`` counts, by status, what would book nothing and is not in it; ``amount``
    is the sum of what it books; ``sha256`` covers every line after the header, and then all else in the header."""

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
        """The one way in which it is written."""
        return canonical_bytes(self.document()) + b"\n"

    def covered(self) -> bytes:
        """What ``sha256`` covers of it."""
        document = self.document()
        del document["sha256"]
        return canonical_bytes(document) + b"\n"


class Step(NamedTuple):
    """An operation of a plan, by the number of its line: the request on its basis, and the entries as planned, each
    ``{seq, key, kind, amount, balance, digest}``, and ``debt`` where it makes some."""

    line: int
    request: Request
    entries: Sequence[Mapping[str, Any]]


# -- writing


class PlanFile:
    """A plan being written. Nothing stands under its name before it is whole."""

    def __init__(self, path: str, actor: str, made_at: Instant, store: str) -> None:
        self._path = path
        self._about = (made_at, actor, store)
        self._hash = sha256()
        self._left_out: Counter[str] = Counter()
        self._operations = self._entries = self._amount = 0
        # For each org where it stood, and the last entry that the plan adds to it.
        self._orgs: dict[str, tuple[int, str, Place]] = {}
        with writing(path):  # or all the rehearsing would be for nothing
            self._aside = Aside(path, NAME)
        self._body: IO[bytes] = TemporaryFile()  # noqa: SIM115 - `close` does

    def add(self, request: Request, receipt: Receipt) -> None:
        """Write down what ``request`` came to when it was rehearsed."""
        booked = receipt.also if receipt.entry is None else (*receipt.also, receipt.entry)
        if receipt.status == "planned":
            self._add(request, booked)
        else:
            self._left_out[receipt.status] += 1

    def _add(self, request: Request, booked: Sequence[Entry]) -> None:
        org, first = request.operation.org, booked[0]
        places = [place_of(entry) for entry in booked]
        seq, tip_hash, below = self._orgs.get(org, (first["seq"] - 1, first["prev"], None))
        self._orgs[org] = (seq, tip_hash, places[-1])
        line = {
            "request": request_document(request),
            "basis": {"seq": seq, "hash": tip_hash},
            "below": below._asdict() if below else None,
            "entries": [_planned(entry, place) for entry, place in zip(booked, places, strict=True)],
        }
        text = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        self._body.write(text)
        self._hash.update(text)
        self._operations += 1
        self._entries += len(booked)
        self._amount += sum(entry["amount"] for entry in booked)

    def save(self) -> Header:
        """Put the plan under its name."""
        counts = (self._operations, len(self._orgs), self._entries, self._amount)
        header = Header(*self._about, *counts, dict(self._left_out), sha256="")
        self._hash.update(header.covered())
        header = header._replace(sha256=self._hash.hexdigest())
        self._body.seek(0)
        with writing(self._path):
            whole = self._aside.file.buffer
            whole.write(header.line())
            shutil.copyfileobj(self._body, whole)
            self._aside.keep()
        return header

    def close(self) -> None:
        """Leave nothing behind but the plan, if it was saved."""
        self._body.close()
        self._aside.close()


def _planned(entry: Entry, place: Place) -> dict[str, Any]:
    return figures_of(entry) | {"digest": place.digest}


class Planner(Ledger):
    """A ledger that rehearses, and writes down what it is asked to book. ``store`` is an overlay: nothing is booked.

    The time of each operation is fixed, so that what is carried out later is what was reviewed."""

    def __init__(self, store: Store, clock: Clock, terms: Terms, plan: PlanFile) -> None:
        super().__init__(store, clock, terms, dry_run=True)
        self._plan = plan

    def execute_chunks(self, chunks: Iterable[Sequence[Request]]) -> Iterator[list[Receipt]]:
        asked: deque[Request] = deque()
        for receipts in super().execute_chunks(self._noted(chunks, asked)):
            for receipt in receipts:
                self._plan.add(asked.popleft(), receipt)
            yield receipts

    def _noted(self, chunks: Iterable[Sequence[Request]], asked: deque[Request]) -> Iterator[Sequence[Request]]:
        for chunk in chunks:
            now = self.clock.now()
            fixed = [request if request.at else replace(request, at=now) for request in chunk]
            asked.extend(fixed)
            yield fixed


# -- reading


class SavedPlan:
    """A plan that was checked to be whole and unchanged."""

    def __init__(self, header: Header, file: IO[bytes]) -> None:
        self.header = header
        self._file = file
        self._start = file.tell()

    def steps(self) -> Iterator[Step]:
        """Its operations, in order. Raises `BadInput` at a line that cannot be one."""
        self._file.seek(self._start)
        for number in range(2, self.header.operations + 2):
            yield _step(number, self._file.readline(_MAX_LINE))


@contextmanager
def open_plan(path: str) -> Iterator[SavedPlan]:
    """The plan in the file at ``path``. Raises `BadInput` if there is none, or if it was cut off or changed."""
    with opened(path) as given, seekable(given) as file:
        line = file.readline(_MAX_LINE)
        header = _header(path, line)
        plan = SavedPlan(header, file)
        _check(path, line, header, file)
        _check_sums(path, plan)
        yield plan


def _check(path: str, first: bytes, header: Header, rest: Iterable[bytes]) -> None:
    """Find out whether the plan is as it was saved: its ``first`` line, the ``header``, and the ``rest`` of them."""
    lines, found = 0, sha256()
    for line in rest:
        lines += 1
        found.update(line)
    if found.hexdigest() == header.sha256:
        raise _bad(f"{path} was saved by an earlier meterctl, whose plans did not protect their header")
    try:
        found.update(header.covered())
        unchanged = header.line() == first and (lines, found.hexdigest()) == (header.operations, header.sha256)
    except (*NOT_CANONICAL, RecursionError):  # there is something in it that no header can hold
        unchanged = False
    if not unchanged:
        raise _bad(f"{path} was cut off or changed since it was saved")


def _check_sums(path: str, plan: SavedPlan) -> None:
    """Hold the figures of the header against those of the lines: a reviewer may have read only the first."""
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


def _step(number: int, line: bytes) -> Step:
    document = _object(line)
    try:
        request = request_from_document(document["request"], actor="")
        basis, below, entries = document["basis"], document["below"], document["entries"]
        places = tuple(Place(entry["seq"], entry["digest"]) for entry in entries)
        under = None if below is None else Place(below["seq"], below["digest"])
        for entry in entries:
            index(entry["amount"]), index(entry.get("debt", 0))  # they are added up
        figures = tuple({name: value for name, value in entry.items() if name != "digest"} for entry in entries)
        reviewed = Basis(basis["seq"], basis["hash"], under, places, figures)
        return Step(number, replace(request, basis=reviewed), entries)
    except (KeyError, TypeError, AttributeError, BadInput) as problem:
        raise _bad(f"line {number} is no operation of a plan: {problem}") from None


def _object(line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except (*NOT_CANONICAL, RecursionError):
        document = None
    return document if isinstance(document, dict) else {}


def _bad(message: str) -> BadInput:
    return BadInput(message, hint=_BAD_HINT, code="bad_plan")
