"""A journal as it grows."""

from collections.abc import Iterator
from typing import ClassVar

from meterctl.core.model import Entry
from meterctl.core.ports import Clock, EntryFilter, Journal
from meterctl.core.results import LedgerPage

#: Seconds between two looks: soon enough for a person, and one index lookup for the store.
PAUSE = 1.0


class LedgerFeed(LedgerPage):
    """Entries in order of seq, each as it comes, without end: records only, no document."""

    __slots__ = ()
    live: ClassVar[bool] = True


def follow(journal: Journal, clock: Clock, org: str, after: int) -> Iterator[Entry]:
    """The entries of ``org`` behind seq ``after``, and then each that is booked, until the caller stops."""
    while True:  # bounded: by the caller
        for entry in journal.read(org, EntryFilter(after=after)):
            after = entry["seq"]
            yield entry
        clock.sleep(PAUSE)
