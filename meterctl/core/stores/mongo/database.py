"""One database on a MongoDB deployment: its collections, and how each is read and written."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from bson import encode
from bson.codec_options import CodecOptions
from pymongo import IndexModel, MongoClient
from pymongo.collection import Collection
from pymongo.cursor import Cursor
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from meterctl.core.errors import index_missing
from meterctl.core.stores.mongo import schema
from meterctl.core.stores.mongo.failures import answered, is_building, is_denied
from meterctl.core.stores.mongo.foreign import refuse_foreign

Document = dict[str, Any]
Place = TypeVar("Place")

# Acknowledged means: on a majority, and there on disk.
_SAFE = WriteConcern("majority", j=True)
# A head that is lost is made again.
_CACHED = WriteConcern(1)

# Reads see what a majority has. With "local" a primary that is cut off would show entries that vanish when it comes
# back: a retry would be answered "replayed" for what is then lost, and an entry appended on top of a vanished one would
# leave a gap in seq on the new primary. Nothing acknowledged is missed, since a write is acknowledged once the
# majority's view holds it; and a clash is answered only once what it clashed with is safe, so the read after it sees
# that. Only in the instant after an election may the new primary's view lag: an append then clashes, and is decided
# again. "linearizable" would close that instant too, but costs a majority write per read.
_COMMITTED = ReadConcern("majority")
_NEWEST = ReadConcern("local")

# The driver's own: a long integer is read as a subclass of int. One that is plain takes a decoder of ours, with which
# the driver reads a batch twice, and a third longer.
_CODEC: CodecOptions[Document] = CodecOptions()

#: Documents that an answer of the server may hold; it holds fewer when they come to 16 MB.
_BATCH = 10_000

#: Documents of others that are told one by one, and the seconds that looking for them in a whole journal may take.
MOST_STRAYS, STRAY_SECONDS = 100, 600.0

#: Documents of a stream's first page, and of one at most: more of them do not stay in the processor's cache.
FIRST_PAGE, LARGEST_PAGE = 32, 1024

#: Bytes on the wire that a page may come to; in memory it takes some six times as many.
PAGE_BYTES = 2 * 1024 * 1024


class MongoDatabase:
    """``place`` names it without any secret; ``timeout_seconds`` is what one call may take altogether. ``prefix``
    stands before the names of its collections."""

    def __init__(
        self, client: MongoClient[Document], name: str, place: str, timeout_seconds: float, prefix: str = ""
    ) -> None:
        self.client = client
        self.name = name
        self.place = place
        self.prefix = prefix
        self._timeout = timeout_seconds
        self._database = client[name]
        self.journal = self._collection(schema.JOURNAL)
        self.claims = self._collection(schema.CLAIMS)
        self.plans = self._collection(schema.PLANS)
        self.locks = self._collection(schema.LOCKS)
        self.heads = self._collection(schema.HEADS, _CACHED, _NEWEST)
        self._live: Mapping[str, Any] | None = None
        self._ready = False

    def answered(self, seconds: float | None = None) -> AbstractContextManager[None]:
        """Bounds what is done inside, and translates what it raises. The first use of a process makes sure that the
        collections are ours."""
        if self._live is None:
            self._live = self._indexes_of_ours()
        return answered(self.place, self._timeout if seconds is None else seconds)

    def _indexes_of_ours(self) -> Mapping[str, Any]:
        """Return the journal's indexes; raise `StoreUnusable` if another application has a collection of ours."""
        ours = (self.journal, self.heads, self.claims, self.plans, self.locks)
        names = (schema.JOURNAL, schema.HEADS, schema.CLAIMS, schema.PLANS, schema.LOCKS)
        with answered(self.place, self._timeout):
            try:
                live = self.journal.index_information()
                if schema.BY_SEQ not in live:
                    refuse_foreign(self.place, dict(zip(names, ours, strict=True)), self.journal_options)
            except OperationFailure as error:
                if not is_denied(error):
                    raise
                return {}  # who may not look may hardly write either, and is told so then
            return live

    def stream(
        self, page: Callable[[Place, int], list[Document]], after: Place, place_of: Callable[[Document], Place]
    ) -> Iterator[Document]:
        """Everything that ``page(after, size)`` finds, page by page. No cursor stays open between two: a slow reader
        and a new primary in between do no harm, and each page has a time limit of its own."""
        size = FIRST_PAGE
        more = True
        while more:
            with self.answered():
                found = page(after, size)
            more = len(found) == size
            if more:
                after, size = place_of(found[-1]), min(size * 4, LARGEST_PAGE, _fitting(found[-1]))
            # Let go one by one: a page that is held to its end, and freed then, takes twice the time to read.
            found.reverse()
            while found:
                yield found.pop()

    def strays(self, collection: Collection[Document]) -> list[Document]:
        """Documents whose ``_id`` is no text, as every one of ours is: no stream in order of names shows them."""
        with self.answered():
            return list(find(collection, {"_id": {"$not": {"$type": "string"}}}).limit(MOST_STRAYS))

    def require_indexes(self) -> None:
        """Before the first append of a process: no entry goes where nothing keeps seqs unique. A journal that does not
        exist yet is made with all it needs."""
        if self._ready:
            return
        with self.answered():
            seen = self._live or {}
            live = seen if _keeps_seq_unique(seen) else self.journal.index_information()
            if not live:
                self.complete()
            elif not _keeps_seq_unique(live):
                raise index_missing(self.place)
        self._ready = True

    def complete(self) -> list[str]:
        """Make what is missing; a line for each thing that was made or found."""
        made = [line for name, indexes in schema.expected_indexes().items() for line in self._make(name, indexes)]
        return [*made, self._validate()]

    def in_shell(self, command: Document) -> str:
        """Return a command to this database as it is typed into MongoDB's shell."""
        return f"db.getSiblingDB({json.dumps(self.name)}).runCommand({json.dumps(command)})"

    def journal_options(self) -> Document:
        """What the journal was made with; nothing if it is not there."""
        found = self._database.command({"listCollections": 1, "filter": {"name": self.journal.name}})
        options: Document = next((live.get("options", {}) for live in found["cursor"]["firstBatch"]), {})
        return options

    def _collection(
        self, name: str, write: WriteConcern = _SAFE, read: ReadConcern = _COMMITTED
    ) -> Collection[Document]:
        # Set here, whatever the URI says.
        return self._database.get_collection(
            self.prefix + name,
            codec_options=_CODEC,
            write_concern=write,
            read_concern=read,
            read_preference=ReadPreference.PRIMARY,
        )

    def _make(self, name: str, indexes: Sequence[schema.Index]) -> Iterator[str]:
        # The indexes come first and make the collection: at no instant is there one without them.
        collection = self._collection(name)
        live = collection.index_information()
        collection.create_indexes([_index_model(index) for index in indexes])
        for index in indexes:
            yield f"{collection.name}: index {index.name} {'found' if index.name in live else 'made'}"

    def _validate(self) -> str:
        wanted = schema.expected_validator()
        if self.journal_options().get("validator") == wanted:
            return f"{self.journal.name}: validator found"
        while not self._set_validator(wanted):  # bounded: by the others that make the journal now, and `answered`
            # Asked for indexes that are being made, the server answers once they are there.
            list(self._make(schema.JOURNAL, schema.expected_indexes()[schema.JOURNAL]))
        return f"{self.journal.name}: validator made"

    def _set_validator(self, wanted: Document) -> bool:
        """False if MongoDB before 5.0 does not do that yet: another process makes indexes."""
        options = {"validator": wanted, "validationLevel": "strict", "validationAction": "error"}
        try:
            self._database.command({"collMod": self.journal.name, **options})
        except OperationFailure as error:
            if is_building(error):
                return False
            raise
        return True


