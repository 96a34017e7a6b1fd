"""The store: five repositories over one database file."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from meterctl.core.ports import Clock, Observation
from meterctl.core.stores.sqlite.clock import SqliteClock
from meterctl.core.stores.sqlite.database import SqliteDatabase
from meterctl.core.stores.sqlite.heads import SqliteHeads
from meterctl.core.stores.sqlite.journal import SqliteJournal

if TYPE_CHECKING:
    from meterctl.core.stores.sqlite.claims import SqliteClaims
    from meterctl.core.stores.sqlite.locks import SqliteLocks
    from meterctl.core.stores.sqlite.plans import SqlitePlans


class SqliteStore:
    """The store in the file at ``path``. The first write creates the file and its directory.

    ``timeout_seconds`` limits the wait of one statement for another writer. With ``only_look`` nothing is created or
    changed.
    """

    def __init__(self, path: str, *, timeout_seconds: float = 30.0, only_look: bool = False) -> None:
        self._database = SqliteDatabase(path, timeout_seconds=timeout_seconds, only_look=only_look)
        self.journal = SqliteJournal(self._database)
        self.heads = SqliteHeads(self._database)
        self.clock = SqliteClock(self._database)
        self.together: Callable[[], AbstractContextManager[object]] = self._database.writing
        self.close: Callable[[], None] = self._database.close

    # Load these on first use: most commands need none of them.

    @cached_property
    def claims(self) -> "SqliteClaims":
        from meterctl.core.stores.sqlite.claims import SqliteClaims

        return SqliteClaims(self._database)

    @cached_property
    def plans(self) -> "SqlitePlans":
        from meterctl.core.stores.sqlite.plans import SqlitePlans

        return SqlitePlans(self._database)

    @cached_property
    def locks(self) -> "SqliteLocks":
        from meterctl.core.stores.sqlite.locks import SqliteLocks

        return SqliteLocks(self._database)

    def require_ours(self) -> None:
        self._database.require_ours()

    def init(self) -> list[str]:
        return self._database.complete_schema()

    def examine(self, clock: Clock) -> list[Observation]:  # noqa: ARG002 - the file has no clock of its own
        from meterctl.core.stores.sqlite.examine import examine

        return examine(self._database)

    def roles(self) -> dict[str, dict[str, Any]]:
        return {}

    def damage(self) -> list[str] | None:
        return self._database.damage() or self.clock.damage()

    def describe(self) -> str:
        return f"sqlite:{self._database.path}"
