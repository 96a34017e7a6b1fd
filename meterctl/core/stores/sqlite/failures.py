"""SQLite's errors, as the errors of a store."""

import sqlite3
from pathlib import Path

from meterctl.core.domain.pattern import lazy_pattern
from meterctl.core.errors import Damaged, MeterctlError, StoreDamaged, StoreUnreachable, StoreUnusable, index_missing

_NO_ANSWER = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}

_BROKEN = {sqlite3.SQLITE_CORRUPT}

#: SQLite's words for a text that is not JSON, and Python's for one that is not UTF-8.
_UNREADABLE_TEXT = lazy_pattern("malformed JSON|Could not decode to UTF-8")

_HINTS = {
    sqlite3.SQLITE_READONLY: "the file is read-only for this user: check its rights and its directory's",
    sqlite3.SQLITE_PERM: "this user may not open the file: check its rights and its directory's",
    sqlite3.SQLITE_CANTOPEN: "check that the path names a file that this user may read, in a directory open to writes",
    sqlite3.SQLITE_FULL: "the disk is full: this write was not stored; make room, then run the same command again",
    sqlite3.SQLITE_NOTADB: "the path names a file that is not a database: check --store",
    sqlite3.SQLITE_IOERR: "reading or writing the disk failed: check it and the free space",
}

_INCOMPLETE = "see it: meterctl doctor; complete it: meterctl init; then check the journals: meterctl verify --all"


def meaning_of(error: sqlite3.Error, path: Path) -> Exception:
    """Return the error to raise for a SQLite error; the same one if it shows a mistake in this program."""
    code = getattr(error, "sqlite_errorcode", None)
    if _UNREADABLE_TEXT.search(str(error)):
        return Damaged(f"{path} holds a text that cannot be read: some of its bytes were changed")
    if code is None:
        return error
    if "no such index" in str(error):
        return index_missing(str(path))
    if "no such table" in str(error):
        return StoreUnusable(f"{path} is incomplete: {error}", hint=_INCOMPLETE)
    primary = code & 0xFF
    if primary in _BROKEN:
        return StoreDamaged(f"{path} is damaged: {error}")
    error_class: type[MeterctlError] = StoreUnreachable if primary in _NO_ANSWER else StoreUnusable
    return error_class(f"{path}: {error}", hint=_HINTS.get(primary))
