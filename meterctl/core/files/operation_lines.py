"""Input files: one operation a line, NDJSON or CSV, plain or gzip, read as a stream.

A line that holds no document is handed on with what is wrong with it, and the lines after it are read all the same.
Only a file that is of no use as a whole raises `BadInput`, and does so before its first line is handed on.
"""

import csv
import json
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from io import BufferedReader
from itertools import chain
from typing import Any, NamedTuple, Protocol

from meterctl.core.domain.checks import check_feature
from meterctl.core.domain.operation_documents import FIELDS
from meterctl.core.errors import BadInput
from meterctl.core.files.sources import opened_or_standard_input, said, unzipped

#: Bytes that a line may have. Bounds the memory that a file without line ends takes.
MAX_LINE = 1024 * 1024

Document = dict[str, Any]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_NDJSON_SUFFIXES = (".ndjson", ".jsonl")
_COSTS = "costs."

_DAMAGE = (OSError, EOFError, zlib.error)


class Line(NamedTuple):
    """A line by its number, from 1 as editors count, and the document it holds, or why it holds none."""

    number: int
    content: Document | BadInput


#: A line by its number, and what keeps it from being read: of one that is too long, the bytes are those it starts with.
_RawLine = tuple[int, bytes, BadInput | None]


class _Lines(Protocol):
    def readline(self, limit: int, /) -> bytes: ...


class InputFile:
    """An opened input. ``size`` in bytes is None where it is not known beforehand."""

    def __init__(self, name: str, file: "BufferedReader[Any]") -> None:
        self.name = name
        self.size = _size(file)
        self._file = file

    def position(self) -> int:
        """Bytes of the file that have been read."""
        return self._file.tell()

    def lines(self) -> Iterator[Line]:
        """The lines that are not blank. Raises `BadInput` for a file that is of no use as a whole."""
        raw = raw_lines(unzipped(self._file))
        first = next(raw, None)
        if first is None:
            return iter(())
        number, text, problem = _checked_start(self.name, first)
        if self._is_ndjson(text):
            return _documents(chain([(number, text, problem)], raw), _json_document)
        return _documents(raw, _Columns(self.name, text, problem).document)

    def _is_ndjson(self, first: bytes) -> bool:
        plain_name = self.name.removesuffix(".gz")
        return plain_name.endswith(_NDJSON_SUFFIXES) or first.lstrip()[:1] == b"{"


@contextmanager
def open_input(name: str) -> Iterator[InputFile]:
    """The input called ``name``: a path, or ``-`` for standard input. Raises `BadInput` if it cannot be opened."""
    with opened_or_standard_input(name) as file:
        yield InputFile(said(name), file)


def _size(file: "BufferedReader[Any]") -> int | None:
    try:
        status = os.fstat(file.fileno())
    except OSError:  # standard input need not be a file of the system
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def raw_lines(file: _Lines) -> Iterator[_RawLine]:
    """The lines with something in them. Where a file cannot be read on, the last one says so."""
    number = 0
    try:
        while True:  # bounded: by the file
            number += 1
            line = file.readline(MAX_LINE + 1)
            if not line:
                return
            if len(line) > MAX_LINE and not line.endswith(b"\n"):
                _skip_rest(file)
                problem = BadInput(f"the line is longer than {MAX_LINE} bytes", hint="", code="line_too_long")
                yield number, line, problem
            elif not line.isspace():
                yield number, line, None
    except _DAMAGE as damage:
        yield number, b"", _bad_file(f"the file cannot be read on: {damage}", "what stands before it was read")


def _skip_rest(file: _Lines) -> None:
    while (rest := file.readline(MAX_LINE)) and not rest.endswith(b"\n"):
        pass


def _checked_start(name: str, first: _RawLine) -> _RawLine:
    """The first line without its mark; raises the file's problem if it has one from the start."""
    number, text, problem = first
    if problem is not None and problem.code == "bad_file":
        raise _bad_file(f"{name}: {problem.message}", "check the file")
    if text.startswith(_UTF_16_MARKS) or b"\0" in text:
        raise _bad_file(f"{name} is not text in UTF-8", "save it as UTF-8")
    return number, text.removeprefix(_BYTE_ORDER_MARK), problem


def _documents(raw: Iterator[_RawLine], read: Callable[[str], Document]) -> Iterator[Line]:
    for number, text, problem in raw:
        if problem is not None:
            yield Line(number, problem)
            continue
        try:
            yield Line(number, read(text.decode()))
        except UnicodeDecodeError as bad:
            message = f"byte {bad.start + 1} of the line is not UTF-8"
            yield Line(number, BadInput(message, hint="save the file as UTF-8", code="bad_encoding"))
        except BadInput as bad:
            yield Line(number, bad)


