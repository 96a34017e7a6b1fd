"""Find the orgs to sweep, page by page, each once."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple
from zlib import crc32

from meterctl.core.model import Instant
from meterctl.core.ports import DueOrg, Heads

#: Orgs booked with one append, and due orgs read at once.
PAGE, BATCH = 1000, 5000

LOCK_NAME = "sweep"


class Shard(NamedTuple):
    """One of ``parts`` shards, by a checksum of the org's name. An org always has the same ``part`` (from 1)."""

    part: int
    parts: int

    def holds(self, org: str) -> bool:
        return crc32(org.encode()) % self.parts == self.part - 1

    def __str__(self) -> str:
        return f"{self.part}/{self.parts}"


WHOLE = Shard(1, 1)


class Extent(NamedTuple):
    """The bounds of a sweep: its shard, its most orgs, and its most failed orgs."""

    shard: Shard = WHOLE
    limit: int | None = None
    max_errors: int | None = None

    @property
    def lock_name(self) -> str:
        return LOCK_NAME if self.shard == WHOLE else f"{LOCK_NAME}:{self.shard}"


EVERYTHING = Extent()


class DueOrgs:
    """The orgs with something due by ``at`` within ``extent``, longest due first.

    A failed org stays due, and the sweep skips it.
    """

    def __init__(self, heads: Heads, at: Instant, extent: Extent) -> None:
        self._heads = heads
        self._at = at
        self._extent = extent
        # Orgs handed out but not settled yet. Such an org can appear again if another process books only a part of
        # its due events.
        self._open: set[str] = set()

    def pages(self) -> Iterator[list[str]]:
        """Yield the orgs to book, each once."""
        orgs = islice(self._find(), self._extent.limit)
        while page := list(islice(orgs, PAGE)):  # bounded: by the due orgs
            # Sorted, so that neighbours in the indexes and in a cluster shard are booked together.
            yield sorted(page)

    def settle(self, orgs: Iterable[str]) -> None:
        """Record that these orgs are done."""
        self._open.difference_update(orgs)

    def _find(self) -> Iterator[str]:
        after: DueOrg | None = None
        while True:  # bounded: by the due orgs; each turn reads on after the last one
            skip = frozenset(self._open)
            batch = self._heads.due(self._at, after=after, limit=BATCH)
            for due in batch:
                if due.org not in skip and self._extent.shard.holds(due.org):
                    self._open.add(due.org)
                    yield due.org
            if len(batch) < BATCH:
                return
            after = batch[-1]
