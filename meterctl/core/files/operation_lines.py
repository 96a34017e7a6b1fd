"""Read input files as a stream: one operation per line, NDJSON or CSV, plain or gzip.

A bad line is passed on with its problem, and reading continues. Only a file that is unusable as a whole raises
`BadInput`, before its first line is passed on.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from gzip import GzipFile
from io import BufferedReader
from itertools import chain
from typing import Any, NamedTuple

from meterctl.core.errors import BadInput, shell_word
from meterctl.core.files.csv_table import csv_documents
from meterctl.core.files.json_text import Document, is_cut_off, json_document
from meterctl.core.files.raw_lines import BYTE_ORDER_MARK, UTF_16_MARKS, RawLine, all_lines, bad_file, is_blank
from meterctl.core.files.sources import STANDARD_STREAM, display_name, open_file_or_standard_input, unzip

_NDJSON_SUFFIXES = (".ndjson", ".jsonl")

#: Files often mistaken for CSV or gzip, by their first bytes.
_KINDS = {
    b"PK\x03\x04": ("an Excel workbook or a zip archive", "save the sheet as CSV UTF-8, or unpack the archive"),
    b"\xd0\xcf\x11\xe0": ("an Excel workbook", "save the sheet as CSV UTF-8"),
    b"\x1f\x8b": ("packed with gzip twice", "unpack it, or pipe it: zcat FILE | meterctl backfill -"),
    b"BZh": ("packed with bzip2", "unpack it, or pipe it: bzcat FILE | meterctl backfill -"),
    b"\xfd7zXZ": ("packed with xz", "unpack it, or pipe it: xzcat FILE | meterctl backfill -"),
    b"\x28\xb5\x2f\xfd": ("packed with zstd", "unpack it, or pipe it: zstdcat FILE | meterctl backfill -"),
    b"%PDF": ("a PDF document", "export the data as CSV UTF-8"),
}


class Line(NamedTuple):
    """A line number, from 1 as in editors, with the document or the problem of that line."""

    number: int
    content: Document | BadInput


class InputFile:
    """An open input. ``size`` in bytes is None for a pipe."""

    def __init__(self, name: str, file: "BufferedReader[Any]") -> None:
        self.name = name
        self.size = _size(file)
        self.length = 0  # of the lines read so far, after decompression
        self._file = file

    def position(self) -> int:
        """Return the number of bytes read so far."""
        return self._file.tell()

    def lines(self, *, ahead: bool = True) -> Iterator[Line]:
        """Return the lines that are not blank. Raises `BadInput` for an unusable file.

        ``ahead``: one more line may be read before a line is passed on. A program that waits for its answer first
        writes none.
        """
        file = unzip(self._file)
        raw = _without_mark(self._measure(all_lines(file)))
        first = next((line for line in raw if line.problem or not is_blank(line)), None)
        if first is None:
            return iter(())
        first = _check_start(self.name, first)
        if self._is_ndjson(first.text):
            return _json_lines(_check_json(self.name, first, raw))
        # Only a pipe can be cut off unnoticed: gzip has an end mark, and a regular file has a size.
        whole = self.size is not None or isinstance(file, GzipFile)
        return (Line(*line) for line in csv_documents(self.name, chain([first], raw), whole=whole, ahead=ahead))

    def _measure(self, lines: Iterator[RawLine]) -> Iterator[RawLine]:
        for line in lines:
            self.length += len(line.text)
            yield line

    def _is_ndjson(self, first: bytes) -> bool:
        plain_name = self.name.removesuffix(".gz")
        return plain_name.endswith(_NDJSON_SUFFIXES) or first.lstrip()[:1] in (b"{", b"[")


@contextmanager
def open_input(name: str) -> Iterator[InputFile]:
    """Open the input ``name``: a path, or ``-`` for standard input. Raises `BadInput` if that fails."""
    with open_file_or_standard_input(name) as file:
        yield InputFile(display_name(name), file)


def _size(file: "BufferedReader[Any]") -> int | None:
    try:
        status = os.fstat(file.fileno())
    except OSError:  # standard input may have no file descriptor
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _without_mark(lines: Iterator[RawLine]) -> Iterator[RawLine]:
    """Yield the lines, the first one without its byte order mark; none if the mark is all there is."""
    for line in lines:
        text = line.text.removeprefix(BYTE_ORDER_MARK)
        if text or line.problem:
            yield line._replace(text=text)
        break
    yield from lines


def _check_start(name: str, first: RawLine) -> RawLine:
    """Return the first line. Raises `BadInput` if the file cannot hold operations."""
    if first.problem is not None and first.problem.code == "bad_file":
        raise bad_file(f"{name}: {first.problem.message}", "check the file")
    for mark, (kind, hint) in _KINDS.items():
        if first.text.startswith(mark):
            raise bad_file(f"{name} is {kind}", hint)
    if first.text.startswith(UTF_16_MARKS) or b"\0" in first.text:
        raise bad_file(f"{name} is not UTF-8 text; it looks like UTF-16", "save it as UTF-8")
    return first


def _check_json(name: str, first: RawLine, rest: Iterator[RawLine]) -> Iterator[RawLine]:
    """Return all lines. Raises `BadInput` for JSON that is not one object per line."""
    text = first.text.decode(errors="replace").lstrip()
    if text.startswith("["):
        raise bad_file(f"{name} is a JSON array, not one operation per line", _one_per_line(name, ".[]"))
    if first.problem is not None or not is_cut_off(text):
        return chain([first], rest)
    second = next((line for line in rest if line.problem or not is_blank(line)), None)
    if second is not None and not second.text.lstrip().startswith(b"{"):
        raise bad_file(f"{name} holds JSON objects over several lines", _one_per_line(name, "."))
    return chain([first], [second] if second else [], rest)


def _one_per_line(name: str, query: str) -> str:
    """Return the hint with the command that writes the file ``name`` as one operation per line."""
    file = shell_word("FILE" if name == display_name(STANDARD_STREAM) else name)
    return f"convert it: jq -c {shell_word(query)} {file} | meterctl backfill -"


def _json_lines(lines: Iterator[RawLine]) -> Iterator[Line]:
    for line in lines:
        if line.problem is not None:
            yield Line(line.number, line.problem)
        elif not is_blank(line):
            yield Line(line.number, _json_content(line.text))


def _json_content(text: bytes) -> Document | BadInput:
    try:
        return json_document(text.decode())
    except UnicodeDecodeError as bad:
        message = f"byte {bad.start + 1} of the line is not UTF-8"
        return BadInput(message, hint="save the file as UTF-8", code="bad_encoding")
    except BadInput as bad:
        return bad
