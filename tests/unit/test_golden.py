"""The pinned form of a journal: what version 1 wrote, every later program reads."""

import io
import json
from pathlib import Path

import pytest

from meterctl.core.domain.canonical import entry_hash
from meterctl.core.model import KINDS
from meterctl.core.verify import verify_all, verify_file
from tests.journals import export_of, tell_story
from tests.stores import KINDS as STORES
from tests.stores import drop_store, make_store

GOLDEN = Path(__file__).parent.parent / "golden" / "journal.v1.ndjson"
LINES = GOLDEN.read_bytes().splitlines(keepends=True)


def test_the_golden_journal_has_every_kind_and_passes_all_checks() -> None:
    assert {json.loads(line)["kind"] for line in LINES} == set(KINDS)
    assert verify_file(io.BytesIO(b"".join(LINES))).findings == []


def test_the_same_story_is_booked_byte_for_byte_the_same_today() -> None:
    assert export_of(tell_story()) == LINES


@pytest.mark.parametrize("kind", STORES)
def test_every_store_takes_the_golden_journal_and_hands_it_back(kind: str, tmp_path: Path) -> None:
    store = make_store(kind, tmp_path)
    store.init()
    entries = [json.loads(line) for line in LINES]
    assert store.journal.append(entries) == len(entries)
    assert [text.text + b"\n" for text in store.journal.texts()] == LINES
    findings = {finding.check for finding in verify_all(store).findings}
    assert findings <= {13, 14}, "heads and claims are no part of a journal"
    store.close()
    drop_store(kind, tmp_path)


def test_a_reader_says_that_a_newer_version_is_none_of_its() -> None:
    entry = json.loads(LINES[0]) | {"v": 2}
    entry["hash"] = entry_hash(entry)
    (finding,) = verify_file(io.BytesIO(json.dumps(entry).encode() + b"\n")).findings
    assert (finding.check, "v cannot be 2" in finding.message) == (0, True)
