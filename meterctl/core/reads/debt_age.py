"""Since when an org is in debt: one page of its newest credits and a binary search, however long the journal."""

from itertools import islice

from meterctl.core.model import Entry, Kind
from meterctl.core.ports import EntryFilter, Journal

#: The kinds of entries that can end a debt, and how many of the newest are looked at.
PAYERS: tuple[Kind, ...] = ("topup", "adjustment", "reversal", "reset")
MOST_PAYERS = 300


def debt_began(journal: Journal, org: str, newest: Entry) -> tuple[Entry, bool] | None:
    """Return the entry that today's debt of ``org`` began with, and whether that is sure; None without debt.

    ``newest`` is the newest entry that counts. Only a credit can end a debt. So behind the last credit that left none
    the debt, once there, stays: a binary search finds where it begins."""
    if not in_debt(newest):
        return None
    cleared, sure = _last_clear(journal, org, newest["seq"])
    low, high, first = cleared + 1, newest["seq"], newest
    while low < high:  # bounded: the range halves
        middle = (low + high) // 2
        entry = journal.by_seq(org, middle)
        if entry is not None and in_debt(entry):
            first, high = entry, middle
        else:
            low = middle + 1
    return first, sure


def _last_clear(journal: Journal, org: str, seq: int) -> tuple[int, bool]:
    """Return the newest entry up to ``seq`` that paid debt and left none, and whether there can be none newer: behind
    the last credit that was looked at, nothing is known."""
    where = EntryFilter(kinds=PAYERS, before=seq + 1)
    looked, last = 0, 0
    for entry in islice(journal.read(org, where, newest_first=True), MOST_PAYERS):
        looked, last = looked + 1, entry["seq"]
        if not in_debt(entry):
            return last, True
    return (0, True) if looked < MOST_PAYERS else (last, False)


def in_debt(entry: Entry) -> bool:
    debt = entry["state"]["debt"]
    return bool(debt["owed"] or debt["overage"])
