"""Bringing data in from elsewhere."""

from io import BytesIO
from pathlib import Path

from meterctl.core.imports.export_file import import_export
from meterctl.core.ports import Store
from meterctl.core.reads.export_lines import entry_texts, whole_store
from meterctl.core.stores.sqlite import SqliteStore
from meterctl.core.verify import verify_all
from tests.desk import Desk


def test_l95_an_export_is_read_back_into_any_store(store: Store, tmp_path: Path) -> None:
    old = Desk(SqliteStore(str(tmp_path / "old.db")))
    old.credit("s1")
    old.debit(300, "r1")
    old.refund("s1", 100, "re1")
    export = b"".join(whole_store(old.store))
    assert import_export(BytesIO(export), "export", store).imported == 3
    assert b"".join(entry_texts(store)) == b"".join(entry_texts(old.store))
    assert verify_all(store).ok
    new = Desk(store)
    assert new.debit(300, "r1").status == "replayed"
    assert new.credit("s1", org="other").reason == "session_claimed"
    assert import_export(BytesIO(export), "export", store).imported == 0
