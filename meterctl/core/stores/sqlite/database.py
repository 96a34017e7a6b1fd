"""Connections to one SQLite file.

Each thread has its own connection, and each write its own ``BEGIN IMMEDIATE`` transaction. All connections are closed
before the process forks: a child inherits SQLite's notes of locks that only its parent holds, so its writes would be
unprotected and acknowledged entries could be lost.
"""

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from meterctl.core.errors import StoreDamaged, StoreUnreachable, StoreUnusable, index_missing
from meterctl.core.ports import ClockMark
from meterctl.core.stores.sqlite.failures import meaning_of
from meterctl.core.stores.sqlite.place import (
    Standing,
    identity_of,
    make_private,
    require_no_lone_log,
    standing_of,
    way_to_read,
)
from meterctl.core.stores.sqlite.schema import (
    OBJECTS,
    SCHEMA_VERSION,
    create_missing,
    keeps_unique,
    object_names,
)
from meterctl.core.stores.sqlite.transactions import log_ahead, save_log, transaction

#: Generated columns came with this version.
_OLDEST_SQLITE = (3, 31, 0)

#: Pages that a connection may cache, as KiB. A page has entries of several orgs, so whoever reads journal after journal
#: needs those of some thousand entries at hand; a large batch of writes needs the indexes. Neither gains from more.
_READ_CACHE_KIB, _WRITE_CACHE_KIB = 8 * 1024, 16 * 1024

#: Pages in the write-ahead log after which they are copied into the file. Fewer cost batches a third of their
#: speed; the log stays below some 20 MB either way, which takes milliseconds to read again after a crash.
_PAGES_PER_CHECKPOINT = 4000

#: Rows of a stream's first page; each later one is twice as long, up to the last number.
_FIRST_PAGE, _LONGEST_PAGE = 32, 512

#: Target length of a page in characters, estimated from the page before: entries of orgs with many lots are long.
_PAGE_LENGTH = 2 * 1024 * 1024

#: Tries of a read that another process's write interrupts.
_STILL_TRIES = 5

#: Problems of the file to report one by one.
_MOST_DAMAGE = 10

#: The mark only moves forward, except that a real clock replaces the mark of a pinned one.
_LEAVE_MARK = """
    INSERT INTO clock (only, at, pinned) VALUES (1, ?, ?)
    ON CONFLICT (only) DO UPDATE SET at = excluded.at, pinned = pinned AND excluded.pinned
    WHERE excluded.at > at OR (pinned AND NOT excluded.pinned)
"""

_Row = tuple[Any, ...]


