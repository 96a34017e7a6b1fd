"""The heads on MongoDB. ``next_due`` is kept beside the fields of the head, and left out where nothing is ever due."""

from collections.abc import Iterable, Iterator, Sequence

from pymongo import ReplaceOne
from pymongo.errors import BulkWriteError

from meterctl.core.model import Instant
from meterctl.core.mongo.database import Database, Document
from meterctl.core.mongo.failures import duplicates
from meterctl.core.ports import Head


class MongoHeads:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._heads = database.heads

    def put(self, heads: Sequence[Head]) -> None:
        # Where no older head is found one is inserted; where that clashes there is one, newer or from a moment ago.
        with self._database.answered():
            clashed = self._write([_forward(head, insert=True) for head in heads])
            self._write([_forward(heads[place], insert=False) for place in clashed])

    def get(self, orgs: Iterable[str]) -> dict[str, Head]:
        with self._database.answered():
            return {head.org: head for head in map(_head, self._heads.find({"_id": {"$in": list(orgs)}}))}

    def due(self, at: Instant, *, after: str = "", limit: int = 1000) -> list[Head]:
        with self._database.answered():
            found = self._heads.find({"next_due": {"$lte": at}, "_id": {"$gt": after}})
            return [_head(document) for document in found.sort("_id", 1).limit(limit)]

    def read(self, *, after: str = "") -> Iterator[Head]:
        def page(org: str, size: int) -> list[Document]:
            return list(self._heads.find({"_id": {"$gt": org}}).sort("_id", 1).limit(size))

        return map(_head, self._database.stream(page, after, lambda document: document["_id"]))

    def replace(self, heads: Sequence[Head]) -> None:
        with self._database.answered():
            self._write([ReplaceOne({"_id": head.org}, _document(head), upsert=True) for head in heads])

    def _write(self, writes: Sequence[ReplaceOne[Document]]) -> list[int]:
        """Write them in any order; the places of those that clashed with a document that is there."""
        try:
            if writes:
                self._heads.bulk_write(writes, ordered=False)
        except BulkWriteError as error:
            return duplicates(error)
        return []


def _forward(head: Head, *, insert: bool) -> ReplaceOne[Document]:
    return ReplaceOne({"_id": head.org, "seq": {"$lt": head.seq}}, _document(head), upsert=insert)


def _document(head: Head) -> Document:
    fields = head._asdict()
    due = {} if head.next_due is None else {"next_due": head.next_due}
    return {"_id": fields.pop("org"), **fields, **due}


def _head(document: Document) -> Head:
    document.pop("next_due", None)
    return Head(org=document.pop("_id"), **document)
