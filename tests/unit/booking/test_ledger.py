"""The write path between other writers and stores that fail to answer."""

import gc
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from random import Random
from typing import Any

import pytest

from meterctl.core.booking.chunk_writer import Pace
from meterctl.core.booking.head_cache import head_of
from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain import instants
from meterctl.core.domain.operations import Adjust, BookDue, CreditPack, Debit, Operation, ReverseRefund, Undo
from meterctl.core.domain.policy import Terms
from meterctl.core.errors import StoreUnreachable, StoreUnusable, sound
from meterctl.core.model import Entry, Instant
from meterctl.core.ports import Store
from meterctl.core.results import Receipt
from meterctl.core.verify import verify_all
from meterctl.process.clock import FixedClock
from tests.builders import holders
from tests.desk import NOON, PACKS, Desk, contents, request, tap


def rival_of(desk: Desk) -> Desk:
    """Another process on the same store."""
    rival = Desk(desk.store, now=desk.clock.now())
    rival.ledger.terms = desk.ledger.terms
    return rival


def before_append(desk: Desk, act: Callable[[], object], *, times: int = 1) -> None:
    """Let ``act`` happen between deciding and appending, ``times`` times; what it appends itself is left alone."""
    left = iter(range(times))

    def hook(real: Any, entries: Sequence[Entry]) -> Any:
        if not busy and next(left, None) is not None:
            busy.append(True)
            act()
            busy.clear()
        return real(entries)

    busy: list[bool] = []
    desk.store.journal.on("append", hook)  # type: ignore[attr-defined]


def together(desk: Desk, *operations: Operation, chunk: int = 500) -> list[Receipt]:
    return list(desk.ledger.execute([request(operation) for operation in operations], chunk=chunk))


def statuses(receipts: Sequence[Receipt]) -> list[str]:
    return [receipt.reason or receipt.status for receipt in receipts]


def keys(entries: Sequence[Entry]) -> list[str]:
    return [entry["key"] for entry in entries]


