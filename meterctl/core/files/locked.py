"""Let one process at a time read and replace a file."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from meterctl.core.errors import LOCK_HELD, BadInput, MeterctlError
from meterctl.core.files.atomic import writing

#: Seconds to wait for another process, and between two attempts.
LONGEST_WAIT, PAUSE = 600.0, 0.05


@contextmanager
def locked(path: str | Path, sleep: Callable[[float], None]) -> Iterator[None]:
    """Hold a lock on the file at ``path`` while the block runs; create the file if it is missing.

    The lock is on the file itself, and its holder may replace the file. So each attempt opens the path again. Raises
    `MeterctlError` (`file_locked`) after `LONGEST_WAIT` seconds.
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
        f"{path} is still in use by another run after {LONGEST_WAIT:.0f} seconds",
        hint="run the command again when the other run has ended",
        code="file_locked",
    )
    error.exit_code = LOCK_HELD
    raise error


def _is_taken(file: int, path: Path) -> bool:
    """Take the lock; return False if another process holds it or has replaced the file."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError as problem:
        message = f"cannot lock {path}: {problem.strerror}"
        raise BadInput(message, hint="keep the file on a local disk", code="bad_file") from None
