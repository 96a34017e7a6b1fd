"""CSV as spreadsheets write it: a stream of lines in, a document per record out.

A record may span lines: a line inside a quoted cell is text, never an operation. Where quotes do not pair up, nobody
can tell cells from operations any more, so the file ends there: nothing after that point becomes a document.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from typing import Self

from meterctl.core.domain.checks import check_feature
from meterctl.core.domain.operation_documents import FIELDS
from meterctl.core.errors import BadInput
from meterctl.core.files.json_text import Document, json_value
from meterctl.core.files.raw_lines import MAX_LINE, RawLine, bad_file, is_blank

#: Bytes and lines that a record may have. They bound the memory that an open quote takes.
MAX_RECORD, MAX_RECORD_LINES = MAX_LINE, 1000

#: Columns whose cells a spreadsheet may have written in its own way.
NUMBERS = frozenset(
    {"units", "cents", "paid_cents", "tax_cents", "quantity", "plan_version", "seq", "priority", "lot"}
)  # fmt: skip
FLAGS = frozenset({"allow_debt"})

_COSTS = "costs."

_SEPARATORS = (",", ";", "\t")
_SEPARATOR_LINE = re.compile(r'"?sep=([^\w"\r\n])"?\s*', re.IGNORECASE)

#: Two zeros at most: 1.000 is a thousand in half of the world.
_WHOLE = re.compile(r"([+-]?[0-9]+)\.0{1,2}")
_FLAG_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

#: A quoted cell from its first quote on; the group is empty where it is never closed.
_QUOTED = re.compile(r'"[^"]*(?:""[^"]*)*("?)')

#: A record by the number of its first line: its cells, or the reason why it has none.
_Row = tuple[int, list[str] | BadInput]


def csv_documents(name: str, lines: Iterator[RawLine], *, whole: bool) -> Iterator[tuple[int, Document | BadInput]]:
    """Return the number of each record's first line with its document, or with what is wrong with it.

    ``whole`` says that a last line without its end is complete. Raises `BadInput` for a header that makes no sense.
    """
    names, separator = _header(name, lines)
    return _documents(_rows(lines, separator, len(names), whole=whole), _Columns(names))


def _documents(rows: Iterator[_Row], columns: "_Columns") -> Iterator[tuple[int, Document | BadInput]]:
    for number, cells in rows:
        if isinstance(cells, BadInput):
            yield number, cells
        elif any(map(str.strip, cells)):  # spreadsheets fill up with empty rows
            try:
                yield number, columns.document(cells)
            except BadInput as problem:
                yield number, problem


# The header


def _header(name: str, lines: Iterator[RawLine]) -> tuple[list[str], str]:
    """Return the columns by name, and the separator between them."""
    text = _header_line(name, lines)
    separators: Sequence[str] = _SEPARATORS
    if found := _SEPARATOR_LINE.fullmatch(text):
        separators = found[1]
        text = _header_line(name, lines)
    readings = [(_column_names(text, separator), separator) for separator in separators]
    names, separator = max(readings, key=lambda reading: len(FIELDS.intersection(reading[0])))
    if not names:
        raise bad_file(f"{name}: the header cannot be read", "check its quotes")
    if problem := _header_problem(names):
        known = ", ".join([*sorted(FIELDS), f"{_COSTS}FEATURE"])
        raise bad_file(f"{name}: {problem}", f"a line is a JSON object, or the first one names the columns: {known}")
    return names, separator


def _header_line(name: str, lines: Iterator[RawLine]) -> str:
    line = next((line for line in lines if line.problem or not is_blank(line)), None)
    if line is None:
        raise bad_file(f"{name} has no header", "name the columns in the first line")
    if line.problem is not None:
        raise bad_file(f"{name}: the header cannot be read: {line.problem.message}", f"check line {line.number}")
    try:
        text = line.text.decode()
    except UnicodeDecodeError:
        raise bad_file(f"{name} is not text in UTF-8", "save it as UTF-8") from None
    if "\r" in text.rstrip("\r\n"):
        raise bad_file(f"{name}: its lines end with CR alone", "save it as CSV UTF-8, with line ends LF or CR LF")
    return text


def _column_names(text: str, separator: str) -> list[str]:
    """Return the columns in a header, as far as this ``separator`` is the one: else hardly any of them, or none."""
    try:
        cells = next(csv.reader([text], delimiter=separator, skipinitialspace=True, strict=True), [])
    except csv.Error:
        return []
    return [_column_name(cell) for cell in cells]


def _column_name(cell: str) -> str:
    """Return the field that a header's cell names: ``Paid Cents`` is paid_cents. A feature's case matters."""
    cell = cell.strip()
    if cell.lower().startswith(_COSTS):
        return _COSTS + cell[len(_COSTS) :]
    return re.sub(r"[\s-]+", "_", cell.lower())


def _header_problem(names: list[str]) -> str | None:
    for at, name in enumerate(names):
        if name and name in names[:at]:
            return f"the column {name!r} stands in the header twice"
        if name.startswith(_COSTS):
            try:
                check_feature(name.removeprefix(_COSTS))
            except BadInput as problem:
                return problem.message
        elif name and name not in FIELDS:
            return f"the header has an unknown column {name!r}"
    lacking = [name for name in ("op", "org") if name not in names]
    return f"the header lacks the column {lacking[0]!r}" if lacking else None


# Records


class _Stopped(Exception):
    """Raised while a record is read that cannot be read to its end; the reason tells why."""


class _Feed:
    """The lines that the csv module asks for, with what has been taken for the record that it reads."""

    def __init__(self, lines: Iterator[RawLine]) -> None:
        self._lines = lines
        self.begin()

    def begin(self) -> None:
        """Forget the last record."""
        self.first = self.size = self.quotes = 0
        self.texts: list[str] = []
        self.broken: BadInput | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = next(self._lines, None)
        if line is None:
            if self.texts:
                raise _Stopped("it is never closed")
            raise StopIteration
        self.first = self.first or line.number
        self.quotes += line.text.count(b'"') + line.quotes
        self.size += len(line.text)
        if line.problem is not None:
            self.broken = line.problem
            raise _Stopped(f"line {line.number} cannot be read: {line.problem.message}")
        if len(self.texts) == MAX_RECORD_LINES or self.size > MAX_RECORD:
            raise _Stopped(f"it is not closed within {MAX_RECORD_LINES:,} lines and {MAX_RECORD:,} bytes")
        self.texts.append(self._decoded(line.text))
        return self.texts[-1]

    def _decoded(self, text: bytes) -> str:
        try:
            return text.decode()
        except UnicodeDecodeError as bad:
            if self.broken is None:
                message = f"byte {bad.start + 1} of the line is not UTF-8"
                self.broken = BadInput(message, hint="save the file as UTF-8", code="bad_encoding")
            return text.decode(errors="surrogateescape")  # quotes are found all the same


def _rows(lines: Iterator[RawLine], separator: str, columns: int, *, whole: bool) -> Iterator[_Row]:
    csv.field_size_limit(MAX_RECORD + 1)
    feed = _Feed(lines)
    reader = csv.reader(feed, delimiter=separator, skipinitialspace=True)
    while True:  # bounded: by the file
        feed.begin()
        cells: list[str] | BadInput
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, _Stopped) as problem:
            cells = feed.broken or _bad_csv(str(problem))
            doubt = str(problem) if feed.quotes else None
        else:
            doubt = _doubt(feed, cells, separator, columns) if feed.quotes else None
        if doubt is not None:
            yield _end(feed, doubt)
            return
        if not whole and feed.texts and not feed.texts[-1].endswith("\n"):
            # Cut off in its last cell, the line would hold another value than the one that was meant.
            cells = BadInput("the last line is not finished", hint="end it with a line end", code="unfinished_line")
        yield feed.first, feed.broken or cells
        if feed.broken is not None and feed.broken.code == "bad_file":
            return


def _doubt(feed: _Feed, cells: list[str], separator: str, columns: int) -> str | None:
    """Return the reason to doubt that a record with quotes ends where it seems to.

    A single quote too many or too few moves all that follow: so the record has to be right in every respect.
    """
    if feed.quotes % 2:
        return "its quotes do not pair up"
    if not _fits(cells, columns):
        return f"it has {len(cells)} cells, the header has {columns}"
    try:
        next(csv.reader(feed.texts, delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error as problem:
        return str(problem)
    return None


def _fits(cells: list[str], columns: int) -> bool:
    """Return True if there is a cell for each column, and none with a text beyond them."""
    return len(cells) == columns or (len(cells) > columns and not any(map(str.strip, cells[columns:])))


def _end(feed: _Feed, doubt: str) -> _Row:
    """Return the row that ends the file, under the number of the line where the quote in doubt opened."""
    text = "".join(feed.texts)
    unclosed = next((found.start() for found in _QUOTED.finditer(text) if not found[1]), 0)
    line = feed.first + text.count("\n", 0, unclosed)
    message = (
        f'a quote (") in line {line} leaves the end of its record open ({doubt}): nothing from there on was booked'
    )
    hint = 'quote the whole cell and write "" for each quote in it; then run the same file again'
    return line, BadInput(message, hint=hint, code="open_quote")


# Cells


class _Columns:
    """The columns of a table, as its header names them."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._numbers = NUMBERS.intersection(names)
        self._flags = FLAGS.intersection(names)
        self._features = [name for name in names if name.startswith(_COSTS)]

    def document(self, cells: list[str]) -> Document:
        """Return the document in a record. An empty cell counts as left out."""
        names = self._names
        if not _fits(cells, len(names)):
            raise _bad_csv(f"it has {len(cells)} cells, the header has {len(names)}")
        document: Document = {name: text for name, cell in zip(names, cells, strict=False) if (text := cell.strip())}
        if "" in document:
            raise _bad_csv(f"the cell {document['']!r} stands under a column without a name")
        for name in self._numbers:
            if (cell := document.get(name)) is not None and (whole := _WHOLE.fullmatch(cell)):
                document[name] = whole[1]
        for name in self._flags:
            if (cell := document.get(name)) is not None:
                document[name] = _FLAG_WORDS.get(cell.lower(), cell)
        if "costs" in document:
            document["costs"] = json_value(document["costs"])
        return self._with_features(document) if self._features else document

    def _with_features(self, document: Document) -> Document:
        costs = {name.removeprefix(_COSTS): document.pop(name) for name in self._features if name in document}
        if costs and "costs" in document:
            raise _bad_csv(f"it has costs both in a column of their own and in {_COSTS}FEATURE")
        return document | {"costs": costs} if costs else document


def _bad_csv(problem: str) -> BadInput:
    return BadInput(f"the line does not fit the columns: {problem}", hint="check quotes and separators", code="bad_csv")
