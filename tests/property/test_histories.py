"""Random histories of everything, held against a second implementation and against what must always be true."""

from collections.abc import Sequence
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from meterctl.core.booking import pipeline
from meterctl.core.domain.instants import add_millis
from meterctl.core.domain.operations import BookDue, CreditPack, Operation, Request
from meterctl.core.domain.weeks import week_end
from meterctl.core.model import Instant, State
from meterctl.core.ports import Store
from meterctl.core.results import Receipt
from meterctl.core.stores.sqlite import SqliteStore
from meterctl.core.verify import verify_all
from tests.desk import Desk, booked, contents
from tests.property import strategies
from tests.property.invariants import check_store
from tests.property.naive import Naive, moment
from tests.property.strategies import ORGS, PAUSES, START, History, Step, histories

#: Histories are big, and most of the time goes into checking them; that is what they are for.
CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def desk_of(history: History, store: Store | None = None) -> Desk:
    desk = Desk(store, now=START)
    desk.ledger.terms = history.terms
    for version in history.versions:
        assert desk.store.plans.add(version)
    return desk


def ask(desk: Desk, operation: Operation, at: Instant | None) -> Receipt:
    return desk.ledger.one(Request(operation, "tester", "because", at))


def answer_of(receipt: Receipt) -> str:
    return receipt.reason if receipt.status == "refused" and receipt.reason else receipt.status


def seen(state: State, default_plan: str) -> dict[str, Any]:
    """A real state, in the words of `naive`."""
    week = state.week
    return {
        "balance": state.balance,
        "lots": [(lot.id, lot.remaining, lot.expires_at and moment(lot.expires_at)) for lot in state.lots],
        "debt": tuple(state.debt),
        "plan": state.plan or default_plan,
        "week": None
        if week is None
        else {
            **week._asdict(),
            "end": moment(week_end(week.key)),
            "alerts": list(week.alerts),
            "overflow": [tuple(part) for part in week.overflow],
        },
        "holds": [(moment(hold.expires_at), hold.id, hold.units) for hold in state.holds],
        "next_plan": None
        if state.next_plan is None
        else (state.next_plan.plan, moment(state.next_plan.from_at), state.next_plan.entry),
    }


@settings(max_examples=max(300, settings().max_examples), suppress_health_check=CHECKS)
@given(histories())
def test_every_answer_and_every_figure_agree_with_the_naive_rules(history: History) -> None:
    desk, naive = desk_of(history), Naive(history.terms, history.versions)
    for step in history.steps:
        now = add_millis(desk.clock.now(), step.pause)
        desk.go(now)
        org, at = step.operation.org, step.at(now)
        expected = naive.answer(step.operation, at, now)
        receipt = ask(desk, step.operation, at)
        note(f"{now} {step.operation} at {at}: {answer_of(receipt)}, {receipt.balance}")
        assert answer_of(receipt) == expected
        book = naive.book(org)
        facts, entries = book.facts, desk.entries(org)
        assert [(entry["seq"], moment(entry["at"]), entry["amount"]) for entry in entries] == [
            (fact.number, fact.at, fact.amount) for fact in facts
        ]
        assert [entry.get("alerts", []) for entry in entries] == [fact.alerts for fact in facts]
        assert [entry.get("low", []) for entry in entries] == [book.low(fact.number) for fact in facts]
        view = naive.view(org, now)
        assert seen(desk.state(org), history.terms.default_plan) == view
        if not receipt.applied:
            assert receipt.balance == view["balance"]
    for org in ORGS:
        assert seen(desk.state(org), history.terms.default_plan) == naive.view(org, desk.clock.now())


def but_claims_on(names: Sequence[str], everything: dict[str, Any]) -> dict[str, Any]:
    return {**everything, "claims": [claim for claim in everything["claims"] if claim.name not in names]}


@settings(suppress_health_check=CHECKS)
@given(histories())
def test_invariants_hold_after_every_step_and_nothing_refused_leaves_a_trace(history: History) -> None:
    desk = desk_of(history)
    before = contents(desk.store)
    for step in history.steps:
        now = add_millis(desk.clock.now(), step.pause)
        desk.go(now)
        at = step.at(now)
        receipt = ask(desk, step.operation, at)
        note(f"{now} {step.operation} at {at}: {answer_of(receipt)}, {receipt.balance}")
        after = contents(desk.store)
        if receipt.applied:
            check_store(desk.store)
            assert verify_all(desk.store).findings == []
        elif receipt.status == "replayed" and isinstance(step.operation, CreditPack):
            # It may know more names of its payment than the first credit did.
            names = step.operation.all_names
            assert but_claims_on(names, after) == but_claims_on(names, before)
        else:
            assert after == before
        again = ask(desk, step.operation, at)
        is_done = receipt.applied and not isinstance(step.operation, BookDue)
        assert answer_of(again) == ("replayed" if is_done else "unchanged" if receipt.applied else answer_of(receipt))
        assert contents(desk.store) == after
        before = after


def run_at_once(history: History, steps: Sequence[Step], chunk: int) -> tuple[list[str], dict[str, Any]]:
    """Answers and contents after all ``steps`` were sent in one go, each with its own time, on one later day."""
    desk = desk_of(history)
    now, requests = START, []
    for step in steps:
        now = add_millis(now, step.pause)
        requests.append(Request(step.operation, "tester", "because", step.at(now) or now))
    desk.go(now)
    receipts = list(desk.ledger.execute(requests, chunk=chunk))
    return [answer_of(receipt) for receipt in receipts], contents(desk.store)


