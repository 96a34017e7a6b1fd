"""The file that a store is: its owner's alone, opened for reading where that is all one may, and still in its place."""

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from meterctl.core.stores.own_files import BESIDE


def make_private(path: Path) -> None:
    """Make the file and its directory, for nobody but their owner, unless they are there. Raises `OSError` where the
    directory cannot be made; a file that cannot be made is left to SQLite, which says why."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(OSError):
        # Files that SQLite makes beside it get the same rights.
        os.close(os.open(os.path.realpath(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def way_to_read(path: Path) -> str | None:
    """Return how to open a file that this user may only read, as a parameter of SQLite's; None if he may write to it.

    SQLite reads a log through another file beside it, which nobody may make here. Without a log there is nothing to
    look for: then the file is read as if nothing ever changed it, and `Standing` tells whether that held.
    """
    real = Path(os.path.realpath(path))
    # One that may not even be looked at is opened like any other: SQLite says why it cannot be.
    if not os.path.exists(real) or (os.access(real, os.W_OK) and os.access(real.parent, os.W_OK)):  # noqa: PTH110
        return None
    return "mode=ro" if _has_log(real) else "mode=ro&immutable=1"


def _has_log(real: Path) -> bool:
    return any(Path(f"{real}{end}").exists() for end in BESIDE)


class Standing(NamedTuple):
    """A file under its name, at one moment: which one it is, and how it was last written."""

    device: int
    inode: int
    size: int
    changed: int
    has_log: bool

    def is_same_file(self, other: "Standing | None") -> bool:
        return other is not None and (self.device, self.inode) == (other.device, other.inode)


def standing_of(path: Path) -> Standing | None:
    """Return how the file stands now; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return Standing(
        found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, _has_log(Path(os.path.realpath(path)))
    )
