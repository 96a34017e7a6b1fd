"""What the simulator found in the program, each as the shortest history that shows it."""

from typing import Any

from meterctl.core.domain.operations import Debit
from tests.desk import NOON, Desk, request, tap
from tests.memory_store import MemoryStore


def two_desks() -> tuple[Desk, Desk]:
    """Two processes on one store; something can be put in the way of the first one's calls."""
    store = MemoryStore()
    shared = MemoryStore()
    for name in ("journal", "heads", "claims", "plans", "locks"):
        setattr(shared, name, getattr(store, name))
    return Desk(tap(shared), now=NOON), Desk(store, now=NOON)


def test_what_is_booked_since_the_tip_was_read_is_not_mixed_with_the_state_before_it() -> None:
    """The state without entry 1 and a history with it said: partly used. It never was."""
    ours, rival = two_desks()

    def tip(real: Any, org: str) -> Any:
        found = real(org)
        rival.adjust(7, "grant")
        return found

    ours.store.journal.on("tip", tip, times=1)  # type: ignore[attr-defined]
    receipt = ours.undo(1)
    assert (receipt.status, receipt.reason) == ("refused", "unknown_entry")
    assert ours.undo(1).status == "applied"


def test_the_balance_beside_a_replay_is_not_older_than_what_is_replayed() -> None:
    """A twin booked it between the look at the tip and the look at the key."""
    ours, rival = two_desks()
    rival.adjust(100, "grant")

    def tip(real: Any, org: str) -> Any:
        found = real(org)
        rival.debit(5, "r1")
        return found

    ours.store.journal.on("tip", tip, times=1)  # type: ignore[attr-defined]
    receipt = ours.ledger.one(request(Debit("acme", 5, "r1")))
    assert (receipt.status, receipt.balance) == ("replayed", 95)


def test_running_it_again_mends_the_head_that_a_crash_left_missing() -> None:
    """Without a head no sweep sees the org, and what expires there stays in its journal."""
    ours, _ = two_desks()
    ours.store.heads.on("put", lambda _real, _heads: None, times=1)  # type: ignore[attr-defined]
    ours.adjust(5, "short", expires="2026-11-16T13:00:00Z")
    assert ours.store.heads.get(["acme"]) == {}
    assert ours.adjust(5, "short", expires="2026-11-16T13:00:00Z").status == "replayed"
    ours.go("2026-11-17T12:00:00Z")
    assert [due.org for due in ours.store.heads.due(ours.clock.now())] == ["acme"]
