"""The journal on SQLite."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from meterctl.core.domain.canonical import canonical_bytes, parse_json
from meterctl.core.domain.entries import text_of
from meterctl.core.errors import Damaged, StoreUnusable
from meterctl.core.model import KINDS, MAX_UNITS, Entry, Instant
from meterctl.core.ports import EntryFilter, EntryText, Recorded, StoredDocument
from meterctl.core.stores.border import entry_of, parsed
from meterctl.core.stores.key_range import end_of_prefix
from meterctl.core.stores.sqlite.database import SqliteDatabase
from meterctl.core.stores.sqlite.neighbours import check_neighbours

_INSERT = "INSERT INTO journal (doc) VALUES (?)"
_TIP = "SELECT doc FROM journal WHERE org = ? ORDER BY seq DESC LIMIT 1"
_STARTING = """
    SELECT doc FROM json_each(?) AS orgs CROSS JOIN journal ON org = orgs.value
    WHERE journal.key >= ? AND journal.key < ?
"""
_BY_SEQ = "SELECT doc FROM journal WHERE org = ? AND seq = ?"

# One statement takes many values as a JSON array, in a third of the time of a statement for each.
_TIPS = """
    SELECT value, (SELECT doc FROM journal WHERE org = value ORDER BY seq DESC LIMIT 1) FROM json_each(?)
"""
_GROWN = """
    SELECT org FROM json_each(?) CROSS JOIN journal INDEXED BY journal_seq
    ON org = json_extract(value, '$[0]') AND seq = json_extract(value, '$[1]') + 1
"""
_BY_KEYS = """
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), doc
    FROM json_each(?) CROSS JOIN journal INDEXED BY journal_key
    ON org = json_extract(value, '$[0]') AND journal.key = json_extract(value, '$[1]')
"""

# Starts after an org, at the greatest possible seq.
_SCAN = "SELECT org, seq, doc FROM journal WHERE (org, seq) > (?, ?) ORDER BY org, seq LIMIT ?"

_TEXTS_OF_ORG = "SELECT org, seq, doc FROM journal WHERE org = ? AND seq > ? ORDER BY seq LIMIT ?"

# No entry has seq 0, so these start with the first entry at the instant.
_ALERTS = """
    SELECT at, org, seq, doc FROM journal WHERE alerting AND (at, org, seq) > (?, ?, ?) ORDER BY at, org, seq LIMIT ?
"""
_ALERTS_OF_ORG = """
    SELECT at, seq, doc FROM journal WHERE alerting AND org = ? AND (at, seq) > (?, ?) ORDER BY at, seq LIMIT ?
"""

# The expression must be spelled as in its index, or SQLite does not use the index. For an expression SQLite takes no
# bound from a row comparison, so the range is repeated by itself.
_ALERTS_RECORDED = """
    SELECT json_extract(doc, '$.recorded_at'), org, seq, doc FROM journal
    WHERE alerting AND json_extract(doc, '$.recorded_at') >= ? AND json_extract(doc, '$.recorded_at') < ?
        AND (json_extract(doc, '$.recorded_at'), org, seq) > (?, ?, ?)
    ORDER BY json_extract(doc, '$.recorded_at'), org, seq LIMIT ?
"""

# Skips from org to org instead of reading every entry.
_ORGS = """
    WITH RECURSIVE found (org) AS (
        SELECT min(org) FROM journal WHERE org > ?
        UNION ALL
        SELECT (SELECT min(org) FROM journal WHERE org > found.org) FROM found WHERE org IS NOT NULL
        LIMIT ?
    )
    SELECT org FROM found WHERE org IS NOT NULL