# JSON


class _Fraction(Decimal):
    """A JSON number with a fraction or an exponent, exactly as written."""

    __slots__ = ()
    __repr__ = Decimal.__str__


_JSON_SPACE = " \t\r\n"


def _once_each(pairs: list[tuple[str, Any]]) -> Document:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _bad_json(f"{twice!r} stands in it twice")
    return document


def _no_number(text: str) -> Any:
    raise _bad_json(f"{text} is not a number")


_decode = json.JSONDecoder(object_pairs_hook=_once_each, parse_float=_Fraction, parse_constant=_no_number).raw_decode


def _json_document(text: str) -> Document:
    document = json_value(text)
    if not isinstance(document, dict):
        raise _bad_json("it is not an object")
    return document


def json_value(text: str) -> Any:
    """What ``text`` holds as JSON, with numbers as they are written; nothing may stand twice. Raises `BadInput`."""
    try:
        text = text.strip(_JSON_SPACE)
        value, end = _decode(text)
        if end < len(text):
            raise _bad_json("something stands after its end")
        if "\\u" in text:
            json.dumps(
                value, ensure_ascii=False, default=str
            ).encode()  # half of a surrogate pair stands for no character
    # A number with an exponent that no decimal can have is an ArithmeticError.
    except (ValueError, ArithmeticError, RecursionError) as problem:
        raise _bad_json(str(problem)) from None
    return value


# CSV


class _Columns:
    """The columns of a CSV file, as its header names them."""

    def __init__(self, name: str, header: bytes, unread: BadInput | None) -> None:
        self._names = _header_cells(name, header, unread)
        problem = _header_problem(self._names)
        if problem is not None:
            known = ", ".join([*sorted(FIELDS), f"{_COSTS}FEATURE"])
            raise _bad_file(
                f"{name}: {problem}", f"a line is a JSON object, or the first one names the columns: {known}"
            )
        self._features = [name for name in self._names if name.startswith(_COSTS)]

    def document(self, text: str) -> Document:
        """The document in a line. An empty cell counts as left out."""
        if not text.endswith("\n"):
            # A file that is cut off in its last cell holds another value than the one that was meant.
            raise BadInput("the last line is not finished", hint="end it with a line end", code="unfinished_line")
        cells = _cells(text)
        if len(cells) != len(self._names):
            raise _bad_csv(f"it has {len(cells)} cells, the header has {len(self._names)}")
        document: Document = {name: cell for name, cell in zip(self._names, cells, strict=True) if cell}
        if "costs" in document:
            document["costs"] = json_value(document["costs"])
        return self._with_features(document) if self._features else document

    def _with_features(self, document: Document) -> Document:
        costs = {name.removeprefix(_COSTS): document.pop(name) for name in self._features if name in document}
        if costs and "costs" in document:
            raise _bad_csv(f"it has costs both in a column of their own and in {_COSTS}FEATURE")
        return document | {"costs": costs} if costs else document


def _header_cells(name: str, header: bytes, unread: BadInput | None) -> list[str]:
    try:
        if unread is not None:
            raise unread
        return _cells(header.decode())
    except UnicodeDecodeError:
        raise _bad_file(f"{name} is not text in UTF-8", "save it as UTF-8") from None
    except BadInput as problem:
        raise _bad_file(f"{name}: the header cannot be read: {problem.message}", "check line 1") from None


def _header_problem(names: list[str]) -> str | None:
    for at, name in enumerate(names):
        if name in names[:at]:
            return f"the column {name!r} stands in the header twice"
        if name.startswith(_COSTS):
            try:
                check_feature(name.removeprefix(_COSTS))
            except BadInput as problem:
                return problem.message
        elif name not in FIELDS:
            return f"the header has an unknown column {name!r}"
    lacking = [name for name in ("op", "org") if name not in names]
    return f"the header lacks the column {lacking[0]!r}" if lacking else None


def _cells(text: str) -> list[str]:
    # Line by line, not as a stream: a quote that is never closed must not swallow the operations after it.
    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error as problem:
        raise _bad_csv(str(problem)) from None


def _bad_file(message: str, hint: str) -> BadInput:
    return BadInput(message, hint=hint, code="bad_file")


def _bad_json(what: str) -> BadInput:
    return BadInput(f"the line is not a JSON object: {what}", hint='as {"op": "debit", ...}', code="bad_json")


def _bad_csv(what: str) -> BadInput:
    return BadInput(f"the line does not fit the columns: {what}", hint="check quotes and commas", code="bad_csv")
