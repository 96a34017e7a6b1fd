"""Heads: what is cached of an org, and when a call of the ledger sees to it.

An org that is booked at again and again would have its head put as often, and each time for a moment. So a long call
puts them every few chunks, and what is left when it ends. Nothing that is answered rests on heads; but as long as an
org's head is behind, its tip takes longer to find, and a sweep or a listing may pass it over.
"""

from collections.abc import Iterable

from meterctl.core.domain.due_events import next_due_in, next_expiry_in
from meterctl.core.errors import StoreUnreachable, StoreUnusable
from meterctl.core.model import Entry
from meterctl.core.ports import Head, Heads

#: Chunks of which the heads are put together.
TOGETHER = 4

#: Orgs whose heads may be behind at once: fewer than are remembered from chunk to chunk, so that none is looked for
#: by a head that is.
MOST_BEHIND = 4000


def head_of(entry: Entry) -> Head:
    """Return the head of an org whose newest entry is ``entry``."""
    state = entry["state"]
    return Head(
        entry["org"],
        entry["seq"],
        entry["key"],
        entry["hash"],
        state,
        entry["balance"],
        entry["at"],
        next_expiry_in(state),
        next_due_in(state),
    )


class HeadKeeper:
    """Sees to the heads of what one call books."""

    def __init__(self, heads: Heads) -> None:
        self._heads = heads
        self._behind: dict[str, Entry] = {}
        self._chunks = 0

    @property
    def at_once(self) -> bool:
        """Whether those of the chunk at hand are put along with its entries: most calls have no other chunk."""
        return self._chunks == 0

    def begin_chunk(self) -> None:
        """Another chunk is about to be booked, or what is left of one; all before it are stored."""
        if self._chunks % TOGETHER == 0 or len(self._behind) > MOST_BEHIND:
            self.catch_up()

    def end_chunk(self) -> None:
        """The chunk at hand is booked as a whole."""
        self._chunks += 1

    def put(self, entries: Iterable[Entry]) -> None:
        """Put the heads of the orgs of ``entries``, which stand in order of seq, and are stored or will be in the same
        step."""
        newest = {entry["org"]: entry for entry in entries}
        if not newest:
            return
        try:
            self._heads.put([head_of(entry) for entry in newest.values()])
        except (StoreUnreachable, StoreUnusable):
            # The entries are booked, and heads are a cache: a missing one must not turn that into a failure.
            return

    def stored(self, entries: Iterable[Entry]) -> None:
        """The ``entries`` are stored: see to it that their heads are put, now or before long."""
        for entry in entries:
            known = self._behind.get(entry["org"])
            if known is None or known["seq"] < entry["seq"]:
                self._behind[entry["org"]] = entry
        if self.at_once:
            self.catch_up()

    def catch_up(self) -> None:
        """Put all heads that are behind."""
        if self._behind:
            behind, self._behind = self._behind, {}
            self.put(behind.values())
