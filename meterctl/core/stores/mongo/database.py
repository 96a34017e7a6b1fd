"""One database on a MongoDB deployment: its collections with their read and write concerns, paging and setup."""

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
from meterctl.core.stores.mongo.failures import answered, is_building, is_denied, is_on_view
from meterctl.core.stores.mongo.foreign import foreign_collections, foreign_kind, refuse_foreign

Document = dict[str, Any]
Place = TypeVar("Place")

# Acknowledged: on the disks of a majority.
_SAFE = WriteConcern("majority", j=True)
# A lost head is rebuilt.
_CACHED = WriteConcern(1)

# Reads see the data of a majority. With "local", an isolated primary would show entries that vanish when it rejoins: a
# retry would get "replayed" for a lost entry, and an append on top of one would leave a gap in seq on the new primary.
# "majority" misses no acknowledged write, because a write is acknowledged once the majority has it. A clash is reported
# once the other entry is safe, so the next read sees that entry. Just after an election the new primary's view may lag:
# an append then clashes and is decided again. "linearizable" would avoid this, at a majority write for each read.
_COMMITTED = ReadConcern("majority")
_NEWEST = ReadConcern("local")

# The driver's default, which reads long integers as a subclass of int. A type decoder for plain ints would make the
# driver read each batch twice and take a third longer.
_CODEC: CodecOptions[Document] = CodecOptions()

#: Most documents in a response of the server, which is limited to 16 MB as well.
_BATCH = 10_000

#: Foreign documents to report one by one, and the seconds to search a whole journal for them.
MOST_STRAYS, STRAY_SECONDS = 100, 600.0

#: Documents of a stream's first page and of its largest: more do not stay in the processor's cache.
FIRST_PAGE, LARGEST_PAGE = 32, 1024

#: Target size of a page in bytes on the wire; in memory it takes some six times as many.
PAGE_BYTES = 2 * 1024 * 1024


