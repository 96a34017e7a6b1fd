"""Keep a file to one process at a time, while it is read and replaced."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from meterctl.core.errors import LOCK_HELD, BadInput, MeterctlError
from meterctl.core.files.atomic import writing

#: How long another process is waited for, in seconds, and how often it is looked again.
LONGEST_WAIT, PAUSE = 600.0, 0.05


@contextmanager
def locked(path: str | Path, sleep: Callable[[float], None]) -> Iterator[None]:
    """Hold the file at ``path``, made if there is none, while the block runs; another process waits for it.

    The lock is on the file itself. Whoever holds it may put another file in its place: one that waited looks again
    which file stands there. Raises `MeterctlError` (`file_locked`) where the wait takes too long.
    """
    path = Path(os.path.realpath(path))
    for _ in range(round(LONGEST_WAIT / PAUSE)):
        with writing(path):
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if _is_taken(file, path):
                yield
                return
        finally:
            os.close(file)
        sleep(PAUSE)
    error = MeterctlError(
        f"{path} is used by another run, and was not free within {LONGEST_WAIT:.0f} seconds",
        hint="run it again when the other one has ended",
        code="file_locked",
    )
    error.exit_code = LOCK_HELD
    raise error


def _is_taken(file: int, path: Path) -> bool:
    """Take the lock; False if another process holds it, or has replaced the file meanwhile."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError as problem:
        message = f"cannot lock {path}: {problem.strerror}"
        raise BadInput(message, hint="keep the file on a local disk", code="bad_file") from None
