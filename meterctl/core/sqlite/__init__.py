"""The ports on one SQLite file: no server, several processes at once, safe against kill -9."""

from meterctl.core.sqlite.store import SqliteStore, open_store

__all__ = ["SqliteStore", "open_store"]
