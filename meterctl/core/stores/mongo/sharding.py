"""Shard the collections of a sharded cluster by the keys that keep every unique rule, and check these keys.

No write crosses shards, because all entries of an org are on one. Each shard keeps only its own ``_id`` and unique
indexes. Under another key, an org's entries could lie on two shards, and one key could be booked twice.
"""

from collections.abc import Mapping
from typing import Any

from pymongo import IndexModel
from pymongo.errors import OperationFailure

from meterctl.core.errors import StoreUnusable
from meterctl.core.stores.mongo import schema
from meterctl.core.stores.mongo.database import Document, MongoDatabase
from meterctl.core.stores.mongo.failures import is_denied

#: The key of each collection to shard. The journal's unique index `(org, seq)` begins with its key, as MongoDB demands.
SHARD_KEYS: Mapping[str, Document] = {
    schema.JOURNAL: {"org": 1},
    schema.HEADS: {"_id": 1},
    schema.CLAIMS: {"_id": "hashed"},
}

#: Small collections, not sharded by `init`. A key of ``_id`` alone does them no harm.
_SMALL = (schema.PLANS, schema.LOCKS)
_BY_ID: tuple[Document, ...] = ({"_id": 1}, {"_id": "hashed"})

_CLUSTER_ROLE = "run meterctl doctor as a user with the role clusterMonitor"


def is_sharded(hello: Mapping[str, Any]) -> bool:
    """Return True if the answer to ``hello`` comes from mongos, the router of a sharded cluster."""
    return hello.get("msg") == "isdbgrid"


def shard(database: MongoDatabase) -> list[str]:
    """Shard the collections of a cluster that are not yet; return a line for each, none without a cluster.

    Needs the indexes. A user who may not shard gets the command for one who may: the store works unsharded too. Raises
    `StoreUnusable` if a collection is sharded by a harmful key.
    """
    if not is_sharded(database.client.admin.command("hello")):
        return []
    try:
        live = _live_keys(database)
    except OperationFailure as error:
        if not is_denied(error):
            raise
        live = {}  # `shardCollection` answers the same for a collection that has this key already
    _refuse_harmful(database, live)
    return [
        f"{database.prefix}{name}: shard key {_shown(live[name])} found"
        if name in live
        else _shard_one(database, database.prefix + name, key)
        for name, key in SHARD_KEYS.items()
    ]


def check_keys(database: MongoDatabase) -> tuple[bool | None, str, str | None]:
    """Compare the live shard keys with the expected ones; return verdict, state and next step."""
    try:
        live = _live_keys(database)
    except OperationFailure as error:
        if not is_denied(error):
            raise
        return None, "cannot be checked: this user may not read config.collections", _CLUSTER_ROLE
    harmful = _harmful(database, live)
    if harmful:
        return False, "; ".join(harmful), _way_back(database)
    missing = [database.prefix + name for name in SHARD_KEYS if name not in live]
    if missing:
        fix = "to spread them over the shards: meterctl init, as a user with the role clusterManager"
        return None, f"not sharded, so all on one shard: {', '.join(missing)}", fix
    return True, ", ".join(f"{database.prefix}{name} by {_shown(live[name])}" for name in SHARD_KEYS), None


def _live_keys(database: MongoDatabase) -> dict[str, Document]:
    """Return the shard key of each of our collections that is sharded."""
    names = {f"{database.name}.{database.prefix}{name}": name for name in (*SHARD_KEYS, *_SMALL)}
    known = database.client.get_database("config").get_collection("collections").find({"_id": {"$in": list(names)}})
    # MongoDB 4.4 keeps a dropped collection here; 8.0 adds unsharded ones, as "unsplittable" with a key of `_id`.
    sharded = (one for one in known if not one.get("dropped") and not one.get("unsplittable"))
    return {names[one["_id"]]: {field: _plain(value) for field, value in one["key"].items()} for one in sharded}


def _plain(direction: Any) -> Any:
    # A shell writes 1.0 for 1.
    return direction if isinstance(direction, str) else int(direction)


def _harmful(database: MongoDatabase, live: Mapping[str, Document]) -> list[str]:
    """Return a text for each collection under a key that lets something be stored twice."""
    return [
        f"{database.prefix}{name} is sharded by {_shown(key)}, not {_shown(_safe_keys(name)[0])}"
        for name, key in live.items()
        if key not in _safe_keys(name)
    ]


def _safe_keys(name: str) -> tuple[Document, ...]:
    return (SHARD_KEYS[name],) if name == schema.JOURNAL else _BY_ID


def _refuse_harmful(database: MongoDatabase, live: Mapping[str, Document]) -> None:
    harmful = _harmful(database, live)
    if harmful:
        raise StoreUnusable(
            f"{database.place}: {'; '.join(harmful)}: one key could be booked twice",
            code="wrong_shard_key",
            hint=_way_back(database),
        )


def _way_back(database: MongoDatabase) -> str:
    name = f"{database.name}.{database.prefix}{schema.JOURNAL}"
    command = f'sh.reshardCollection("{name}", {_shown(SHARD_KEYS[schema.JOURNAL])})'
    return f"stop all writers; give each its key, for the journal (MongoDB 5.0): {command}; then: meterctl verify --all"


def _shard_one(database: MongoDatabase, collection: str, key: Document) -> str:
    command = {"shardCollection": f"{database.name}.{collection}", "key": key}
    try:
        if "hashed" in key.values():
            # A collection with documents needs the index of its key first.
            database.client[database.name][collection].create_indexes([IndexModel(list(key.items()))])
        database.client.admin.command({"enableSharding": database.name})  # MongoDB before 6.0 needs it
        database.client.admin.command(command)
    except OperationFailure as error:
        if not is_denied(error):
            raise
        return (
            f"{collection}: not sharded, because this user may not; as a user with the role clusterManager: "
            f"sh.enableSharding({database.name!r}); sh.shardCollection({command['shardCollection']!r}, {_shown(key)})"
        )
    return f"{collection}: shard key {_shown(key)} made"


def _shown(key: Mapping[str, Any]) -> str:
    """Return a key as MongoDB's shell writes it."""
    values = (f'{field}: "{value}"' if isinstance(value, str) else f"{field}: {value}" for field, value in key.items())
    return "{" + ", ".join(values) + "}"
