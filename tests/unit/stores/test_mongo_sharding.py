"""Sharding and its check, against the answers that mongos gives.

No cluster was at hand: `Router` stands where the driver's commands end. Its answers have the form that MongoDB's
manual and source give for `hello`, `shardCollection` and `config.collections`, of 4.4 to 8.0.
"""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pymongo import IndexModel
from pymongo.errors import OperationFailure

from meterctl.core.errors import StoreUnusable
from meterctl.core.stores.mongo.database import MongoDatabase
from meterctl.core.stores.mongo.sharding import SHARD_KEYS, check_keys, is_sharded, shard

MONGOS = {"isWritablePrimary": True, "msg": "isdbgrid", "maxWireVersion": 17, "ok": 1.0}
MEMBER = {"isWritablePrimary": True, "setName": "rs0", "hosts": ["a:1"], "ok": 1.0}
DENIED = OperationFailure("not authorized on admin to execute command { shardCollection: 1 }", 13)


class Router:
    """What sharding asks of a mongos, which keeps what it is told."""

    name = "credits"
    place = "mongodb://router/credits"

    def __init__(self) -> None:
        self.prefix = ""
        self.hello: dict[str, Any] = MONGOS
        self.denied: set[str] = set()
        self.fails: dict[str, Exception] = {}
        self.catalog: list[dict[str, Any]] = []
        self.commands: list[dict[str, Any]] = []
        self.indexes: list[tuple[str, dict[str, Any]]] = []
        self.admin = SimpleNamespace(command=self._command)

    @property
    def client(self) -> Any:
        return self

    def __getitem__(self, database: str) -> Any:
        assert database == self.name
        return {name: SimpleNamespace(create_indexes=partial(self._index, name)) for name in _names(self)}

    def get_database(self, name: str) -> Any:
        assert name == "config"
        return SimpleNamespace(get_collection=self._config)

    def add(self, collection: str, key: dict[str, Any], **fields: Any) -> None:
        self.catalog.append(
            {"_id": f"{self.name}.{collection}", "key": key, "unique": False, "noBalance": False, **fields}
        )

    def _config(self, name: str) -> Any:
        assert name == "collections"
        return SimpleNamespace(find=self._find)

    def _find(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        self._check("find")
        return [one for one in self.catalog if one["_id"] in query["_id"]["$in"]]

    def _index(self, collection: str, models: list[IndexModel]) -> None:
        self.indexes += [(collection, dict(model.document["key"])) for model in models]

    def _check(self, command: str) -> None:
        if command in self.denied:
            raise DENIED
        if command in self.fails:
            raise self.fails[command]

    def _command(self, command: Any) -> dict[str, Any]:
        if command == "hello":
            return self.hello
        self._check(next(iter(command)))
        self.commands.append(command)
        if "shardCollection" in command:
            self.add(command["shardCollection"].partition(".")[2], command["key"])
            return {"collectionsharded": command["shardCollection"], "ok": 1.0}
        return {"ok": 1.0}


@pytest.fixture
def router() -> Router:
    return Router()


def _names(router: Router) -> list[str]:
    return [router.prefix + name for name in ("journal", "heads", "claims", "plans", "locks")]


def shard_on(router: Router) -> list[str]:
    return shard(cast(MongoDatabase, router))


def check_on(router: Router) -> tuple[bool | None, str, str | None]:
    return check_keys(cast(MongoDatabase, router))


def test_the_collections_are_sharded_by_the_keys_of_the_page(router: Router) -> None:
    assert shard_on(router) == [
        "journal: shard key {org: 1} made",
        "heads: shard key {_id: 1} made",
        'claims: shard key {_id: "hashed"} made',
    ]
    sharded = {one["shardCollection"]: one["key"] for one in router.commands if "shardCollection" in one}
    assert sharded == {
        "credits.journal": {"org": 1},
        "credits.heads": {"_id": 1},
        "credits.claims": {"_id": "hashed"},
    }
    assert router.commands[0] == {"enableSharding": "credits"}
    assert router.indexes == [("claims", {"_id": "hashed"})]
    assert check_on(router) == (True, 'journal by {org: 1}, heads by {_id: 1}, claims by {_id: "hashed"}', None)


def test_doing_it_again_changes_nothing(router: Router) -> None:
    shard_on(router)
    before = list(router.commands)
    assert all(line.endswith(" found") for line in shard_on(router))
    assert router.commands == before


def test_a_collection_sharded_by_hand_is_left_as_it_is(router: Router) -> None:
    router.add("journal", {"org": 1.0})
    router.add("heads", {"_id": "hashed"})
    assert [line.rpartition(" ")[2] for line in shard_on(router)] == ["found", "found", "made"]
    assert check_on(router)[0] is True


def test_a_prefix_is_part_of_the_names(router: Router) -> None:
    router.prefix = "mc_"
    router.add("journal", {"_id": 1})  # another application's
    assert shard_on(router)[0] == "mc_journal: shard key {org: 1} made"
    assert check_on(router)[0] is True


def test_without_a_cluster_nothing_is_sharded(router: Router) -> None:
    router.hello = MEMBER
    assert shard_on(router) == []
    assert router.commands == []
    assert not is_sharded(MEMBER)


@pytest.mark.parametrize(
    ("collection", "key"),
    [
        ("journal", {"org": 1, "seq": 1}),
        ("journal", {"org": "hashed"}),
        ("journal", {"_id": 1}),
        ("journal", {"_id": "hashed"}),
        ("heads", {"head.next_due": 1}),
        ("claims", {"org": 1}),
        ("plans", {"plan": 1}),
        ("locks", {"_id": 1, "holder": 1}),
    ],
)
def test_a_key_that_lets_something_be_stored_twice_is_refused(
    router: Router, collection: str, key: dict[str, Any]
) -> None:
    router.add(collection, key)
    with pytest.raises(StoreUnusable, match=f"{collection} is sharded by") as caught:
        shard_on(router)
    assert caught.value.code == "wrong_shard_key"
    assert router.commands == []
    ok, found, fix = check_on(router)
    assert (ok, found.startswith(f"{collection} is sharded by {{")) == (False, True)
    assert fix is not None
    assert "reshardCollection" in fix


@pytest.mark.parametrize(
    "note",
    [{"unsplittable": True}, {"dropped": True}],
    ids=["kept by 8.0 for a collection that is not sharded", "kept by 4.4 for one that is gone"],
)
def test_an_entry_of_no_sharded_collection_does_not_count(router: Router, note: dict[str, Any]) -> None:
    router.add("journal", {"_id": 1}, **note)
    ok, found, fix = check_on(router)
    assert (ok, found) == (None, "not sharded, so all on one shard: journal, heads, claims")
    assert fix is not None
    assert "meterctl init" in fix


def test_one_that_is_missing_is_named(router: Router) -> None:
    shard_on(router)
    del router.catalog[1]
    assert check_on(router)[:2] == (None, "not sharded, so all on one shard: heads")


def test_a_user_who_may_not_shard_gets_the_command(router: Router) -> None:
    router.denied = {"find", "enableSharding", "shardCollection"}
    lines = shard_on(router)
    assert len(lines) == len(SHARD_KEYS)
    assert lines[0].endswith("sh.enableSharding('credits'); sh.shardCollection('credits.journal', {org: 1})")
    assert check_on(router)[:2] == (None, "cannot be checked: this user may not read config.collections")


@pytest.mark.parametrize(("command", "use"), [("find", shard_on), ("find", check_on), ("shardCollection", shard_on)])
def test_other_failures_are_passed_on(router: Router, command: str, use: Callable[[Router], object]) -> None:
    router.fails = {command: OperationFailure("ns not found", 26)}
    with pytest.raises(OperationFailure):
        use(router)
