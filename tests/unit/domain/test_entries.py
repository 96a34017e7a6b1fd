"""Entries as they are booked: the text that a store keeps is the one that was hashed."""

from collections.abc import Sequence

import pytest

from meterctl.core.domain.canonical import canonical_bytes, entry_hash
from meterctl.core.domain.entries import BookedEntry, text_of
from meterctl.core.domain.operations import Attribute
from meterctl.core.model import KINDS, Entry
from tests.desk import Desk
from tests.journals import tell_story
from tests.memory_store import MemoryJournal

FEATURES = dict.fromkeys(("hash", "hold", "input", "imported", "prev"), "0.01")


@pytest.fixture
def booked(monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    """Every entry that is appended, as it was booked."""
    found: list[Entry] = []
    append = MemoryJournal.append

    def noted(journal: MemoryJournal, entries: Sequence[Entry]) -> int:
        found.extend(entries)
        return append(journal, entries)

    monkeypatch.setattr(MemoryJournal, "append", noted)
    return found


def test_the_text_is_the_canonical_form_of_every_kind(booked: list[Entry]) -> None:
    tell_story()
    desk = Desk()
    desk.adjust(10**6, "grant")
    for run in ("r1", "r2"):
        assert desk.do(Attribute("acme", run, "main", FEATURES)).applied
    desk.go("2026-11-24T12:00:00Z")
    assert desk.do(Attribute("acme", "r3", "main", FEATURES)).applied  # closes a week that knows these features
    assert {entry["kind"] for entry in booked} == set(KINDS)
    assert {type(entry) for entry in booked} == {BookedEntry}
    for entry in booked:
        assert text_of(entry) == canonical_bytes(entry)
        assert entry["hash"] == entry_hash(entry)


def test_an_entry_that_was_changed_is_written_anew(booked: list[Entry]) -> None:
    tell_story()
    changed: Entry = {**booked[0], "actor": "somebody else"}
    assert text_of(changed) == canonical_bytes(changed)
