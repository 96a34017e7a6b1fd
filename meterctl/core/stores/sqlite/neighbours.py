"""Noticing, before an entry is appended, that an index is damaged where the entry will stand.

An index whose bytes were changed finds no key, or an old tip, and would let the same operation be booked again. SQLite
notices that only when the whole file is checked. But wherever a record was changed, whoever looks for it passes that
record last: it is the next one before or behind the place. So comparing both with the entries they point at finds it.

That takes as long as appending an entry does. A file that is run again books few entries in a chunk, and each of them
is looked at; of a chunk of new ones some are. `Database.damage` looks at everything.
"""

import json
import sqlite3
from collections.abc import Sequence

from meterctl.core.errors import StoreDamaged
from meterctl.core.model import Entry


def _beside(index: str, column: str) -> str:
    """Return the statement that finds one of some places beside which the index differs from its entry."""

    def differs(order: str, direction: str) -> str:
        # The inner query is answered by the index alone. Else SQLite would compute the columns from the entry.
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


#: Places of a chunk that are looked at, evenly spread: they add some hundredths to the time of a long one.
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
