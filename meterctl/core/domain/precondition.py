"""Compare a planned operation with the state that its reviewer saw. Pure.

A plan is applied to an org only while its journal is as reviewed, and only if it books the reviewed entries.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from meterctl.core.domain import digest as hashing
from meterctl.core.domain.canonical import canonical_bytes
from meterctl.core.errors import Refusal
from meterctl.core.model import NO_HASH, Entry

#: Fields that depend on the time of booking, directly or through the hash chain.
_BOOKING = frozenset({"recorded_at", "prev", "hash", "approved_by"})

#: Fields that a reviewer reads.
_REVIEWED = ("seq", "key", "kind", "amount", "balance")

#: Entries that a message names.
_NAMED = 5

BySeq = Callable[[int], Entry | None]


def digest(entry: Entry) -> str:
    """Return the SHA-256, in hex, of the fields that do not depend on the time of booking."""
    return str(hashing.sha256(canonical_bytes({k: v for k, v in entry.items() if k not in _BOOKING})).hexdigest())


class EntryPlace(NamedTuple):
    """An entry as it was reviewed: its seq and its `digest`."""

    seq: int
    digest: str


def place_of(entry: Entry) -> EntryPlace:
    return EntryPlace(entry["seq"], digest(entry))


def figures_of(entry: Entry) -> dict[str, Any]:
    """Return the figures of an entry that a reviewer of a plan reads; its digest stands for the rest of it."""
    figures = {name: value for name, value in entry.items() if name in _REVIEWED}
    debt = sum(entry.get("debt", {}).values())
    return figures | ({"debt": debt} if debt else {})


class Basis(NamedTuple):
    """The state on which an operation was reviewed.

    ``seq`` and ``hash`` are the tip of the journal then, ``below`` the plan's own entry below the operation (None: that
    tip). ``entries`` are those it books, due events first, with the ``figures`` that the reviewer read.
    """

    seq: int
    hash: str
    below: EntryPlace | None
    entries: tuple[EntryPlace, ...]
    figures: tuple[Mapping[str, Any], ...]

    def moved(self, org: str, seq: int, tip_hash: str, by_seq: BySeq) -> Refusal | None:
        """Return a refusal if the journal of ``org``, now at ``seq`` and ``tip_hash``, has changed since the review."""
        if self.below is None and (seq, tip_hash) == (self.seq, self.hash):
            return None
        newest = by_seq(seq)
        # Due events that were booked before a crash stand on their own.
        if newest is not None and place_of(newest) in (self.below, *self.entries[:-1]):
            return None
        return Refusal("moved", f"{org} has moved since it was planned: {self._describe_strangers(seq, by_seq)}")

    def changed(self, org: str, entries: Sequence[Entry]) -> Refusal | None:
        """Return a refusal unless ``entries`` are the last of those reviewed: they depend on config and plans too."""
        if [place_of(entry) for entry in entries] == list(self.entries[-len(entries) :]):
            return self._misread(org, entries)
        last = entries[-1]
        now = f"entry {last['seq']} ({last['kind']}, {last['amount']:+,} units, balance {last['balance']:,})"
        return Refusal("moved", f"config or plans have changed since it was planned: for {org} this would now be {now}")

    def _misread(self, org: str, entries: Sequence[Entry]) -> Refusal | None:
        """Return a refusal if the reviewer read other figures than those of ``entries``: somebody edited the plan."""
        for entry, read in zip(entries, self.figures[-len(entries) :], strict=True):
            if (right := figures_of(entry)) != read:
                names = sorted(name for name in {*right, *read} if right.get(name) != read.get(name))
                differ = ", ".join(f"{name} {read.get(name)!r}, which is {right.get(name)!r}" for name in names)
                return Refusal("moved", f"the plan was edited: of entry {entry['seq']} of {org} it says {differ}")
        return None

    def strangers(self, seq: int, by_seq: BySeq, most: int) -> list[Entry]:
        """Return the entries up to ``seq`` that the plan did not know of, oldest first, at most ``most`` of them."""
        first = self._last_known(by_seq) + 1
        entries = (by_seq(number) for number in range(first, min(seq, first + most - 1) + 1))
        return [entry for entry in entries if entry is not None and place_of(entry) not in self.entries]

    def _last_known(self, by_seq: BySeq) -> int:
        """Return the seq of the last entry that is as the reviewer saw it."""
        if self.below is not None:
            entry = by_seq(self.below.seq)
            return self.below.seq - (entry is None or digest(entry) != self.below.digest)
        entry = by_seq(self.seq)
        return self.seq - (self.hash != (NO_HASH if entry is None else entry["hash"]))

    def _describe_strangers(self, seq: int, by_seq: BySeq) -> str:
        entries = self.strangers(seq, by_seq, _NAMED)
        if not entries:
            return "an operation that the plan has before this one was not carried out"
        names = ", ".join(f"entry {entry['seq']} ({entry['kind']} by {entry['actor']})" for entry in entries)
        more = seq - entries[-1]["seq"]
        return f"{names} and {more} more" if more else names