# chunks


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 500])
def test_a_receipt_per_request_in_order(desk: Desk, chunk: int) -> None:
    operations = [Adjust(f"org-{number % 3}", number + 1, f"a{number}") for number in range(7)]
    receipts = together(desk, *operations, chunk=chunk)
    assert [(receipt.org, receipt.key) for receipt in receipts] == [(op.org, op.key) for op in operations]
    assert desk.store.journal.calls["append"] == -(-7 // chunk)  # type: ignore[attr-defined]


def test_requests_are_read_as_they_are_needed(desk: Desk) -> None:
    taken = []

    def endless() -> Iterator[Any]:
        for number in count():  # bounded: by who asks
            taken.append(number)
            yield request(Adjust("acme", 1, f"a{number}"))

    receipts = desk.ledger.execute(endless(), chunk=5)
    assert [next(receipts).balance for _ in range(7)] == [1, 2, 3, 4, 5, 6, 7]
    assert len(taken) == 10


def test_nothing_asked_nothing_done(desk: Desk) -> None:
    assert together(desk) == []
    assert not desk.store.journal.calls  # type: ignore[attr-defined]


# other writers


def test_a_writer_that_was_faster_is_booked_upon(desk: Desk) -> None:
    rival = rival_of(desk)
    before_append(desk, lambda: rival.adjust(7, "rival"))
    receipt = desk.adjust(5, "mine")
    assert (receipt.status, receipt.balance) == ("applied", 12)
    assert keys(desk.entries()) == ["adjust:rival", "adjust:mine"]
    assert len(desk.clock.slept) == 1


def test_what_was_booked_before_the_clash_stands(desk: Desk) -> None:
    rival = rival_of(desk)
    before_append(desk, lambda: rival.adjust(7, "rival", org="bolt"))
    receipts = together(
        desk, Adjust("acme", 1, "a"), Debit("acme", 9, "x"), Adjust("bolt", 2, "b"), Adjust("acme", 3, "c")
    )
    assert statuses(receipts) == ["applied", "insufficient_balance", "applied", "applied"]
    assert [receipt.balance for receipt in receipts] == [1, 1, 9, 4]
    assert keys(desk.entries("acme")) == ["adjust:a", "adjust:c"]


def test_many_orgs_read_at_old_tips_take_few_turns(desk: Desk) -> None:
    """A crash behind an append leaves the heads of a whole chunk behind."""
    orgs = [f"org-{number}" for number in range(300)]
    together(desk, *(Adjust(org, 1, ref) for ref in ("a", "b") for org in orgs))
    journal: Any = desk.store.journal
    journal.on("tips", lambda _, orgs: {org: journal.by_seq(org, 1) for org in orgs})
    journal.calls.clear()
    receipts = together(desk, *(Adjust(org, 1, "c") for org in orgs))
    assert [receipt.balance for receipt in receipts] == [3] * 300
    assert journal.calls["append"] < 12


def test_due_events_are_decided_on_the_tip_that_the_keys_made_sure_of(desk: Desk) -> None:
    """The tip is old, and the first look at the keys finds an entry behind it, while due events are decided."""
    desk.adjust(50, "short", expires="2026-11-16T13:00:00Z")
    desk.adjust(100, "grant")
    desk.debit(7, "same")
    desk.go("2026-11-16T14:00:00Z")
    journal: Any = desk.store.journal
    journal.on("tips", lambda _, orgs: {org: journal.by_seq(org, 2) for org in orgs})
    receipts = together(
        desk,
        *(Adjust("core", 1, ref) for ref in "abcd"),
        ReverseRefund("acme", "re_9"),
        Debit("acme", 7, "same"),
        Adjust("acme", 5, "new"),
        Adjust("bolt", 1, "a"),
        chunk=4,
    )
    assert statuses(receipts)[4:] == ["unknown_refund", "replayed", "applied", "applied"]
    assert [receipt.balance for receipt in receipts[4:]] == [100, 100, 105, 1]
    assert keys(desk.entries()) == ["adjust:short", "adjust:grant", "debit:same", "expire:1", "adjust:new"]
    assert verify_all(desk.store).ok


def test_an_org_that_clashes_again_throws_no_suspicion_on_others(desk: Desk) -> None:
    rival = rival_of(desk)
    refs = iter(("r1", "r2"))
    before_append(desk, lambda: rival.adjust(7, next(refs)), times=2)
    together(desk, *(Adjust(org, 1, "a") for org in ("acme", "bolt", "core")))
    asked_by_rival = asked_by_us = 2
    assert desk.store.journal.calls["tip"] == asked_by_rival + asked_by_us  # type: ignore[attr-defined]


def test_l10_a_writer_that_took_the_units_leaves_a_refusal(desk: Desk) -> None:
    rival = rival_of(desk)
    desk.adjust(10, "a")
    before_append(desk, lambda: rival.debit(6, "rival"))
    receipt = desk.debit(6, "mine")
    assert (receipt.reason, receipt.balance) == ("insufficient_balance", 4)


def test_a_twin_that_was_faster_makes_it_a_replay(desk: Desk) -> None:
    rival = rival_of(desk)
    before_append(desk, lambda: rival.adjust(5, "same"))
    receipt = desk.adjust(5, "same")
    # Same actor, same millisecond: even the hashes are equal, and yet only one of the two booked it.
    assert (receipt.status, receipt.applied) == ("replayed", False)
    assert len(desk.entries()) == 1


def test_due_events_that_a_rival_booked_are_not_ours(desk: Desk) -> None:
    rival = rival_of(desk)
    desk.adjust(5, "a", expires="2026-11-17")
    for one in (desk, rival):
        one.go("2026-11-18")
    before_append(desk, rival.sweep)
    receipt = desk.sweep()
    assert (receipt.status, receipt.also) == ("unchanged", ())
    assert keys(desk.entries()) == ["adjust:a", "expire:1"]


def test_due_events_booked_before_the_clash_are_told_with_the_second_try(desk: Desk) -> None:
    desk.adjust(5, "a", expires="2026-11-17")
    desk.go("2026-11-18")

    def only_the_first(real: Any, entries: Sequence[Entry]) -> Any:
        return real(entries[:1])

    desk.store.journal.on("append", only_the_first, times=1)  # type: ignore[attr-defined]
    receipts = together(desk, Adjust("acme", 1, "b"), Adjust("acme", 2, "c"))
    assert [keys(receipt.also) for receipt in receipts] == [["expire:1"], []]
    assert keys(desk.entries()) == ["adjust:a", "expire:1", "adjust:b", "adjust:c"]


def test_losing_for_ever_ends(desk: Desk) -> None:
    desk.store.journal.on("append", lambda *_: 0)  # type: ignore[attr-defined]
    with pytest.raises(StoreUnreachable, match="other writers were first") as caught:
        desk.adjust(5, "a")
    assert (caught.value.code, caught.value.exit_code) == ("contended", 10)
    assert 100 < len(desk.clock.slept) < 10_000
    assert desk.entries() == []


def test_threads_on_one_org_lose_nothing(store: Store) -> None:
    Desk(store).adjust(60, "a")
    receipts: list[Receipt] = []

    def spend(worker: int) -> None:
        ledger = Ledger(store, FixedClock(Instant(NOON)), Terms(packs=PACKS), random=Random(worker))
        for number in range(20):
            receipts.append(ledger.one(request(Debit("acme", 1, f"{worker}-{number}"))))

    threads = [threading.Thread(target=spend, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses(receipts)) == ["applied"] * 60 + ["insufficient_balance"] * 20
    entries = list(store.journal.read("acme"))
    assert [entry["seq"] for entry in entries] == list(range(1, 62))
    assert [entry["balance"] for entry in entries[1:]] == list(range(59, -1, -1))


# answers that do not arrive


def fail(real: Any, *arguments: Any) -> Any:
    raise StoreUnreachable("no answer")


def store_then_fail(upto: int) -> Callable[..., Any]:
    def hook(real: Any, entries: Sequence[Entry]) -> Any:
        real(entries[:upto])
        raise StoreUnreachable("no answer")

    return hook


@pytest.mark.parametrize("stored", [0, 1, 2, 3])
@pytest.mark.parametrize("times", [1, 3])
def test_l51_an_append_whose_answer_is_lost_is_booked_once(desk: Desk, stored: int, times: int) -> None:
    desk.store.journal.on("append", store_then_fail(stored), times=times)  # type: ignore[attr-defined]
    receipts = together(desk, Adjust("acme", 1, "a"), Adjust("bolt", 2, "b"), Adjust("acme", 3, "c"))
    assert statuses(receipts) == ["applied"] * 3
    assert [receipt.balance for receipt in receipts] == [1, 2, 4]
    assert keys(desk.entries("acme")) == ["adjust:a", "adjust:c"]
    assert keys(desk.entries("bolt")) == ["adjust:b"]


def test_looking_up_what_was_stored_may_fail_too(desk: Desk) -> None:
    desk.store.journal.on("append", store_then_fail(1), times=1)  # type: ignore[attr-defined]
    failures = iter([False, True, True])

    def sometimes(real: Any, names: Any) -> Any:
        return fail(real) if next(failures, False) else real(names)

    desk.store.journal.on("by_keys", sometimes)  # type: ignore[attr-defined]
    assert desk.adjust(1, "a").applied
    assert len(desk.entries()) == 1


def test_a_rival_after_a_lost_answer_is_no_success_of_ours(desk: Desk) -> None:
    rival = rival_of(desk)

    def fail_while_a_rival_books(real: Any, entries: Sequence[Entry]) -> Any:
        rival.store.journal.on("append", lambda real, entries: real(entries))  # type: ignore[attr-defined]
        rival.adjust(7, "rival")
        raise StoreUnreachable("no answer")

    desk.store.journal.on("append", fail_while_a_rival_books, times=1)  # type: ignore[attr-defined]
    receipt = desk.adjust(5, "mine")
    assert (receipt.status, receipt.balance) == ("applied", 12)
    assert keys(desk.entries()) == ["adjust:rival", "adjust:mine"]


def test_no_answer_at_all_is_raised_when_patience_ends(desk: Desk) -> None:
    desk.store.journal.on("append", fail)  # type: ignore[attr-defined]
    with pytest.raises(StoreUnreachable, match="no answer"):
        desk.adjust(1, "a")
    assert len(desk.clock.slept) > 100
    desk.store.journal.on("append", lambda real, entries: real(entries))  # type: ignore[attr-defined]
    assert desk.adjust(1, "a").applied


def test_a_store_that_cannot_be_read_raises_at_once(desk: Desk) -> None:
    desk.store.journal.on("tip", fail)  # type: ignore[attr-defined]
    with pytest.raises(StoreUnreachable):
        desk.adjust(1, "a")
    assert desk.clock.slept == []


def test_waits_are_jittered_grow_and_end() -> None:
    clock = Desk().clock
    pace = Pace(clock, 1.0, Random(7))

    def wait_often() -> None:
        for _ in range(1000):
            pace.wait(StoreUnreachable("trouble"))

    with pytest.raises(StoreUnreachable):
        wait_often()
    assert all(0.001 <= pause <= 0.05 for pause in clock.slept)
    assert max(clock.slept[:2]) < 0.004 < max(clock.slept)
    assert len(set(clock.slept)) == len(clock.slept)
    assert 20 <= len(clock.slept) <= 200


def test_no_patience_no_second_try(store: Store) -> None:
    desk = Desk(tap(store))
    desk.ledger = Ledger(desk.store, desk.clock, desk.ledger.terms, patience=0)
    desk.store.journal.on("append", fail)  # type: ignore[attr-defined]
    with pytest.raises(StoreUnreachable):
        desk.adjust(1, "a")
    assert desk.store.journal.calls["append"] == 1  # type: ignore[attr-defined]


# heads


def test_heads_follow_the_journal(desk: Desk) -> None:
    desk.credit("s", "short")
    desk.run("r", 30)
    desk.adjust(1, "x", org="bolt")
    heads = {head.org: head for head in sound(desk.store.heads.read())}
    assert heads == {org: head_of(desk.tip(org)) for org in ("acme", "bolt")}
    assert (heads["acme"].seq, heads["acme"].balance) == (2, 70)
    assert (heads["acme"].next_expiry, heads["acme"].next_due) == (
        "2026-11-17T12:00:00.000Z", "2026-11-17T12:00:00.000Z",
    )  # fmt: skip
    assert heads["bolt"].next_due is None


@pytest.mark.parametrize("trouble", [StoreUnreachable, StoreUnusable])
def test_a_head_that_cannot_be_written_fails_nothing(desk: Desk, trouble: type[Exception]) -> None:
    def fail(*_: object) -> None:
        raise trouble("no room")

    desk.store.heads.on("put", fail)  # type: ignore[attr-defined]
    assert desk.adjust(1, "a").applied
    assert list(desk.store.heads.read()) == []
    desk.store.heads.on("put", lambda real, heads: real(heads))  # type: ignore[attr-defined]
    assert desk.adjust(1, "b").balance == 2
    assert [head.seq for head in desk.store.heads.read()] == [2]


def test_nothing_booked_no_head_written(desk: Desk) -> None:
    desk.debit(1, "d")
    assert desk.store.heads.calls["put"] == 0  # type: ignore[attr-defined]


# claims


def test_l10_a_session_that_another_org_claims_meanwhile_is_refused(desk: Desk) -> None:
    rival = rival_of(desk)

    def holders_before_the_rival(real: Any, sessions: Any) -> Any:
        found = real(sessions)
        desk.store.claims.on("holders", lambda real, sessions: real(sessions))  # type: ignore[attr-defined]
        assert rival.credit("s", org="bolt").applied
        return found

    desk.store.claims.on("holders", holders_before_the_rival)  # type: ignore[attr-defined]
    receipts = together(
        desk, Adjust("acme", 1, "a"), CreditPack("acme", "small", "s"), CreditPack("acme", "small", "t")
    )
    assert statuses(receipts) == ["applied", "session_claimed", "applied"]
    assert holders(desk.store) == {"s": "bolt", "t": "acme"}


def test_l10_a_session_is_booked_for_the_first_org_of_a_chunk(desk: Desk) -> None:
    receipts = together(desk, CreditPack("acme", "small", "s"), CreditPack("bolt", "small", "s"))
    assert statuses(receipts) == ["applied", "session_claimed"]
    assert desk.store.claims.calls == {"holders": 1, "take": 1}  # type: ignore[attr-defined]


def test_a_pack_can_be_moved_within_one_chunk(desk: Desk) -> None:
    receipts = together(
        desk, CreditPack("acme", "small", "s"), Undo("acme", 1), CreditPack("bolt", "small", "s"), Debit("bolt", 1, "d")
    )
    assert statuses(receipts) == ["applied"] * 4
    assert holders(desk.store) == {"s": "bolt"}
    assert desk.clock.slept == []


def test_l10_a_claim_moves_only_once_the_undo_is_booked(desk: Desk) -> None:
    rival = rival_of(desk)
    desk.credit("s", org="acme")
    # While the undo is decided, someone uses the pack: it cannot be undone any more, so it must not move either.
    before_append(desk, lambda: rival.debit(1, "rival", org="acme"))
    receipts = together(desk, Undo("acme", 1), CreditPack("bolt", "small", "s"))
    assert statuses(receipts) == ["lot_partly_used", "session_claimed"]
    assert holders(desk.store) == {"s": "acme"}
    assert (desk.balance("acme"), desk.balance("bolt")) == (999, 0)


def test_a_crash_after_the_claim_is_mended_by_running_it_again(desk: Desk) -> None:
    desk.store.journal.on("append", fail)  # type: ignore[attr-defined]
    with pytest.raises(StoreUnreachable):
        desk.credit("s")
    assert holders(desk.store) == {"s": "acme"}
    desk.store.journal.on("append", lambda real, entries: real(entries))  # type: ignore[attr-defined]
    assert desk.credit("s").applied


def test_a_claim_that_was_moved_before_a_crash_is_the_new_orgs_to_use(desk: Desk) -> None:
    desk.credit("s", org="acme")
    desk.undo(1, org="acme")
    desk.store.journal.on("append", fail)  # type: ignore[attr-defined]
    with pytest.raises(StoreUnreachable):
        desk.credit("s", org="bolt")
    desk.store.journal.on("append", lambda real, entries: real(entries))  # type: ignore[attr-defined]
    assert desk.credit("s", org="core").reason == "session_claimed"
    assert desk.credit("s", org="bolt").applied


def test_a_refused_credit_claims_nothing(desk: Desk) -> None:
    desk.credit("s", "large")
    desk.credit("t", at="2027-01-01")
    assert list(desk.store.claims.read()) == []


# the same on every store


def test_an_entry_reads_back_as_it_was_answered(desk: Desk) -> None:
    receipts = [desk.credit("größe"), desk.run("r", 5), desk.debit(7, "d"), desk.undo(3), desk.refund("größe", 5, "re")]
    assert [receipt.entry for receipt in receipts] == desk.entries()


def test_every_write_is_one_append_and_one_head(desk: Desk) -> None:
    together(desk, Adjust("acme", 1, "a"), BookDue("acme"), Debit("acme", 1, "d"))
    assert desk.store.journal.calls["append"] == 1  # type: ignore[attr-defined]
    assert desk.store.heads.calls["put"] == 1  # type: ignore[attr-defined]
    assert json.dumps(contents(desk.store))


def test_a_repeat_that_leaves_out_an_expiry_is_a_conflict() -> None:
    desk = Desk()
    desk.do(Adjust("acme", 5, "a1", instants.parse("2027-01-01")))
    receipt = desk.do(Adjust("acme", 5, "a1"))
    assert receipt.status == "conflict"
    assert receipt.diff is not None
    assert set(receipt.diff) == {"expires_at"}


def test_a_chunk_leaves_nothing_to_the_garbage_collector(store: Store) -> None:
    """What refers to itself stays until the collector runs, which for long runs is seldom: it would double the memory
    of a backfill."""
    ledger = Ledger(store, FixedClock(Instant(NOON)), Terms(), overlap=False)
    requests = [request(Adjust("acme", 1, f"r{number}", None)) for number in range(300)]
    list(ledger.execute(requests[:100], chunk=20))
    gc.collect()
    gc.disable()
    try:
        list(ledger.execute(requests[100:], chunk=20))
        assert gc.collect() < 200  # fewer than a request each
    finally:
        gc.enable()
