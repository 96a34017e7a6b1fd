"""Where to measure: the embedded store and MongoDB, each with ours and, beside it, the barest way to store the same.

The floor has what the design rests on and nothing else: a document, its unique ``(org, key)`` and ``(org, seq)``, and
an acknowledgement that survives a crash.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from pymongo import MongoClient, WriteConcern

from meterctl.core.domain.canonical import canonical_text
from meterctl.core.model import Entry
from meterctl.core.ports import Store
from meterctl.core.stores.url import open_store
from tests.mongod import Mongod, with_database

Document = dict[str, Any]

#: Half of what the machine has would be a server's default; benchmarks leave the rest to everything else.
CACHE_GB = 4.0


class Floor(Protocol):
    """The barest way to store documents durably."""

    def ready(self, entries: Sequence[Entry]) -> list[Any]:
        """Return the entries as this store takes them, so that making them is no part of what is measured."""
        ...

    def store(self, ready: Sequence[Any]) -> None:
        """Store them in order, at once, and wait until that is safe."""
        ...

    def clear(self) -> None: ...


class Place(Protocol):
    """One kind of store."""

    kind: str

    def url(self, name: str) -> str:
        """How the command line names the store ``name``."""
        ...

    def drop(self, name: str) -> None: ...

    def settle(self, name: str, /) -> None:
        """Have written what was left to be written before a measurement, and the store ``name`` in memory: how fast the
        disk is, is another question."""
        ...

    @property
    def floor_address(self) -> str: ...

    def server_cpu(self) -> float:
        """Seconds of processor time that the server has taken so far; 0 where there is none."""
        ...

    def floor(self) -> Floor:
        """Empty."""
        ...


def floor_at(address: str) -> Floor:
    """Return the floor of a store that a place has emptied, for another process."""
    if address.startswith("mongodb:"):
        return _MongodFloor(MongoClient(address))
    return _SqliteFloor(Path(address))


def opened(place: Place, name: str) -> Store:
    """Return the store ``name``, empty."""
    place.drop(name)
    store = open_store(place.url(name))
    store.init()
    return store


# -- sqlite


class _SqliteFloor:
    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=60)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")

    def ready(self, entries: Sequence[Entry]) -> list[Any]:
        return [(entry["org"], entry["seq"], entry["key"], canonical_text(entry)) for entry in entries]

    def store(self, ready: Sequence[Any]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT INTO raw VALUES (?, ?, ?, ?)", ready)
        self._connection.execute("COMMIT")

    def clear(self) -> None:
        self._connection.execute("DROP TABLE IF EXISTS raw")
        self._connection.execute("CREATE TABLE raw (org TEXT, seq INTEGER, key TEXT, doc TEXT, UNIQUE (org, seq))")
        self._connection.execute("CREATE UNIQUE INDEX raw_key ON raw (org, key)")


class SqlitePlace:
    kind = "sqlite"

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def url(self, name: str) -> str:
        return f"sqlite:{self.directory}/{name}.db"

    def drop(self, name: str) -> None:
        for path in self.directory.glob(f"{name}.db*"):
            path.unlink()

    def settle(self, name: str, /) -> None:
        os.sync()
        for path in self.directory.glob(f"{name}.db"):
            with path.open("rb") as file:
                while file.read(1 << 20):
                    pass

    @property
    def floor_address(self) -> str:
        return str(self.directory / "floor.db")

    def server_cpu(self) -> float:
        return 0.0

    def floor(self) -> Floor:
        floor = _SqliteFloor(Path(self.floor_address))
        floor.clear()
        return floor


# -- MongoDB


class _MongodFloor:
    def __init__(self, client: MongoClient[Document]) -> None:
        concern = WriteConcern("majority", j=True)
        self._raw = client["floor"].get_collection("raw", write_concern=concern)

    def ready(self, entries: Sequence[Entry]) -> list[Any]:
        return [{"_id": f"{entry['org']}/{entry['key']}", **entry} for entry in entries]

    def store(self, ready: Sequence[Any]) -> None:
        if len(ready) == 1:
            self._raw.insert_one(ready[0])
        else:
            self._raw.insert_many(ready, ordered=True)

    def clear(self) -> None:
        self._raw.drop()
        self._raw.create_index([("org", 1), ("seq", 1)], unique=True)


class MongodPlace:
    kind = "mongod"

    def __init__(self, server: Mongod) -> None:
        self.server = server
        self.client: MongoClient[Document] = MongoClient(server.uri)

    def url(self, name: str) -> str:
        return with_database(self.server.uri, f"bench_{name}")

    def drop(self, name: str) -> None:
        self.client.drop_database(f"bench_{name}")

    def settle(self, _: str, /) -> None:
        self.client.admin.command("fsync")  # it has what was written in a cache of its own

    @property
    def floor_address(self) -> str:
        return self.server.uri

    def server_cpu(self) -> float:
        assert self.server.process is not None
        user, system = Path(f"/proc/{self.server.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def floor(self) -> Floor:
        floor = _MongodFloor(self.client)
        floor.clear()
        return floor


@contextmanager
def places(kinds: Sequence[str]) -> Iterator[list[Place]]:
    """Yield the places of these kinds, empty; remove them in the end."""
    directory = Path(tempfile.mkdtemp(prefix="meterctl-bench-", dir=os.environ.get("METERCTL_BENCH_DIR")))
    server = Mongod(cache_gb=CACHE_GB).start() if "mongod" in kinds else None
    found: dict[str, Place] = {"sqlite": SqlitePlace(directory)}
    if server is not None:
        found["mongod"] = MongodPlace(server)
    try:
        yield [found[kind] for kind in kinds]
    finally:
        shutil.rmtree(directory)
        if server is not None:
            server.stop()
