"""An export is imported window by window, on every kind of store."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from meterctl.core.domain.operations import Adjust, Debit, Request
from meterctl.core.imports import export_file
from meterctl.core.imports.appender import Appender
from meterctl.core.imports.export_file import import_export
from meterctl.core.model import Entry
from meterctl.core.ports import Head, Store
from meterctl.core.reads.export_lines import entry_texts, whole_store
from meterctl.core.verify import verify_all
from tests.desk import Desk
from tests.memory_store import MemoryStore
from tests.stores import KINDS, made_store

ORGS, ENTRIES = ("acme", "bolt", "cord"), 7


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with made_store(request.param, tmp_path) as store:
        yield store


@pytest.fixture
def export() -> bytes:
    desk = Desk(MemoryStore())
    for org in ORGS:
        requests = [Request(Adjust(org, 100, "grant"), "ops", "a grant")]
        requests += [Request(Debit(org, 1, f"d{number}"), "ops") for number in range(ENTRIES - 1)]
        assert all(receipt.applied for receipt in desk.ledger.execute(requests))
    return b"".join(whole_store(desk.store))


def texts(store: Store) -> bytes:
    return b"".join(entry_texts(store))


@pytest.mark.parametrize(("lines", "size"), [(4, 10**6), (2000, 1000), (1, 10**6)])
def test_an_import_in_windows_brings_every_entry_and_head(
    store: Store, export: bytes, monkeypatch: pytest.MonkeyPatch, lines: int, size: int
) -> None:
    monkeypatch.setattr(export_file, "WINDOW", lines)
    monkeypatch.setattr(export_file, "WINDOW_BYTES", size)
    assert import_export(BytesIO(export), "export", store).imported == len(ORGS) * ENTRIES
    assert texts(store) == export
    heads = store.heads.get(ORGS)
    assert {org: head.seq for org, head in heads.items() if isinstance(head, Head)} == dict.fromkeys(ORGS, ENTRIES)
    assert verify_all(store).ok


@pytest.mark.parametrize("failing", [1, 3, 6])
def test_a_window_that_cannot_be_stored_ends_the_import_and_another_one_goes_on(
    store: Store, export: bytes, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    monkeypatch.setattr(export_file, "WINDOW", 4)  # 21 entries in 6 windows
    real, calls = Appender.append, []

    def fail(self: Appender, entries: list[Entry]) -> None:
        calls.append(1)
        if len(calls) == failing:
            raise OSError("no room")
        real(self, entries)

    with monkeypatch.context() as patch:
        patch.setattr(Appender, "append", fail)
        with pytest.raises(OSError, match="no room"):
            import_export(BytesIO(export), "export", store)
    assert len(calls) == failing  # nothing is appended behind a gap
    done = import_export(BytesIO(export), "export", store)
    assert done.known == 4 * (failing - 1)
    assert texts(store) == export
