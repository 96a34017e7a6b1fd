"""Append finished entries, after their claims and before the heads of their orgs."""

from collections.abc import Collection, Sequence

from meterctl.core.booking.head_cache import head_of
from meterctl.core.booking.payment_names import claim_all, claims_of
from meterctl.core.errors import MOVED, MeterctlError
from meterctl.core.model import Entry
from meterctl.core.ports import Head, Store


class JournalMoved(MeterctlError):
    """Another process booked in a journal that is being imported."""

    code = "moved"
    exit_code = MOVED
    hint = "stop other writers, then run the same import again: it goes on where it stopped"


class SessionTaken(MeterctlError):
    """A payment that an imported journal holds belongs to another org of the store."""

    code = "session_claimed"
    exit_code = MOVED
    hint = "nothing more was imported; find the org of the payment with: meterctl ledger --session ID"


class Appender:
    """Appends entries to a store in order. ``undone`` holds topups, as ``(org, seq)``, with a later undo: another org
    may hold the claims on their sessions."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.undone: set[tuple[str, int]] = set()

    def append(self, entries: Sequence[Entry]) -> None:
        """Append all ``entries``. Raises `JournalMoved` or `SessionTaken`; earlier entries are then stored."""
        self._claim([entry for entry in entries if entry["kind"] == "topup"])
        done = 0
        while done < len(entries):  # bounded: each turn passes an entry, or raises
            done += self._store.journal.append(entries[done:])
            if done < len(entries):
                self._check_ours(entries[done])
                done += 1
        newest = {entry["org"]: entry for entry in entries}
        self._store.heads.put([head_of(entry) for entry in newest.values()])

    def catch_up(self, orgs: Collection[str]) -> None:
        """Put the heads of these orgs, to which nothing was appended, if they are behind: an import killed between
        entries and heads has left them so."""
        if not orgs:
            return
        heads = self._store.heads.get(orgs)
        seqs = {org: head.seq if isinstance(head := heads.get(org), Head) else 0 for org in orgs}
        tips = map(self._store.journal.tip, self._store.journal.grown(seqs))
        self._store.heads.put([head_of(tip) for tip in tips if tip is not None])

    def _check_ours(self, entry: Entry) -> None:
        """Raise `JournalMoved` unless another run of the same import stored this entry."""
        existing = self._store.journal.by_seq(entry["org"], entry["seq"])
        if existing is None or existing["hash"] != entry["hash"]:
            raise JournalMoved(f"another process booked entry {entry['seq']} of {entry['org']} during the import")

    def _claim(self, topups: Sequence[Entry]) -> None:
        claims = [claim for topup in topups for claim in claims_of(topup)]
        holders = claim_all(self._store, claims)
        undone = {
            claim for topup in topups if (topup["org"], topup["seq"]) in self.undone for claim in claims_of(topup)
        }
        for claim in claims:
            holder = holders[claim.name]
            if holder != claim and claim not in undone:
                raise SessionTaken(f"the payment {claim.name} of {claim.org} is credited to {holder.org} already")
