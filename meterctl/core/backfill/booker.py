"""Book a file of operations through the one write path: lines in, one answer per line out."""

import json
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol, Self, TextIO

from meterctl.core.backfill.answers import Answer
from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.operation_documents import request_from_document
from meterctl.core.domain.operations import Request
from meterctl.core.errors import BadInput, MeterctlError
from meterctl.core.files.atomic import check_apart, private
from meterctl.core.files.json_text import Document
from meterctl.core.files.operation_lines import Line
from meterctl.core.model import Instant
from meterctl.core.results import Receipt

#: Lines booked together. A larger chunk is not faster, takes more memory, and longer to interrupt.
CHUNK = 1000

#: Bytes after which a chunk ends, because a line may have a megabyte.
CHUNK_BYTES = 4 * 1024 * 1024


class FileAuthor(NamedTuple):
    """The defaults for lines that name no actor, reason or time."""

    actor: str
    reason: str | None = None
    at: Instant | None = None


class LineBooker(Protocol):
    """Books lines chunk by chunk, and answers each, in order. It yields no empty list."""

    def answers(self, chunks: Iterable[Iterable[Line]], /) -> Generator[list[Answer], None, None]: ...


class Backfiller:
    """Books lines on ``ledger``."""

    def __init__(self, ledger: Ledger, caller: FileAuthor) -> None:
        self._ledger = ledger
        self._caller = caller
        # Lines read but not yet answered. Invalid ones wait for earlier lines, to keep the answers in order.
        self._waiting: deque[tuple[int, Answer | None]] = deque()

    def answers(self, chunks: Iterable[Iterable[Line]]) -> Generator[list[Answer], None, None]:
        """Book the lines and yield their answers, both in order."""
        for receipts in self._ledger.execute_chunks(self._requests(lines) for lines in chunks):
            answers = self._answer_all(receipts)
            if answers:
                yield answers

    def _requests(self, lines: Iterable[Line]) -> list[Request]:
        requests = []
        for number, content in lines:
            try:
                requests.append(self._request(content))
                self._waiting.append((number, None))
            except BadInput as problem:
                self._waiting.append((number, _invalid(number, content, problem)))
        return requests

    def _request(self, content: Document | BadInput) -> Request:
        if isinstance(content, BadInput):
            raise content
        actor, reason, at = self._caller
        if at is not None and content.get("at") is None:
            content["at"] = at
        return request_from_document(content, actor=actor, reason=reason)

    def _answer_all(self, receipts: Iterable[Receipt]) -> list[Answer]:
        """Answer the lines of ``receipts``, and the invalid ones before, between and right after them."""
        waiting, answers = self._waiting, self._invalid_ones()
        for receipt in receipts:
            number, _ = waiting.popleft()
            answers.append(_answer(number, receipt))
            if waiting and waiting[0][1] is not None:
                answers += self._invalid_ones()
        return answers

    def _invalid_ones(self) -> list[Answer]:
        """Take the invalid lines that wait before any other."""
        answers = []
        while self._waiting and (answer := self._waiting[0][1]) is not None:
            self._waiting.popleft()
            answers.append(answer)
        return answers


class ResultsFile:
    """The file for the answers, written as they come. It must not be one of ``inputs``."""

    def __init__(self, path: str, *inputs: str | None) -> None:
        self._path = Path(path)
        check_apart("--results", path, *inputs, code="bad_results")

    def __enter__(self) -> Self:
        try:
            self._file: TextIO = open(self._path, "w", encoding="utf-8", opener=private)
        except OSError as problem:
            message = f"cannot write {self._path}: {problem.strerror}"
            raise BadInput(
                message, hint="nothing was booked; check the path and its permissions", code="bad_results"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # `write` has reported the error already
            self._file.close()

    def write(self, answers: list[Answer]) -> None:
        try:
            self._file.write("".join(json.dumps(answer.document(), ensure_ascii=False) + "\n" for answer in answers))
            self._file.flush()
        except OSError as problem:
            message = f"cannot write {self._path}: {problem.strerror}"
            hint = "free some disk space, then run the same command again: it books nothing twice"
            raise MeterctlError(message, hint=hint, code="results_unwritable") from problem


class ResultsStream:
    """Writes answers to standard output, each as soon as it is known."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, answers: list[Answer]) -> None:
        """Write one line per answer."""
        self._stream.write("".join(json.dumps(answer.document(), ensure_ascii=False) + "\n" for answer in answers))
        self._stream.flush()


class LineByLine:
    """Books each chunk in a separate call, so that it is complete, caches included, before the next chunk is read."""

    def __init__(self, booker: LineBooker) -> None:
        self._booker = booker

    def answers(self, chunks: Iterable[Iterable[Line]]) -> Generator[list[Answer], None, None]:
        """Book the lines and yield their answers, both in order."""
        for chunk in chunks:
            yield from self._booker.answers([chunk])


def _answer(line: int, receipt: Receipt) -> Answer:
    seq = receipt.entry["seq"] if receipt.entry else None
    message = receipt.message if receipt.status in ("refused", "conflict", "failed") else None
    org, key, balance = receipt.org, receipt.key, receipt.balance
    # By place: by name it takes twice as long, and this is done for each line.
    return Answer(line, receipt.status, receipt.reason, org, key, seq, balance, message, receipt.warnings)


def _invalid(line: int, content: Document | BadInput, problem: BadInput) -> Answer:
    org = None if isinstance(content, BadInput) else content.get("org")
    hint = f"; {problem.hint}" if problem.hint else ""
    text = org if isinstance(org, str) else None
    return Answer(
        line=line,
        status="invalid",
        reason=problem.code,
        org=text,
        key=None,
        seq=None,
        balance=None,
        message=problem.message + hint,
    )
