"""The heads on MongoDB: ``{_id: org, head: {seq, ...}}``.

The head is a subdocument that begins with ``seq``, because MongoDB compares subdocuments by their first field first. So
``$max`` keeps the newer of two heads in one step, found by ``_id`` alone, and a writer cannot overwrite a newer head.
This takes the server half the time of a replacement with a condition on seq. ``next_due`` is omitted if nothing is ever
due.
"""

from collections.abc import Iterable, Iterator, Sequence

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from meterctl.core.errors import Damaged
from meterctl.core.model import Instant
from meterctl.core.ports import DueOrg, Head
from meterctl.core.stores.border import due_page, head_of
from meterctl.core.stores.mongo import schema
from meterctl.core.stores.mongo.database import Document, MongoDatabase, behind, find
from meterctl.core.stores.mongo.failures import duplicates

_DUE = "head.next_due"

#: All fields except the org, which is the ``_id``; ``seq`` comes first.
_FIELDS = Head._fields[1:]

#: Heads to move forward with one update, and the least number that makes this worthwhile.
_PAGE, _WORTH_ONE_UPDATE = 100, 20


class MongoHeads:
    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._heads = database.heads

    def put(self, heads: Sequence[Head]) -> None:
        newest = list({head.org: head for head in sorted(heads, key=lambda head: head.seq)}.values())
        if len(newest) >= _WORTH_ONE_UPDATE:
            newest = [head for page in _pages(newest) for head in self._forward(page)]
        self._write("$max", newest)

    def get(self, orgs: Iterable[str]) -> dict[str, Head | Damaged]:
        with self._database.answered():
            documents = list(find(self._heads, {"_id": {"$in": list(orgs)}}))
        return {document["_id"]: _head(document) for document in documents}

    def due(self, at: Instant, *, after: DueOrg | None = None, limit: int = 1000) -> list[DueOrg]:
        def page(last: DueOrg | None, size: int) -> list[DueOrg]:
            within = {} if last is None else behind((_DUE, "_id"), last)
            query = {_DUE: {"$lte": at}, "_id": {"$type": "string"}} | within
            # The index alone answers this query.
            documents = find(self._heads, query, {_DUE: 1}).hint(schema.BY_DUE)
            first = documents.sort([(_DUE, 1), ("_id", 1)]).limit(size)
            return [DueOrg(document["head"]["next_due"], document["_id"]) for document in first]

        with self._database.answered():
            return due_page(page, after, limit)

    def ahead(self, of: Instant, limit: int) -> list[tuple[str, Instant]]:
        with self._database.answered():
            documents = find(self._heads, {"head.at": {"$gt": of}}, {"head.at": 1}).sort("_id", 1).limit(limit)
            return [(document["_id"], document["head"]["at"]) for document in documents]

    def read(self, *, after: str = "") -> Iterator[Head | Damaged]:
        def page(org: str, size: int) -> list[Document]:
            return list(find(self._heads, {"_id": {"$gt": org}}).sort("_id", 1).limit(size))

        yield from map(_head, self._database.strays(self._heads))
        yield from map(_head, self._database.stream(page, after, lambda document: document["_id"]))

    def replace(self, heads: Sequence[Head]) -> None:
        self._write("$set", heads)

    def _forward(self, heads: Sequence[Head]) -> list[Head]:
        """Move existing heads forward with one update and insert the others; return those that clashed.

        One update takes the server half the time of one for each head. A clash means that another writer came first.
        """
        orgs = [head.org for head in heads]
        among = {"_id": {"$in": orgs}}
        with self._database.answered():
            if self._heads.update_many(among, _each_forward(orgs, heads)).matched_count == len(orgs):
                return []
            current = {
                document["_id"]: document["head"]["seq"] for document in find(self._heads, among, {"head.seq": 1})
            }
            new = [head for head in heads if head.org not in current]
            clashes = self._insert(new)
        return [new[place] for place in clashes] + [
            head for head in heads if current.get(head.org, head.seq) < head.seq
        ]

    def _insert(self, heads: Sequence[Head]) -> list[int]:
        """Insert the new heads; return the positions of those that exist."""
        try:
            if heads:
                self._heads.insert_many([{"_id": head.org, "head": _document(head)} for head in heads], ordered=False)
        except BulkWriteError as error:
            return duplicates(error)
        return []

    def _write(self, operator: str, heads: Sequence[Head]) -> None:
        writes = [UpdateOne({"_id": head.org}, {operator: {"head": _document(head)}}, upsert=True) for head in heads]
        if writes:
            with self._database.answered():
                self._heads.bulk_write(writes, ordered=False)


def _pages(heads: Sequence[Head]) -> Iterator[Sequence[Head]]:
    # The server searches a page for each of its heads, so short pages are faster.
    return (heads[start : start + _PAGE] for start in range(0, len(heads), _PAGE))


def _each_forward(orgs: Sequence[str], heads: Sequence[Head]) -> list[Document]:
    """Return the update that moves each org's head forward to its one in ``heads``, if that is newer."""
    place = {"$indexOfArray": [{"$literal": orgs}, "$_id"]}
    own = {"$arrayElemAt": [{"$literal": [_document(head) for head in heads]}, place]}
    return [{"$set": {"head": {"$max": ["$head", own]}}}]


def _document(head: Head) -> Document:
    document = dict(zip(_FIELDS, head[1:], strict=True))
    if head.next_due is None:
        del document["next_due"]
    return document


def _head(document: Document) -> Head | Damaged:
    fields = document.get("head")
    return head_of((fields if isinstance(fields, dict) else {}) | {"org": document["_id"]})
