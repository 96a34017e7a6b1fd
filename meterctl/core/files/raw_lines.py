"""Read lines of bounded length from a binary stream."""

import zlib
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from meterctl.core.errors import BadInput

#: Longest line, in bytes. It bounds the memory for a file without line ends.
MAX_LINE = 1024 * 1024

#: The most bytes of one line that are skipped. Only an endless file, such as /dev/zero, has more.
MAX_SKIP = 1024 * MAX_LINE

#: Exceptions from reading a truncated or damaged file.
READ_FAILURES = (OSError, EOFError, zlib.error)

#: The first bytes of a text in UTF-8 that is marked as such, and of one in UTF-16.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class RawLine(NamedTuple):
    """A line with its number. If it has a ``problem``, it cannot be used.

    ``text`` then holds its first bytes, and ``quotes`` counts the quote characters in the part that was dropped.
    """

    number: int
    text: bytes
    problem: BadInput | None = None
    quotes: int = 0


class Lines(Protocol):
    def readline(self, limit: int, /) -> bytes: ...


def all_lines(file: Lines) -> Iterator[RawLine]:
    """Yield every line. A read error becomes the problem of the last one."""
    number = 0
    try:
        while True:  # bounded: by the file
            number += 1
            text = file.readline(MAX_LINE + 1)
            if not text:
                return
            if len(text) > MAX_LINE and not text.endswith(b"\n"):
                quotes = skip_rest(file)
                problem = BadInput(f"the line is longer than {MAX_LINE} bytes", hint="", code="line_too_long")
                yield RawLine(number, text, problem, quotes)
            else:
                yield RawLine(number, text)
    except (*READ_FAILURES, BadInput) as problem:
        damage = problem.__cause__ or problem
        yield RawLine(
            number, b"", bad_file(f"the rest of the file cannot be read: {damage}", "the lines before it were read")
        )


def is_blank(line: RawLine) -> bool:
    """Return True for a line of nothing but white space."""
    return line.text.isspace()


def bad_file(message: str, hint: str) -> BadInput:
    """Return the error for a file that is unusable as a whole."""
    return BadInput(message, hint=hint, code="bad_file")


def skip_rest(file: Lines) -> int:
    """Skip the rest of the line; return the number of quote characters in it. Raises `EOFError` after `MAX_SKIP`."""
    quotes = 0
    for _ in range(MAX_SKIP // MAX_LINE):
        rest = file.readline(MAX_LINE)
        quotes += rest.count(b'"')
        if not rest or rest.endswith(b"\n"):
            return quotes
    raise EOFError(f"a line is longer than {MAX_SKIP:,} bytes")
