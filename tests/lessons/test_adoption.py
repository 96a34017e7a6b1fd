"""Bringing data in from elsewhere."""

from io import BytesIO
from pathlib import Path

from meterctl.core.imports.devkit.importer import DevkitImporter
from meterctl.core.imports.export_file import import_export
from meterctl.core.model import Instant
from meterctl.core.ports import Store
from meterctl.core.reads.export_lines import entry_texts, whole_store
from meterctl.core.stores.mongo.devkit import OldDocuments
from meterctl.core.stores.sqlite import SqliteStore
from meterctl.core.verify import verify_all
from tests.desk import NOON, Desk


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


def test_l96_a_late_retry_under_the_old_default_step_is_a_replay(store: Store) -> None:
    run = "64b7f0c2a1d3e4f5a6b7c8d9"
    week = {"weekKey": "2026-W19", "meterUsed": 5, "meterQuota": 9, "consumedAttributionKeys": [run, f"{run}:fetch"]}
    documents = OldDocuments("acme", [], [week], [], has_text_id=False, largest_bytes=0)
    importer = DevkitImporter(store, {}, "tester", Instant(NOON), dry_run=False)
    assert [report["problems"] for report in importer.run([documents])] == [[]]
    desk = Desk(store)
    for step in ("initial", "fetch"):
        receipt = desk.run(run, 4711, step=step)
        assert (receipt.status, receipt.diff) == ("replayed", None)
    assert desk.run(run, 4711, step="main").status == "applied"  # that is another run: docs/devkit.md says so
    assert verify_all(store).ok
