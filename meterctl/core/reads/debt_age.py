"""Find the start of an org's debt by one page of credits and a binary search, however long the journal."""

from itertools import islice

from meterctl.core.model import Entry, Kind
from meterctl.core.ports import EntryFilter, Journal

#: The kinds of entries that can end a debt, and the number of the newest that are read.
PAYERS: tuple[Kind, ...] = ("topup", "adjustment", "reversal", "reset")
MOST_PAYERS = 300


def debt_began(journal: Journal, org: str, newest: Entry) -> tuple[Entry, bool] | None:
    """Return the entry that began today's debt of ``org``, and True if that is certain; None without debt.

    ``newest`` is the newest entry to consider. Only a credit can end a debt. After the last credit that left no debt,
    a debt stays once it is there, and a binary search finds its first entry."""
    if not in_debt(newest):
        return None
    last_clear, sure = _last_clear(journal, org, newest["seq"])
    low, high, first = last_clear + 1, newest["seq"], newest
    while low < high:  # bounded: the range halves
        middle = (low + high) // 2
        entry = journal.by_seq(org, middle)
        if entry is not None and in_debt(entry):
            first, high = entry, middle
        else:
            low = middle + 1
    return first, sure


def _last_clear(journal: Journal, org: str, seq: int) -> tuple[int, bool]:
    """Return the newest credit up to ``seq`` that left no debt, and True if that is certain.

    It is uncertain if all credits that were read left debt: an older one may have left none."""
    where = EntryFilter(kinds=PAYERS, before=seq + 1)
    count, last = 0, 0
    for entry in islice(journal.read(org, where, newest_first=True), MOST_PAYERS):
        count, last = count + 1, entry["seq"]
        if not in_debt(entry):
            return last, True
    return (0, True) if count < MOST_PAYERS else (last, False)


def in_debt(entry: Entry) -> bool:
    debt = entry["state"]["debt"]
    return bool(debt["owed"] or debt["overage"])
