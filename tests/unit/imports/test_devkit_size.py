"""Long ledgers: a document near 16 MB holds some 40,000 entries, so that the time of each must not grow with them."""

from time import process_time

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


def seconds(length: int) -> float:
    old = ledger(length)
    began = process_time()
    entries = JournalBuilder(
        old=old,
        known=ImportedHistory(),
        packs={},
        foreign_sessions=frozenset(),
        actor="tester",
        now=NOW,
    ).build()
    assert len(entries) == length
    assert entries[-1]["balance"] == 0
    return process_time() - began


def test_the_time_of_an_entry_does_not_grow_with_the_ledger() -> None:
    short, long = min(seconds(1000) for _ in range(3)), seconds(8000)
    assert long < 8 * short * 2.5, (short, long)
