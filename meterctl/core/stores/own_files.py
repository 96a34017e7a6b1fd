"""The files that a store is kept in: nothing else is ever written over them."""

import os

#: The ends of the names of the files that SQLite keeps beside its own.
BESIDE = ("-wal", "-shm", "-journal")


def files_of(url: str) -> list[str]:
    """Return the files that the embedded store ``url`` names is kept in; none for a server's."""
    if not url.startswith("sqlite:"):
        return []
    path = url.removeprefix("sqlite:")
    # SQLite keeps them beside the file that a link leads to.
    return [f"{name}{end}" for name in dict.fromkeys((path, os.path.realpath(path))) for end in ("", *BESIDE)]
