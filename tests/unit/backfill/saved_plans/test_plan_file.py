"""Saved plans below the command line: races, runs that were cut off, long plans, and what is left behind."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from meterctl.core.backfill.saved_plans.apply import CHUNK, Application, Applier, PlanSummary
from meterctl.core.backfill.saved_plans.plan_file import Header, PlanFile, open_plan, planning_ledger
from meterctl.core.domain.guard import Guard
from meterctl.core.domain.operations import Adjust, BookDue, CreditPack, Debit, ForceReset, Operation, Request, Undo
from meterctl.core.domain.precondition import Basis, EntryPlace, digest, place_of
from meterctl.core.errors import BadInput, StoreUnreachable
from meterctl.core.model import NO_HASH, Instant
from meterctl.core.stores.overlay import OverlayStore
from tests.builders import make_entry
from tests.desk import Desk, booked, contents, request, tap
from tests.memory_store import MemoryStore


def save(desk: Desk, path: Path, operations: Iterable[Operation], at: str | None = None) -> Header:
    """A plan of ``operations``, made on the desk's store."""
    file = PlanFile(str(path), "planner", desk.clock.now(), desk.store.describe())
    planner = planning_ledger(OverlayStore(desk.store, MemoryStore()), desk.clock, desk.ledger.terms, file)
    for _ in planner.execute(request(operation, at) for operation in operations):
        pass
    header = file.save()
    file.close()
    return header


def carry_out(desk: Desk, path: Path, actor: str = "planner", guard: Guard | None = None) -> Application:
    with open_plan(str(path)) as plan:
        applier = Applier(desk.ledger, plan.header, actor, guard or Guard())
        for _ in applier.run(plan.steps()):
            pass
    return applier.result


def counts(result: Application) -> dict[str, int]:
    return {status: count for status, count in result.counts.items() if count}


@pytest.fixture
def desk() -> Desk:
    desk = Desk(tap(MemoryStore()))
    desk.credit("s1")
    return desk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "plan.ndjson"


# races


def test_somebody_who_books_while_it_is_carried_out_moves_it(desk: Desk, path: Path) -> None:
    save(desk, path, [Debit("acme", 5, "d1")])
    other = Desk(desk.store)

    def first(append: Any, entries: Any) -> int:
        other.debit(1, "other")
        return append(entries)  # type: ignore[no-any-return]

    desk.store.journal.on("append", first, times=1)  # type: ignore[attr-defined]
    result = carry_out(desk, path)
    assert (counts(result), result.exit_code) == ({"moved": 1}, 6)
    assert [entry["key"] for entry in desk.entries()] == ["session:s1", "debit:other"]
    assert [entry["key"] for entry in result.orgs_moved["acme"]["entries"]] == ["debit:other"]


def test_two_who_carry_out_the_same_plan_at_once_book_it_once(desk: Desk, path: Path) -> None:
    save(desk, path, [Debit("acme", 5, "d1"), Debit("acme", 6, "d2")])
    other = Desk(desk.store)

    def first(append: Any, entries: Any) -> int:
        assert counts(carry_out(other, path)) == {"applied": 2}
        return append(entries)  # type: ignore[no-any-return]

    desk.store.journal.on("append", first, times=1)  # type: ignore[attr-defined]
    assert counts(carry_out(desk, path)) == {"replayed": 2}
    assert desk.balance() == 989


def test_a_tip_that_is_behind_is_looked_at_again(desk: Desk, path: Path) -> None:
    """An org that was planned on its newest entry has not moved because a cache is behind."""
    desk.debit(1, "d0")
    desk.credit("s2", org="bolt")
    old = desk.store.journal.by_seq("acme", 1)
    save(desk, path, [Debit("acme", 5, "d1"), Debit("bolt", 5, "d1")])

    def behind(tips: Any, orgs: Any) -> Any:
        return tips(orgs) | {"acme": old}

    desk.store.journal.on("tips", behind, times=1)  # type: ignore[attr-defined]
    assert counts(carry_out(desk, path)) == {"applied": 2}


# cut off


@pytest.mark.parametrize("cut", [1, CHUNK, CHUNK + 1, CHUNK + 200])
def test_a_run_that_was_cut_off_anywhere_is_finished_by_another(desk: Desk, path: Path, cut: int) -> None:
    whole = CHUNK + 250
    header = save(desk, path, [Debit("acme", 1, f"d{n}") for n in range(whole)])
    assert (header.operations, header.orgs, header.amount) == (whole, 1, -whole)
    left = cut

    def dies(append: Any, entries: Any) -> int:
        nonlocal left
        taken = min(left, len(entries))
        left -= taken
        append(entries[:taken])
        if taken < len(entries):
            raise KeyboardInterrupt
        return taken

    desk.store.journal.on("append", dies)  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        carry_out(desk, path)
    assert len(desk.entries()) == 1 + cut
    desk.store.journal.on("append", lambda append, entries: append(entries))  # type: ignore[attr-defined]
    result = carry_out(desk, path)
    assert counts(result) == {"replayed": cut, "applied": whole - cut}
    assert desk.balance() == 1000 - whole
    assert [entry["seq"] for entry in desk.entries()] == list(range(1, whole + 2))


