"""The orgs a sweep takes on, page by page, each once."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple
from zlib import crc32

from meterctl.core.model import Instant
from meterctl.core.ports import DueOrg, Heads

#: Orgs that are booked with one append, and orgs whose names are read at once.
PAGE, LISTED = 1000, 5000

LOCK_NAME = "sweep"


class Shard(NamedTuple):
    """One of ``parts`` of all orgs, by a checksum of their names: an org stays in its ``part`` (from 1) for ever."""

    part: int
    parts: int

    def holds(self, org: str) -> bool:
        return crc32(org.encode()) % self.parts == self.part - 1

    def __str__(self) -> str:
        return f"{self.part}/{self.parts}"


WHOLE = Shard(1, 1)


class Extent(NamedTuple):
    """How far a sweep goes: over which shard, over how many orgs at most, until how many have failed."""

    shard: Shard = WHOLE
    limit: int | None = None
    max_errors: int | None = None

    @property
    def lock_name(self) -> str:
        return LOCK_NAME if self.shard == WHOLE else f"{LOCK_NAME}:{self.shard}"


EVERYTHING = Extent()


class DueOrgs:
    """What is due by ``at`` within ``extent``, longest due first. Whatever fails stays due, and is passed over."""

    def __init__(self, heads: Heads, at: Instant, extent: Extent) -> None:
        self._heads = heads
        self._at = at
        self._extent = extent
        # Handed out and not settled yet. An org may come into sight again meanwhile, when someone else books only a
        # part of what is due there.
        self._open: set[str] = set()

    def pages(self) -> Iterator[list[str]]:
        """The orgs to book, each once."""
        orgs = islice(self._find(), self._extent.limit)
        while page := list(islice(orgs, PAGE)):  # bounded: by what is due
            # Neighbours in the journal's indexes, and on one shard of a cluster, are booked one after the other.
            yield sorted(page)

    def settle(self, orgs: Iterable[str]) -> None:
        """These are answered for."""
        self._open.difference_update(orgs)

    def _find(self) -> Iterator[str]:
        after: DueOrg | None = None
        while True:  # bounded: by what is due; each turn goes on behind the last
            taken = frozenset(self._open)
            listed = self._heads.due(self._at, after=after, limit=LISTED)
            for due in listed:
                if due.org not in taken and self._extent.shard.holds(due.org):
                    self._open.add(due.org)
                    yield due.org
            if len(listed) < LISTED:
                return
            after = listed[-1]
