"""Chunks that are decided while the one before is being appended."""

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from meterctl.core import execution, orgview
from meterctl.core.errors import StoreUnreachable
from meterctl.core.model import Entry
from meterctl.core.operations import (
    Adjust,
    Attribute,
    CreditPack,
    Debit,
    Operation,
    Refund,
    Request,
    ReverseRefund,
    Undo,
)
from meterctl.core.ports import Store
from meterctl.core.results import Receipt
from meterctl.core.sqlite import open_store
from tests.desk import Desk, booked, request, tap
from tests.memory_store import MemoryStore


@pytest.fixture(autouse=True)
def in_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "WORTH_A_THREAD", 1)


@pytest.fixture(params=["memory", "sqlite"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    store: Store = MemoryStore() if request.param == "memory" else open_store(str(tmp_path / "meterctl.db"))
    yield Desk(tap(store))
    store.close()


def in_chunks(desk: Desk, *chunks: Sequence[Operation]) -> list[Receipt]:
    """Receipts of operations in chunks."""
    requests = [[request(operation) for operation in operations] for operations in chunks]
    return [receipt for receipts in desk.ledger.execute_chunks(requests) for receipt in receipts]


def statuses(receipts: Sequence[Receipt]) -> list[str]:
    return [receipt.reason or receipt.status for receipt in receipts]


def rival_of(desk: Desk) -> Desk:
    """Another process on the same store, whose own appends are left alone."""
    rival = Desk(desk.store, now=desk.clock.now())
    rival.ledger.terms = desk.ledger.terms
    return rival


def around_append(
    desk: Desk, *, before: Callable[[], Any] | None = None, after: Callable[[], Any] | None = None
) -> None:
    """Let something happen before or after the next append, of which its caller knows nothing yet."""

    def hook(real: Any, entries: Sequence[Entry]) -> Any:
        desk.store.journal.on("append", lambda real, entries: real(entries))  # type: ignore[attr-defined]
        if before:
            before()
        taken = real(entries)
        if after:
            after()
        return taken

    desk.store.journal.on("append", hook)  # type: ignore[attr-defined]


def workers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("meterctl-append")]


def test_everything_an_operation_looks_back_at_may_be_on_its_way(desk: Desk) -> None:
    one_by_one = Desk()
    operations: list[Operation] = [
        CreditPack("acme", "short", "s"),
        Debit("acme", 30, "d"),
        Refund("acme", "s", 100, "re1"),
        ReverseRefund("acme", "re1"),
        Refund("acme", "s", 150, "re2"),
        Undo("acme", 2),
        Debit("acme", 30, "d"),
        Refund("acme", "s", 151, "re3"),
        Debit("acme", 31, "d"),
        Attribute("acme", "r", units=5),
        Undo("acme", 1),
    ]
    receipts = in_chunks(desk, *[[operation] for operation in operations])
    expected = [one_by_one.do(operation) for operation in operations]
    assert statuses(receipts) == statuses(expected)
    assert [receipt.undone_by for receipt in receipts] == [receipt.undone_by for receipt in expected]
    assert [receipt.balance for receipt in receipts] == [receipt.balance for receipt in expected]
    assert [booked(entry) for entry in desk.entries()] == [booked(entry) for entry in one_by_one.entries()]


def test_what_is_decided_ahead_of_a_clash_is_decided_anew(desk: Desk) -> None:
    rival = rival_of(desk)
    around_append(desk, before=lambda: rival.adjust(100, "rival"))
    receipts = in_chunks(
        desk, [Adjust("acme", 1, "a"), Adjust("bolt", 1, "a")], [Debit("acme", 50, "d")], [Debit("acme", 52, "e")]
    )
    assert statuses(receipts) == ["applied", "applied", "applied", "insufficient_balance"]
    assert [receipt.balance for receipt in receipts] == [101, 1, 51, 51]
    assert [entry["key"] for entry in desk.entries("acme")] == ["adjust:rival", "adjust:a", "debit:d"]


def test_a_refusal_waits_for_what_it_rests_on(desk: Desk) -> None:
    # The append is acknowledged late; by then another process has given the org what it lacked.
    rival = rival_of(desk)
    around_append(desk, after=lambda: rival.adjust(50, "rival"))
    receipts = in_chunks(desk, [Adjust("acme", 10, "a")], [Debit("acme", 60, "d")], [Debit("acme", 1, "e")])
    assert statuses(receipts) == ["applied", "applied", "insufficient_balance"]
    assert [receipt.balance for receipt in receipts] == [10, 0, 0]


def test_a_replay_waits_for_what_its_balance_rests_on(desk: Desk) -> None:
    rival = rival_of(desk)
    around_append(desk, after=lambda: rival.adjust(50, "rival"))
    receipts = in_chunks(desk, [Adjust("acme", 10, "a")], [Adjust("acme", 10, "a"), Adjust("acme", 9, "a")])
    assert statuses(receipts) == ["applied", "replayed", "conflict"]
    assert [receipt.balance for receipt in receipts] == [10, 60, 60]


def test_what_is_known_of_an_org_may_be_old_in_the_next_chunk(desk: Desk) -> None:
    rival = rival_of(desk)
    seen = []

    def chunks() -> Iterator[list[Request]]:
        yield [request(Adjust("acme", 10, "a"))]
        yield [request(Adjust("bolt", 10, "a"))]
        yield [request(Adjust("bolt", 10, "b"))]
        rival.adjust(50, "rival")
        yield [request(Debit("acme", 60, "d"))]

    for receipts in desk.ledger.execute_chunks(chunks()):
        seen += receipts
    assert statuses(seen) == ["applied"] * 4
    assert seen[-1].balance == 0


def test_a_pack_moves_to_another_org_in_the_next_chunk(desk: Desk) -> None:
    credit, undo, move = CreditPack("acme", "small", "s"), Undo("acme", 1), CreditPack("bolt", "small", "s")
    assert statuses(in_chunks(desk, [credit], [undo], [move, Debit("bolt", 1, "d")])) == ["applied"] * 4
    assert dict(desk.store.claims.read()) == {"s": "bolt"}


def test_a_session_credited_by_two_orgs_goes_to_the_first(desk: Desk) -> None:
    receipts = in_chunks(desk, [CreditPack("acme", "small", "s")], [CreditPack("bolt", "small", "s")])
    assert statuses(receipts) == ["applied", "session_claimed"]


def test_due_events_cut_off_by_a_clash_are_told_across_chunks(desk: Desk) -> None:
    desk.adjust(5, "a", expires="2026-11-17")
    desk.go("2026-11-18")
    desk.store.journal.on("append", lambda real, entries: real(entries[:1]), times=1)  # type: ignore[attr-defined]
    receipts = in_chunks(desk, [Adjust("acme", 1, "b")], [Adjust("acme", 2, "c")])
    assert [[entry["key"] for entry in receipt.also] for receipt in receipts] == [["expire:1"], []]


def test_empty_chunks_are_answered_too(desk: Desk) -> None:
    chunks = [[], [request(Adjust("acme", 1, "a"))], [], []]
    parts = list(desk.ledger.execute_chunks(chunks))
    assert [len(receipts) for receipts in parts] == [0, 1, 0, 0]


@pytest.mark.parametrize("most", [0, 1, 3])
def test_orgs_that_are_forgotten_are_read_again(desk: Desk, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(orgview.OrgViews.__init__, "__kwdefaults__", {"most": most})
    chunks = [[Adjust(f"org-{(number + other) % 5}", 1, f"a{number}") for other in (0, 2)] for number in range(20)]
    receipts = in_chunks(desk, *chunks)
    assert statuses(receipts) == ["applied"] * 40
    assert [len(desk.entries(f"org-{number}")) for number in range(5)] == [8] * 5


def test_no_more_is_asked_than_the_known_keys(desk: Desk) -> None:
    calls = desk.store.journal.calls  # type: ignore[attr-defined]
    in_chunks(desk, *[[Adjust(f"org-{other}", 1, f"a{number}") for other in range(3)] for number in range(10)])
    assert calls == {"tips": 1, "by_keys": 10, "append": 10}


def test_a_failure_in_the_background_is_raised_and_leaves_no_thread(desk: Desk) -> None:
    def fail(real: Any, entries: Sequence[Entry]) -> Any:
        raise StoreUnreachable("no answer")

    answered: list[Receipt] = []

    def run() -> None:
        for receipts in desk.ledger.execute_chunks([request(Adjust("acme", 1, f"a{number}"))] for number in range(9)):
            answered.extend(receipts)
            desk.store.journal.on("append", fail)  # type: ignore[attr-defined]

    with pytest.raises(StoreUnreachable, match="no answer"):
        run()
    assert len(answered) in (1, 2)  # one more may have been on its way already
    assert len(desk.entries()) == len(answered)
    assert workers() == []


def test_who_stops_listening_loses_nothing(desk: Desk) -> None:
    parts = desk.ledger.execute_chunks(
        [request(Adjust("acme", 1, f"a{number}"))] for number in count()
    )  # bounded: below
    told = next(parts) + next(parts)
    parts.close()  # type: ignore[attr-defined]
    assert workers() == []
    assert [receipt.entry for receipt in told] == desk.entries()[:2]
    assert len(desk.entries()) in (2, 3)


def test_a_caller_that_fails_in_between_waits_for_what_is_on_its_way(desk: Desk) -> None:
    def chunks() -> Iterator[list[Request]]:
        yield [request(Adjust("acme", 1, "a"))]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(desk.ledger.execute_chunks(chunks()))
    assert workers() == []
    assert [entry["key"] for entry in desk.entries()] == ["adjust:a"]
