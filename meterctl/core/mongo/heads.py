"""The heads on MongoDB: ``{_id: org, head: {seq, ...}}``.

The fields of the head lie in a document of their own that begins with ``seq``, because MongoDB orders such documents by
their first field first: ``$max`` then keeps the newer of two heads in one step, found by ``_id`` alone. That takes the
server half the time of a replacement with a condition on seq, and two writers cannot cross. ``next_due`` is kept beside
the fields of the head, and left out where nothing is ever due.
"""

from collections.abc import Iterable, Iterator, Sequence

from pymongo import UpdateOne

from meterctl.core.model import Instant
from meterctl.core.mongo import schema
from meterctl.core.mongo.database import Database, Document, behind
from meterctl.core.ports import DueOrg, Head

_DUE = "head.next_due"


class MongoHeads:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._heads = database.heads

    def put(self, heads: Sequence[Head]) -> None:
        self._write("$max", heads)

    def get(self, orgs: Iterable[str]) -> dict[str, Head]:
        with self._database.answered():
            return {head.org: head for head in map(_head, self._heads.find({"_id": {"$in": list(orgs)}}))}

    def due(self, at: Instant, *, after: DueOrg | None = None, limit: int = 1000) -> list[DueOrg]:
        query = {_DUE: {"$lte": at}} | ({} if after is None else behind((_DUE, "_id"), after))
        with self._database.answered():
            # Answered by the index alone.
            found = self._heads.find(query, {_DUE: 1}).hint(schema.BY_DUE)
            page = found.sort([(_DUE, 1), ("_id", 1)]).limit(limit)
            return [DueOrg(document["head"]["next_due"], document["_id"]) for document in page]

    def read(self, *, after: str = "") -> Iterator[Head]:
        def page(org: str, size: int) -> list[Document]:
            return list(self._heads.find({"_id": {"$gt": org}}).sort("_id", 1).limit(size))

        return map(_head, self._database.stream(page, after, lambda document: document["_id"]))

    def replace(self, heads: Sequence[Head]) -> None:
        self._write("$set", heads)

    def _write(self, operator: str, heads: Sequence[Head]) -> None:
        writes = [UpdateOne({"_id": head.org}, {operator: {"head": _document(head)}}, upsert=True) for head in heads]
        if writes:
            with self._database.answered():
                self._heads.bulk_write(writes, ordered=False)


def _document(head: Head) -> Document:
    fields = head._asdict()
    del fields["org"]
    due = {} if head.next_due is None else {"next_due": head.next_due}
    return {"seq": fields.pop("seq"), **fields, **due}


def _head(document: Document) -> Head:
    # A cache may hold anything: what is not there, or is not due when it says, is None, and `verify` finds it.
    fields = document.get("head", {})
    head = Head(document["_id"], *(fields.get(name) for name in Head._fields[1:]))
    due = min(filter(None, (head.next_expiry, head.week_end)), key=str, default=None)
    return head if fields.get("next_due") == due else head._replace(next_expiry=None, week_end=None)
