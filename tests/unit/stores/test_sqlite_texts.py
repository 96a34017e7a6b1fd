"""Canonical texts as the SQLite store keeps and hands them on."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from meterctl.core.stores.sqlite import SqliteStore
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
