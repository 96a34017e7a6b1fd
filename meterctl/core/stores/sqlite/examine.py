"""Examine the file: its setup, its schema, and this user's rights."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

from meterctl.core.ports import Observation
from meterctl.core.stores.sqlite.database import SqliteDatabase
from meterctl.core.stores.sqlite.place import require_no_lone_log
from meterctl.core.stores.sqlite.schema import OBJECTS, plain

_INIT = "complete it with: meterctl init"


def examine(database: SqliteDatabase) -> list[Observation]:
    require_no_lone_log(database.path)
    # Opening a missing file would create it.
    return list(_observations(database)) if _is_there(database.path) and database.is_made() else []


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True  # the directory is not readable: opening the file raises the error


def _observations(database: SqliteDatabase) -> Iterator[Observation]:
    live = {name: str(sql) for name, sql in database.rows("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")}
    size = database.path.stat().st_size
    yield Observation("store", True, f"{database.path}: {size:,} bytes, SQLite {sqlite3.sqlite_version}")
    yield _journaling(database)
    yield _schema(live)
    yield _rights(database)


def _journaling(database: SqliteDatabase) -> Observation:
    ((mode,),) = database.rows("PRAGMA journal_mode")
    # An immutable file reports no log, so read the mode from its header.
    if mode == "wal" or (database.is_still and _header(database.path)[18:20] == b"\2\2"):
        return Observation("write concern", True, "write-ahead log, on the disk before an entry is acknowledged")
    fix = "the next command switches it; if it switches back, the file is on a network drive: use a local disk"
    return Observation("write concern", False, f"journal mode {mode} instead of wal", fix)


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(100)


def _schema(live: dict[str, str]) -> Observation:
    missing = [name for name in OBJECTS if name not in live]
    other = [name for name, sql in OBJECTS.items() if name in live and plain(live[name]) != plain(sql)]
    if missing:
        return Observation("schema", False, f"missing: {', '.join(missing)}", _INIT)
    if other:
        fix = "another program changed these: drop them, then: meterctl init; then: meterctl verify --all"
        return Observation("schema", False, f"changed: {', '.join(other)}", fix)
    return Observation("schema", True, f"{len(OBJECTS)} tables, indexes and triggers as expected")


def _open_to(path: Path) -> str:
    mode = path.stat().st_mode
    readers = {"its group": stat.S_IRGRP, "every user of this machine": stat.S_IROTH}
    return " and ".join(name for name, right in readers.items() if mode & right)


def _rights(database: SqliteDatabase) -> Observation:
    if not os.access(database.path, os.W_OK):
        fix = "to book, use the account that owns it; reading works as it is"
        return Observation("rights", None, "the file is read-only for this user", fix)
    if not os.access(database.path.parent, os.W_OK):
        fix = "to book, this user needs write access to the directory, for the log beside the file"
        return Observation("rights", None, f"{database.path.parent} is read-only for this user", fix)
    if open_to := _open_to(database.path):
        return Observation("rights", None, f"the journal can be read by {open_to}", f"chmod 600 {database.path}")
    return Observation("rights", True, "may write; triggers refuse to change or remove an entry")