def test_due_events_that_were_booked_before_a_crash_do_not_move_it(desk: Desk, path: Path) -> None:
    desk.credit("s2", "short")
    desk.go("2026-11-18T00:00:00Z")
    save(desk, path, [Debit("acme", 5, "d1")])

    def dies(append: Any, entries: Any) -> int:
        append(entries[:1])
        raise KeyboardInterrupt

    desk.store.journal.on("append", dies, times=1)  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        carry_out(desk, path)
    assert desk.tip()["kind"] == "expiration"
    assert counts(carry_out(desk, path)) == {"applied": 1}
    assert desk.balance() == 995


def test_a_lost_answer_is_found_out(desk: Desk, path: Path) -> None:
    save(desk, path, [Debit("acme", 5, "d1")])

    def lost(append: Any, entries: Any) -> int:
        append(entries)
        raise StoreUnreachable("no answer")

    desk.store.journal.on("append", lost, times=1)  # type: ignore[attr-defined]
    assert counts(carry_out(desk, path)) == {"applied": 1}
    assert desk.balance() == 995


# what a plan is


def test_a_plan_over_two_orgs_moves_a_session(desk: Desk, path: Path) -> None:
    """An undo in one org and the credit of another rest on each other, in one plan."""
    save(desk, path, [Undo("acme", 1), CreditPack("bolt", "small", "s1")])
    assert counts(carry_out(desk, path)) == {"applied": 2}
    assert (desk.balance(), desk.balance("bolt")) == (0, 1000)
    assert counts(carry_out(desk, path)) == {"replayed": 2}


def test_where_the_first_of_two_orgs_moved_the_second_has_to_wait(desk: Desk, path: Path) -> None:
    save(desk, path, [Undo("acme", 1), CreditPack("bolt", "small", "s1")])
    desk.debit(1, "other")
    result = carry_out(desk, path)
    assert (counts(result), result.exit_code) == ({"moved": 1, "refused": 1}, 6)
    assert desk.entries("bolt") == []


def test_what_is_booked_is_what_was_planned_but_for_when_it_was_recorded(desk: Desk, path: Path) -> None:
    operations = [Adjust("acme", 5, "a1", Instant("2026-12-01T00:00:00.000Z")), Debit("acme", 900, "d1")]
    straight = Desk()
    straight.credit("s1")
    for operation in operations:
        straight.do(operation)
    save(desk, path, operations)
    desk.go("2026-11-30T00:00:00Z")
    assert counts(carry_out(desk, path)) == {"applied": 2}
    assert [booked(entry) for entry in desk.entries()] == [booked(entry) for entry in straight.entries()]
    assert desk.tip()["recorded_at"] == "2026-11-30T00:00:00.000Z"


def test_a_plan_is_refused_where_the_clock_is_behind_it(desk: Desk, path: Path) -> None:
    save(desk, path, [Debit("acme", 5, "d1")])
    desk.go("2026-11-16T11:00:00Z")
    result = carry_out(desk, path)
    assert (counts(result), result.problems[0]["reason"]) == ({"refused": 1}, "in_future")


def test_what_is_due_is_booked_as_it_was_reviewed_or_not_at_all(desk: Desk, path: Path) -> None:
    for org in ("acme", "bolt"):
        desk.credit(f"short_{org}", "short", org=org)
    desk.go("2026-11-18T12:00:00Z")
    save(desk, path, [BookDue("acme"), BookDue("bolt")])
    # Before anything of it was due, so that it still is.
    desk.adjust(1, "other", at="2026-11-16T13:00:00Z")
    result = carry_out(desk, path)
    assert counts(result) == {"applied": 1, "moved": 1}
    assert [problem["org"] for problem in result.problems] == ["acme"]
    assert [entry["kind"] for entry in desk.entries("acme")] == ["topup", "topup", "adjustment"]
    assert [entry["kind"] for entry in desk.entries("bolt")] == ["topup", "expiration"]


def test_planning_books_nothing(desk: Desk, path: Path) -> None:
    before = contents(desk.store)
    save(desk, path, [Debit("acme", 5, "d1"), CreditPack("bolt", "small", "s2"), BookDue("acme")])
    assert contents(desk.store) == before


def test_a_plan_that_is_not_saved_leaves_nothing_behind(desk: Desk, path: Path) -> None:
    older = '{"schema":"meterctl.saved-plan.v1"}\n'
    path.write_text(older)
    file = PlanFile(str(path), "planner", desk.clock.now(), "memory:")
    assert len(list(path.parent.iterdir())) == 2
    file.close()
    assert [found.read_text() for found in path.parent.iterdir()] == [older]


