"""mongomock as far as the adapter needs it: what it lacks is added here, never in the product."""

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
    document[field] = max(document.get(field, value), value, key=lambda fields: next(iter(fields.values())))


_mock.collection.BulkOperationBuilder = _Bulk
_mock.collection._updaters["$max"] = _keep_larger


class _Database(_mock.database.Database):  # type: ignore[misc]
    """Knows neither decoders, of which it needs none, nor validators: it keeps one and checks nothing."""

    def get_collection(self, name: str, **options: Any) -> Any:
        options.pop("codec_options", None)
        return super().get_collection(name, **options)

    def command(self, command: Any, **options: Any) -> Any:
        if "listCollections" in command:
            return {"cursor": {"firstBatch": [{"options": self._store.__dict__.get("options", {})}]}}
        if "collMod" in command:
            self._store.options = {"validator": command["validator"]}
            return {"ok": 1.0}
        return super().command(command, **options)


class MockClient(_mock.mongo_client.MongoClient):  # type: ignore[misc]
    """A client of the mongomock server ``server``, or of one of its own."""

    def __init__(self, server: ServerStore | None = None) -> None:
        super().__init__(_store=server)

    def get_database(self, name: str, **options: Any) -> _Database:
        return _Database(self, name, _store=self._store[name], **options)
