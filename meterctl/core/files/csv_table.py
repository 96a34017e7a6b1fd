"""CSV as spreadsheets write it: a stream of lines in, a document per record out.

A record may span lines: a line inside a quoted cell is text, never an operation. Unpaired quotes end the file: after
them cells and operations cannot be told apart, so no later line becomes a document.
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

#: Longest record, in bytes and lines. They bound the memory for an unclosed quote.
MAX_RECORD, MAX_RECORD_LINES = MAX_LINE, 1000

#: Columns with numbers and flags that spreadsheets reformat (1000.0, TRUE).
NUMBERS = frozenset(
    {"units", "cents", "paid_cents", "tax_cents", "quantity", "plan_version", "seq", "priority", "lot"}
)  # fmt: skip
FLAGS = frozenset({"allow_debt"})

_COSTS = "costs."

_SEPARATORS = (",", ";", "\t")
_SEPARATOR_LINE = re.compile(r'"?sep=([^\w"\r\n])"?\s*', re.IGNORECASE)

#: Two zeros at most: 1.000 means a thousand in many countries.
_WHOLE = re.compile(r"([+-]?[0-9]+)\.0{1,2}")
_FLAG_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

#: A quoted cell from its first quote on; the group is empty if the cell is not closed.
_QUOTED = re.compile(r'"[^"]*(?:""[^"]*)*("?)')

#: The number of a record's first line, with its cells or the problem.
_Row = tuple[int, list[str] | BadInput]


def csv_documents(name: str, lines: Iterator[RawLine], *, whole: bool) -> Iterator[tuple[int, Document | BadInput]]:
    """Yield each record's first line number with its document or its problem.

    ``whole``: accept a last line without a line end. Raises `BadInput` for an unusable header.
    """
    names, separator = _header(name, lines)
    return _documents(_rows(lines, separator, len(names), whole=whole), _Columns(names))


def _documents(rows: Iterator[_Row], columns: "_Columns") -> Iterator[tuple[int, Document | BadInput]]:
    for number, cells in rows:
        if isinstance(cells, BadInput):
            yield number, cells
        elif any(map(str.strip, cells)):  # spreadsheets add empty rows
            try:
                yield number, columns.document(cells)
            except BadInput as problem:
                yield number, problem


# The header


def _header(name: str, lines: Iterator[RawLine]) -> tuple[list[str], str]:
    """Return the column names and the separator."""
    text = _header_line(name, lines)
    separators: Sequence[str] = _SEPARATORS
    if match := _SEPARATOR_LINE.fullmatch(text):
        separators = match[1]
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
    """Return the column names that ``separator`` yields; the wrong separator yields few known ones or none."""
    try:
        cells = next(csv.reader([text], delimiter=separator, skipinitialspace=True, strict=True), [])
    except csv.Error:
        return []
    return [_column_name(cell) for cell in cells]


def _column_name(cell: str) -> str:
    """Return the field name of a header cell: ``Paid Cents`` gives paid_cents. The case of a feature is kept."""
    cell = cell.strip()
    if cell.lower().startswith(_COSTS):
        return _COSTS + cell[len(_COSTS) :]
    return re.sub(r"[\s-]+", "_", cell.lower())


def _header_problem(names: list[str]) -> str | None:
    for at, name in enumerate(names):
        if name and name in names[:at]:
            return f"the header names the column {name!r} twice"
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
    """Raised when the end of a record cannot be found; the text gives the reason."""


class _Feed:
    """Lines for the csv module, with the lines and quotes of the current record."""

    def __init__(self, lines: Iterator[RawLine]) -> None:
        self._lines = lines
        self.begin()

    def begin(self) -> None:
        """Start a new record."""
        self.first = self.size = self.quotes = 0
        self.texts: list[str] = []
        self.broken: BadInput | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = next(self._lines, None)
        if line is None:
            if self.texts:
                raise _Stopped("the file ends inside it")
            raise StopIteration
        self.first = self.first or line.number
        self.quotes += line.text.count(b'"') + line.quotes
        self.size += len(line.text)
        if line.problem is not None:
            self.broken = line.problem
            raise _Stopped(f"line {line.number} cannot be read: {line.problem.message}")
        if len(self.texts) == MAX_RECORD_LINES or self.size > MAX_RECORD:
            raise _Stopped(f"it is not closed within {MAX_RECORD_LINES:,} lines and {MAX_RECORD:,} bytes")
        self.texts.append(self._decode(line.text))
        return self.texts[-1]

    def _decode(self, text: bytes) -> str:
        try:
            return text.decode()
        except UnicodeDecodeError as bad:
            if self.broken is None:
                message = f"byte {bad.start + 1} of the line is not UTF-8"
                self.broken = BadInput(message, hint="save the file as UTF-8", code="bad_encoding")
            return text.decode(errors="surrogateescape")  # the quotes can still be counted


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
            # A line cut off in its last cell would hold a wrong value.
            cells = BadInput("the last line is not finished", hint="end it with a line end", code="unfinished_line")
        yield feed.first, feed.broken or cells
        if feed.broken is not None and feed.broken.code == "bad_file":
            return


def _doubt(feed: _Feed, cells: list[str], separator: str, columns: int) -> str | None:
    """Return the reason to doubt the end of a record with quotes; None if there is none.

    One quote too many or too few shifts every later record, so this record must be correct in every respect.
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
    """Return True if every column has a cell, and all further cells are blank."""
    return len(cells) == columns or (len(cells) > columns and not any(map(str.strip, cells[columns:])))


def _end(feed: _Feed, doubt: str) -> _Row:
    """Return the row that ends the file, with the line number of the unclosed quote."""
    text = "".join(feed.texts)
    start = next((match.start() for match in _QUOTED.finditer(text) if not match[1]), 0)
    line = feed.first + text.count("\n", 0, start)
    message = f'a quote (") in line {line} is not closed properly ({doubt}): nothing from this line on was booked'
    hint = 'quote the whole cell and write "" for each quote in it; then run the same file again'
    return line, BadInput(message, hint=hint, code="open_quote")


# Cells


class _Columns:
    """The columns of a table, in header order."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._numbers = NUMBERS.intersection(names)
        self._flags = FLAGS.intersection(names)
        self._features = [name for name in names if name.startswith(_COSTS)]

    def document(self, cells: list[str]) -> Document:
        """Return the document of a record. An empty cell means that the field is absent."""
        names = self._names
        if not _fits(cells, len(names)):
            raise _bad_csv(f"it has {len(cells)} cells, the header has {len(names)}")
        document: Document = {name: text for name, cell in zip(names, cells, strict=False) if (text := cell.strip())}
        if "" in document:
            raise _bad_csv(f"the cell {document['']!r} is in a column without a name")
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
            raise _bad_csv(f"it has costs both in the column costs and in {_COSTS}FEATURE")
        return document | {"costs": costs} if costs else document


def _bad_csv(problem: str) -> BadInput:
    return BadInput(f"the line does not fit the columns: {problem}", hint="check quotes and separators", code="bad_csv")
