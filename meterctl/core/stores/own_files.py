"""The files of a store, which no command may overwrite with output."""

import os

from meterctl.core.stores.url import sqlite_path

#: Suffixes of the files that SQLite keeps beside its own.
BESIDE = ("-wal", "-shm", "-journal")


def files_of(url: str) -> list[str]:
    """Return the files of the embedded store at ``url``; none for a server's."""
    if not url.startswith("sqlite:"):
        return []
    path = sqlite_path(url)
    # SQLite keeps them beside the target of a symbolic link.
    return [f"{name}{end}" for name in dict.fromkeys((path, os.path.realpath(path))) for end in ("", *BESIDE)]
