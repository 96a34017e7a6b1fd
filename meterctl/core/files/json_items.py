"""Split a stream into JSON values: one per line, pretty-printed, concatenated or in an array.

Memory is bounded by one value of at most `MAX_DOCUMENT` bytes. After a value that is malformed, too
long or not UTF-8, reading continues on the next line.
"""

import json
import re
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from meterctl.core.errors import BadInput
from meterctl.core.files.json_text import NO_JSON, json_problem
from meterctl.core.files.raw_lines import BYTE_ORDER_MARK, MAX_LINE, READ_FAILURES, UTF_16_MARKS, skip_rest

#: The most bytes of one value. Arrays and lists are held as a whole; a single event may have `MAX_LINE`.
MAX_DOCUMENT = 16 * MAX_LINE

_SPACE = re.compile(r"[ \t\r\n]*")

#: A whole string, the quote of one left open on the line, or a bracket.
_MARKS = re.compile(r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"|["{}\[\]]')

_decode = json.JSONDecoder().raw_decode


class JsonItem(NamedTuple):
    """A JSON ``value`` with its ``text`` and first line number, or a ``problem`` in its place.

    ``raw`` holds the bytes if they are not UTF-8.
    """

    line: int
    text: str
    value: Any = None
    problem: BadInput | None = None
    raw: bytes | None = None


class _Line(NamedTuple):
    number: int
    text: str
    problem: BadInput | None = None
    raw: bytes | None = None


class _Depth:
    """Count the open brackets of a value over several lines."""

    def __init__(self) -> None:
        self._depth = 0

    def feed(self, text: str) -> int | None:
        """Return the place after the value's end if ``text`` ends it, else None.

        Raises `ValueError` if the text leaves a string open: no JSON string goes over a line's end.
        """
        for mark in _MARKS.finditer(text):
            sign = mark.group()
            if sign in ("{", "["):
                self._depth += 1
            elif sign in ("}", "]"):
                self._depth -= 1
                if self._depth <= 0:
                    return mark.end()
            elif sign == '"':
                raise ValueError("a string is not closed")
        return None


