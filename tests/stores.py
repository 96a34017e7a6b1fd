"""Every kind of store, for tests that must hold on each of them."""

import functools
import hashlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from meterctl.core.ports import Store

#: Opens one more connection to a test's own store.
Connect = Callable[[], Store]

KINDS = ("mongomock", "sqlite", "mongod")

#: mongomock knows no schema validators, so nothing in it refuses an entry.
KINDS_THAT_VALIDATE = ("sqlite", "mongod")

#: A server may outlive a test run, and the next run uses the same temporary paths again.
_RUN = uuid.uuid4().hex[:8]


def make_store(kind: str, tmp_path: Path) -> Store:
    """A store of this kind, named after ``tmp_path``: the same path gives another connection to the same data."""
    if kind == "sqlite":
        from meterctl.core.stores.sqlite import SqliteStore

        return SqliteStore(str(tmp_path / "store" / "meterctl.db"))
    from meterctl.core.stores.mongo import MongoStore

    return MongoStore(_client(kind), _database_name(tmp_path))


def drop_store(kind: str, tmp_path: Path) -> None:
    """Remove what `make_store` keeps outside of ``tmp_path``."""
    if kind != "sqlite":
        with _client(kind) as client:
            client.drop_database(_database_name(tmp_path))


def _client(kind: str) -> Any:
    """A client of its own for each caller, who closes it."""
    if kind == "mongomock":
        from tests.mongomock_client import MockClient

        return MockClient(_mock_server())
    from pymongo import MongoClient

    from tests.mongod import require_mongod

    return MongoClient(require_mongod())


@functools.cache
def _mock_server() -> Any:
    from mongomock.store import ServerStore

    return ServerStore()  # type: ignore[no-untyped-call]


def _database_name(tmp_path: Path) -> str:
    return f"test_{_RUN}_{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:16]}"


@contextmanager
def made_store(kind: str, tmp_path: Path) -> Iterator[Store]:
    """Make a store of this kind; remove it in the end."""
    store = make_store(kind, tmp_path)
    store.init()
    yield store
    store.close()
    drop_store(kind, tmp_path)
