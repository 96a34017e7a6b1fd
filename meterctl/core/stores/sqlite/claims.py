"""The claims on SQLite."""

from collections.abc import Iterable, Iterator, Sequence

from meterctl.core.errors import Damaged
from meterctl.core.stores.border import claim_of, undamaged
from meterctl.core.stores.sqlite.database import Database


class SqliteClaims:
    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, wanted: Sequence[tuple[str, str]]) -> dict[str, str]:
        with self._database.writing() as connection:
            connection.executemany("INSERT INTO claims (session, org) VALUES (?, ?) ON CONFLICT DO NOTHING", wanted)
        return self.holders(session for session, _ in wanted)

    def holders(self, sessions: Iterable[str]) -> dict[str, str]:
        statement = "SELECT session, org FROM claims WHERE session = ?"
        claims = (claim_of(*row) for wanted in sessions for row in self._database.rows(statement, (wanted,)))
        return dict(map(undamaged, claims))

    def move(self, session: str, holder: str, to: str) -> bool:
        with self._database.writing() as connection:
            statement = "UPDATE claims SET org = ? WHERE session = ? AND org = ?"
            return connection.execute(statement, (to, session, holder)).rowcount == 1

    def read(self, *, after: str = "") -> Iterator[tuple[str, str] | Damaged]:
        statement = "SELECT session, org FROM claims WHERE session > ? ORDER BY session LIMIT ?"
        return (claim_of(*row) for row in self._database.stream(statement, (after,)))
