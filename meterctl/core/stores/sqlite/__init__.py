"""The ports on one SQLite file: no server, several processes at once, safe against kill -9."""

from meterctl.core.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
