"""Detect a damaged index at the position of a new entry, before the append.

An index with changed bytes misses a key, or returns an old tip, so the same operation could be booked again. SQLite
detects this only by checking the whole file. But a search that misses a changed record ends right beside it. So it is
enough to compare the records before and after the position with their entries.

A comparison takes as long as appending an entry. A file that is run again books few entries in a chunk, and all of them
are checked; of a chunk of new entries only some are. `SqliteDatabase.damage` checks the whole file.
"""

import json
import sqlite3
from collections.abc import Sequence

from meterctl.core.errors import StoreDamaged
from meterctl.core.model import Entry


def _beside(index: str, column: str) -> str:
    """Return the statement that finds a place whose neighbours in the index differ from their entries."""

    def differs(order: str, direction: str) -> str:
        # The index alone answers the inner query; otherwise SQLite would compute the columns from the entry.
        return f"""
            SELECT (org, {column}) IS NOT (json_extract(doc, '$.org'), json_extract(doc, '$.{column}'))
            FROM (
                SELECT rowid AS entry, org, {column} FROM journal INDEXED BY {index}
                WHERE (org, {column}) {order} (place.org, place.{column})
                ORDER BY org {direction}, {column} {direction} LIMIT 1
            ) LEFT JOIN (SELECT rowid AS there, doc FROM journal) ON there = entry
        """  # noqa: S608

    return f"""
        WITH place AS (
            SELECT json_extract(value, '$[0]') AS org, json_extract(value, '$[1]') AS {column} FROM json_each(?)
        )
        SELECT org FROM place WHERE ({differs("<", "DESC")}) OR ({differs(">", "ASC")}) LIMIT 1
    """  # noqa: S608


#: Places of a chunk to check, evenly spread: they add a few percent to the time of a long chunk.
_MOST_PLACES = 32

_BESIDE_KEYS = _beside("journal_key", "key")
_BESIDE_SEQS = _beside("journal_seq", "seq")


def check_neighbours(connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Raise `StoreDamaged` if an index is damaged beside the places of ``entries``, which are in order of seq."""
    firsts: dict[str, int] = {}
    for entry in entries:
        firsts.setdefault(entry["org"], entry["seq"])
    keys: list[tuple[str, object]] = [(entry["org"], entry["key"]) for entry in entries]
    for statement, places in ((_BESIDE_KEYS, keys), (_BESIDE_SEQS, list(firsts.items()))):
        some = places[:: -(-len(places) // _MOST_PLACES)] if places else []
        for (org,) in connection.execute(statement, (json.dumps(some),)):
            raise StoreDamaged(f"an index of the store is damaged near the entries of {org}: nothing was booked")
