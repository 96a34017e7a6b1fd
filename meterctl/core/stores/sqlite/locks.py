"""The leases on SQLite."""

from typing import Any

from meterctl.core.errors import Damaged
from meterctl.core.model import Instant
from meterctl.core.ports import Lease
from meterctl.core.stores.border import lease_of
from meterctl.core.stores.sqlite.database import SqliteDatabase

# Right-hand sides see the old row: a renewal keeps acquired_at, a new holder sets it.
_ACQUIRE = """
    INSERT INTO locks (name, holder, acquired_at, expires_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET
        holder = excluded.holder,
        acquired_at = CASE holder WHEN excluded.holder THEN acquired_at ELSE excluded.acquired_at END,
        expires_at = excluded.expires_at
    WHERE holder = excluded.holder OR expires_at <= ? OR expires_at > ?
"""

_FIELDS = "name, holder, acquired_at, expires_at"


class SqliteLocks:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def acquire(self, lease: Lease, now: Instant) -> Lease:
        with self._database.writing() as connection:
            connection.execute(_ACQUIRE, (*lease, now, lease.latest))
            row = connection.execute(f"SELECT {_FIELDS} FROM locks WHERE name = ?", (lease.name,)).fetchone()  # noqa: S608
        in_force = _lease(row)
        return lease if isinstance(in_force, Damaged) else in_force  # correctness does not need the lock

    def release(self, name: str, holder: str) -> bool:
        with self._database.writing() as connection:
            return connection.execute("DELETE FROM locks WHERE name = ? AND holder = ?", (name, holder)).rowcount == 1

    def all(self) -> list[Lease | Damaged]:
        return [_lease(row) for row in self._database.rows(f"SELECT {_FIELDS} FROM locks ORDER BY name")]  # noqa: S608


def _lease(row: tuple[Any, ...]) -> Lease | Damaged:
    return lease_of(dict(zip(Lease._fields, row, strict=True)))
