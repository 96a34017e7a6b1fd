"""The heads on MongoDB: ``{_id: org, head: {seq, ...}}``.

The fields of the head lie in a document of their own that begins with ``seq``, because MongoDB orders such documents by
their first field first: ``$max`` then keeps the newer of two heads in one step, found by ``_id`` alone. That takes the
server half the time of a replacement with a condition on seq, and two writers cannot cross. ``next_due`` is kept beside
the fields of the head, and left out where nothing is ever due.
"""

from collections.abc import Iterable, Iterator, Sequence

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from meterctl.core.errors import Damaged
from meterctl.core.model import Instant
from meterctl.core.ports import DueOrg, Head
from meterctl.core.stores.border import head_of
from meterctl.core.stores.mongo import schema
from meterctl.core.stores.mongo.database import Document, MongoDatabase, behind, find
from meterctl.core.stores.mongo.failures import duplicates

_DUE = "head.next_due"

#: All but the org, which is the ``_id``; ``seq`` is the first.
_FIELDS = Head._fields[1:]

#: Heads that are brought forward together, and how many make that worth it.
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
            found = list(find(self._heads, {"_id": {"$in": list(orgs)}}))
        return {document["_id"]: _head(document) for document in found}

    def due(self, at: Instant, *, after: DueOrg | None = None, limit: int = 1000) -> list[DueOrg]:
        within = {} if after is None else behind((_DUE, "_id"), after)
        query = {_DUE: {"$lte": at}, "_id": {"$type": "string"}} | within
        with self._database.answered():
            # Answered by the index alone.
            found = find(self._heads, query, {_DUE: 1}).hint(schema.BY_DUE)
            page = found.sort([(_DUE, 1), ("_id", 1)]).limit(limit)
            return [DueOrg(document["head"]["next_due"], document["_id"]) for document in page]

    def ahead(self, of: Instant, limit: int) -> list[tuple[str, Instant]]:
        with self._database.answered():
            found = find(self._heads, {"head.at": {"$gt": of}}, {"head.at": 1}).sort("_id", 1).limit(limit)
            return [(document["_id"], document["head"]["at"]) for document in found]

    def read(self, *, after: str = "") -> Iterator[Head | Damaged]:
        def page(org: str, size: int) -> list[Document]:
            return list(find(self._heads, {"_id": {"$gt": org}}).sort("_id", 1).limit(size))

        yield from map(_head, self._database.strays(self._heads))
        yield from map(_head, self._database.stream(page, after, lambda document: document["_id"]))

    def replace(self, heads: Sequence[Head]) -> None:
        self._write("$set", heads)

    def _forward(self, heads: Sequence[Head]) -> list[Head]:
        """Bring those that are there forward with one update, which takes the server half the time of one for each, and
        insert the others; what is left to do, because another writer came in between."""
        orgs = [head.org for head in heads]
        among = {"_id": {"$in": orgs}}
        with self._database.answered():
            if self._heads.update_many(among, _each_forward(orgs, heads)).matched_count == len(orgs):
                return []
            there = {document["_id"]: document["head"]["seq"] for document in find(self._heads, among, {"head.seq": 1})}
            new = [head for head in heads if head.org not in there]
            clashed = self._insert(new)
        return [new[place] for place in clashed] + [head for head in heads if there.get(head.org, head.seq) < head.seq]

    def _insert(self, heads: Sequence[Head]) -> list[int]:
        """Insert what is not there yet; the places of those that are."""
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
    # Each head of a page is looked for among all of them: short pages keep that short.
    return (heads[start : start + _PAGE] for start in range(0, len(heads), _PAGE))


def _each_forward(orgs: Sequence[str], heads: Sequence[Head]) -> list[Document]:
    """The update that brings each org's head forward to its own of ``heads``, if that is newer."""
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
