"""Chunks that are decided while the one before is being appended."""

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import pytest

from meterctl.core.booking import head_cache, journal_view, pipeline
from meterctl.core.domain import instants
from meterctl.core.domain.operations import (
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
from meterctl.core.errors import StoreUnreachable, sound
from meterctl.core.model import Entry
from meterctl.core.results import Receipt
from meterctl.core.stores.overlay import OverlayStore
from tests.builders import holders
from tests.desk import Desk, booked, request
from tests.memory_store import MemoryStore


@pytest.fixture(autouse=True)
def in_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "WORTH_A_THREAD", 1)


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
    assert holders(desk.store) == {"s": "bolt"}


def test_a_pack_that_another_process_takes_back_meanwhile_is_free(desk: Desk) -> None:
    rival = rival_of(desk)
    seen = []

    def chunks() -> Iterator[list[Request]]:
        yield [request(CreditPack("acme", "small", "s"))]
        yield [request(Adjust("core", 10, "a"))]
        yield [request(Adjust("core", 10, "b"))]
        rival.undo(1)
        yield [request(CreditPack("bolt", "small", "s"))]

    for receipts in desk.ledger.execute_chunks(chunks()):
        seen += receipts
    assert statuses(seen) == ["applied"] * 4
    assert holders(desk.store) == {"s": "bolt"}


def test_a_session_credited_by_two_orgs_goes_to_the_first(desk: Desk) -> None:
    receipts = in_chunks(desk, [CreditPack("acme", "small", "s")], [CreditPack("bolt", "small", "s")])
    assert statuses(receipts) == ["applied", "session_claimed"]


def test_a_credit_refused_for_a_name_on_its_way_keeps_no_other_name(desk: Desk) -> None:
    read_ahead, reads = threading.Event(), count(1)

    def holders_read(real: Any, names: Sequence[str]) -> Any:
        claims = real(names)
        if next(reads) == 2:
            read_ahead.set()
        return claims

    def take_late(real: Any, claims: Any) -> Any:
        assert read_ahead.wait(30)  # so the next chunk finds none of these claims in the store
        return real(claims)

    desk.store.claims.on("holders", holders_read)  # type: ignore[attr-defined]
    desk.store.claims.on("take", take_late)  # type: ignore[attr-defined]
    chunks = [[CreditPack("acme", "small", "cs_1", names=("pi_1",))]]
    chunks.append([CreditPack("bolt", "small", "cs_2", names=("ch_1", "pi_1"))])
    assert statuses(in_chunks(desk, *chunks)) == ["applied", "session_claimed"]
    assert holders(desk.store) == {"cs_1": "acme", "pi_1": "acme"}
    # So the payment learns its names when it is repeated for the right org.
    assert desk.do(CreditPack("acme", "small", "cs_2", names=("ch_1", "pi_1"))).status == "replayed"
    assert desk.do(Refund("acme", "ch_1", 100, "re_1")).applied


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_name_that_a_repeated_credit_adds_counts_from_the_next_line_on(desk: Desk, size: int) -> None:
    lines: list[Operation] = [
        CreditPack("acme", "small", "cs_1"),
        CreditPack("acme", "small", "cs_1", names=("pi_1",)),
        Refund("acme", "pi_1", 100, "re_1"),
        Undo("acme", None, "session:pi_1"),
    ]
    chunks = [lines[start : start + size] for start in range(0, len(lines), size)]
    assert statuses(in_chunks(desk, *chunks)) == ["applied", "replayed", "applied", "lot_partly_used"]


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
    monkeypatch.setattr(journal_view.OrgViews.__init__, "__kwdefaults__", {"most": most})
    chunks = [[Adjust(f"org-{(number + other) % 5}", 1, f"a{number}") for other in (0, 2)] for number in range(20)]
    receipts = in_chunks(desk, *chunks)
    assert statuses(receipts) == ["applied"] * 40
    assert [len(desk.entries(f"org-{number}")) for number in range(5)] == [8] * 5


# what may have been booked before


def grants(number: int, of: Sequence[str] = ("acme", "bolt", "cove")) -> list[Operation]:
    """A chunk of its own for each number."""
    return [Adjust(org, 1, f"a{number}") for org in of]


