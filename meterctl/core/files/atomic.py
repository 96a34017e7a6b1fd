"""Write files whole or not at all, and never over a file that is read."""

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

#: The most bytes in a first line.
_MAX_HEADER = 1024 * 1024


class Aside:
    """A text ``file`` that replaces ``path`` on `keep`, and disappears otherwise.

    It is written under a unique temporary name in the same directory, so concurrent writers cannot collide. Raises
    `OSError` if it cannot be written, and `BadInput` if ``path`` holds anything but an empty file or one whose first
    line names the schema of ``kind``.
    """

    def __init__(self, path: str | Path, kind: str | None = None) -> None:
        self._path = Path(os.path.realpath(path))  # replace the file behind a link, not the link
        there = self._path.stat() if self._path.exists() else None
        if there is not None and not S_ISREG(there.st_mode):
            raise OSError(EINVAL, "not a plain file")  # a rename would remove a device or a pipe
        if there is not None and there.st_size and kind is not None:
            _check_kind(path, kind)
        self._aside = self._path.with_name(f".{self._path.name}.{os.urandom(4).hex()}")
        self.file = self._aside.open("x", encoding="utf-8")
        self._kept = False
        if there is not None:
            os.fchmod(self.file.fileno(), S_IMODE(there.st_mode))

    def keep(self) -> None:
        """Put the file under its name."""
        with self.file:
            self.file.flush()
            os.fsync(self.file.fileno())
        self._aside.replace(self._path)
        self._kept = True

    def close(self) -> None:
        """Remove the temporary file, unless it was kept."""
        if self._kept:
            return
        with suppress(OSError):  # a full disk: the content is dropped anyway
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
        message = f"cannot write {path}: it holds something other than a {kind.replace('-', ' ')}, which would be lost"
        raise BadInput(message, hint="name another file, or move that one away first", code="bad_file")


def check_apart(option: str, path: str | Path, *read: str | None, code: str = "usage") -> None:
    """Raise `BadInput` if ``option`` would write to standard output or over a file that is ``read``."""
    if str(path) == STANDARD_INPUT:
        raise BadInput(f"{option} needs a file", hint="standard output is for the answer", code=code)
    for other in read:
        if other is not None and is_same_file(path, other):
            message = f"{option} names {other}, which this command reads and would overwrite"
            raise BadInput(message, hint="name another file", code=code)


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn an `OSError` of the block, which writes to ``path``, into `BadInput`."""
    try:
        yield
    except OSError as problem:
        message = f"cannot write {path}: {problem.strerror or problem}"
        raise BadInput(message, hint="check the path and its rights", code="bad_file") from None
