"""Transactions on one connection, and the log that they are written to first."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

#: How often to try to switch a new file to write-ahead logging while other processes look into it.
_SWITCH_TRIES, _SWITCH_SECONDS = 100, 30.0


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite itself has already undone it after some errors, such as a full disk.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def log_ahead(connection: sqlite3.Connection) -> None:
    """Switch the file to write-ahead logging, which it keeps: from then on this only looks."""
    end = monotonic() + _SWITCH_SECONDS
    for _ in range(_SWITCH_TRIES):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() > end:
                raise
        # By itself the switch waits for readers, but not for a writer or for another process that switches. This
        # does, at most for the connection's timeout.
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("ROLLBACK")
