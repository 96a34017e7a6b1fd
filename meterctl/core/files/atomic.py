"""Files to be written: apart from what is read, and standing under their name whole or not at all."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EINVAL
from pathlib import Path
from stat import S_IMODE, S_ISREG
from typing import Self

from meterctl.core.errors import BadInput
from meterctl.core.files.sources import STANDARD_INPUT, is_same_file, opened
from meterctl.core.results import schema_name

#: How SQLite's files begin: databases, logs of either byte order, rollback journals.
_SQLITE = (b"SQLite format 3\0", b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83", b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7")

#: Bytes that a first line may have.
_MAX_HEADER = 1024 * 1024


def private(path: str | Path, flags: int) -> int:
    """Open a file; one that is made by it is for nobody but its owner. An ``opener`` of `open`."""
    return os.open(path, flags, 0o600)


class Aside:
    """A text ``file`` that takes its place at ``path`` when it is told to: `keep`. Without that nothing is left of it.

    Until then it has a name of its own in the same directory, so that two who write the same file do not meet, and
    nothing else there is touched. Raises `OSError` where it cannot be written, and `BadInput` where it would replace
    anything but a file whose first line names the schema of ``kind``, or an empty one.
    """

    def __init__(self, path: str | Path, kind: str | None = None) -> None:
        self._path = Path(os.path.realpath(path))  # of a link, what it leads to is replaced
        there = self._path.stat() if self._path.exists() else None
        if there is not None and not S_ISREG(there.st_mode):
            raise OSError(EINVAL, "what is there is no plain file")  # renaming would do away with a device or a pipe
        if there is not None and there.st_size and kind is not None:
            _check_kind(path, kind)
        self._aside = self._path.with_name(f".{self._path.name}.{os.urandom(4).hex()}")
        self.file = open(self._aside, "x", encoding="utf-8", opener=private)  # noqa: SIM115 - `close` does
        self._kept = False
        if there is not None:
            os.fchmod(self.file.fileno(), S_IMODE(there.st_mode))

    def keep(self) -> None:
        """Put it under its name."""
        with self.file:
            self.file.flush()
            os.fsync(self.file.fileno())
        self._aside.replace(self._path)
        self._kept = True

    def close(self) -> None:
        """Leave nothing behind, unless it was kept."""
        if self._kept:
            return
        with suppress(OSError):  # a full disk: what could not be written is not wanted any more
            self.file.close()
        self._aside.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check_kind(path: str | Path, kind: str) -> None:
    with opened(str(path)) as file:
        line = file.readline(_MAX_HEADER)
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("schema") != schema_name(kind):
        message = f"cannot write {path}: what is there is no {kind.replace('-', ' ')}, and would be lost"
        raise BadInput(message, hint="name another file, or move that one away first", code="bad_file")


def check_apart(option: str, path: str | Path, *read: str | None, code: str = "usage") -> None:
    """Before anything is done: what ``option`` has written to ``path`` goes to a file, and to none that is ``read``,
    nor to a part of any SQLite database. Raises `BadInput` otherwise."""
    if str(path) == STANDARD_INPUT:
        raise BadInput(f"{option} needs a file", hint="standard output is for the answer", code=code)
    for other in read:
        if other is not None and is_same_file(path, other):
            message = f"{option} names {other}, which is read, and would be lost"
            raise BadInput(message, hint="name another file", code=code)
    if _is_of_database(path):
        message = f"{option} names {path}, which is a database or its log, and would be lost"
        raise BadInput(message, hint="name another file", code=code)


def _is_of_database(path: str | Path) -> bool:
    """Return True if the file begins like one of SQLite's: a database, its log, or its rollback journal."""
    try:
        if not Path(path).is_file():
            return False
        with Path(path).open("rb") as file:
            return file.read(16).startswith(_SQLITE)
    except (OSError, ValueError):
        return False  # whoever opens it says so


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """A block that writes to ``path``. Raises `BadInput` where that cannot be done."""
    try:
        yield
    except OSError as problem:
        message = f"cannot write {path}: {problem.strerror or problem}"
        raise BadInput(message, hint="check the path and its rights", code="bad_file") from None