def test_keys_are_looked_up_until_a_chunk_repeats_nothing(desk: Desk) -> None:
    calls = desk.store.journal.calls  # type: ignore[attr-defined]
    in_chunks(desk, *map(grants, range(10)))
    # The second chunk is decided while the first one is on its way.
    assert calls == {"tips": 1, "by_keys": 2, "append": 10}


def test_a_request_by_itself_costs_no_look_up_until_it_turns_out_to_repeat_something(desk: Desk) -> None:
    calls = desk.store.journal.calls  # type: ignore[attr-defined]
    assert statuses(in_chunks(desk, grants(0, ["acme"]))) == ["applied"]
    assert calls == {"tip": 1, "append": 1}
    calls.clear()
    assert statuses(in_chunks(desk, grants(0, ["acme"]))) == ["replayed"]
    # The append that found it, and then the key, and what may have taken that back.
    assert calls == {"tip": 2, "append": 1, "by_keys": 2}
    assert [entry["seq"] for entry in desk.entries()] == [1]


def test_keys_are_looked_up_for_as_long_as_they_are_found(desk: Desk) -> None:
    in_chunks(desk, *map(grants, range(10)))
    calls = desk.store.journal.calls  # type: ignore[attr-defined]
    calls.clear()
    receipts = in_chunks(desk, *map(grants, range(10)))
    assert statuses(receipts) == ["replayed"] * 30
    # The keys of a chunk, and what may have taken that back.
    assert calls == {"tips": 1, "by_keys": 20, "grown": 10}


def test_a_repetition_is_answered_with_what_others_booked_since(desk: Desk) -> None:
    in_chunks(desk, grants(0))
    rival = rival_of(desk)

    def again() -> Iterator[list[Request]]:
        for _ in range(3):
            yield [request(operation) for operation in grants(0)]
            rival.do(Adjust("bolt", 50, f"rival-{rival.balance('bolt')}"))

    receipts = [receipt for receipts in desk.ledger.execute_chunks(again()) for receipt in receipts]
    assert statuses(receipts) == ["replayed"] * 9
    assert [receipt.balance for receipt in receipts] == [1, 1, 1, 1, 51, 1, 1, 101, 1]


@pytest.mark.parametrize("background", [False, True])
def test_a_repetition_that_nobody_expected_is_found_by_the_append(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, background: bool
) -> None:
    monkeypatch.setattr(pipeline, "WORTH_A_THREAD", 1 if background else 100)
    desk.do(Adjust("bolt", 1, "a7"))
    desk.do(Adjust("cove", 2, "a7"))
    receipts = in_chunks(desk, *map(grants, range(10)))
    assert statuses(receipts) == ["applied"] * 22 + ["replayed", "conflict"] + ["applied"] * 6
    assert [desk.balance(org) for org in ("acme", "bolt", "cove")] == [10, 10, 11]


@pytest.mark.parametrize("ahead", [0, 3])
def test_a_repetition_that_nobody_expected_books_nothing_that_is_due(desk: Desk, ahead: int) -> None:
    desk.do(Adjust("acme", 5, "a", instants.parse("2026-11-17")))
    desk.do(Adjust("acme", 2, "b"))
    desk.go("2026-11-30")
    before = desk.entries()
    receipts = in_chunks(desk, *(grants(number, ["bolt"]) for number in range(ahead)), [Adjust("acme", 2, "b")])
    assert statuses(receipts) == ["applied"] * ahead + ["replayed"]
    assert (receipts[-1].also, receipts[-1].balance) == ((), 2)
    assert desk.entries() == before


def test_a_refusal_that_is_a_repetition_nobody_expected_says_what_became_of_the_first(desk: Desk) -> None:
    desk.do(Adjust("acme", 5, "a"))
    desk.do(Debit("acme", 5, "d"))
    desk.do(Undo("acme", 2))
    desk.do(Debit("acme", 5, "e"))
    receipts = in_chunks(desk, grants(0, ["bolt"]), grants(1, ["bolt"]), grants(2, ["bolt"]), [Debit("acme", 5, "d")])
    assert (receipts[-1].status, receipts[-1].undone_by) == ("replayed", 3)
    assert len(desk.entries()) == 4


