"""Read devkit's collections, with ids as hex texts and dates as instants. Never writes."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

import bson
from bson import Decimal128, ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference

from meterctl.core.domain.instants import from_datetime
from meterctl.core.errors import BadInput, NotFound
from meterctl.core.stores.mongo.failures import answered
from meterctl.core.stores.mongo.store import connect

LEDGERS, WEEKS, PLANS = "billingextrabalances", "billingusages", "subscriptions"

#: The field that names the org, by collection.
_ORG = {LEDGERS: "organization", WEEKS: "organizationId", PLANS: "organization"}

#: Orgs to read together.
_TOGETHER = 50

#: Seconds that one query may take.
_PATIENCE = 60.0

#: A date beyond year 9999 stays as it is stored, rather than ending the run.
_DATES = DatetimeConversion.DATETIME_AUTO
_RAW: CodecOptions[RawBSONDocument] = CodecOptions(
    RawBSONDocument, datetime_conversion=_DATES, unicode_decode_error_handler="replace"
)
_PLAIN: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC, datetime_conversion=_DATES)
_NAMES = _PLAIN.with_options(unicode_decode_error_handler="replace")

#: Stands for bytes that are no text.
_NO_TEXT = "\ufffd"

#: Documents without an org that are named; nobody reads on beyond these.
_MOST_NAMELESS = 1000

#: Digits of the longest number that is turned into an integer; units have 16.
_MOST_DIGITS = 40


class OldDocuments(NamedTuple):
    """The documents of one org. ``has_text_id``: one names the org by a text, not an ObjectId. ``damage``: why the
    documents cannot be read."""

    org: str
    ledgers: list[dict[str, Any]]
    weeks: list[dict[str, Any]]
    subscriptions: list[dict[str, Any]]
    has_text_id: bool
    largest_bytes: int
    damage: str | None = None


class DevkitDatabase:
    """The database that a URI names, read only."""

    def __init__(self, client: MongoClient[dict[str, Any]], name: str, place: str) -> None:
        self.place = place
        self._client = client
        self._database = client.get_database(name, _NAMES, ReadPreference.PRIMARY, None, ReadConcern("majority"))
        #: Texts that name an org in another form than `_name` gives it.
        self._spellings: dict[str, set[str]] = {}

    def everything(self) -> Iterator[OldDocuments]:
        """Stream the documents that name no org, then those of every org, in order."""
        names, nameless = set[str](), 0
        for collection, field in _ORG.items():
            with answered(self.place, _PATIENCE):
                for document in self._find(collection, {field: 1, "_id": 0}):
                    name = _name(document.get(field))
                    if name is None:
                        nameless += 1
                        continue
                    names.add(name)
                    if isinstance(document[field], str) and document[field] != name:
                        self._spellings.setdefault(name, set()).add(document[field])
        if nameless:  # a second look, because the first need not read whole documents: an index has its answers
            yield from islice(self._nameless(), _MOST_NAMELESS)
        yield from self._read(sorted(names))

    def one(self, org: str) -> OldDocuments:
        """Return the documents of one org. Raises `NotFound` if there are none."""
        (documents,) = self._read([_name(org) or org])
        if not any((documents.ledgers, documents.weeks, documents.subscriptions, documents.damage)):
            raise NotFound(f"{self.place} has no document of {org}", hint="leave out --org to see every org")
        return documents

    def _find(self, collection: str, fields: dict[str, int]) -> Iterable[dict[str, Any]]:
        query = {"weekKey": {"$exists": True}} if collection == WEEKS else {}
        return self._database[collection].find(query, fields)

    def _nameless(self) -> Iterator[OldDocuments]:
        for collection, field in _ORG.items():
            with answered(self.place, _PATIENCE):
                rows = (each for each in self._find(collection, {field: 1}) if _name(each.get(field)) is None)
                found = list(islice(rows, _MOST_NAMELESS))
            for document in found:
                damage = f"{field} is {document.get(field)!r:.60}, which names no org"
                place = f"{collection}/{document['_id']!s:.60}"
                yield OldDocuments(place, [], [], [], has_text_id=False, largest_bytes=0, damage=damage)

    def has_session(self, mark: str, org: str | None = None) -> bool:
        """Return True if the session of a topup, in the old ledgers or those of ``org``, begins with ``mark``."""
        topup = {"kind": "topup", "stripeSessionId": {"$regex": f"^{re.escape(mark)}"}}
        query: dict[str, Any] = {"ledger": {"$elemMatch": topup}}
        if org is not None:
            query[_ORG[LEDGERS]] = {"$in": self._ids([_name(org) or org])}
        with answered(self.place, _PATIENCE):
            return self._database[LEDGERS].find_one(query, {"_id": 1}) is not None

    def _read(self, orgs: Iterable[str]) -> Iterator[OldDocuments]:
        """Stream the documents of these orgs, in the order given."""
        names = iter(orgs)
        while chunk := list(islice(names, _TOGETHER)):  # bounded: by the orgs
            by_org = {org: OldDocuments(org, [], [], [], has_text_id=False, largest_bytes=0) for org in chunk}
            for collection, field in _ORG.items():
                with answered(self.place, _PATIENCE):
                    self._gather(collection, field, by_org)
            yield from by_org.values()

    def _gather(self, collection: str, field: str, by_org: dict[str, OldDocuments]) -> None:
        query = {field: {"$in": self._ids(by_org)}}
        raws: Any = self._database.get_collection(collection, _RAW)
        for raw in raws.find(query).sort("_id", 1):
            org, is_text = _name(raw[field]), isinstance(raw[field], str)
            documents = by_org.get(org or "")
            if org is None or documents is None:  # an array that holds the name matches too
                continue
            target = {LEDGERS: documents.ledgers, WEEKS: documents.weeks, PLANS: documents.subscriptions}[collection]
            damage = documents.damage
            try:
                target.append(_plain(bson.decode(raw.raw, _PLAIN)))
            except InvalidBSON as problem:
                damage = f"the document {raw['_id']!s:.60} of {collection} cannot be decoded: {problem!s:.200}"
            by_org[org] = documents._replace(
                has_text_id=documents.has_text_id or is_text,
                largest_bytes=max(documents.largest_bytes, len(raw.raw)),
                damage=damage,
            )

    def _ids(self, orgs: Iterable[str]) -> list[Any]:
        """Return every form in which a document may name these orgs."""
        names = list(orgs)
        hexes = [ObjectId(org) for org in names if ObjectId.is_valid(org)]
        further = {text for org in names for text in (org.upper(), *self._spellings.get(org, ()))} - set(names)
        return [*names, *hexes, *sorted(further)]

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


def _name(value: Any) -> str | None:
    """Return the org that a field names: an id as hex digits in lower case, another text as it is; None for no name."""
    if isinstance(value, ObjectId):
        return str(value)
    if not isinstance(value, str) or not value or _NO_TEXT in value:
        return None
    return value.lower() if ObjectId.is_valid(value) else value


def _plain(value: Any) -> Any:
    """Return a BSON value as plain JSON data. One that has no such form stays as it is, and does not fit its field."""
    if isinstance(value, ObjectId):
        return str(value)
    if isinstance(value, datetime):
        return from_datetime(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal128):
        number = value.to_decimal()
        fits = number.is_finite() and number.adjusted() < _MOST_DIGITS and number == number.to_integral_value()
        return int(number) if fits else value
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value
