"""What a chunk of requests is answered: replays, conflicts, views that may be old, journals that cannot be read."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from meterctl.core.domain.canonical import entry_hash
from meterctl.core.domain.operations import (
    Adjust,
    Attribute,
    BookDue,
    CreditPack,
    Debit,
    Operation,
    Refund,
    Request,
    ReverseRefund,
    Undo,
)
from meterctl.core.domain.policy import Pack
from meterctl.core.errors import Damaged
from meterctl.core.model import Entry, Instant
from meterctl.core.results import Receipt
from meterctl.core.stores.overlay import OverlayStore
from tests.desk import NOON, Desk, booked, contents, request, tap
from tests.memory_store import MemoryStore


def together(desk: Desk, *operations: Operation) -> list[Receipt]:
    """Receipts of operations that are decided as one chunk."""
    return list(desk.ledger.execute([request(operation) for operation in operations]))


def statuses(receipts: Sequence[Receipt]) -> list[str]:
    return [receipt.reason or receipt.status for receipt in receipts]


# replays and conflicts


def test_l44_a_replay_returns_the_first_entry_and_books_nothing() -> None:
    desk = Desk()
    desk.adjust(10, "a")
    first = desk.debit(4, "d")
    before = contents(desk.store)
    again = desk.debit(4, "d")
    assert first.entry is not None
    assert (first.status, first.applied, first.exit_code) == ("applied", True, 0)
    assert (again.status, again.applied, again.exit_code, again.reason) == ("replayed", False, 0, None)
    assert (again.entry, again.also, again.diff, again.undone_by) == (first.entry, (), None, None)
    assert (again.key, again.command, again.org, again.balance) == ("debit:d", "debit", "acme", 6)
    assert contents(desk.store) == before


def test_l44_another_input_under_the_same_key_is_a_conflict() -> None:
    desk = Desk()
    first = desk.debit(4, "d", allow_debt=True)
    before = contents(desk.store)
    receipt = desk.debit(5, "d")
    assert (receipt.status, receipt.applied, receipt.exit_code) == ("conflict", False, 5)
    assert receipt.entry == first.entry
    assert receipt.diff == {"units": {"first": 4, "now": 5}, "allow_debt": {"first": True, "now": False}}
    assert "allow_debt, units" in receipt.message
    assert contents(desk.store) == before


def test_who_why_and_when_are_not_part_of_the_input() -> None:
    desk = Desk()
    desk.debit(4, "d", allow_debt=True)
    later = Request(Debit("acme", 4, "d", True), "someone else", None, Instant("2026-11-01T00:00:00.000Z"))
    assert desk.ledger.one(later).status == "replayed"


@pytest.mark.parametrize("years", ["2027", "2036"])
def test_l45_a_key_is_used_for_ever(years: str) -> None:
    desk = Desk()
    desk.debit(4, "d", allow_debt=True)
    desk.go(f"{years}-11-16")
    assert desk.debit(4, "d", allow_debt=True).status == "replayed"


def test_l47_idempotency_comes_before_every_rule() -> None:
    desk = Desk()
    desk.credit("s")
    desk.debit(1000, "d")
    desk.refund("s", 500, "re")
    desk.set_terms(packs={})
    assert desk.debit(1000, "d").status == "replayed"
    assert desk.credit("s").status == "replayed"
    assert desk.refund("s", 500, "re").status == "replayed"


def test_keys_are_each_orgs_own() -> None:
    desk = Desk()
    assert desk.debit(1, "d", org="acme", allow_debt=True).applied
    assert desk.debit(2, "d", org="bolt", allow_debt=True).applied


def test_a_refused_key_stays_free() -> None:
    desk = Desk()
    assert desk.debit(4, "d").reason == "insufficient_balance"
    desk.adjust(10, "a")
    assert desk.debit(4, "d").applied


@pytest.mark.parametrize(
    ("first", "now", "status"),
    [
        (None, None, "replayed"),
        (None, 500, "replayed"),
        (500, None, "replayed"),
        (None, 499, "conflict"),
        (0, 500, "conflict"),
    ],
)
def test_a_price_left_out_is_the_one_the_pack_was_sold_at(first: int | None, now: int | None, status: str) -> None:
    desk = Desk()
    desk.credit("s", cents=first)
    desk.set_terms(packs={"small": Pack(1000, 777, "usd")})
    assert desk.credit("s", cents=now).status == status


def test_a_replays_balance_is_todays() -> None:
    desk = Desk()
    desk.credit("s", "short")
    desk.go("2026-11-20")
    assert desk.credit("s", "short").balance == 0


# one chunk


def test_operations_of_one_org_take_effect_in_the_order_given() -> None:
    desk = Desk()
    receipts = together(
        desk,
        Debit("acme", 5, "early"),
        Adjust("acme", 10, "a"),
        Debit("acme", 5, "d"),
        Adjust("bolt", 3, "a"),
        Debit("acme", 6, "e"),
        Debit("acme", 5, "f"),
    )
    assert statuses(receipts) == [
        "insufficient_balance", "applied", "applied", "applied", "insufficient_balance", "applied",
    ]  # fmt: skip
    assert [receipt.balance for receipt in receipts] == [0, 10, 5, 3, 5, 0]
    assert [entry["key"] for entry in desk.entries("acme")] == ["adjust:a", "debit:d", "debit:f"]


def test_a_key_repeated_in_one_chunk_is_used_once() -> None:
    desk = Desk()
    receipts = together(desk, *[Adjust("acme", 10, "a")] * 3, Adjust("acme", 11, "a"))
    assert statuses(receipts) == ["applied", "replayed", "replayed", "conflict"]
    assert len({receipt.entry["hash"] for receipt in receipts if receipt.entry}) == 1
    assert len(desk.entries()) == 1


def test_an_undo_in_the_same_chunk_is_seen() -> None:
    desk = Desk()
    receipts = together(
        desk, Adjust("acme", 10, "a"), Debit("acme", 4, "d"), Undo("acme", 2), Debit("acme", 4, "d"), Undo("acme", 2)
    )
    assert statuses(receipts) == ["applied", "applied", "applied", "replayed", "replayed"]
    assert receipts[3].undone_by == 3


def test_everything_an_operation_looks_back_at_may_be_in_the_same_chunk() -> None:
    operations: list[Operation] = [
        CreditPack("acme", "short", "s"),
        Debit("acme", 30, "d"),
        Refund("acme", "s", 150, "re"),
        ReverseRefund("acme", "re"),
        Refund("acme", "s", 300, "re2"),
    ]
    at_once, one_by_one = Desk(), Desk()
    late = [BookDue("acme"), Undo("acme", 2), Undo("acme", 1), Refund("acme", "s", 1, "re3")]
    together(at_once, *operations)
    at_once.go("2026-11-20")
    receipts = together(at_once, *late)
    for operation in operations:
        one_by_one.do(operation)
    one_by_one.go("2026-11-20")
    assert statuses(receipts) == statuses([one_by_one.do(operation) for operation in late])
    assert statuses(receipts) == ["unchanged", "applied", "lot_partly_used", "refund_exceeds_payment"]
    assert at_once.entries() == one_by_one.entries()


def test_what_was_forfeited_in_the_same_chunk_is_not_clawed() -> None:
    desk = Desk()
    together(desk, CreditPack("acme", "short", "s"), Debit("acme", 30, "d"))
    desk.go("2026-11-20")
    receipts = together(desk, Undo("acme", 2), Refund("acme", "s", 300, "re"))
    assert [len(receipt.also) for receipt in receipts] == [1, 0]
    entry = receipts[1].entry
    assert entry is not None
    assert (entry["units"], entry["forgiven"]) == (0, 100)


def test_due_events_belong_to_the_operation_that_met_them_first() -> None:
    desk = Desk()
    desk.adjust(5, "a", expires="2026-11-17")
    desk.go("2026-11-18")
    receipts = together(desk, Debit("acme", 5, "d"), Adjust("acme", 1, "b"), Adjust("acme", 1, "c"))
    assert statuses(receipts) == ["insufficient_balance", "applied", "applied"]
    assert [[entry["key"] for entry in receipt.also] for receipt in receipts] == [[], ["expire:1"], []]


def test_a_chunk_takes_a_few_queries_whatever_its_size() -> None:
    store = tap(MemoryStore())
    desk = Desk(store)
    together(desk, *[Adjust(f"org-{number % 7}", 10, f"a{number}") for number in range(200)])
    assert store.journal.calls == {"tips": 1, "by_keys": 1, "append": 1}
    assert store.heads.calls == {"put": 1}
    assert store.plans.calls == {}
    assert store.claims.calls == {}
    together(desk, *[CreditPack("acme", "small", f"s{number}") for number in range(100)])
    assert store.journal.calls == {"tips": 1, "tip": 1, "by_keys": 2, "append": 2}
    assert store.claims.calls == {"holders": 1, "take": 1}


def test_plans_are_read_once_for_a_chunk() -> None:
    store = tap(MemoryStore())
    desk = Desk(store)
    together(desk, *[Attribute(f"org-{number % 3}", f"r{number}", units=1) for number in range(50)])
    assert store.plans.calls == {"all": 1}


# tips that may be old


def behind(desk: Desk, seq: int) -> None:
    """Let `tips` tell of entry number ``seq`` at most, as a cache of heads might."""

    def old_tips(real: Any, orgs: Sequence[str]) -> dict[str, Entry]:
        found = {org: desk.store.journal.by_seq(org, min(seq, tip["seq"])) for org, tip in real(list(orgs)).items()}
        return {org: entry for org, entry in found.items() if entry is not None}

    desk.store.journal.on("tips", old_tips)  # type: ignore[attr-defined]


OTHER = Adjust("other", 1, "x")


def stale_desk() -> Desk:
    """A desk where ``acme`` got 10 units, then spent them, and where `tips` knows of the first only."""
    desk = Desk(tap(MemoryStore()))
    desk.adjust(10, "a")
    desk.debit(10, "d")
    behind(desk, 1)
    return desk


def test_l50_an_old_tip_books_nothing_wrong() -> None:
    desk = stale_desk()
    receipts = together(desk, Debit("acme", 10, "e"), OTHER)
    assert statuses(receipts) == ["insufficient_balance", "applied"]
    assert desk.balance() == 0


def test_l50_an_old_tip_refuses_nothing_wrong() -> None:
    desk = Desk(tap(MemoryStore()))
    desk.adjust(1, "a")
    desk.adjust(10, "b")
    behind(desk, 1)
    receipts = together(desk, Debit("acme", 11, "e"), OTHER)
    assert statuses(receipts) == ["applied", "applied"]


def test_what_follows_an_entry_on_an_old_tip_is_decided_anew_with_it() -> None:
    desk = stale_desk()
    receipts = together(desk, Debit("acme", 4, "e", True), Debit("acme", 4, "f"), OTHER)
    assert statuses(receipts) == ["applied", "insufficient_balance", "applied"]
    assert desk.balance() == -4


def test_a_replay_tells_the_true_balance_though_the_tip_is_old() -> None:
    desk = stale_desk()
    assert [receipt.balance for receipt in together(desk, Debit("acme", 10, "d"), OTHER)] == [0, 1]


@pytest.mark.parametrize("orgs", [("acme",), ("acme", "other")])
def test_l47_a_twin_booked_meanwhile_is_a_replay_and_no_refusal(orgs: tuple[str, ...]) -> None:
    desk, twin = Desk(tap(MemoryStore())), Desk()
    desk.credit("s")
    twin.store = twin.ledger.store = desk.store
    refund = Refund("acme", "s", 500, "re")

    def keys_before_the_twin(real: Any, names: Any) -> Any:
        known = real(names)
        assert twin.do(refund).applied
        return known

    desk.store.journal.on("by_keys", keys_before_the_twin, times=1)  # type: ignore[attr-defined]
    receipts = together(desk, refund, *[Adjust(org, 1, "x") for org in orgs])
    assert statuses(receipts)[0] == "replayed"
    assert desk.balance() == 1


# journals that cannot be read


def spoil(desk: Desk, org: str, seq: int, **fields: Any) -> None:
    """Change an entry in the store; None takes the field out."""
    texts = desk.store.journal._texts[org]  # type: ignore[attr-defined]
    entry = {**json.loads(texts[seq]), **fields}
    texts[seq] = json.dumps({name: value for name, value in entry.items() if value is not None})


def test_l56_one_journal_that_cannot_be_read_does_not_stop_the_others() -> None:
    desk = Desk()
    for org in ("acme", "bolt", "core"):
        desk.adjust(10, "a", org=org)
    spoil(desk, "bolt", 1, state={"lots": "none"})
    before = list(desk.store.journal.documents("bolt"))
    receipts = together(desk, *[Debit(org, 1, "d") for org in ("acme", "bolt", "core")], Adjust("bolt", 10, "a"))
    assert statuses(receipts) == ["applied", "failed", "applied", "failed"]
    failed = receipts[1]
    assert (failed.exit_code, failed.applied, failed.entry) == (10, False, None)
    assert "bolt" in failed.message
    assert "verify" in failed.message
    assert list(desk.store.journal.documents("bolt")) == before


def test_a_failed_operation_leaves_nothing_behind_for_the_next_to_stand_on() -> None:
    desk = Desk()
    desk.adjust(10, "a")
    desk.adjust(5, "b", expires="2026-11-17")
    spoil(desk, "acme", 1, units=None)
    desk.go("2026-11-18")
    receipts = together(desk, Undo("acme", 1), Debit("acme", 1, "d"))
    assert statuses(receipts) == ["failed", "applied"]
    assert desk.tip()["seq"] == 4
    assert [entry["key"] for entry in receipts[1].also] == ["expire:2"]


def test_a_lot_that_no_entry_opened_is_a_failure_not_a_crash() -> None:
    desk = Desk()
    desk.adjust(10, "a")
    desk.debit(10, "d")
    forged = desk.tip() | {"draws": [{"lot": 99, "units": 10}]}
    spoil(desk, "acme", 2, draws=forged["draws"], hash=entry_hash(forged))
    with pytest.raises(Damaged):
        desk.undo(2)


# dry run


def test_l59_a_dry_run_answers_what_the_real_run_does_and_books_nothing() -> None:
    desk = Desk()
    desk.credit("s", "short")
    desk.go("2026-11-20")
    before = contents(desk.store)
    operations = [
        Adjust("acme", 10, "a"),
        Debit("acme", 4, "d"),
        Debit("acme", 7, "e"),
        CreditPack("acme", "short", "s"),
    ]
    dry = Desk(OverlayStore(desk.store, MemoryStore()), now="2026-11-20")
    dry.ledger.dry_run = True
    planned = together(dry, *operations)
    assert statuses(planned) == ["planned", "planned", "insufficient_balance", "replayed"]
    assert not any(receipt.applied for receipt in planned)
    assert planned[0].message.startswith("would book +10 units as entry 3")
    assert contents(desk.store) == before
    real = together(desk, *operations)
    assert [booked(a.entry) for a in planned if a.entry] == [booked(b.entry) for b in real if b.entry]
    assert [receipt.balance for receipt in planned] == [receipt.balance for receipt in real] == [10, 6, 6, 6]
    assert real[1].message == "booked -4 units as entry 4; the balance is 6"


def test_messages_say_what_is_due() -> None:
    desk = Desk()
    desk.credit("s", "short")
    assert desk.sweep().message == "nothing is due"
    desk.go("2026-11-20")
    receipt = desk.sweep()
    assert (receipt.message, receipt.balance, receipt.key, receipt.command) == ("1 due", 0, "", "book-due")
    assert desk.clock.now() > NOON