def _fitting(document: Document) -> int:
    """Return how many documents like this one a page may hold."""
    return max(1, PAGE_BYTES // len(encode(document)))


def find(collection: Collection[Document], query: Document, fields: Document | None = None) -> Cursor[Document]:
    """What ``query`` finds, in one answer of the server if it fits: by itself it would send 101 documents, and all
    others when asked again."""
    return collection.find(query, fields, batch_size=_BATCH)


def behind(fields: Sequence[str], place: Sequence[Any]) -> Document:
    """What comes after ``place`` in order of ``fields``: equal in the first ones, and more in the next."""
    steps = range(len(fields))
    return {"$or": [dict(zip(fields[:n], place, strict=False)) | {fields[n]: {"$gt": place[n]}} for n in steps]}


def _index_model(index: schema.Index) -> IndexModel:
    options: Document = {"name": index.name}
    if index.unique:
        options["unique"] = True
    if index.partial is not None:
        options["partialFilterExpression"] = index.partial
    return IndexModel(list(index.keys), **options)


def _keeps_seq_unique(live: Mapping[str, Any]) -> bool:
    # One that is partial keeps unique only what it holds.
    whole = [index for index in live.values() if index.get("unique") and "partialFilterExpression" not in index]
    return any(list(index["key"]) == [("org", 1), ("seq", 1)] for index in whole)
