"""An org's journal at a past instant."""

from meterctl.core.domain.instants import EARLIEST, add_millis
from meterctl.core.model import Entry, Instant
from meterctl.core.ports import Journal


def entry_at(journal: Journal, org: str, at: Instant) -> Entry | None:
    """Return the newest entry of ``org`` with ``at`` not after the given instant, by a binary search over seqs."""
    newest = journal.tip(org)
    if newest is None or newest["at"] <= at:
        return newest
    match, low, high = None, 1, newest["seq"] - 1
    while low <= high:  # bounded: the range halves
        middle = (low + high) // 2
        entry = journal.by_seq(org, middle)
        if entry is not None and entry["at"] <= at:
            match, low = entry, middle + 1
        else:
            high = middle - 1
    return match


def entry_before(journal: Journal, org: str, instant: Instant) -> Entry | None:
    """Return the newest entry of ``org`` with ``at`` before the given instant."""
    return None if instant == EARLIEST else entry_at(journal, org, add_millis(instant, -1))
