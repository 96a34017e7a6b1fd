"""Long ledgers: a document near 16 MB holds some 40,000 entries, so that the work for each must not grow with them."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from meterctl.core.domain.instants import add_days, add_millis
from meterctl.core.imports.devkit.journal_builder import ImportedHistory, JournalBuilder
from meterctl.core.imports.devkit.records import OldEntry, OldOrg
from meterctl.core.model import Instant

BEGIN = Instant("2026-05-01T00:00:00.000Z")
NOW = Instant("2027-05-01T00:00:00.000Z")


def ledger(length: int) -> OldOrg:
    """Return an org whose every tenth entry is a pack that the debits after it use up."""
    entries = []
    for number in range(length):
        at = add_millis(BEGIN, number * 1000)
        if number % 10 == 0:
            entry = OldEntry(f"p{number}", "topup", 90, f"cs_{number}", None, None, at, add_days(at, 90))
        else:
            entry = OldEntry(f"d{number}", "debit", -10, None, f"r{number}", None, at, None)
        entries.append(entry)
    return OldOrg("acme", entries, 0, 1, [], None, None, has_text_id=False, largest_bytes=0)


def steps(action: Callable[[], object]) -> int:
    """Return the number of lines that ``action`` runs, each turn of a loop or a comprehension counted."""
    count = 0

    def trace(_: FrameType, event: str, __: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return count


def build(length: int) -> None:
    entries = JournalBuilder(
        old=ledger(length),
        known=ImportedHistory(),
        packs={},
        foreign_sessions=frozenset(),
        actor="tester",
        now=NOW,
    ).build()
    assert len(entries) == length
    assert entries[-1]["balance"] == 0


def test_the_work_for_an_entry_does_not_grow_with_the_ledger() -> None:
    build(10)  # patterns are compiled, forms are made
    short, long = steps(lambda: build(250)), steps(lambda: build(2000))
    assert long < 8 * short * 1.1, (short, long)
