"""The clock of the MongoDB server."""

from datetime import UTC, datetime
from typing import Any

from meterctl.core.domain.instants import from_datetime
from meterctl.core.model import Instant
from meterctl.core.ports import ClockMark
from meterctl.core.stores.mongo.database import MongoDatabase


class MongoClock:
    has_server = True

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    def server_time(self) -> Instant | None:
        # Use `hello`: other responses carry a cluster time, which follows the clock that is furthest ahead.
        with self._database.answered():
            hello: dict[str, Any] = self._database.client.admin.command("hello")
        local: datetime = hello["localTime"]
        return from_datetime(local.replace(tzinfo=UTC))

    def mark(self) -> ClockMark | None:
        return None

    def leave_mark(self, mark: ClockMark) -> None:
        """Do nothing: the server's clock is the better check."""
