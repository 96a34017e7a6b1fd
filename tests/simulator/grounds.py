"""The stores that a simulation can run on, each with its calls behind a gate."""

import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

from meterctl.core.errors import StoreUnreachable
from meterctl.core.ports import Store
from tests.memory_store import MemoryJournal, MemoryStore
from tests.simulator.faults import Gate, Gated

KINDS = ("memory", "sqlite", "mongomock", "mongod")

REPOSITORIES = ("journal", "heads", "claims", "plans", "locks")
STREAMS = {"journal": {"read", "alerts", "orgs"}, "heads": {"read"}, "claims": {"read"}}


class Ground(NamedTuple):
    """A store as it is, and how a process opens it: with every call through a gate. ``height`` tells the seq of an
    org's newest entry."""

    store: Store
    open: Callable[[Gate], Store]
    height: Callable[[str], int]
    lose_head: Callable[[str], object]
    unreachable: Callable[[str], Exception]
    unheard: tuple[type[Exception], ...] = ()


@contextmanager
def ground(kind: str) -> Iterator[Ground]:
    """An empty store of this kind."""
    with {"memory": _memory, "sqlite": _sqlite, "mongomock": _mongomock, "mongod": _mongod}[kind]() as made:
        yield made


def gated_ports(store: Store, gate: Gate) -> Store:
    """The store with a gate at its ports."""
    gated = {name: Gated(gate, name, getattr(store, name), frozenset(STREAMS.get(name, ()))) for name in REPOSITORIES}
    # No two writes are one step here, whatever the store can: a crash may come between any of them.
    return cast(Store, SimpleNamespace(**gated, together=nullcontext, describe=store.describe, damage=store.damage))


# In memory


def _height(store: Store, org: str) -> int:
    tip = store.journal.tip(org)
    return 0 if tip is None else tip["seq"]


class _HintedJournal(MemoryJournal):
    """Looks for many tips where the heads point, as the adapter for MongoDB does: they may be behind, or gone."""

    def __init__(self, heads: Any) -> None:
        super().__init__()
        self._heads = heads

    def tips(self, orgs: Any) -> dict[str, Any]:
        wanted = list(orgs)
        hinted = {org: self.by_seq(org, head.seq) for org, head in self._heads.get(wanted).items()}
        return {org: entry for org in wanted if (entry := hinted.get(org) or self.tip(org)) is not None}


@contextmanager
def _memory() -> Iterator[Ground]:
    store = MemoryStore()
    store.journal = _HintedJournal(store.heads)
    entries, heads = store.journal._texts, store.heads._heads
    yield Ground(
        store,
        lambda gate: gated_ports(store, gate),
        lambda org: len(entries.get(org, ())),
        lambda org: heads.pop(org, None),
        StoreUnreachable,
    )


# On SQLite


@contextmanager
def _sqlite() -> Iterator[Ground]:
    from meterctl.core.stores.sqlite import SqliteStore

    with tempfile.TemporaryDirectory(prefix="meterctl-simulator-") as directory:
        store = SqliteStore(f"{directory}/meterctl.db")

        def lose_head(org: str) -> None:
            with store._database.writing() as connection:
                connection.execute("DELETE FROM heads WHERE org = ?", (org,))

        yield Ground(store, lambda gate: gated_ports(store, gate), partial(_height, store), lose_head, StoreUnreachable)
        store.close()


# On MongoDB: the gate is below the adapter, at the driver's collections, so that a process may die between two calls
# of the adapter itself.


class _GatedClient:
    """A driver's client whose collections are gated."""

    def __init__(self, client: Any, gate: Gate) -> None:
        self._client = client
        self._gate = gate

    def __getitem__(self, name: str) -> "_GatedDatabase":
        return _GatedDatabase(self._client[name], self._gate)

    def close(self) -> None:
        """The client is shared."""


class _GatedDatabase:
    def __init__(self, database: Any, gate: Gate) -> None:
        self._database = database
        self._gate = gate

    def get_collection(self, name: str, **options: Any) -> Gated:
        return Gated(self._gate, name, self._database.get_collection(name, **options))

    def command(self, *arguments: Any, **options: Any) -> Any:
        return self._database.command(*arguments, **options)


def _on_mongo(client: Any, name: str) -> Ground:
    from pymongo.errors import NetworkTimeout, PyMongoError

    from meterctl.core.stores.mongo import MongoStore

    store = MongoStore(client, name)
    store.init()
    heads = client[name].get_collection("heads")
    return Ground(
        store,
        lambda gate: MongoStore(cast(Any, _GatedClient(client, gate)), name),
        partial(_height, store),
        lambda org: heads.delete_one({"_id": org}),
        NetworkTimeout,
        (PyMongoError,),
    )


@contextmanager
def _mongomock() -> Iterator[Ground]:
    from tests.mongomock_client import MockClient

    yield _on_mongo(MockClient(), "credits")


@contextmanager
def _mongod() -> Iterator[Ground]:
    from pymongo import MongoClient

    from tests.mongod import require_mongod

    name = f"simulator_{uuid.uuid4().hex[:12]}"
    with MongoClient[dict[str, Any]](require_mongod()) as client:
        try:
            yield _on_mongo(client, name)
        finally:
            client.drop_database(name)
