"""The journal on MongoDB. A document is the entry itself, with ``_id``, ``moving`` and
``alerting`` beside it for the indexes."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from pymongo.cursor import Cursor
from pymongo.errors import BulkWriteError

from meterctl.core.domain.canonical import canonical_bytes
from meterctl.core.errors import Damaged
from meterctl.core.model import KINDS, MAX_UNITS, Entry, Instant
from meterctl.core.ports import EntryFilter, EntryText, Recorded, StoredDocument, end_of_prefix
from meterctl.core.stores.border import entry_of, stray_of
from meterctl.core.stores.mongo import schema
from meterctl.core.stores.mongo.database import MOST_STRAYS, STRAY_SECONDS, Document, MongoDatabase, behind, find
from meterctl.core.stores.mongo.failures import duplicates, rejected

#: Orgs that are counted off at once: their names fit an answer of MongoDB, which holds 16 MB, many times over.
_ORGS_PAGE = 10_000

#: Seqs that are asked for at once: each is a condition of its own.
_SEQS_PAGE = 200


#: What has a place in a journal: a seq that is no number is no entry's, and `strays` finds it.
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
                return place if (place := rejected(error)) else duplicates(error)[0]
        return len(entries)

    def tip(self, org: str) -> Entry | None:
        with self._database.answered():
            return self._newest(org)

    def tips(self, orgs: Iterable[str]) -> dict[str, Entry]:
        wanted = list(dict.fromkeys(orgs))
        with self._database.answered():
            found = self._where_heads_point(wanted) if len(wanted) > 1 else {}
            for org in self._with_entries([org for org in wanted if org not in found]):
                newest = self._newest(org)
                if newest is not None:
                    found[org] = newest
        return found

    def grown(self, seqs: Mapping[str, int]) -> set[str]:
        grown: set[str] = set()
        names = iter(seqs.items())
        while page := list(islice(names, _SEQS_PAGE)):
            # No seq is left out, so the next one tells. Answered by the index alone.
            nexts = [{"org": org, "seq": seq + 1} for org, seq in page]
            with self._database.answered():
                found = find(self._journal, {"$or": nexts}, {"_id": 0, "org": 1}).hint(schema.BY_SEQ)
                grown.update(document["org"] for document in found)
        return grown

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
            found = self._find(query | ({"seq": within} if within else {}), index)
            return list(found.sort("seq", direction).limit(size))

        documents = self._database.stream(page, bounds.get(behind), lambda document: document["seq"])
        return (entry_of(_bare(document), org) for document in documents)

    def documents(self, org: str, *, seq: int | None = None) -> Iterator[StoredDocument]:
        def page(after: Any, size: int) -> list[Document]:
            found = self._find({"org": org, "seq": {"$gt": after}}, schema.BY_SEQ)
            return list(found.sort("seq", 1).limit(size))

        if seq is None:
            documents = self._database.stream(page, -math.inf, lambda document: document["seq"])
        else:
            with self._database.answered():
                documents = iter(list(self._find({"org": org, "seq": seq}, schema.BY_SEQ)))
        yield from map(_stored, documents)

    def strays(self) -> Iterator[Damaged]:
        # Numbers that are none are no place in an order either. Looked for in the index alone.
        no_place = {"$or": [{"seq": {"$not": _NUMBERED["seq"]}}, {"org": {"$not": {"$type": "string"}}}]}
        with self._database.answered(STRAY_SECONDS):
            found = list(self._find(no_place, schema.BY_SEQ).limit(MOST_STRAYS))
        return (stray_of(document) for document in found)

    def alerts(self, since: Instant, *, org: str | None = None) -> Iterator[Entry]:
        query: Document = {**schema.ALERTING} | ({} if org is None else {"org": org})
        index, fields = (schema.BY_ALERT, ("at", "org", "seq")) if org is None else (schema.BY_ORG_ALERT, ("at", "seq"))

        def place_of(document: Document) -> tuple[Any, ...]:
            return tuple(document[field] for field in fields)

        def page(place: tuple[Any, ...], size: int) -> list[Document]:
            found = self._find(query | behind(fields, place), index)
            return list(found.sort([(field, 1) for field in fields]).limit(size))

        start = place_of({"at": since, "org": "", "seq": 0})
        return map(_read, self._database.stream(page, start, place_of))

    def alerts_recorded(self, after: Recorded, until: Instant) -> Iterator[Entry]:
        fields = Recorded._fields

        def page(place: Recorded, size: int) -> list[Document]:
            # The range is said once more apart from the place: by it the server enters and leaves the index.
            within = {**schema.ALERTING, "recorded_at": {"$gte": place.recorded_at, "$lt": until}}
            found = self._find(within | behind(fields, place), schema.BY_RECORDED_ALERT)
            return list(found.sort([(field, 1) for field in fields]).limit(size))

        documents = self._database.stream(page, after, lambda found: Recorded(*(found[field] for field in fields)))
        return map(_read, documents)

    def scan(self, *, after: str = "") -> Iterator[Entry]:
        def page(place: tuple[str, int], size: int) -> list[Document]:
            found = self._find({"$and": [_NUMBERED, behind(("org", "seq"), place)]}, schema.BY_SEQ)
            return list(found.sort([("org", 1), ("seq", 1)]).limit(size))

        documents = self._database.stream(page, (after, MAX_UNITS), lambda found: (found["org"], found["seq"]))
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
                # A journal whose first entry was taken out has no place in the page's count, but it is there.
                within = {"$gt": after} if end is None else {"$gt": after, "$lte": end}
                names = self._journal.distinct("org", {"org": within})
            yield from sorted(names)

    def _newest(self, org: str) -> Entry | None:
        # Whatever is no number comes behind all numbers, and is no entry's place.
        found = self._find({"org": org, **_NUMBERED}, schema.BY_SEQ)
        return _first(found.sort("seq", -1), org)

    def _where_heads_point(self, orgs: Sequence[str]) -> dict[str, Entry]:
        heads = find(self._heads, {"_id": {"$in": orgs}, "head.key": {"$exists": True}}, {"head.key": 1})
        # By key, for one condition on all ids is answered in half the time of one on each (org, seq).
        keys = [(head["_id"], head["head"]["key"]) for head in heads]
        return {org: entry for (org, _), entry in self._with_keys(keys).items()} if keys else {}

    def _with_keys(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Entry]:
        # The orgs are in the ids already; naming them tells a router which shards to ask.
        query = {"_id": {"$in": [_id(org, key) for org, key in keys]}, "org": {"$in": list({org for org, _ in keys})}}
        names = {_id(org, key): (org, key) for org, key in keys}
        found: dict[tuple[str, str], Entry] = {}
        for document in self._find(query, schema.BY_ID):
            org, key = names[document["_id"]]
            found[org, key] = entry_of(_bare(document), org, key=key)
        return found

    def _with_entries(self, orgs: Sequence[str]) -> Sequence[str]:
        """Those of ``orgs`` that have a journal: new ones come in thousands, and need not be asked for one by one."""
        return self._journal.distinct("org", {"org": {"$in": orgs}}) if len(orgs) > 1 else orgs

    def _end_of_page(self, after: str) -> str | None:
        firsts = self._journal.find({"seq": 1, "org": {"$gt": after}}, {"_id": 0, "org": 1})
        last = list(firsts.hint(schema.BY_FIRST).sort("org", 1).skip(_ORGS_PAGE - 1).limit(1))
        return last[0]["org"] if last else None

    def _find(self, query: Document, index: str) -> Cursor[Document]:
        # Named, not left to the planner: a plan that suits one org is kept for others that it does not suit.
        return find(self._journal, query).hint(index)


def _first(found: Cursor[Document], org: str, seq: int | None = None) -> Entry | None:
    return next((entry_of(_bare(document), org, seq=seq) for document in found.limit(1)), None)


def _id(org: str, key: str) -> str:
    # Neither an org nor a key holds a space, so no two pairs have the same text.
    return f"{org} {key}"


def _document(entry: Entry) -> Document:
    document = {"_id": _id(entry["org"], entry["key"]), **entry, "moving": entry["amount"] != 0}
    if "alerts" in entry or "low" in entry:
        document["alerting"] = True
    return document


def _bare(document: Document) -> Document:
    """Return the entry in a document. A field beside it that does not fit stays there: no entry has one."""
    if document["_id"] == _id(document.get("org", ""), document.get("key", "")):
        del document["_id"]
    if document.get("moving") is (document.get("amount") != 0):
        del document["moving"]
    if document.get("alerting") is True and ("alerts" in document or "low" in document):
        del document["alerting"]
    return document


def _stored(document: Document) -> StoredDocument:
    return StoredDocument(_bare(document))


def _read(document: Document) -> Entry:
    return entry_of(_bare(document))


def _query(org: str, where: EntryFilter) -> tuple[dict[str, Any], str]:
    """What to look for, but for the seqs, and the index that holds it in order of seq."""
    query: dict[str, Any] = {"org": org}
    if where.session is not None:
        kinds = {"kind": {"$in": list(where.kinds)}} if where.kinds else {}
        moving = {"moving": True} if where.moving else {}
        return query | {"session": where.session} | kinds | moving, schema.BY_SESSION
    if not where.kinds and not where.moving:
        return query, schema.BY_SEQ
    # Every part of the index before seq is spelt out: the server then merges one ordered run per combination.
    query["kind"] = {"$in": list(where.kinds or KINDS)}
    query["moving"] = {"$in": [True] if where.moving else [False, True]}
    return query, schema.BY_KIND
