"""The journal on MongoDB. A document is the entry, with ``_id``, ``moving`` and ``alerting`` added for the indexes."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from pymongo.cursor import Cursor
from pymongo.errors import BulkWriteError

from meterctl.core.domain.canonical import canonical_bytes
from meterctl.core.errors import Damaged
from meterctl.core.model import KINDS, MAX_UNITS, Entry, Instant
from meterctl.core.ports import EntryFilter, EntryText, Recorded, StoredDocument
from meterctl.core.stores.border import entry_of, stray_of
from meterctl.core.stores.key_range import end_of_prefix
from meterctl.core.stores.mongo import schema
from meterctl.core.stores.mongo.database import MOST_STRAYS, STRAY_SECONDS, Document, MongoDatabase, behind, find
from meterctl.core.stores.mongo.failures import duplicates, rejected_position

#: Orgs to list at once: their names are far smaller than a response of MongoDB, at most 16 MB.
_ORGS_PAGE = 10_000

#: Seqs to query at once: each is a condition of its own.
_SEQS_PAGE = 200


#: Documents with a place in a journal. One whose seq is no number is returned by `strays`.
_NUMBERED = {"seq": {"$gt": -math.inf}}


class MongoJournal:
    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._journal = database.journal
        self._heads = database.heads

    def append(self, entries: Sequence[Entry]) -> int:
        self._database.require_indexes()
        if not entries:
            return 0
        with self._database.answered():
            try:
                self._journal.insert_many([_document(entry) for entry in entries], ordered=True)
            except BulkWriteError as error:
                return place if (place := rejected_position(error)) else duplicates(error)[0]
        return len(entries)

    def tip(self, org: str) -> Entry | None:
        with self._database.answered():
            return self._newest(org)

    def tips(self, orgs: Iterable[str]) -> dict[str, Entry]:
        names = list(dict.fromkeys(orgs))
        with self._database.answered():
            tips = self._where_heads_point(names) if len(names) > 1 else {}
            for org in self._with_entries([org for org in names if org not in tips]):
                newest = self._newest(org)
                if newest is not None:
                    tips[org] = newest
        return tips

    def grown(self, seqs: Mapping[str, int]) -> set[str]:
        longer: set[str] = set()
        names = iter(seqs.items())
        while page := list(islice(names, _SEQS_PAGE)):
            # Seqs have no gaps, so looking for the next one suffices. The index alone answers this query.
            nexts = [{"org": org, "seq": seq + 1} for org, seq in page]
            with self._database.answered():
                cursor = find(self._journal, {"$or": nexts}, {"_id": 0, "org": 1}).hint(schema.BY_SEQ)
                longer.update(document["org"] for document in cursor)
        return longer

    def by_keys(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Entry]:
        with self._database.answered():
            return self._with_keys(list(keys))

    def starting(self, orgs: Sequence[str], prefix: str) -> Iterator[Entry]:
        end = end_of_prefix(prefix)
        ranges = [{"org": org, "_id": {"$gte": _id(org, prefix), "$lt": _id(org, end)}} for org in orgs]
        with self._database.answered():
            return map(_read, list(self._find({"$or": ranges}, schema.BY_ID)) if ranges else [])

    def by_seq(self, org: str, seq: int) -> Entry | None:
        with self._database.answered():
            return _first(self._find({"org": org, "seq": seq}, schema.BY_SEQ), org, seq)

    def read(self, org: str, where: EntryFilter = EntryFilter(), *, newest_first: bool = False) -> Iterator[Entry]:
        query, index = _query(org, where)
        bounds = {"$gt": -math.inf if where.after is None else where.after}
        bounds |= {} if where.before is None else {"$lt": where.before}
        direction, behind = (-1, "$lt") if newest_first else (1, "$gt")

        def page(seq: float | None, size: int) -> list[Document]:
            within = {**bounds, **({} if seq is None else {behind: seq})}
            cursor = self._find(query | ({"seq": within} if within else {}), index)
            return list(cursor.sort("seq", direction).limit(size))

        documents = self._database.stream(page, bounds.get(behind), lambda document: document["seq"])
        return (entry_of(_bare(document), org) for document in documents)

    def documents(self, org: str, *, seq: int | None = None) -> Iterator[StoredDocument]:
        def page(after: Any, size: int) -> list[Document]:
            cursor = self._find({"org": org, "seq": {"$gt": after}}, schema.BY_SEQ)
            return list(cursor.sort("seq", 1).limit(size))

        if seq is None:
            documents = self._database.stream(page, -math.inf, lambda document: document["seq"])
        else:
            with self._database.answered():
                documents = iter(list(self._find({"org": org, "seq": seq}, schema.BY_SEQ)))
        yield from map(_stored_document, documents)

    def strays(self) -> Iterator[Damaged]:
        # NaN has no place in an order either. The index alone answers this query.
        no_place = {"$or": [{"seq": {"$not": _NUMBERED["seq"]}}, {"org": {"$not": {"$type": "string"}}}]}
        with self._database.answered(STRAY_SECONDS):
            documents = list(self._find(no_place, schema.BY_SEQ).limit(MOST_STRAYS))
        return (stray_of(document) for document in documents)

    def alerts(self, since: Instant, *, org: str | None = None) -> Iterator[Entry]:
        query: Document = {**schema.ALERTING} | ({} if org is None else {"org": org})
        index, fields = (schema.BY_ALERT, ("at", "org", "seq")) if org is None else (schema.BY_ORG_ALERT, ("at", "seq"))

        def place_of(document: Document) -> tuple[Any, ...]:
            return tuple(document[field] for field in fields)

        def page(place: tuple[Any, ...], size: int) -> list[Document]:
            cursor = self._find(query | behind(fields, place), index)
            return list(cursor.sort([(field, 1) for field in fields]).limit(size))

        start = place_of({"at": since, "org": "", "seq": 0})
        return map(_read, self._database.stream(page, start, place_of))

    def alerts_recorded(self, after: Recorded, until: Instant) -> Iterator[Entry]:
        fields = Recorded._fields

        def page(place: Recorded, size: int) -> list[Document]:
            # The range repeats a part of the place, because the server uses only the range as bounds of the index scan.
            within = {**schema.ALERTING, "recorded_at": {"$gte": place.recorded_at, "$lt": until}}
            cursor = self._find(within | behind(fields, place), schema.BY_RECORDED_ALERT)
            return list(cursor.sort([(field, 1) for field in fields]).limit(size))

        documents = self._database.stream(
            page, after, lambda document: Recorded(*(document[field] for field in fields))
        )
        return map(_read, documents)

    def scan(self, *, after: str = "") -> Iterator[Entry]:
        def page(place: tuple[str, int], size: int) -> list[Document]:
            cursor = self._find({"$and": [_NUMBERED, behind(("org", "seq"), place)]}, schema.BY_SEQ)
            return list(cursor.sort([("org", 1), ("seq", 1)]).limit(size))

        documents = self._database.stream(page, (after, MAX_UNITS), lambda document: (document["org"], document["seq"]))
        return map(_read, documents)

    def texts(self, org: str | None = None) -> Iterator[EntryText]:
        entries = self.scan() if org is None else self.read(org)
        return (EntryText(entry["org"], entry["seq"], canonical_bytes(entry)) for entry in entries)

    def orgs(self, *, after: str = "") -> Iterator[str]:
        end: str | None = after
        while end is not None:
            after = end
            with self._database.answered():
                end = self._end_of_page(after)
                # The page's count misses a journal without its first entry, but the range includes it.
                within = {"$gt": after} if end is None else {"$gt": after, "$lte": end}
                names = self._journal.distinct("org", {"org": within})
            yield from sorted(names)

    def _newest(self, org: str) -> Entry | None:
        # Without this condition a seq that is no number would sort behind all numbers.
        cursor = self._find({"org": org, **_NUMBERED}, schema.BY_SEQ)
        return _first(cursor.sort("seq", -1), org)

    def _where_heads_point(self, orgs: Sequence[str]) -> dict[str, Entry]:
        heads = find(self._heads, {"_id": {"$in": orgs}, "head.key": {"$exists": True}}, {"head.key": 1})
        # One condition on all ids takes half the time of one for each (org, seq).
        keys = [(head["_id"], head["head"]["key"]) for head in heads]
        return {org: entry for (org, _), entry in self._with_keys(keys).items()} if keys else {}

    def _with_keys(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Entry]:
        # The ids contain the orgs already; the condition on orgs lets a router choose the shards.
        query = {"_id": {"$in": [_id(org, key) for org, key in keys]}, "org": {"$in": list({org for org, _ in keys})}}
        names = {_id(org, key): (org, key) for org, key in keys}
        entries: dict[tuple[str, str], Entry] = {}
        for document in self._find(query, schema.BY_ID):
            org, key = names[document["_id"]]
            entries[org, key] = entry_of(_bare(document), org, key=key)
        return entries

    def _with_entries(self, orgs: Sequence[str]) -> Sequence[str]:
        """Return the orgs that have a journal, in one query: an import may bring thousands of new ones."""
        return self._journal.distinct("org", {"org": {"$in": orgs}}) if len(orgs) > 1 else orgs

    def _end_of_page(self, after: str) -> str | None:
        firsts = self._journal.find({"seq": 1, "org": {"$gt": after}}, {"_id": 0, "org": 1})
        last = list(firsts.hint(schema.BY_FIRST).sort("org", 1).skip(_ORGS_PAGE - 1).limit(1))
        return last[0]["org"] if last else None

    def _find(self, query: Document, index: str) -> Cursor[Document]:
        # Name the index, because the planner caches a plan that suits one org and reuses it for others.
        return find(self._journal, query).hint(index)


def _first(cursor: Cursor[Document], org: str, seq: int | None = None) -> Entry | None:
    return next((entry_of(_bare(document), org, seq=seq) for document in cursor.limit(1)), None)


def _id(org: str, key: str) -> str:
    # Orgs and keys contain no spaces, so the text is unique.
    return f"{org} {key}"


def _document(entry: Entry) -> Document:
    document = {"_id": _id(entry["org"], entry["key"]), **entry, "moving": entry["amount"] != 0}
    if "alerts" in entry or "low" in entry:
        document["alerting"] = True
    return document


def _bare(document: Document) -> Document:
    """Return the entry in a document, without the added fields. A wrong one stays, and makes the entry malformed."""
    if document["_id"] == _id(document.get("org", ""), document.get("key", "")):
        del document["_id"]
    if document.get("moving") is (document.get("amount") != 0):
        del document["moving"]
    if document.get("alerting") is True and ("alerts" in document or "low" in document):
        del document["alerting"]
    return document


def _stored_document(document: Document) -> StoredDocument:
    return StoredDocument(_bare(document))


def _read(document: Document) -> Entry:
    return entry_of(_bare(document))


def _query(org: str, where: EntryFilter) -> tuple[dict[str, Any], str]:
    """Return the query without the seqs, and the index that yields its results in order of seq."""
    query: dict[str, Any] = {"org": org}
    if where.session is not None:
        kinds = {"kind": {"$in": list(where.kinds)}} if where.kinds else {}
        moving = {"moving": True} if where.moving else {}
        return query | {"session": where.session} | kinds | moving, schema.BY_SESSION
    if not where.kinds and not where.moving:
        return query, schema.BY_SEQ
    # Give every part of the index before seq: the server then merges one ordered run for each combination.
    query["kind"] = {"$in": list(where.kinds or KINDS)}
    query["moving"] = {"$in": [True] if where.moving else [False, True]}
    return query, schema.BY_KIND