class JsonItems:
    """Iterate over the JSON values in ``file``, and over the items of an array; ``hint`` is the one of its problems.

    Raises `BadInput` only if the rest of the file cannot be read.
    """

    def __init__(self, file: IO[bytes], hint: str) -> None:
        self._file = file
        self._hint = hint
        self._number = 0
        self._again: list[_Line] = []
        #: Items read of the open array, None outside of one.
        self._items: int | None = None
        self._values_seen = 0
        self._ends_badly = False

    def __iter__(self) -> Iterator[JsonItem]:
        while (line := self._next()) is not None:  # bounded: by the file
            if line.problem is not None:
                yield JsonItem(line.number, "", None, line.problem, line.raw)
            elif not line.text.isspace():
                yield from self._values(line)
        if self._items is not None and not self._ends_badly:
            problem = BadInput("the array has no end: the file is truncated", hint=self._hint, code="bad_json")
            yield JsonItem(self._number, "", None, problem)

    # -- lines

    def _next(self) -> _Line | None:
        return self._again.pop() if self._again else self._read()

    def _read(self) -> _Line | None:
        try:
            raw = self._file.readline(MAX_DOCUMENT + 1)
            too_long = len(raw) > MAX_DOCUMENT and not raw.endswith(b"\n")
            if too_long:
                skip_rest(self._file)
        except READ_FAILURES as damage:
            message = f"the rest of the file cannot be read: {damage}"
            raise BadInput(
                message, hint="the file is truncated or damaged: use another copy", code="bad_file"
            ) from None
        if not raw:
            return None
        self._number += 1
        if self._number == 1:
            raw = self._start(raw)
        if too_long:
            return _Line(self._number, "", self._too_long())
        try:
            return _Line(self._number, raw.decode() or "\n")
        except UnicodeDecodeError as bad:
            problem = BadInput(f"byte {bad.start + 1} of the line is not UTF-8", hint=self._hint, code="bad_encoding")
            return _Line(self._number, "", problem, raw)

    # -- values

    def _values(self, line: _Line) -> Iterator[JsonItem]:
        number, text, place = line.number, line.text, 0
        while (place := self._begin(text, place)) < len(text):  # bounded: each turn ends further on in the file
            try:
                value, place = _decode(text, start := place)
                item = JsonItem(number, text[start:place], value)
            except NO_JSON as problem:
                if text[place] == "[" and self._items is None:
                    self._items, place = 0, place + 1
                    continue
                item, text = self._over_lines(number, text[place:], self._bad_json(problem))
                number, place = self._number, 0
            yield from self._number_items(item)

    def _begin(self, text: str, place: int) -> int:
        """Return the start of the next value, after any separators of an array."""
        while (place := _after_space(text, place)) < len(text) and self._items is not None and text[place] in ",]":
            if text[place] == "]":
                self._items = None
            place += 1
        return place

    def _number_items(self, document: JsonItem) -> Iterator[JsonItem]:
        """Yield a value, or each item of an array with its number."""
        if self._items is not None:
            self._items += 1
            yield document._replace(line=self._items)
        elif isinstance(document.value, list):
            # In a file that is one array, the item's number is more useful than the line.
            for number, item in enumerate(document.value, 1):
                yield JsonItem(document.line if self._values_seen else number, json.dumps(item), item)
        else:
            yield document
        self._values_seen += 1
        self._ends_badly = document.problem is not None

    def _over_lines(self, number: int, first: str, problem: BadInput) -> tuple[JsonItem, str]:
        """Return the value over several lines that begins with ``first``, and the rest of its last line.

        Without a complete value, return the ``problem`` in its place.
        """
        bad = JsonItem(number, first, None, problem)
        if first[0] not in "{[":
            return bad, ""
        depth, held, size = _Depth(), [first], len(first)
        try:
            if (end := depth.feed(first)) is not None:
                # Its brackets match, so later lines cannot complete it.
                return bad._replace(text=first[:end]), first[end:]
            while (line := self._next()) is not None:  # bounded: by the file
                if line.problem is not None or line.text.startswith("{"):
                    self._again.append(line)  # a new value: pretty-printed objects indent their contents
                    break
                end = depth.feed(line.text)
                if (size := size + len(line.text)) <= MAX_DOCUMENT:
                    held.append(line.text[:end])
                elif end is None:
                    continue  # too long to keep: only search for its end
                if end is not None:
                    text = "".join(held)
                    item = self._parse(number, text) if size <= MAX_DOCUMENT else bad._replace(problem=self._too_long())
                    return item, line.text[end:]
        except ValueError:
            pass
        return bad._replace(text="".join(held).rstrip("\n")), ""

    def _parse(self, number: int, document: str) -> JsonItem:
        try:
            return JsonItem(number, document, json.loads(document))
        except NO_JSON as problem:
            return JsonItem(number, document, None, self._bad_json(problem))

    # -- problems

    def _start(self, raw: bytes) -> bytes:
        """Return the first line without its mark of the byte order. Raises `BadInput` for UTF-16."""
        if raw.startswith(UTF_16_MARKS):
            raise BadInput("the file is not UTF-8", hint=self._hint, code="bad_file")
        return raw.removeprefix(BYTE_ORDER_MARK)

    def _bad_json(self, problem: Exception) -> BadInput:
        return BadInput(f"not valid JSON: {json_problem(problem)}", hint=self._hint, code="bad_json")

    def _too_long(self) -> BadInput:
        return BadInput(f"the value is longer than {MAX_DOCUMENT:,} bytes", hint=self._hint, code="line_too_long")


def _after_space(text: str, place: int) -> int:
    space = _SPACE.match(text, place)
    return place if space is None else space.end()
