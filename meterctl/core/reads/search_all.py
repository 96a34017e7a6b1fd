"""Search the journals of all orgs.

No index covers the actors, reasons or amounts of all orgs: it would slow every append down for a rare question. So the
search streams every entry once, as `verify` does. With ``since`` it reads only entries from then on, and an org without
any costs one look-up.
"""

from collections.abc import Iterator
from dataclasses import replace
from heapq import nlargest
from itertools import groupby

from meterctl.core.domain.policy import PlanBook, Terms
from meterctl.core.model import Entry, Instant
from meterctl.core.ports import Clock, EntryFilter, Store
from meterctl.core.reads.ledger_query import LedgerQuery
from meterctl.core.reads.past import entry_before
from meterctl.core.reads.statement import due_after
from meterctl.core.results import LedgerPage


class LedgerSearch:
    """Searches all journals. Reads only."""

    def __init__(self, store: Store, clock: Clock, terms: Terms) -> None:
        self._journal = store.journal
        self._clock = clock
        self._terms = terms
        self._plans = PlanBook(store.plans.all)

    def newest(self, query: LedgerQuery, limit: int) -> LedgerPage:
        """Return the newest entries that match, newest first, and the number of others; memory holds only ``limit``."""
        matches = 0

        def counted() -> Iterator[Entry]:
            nonlocal matches
            for entry in self.all(query):
                matches += 1
                yield entry

        entries = nlargest(limit, counted(), key=lambda entry: (entry["at"], entry["org"], entry["seq"]))
        page = LedgerPage(None, None, entries, next_before=None, since=query.since, until=query.until)
        return replace(page, left_out=matches - len(entries))

    def stream(self, query: LedgerQuery) -> LedgerPage:
        """Return every entry that matches, by org and oldest first, each as it is found."""
        return LedgerPage(
            org=None, balance=None, entries=self.all(query), next_before=None, since=query.since, until=query.until
        )

    def all(self, query: LedgerQuery) -> Iterator[Entry]:
        """Return every matching entry, by org and oldest first; due entries are included as pending."""
        entries = self._every_entry() if query.since is None else self._entries_since(query, query.since)
        return filter(query.matches, entries)

    def _every_entry(self) -> Iterator[Entry]:
        for org, entries in groupby(self._journal.scan(), key=lambda entry: entry["org"]):
            last = None
            for entry in entries:
                yield entry
                last = entry
            yield from self._due(org, last)

    def _entries_since(self, query: LedgerQuery, since: Instant) -> Iterator[Entry]:
        for org in self._journal.orgs():
            tip = self._journal.tip(org)
            if tip is not None and tip["at"] >= since:
                before = entry_before(self._journal, org, since)
                after = None if before is None else before["seq"]
                yield from self._journal.read(org, EntryFilter(after=after, kinds=query.kinds))
            yield from self._due(org, tip)

    def _due(self, org: str, last: Entry | None) -> Iterator[Entry]:
        now = self._clock.now()
        return due_after(org, last, now, self._terms, self._plans, now)
