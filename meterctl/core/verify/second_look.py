"""Looking again, before anything is reported, at what a writer may have been about to put right.

A long run caches the heads of a few thousand entries at a time, and claims a session before it credits it. So while
others write, a head may be seconds behind its journal, and a claim seconds ahead of its topup.
"""

from collections.abc import Sequence
from typing import cast

from meterctl.core.booking.head_cache import head_of
from meterctl.core.domain.entry_shape import malformed
from meterctl.core.domain.value_shape import is_state
from meterctl.core.errors import Damaged, StoreDamaged
from meterctl.core.model import Entry
from meterctl.core.ports import Clock, Head, Store
from meterctl.core.verify.checks import Check
from meterctl.core.verify.report import Doubt, Run

#: Seconds that writers get to catch up: a few chunks of a backfill take that long on a busy store.
SETTLING = 30.0

#: Seconds between two looks: the first pause, and the longest.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0

REPAIR = "meterctl verify --all --repair-heads mends it"


def settle(store: Store, run: Run, clock: Clock | None) -> None:
    """Report those of the run's doubts that stay. With a ``clock`` they get time to be put right."""
    doubts, run.doubts = run.doubts, []
    left = _standing(store, doubts)
    if clock is not None:
        end, pause = clock.elapsed() + SETTLING, _FIRST_PAUSE
        while left and clock.elapsed() < end:
            clock.sleep(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)
            left = _standing(store, left)
    for doubt in left:
        _report(store, run, doubt)


def _standing(store: Store, doubts: Sequence[Doubt]) -> list[Doubt]:
    return [doubt for doubt in doubts if not _is_settled(store, doubt)]


def _is_settled(store: Store, doubt: Doubt) -> bool:
    if doubt.key is not None:
        return is_booked(store, doubt.org, doubt.key)
    head = _head(store, doubt.org)
    return head is not None and head.seq >= doubt.seq and is_right(store, head)


def _report(store: Store, run: Run, doubt: Doubt) -> None:
    org, seq, key = doubt
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
    """Return True if something is booked under the key, though it may be damaged: another check reports that."""
    try:
        return bool(store.journal.by_keys([(org, key)]))
    except StoreDamaged:
        return True


def is_right(store: Store, head: Head) -> bool:
    """Return True if ``head`` is that of an entry, which may have been appended while the journal was read."""
    try:
        due = head_of_entry(store.journal.by_seq(head.org, head.seq))
    except StoreDamaged:
        return False
    return head == due


def head_of_entry(entry: object) -> Head | None:
    """Return the head that ``entry`` makes; None if it makes none."""
    if malformed(entry) is not None or not is_state((document := cast(Entry, entry))["state"]):
        return None
    return head_of(document)