def test_each_time_that_a_repetition_was_not_expected_it_takes_a_chunk_more_without_any(desk: Desk) -> None:
    # In every third chunk something was booked before.
    for number in range(0, 60, 3):
        desk.do(Adjust("bolt", 1, f"a{number}"))
    calls = desk.store.journal.calls  # type: ignore[attr-defined]
    calls.clear()
    receipts = in_chunks(desk, *map(grants, range(60)))
    assert statuses(receipts).count("replayed") == 20
    # Twice at most: then two chunks without any no longer say that the next one has none.
    assert calls["append"] <= 62


def test_a_rehearsal_finds_what_is_booked_already(desk: Desk) -> None:
    desk.do(Adjust("bolt", 1, "a7"))
    rehearsal = Desk(OverlayStore(desk.store, MemoryStore()))
    rehearsal.ledger.dry_run = True
    assert statuses(in_chunks(rehearsal, *map(grants, range(10)))) == ["planned"] * 22 + ["replayed"] + ["planned"] * 7


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


# heads


def seqs_of_heads(desk: Desk) -> dict[str, int]:
    return {head.org: head.seq for head in sound(desk.store.heads.read())}


def test_heads_of_a_long_call_are_put_every_few_chunks_and_at_its_end(desk: Desk) -> None:
    seen = []
    requests = ([request(operation) for operation in grants(number)] for number in range(20))
    for _ in desk.ledger.execute_chunks(requests):
        seen.append(seqs_of_heads(desk)["cove"])
    # The first chunk's at once. Then, before every fourth that follows, those of the chunks before it.
    assert sorted({*seen}) == [1, 4, 8, 12, 16]
    assert seqs_of_heads(desk) == {"acme": 20, "bolt": 20, "cove": 20}
    assert desk.store.heads.calls["put"] == 6  # type: ignore[attr-defined]


def test_heads_are_put_before_too_many_are_behind(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_cache, "MOST_BEHIND", 2)
    in_chunks(desk, *([Adjust(f"org-{number}", 1, "a")] for number in range(7)))
    # With the first chunk; once three are behind, twice; and nothing is left.
    assert desk.store.heads.calls["put"] == 3  # type: ignore[attr-defined]
    assert seqs_of_heads(desk) == {f"org-{number}": 1 for number in range(7)}


@pytest.mark.parametrize("stored", [0, 2])
def test_a_call_that_fails_puts_the_heads_of_what_is_stored_and_no_other(desk: Desk, stored: int) -> None:
    def fail(real: Any, entries: Sequence[Entry]) -> int:
        if len(desk.entries()) < 3:
            taken: int = real(entries)
            return taken
        real(entries[:stored])
        raise StoreUnreachable("gone")

    desk.store.journal.on("append", fail)  # type: ignore[attr-defined]
    with pytest.raises(StoreUnreachable):
        in_chunks(desk, *map(grants, range(5)))
    tips = {org: 4 if org in ("acme", "bolt")[:stored] else 3 for org in ("acme", "bolt", "cove")}
    assert {org: len(desk.entries(org)) for org in tips} == tips
    assert seqs_of_heads(desk).items() <= {(org, seq) for org, tip in tips.items() for seq in (3, tip)}


def test_what_is_decided_anew_is_looked_for_by_heads_that_are_not_behind(desk: Desk) -> None:
    rival = rival_of(desk)
    seen: list[bool] = []

    def chunks() -> Iterator[list[Request]]:
        for number in range(6):
            if number == 5:
                rival.do(Adjust("bolt", 1, "rival"))
            yield [request(operation) for operation in grants(number)]

    def look(real: Any, orgs: Sequence[str]) -> Any:
        stored = {org: len(desk.entries(org)) for org in orgs}
        seen.append(all(seqs_of_heads(desk).get(org, 0) == seq for org, seq in stored.items()))
        return real(orgs)

    desk.store.journal.on("tips", look)  # type: ignore[attr-defined]
    for _ in desk.ledger.execute_chunks(chunks()):
        pass
    assert len(seen) > 1
    assert all(seen)
    assert seqs_of_heads(desk) == {"acme": 6, "bolt": 7, "cove": 6}
