"""Lessons about how much is held in memory at once."""

import gzip
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from meterctl.cli import main
from meterctl.core.booking import chunk_decider, journal_view
from meterctl.core.domain.operations import Adjust, Debit, Operation
from meterctl.core.errors import BadInput
from meterctl.core.files.sources import open_file, unzip
from meterctl.core.model import Entry
from meterctl.core.verify import verify_file
from tests.desk import Desk, request

LOTS, BOUND = 100, 2_000


def in_one_chunk(desk: Desk, operations: Iterable[Operation]) -> list[str]:
    chunk = [request(operation) for operation in operations]
    return [receipt.status for receipts in desk.ledger.execute_chunks([chunk]) for receipt in receipts]


def grants(org: str, count: int = LOTS) -> Iterable[Operation]:
    return (Adjust(org, 10, f"grant-{number}", None) for number in range(count))


class Weighed:
    """Counts the lots of the entries that one call of the journal takes or gives."""

    def __init__(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self.most = 0
        journal: Any = desk.store.journal
        monkeypatch.setattr(journal, "append", partial(self._append, journal.append))
        monkeypatch.setattr(journal, "by_keys", partial(self._by_keys, journal.by_keys))

    def _append(self, append: Callable[[Sequence[Entry]], int], entries: Sequence[Entry]) -> int:
        self._weigh(entries)
        return append(entries)

    def _by_keys(self, by_keys: Callable[[Any], dict[Any, Entry]], keys: Any) -> dict[Any, Entry]:
        found = by_keys(keys)
        self._weigh(found.values())
        return found

    def _weigh(self, entries: Iterable[Entry]) -> None:
        self.most = max(self.most, sum(len(entry["state"]["lots"]) for entry in entries))


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_decider, "MOST_LOTS", BOUND)
    monkeypatch.setattr(journal_view, "MOST_LOTS", BOUND)


@pytest.mark.usefixtures("bounded")
def test_l112_a_chunk_to_an_org_with_many_lots_is_bounded_by_lots(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    weighed = Weighed(desk, monkeypatch)
    assert in_one_chunk(desk, grants("acme")) == ["applied"] * LOTS
    operations = [Debit("acme", 1, f"d{number}") for number in range(60)]
    assert in_one_chunk(desk, operations) == ["applied"] * 60
    assert in_one_chunk(desk, operations) == ["replayed"] * 60
    assert BOUND / 2 < weighed.most <= BOUND + LOTS
    assert [entry["seq"] for entry in desk.entries()] == list(range(1, LOTS + 61))


@pytest.mark.usefixtures("bounded")
def test_l112_so_is_a_chunk_to_many_orgs_with_many_lots(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    orgs = [f"org-{number}" for number in range(25)]
    for org in orgs:
        assert set(in_one_chunk(desk, grants(org, LOTS // 2))) == {"applied"}
    weighed = Weighed(desk, monkeypatch)
    monkeypatch.setattr(journal_view, "_FIRST_PAGE", 5)
    operations = [Debit(org, 1, f"d{turn}") for turn in range(3) for org in orgs]
    assert in_one_chunk(desk, operations) == ["applied"] * 75
    assert weighed.most <= BOUND + LOTS


def test_l112_a_thousand_lots_take_no_more_than_a_few_chunks_of_them() -> None:
    desk = Desk()
    assert set(in_one_chunk(desk, grants("acme", 1000))) == {"applied"}
    operations = [Debit("acme", 1, f"d{number}") for number in range(200)]
    tracemalloc.start()
    try:
        assert set(in_one_chunk(desk, operations)) == {"applied"}
        stored = sum(len(text.text) for text in desk.store.journal.texts("acme")) / 6  # kept by the store in memory
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - stored < 60_000_000


@pytest.mark.parametrize("letter", [" ", "{"])
def test_l103_an_export_of_one_endless_line_is_refused_in_bounded_memory(tmp_path: Path, letter: str) -> None:
    path = tmp_path / "export.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(150):
            file.write(letter.encode() * 1024 * 1024)
    tracemalloc.start()
    with open_file(str(path)) as source, pytest.raises(BadInput, match="line 1 is longer than 16,777,216 bytes") as bad:
        verify_file(unzip(source))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert bad.value.code == "bad_file"
    assert peak < 80_000_000, peak


def test_l103_an_import_of_one_endless_line_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "export.ndjson"
    path.write_bytes(b" " * 17 * 1024 * 1024)
    assert main(["--store", f"sqlite:{tmp_path}/new.db", "import", str(path)]) == 2
    assert "is longer than" in capsys.readouterr().err
