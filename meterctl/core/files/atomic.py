"""Write files safely: never over an input file, and complete or not at all."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EINVAL
from pathlib import Path
from stat import S_IMODE, S_ISCHR, S_ISREG
from typing import Self

from meterctl.core.errors import BadInput
from meterctl.core.files.sources import STANDARD_STREAM, is_same_file, open_file
from meterctl.core.results import schema_name

#: First bytes of SQLite files: databases, logs of either byte order, rollback journals.
_SQLITE = (b"SQLite format 3\0", b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83", b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7")

#: The first bytes of the file that an option writes, where no schema stands in its first line. A file that begins
#: otherwise was written by somebody else.
_FIRST_BYTES = {"--results": b'{"line":', "--rejects": b"{", "--metrics-file": b"# HELP meterctl_"}

#: Longest first line, in bytes.
_MAX_HEADER = 1024 * 1024


def private(path: str | Path, flags: int) -> int:
    """Open a file; a new one is readable by its owner only. Serves as the ``opener`` of `open`."""
    return os.open(path, flags, 0o600)


class Aside:
    """A text ``file`` that replaces ``path`` on `keep`, and is deleted on `close` otherwise.

    Until then it has a unique temporary name in the same directory, so that concurrent writers cannot collide. Raises
    `OSError` if it cannot be written. With a ``kind``, raises `BadInput` if ``path`` is neither empty nor a file whose
    first line names that schema.
    """

    def __init__(self, path: str | Path, kind: str | None = None, *, shared: bool = False) -> None:
        """``shared``: other users may read a new file as far as the umask lets them, else only its owner."""
        self._path = Path(os.path.realpath(path))  # replace the target of a link, not the link
        status = self._path.stat() if self._path.exists() else None
        if status is not None and not S_ISREG(status.st_mode):
            raise OSError(EINVAL, "it is not a regular file")  # renaming would remove a device or a pipe
        if status is not None and status.st_size and kind is not None:
            _check_kind(path, kind)
        self._aside = self._path.with_name(f".{self._path.name}.{os.urandom(4).hex()}")
        opener = None if shared else private
        self.file = open(self._aside, "x", encoding="utf-8", opener=opener)  # noqa: SIM115 - `close` does
        self._in_place = False
        if status is not None:
            os.fchmod(self.file.fileno(), S_IMODE(status.st_mode))

    def keep(self) -> None:
        """Move the file to its final path."""
        with self.file:
            self.file.flush()
            os.fsync(self.file.fileno())
        self._aside.replace(self._path)
        self._in_place = True

    def close(self) -> None:
        """Delete the file, unless `keep` has moved it."""
        if self._in_place:
            return
        with suppress(OSError):  # a full disk: the unwritten rest is not needed
            self.file.close()
        self._aside.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check_kind(path: str | Path, kind: str) -> None:
    with open_file(str(path)) as file:
        line = file.readline(_MAX_HEADER)
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("schema") != schema_name(kind):
        message = f"cannot write {path}: it exists, is not a {kind.replace('-', ' ')}, and would be overwritten"
        raise BadInput(message, hint="name another file, or move this one away", code="bad_file")


def check_apart(option: str, path: str | Path, *inputs: str | None, code: str = "usage") -> None:
    """Check that ``option`` may write to ``path``. Raises `BadInput` otherwise.

    It must be a file, not an input (``inputs``), not part of an SQLite database, and not another program's.
    """
    if str(path) == STANDARD_STREAM or _is_standard_output(path):
        raise BadInput(f"{option} needs a file name", hint="standard output carries the command's result", code=code)
    for other in inputs:
        if other is not None and is_same_file(path, other):
            message = f"{option} would overwrite {other}, which this command reads"
            raise BadInput(message, hint="name another file", code=code)
    if _is_of_database(path):
        message = f"{option} would overwrite {path}, which is a database or its log"
        raise BadInput(message, hint="name another file", code=code)
    start = _FIRST_BYTES.get(option, b"")
    if not start.startswith(_first_bytes(path, len(start))):
        message = f"{option} would overwrite {path}, which was not written by this option"
        raise BadInput(message, hint="name another file, or move this one away", code=code)


def _is_of_database(path: str | Path) -> bool:
    """Return True if the file is an SQLite database, its log, or its rollback journal."""
    return _first_bytes(path, 16).startswith(_SQLITE)


def _first_bytes(path: str | Path, count: int) -> bytes:
    """Return the first bytes of a regular file; none if there is no such file."""
    try:
        if not Path(path).is_file():
            return b""
        with Path(path).open("rb") as file:
            return file.read(count)
    except (OSError, ValueError):
        return b""  # opening it reports the error


def _is_standard_output(path: str | Path) -> bool:
    """Return True if the pipe or file at ``path``, such as /dev/stdout, is standard output. It carries the result."""
    try:
        status = Path(path).stat()
        return not S_ISCHR(status.st_mode) and os.path.samestat(status, os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):
        return False  # there is no such file, or standard output has no file descriptor


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn an `OSError` in the block, which writes to ``path``, into `BadInput`."""
    try:
        yield
    except OSError as problem:
        message = f"cannot write {path}: {problem.strerror or problem}"
        raise BadInput(message, hint="check the path and its permissions", code="bad_file") from None
