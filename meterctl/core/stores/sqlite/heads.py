"""The heads on SQLite."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from meterctl.core.domain.canonical import canonical_bytes
from meterctl.core.errors import Damaged
from meterctl.core.model import Instant
from meterctl.core.ports import DueOrg, Head
from meterctl.core.stores.border import due_page, head_of, parsed
from meterctl.core.stores.sqlite.database import SqliteDatabase

_FIELDS = ", ".join(Head._fields)

_PUT = f"""
    INSERT INTO heads ({_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (org) DO UPDATE SET
        seq = excluded.seq, key = excluded.key, hash = excluded.hash, state = excluded.state,
        balance = excluded.balance, at = excluded.at, next_expiry = excluded.next_expiry,
        next_due = excluded.next_due
    WHERE excluded.seq >= heads.seq
"""  # noqa: S608

_GET = f"SELECT {_FIELDS} FROM (SELECT value FROM json_each(?)) CROSS JOIN heads ON org = value"  # noqa: S608
_READ = f"SELECT {_FIELDS} FROM heads WHERE org > ? ORDER BY org LIMIT ?"  # noqa: S608

# The index alone answers this query.
_DUE = """
    SELECT next_due, org FROM heads INDEXED BY heads_due
    WHERE next_due <= ? AND (next_due, org) > (?, ?) ORDER BY next_due, org LIMIT ?
"""


class SqliteHeads:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def put(self, heads: Sequence[Head]) -> None:
        # Heads can be rebuilt from the journal, so the write does not wait for the disk.
        with self._database.writing(durable=False) as connection:
            rows = ((*head[:4], canonical_bytes(head.state).decode(), *head[5:]) for head in heads)
            connection.executemany(_PUT, rows)

    def get(self, orgs: Iterable[str]) -> dict[str, Head | Damaged]:
        return {row[0]: _head(row) for row in self._database.rows(_GET, (json.dumps(list(orgs)),))}

    def due(self, at: Instant, *, after: DueOrg | None = None, limit: int = 1000) -> list[DueOrg]:
        def page(behind: DueOrg | None, size: int) -> list[DueOrg]:
            return [DueOrg(*row) for row in self._database.rows(_DUE, (at, *(behind or ("", "")), size))]

        return due_page(page, after, limit)

    def ahead(self, of: Instant, limit: int) -> list[tuple[str, Instant]]:
        return list(self._database.rows("SELECT org, at FROM heads WHERE at > ? ORDER BY org LIMIT ?", (of, limit)))

    def read(self, *, after: str = "") -> Iterator[Head | Damaged]:
        return map(_head, self._database.stream(_READ, (after,)))

    def replace(self, heads: Sequence[Head]) -> None:
        with self._database.writing(durable=False) as connection:
            connection.executemany("DELETE FROM heads WHERE org = ?", ((head.org,) for head in heads))
            self.put(heads)


def _head(row: tuple[Any, ...]) -> Head | Damaged:
    fields = dict(zip(Head._fields, row, strict=True))
    return head_of(fields | {"state": parsed(fields["state"])})