@settings(suppress_health_check=CHECKS)
@given(histories(most=40))
def test_chunks_of_any_size_make_the_same_journal(history: History) -> None:
    # One clock for all, so even recorded_at and with it the hashes are the same.
    answers, whole = run_at_once(history, history.steps, 1)
    for chunk in (7, 500):
        assert run_at_once(history, history.steps, chunk) == (answers, whole)
    with patch.object(pipeline, "WORTH_A_THREAD", 1):
        assert run_at_once(history, history.steps, 3) == (answers, whole)


def own_session(step: Step) -> Step:
    """The step with a session that no other org names: claims are what orgs do share."""
    operation = step.operation
    if isinstance(operation, CreditPack):
        session = f"{operation.org}/{operation.session}"
        names = tuple(f"{operation.org}/{name}" for name in operation.names)
        operation = replace(operation, session=session, names=names)
    return step._replace(operation=operation)


@settings(suppress_health_check=CHECKS)
@given(histories(most=40), st.randoms(use_true_random=False))
def test_the_order_in_which_orgs_are_served_does_not_matter(history: History, random: Any) -> None:
    desk = desk_of(history)
    now, requests = START, []
    for step in map(own_session, history.steps):
        now = add_millis(now, step.pause)
        requests.append(Request(step.operation, "tester", "because", step.at(now) or now))
    desk.go(now)
    answers = {id(request): answer_of(desk.ledger.one(request)) for request in requests}
    queues = {org: [request for request in requests if request.operation.org == org] for org in ORGS}
    turns = [request.operation.org for request in requests]
    random.shuffle(turns)
    mixed = [queues[org].pop(0) for org in turns]
    other = desk_of(history)
    other.go(now)
    receipts = list(other.ledger.execute(mixed, chunk=9))
    assert [answer_of(receipt) for receipt in receipts] == [answers[id(request)] for request in mixed]
    assert contents(other.store) == contents(desk.store)


# Sweeps


@settings(suppress_health_check=CHECKS)
@given(histories(("acme", "Acme"), timed=False), st.data())
def test_it_makes_no_difference_when_or_whether_a_sweep_ran(history: History, data: st.DataObject) -> None:
    never, often = desk_of(history), desk_of(history)
    now = START
    for step in history.steps:
        pause = data.draw(st.integers(0, step.pause) | st.just(step.pause)) if step.pause else 0
        for org in ("acme", "Acme"):
            often.go(add_millis(now, pause))
            often.sweep(org=org)
        now = add_millis(now, step.pause)
        often.go(now)
        never.go(now)
        first, second = ask(never, step.operation, None), ask(often, step.operation, None)
        if not isinstance(step.operation, BookDue):
            assert (answer_of(first), first.balance) == (answer_of(second), second.balance)
        for org in ("acme", "Acme"):
            assert never.state(org) == often.state(org)
    end = add_millis(now, data.draw(st.sampled_from(PAUSES[0] + PAUSES[1])))
    for desk in (never, often):
        desk.go(end)
        for org in ("acme", "Acme"):
            before = desk.state(org)
            desk.sweep(org=org)
            assert desk.state(org) == before  # what was read before the sweep is what it booked
    for org in ("acme", "Acme"):
        assert [booked(entry) for entry in never.entries(org)] == [booked(entry) for entry in often.entries(org)]


def test_the_strategies_reach_every_answer() -> None:
    """Counts what random histories are answered: a strategy that never meets a rule proves nothing about it."""
    reached: set[str] = set()
    kinds: set[str] = set()

    @settings(max_examples=max(500, settings().max_examples), suppress_health_check=CHECKS)
    @given(strategies.histories())
    def collect(history: History) -> None:
        desk = desk_of(history)
        for step in history.steps:
            desk.go(add_millis(desk.clock.now(), step.pause))
            reached.add(answer_of(ask(desk, step.operation, step.at(desk.clock.now()))))
        kinds.update(entry["kind"] for org in ORGS for entry in desk.entries(org))

    collect()
    assert kinds == {
        "topup", "debit", "refund", "expiration", "adjustment", "reversal", "usage", "reset", "plan",
        "extension", "hold", "release",
    }  # fmt: skip
    assert reached >= {
        "applied", "replayed", "conflict", "unchanged", "disabled", "in_future", "unknown_pack", "session_claimed",
        "insufficient_balance", "unknown_session", "undone", "refund_exceeds_payment", "unknown_refund",
        "unknown_plan_version", "invalid_cost", "unknown_plan", "unknown_entry", "not_undoable", "lot_partly_used",
        "no_open_week", "expires_in_past", "amount_out_of_range", "unknown_lot", "lot_gone", "insufficient_lot",
        "unknown_hold", "week_closed", "too_far_ahead", "from_in_past", "unknown_currency", "amount_required",
    }  # fmt: skip


@settings(max_examples=20, suppress_health_check=CHECKS)
@given(histories())
def test_the_store_in_memory_is_no_other_than_a_real_one(history: History) -> None:
    """All of the above runs on a store made for tests: what it says must hold of one that is not."""
    memory = desk_of(history)
    with TemporaryDirectory() as directory:
        real = desk_of(history, SqliteStore(f"{directory}/meterctl.db"))
        now = START
        for step in history.steps:
            now = add_millis(now, step.pause)
            for desk in (memory, real):
                desk.go(now)
            assert ask(memory, step.operation, step.at(now)) == ask(real, step.operation, step.at(now))
        assert contents(memory.store) == contents(real.store)
        real.store.close()
