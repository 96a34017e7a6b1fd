"""mongomock as far as the adapter needs it: what it lacks is added here, never in the product."""

from datetime import UTC, datetime
from typing import Any

import mongomock.collection
import mongomock.database
import mongomock.mongo_client
from mongomock.store import ServerStore

# Half of mongomock has types, and they say less than it does.
_mock: Any = mongomock


class _Bulk(_mock.collection.BulkOperationBuilder):  # type: ignore[misc]
    """pymongo 4.20 hands each write of a bulk a ``sort``, which mongomock 4.3 does not know; nobody here sorts."""

    def add_update(self, *args: Any, **options: Any) -> None:
        del options["sort"]
        super().add_update(*args, **options)


def _keep_larger(document: Any, field: str, value: dict[str, Any]) -> None:
    """``$max`` of two documents, which mongomock cannot compare; their first fields decide, if they differ."""
    document[field] = max(document.get(field, value), value, key=_first_value)


def _first_value(fields: dict[str, Any]) -> Any:
    return next(iter(fields.values()))


def _update_many(collection: Any, among: dict[str, Any], change: Any, **options: Any) -> Any:
    """mongomock updates by no expression: here it is told what the larger one of each document comes to."""
    if not isinstance(change, list):
        return _plain_update_many(collection, among, change, **options)
    ((field, larger),) = change[0]["$set"].items()
    found = list(collection.find(among))
    for document in found:
        own = _evaluated(larger["$max"][1], document)
        collection.update_one({"_id": document["_id"]}, {"$max": {field: own}})
    return _mock.results.UpdateResult({"n": len(found), "nModified": len(found)}, acknowledged=True)


def _evaluated(expression: Any, document: dict[str, Any]) -> Any:
    """An expression made of a few operators, for one document."""
    if isinstance(expression, str):
        return document.get(expression.removeprefix("$"))
    ((operator, operands),) = expression.items()
    if operator == "$literal":
        return operands
    values, which = (_evaluated(operand, document) for operand in operands)
    return values[which] if operator == "$arrayElemAt" else values.index(which)


_plain_update_many = _mock.collection.Collection.update_many
_mock.collection.Collection.update_many = _update_many
_mock.collection.BulkOperationBuilder = _Bulk
_mock.collection._updaters["$max"] = _keep_larger


class _Database(_mock.database.Database):  # type: ignore[misc]
    """Knows neither decoders, of which it needs none, nor validators: it keeps one and checks nothing."""

    def get_collection(self, name: str, **options: Any) -> Any:
        options.pop("codec_options", None)
        return super().get_collection(name, **options)

    def command(self, command: Any, **options: Any) -> Any:
        if command == "hello":
            return {"localTime": datetime.now(UTC)}
        if "listCollections" in command:
            options = self._store.__dict__.get("options", {})
            return {"cursor": {"firstBatch": [{"options": options.get(command["filter"]["name"], {})}]}}
        if "collMod" in command:
            self._store.__dict__.setdefault("options", {})[command["collMod"]] = {"validator": command["validator"]}
            return {"ok": 1.0}
        return super().command(command, **options)


class MockClient(_mock.mongo_client.MongoClient):  # type: ignore[misc]
    """A client of the mongomock server ``server``, or of one of its own."""

    def __init__(self, server: ServerStore | None = None) -> None:
        super().__init__(_store=server)

    def get_database(self, name: str, **options: Any) -> _Database:
        return _Database(self, name, _store=self._store[name], **options)
