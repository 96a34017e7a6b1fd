"""What is found of a MongoDB deployment, whatever it is: servers of other versions and shapes than the one at hand."""

from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from meterctl.core.ports import Observation
from meterctl.core.stores.mongo import expected_validator, schema
from meterctl.core.stores.mongo.database import MongoDatabase
from meterctl.core.stores.mongo.examine import examine
from tests.desk import NOON, HandClock

SAFE = {"w": "majority", "j": True}
HOUR_AGO = datetime(2026, 11, 16, 11, tzinfo=UTC)

HELLO: dict[str, Any] = {
    "setName": "rs0",
    "hosts": ["a:1", "b:1", "c:1"],
    "primary": "a:1",
    "localTime": datetime(2026, 11, 16, 12),  # noqa: DTZ001 - the driver gives UTC without saying so
    "lastWrite": {"lastWriteDate": HOUR_AGO, "majorityWriteDate": HOUR_AGO},
}


def live(indexes: Any) -> dict[str, Any]:
    """Indexes as the server tells of them."""
    return {
        index.name: {"key": list(index.keys), "unique": index.unique}
        | ({} if index.partial is None else {"partialFilterExpression": index.partial})
        for index in indexes
    }


class Deployment:
    """What `examine` asks of a database, with everything as it should be but for what a test changes."""

    name = "credits"
    prefix = ""

    def __init__(self) -> None:
        self.catalog: list[dict[str, Any]] = []
        self.hello = dict(HELLO)
        self.version = [6, 0, 5, 0]
        self.concern = dict(SAFE)
        self.options: dict[str, Any] = {"validator": expected_validator()}
        self.users: list[str] = ["clerk"]
        self.actions = ["find", "insert"]
        self.kind: str | None = None
        wanted = schema.expected_indexes()
        self.indexes = {name: live(indexes) for name, indexes in wanted.items()}

    def answered(self) -> AbstractContextManager[None]:
        return nullcontext()

    @property
    def client(self) -> Any:
        catalog = SimpleNamespace(get_collection=lambda _: SimpleNamespace(find=lambda _: self.catalog))
        return SimpleNamespace(
            admin=SimpleNamespace(command=self._command),
            server_info=lambda: {"versionArray": self.version},
            get_database=lambda _: catalog,
        )

    def _command(self, command: Any) -> dict[str, Any]:
        if command == "hello":
            return self.hello
        privilege = {"resource": {"db": self.name, "collection": ""}, "actions": self.actions}
        return {"authInfo": {"authenticatedUsers": self.users, "authenticatedUserPrivileges": [privilege]}}

    @property
    def journal(self) -> Any:
        return SimpleNamespace(
            name="journal",
            write_concern=SimpleNamespace(document=self.concern),
            index_information=lambda: self.indexes[schema.JOURNAL],
        )

    @property
    def collections(self) -> dict[str, Any]:
        return {"journal": self.journal}

    def foreign_kind(self, collection: Any) -> str | None:
        assert collection.name == "journal"
        return self.kind

    @property
    def heads(self) -> Any:
        return SimpleNamespace(index_information=lambda: self.indexes[schema.HEADS])

    def journal_options(self) -> dict[str, Any]:
        return self.options

    def look(self) -> dict[str, Observation]:
        return {seen.name: seen for seen in examine(cast(MongoDatabase, self), HandClock(NOON))}


def test_all_is_as_it_should_be() -> None:
    assert {name for name, seen in Deployment().look().items() if seen.ok is not True} == set()


@pytest.mark.parametrize(
    ("change", "name", "ok", "found"),
    [
        ({"version": [4, 4, 0, 0]}, "store", True, "MongoDB 4.4.0"),
        ({"version": [4, 2, 25, 0]}, "store", False, "MongoDB 4.2.25"),
        ({"hello": HELLO | {"msg": "isdbgrid"}}, "topology", True, "sharded cluster"),
        ({"hello": HELLO | {"msg": "isdbgrid"}}, "shard keys", None, "not sharded"),
        ({"hello": {"localTime": HELLO["localTime"]}}, "topology", None, "a single server"),
        ({"hello": HELLO | {"hosts": ["a:1"]}}, "topology", None, "replica set rs0 of 1, primary a:1"),
        ({"hello": HELLO | {"hosts": ["a:1", "b:1"], "passives": ["c:1"]}}, "topology", True, "rs0 of 3"),
        ({"concern": {"w": 1}}, "write concern", False, "not majority, journaled"),
        ({"hello": HELLO | {"lastWrite": {}}}, "write concern", True, "majority, journaled"),
        ({"options": {}}, "validator", False, "the journal has no validator"),
        ({"options": {"validator": {"v": 1}}}, "validator", False, "the journal has a different validator"),
        (
            {"options": {"validator": expected_validator(), "validationLevel": "moderate"}},
            "validator",
            False,
            "the validator has only level moderate, action error",
        ),
        ({"users": []}, "rights", None, "no user is logged in"),
        ({"actions": ["find"]}, "rights", None, "may read the journal, but not add to it"),
        ({"actions": ["insert"]}, "rights", False, "may not find in the journal"),
        ({"actions": []}, "rights", False, "may not find nor insert in the journal"),
        ({"actions": ["find", "insert", "remove"]}, "rights", False, "may also remove in the journal"),
        ({"indexes": {schema.JOURNAL: {}, schema.HEADS: {}}}, "indexes of heads", False, "missing: "),
    ],
)
def test_what_is_otherwise_is_told(change: dict[str, Any], name: str, ok: bool | None, found: str) -> None:
    deployment = Deployment()
    for attribute, value in change.items():
        setattr(deployment, attribute, value)
    seen = deployment.look()[name]
    assert (seen.ok, found in seen.found) == (ok, True), seen
    assert ok or seen.fix


@pytest.mark.parametrize(("seconds", "ok"), [(10, True), (11, False)])
def test_a_majority_that_is_behind(seconds: int, ok: bool) -> None:
    deployment = Deployment()
    behind = HOUR_AGO - timedelta(seconds=seconds)
    deployment.hello["lastWrite"] = {"lastWriteDate": HOUR_AGO, "majorityWriteDate": behind}
    assert deployment.look()["write concern"].ok is ok


@pytest.mark.parametrize(("seconds", "ok"), [(-6, False), (-5, True), (5, True), (6, False)])
def test_a_clock_that_differs(seconds: int, ok: bool) -> None:
    deployment = Deployment()
    deployment.hello["localTime"] += timedelta(seconds=seconds)
    assert deployment.look()["clock"].ok is ok


@pytest.mark.parametrize(
    "change",
    [
        {"key": [("at", -1)]},
        {"unique": True},
        {"partialFilterExpression": {"kind": "usage"}},
        {"sparse": True},
        {"hidden": True},
        {"collation": {"locale": "en", "strength": 2}},
        {"expireAfterSeconds": 0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_index_that_was_made_otherwise(change: dict[str, Any]) -> None:
    deployment = Deployment()
    deployment.indexes[schema.JOURNAL][schema.BY_ALERT] |= change
    seen = deployment.look()["indexes of journal"]
    assert (seen.ok, seen.found) == (False, f"not as expected: {schema.BY_ALERT}")


def test_a_collection_that_is_not_plain_is_named() -> None:
    deployment = Deployment()
    deployment.kind = "a capped collection"
    seen = deployment.look()["collections"]
    assert (seen.ok, "journal is a capped collection" in seen.found) == (False, True)
