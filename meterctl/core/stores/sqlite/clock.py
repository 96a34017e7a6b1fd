"""The mark of time in the SQLite file, which replaces a server's clock."""

from meterctl.core.domain.value_shape import is_instant
from meterctl.core.errors import StoreDamaged
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
        if not rows:
            return None
        at, is_pinned = rows[0]
        if not is_instant(at):
            raise StoreDamaged(f"{self._database.path} does not tell when it was last written: {at!r} is no time")
        return ClockMark(at, bool(is_pinned))

    def damage(self) -> list[str]:
        """Return the problem of the mark, if there is one."""
        try:
            self.mark()
        except StoreDamaged as problem:
            return [problem.message]
        return []

    def leave_mark(self, mark: ClockMark) -> None:
        self._database.mark = mark
