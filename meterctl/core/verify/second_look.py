"""Check doubtful heads and claims again before reporting them, because a writer may be about to complete them.

A long run caches the heads of a few thousand entries at a time, and claims a session before crediting it. So while
others write, a head may be seconds behind its journal, and a claim seconds ahead of its topup.
"""

from collections.abc import Sequence
from typing import cast

from meterctl.core.booking.chunk_decider import FUTURE_MS
from meterctl.core.booking.head_cache import head_of
from meterctl.core.domain.entry_shape import malformed
from meterctl.core.domain.instants import add_millis
from meterctl.core.domain.value_shape import is_state
from meterctl.core.errors import Damaged, StoreDamaged
from meterctl.core.model import Entry, Instant
from meterctl.core.ports import Clock, Head, Store
from meterctl.core.verify.checks import Check
from meterctl.core.verify.report import Doubt, Run

#: Seconds for writers to catch up: a few chunks of a backfill take that long on a busy store.
SETTLING = 30.0

#: Seconds between two looks: the first pause, and the longest.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0

REPAIR = "to repair it: meterctl verify --all --repair-heads"


def latest_at(clock: Clock | None) -> Instant | None:
    """Return the latest time at which an entry may take effect, allowing for a caller's clock that runs ahead."""
    return None if clock is None else add_millis(clock.now(), FUTURE_MS)


def settle(store: Store, run: Run, clock: Clock | None) -> None:
    """Report the run's doubts that persist. With a ``clock``, wait for writers to resolve them."""
    run.settle_ahead(latest_at(clock))
    doubts, run.doubts = run.doubts, []
    for doubt in persisting(store, doubts, clock):
        _report(store, run, doubt)


def persisting(store: Store, doubts: Sequence[Doubt], clock: Clock | None) -> list[Doubt]:
    """Return the doubts that persist on a second look. With a ``clock``, wait for writers to resolve them."""
    persist = _still_open(store, doubts)
    if clock is not None:
        end, pause = clock.elapsed() + SETTLING, _FIRST_PAUSE
        while any(_may_settle(store, doubt) for doubt in persist) and clock.elapsed() < end:
            clock.sleep(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)
            persist = _still_open(store, persist)
    return persist


def _still_open(store: Store, doubts: Sequence[Doubt]) -> list[Doubt]:
    return [doubt for doubt in doubts if not _is_settled(store, doubt)]


def _is_settled(store: Store, doubt: Doubt) -> bool:
    if doubt.key is not None:
        return is_booked(store, doubt.org, doubt.key)
    head = _head(store, doubt.org)
    return head is not None and head.seq >= doubt.seq and is_right(store, head)


def _may_settle(store: Store, doubt: Doubt) -> bool:
    """Return False for a head that is damaged, or stands at a late entry and is not its head: no writer is behind.

    A head that was put since the last look is right by now: the next look settles it.
    """
    if doubt.key is not None:
        return True
    head = store.heads.get([doubt.org]).get(doubt.org)
    return head is None or (not isinstance(head, Damaged) and (head.seq < doubt.seq or is_right(store, head)))


def _report(store: Store, run: Run, doubt: Doubt) -> None:
    org, seq, key, _ = doubt
    if key is not None:
        message = f"session {key.partition(':')[2]!r} is claimed, but not credited: credit it again"
        run.note(org, None, Check.CLAIM, message)
        return
    head = _head(store, org)
    if head is None:
        run.note(org, seq, Check.HEAD, f"there is no head; {REPAIR}")
    elif head.seq < seq:
        run.note(org, seq, Check.HEAD, f"the head is behind, at entry {head.seq} of {seq}; {REPAIR}")
    else:
        run.note(org, seq, Check.HEAD, f"the head is not that of entry {head.seq}; {REPAIR}")


def _head(store: Store, org: str) -> Head | None:
    head = store.heads.get([org]).get(org)
    return None if isinstance(head, Damaged) else head


def is_booked(store: Store, org: str, key: str) -> bool:
    """Return True if an entry has the key, even a damaged one, which another check reports."""
    try:
        return bool(store.journal.by_keys([(org, key)]))
    except StoreDamaged:
        return True


def is_right(store: Store, head: Head) -> bool:
    """Return True if ``head`` matches its entry, which may be newer than the journal as read."""
    try:
        expected = head_of_entry(store.journal.by_seq(head.org, head.seq))
    except StoreDamaged:
        return False
    return head == expected


def head_of_entry(entry: object) -> Head | None:
    """Return the head that ``entry`` makes; None if it makes none."""
    if malformed(entry) is not None or not is_state((document := cast(Entry, entry))["state"]):
        return None
    return head_of(document)
