"""Put the heads of orgs: the cache of each org's newest entry.

A busy org would have its head put again and again, each time for a moment. So a long call puts heads every few chunks,
and once more at its end. No reply depends on heads, but while a head is behind, its tip takes longer to find, and a
sweep or a listing may miss the org.
"""

from collections.abc import Iterable

from meterctl.core.domain.due_events import next_due_in, next_expiry_in
from meterctl.core.errors import StoreUnreachable, StoreUnusable
from meterctl.core.model import Entry
from meterctl.core.ports import Head, Heads

#: The number of chunks after which heads are put.
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
    """Puts the heads of the orgs that one call books on."""

    def __init__(self, heads: Heads) -> None:
        self._heads = heads
        self._behind: dict[str, Entry] = {}
        self._chunks = 0
        #: Heads are put along with the entries of the first chunk: most calls have no other.
        self.at_once = True

    def begin_chunk(self) -> None:
        """Begin a chunk, or the rest of one. All entries before it are stored."""
        if self._chunks % TOGETHER == 0 or len(self._behind) > MOST_BEHIND:
            self.catch_up()

    def end_chunk(self) -> None:
        """Count a chunk that was booked whole."""
        self._chunks += 1
        self.at_once = False

    def put(self, entries: Iterable[Entry]) -> None:
        """Put the heads of the orgs of ``entries``, in order of seq. The entries are stored, or will be in the same
        transaction."""
        newest = {entry["org"]: entry for entry in entries}
        if not newest:
            return
        try:
            self._heads.put([head_of(entry) for entry in newest.values()])
        except (StoreUnreachable, StoreUnusable):
            # The entries are booked, and heads are a cache: a missing one must not turn that into a failure.
            return

    def stored(self, entries: Iterable[Entry]) -> None:
        """Put the heads of stored ``entries``, now or within a few chunks."""
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