class _Link:
    """One thread's connection. Its lock is only ever contended by `SqliteDatabase.close` and by a fork."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.connection: sqlite3.Connection | None = None
        #: True if a commit waits for the disk; None before the first.
        self.durable: bool | None = None
        #: The file when it was opened as immutable, so that SQLite does not notice changes; else None.
        self.standing: Standing | None = None

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.connection = None
        self.durable = self.standing = None


class SqliteDatabase:
    """A SQLite file, its schema, and one connection per thread, opened on first use.

    With ``only_look`` the file must exist and is never changed.
    """

    def __init__(self, path: str, *, timeout_seconds: float, only_look: bool = False) -> None:
        self.path = Path(path).absolute()
        self._timeout_seconds = timeout_seconds
        self._only_look = only_look
        # By thread id. The system reuses an id only after its thread ended, so the new thread inherits the link.
        self._links: dict[int, _Link] = {}
        self._gate = threading.RLock()
        # Objects created on opening the file, for the report of `complete_schema`.
        self._created: list[str] = []
        self._ready = False
        #: Stored with the next transaction, if any.
        self.mark: ClockMark | None = None
        # Device and inode of the file opened first. A different file under the same name is a different store.
        self._file: tuple[int, int] | None = None
        # The URI option for a file that this user may only read; None if writable.
        self._way: str | None = None
        _databases.add(self)

    def rows(self, statement: str, parameters: _Row = ()) -> list[_Row]:
        """Return all rows of a query; none if the file does not exist yet, which is then not created.

        The read ends here, so that no page of a stream keeps a later writer's log open.
        """
        if self._is_absent():
            return []
        for _ in range(_STILL_TRIES):
            with self._link() as (link, connection):
                rows = connection.execute(statement, parameters).fetchall()
                if link.standing is None or link.standing == standing_of(self.path):
                    return rows
                link.close()  # its cached pages are out of date
        raise StoreUnreachable(f"{self.path} was written to each time it was read")

    def stream(
        self, statement: str, start: _Row, parameters: Callable[[_Row], _Row] = lambda position: position
    ) -> Iterator[_Row]:
        """Stream the rows of a query, page by page.

        A row begins with its position. ``parameters`` turns the last position, initially ``start``, into the parameters
        before ``LIMIT ?``. The first page is short, because many callers read no further.
        """
        position, size = start, _FIRST_PAGE
        while page := self.rows(statement, (*parameters(position), size)):
            yield from page
            if len(page) < size:
                return
            position, size = page[-1][: len(start)], min(2 * size, _LONGEST_PAGE, _fitting(page))

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Run the block in a transaction: commit at its end, roll back if it raises. Inside `together`, join that one.

        ``durable`` False skips the wait for the disk, for data that can be computed again.
        """
        with self._link() as (link, connection):
            if connection.in_transaction:
                yield connection
                return
            if link.durable is None:
                connection.execute(f"PRAGMA cache_size = -{_WRITE_CACHE_KIB}")
            if durable != link.durable:
                # In this mode FULL syncs the log on every commit, NORMAL only before it is copied into the file. Both
                # survive a crash of the process; only FULL survives a loss of power.
                connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                link.durable = durable
            mark = self.mark
            with transaction(connection):
                yield connection
                if mark is not None:
                    connection.execute(_LEAVE_MARK, mark)
                # Later processes would not find a commit in a file that was moved or replaced.
                if identity_of(self.path) != self._file:
                    raise self._moved()
            if mark is not None and self.mark == mark:
                self.mark = None

    def _moved(self) -> StoreUnusable:
        return StoreUnusable(
            f"{self.path} was moved or replaced while it was open; this write was not stored",
            hint="earlier writes are in the file that was moved: put it back, or run the same command again on the "
            "new file",
            code="store_moved",
        )

    @property
    def is_still(self) -> bool:
        """Return True if the file is opened as immutable, so SQLite does not notice changes."""
        return self._way is not None and "immutable" in self._way

    def is_made(self) -> bool:
        """Return True if the file holds a store, False if it is empty. Raise `StoreUnusable` for another database."""
        with self._link() as (_, connection):
            # Read the names first: a process that creates the schema sets its version in the same transaction.
            names = object_names(connection)
            created = self._has_schema(connection)
        if names and not created:
            raise self._other_program()
        return created

    def require_ours(self) -> None:
        """Raise `StoreUnusable` for a file of another program. Makes no store of an empty file."""
        try:
            is_empty = self.path.is_file() and self.path.stat().st_size == 0
        except OSError:  # opening it raises the error with its reason
            is_empty = False
        if not is_empty:
            self.rows("SELECT 1")

    def require_indexes(self) -> None:
        """Raise `StoreUnusable` before the first append if no index keeps seqs and keys unique."""
        if self._ready:
            return
        with self._link() as (_, connection):
            if not keeps_unique(connection):
                raise index_missing(str(self.path))
        self._ready = True

    def complete_schema(self) -> list[str]:
        """Create the missing parts of the schema; return a line for each object."""
        with self.writing() as connection:
            created = {*self._created, *create_missing(connection)}
        return [f"{name}: {'made' if name in created else 'found'}" for name in OBJECTS]

    def damage(self) -> list[str] | None:
        """Return the first problems that SQLite reports in pages, indexes and checks of the file."""
        try:
            problems = self.rows(f"PRAGMA integrity_check({_MOST_DAMAGE})")
        except StoreDamaged as problem:
            return [problem.message]
        return [line for (line,) in problems if line != "ok"]

    def close(self) -> None:
        """Close the connections of all threads, once their current statements end."""
        with self._gate:
            for link in self._links.values():
                with link.lock:
                    self._close(link)

    def pause(self) -> None:
        """Close every connection and let no thread open another one until `resume`."""
        self._gate.acquire()
        for link in self._links.values():
            link.lock.acquire()
            self._close(link)

    def _close(self, link: _Link) -> None:
        """Close a connection. SQLite leaves the log of a file that was moved away behind, so copy it into the file."""
        if link.connection is not None and self._file is not None and identity_of(self.path) is None:
            save_log(link.connection)
        link.close()

    def resume(self) -> None:
        for link in self._links.values():
            link.lock.release()
        self._gate.release()

    def _is_absent(self) -> bool:
        link = self._links.get(threading.get_ident())
        if self._only_look or (link is not None and link.connection is not None):
            return False
        try:
            self.path.stat()
        except FileNotFoundError:
            require_no_lone_log(self.path)
            return True
        except OSError:  # opening it raises the error with its reason
            return False
        return False

    @contextmanager
    def _link(self) -> Iterator[tuple[_Link, sqlite3.Connection]]:
        link = self._links.get(threading.get_ident())
        if link is None:
            with self._gate:
                link = self._links[threading.get_ident()] = _Link()
        try:
            with link.lock:
                if link.connection is None:
                    link.connection = self._connect()
                    if self._way is not None and self.is_still:
                        link.standing = standing_of(self.path)
                    self._prepare(link)
                yield link, link.connection
        except sqlite3.Error as error:
            raise meaning_of(error, self.path) from error
        except UnicodeDecodeError as error:  # SQLite quotes a damaged name, and Python cannot read the message
            raise StoreDamaged(f"{self.path} is damaged: SQLite's message about it is no text") from error

    def _connect(self) -> sqlite3.Connection:
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise StoreUnusable(
                f"this Python's SQLite is {sqlite3.sqlite_version}; the embedded store needs 3.31 or later",
                hint="use a newer Python, or keep the journal in MongoDB",
            )
        self._way = way_to_read(self.path)
        if is_read := self._way is not None or self._only_look:
            # Not "ro" where there is a choice: with it SQLite leaves the log's files behind.
            place = f"{self.path.as_uri()}?{self._way or 'mode=rw'}"
        else:
            require_no_lone_log(self.path)
            if not os.path.exists(self.path):  # noqa: PTH110 - an error counts as absent
                make_private(self.path)
            place = str(self.path)
        return sqlite3.connect(
            place,
            uri=is_read,
            timeout=self._timeout_seconds,
            isolation_level=None,  # transactions begin and end where this file says so
            check_same_thread=False,  # closed by whichever thread closes the store
        )

    def _prepare(self, link: _Link) -> None:
        """Set up a connection that was just opened; close it if that fails."""
        connection = link.connection
        assert connection is not None
        try:
            connection.execute(f"PRAGMA cache_size = -{_READ_CACHE_KIB}")
            # Report pages whose cells overlap as soon as they are read.
            connection.execute("PRAGMA cell_size_check = TRUE")
            if self._only_look or self._way is not None:
                self._prepare_to_read(connection)
                return
            if not self._has_schema(connection):
                self._create(connection)
            log_ahead(connection)
            connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_PER_CHECKPOINT}")
            self._file = self._file or identity_of(self.path)
        except BaseException:
            link.close()
            raise

    def _prepare_to_read(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA query_only = TRUE")
        if not self._only_look and not self._has_schema(connection):
            message = f"{self.path} holds no store yet, and this user may not create one in it"
            raise StoreUnusable(message, hint="run as a user who may write to the file: meterctl init")

    def _has_schema(self, connection: sqlite3.Connection) -> bool:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version in (0, SCHEMA_VERSION):
            return bool(version == SCHEMA_VERSION)
        raise StoreUnusable(
            f"{self.path} has schema version {version}; this program knows version {SCHEMA_VERSION}",
            hint="use the version of meterctl that wrote it, or check --store",
        )

    def _create(self, connection: sqlite3.Connection) -> None:
        with transaction(connection):
            # Another process may have created it meanwhile.
            if self._has_schema(connection):
                return
            if object_names(connection):
                raise self._other_program()
            self._created = create_missing(connection)

    def _other_program(self) -> StoreUnusable:
        return StoreUnusable(
            f"{self.path} is a database of another program; nothing in it was changed",
            hint="choose another place with --store sqlite:PATH",
        )


def _fitting(page: list[_Row]) -> int:
    """Return the number of rows like these that fit a page. The last value of a row is its longest."""
    length = sum(len(row[-1]) for row in page if isinstance(row[-1], str))
    return max(1, _PAGE_LENGTH * len(page) // max(1, length))


_databases: weakref.WeakSet[SqliteDatabase] = weakref.WeakSet()
_closed_databases: list[SqliteDatabase] = []


def _before_fork() -> None:
    _closed_databases.extend(_databases)
    for database in _closed_databases:
        database.pause()


def _after_fork() -> None:
    while _closed_databases:
        _closed_databases.pop().resume()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
