"""Open files for reading: plain files, standard input, pipes, and gzip."""

import os
import shutil
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from gzip import BadGzipFile, GzipFile
from io import BufferedReader, FileIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from meterctl.core.errors import BadInput
from meterctl.core.files.raw_lines import BYTE_ORDER_MARK, UTF_16_MARKS, bad_file

#: The name of standard input, or of standard output for a file to write.
STANDARD_STREAM = "-"

_GZIP_MAGIC = b"\x1f"  # no text begins with this byte; the second byte may not have arrived yet


def display_name(name: str) -> str:
    """Return the display name of a file argument."""
    return "standard input" if name == STANDARD_STREAM else name


class _File(FileIO):
    """A file that cannot be written. Read errors, as of a failing disk, are `BadInput`."""

    def readinto(self, buffer: Any, /) -> int | None:
        """Read into ``buffer``."""
        with self._reading():
            return super().readinto(buffer)

    def readall(self) -> bytes:
        """Read up to the end."""
        with self._reading():
            return super().readall()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            message = f"cannot read {self.name}: {problem.strerror}"
            raise BadInput(message, hint="check the disk, or use another copy", code="bad_file") from problem


@contextmanager
def open_file(path: str) -> Iterator["BufferedReader[Any]"]:
    """Open the file at ``path``. Raises `BadInput` if that fails."""
    try:
        file = BufferedReader(_File(path))  # closed below; an error in the caller's block is not an open error
    except OSError as problem:
        message = f"cannot open {path}: {problem.strerror}"
        raise BadInput(message, hint="check the path and its permissions", code="bad_file") from None
    with file:
        yield file


@contextmanager
def open_file_or_standard_input(name: str) -> Iterator["BufferedReader[Any]"]:
    """Open ``name``: a path, or ``-`` for standard input. Raises `BadInput` if that fails."""
    if name == STANDARD_STREAM:
        stream = sys.stdin.buffer
        if isinstance(stream, BufferedReader):
            yield stream
            return
        reader: BufferedReader[Any] = BufferedReader(stream)
        try:
            yield reader
        finally:
            reader.detach()  # otherwise it would close standard input
        return
    with open_file(name) as file:
        yield file


def is_same_file(path: str | Path, other: str | Path) -> bool:
    """Return True if both paths name the same file, existing or not. ``other`` may be ``-``."""
    try:
        if str(other) == STANDARD_STREAM:
            return os.path.samestat(Path(path).stat(), os.fstat(sys.stdin.fileno()))
        return Path(path).samefile(other)
    except (OSError, ValueError, AttributeError):
        # A file is missing or inaccessible (opening it reports that), or standard input has no file descriptor.
        return os.path.realpath(path) == os.path.realpath(other)


def unzip(file: "BufferedReader[Any]") -> "BufferedReader[Any] | GzipFile":
    """Return ``file`` itself, or a reader of its contents if it is gzip."""
    return GzipFile(fileobj=file) if file.peek(1)[:1] == _GZIP_MAGIC else file


@contextmanager
def seekable(file: IO[bytes] | GzipFile) -> Iterator[IO[bytes]]:
    """Yield ``file`` itself if it is seekable, else a temporary copy of the rest of it, after any byte order mark.

    Raises `BadInput` for damaged gzip, and for UTF-16.
    """
    # Seeking back in gzip would unzip the file from its start again.
    if file.seekable() and not isinstance(file, GzipFile):
        _skip_mark(file, file)
        yield file
        return
    with TemporaryFile() as copy:
        _copy(file, copy)
        copy.seek(0)
        _skip_mark(copy, file)
        yield copy


def _skip_mark(file: IO[bytes], origin: object) -> None:
    """Skip a byte order mark, which editors and PowerShell put before a text. ``origin`` has the name to display."""
    start = file.tell()
    mark = file.read(len(BYTE_ORDER_MARK))
    if mark.startswith(UTF_16_MARKS):
        name = getattr(origin, "name", "the file")
        raise bad_file(f"{name} is not UTF-8 text; it looks like UTF-16", "save it as UTF-8")
    if mark != BYTE_ORDER_MARK:
        file.seek(start)


def _copy(file: IO[bytes] | GzipFile, copy: IO[bytes]) -> None:
    try:
        shutil.copyfileobj(file, copy)
    except (BadGzipFile, EOFError, zlib.error) as damage:
        message = f"cannot unzip {file.name}: {damage}"
        raise BadInput(message, hint="the file was cut off or changed: use another copy", code="bad_file") from None
