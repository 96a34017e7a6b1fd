"""The claims on SQLite."""

import json
from collections.abc import Iterable, Iterator, Sequence

from meterctl.core.errors import Damaged, undamaged
from meterctl.core.model import Claim
from meterctl.core.stores.border import claim_of
from meterctl.core.stores.sqlite.database import SqliteDatabase

_TAKE = "INSERT INTO claims (name, org, session) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_HOLDERS = "SELECT name, org, session FROM json_each(?) CROSS JOIN claims ON name = value"
_MOVE = "UPDATE claims SET org = ?, session = ? WHERE name = ? AND org = ? AND session = ?"
_READ = "SELECT name, org, session FROM claims WHERE name > ? ORDER BY name LIMIT ?"


class SqliteClaims:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def take(self, requested: Sequence[Claim]) -> dict[str, Claim]:
        with self._database.writing() as connection:
            connection.executemany(_TAKE, requested)
        return self.holders(claim.name for claim in requested)

    def holders(self, names: Iterable[str]) -> dict[str, Claim]:
        rows = self._database.rows(_HOLDERS, (json.dumps(list(names)),))
        return {claim.name: claim for claim in undamaged(claim_of(*row) for row in rows)}

    def move(self, holder: Claim, to: Claim) -> bool:
        with self._database.writing() as connection:
            return connection.execute(_MOVE, (to.org, to.session, *holder)).rowcount == 1

    def read(self, *, after: str = "") -> Iterator[Claim | Damaged]:
        return (claim_of(*row) for row in self._database.stream(_READ, (after,)))