"""


class SqliteJournal:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def append(self, entries: Sequence[Entry]) -> int:
        self._database.require_indexes()
        with self._database.writing() as connection:
            check_neighbours(connection, entries)
            before = connection.total_changes
            try:
                connection.executemany(_INSERT, ((text_of(entry).decode(),) for entry in entries))
            except sqlite3.IntegrityError as error:
                if connection.total_changes == before and error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
                    raise _rejection(entries[0], error) from error
            return connection.total_changes - before

    def tip(self, org: str) -> Entry | None:
        rows = self._database.rows(_TIP, (org,))
        return entry_of(rows[0][0], org) if rows else None

    def tips(self, orgs: Iterable[str]) -> dict[str, Entry]:
        rows = self._database.rows(_TIPS, (json.dumps(list(orgs)),))
        return {org: entry_of(doc, org) for org, doc in rows if doc is not None}

    def grown(self, seqs: Mapping[str, int]) -> set[str]:
        return {org for (org,) in self._database.rows(_GROWN, (json.dumps(list(seqs.items())),))}

    def by_keys(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Entry]:
        rows = self._database.rows(_BY_KEYS, (json.dumps(list(keys)),))
        return {(org, key): entry_of(doc, org, key=key) for org, key, doc in rows}

    def starting(self, orgs: Sequence[str], prefix: str) -> Iterator[Entry]:
        rows = self._database.rows(_STARTING, (json.dumps(list(orgs)), prefix, end_of_prefix(prefix)))
        return (entry_of(doc) for (doc,) in rows)

    def by_seq(self, org: str, seq: int) -> Entry | None:
        rows = self._database.rows(_BY_SEQ, (org, seq))
        return entry_of(rows[0][0], org, seq=seq) if rows else None

    def read(self, org: str, where: EntryFilter = EntryFilter(), *, newest_first: bool = False) -> Iterator[Entry]:
        arms = _arms(org, where)
        after = 0 if where.after is None else where.after
        before = MAX_UNITS + 1 if where.before is None else where.before

        def parameters(position: tuple[Any, ...]) -> tuple[Any, ...]:
            bounds = (after, *position) if newest_first else (*position, before)
            return tuple(value for arm in arms for value in (*arm.values, *bounds))

        start = (before if newest_first else after,)
        rows = self._database.stream(_merge(arms, newest_first), start, parameters)
        return (entry_of(doc, org, seq=seq) for seq, doc in rows)

    def documents(self, org: str, *, seq: int | None = None) -> Iterator[StoredDocument]:
        if seq is None:
            rows = self._database.stream(_TEXTS_OF_ORG, (org, 0))
        else:
            rows = iter(self._database.rows(_BY_SEQ, (org, seq)))
        for row in rows:
            yield _stored_document(row[-1])

    def strays(self) -> Iterator[Damaged]:
        return iter(())  # the table's checks refuse them, and `SqliteDatabase.damage` verifies the checks

    def alerts(self, since: Instant, *, org: str | None = None) -> Iterator[Entry]:
        if org is None:
            rows = self._database.stream(_ALERTS, (since, "", 0))
        else:
            rows = self._database.stream(_ALERTS_OF_ORG, (since, 0), lambda position: (org, *position))
        return (entry_of(row[-1]) for row in rows)

    def alerts_recorded(self, after: Recorded, until: Instant) -> Iterator[Entry]:
        rows = self._database.stream(_ALERTS_RECORDED, after, lambda place: (place[0], until, *place))
        return (entry_of(row[-1]) for row in rows)

    def scan(self, *, after: str = "") -> Iterator[Entry]:
        return (entry_of(doc, org, seq=seq) for org, seq, doc in self._database.stream(_SCAN, (after, MAX_UNITS)))

    def texts(self, org: str | None = None) -> Iterator[EntryText]:
        if org is None:
            rows = self._database.stream(_SCAN, ("", MAX_UNITS))
        else:
            rows = self._database.stream(_TEXTS_OF_ORG, (org, 0))
        return (EntryText(org, seq, _on_one_line(doc)) for org, seq, doc in rows)

    def orgs(self, *, after: str = "") -> Iterator[str]:
        return (org for (org,) in self._database.stream(_ORGS, (after,)))


class _Arm(NamedTuple):
    """A condition whose entries one index yields in order of seq."""

    condition: str
    values: tuple[Any, ...]


def _arms(org: str, where: EntryFilter) -> list[_Arm]:
    """Return disjoint conditions that together cover all entries that match."""
    kinds = tuple(dict.fromkeys(where.kinds))
    if where.session is not None:
        # A session has few entries, so the other conditions need no index.
        of_kinds = f" AND kind IN ({', '.join('?' * len(kinds))})" if kinds else ""
        condition = "org = ? AND session = ?" + of_kinds + (" AND moving" if where.moving else "")
        return [_Arm(condition, (org, where.session, *kinds))]
    if not kinds and not where.moving:
        return [_Arm("org = ?", (org,))]
    return [
        _Arm("org = ? AND kind = ? AND moving = ?", (org, kind, moving))
        for kind in kinds or KINDS
        for moving in ((1,) if where.moving else (0, 1))
    ]


def _merge(arms: Sequence[_Arm], newest_first: bool) -> str:
    """Return one query over all arms.

    Each arm yields its rows in order from an index, and SQLite merges them. So a page costs the same anywhere in the
    journal, no matter how many other entries lie between.
    """
    selects = (f"SELECT seq, doc FROM journal WHERE {arm.condition} AND seq > ? AND seq < ?" for arm in arms)  # noqa: S608
    return " UNION ALL ".join(selects) + f" ORDER BY seq {'DESC' if newest_first else 'ASC'} LIMIT ?"


def _stored_document(doc: Any) -> StoredDocument:
    # A damaged page may hold a value of another type.
    return StoredDocument(parsed(doc), doc.encode()) if isinstance(doc, str) else StoredDocument(doc)


def _on_one_line(doc: str) -> bytes:
    """Return a stored text on one line, for exports. Only another program writes texts with line ends."""
    return canonical_bytes(parse_json(doc)) if "\n" in doc or "\r" in doc else doc.encode()


def _rejection(entry: Entry, error: sqlite3.IntegrityError) -> StoreUnusable:
    return StoreUnusable(
        f"the store rejects entry {entry['seq']} of {entry['org']} ({entry['kind']}): {error}",
        hint="nothing was stored; this is a mistake in meterctl or in an edited saved plan: please report it",
        code="entry_rejected",
    )
