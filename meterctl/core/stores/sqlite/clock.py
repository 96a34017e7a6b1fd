"""The mark of time in the SQLite file, which replaces a server's clock."""

from meterctl.core.model import Instant
from meterctl.core.ports import ClockMark
from meterctl.core.stores.sqlite.database import SqliteDatabase


class SqliteClock:
    has_server = False

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def server_time(self) -> Instant | None:
        return None

    def mark(self) -> ClockMark | None:
        rows = self._database.rows("SELECT at, pinned FROM clock")
        return ClockMark(rows[0][0], bool(rows[0][1])) if rows else None

    def leave_mark(self, mark: ClockMark) -> None:
        self._database.mark = mark