class MongoDatabase:
    """The collections of one store.

    ``place`` names it without any secret. ``timeout_seconds`` limits each call as a whole. ``prefix`` begins the names
    of the collections.
    """

    def __init__(
        self, client: MongoClient[Document], name: str, place: str, timeout_seconds: float, prefix: str = ""
    ) -> None:
        self.client = client
        self.name = name
        self.place = place
        self.prefix = prefix
        self.timeout_seconds = timeout_seconds
        self._database = client[name]
        self.journal = self._collection(schema.JOURNAL)
        self.claims = self._collection(schema.CLAIMS)
        self.plans = self._collection(schema.PLANS)
        self.locks = self._collection(schema.LOCKS)
        self.heads = self._collection(schema.HEADS, _CACHED, _NEWEST)
        self._live: Mapping[str, Any] | None = None
        self._ready = False
        self._plain: set[str] = set()

    def answered(self, seconds: float | None = None) -> AbstractContextManager[None]:
        """Limit the time of the block and translate its errors. The first use checks that the collections are ours."""
        if self._live is None:
            self._live = self._indexes_of_ours()
        return answered(self.place, self.timeout_seconds if seconds is None else seconds)

    def _indexes_of_ours(self) -> Mapping[str, Any]:
        """Return the journal's indexes; raise `StoreUnusable` if another application has a collection of ours."""
        with answered(self.place, self.timeout_seconds):
            try:
                live = self._journal_indexes()
                if schema.BY_SEQ not in live:
                    refuse_foreign(self.place, self.collections, self._options_of)
            except OperationFailure as error:
                if not is_denied(error):
                    raise
                return {}  # a user without this right will get an error on the first write
            return live

    @property
    def collections(self) -> dict[str, Collection[Document]]:
        """The collections, by meterctl's names for them."""
        names = (schema.JOURNAL, schema.HEADS, schema.CLAIMS, schema.PLANS, schema.LOCKS)
        ours = (self.journal, self.heads, self.claims, self.plans, self.locks)
        return dict(zip(names, ours, strict=True))

    def _journal_indexes(self) -> Mapping[str, Any]:
        try:
            return self.journal.index_information()
        except OperationFailure as error:
            if is_on_view(error):  # `refuse_foreign` names it
                return {}
            raise

    def require_plain(self, collection: Collection[Document]) -> None:
        """Raise `StoreUnusable` before the first write to a collection that loses documents, or is none.

        A capped one drops its oldest documents without an error: a payment could be credited twice.
        """
        if collection.name in self._plain:
            return
        with self.answered():
            kind = self.foreign_kind(collection)
        if kind is not None:
            raise foreign_collections(self.place, [f"{collection.name} ({kind})"])
        self._plain.add(collection.name)

    def foreign_kind(self, collection: Collection[Document]) -> str | None:
        """Return the kind of a collection in words, if meterctl's cannot be of that kind; None as well if this user
        may not ask."""
        try:
            return foreign_kind(self._options_of(collection))
        except OperationFailure as error:
            if is_denied(error):
                return None
            raise

    def stream(
        self, page: Callable[[Place, int], list[Document]], after: Place, place_of: Callable[[Document], Place]
    ) -> Iterator[Document]:
        """Stream the results of ``page(after, size)``, page by page.

        No cursor stays open between pages, so a slow reader or a new primary does no harm. Each page has its own limit
        of time.
        """
        size = FIRST_PAGE
        more = True
        while more:
            with self.answered():
                documents = page(after, size)
            more = len(documents) == size
            if more:
                after, size = place_of(documents[-1]), min(size * 4, LARGEST_PAGE, _fitting(documents[-1]))
            # Free documents one by one: freeing a whole page at its end doubles the time to read it.
            documents.reverse()
            while documents:
                yield documents.pop()

    def strays(self, collection: Collection[Document]) -> list[Document]:
        """Return the documents whose ``_id`` is no text: foreign ones, which no stream by name shows."""
        with self.answered():
            return list(find(collection, {"_id": {"$not": {"$type": "string"}}}).limit(MOST_STRAYS))

    def require_indexes(self) -> None:
        """Raise `StoreUnusable` before the first append if no index keeps seqs unique.

        Creates a journal that does not exist yet, with its indexes and validator.
        """
        if self._ready:
            return
        with self.answered():
            known = self._live or {}
            live = known if _keeps_seq_unique(known) else self.journal.index_information()
            if not live:
                self.complete()
            elif not _keeps_seq_unique(live):
                raise index_missing(self.place)
        self._ready = True

    def complete(self) -> list[str]:
        """Create the missing indexes and validator; return a line for each one, created or existing."""
        lines = [line for name, indexes in schema.expected_indexes().items() for line in self._make(name, indexes)]
        return [*lines, self._validate()]

    def in_shell(self, command: Document) -> str:
        """Return a command to this database in the syntax of MongoDB's shell."""
        return f"db.getSiblingDB({json.dumps(self.name)}).runCommand({json.dumps(command)})"

    def journal_options(self) -> Document:
        """Return the journal's collection options; empty if it does not exist."""
        return self._options_of(self.journal)

    def _options_of(self, collection: Collection[Document]) -> Document:
        response = self._database.command({"listCollections": 1, "filter": {"name": collection.name}})
        options: Document = next((live.get("options", {}) for live in response["cursor"]["firstBatch"]), {})
        return options

    def _collection(
        self, name: str, write: WriteConcern = _SAFE, read: ReadConcern = _COMMITTED
    ) -> Collection[Document]:
        # Override the options of the URI.
        return self._database.get_collection(
            self.prefix + name,
            codec_options=_CODEC,
            write_concern=write,
            read_concern=read,
            read_preference=ReadPreference.PRIMARY,
        )

    def _make(self, name: str, indexes: Sequence[schema.Index]) -> Iterator[str]:
        # Creating indexes creates the collection, so it never exists without them.
        collection = self._collection(name)
        live = collection.index_information()
        collection.create_indexes([_index_model(index) for index in indexes])
        for index in indexes:
            yield f"{collection.name}: index {index.name} {'found' if index.name in live else 'made'}"

    def _validate(self) -> str:
        validator = schema.expected_validator()
        if self.journal_options().get("validator") == validator:
            return f"{self.journal.name}: validator found"
        while not self._set_validator(
            validator
        ):  # bounded: by other processes that create the journal, and by `answered`
            # The server answers once the indexes that another process builds are complete.
            list(self._make(schema.JOURNAL, schema.expected_indexes()[schema.JOURNAL]))
        return f"{self.journal.name}: validator made"

    def _set_validator(self, validator: Document) -> bool:
        """Set the validator; return False if MongoDB before 5.0 refuses because another process builds indexes."""
        options = {"validator": validator, "validationLevel": "strict", "validationAction": "error"}
        try:
            self._database.command({"collMod": self.journal.name, **options})
        except OperationFailure as error:
            if is_building(error):
                return False
            raise
        return True


def _fitting(document: Document) -> int:
    """Return the number of documents like this one that fit a page."""
    return max(1, PAGE_BYTES // len(encode(document)))


def find(collection: Collection[Document], query: Document, fields: Document | None = None) -> Cursor[Document]:
    """Return a cursor of ``query`` that gets all documents in one response if they fit.

    By default the server would send 101 documents, and the rest on a second request.
    """
    return collection.find(query, fields, batch_size=_BATCH)


def behind(fields: Sequence[str], place: Sequence[Any]) -> Document:
    """Return the condition on documents after ``place`` in order of ``fields``."""
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
    # A partial index enforces uniqueness only for the documents it covers.
    whole = [index for index in live.values() if index.get("unique") and "partialFilterExpression" not in index]
    return any(list(index["key"]) == [("org", 1), ("seq", 1)] for index in whole)
