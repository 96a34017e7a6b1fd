"""Read devkit's collections, with ids as hex texts and dates as instants. Never writes."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

import bson
from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference

from meterctl.core.domain.instants import from_datetime
from meterctl.core.errors import BadInput
from meterctl.core.stores.mongo.failures import answered
from meterctl.core.stores.mongo.store import connect

LEDGERS, WEEKS, PLANS = "billingextrabalances", "billingusages", "subscriptions"

#: The field that names the org, by collection.
_ORG = {LEDGERS: "organization", WEEKS: "organizationId", PLANS: "organization"}

#: Orgs to read together.
_TOGETHER = 50

#: Seconds that one query may take.
_PATIENCE = 60.0

_RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
_PLAIN: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC)


class OldDocuments(NamedTuple):
    """The documents of one org. ``has_text_id``: one names the org by a text, not an ObjectId."""

    org: str
    ledgers: list[dict[str, Any]]
    weeks: list[dict[str, Any]]
    subscriptions: list[dict[str, Any]]
    has_text_id: bool
    largest_bytes: int


class DevkitDatabase:
    """The database that a URI names, read only."""

    def __init__(self, client: MongoClient[dict[str, Any]], name: str, place: str) -> None:
        self.place = place
        self._client = client
        self._database = client.get_database(name, _PLAIN, ReadPreference.PRIMARY, None, ReadConcern("majority"))

    def orgs(self) -> list[str]:
        """Return every org that a document names, in order."""
        names: set[str] = set()
        with answered(self.place, _PATIENCE):
            for collection, field in _ORG.items():
                query = {"weekKey": {"$exists": True}} if collection == WEEKS else {}
                for document in self._database[collection].find(query, {field: 1, "_id": 0}):
                    if document.get(field) is not None:
                        names.add(str(document[field]))
        return sorted(names)

    def has_session(self, mark: str, org: str | None = None) -> bool:
        """Return True if the session of a topup, in the old ledgers or those of ``org``, begins with ``mark``."""
        topup = {"kind": "topup", "stripeSessionId": {"$regex": f"^{re.escape(mark)}"}}
        query: dict[str, Any] = {"ledger": {"$elemMatch": topup}}
        if org is not None:
            query[_ORG[LEDGERS]] = {"$in": _ids([org])}
        with answered(self.place, _PATIENCE):
            return self._database[LEDGERS].find_one(query, {"_id": 1}) is not None

    def read(self, orgs: Iterable[str]) -> Iterator[OldDocuments]:
        """Stream the documents of these orgs, in the order given."""
        names = iter(orgs)
        while chunk := list(islice(names, _TOGETHER)):  # bounded: by the orgs
            by_org = {org: OldDocuments(org, [], [], [], has_text_id=False, largest_bytes=0) for org in chunk}
            for collection, field in _ORG.items():
                with answered(self.place, _PATIENCE):
                    self._gather(collection, field, by_org)
            yield from by_org.values()

    def _gather(self, collection: str, field: str, by_org: dict[str, OldDocuments]) -> None:
        query = {field: {"$in": _ids(by_org)}}
        raws: Any = self._database.get_collection(collection, _RAW)
        source = raws.find(query).sort("_id", 1)
        for raw in source:
            document = bson.decode(raw.raw, _PLAIN)
            org, is_text = str(document[field]), isinstance(document[field], str)
            documents = by_org[org]
            plain: dict[str, Any] = _plain(document)
            {LEDGERS: documents.ledgers, WEEKS: documents.weeks, PLANS: documents.subscriptions}[collection].append(
                plain
            )
            by_org[org] = documents._replace(
                has_text_id=documents.has_text_id or is_text, largest_bytes=max(documents.largest_bytes, len(raw.raw))
            )

    def close(self) -> None:
        self._client.close()


def connect_devkit(uri: str | None) -> DevkitDatabase:
    """Return the database that ``uri`` names. Raises the errors of opening a store."""
    if not uri or not uri.startswith("mongodb"):
        hint = "--from mongodb://host/database, or METERCTL_DEVKIT"
        raise BadInput("the old database is not named", hint=hint, code="usage")
    store = connect(uri)
    database = store._database
    try:
        with answered(store.describe(), database.timeout_seconds):  # a query may take longer than a sign of life
            database.client.admin.command("ping")
    except BaseException:
        store.close()
        raise
    return DevkitDatabase(database.client, database.name, store.describe())


def _ids(orgs: Iterable[str]) -> list[Any]:
    """Return every form in which a document may name these orgs."""
    names = list(orgs)
    return [*names, *(ObjectId(org) for org in names if ObjectId.is_valid(org))]


def _plain(value: Any) -> Any:
    """Return a BSON value as plain JSON data."""
    if isinstance(value, ObjectId):
        return str(value)
    if isinstance(value, datetime):
        return from_datetime(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value
