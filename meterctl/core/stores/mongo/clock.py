"""The clock of the MongoDB server."""

from datetime import UTC, datetime
from typing import Any

from meterctl.core.domain.instants import from_datetime
from meterctl.core.model import Instant
from meterctl.core.ports import ClockMark
from meterctl.core.stores.mongo.database import MongoDatabase


class MongoClock:
    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    def server_time(self) -> Instant | None:
        # The answers to other commands carry a cluster time, which counts seconds of whatever node ran furthest ahead.
        with self._database.answered():
            hello: dict[str, Any] = self._database.client.admin.command("hello")
        local: datetime = hello["localTime"]
        return from_datetime(local.replace(tzinfo=UTC))

    def mark(self) -> ClockMark | None:
        return None

    def leave_mark(self, mark: ClockMark) -> None:
        """Keep none: the server's clock tells more."""
