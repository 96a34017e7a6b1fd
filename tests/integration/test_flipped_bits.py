"""Files in which bits were flipped: no wrong answer once they passed a check, and never a second booking."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from meterctl.core.domain.operations import Adjust, Attribute, CreditPack, Debit, Operation
from meterctl.core.errors import MeterctlError
from meterctl.core.model import Instant
from meterctl.core.ports import Store
from meterctl.core.reads.export_lines import entry_texts
from meterctl.core.stores.sqlite import SqliteStore
from meterctl.core.verify import verify_all
from meterctl.core.verify.doctor import Diagnosis, Doctor
from meterctl.process.clock import SystemClock
from tests.desk import NOON, Desk, request

COPIES = 60

ORGS = [f"org-{number}" for number in range(8)]


def operations() -> Iterator[Operation]:
    for org in ORGS:
        yield CreditPack(org, "small", f"cs_{org}")
        yield Adjust(org, 500, "grant")
        for number in range(12):
            yield Debit(org, 3, f"d{number}")
            yield Attribute(org, f"run-{number}", "main", {"llm": "0.004"}, None, None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A store with everything booked, in one file."""
    path = tmp_path_factory.mktemp("whole") / "meterctl.db"
    with closing(SqliteStore(str(path))) as store:
        assert {receipt.status for receipt in book(store)} == {"applied"}
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


def book(store: Store) -> Iterator[Any]:
    desk = Desk(store)
    return desk.ledger.execute(request(operation) for operation in operations())


def answers(store: Store) -> Any:
    """Everything that a command could say of this store: balances and entries."""
    desk = Desk(store)
    return [desk.balance(org) for org in ORGS], list(entry_texts(store))


def is_sound(store: Store) -> bool:
    diagnosis = Diagnosis("a store")
    Doctor(store, Instant(NOON), SystemClock()).look(diagnosis)
    return diagnosis.is_reachable and not {check.name for check in diagnosis.checks if check.ok is False} - {
        "clock",
        "ahead",
    }


def flipped(content: bytes, seed: int) -> bytes:
    """``content`` with one to three bits flipped, in a few copies all of one page."""
    chance, changed = random.Random(seed), bytearray(content)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(changed))
        changed[place] ^= 1 << chance.randrange(8)
    return bytes(changed)


#: A copy whose damage SQLite describes in bytes that are no text.
UNREADABLE = 1120


@pytest.mark.parametrize("seed", [*range(COPIES), UNREADABLE])
def test_flipped_bits_give_no_wrong_answer_and_no_second_booking(whole: bytes, seed: int, tmp_path: Path) -> None:
    with closing(whole_copy(tmp_path / "right.db", whole)) as right:
        expected = answers(right)
    path = tmp_path / "flipped.db"
    try:
        with closing(whole_copy(path, flipped(whole, seed))) as store:
            passed = is_sound(store) or verify_all(store).ok
            if passed:
                assert answers(store) == expected
            receipts = []
            for operation in operations():
                try:
                    receipts.append(Desk(store).ledger.one(request(operation)).status)
                except MeterctlError:
                    continue
            assert "applied" not in receipts
    except MeterctlError:
        return  # refused as a whole


def whole_copy(path: Path, content: bytes) -> SqliteStore:
    path.write_bytes(content)
    return SqliteStore(str(path))


def test_damage_that_cannot_be_put_into_words_is_a_finding(whole: bytes, tmp_path: Path) -> None:
    with closing(whole_copy(tmp_path / "flipped.db", flipped(whole, UNREADABLE))) as store:
        assert any("is damaged" in finding.message for finding in verify_all(store).findings)
        assert not is_sound(store)
