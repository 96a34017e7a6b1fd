"""Files to be read, whatever they are: plain ones, and pipes."""

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from io import BufferedReader
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from meterctl.core.errors import BadInput


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


def seekable(file: IO[bytes]) -> AbstractContextManager[IO[bytes]]:
    """``file`` itself if it can be sought in, else (a pipe) a copy of what is left of it."""
    if file.seekable():
        return nullcontext(file)
    copy = TemporaryFile()  # noqa: SIM115 - it is closed by whoever enters what is returned
    shutil.copyfileobj(file, copy)
    copy.seek(0)
    return copy