def test_a_long_plan_tells_of_its_first_problems_and_counts_the_rest(
    desk: Desk, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meterctl.core.backfill.saved_plans.apply.MOST_PROBLEMS", 3)
    monkeypatch.setattr("meterctl.core.backfill.saved_plans.apply.MOST_RECEIPTS", 2)
    save(desk, path, [Adjust(f"org-{n}", 5, "a1") for n in range(9)])
    for n in range(9):
        desk.adjust(1, "other", org=f"org-{n}")
    result = carry_out(desk, path)
    document = result.document()
    assert (document["moved"], len(document["problems"]), document["more_problems"]) == (9, 3, 6)
    assert (len(document["orgs_moved"]), len(document["receipts"])) == (3, 2)


def test_a_long_step_names_the_first_strangers_and_counts_the_rest(desk: Desk, path: Path) -> None:
    save(desk, path, [Debit("acme", 5, "d1")])
    for n in range(30):
        desk.debit(1, f"o{n}")
    result = carry_out(desk, path)
    assert result.problems[0]["message"].endswith("entry 6 (debit by tester) and 25 more")
    moved = result.orgs_moved["acme"]
    assert (len(moved["entries"]), moved["since"], moved["seq"]) == (20, 1, 31)


def test_a_summary_counts_the_operations_and_warns_of_what_is_hard_to_take_back(
    desk: Desk, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meterctl.core.backfill.saved_plans.apply.MOST_SHOWN", 2)
    desk.publish("free", 100)
    desk.run("r1", 5)
    desk.debit(10, "d0")
    debt = Debit("acme", 1500, "d1", allow_debt=True)
    save(desk, path, [Undo("acme", 3), ForceReset("acme", "f1"), Adjust("bolt", 5, "a1"), debt])
    with open_plan(str(path)) as plan:
        summary = PlanSummary.of(plan)
    assert summary.warnings == [
        "Operations that make debt: 1, 500 units in all.",
        "Operations that reverse an earlier entry: 1. That cannot be undone.",
        "Operations that end a week early: 1. That cannot be undone.",
    ]
    assert [step.request.operation.name for step in summary.steps] == ["undo", "reset-week"]
    document = summary.document()
    assert document["by_operation"] == {"undo": 1, "reset-week": 1, "adjust": 1, "debit": 1}
    assert (document["debt"], document["operations"]) == (500, 4)
    save(desk, path, [Adjust("bolt", 5, "a1")])
    with open_plan(str(path)) as plan:
        assert PlanSummary.of(plan).warnings == []


def test_a_result_has_a_record_for_each_receipt(desk: Desk, path: Path) -> None:
    save(desk, path, [Debit("acme", 5, "d1"), Debit("acme", 6, "d2")])
    assert [record["key"] for record in carry_out(desk, path).rows()] == ["debit:d1", "debit:d2"]


# the basis


def test_a_digest_leaves_out_when_it_was_booked_and_nothing_else() -> None:
    entry: Any = make_entry("acme", 3)
    other: Any = {**entry, "recorded_at": "2027-01-01T00:00:00.000Z", "prev": "1" * 64, "hash": "2" * 64}
    assert digest(entry) == digest(other)
    kept = entry.keys() - {"recorded_at", "prev", "hash"}
    assert kept
    for name in kept:
        changed: Any = {**entry, name: "other"}
        assert digest(changed) != digest(entry)


def test_a_journal_that_ends_before_the_basis_is_another_one() -> None:
    basis = Basis(7, "f" * 64, None, (EntryPlace(8, "d" * 64),), ())
    refusal = basis.moved("acme", 0, NO_HASH, lambda _: None)
    assert refusal is not None
    assert refusal.code == "moved"
    assert basis.strangers(0, lambda _: None, 5) == []


def test_an_operation_whose_forerunner_was_not_carried_out_says_so() -> None:
    entry = make_entry("acme", 3)
    basis = Basis(3, entry["hash"], EntryPlace(4, "d" * 64), (EntryPlace(5, "e" * 64),), ())
    refusal = basis.moved("acme", 3, entry["hash"], lambda seq: entry if seq == 3 else None)
    assert refusal is not None
    assert "before this one was not carried out" in refusal.message


def test_an_entry_of_the_plan_is_no_stranger() -> None:
    entries = {seq: make_entry("acme", seq) for seq in (1, 2, 3)}
    basis = Basis(1, entries[1]["hash"], None, (place_of(entries[2]), EntryPlace(3, "d" * 64)), ())
    assert [entry["seq"] for entry in basis.strangers(3, entries.get, 9)] == [3]


def test_a_request_without_a_basis_is_booked_wherever_the_org_stands(desk: Desk) -> None:
    desk.debit(1, "other")
    assert desk.ledger.one(Request(Debit("acme", 5, "d1"), "tester")).status == "applied"


@pytest.mark.parametrize("text", ["", "[]\n", '{"schema": "meterctl.saved-plan.v2"}\n'])
def test_what_is_no_plan(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(BadInput) as caught, open_plan(str(path)):
        pass
    assert caught.value.code == "bad_plan"
