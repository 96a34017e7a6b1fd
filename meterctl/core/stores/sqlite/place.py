"""The store's file: its rights, read-only access, and its identity."""

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from meterctl.core.errors import StoreUnusable
from meterctl.core.stores.own_files import BESIDE


def make_private(path: Path) -> None:
    """Create the file and its directory, with access for their owner only, unless they exist.

    Raises `StoreUnusable` if the directory cannot be created. An error about the file is left to SQLite, which reports
    it.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot create the directory {path.parent}: {error.strerror}"
        raise StoreUnusable(message, hint="choose another place with --store sqlite:PATH") from error
    with suppress(OSError):
        # SQLite copies these rights to the files that it creates beside it.
        os.close(os.open(os.path.realpath(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def require_no_lone_log(path: Path) -> None:
    """Raise `StoreUnusable` if the file is gone, but not the log beside it.

    The log holds acknowledged entries of that file, and SQLite deletes it as soon as it creates a new one.
    """
    log = Path(f"{os.path.realpath(path)}-wal")
    # The log first: whoever creates a store makes the file before the log.
    with suppress(OSError):
        if log.stat().st_size == 0:
            return
        if not path.exists() or path.stat().st_size == 0:
            raise StoreUnusable(
                f"{log} holds entries of {path}, which was moved or removed",
                hint="put the file back beside its log; if it is lost, keep a copy of the log, and move it away",
                code="store_moved",
            )


def way_to_read(path: Path) -> str | None:
    """Return SQLite's URI parameter to open a file that this user may only read; None if the file is writable.

    SQLite reads a log by means of another file beside it, which this user cannot create. Without a log the file is
    opened as immutable, and `Standing` detects changes.
    """
    real = Path(os.path.realpath(path))
    # Open an inaccessible file normally: SQLite reports the reason.
    if not os.path.exists(real) or (os.access(real, os.W_OK) and os.access(real.parent, os.W_OK)):  # noqa: PTH110
        return None
    return "mode=ro" if _has_log(real) else "mode=ro&immutable=1"


def _has_log(real: Path) -> bool:
    return any(Path(f"{real}{end}").exists() for end in BESIDE)


class Standing(NamedTuple):
    """The identity of a file and its last change, at one moment."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    has_log: bool


def identity_of(path: Path) -> tuple[int, int] | None:
    """Return device and inode of the file; None if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def standing_of(path: Path) -> Standing | None:
    """Return the present identity and state of the file; None if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return Standing(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, _has_log(Path(os.path.realpath(path)))
    )
