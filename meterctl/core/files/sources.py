"""Files to be read, whatever they are: plain ones, standard input, pipes, and gzip."""

import os
import shutil
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from gzip import BadGzipFile, GzipFile
from io import BufferedReader
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from meterctl.core.errors import BadInput

STANDARD_INPUT = "-"

_GZIP_MAGIC = b"\x1f"  # no text begins with this byte, and its second one may not have arrived yet


def said(name: str) -> str:
    """What people call the file that is called ``name`` on the command line."""
    return "standard input" if name == STANDARD_INPUT else name


@contextmanager
def opened(path: str) -> Iterator["BufferedReader[Any]"]:
    """The file at ``path``. Raises `BadInput` if it cannot be opened."""
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - closed below; a failure in the caller's block is not one to open
    except OSError as problem:
        message = f"cannot open {path}: {problem.strerror}"
        raise BadInput(message, hint="check the path and its rights", code="bad_file") from None
    with file:
        yield file


@contextmanager
def opened_or_standard_input(name: str) -> Iterator["BufferedReader[Any]"]:
    """The file called ``name``: a path, or ``-`` for standard input. Raises `BadInput` if it cannot be opened."""
    if name == STANDARD_INPUT:
        given = sys.stdin.buffer
        yield given if isinstance(given, BufferedReader) else BufferedReader(given)
        return
    with opened(name) as file:
        yield file


def is_same_file(path: str | Path, other: str | Path) -> bool:
    """Whether both name one file, be it there or not, however they are written; ``other`` may be standard input."""
    try:
        if str(other) == STANDARD_INPUT:
            return os.path.samestat(Path(path).stat(), os.fstat(sys.stdin.fileno()))
        return Path(path).samefile(other)
    except (OSError, ValueError, AttributeError):
        # One is not there, or may not be looked at: whoever opens it says so. Standard input need not be a file.
        return os.path.realpath(path) == os.path.realpath(other)


def unzipped(file: "BufferedReader[Any]") -> "BufferedReader[Any] | GzipFile":
    """``file``, or what is in it if it is gzip."""
    return GzipFile(fileobj=file) if file.peek(1)[:1] == _GZIP_MAGIC else file


@contextmanager
def seekable(file: IO[bytes] | GzipFile) -> Iterator[IO[bytes]]:
    """``file`` itself if it can be sought in, else (a pipe, gzip) a copy of what is left of it. Raises `BadInput` for
    gzip that is damaged."""
    # In gzip each step back would unzip all of it from the start again.
    if file.seekable() and not isinstance(file, GzipFile):
        yield file
        return
    with TemporaryFile() as copy:
        _copy(file, copy)
        copy.seek(0)
        yield copy


def _copy(file: IO[bytes] | GzipFile, copy: IO[bytes]) -> None:
    try:
        shutil.copyfileobj(file, copy)
    except (BadGzipFile, EOFError, zlib.error) as damage:
        message = f"cannot unzip {file.name}: {damage}"
        raise BadInput(message, hint="it was cut off or changed: use another copy", code="bad_file") from None
