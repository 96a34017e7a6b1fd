"""Canonical texts as the SQLite store keeps and hands them on."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from meterctl.core.stores.sqlite import SqliteStore
from meterctl.core.stores.sqlite.database import SqliteDatabase
from tests.builders import make_entries, make_entry


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(str(tmp_path / "j.db"))
    yield opened
    opened.close()


def stored(store: SqliteStore) -> list[bytes]:
    connection = sqlite3.connect(store.describe().removeprefix("sqlite:"))
    with connection:
        rows = connection.execute("SELECT CAST(doc AS BLOB) FROM journal ORDER BY org, seq").fetchall()
    connection.close()
    return [text for (text,) in rows]


def test_a_text_is_handed_on_byte_for_byte(store: SqliteStore) -> None:
    store.journal.append([*make_entries("acme", 3), make_entry("zed", 1, reason='grüße 💶 \\ "')])
    assert [entry.text for entry in store.journal.texts()] == stored(store)


@pytest.mark.parametrize("spaces", ["\n", "\r"])
def test_a_text_of_another_program_takes_one_line(store: SqliteStore, spaces: str) -> None:
    entry = make_entry("acme", 1)
    store.init()
    connection = sqlite3.connect(store.describe().removeprefix("sqlite:"))
    with connection:
        connection.execute("INSERT INTO journal (doc) VALUES (?)", (json.dumps(entry, indent=1).replace("\n", spaces),))
    connection.close()
    (text,) = (entry.text for entry in store.journal.texts())
    assert len(text.splitlines()) == 1
    assert json.loads(text) == entry


def test_a_page_of_long_entries_holds_few_of_them(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.journal.append(make_entries("acme", 300))
    length = len(stored(store)[-1])
    monkeypatch.setattr("meterctl.core.stores.sqlite.database._PAGE_LENGTH", 10 * length)
    sizes = []

    def rows(database: SqliteDatabase, statement: str, parameters: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        sizes.append(parameters[-1])
        return plain(database, statement, parameters)

    plain = SqliteDatabase.rows
    monkeypatch.setattr(SqliteDatabase, "rows", rows)
    assert [entry.seq for entry in store.journal.texts("acme")] == list(range(1, 301))
    assert set(sizes[1:]) <= {9, 10, 11}
