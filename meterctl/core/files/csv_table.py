"""CSV as spreadsheets write it: a stream of lines in, a document per record out.

A record may span lines: a line inside a quoted cell is text, never an operation. Unpaired quotes end the file: after
them cells and operations cannot be told apart, so no later line becomes a document.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from typing import Any, Self

from meterctl.core.domain.checks import check_feature
from meterctl.core.domain.operation_documents import FIELDS, OPERATIONS
from meterctl.core.errors import BadInput
from meterctl.core.files.json_text import Document, first_repeated, json_value
from meterctl.core.files.raw_lines import MAX_LINE, RawLine, bad_file

#: Longest record, in bytes and lines. They bound the memory for an unclosed quote.
MAX_RECORD, MAX_RECORD_LINES = MAX_LINE, 1000

#: Columns with numbers and flags that spreadsheets reformat (1000.0, TRUE).
NUMBERS = frozenset(
    {"units", "cents", "paid_cents", "tax_cents", "quantity", "plan_version", "seq", "priority", "lot"}
)  # fmt: skip
#: Columns of whole cents. 5.00 is an amount of dollars there, so it is refused; 5.0 is a number that a program wrote.
_CENTS = frozenset({"cents", "paid_cents", "tax_cents"})
FLAGS = frozenset({"allow_debt"})

_COSTS = "costs."

_SEPARATORS = (",", ";", "\t")
#: A program that does not know this line keeps it as a row, with empty cells behind it.
_SEPARATOR_LINE = re.compile(r'"?sep=([^\w"\r\n])"?\1*\s*', re.IGNORECASE)

#: A row without a single value, as spreadsheets leave them above a table.
_EMPTY_ROW = re.compile(rb"[\s,;]*")

#: A whole number, and its zeros; two at most: 1.000 and 1,000 mean a thousand in many countries.
_WHOLE = re.compile(r"([+-]?[0-9]+)[.,](00?)")

#: Results of formulas that failed.
_ERRORS = frozenset({"#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!", "#SPILL!", "#CALC!"})

_FLAG_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

#: An apostrophe that opens a cell, but not one that protects a formula ('=1+1) or a number ('-5).
_APOSTROPHE = re.compile(r"'(?![=+\-@0-9])")

_QUOTE_HINT = 'quote the whole cell and write "" for each quote in it; then run the same file again'
_APOSTROPHE_HINT = 'write a cell with an apostrophe at its beginning in double quotes ("); then run the same file again'

#: The number of a record's first line, with its cells or the problem.
_Row = tuple[int, list[str] | BadInput]


def csv_documents(
    name: str, lines: Iterator[RawLine], *, whole: bool, ahead: bool = True
) -> Iterator[tuple[int, Document | BadInput]]:
    """Yield each record's first line number with its document or its problem.

    ``whole``: accept a last line without a line end. ``ahead``: the next line may be read before a record is passed on,
    so that a record may lack its last cells. Raises `BadInput` for an unusable header.
    """
    names, separator = _header(name, lines)
    columns = _Columns(names)
    rows = _with_values(_rows(lines, separator, len(names), whole=whole))
    return _documents(_filled(rows, columns) if ahead else rows, columns)


def _with_values(rows: Iterator[_Row]) -> Iterator[_Row]:
    """Return the rows with a value or a problem: spreadsheets add empty rows."""
    return (row for row in rows if isinstance(row[1], BadInput) or any(map(str.strip, row[1])))


def _filled(rows: Iterator[_Row], columns: "_Columns") -> Iterator[_Row]:
    """Yield the rows, with empty cells for last ones that are missing.

    A row stays short if the next one is no operation: both may be parts of a line that was broken in two.
    """
    row = next(rows, None)
    while row is not None:  # bounded: by the file
        is_short = columns.is_short(row)
        following = next(rows, None) if is_short else None
        if is_short and (following is None or columns.begins_operation(following)):
            row = columns.filled(row)
        yield row
        row = following if is_short else next(rows, None)


def _documents(rows: Iterator[_Row], columns: "_Columns") -> Iterator[tuple[int, Document | BadInput]]:
    for number, cells in rows:
        try:
            yield number, cells if isinstance(cells, BadInput) else columns.document(cells)
        except BadInput as problem:
            yield number, problem


# -- the header


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
    line = next((line for line in lines if line.problem or not _EMPTY_ROW.fullmatch(line.text)), None)
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
    if twice := first_repeated(filter(None, names)):
        return f"the header names the column {twice!r} twice"
    for name in names:
        if name.startswith(_COSTS):
            try:
                check_feature(name.removeprefix(_COSTS))
            except BadInput as problem:
                return problem.message
        elif name and name not in FIELDS:
            return f"the header has an unknown column {name!r}"
    lacking = [name for name in ("op", "org") if name not in names]
    return f"the header lacks the column {lacking[0]!r}" if lacking else None


# -- records


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
            cells = feed.broken or _bad_csv(_plain(problem))
            doubt = str(problem) if feed.quotes else None
        else:
            doubt = _doubt(feed, cells, separator, columns)
        if doubt is not None:
            yield _end(feed, doubt, separator)
            return
        is_unfinished = bool(feed.texts) and not feed.texts[-1].endswith("\n")
        if is_unfinished and (not whole or (not isinstance(cells, BadInput) and len(cells) < columns)):
            # A line cut off in its last cell would hold a wrong value.
            cells = BadInput("the last line is not finished", hint="end it with a line end", code="unfinished_line")
        yield feed.first, feed.broken or cells
        if feed.broken is not None and feed.broken.code == "bad_file":
            return


def _plain(problem: Exception) -> str:
    text = str(problem)
    return "a carriage return (CR) stands outside of quotes" if text.startswith("new-line character") else text


def _doubt(feed: _Feed, cells: list[str], separator: str, columns: int) -> str | None:
    """Return the reason to doubt the end of a record; None if there is none.

    One quote too many or too few shifts every later record, so a record with quotes must be correct in every respect.
    """
    if not feed.quotes:
        return "it opens with an apostrophe" if any(map(_is_left_open, cells)) else None
    if feed.quotes % 2:
        return "its quotes do not pair up"
    if not _fits(cells, columns):
        return f"the record has {len(cells)} cells, the header has {columns}"
    try:
        next(csv.reader(feed.texts, delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error as problem:
        return str(problem)
    return None


def _is_left_open(cell: str) -> bool:
    """Return True if an apostrophe opens ``cell`` and none closes it: some programs quote with apostrophes."""
    if "'" not in cell:  # nearly all of them
        return False
    cell = cell.strip()
    return _APOSTROPHE.match(cell) is not None and (len(cell) == 1 or not cell.endswith("'"))


def _fits(cells: list[str], columns: int) -> bool:
    """Return True if every column has a cell, and all further cells are blank."""
    return len(cells) == columns or (len(cells) > columns and not any(map(str.strip, cells[columns:])))


def _end(feed: _Feed, doubt: str, separator: str) -> _Row:
    """Return the row that ends the file, with the line number of the unclosed quote."""
    text = "".join(feed.texts)
    mark = '"' if feed.quotes else "'"
    line = feed.first + text.count("\n", 0, _open_quote(text, separator) if feed.quotes else 0)
    lost = "this line" if line == feed.first else f"line {feed.first}"
    message = f"a quote ({mark}) in line {line} is not closed properly ({doubt}): nothing from {lost} on was booked"
    hint = _QUOTE_HINT if feed.quotes else _APOSTROPHE_HINT
    return line, BadInput(message, hint=hint, code="open_quote")


def _open_quote(text: str, separator: str) -> int:
    """Return the place of the first quote that does not enclose a whole cell, or of the first quote."""
    mark = re.escape(separator)
    end = rf"(?:{mark}|\r?\n|\Z)"
    cell = re.compile(rf' *(?:"[^"]*(?:""[^"]*)*"{end}|[^"{mark}\r\n]*{end})')
    place = 0
    while place < len(text) and (match := cell.match(text, place)):  # bounded: each turn takes a cell
        place = match.end()
    return max(text.find('"', place if place < len(text) else 0), 0)


# -- cells


class _Columns:
    """The columns of a table, in header order."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._numbers = NUMBERS.intersection(names)
        self._flags = FLAGS.intersection(names)
        self._features = [name for name in names if name.startswith(_COSTS)]
        self._op = names.index("op")
        self._least = max(self._op, names.index("org")) + 1

    def is_short(self, row: _Row) -> bool:
        """Return True if ``row`` lacks its last cells; Excel leaves out empty ones."""
        cells = row[1]
        return not isinstance(cells, BadInput) and self._least <= len(cells) < len(self._names)

    def filled(self, row: _Row) -> _Row:
        """Return ``row`` with empty cells for the missing ones."""
        number, cells = row
        assert not isinstance(cells, BadInput)
        return number, cells + [""] * (len(self._names) - len(cells))

    def begins_operation(self, row: _Row) -> bool:
        """Return True if ``row`` names an operation."""
        cells = row[1]
        return not isinstance(cells, BadInput) and len(cells) > self._op and cells[self._op].strip() in OPERATIONS

    def document(self, cells: list[str]) -> Document:
        """Return the document of a record. An empty cell means that the field is absent."""
        names = self._names
        if not _fits(cells, len(names)):
            raise _bad_csv(f"it has {len(cells)} cells, the header has {len(names)}")
        document: Document = {name: text for name, cell in zip(names, cells, strict=False) if (text := cell.strip())}
        if not _ERRORS.isdisjoint(document.values()):
            error = next(text for text in document.values() if text in _ERRORS)
            raise _bad_csv(f"the cell {error!r} is an error of the spreadsheet")
        if "" in document:
            raise _bad_csv(f"the cell {document['']!r} is in a column without a name")
        for name in self._numbers:
            if (cell := document.get(name)) is not None and (whole := _WHOLE.fullmatch(cell)):
                if name in _CENTS and whole[2] == "00":
                    raise _not_cents(name, cell, whole[1])
                document[name] = whole[1]
        for name in self._flags:
            if (cell := document.get(name)) is not None:
                document[name] = _FLAG_WORDS.get(cell.lower(), cell)
        if "costs" in document:
            document["costs"] = _costs(document["costs"])
        return self._with_features(document) if self._features else document

    def _with_features(self, document: Document) -> Document:
        costs = {name.removeprefix(_COSTS): document.pop(name) for name in self._features if name in document}
        if costs and "costs" in document:
            raise _bad_csv(f"it has costs both in the column costs and in {_COSTS}FEATURE")
        return document | {"costs": costs} if costs else document


def _costs(cell: str) -> Any:
    """Return the value of a cell of costs."""
    try:
        return json_value(cell)
    except BadInput as problem:
        hint = 'costs look like {"llm": "0.0125"}; or name a column costs.llm'
        raise BadInput(f"costs: {cell[:60]!r} is not JSON", hint=hint, code=problem.code) from None


def _not_cents(name: str, cell: str, whole: str) -> BadInput:
    hint = f"write {whole}00 if these are {whole} dollars, {whole} if they are {whole} cents"
    return BadInput(f"{name}: {cell!r} is not a number of cents", hint=hint, code="bad_number")


def _bad_csv(problem: str) -> BadInput:
    return BadInput(f"the line does not fit the columns: {problem}", hint="check quotes and separators", code="bad_csv")
