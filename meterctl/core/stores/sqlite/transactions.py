"""Transactions on one connection, and its write-ahead log."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic

#: Tries and seconds to switch a new file to write-ahead logging while other processes read it.
_SWITCH_TRIES, _SWITCH_SECONDS = 100, 30.0


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # After some errors, such as a full disk, SQLite has rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def save_log(connection: sqlite3.Connection) -> None:
    """Copy the log into the file, and empty it, as far as other connections let it."""
    with suppress(sqlite3.Error):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def log_ahead(connection: sqlite3.Connection) -> None:
    """Switch the file to write-ahead logging; does nothing if that is on already."""
    end = monotonic() + _SWITCH_SECONDS
    for _ in range(_SWITCH_TRIES):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() > end:
                raise
        # The switch waits for readers, but not for a writer or another process that switches. An exclusive
        # transaction does, up to the connection's timeout.
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("ROLLBACK")
