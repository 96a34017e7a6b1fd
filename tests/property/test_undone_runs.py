"""A run that was taken back, held against the same history without it."""

from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given, note, settings
from hypothesis import strategies as st

from meterctl.core.domain.instants import add_millis
from meterctl.core.domain.operations import (
    Adjust,
    AssignPlan,
    Attribute,
    CreditPack,
    ExtendLot,
    ForceReset,
    Operation,
    Refund,
    ReverseRefund,
    Undo,
    VoidLot,
)
from meterctl.core.model import State
from meterctl.core.results import Receipt
from meterctl.core.stores.overlay import OverlayStore
from meterctl.core.verify import verify_all
from tests.desk import Desk
from tests.memory_store import MemoryStore
from tests.property.strategies import DAY, START, History, Org, random_terms, random_versions
from tests.property.test_histories import CHECKS, answer_of, ask, desk_of

WRONG = Attribute("acme", "wrong", "main", None, 1)

#: Their units do not depend on lots, so an amount that differs means that the run changed more than lots.
FIXED = ("topup", "debit", "refund", "adjustment")


class Worlds:
    """Two desks on which the same happens, but for one run in the first."""

    def __init__(self, history: History) -> None:
        self.both = [desk_of(history), desk_of(history)]
        #: The number of the wrong run, once it is booked: later entries have one more than in the other world.
        self.wrong: int | None = None

    def step(self, operation: Operation) -> bool:
        """Carry out the operation in both, unless they answer it differently: then in neither."""
        pair = [self.shifted(operation), operation]
        receipts = [ask(rehearsal(desk), one, None) for desk, one in zip(self.both, pair, strict=True)]
        note(f"{operation}: {[answer_of(receipt) for receipt in receipts]}")
        if answer_of(receipts[0]) != answer_of(receipts[1]) or fixed(receipts[0]) != fixed(receipts[1]):
            return False
        for desk, one in zip(self.both, pair, strict=True):
            ask(desk, one, None)
        return answer_of(receipts[0]) == "applied"

    def shifted(self, operation: Operation) -> Operation:
        if isinstance(operation, Undo):
            seq = self.number(operation.seq)
            # By an odd chance the number of the wrong run itself is named, which only one world has.
            return replace(operation, seq=seq)
        if isinstance(operation, ExtendLot | VoidLot):
            return replace(operation, lot=self.number(operation.lot))
        if isinstance(operation, Adjust) and operation.lot is not None:
            return replace(operation, lot=self.number(operation.lot))
        return operation

    def number(self, seq: int | None) -> Any:
        return seq if seq is None or self.wrong is None or seq < self.wrong else seq + 1


def rehearsal(desk: Desk) -> Desk:
    """Return a desk that books on top of ``desk`` and leaves it as it is."""
    other = Desk(OverlayStore(desk.store, MemoryStore()), now=desk.clock.now())
    other.ledger.terms = desk.ledger.terms
    return other


def fixed(receipt: Receipt) -> int | None:
    entry = receipt.entry
    return entry["amount"] if receipt.applied and entry is not None and entry["kind"] in FIXED else None


def meets_usage_that_nothing_covered(operation: Operation) -> bool:
    """Return True for credits, and for debt that is owed: both meet the run's lots, or later usage that is absorbed."""
    if isinstance(operation, CreditPack | Refund | ReverseRefund | Undo):
        return True
    return (isinstance(operation, Adjust) and operation.units > 0) or getattr(operation, "allow_debt", False)


def stays_in_the_week(operation: Operation) -> bool:
    """Nothing expires, no plan changes and no week ends; so much may differ for the better without the run."""
    expires_at = getattr(operation, "expires_at", None)
    soon = expires_at is not None and expires_at < add_millis(START, DAY)
    return not (soon or isinstance(operation, AssignPlan | ForceReset))


@st.composite
def stories(draw: st.DrawFn) -> tuple[History, list[Operation], list[Operation], Attribute]:
    """Terms, the operations before and after the wrong run, and the run."""
    random = Random(draw(st.integers(0, 2**32 - 1)))
    terms = random_terms(random)._replace(meter_mode=True)
    org = Org("acme", random)
    operations = [operation for _ in range(24) if stays_in_the_week(operation := org.ask(START))]
    kept = [operation for operation in operations if draw(st.integers(0, 11))]
    cut = random.randrange(len(kept) + 1)
    run = replace(WRONG, units=draw(st.sampled_from([1, 2, 7, 30, 100, 150])))
    return History(terms, random_versions(random), []), kept[:cut], kept[cut:], run


@settings(max_examples=max(200, settings().max_examples), suppress_health_check=CHECKS)
@given(stories())
def test_whatever_else_happened_the_run_might_as_well_not_have(
    story: tuple[History, list[Operation], list[Operation], Attribute],
) -> None:
    history, before, between, run = story
    worlds = Worlds(history)
    worlds.step(Attribute("acme", "seed", "main", None, 1))  # opens the week in both
    for operation in before:
        worlds.step(operation)
    wrong = ask(worlds.both[0], run, None)
    if not wrong.applied:
        return
    assert wrong.entry is not None
    worlds.wrong = wrong.entry["seq"]
    only_usage = True
    for operation in between:
        if history.terms.overage == "absorb" and meets_usage_that_nothing_covered(operation):
            continue
        if worlds.step(operation):
            only_usage = only_usage and isinstance(operation, Attribute)
    desk, other = worlds.both
    undone = ask(desk, Undo("acme", None, run.key), None)
    note(f"undo: {answer_of(undone)}")
    assert answer_of(undone) in ("applied", "too_many_lots", "amount_out_of_range")
    if undone.applied:
        compare(desk, other, worlds.wrong, only_usage)


def compare(desk: Desk, other: Desk, wrong: int, only_usage: bool) -> None:
    assert figures(desk.state()) == figures(other.state())
    if only_usage:
        lots = [lot._replace(id=lot.id - 1 if lot.id > wrong else lot.id) for lot in desk.state().lots]
        assert lots == list(other.state().lots)
    assert verify_all(desk.store).ok


def figures(state: State) -> dict[str, Any]:
    assert state.week is not None
    return {
        "balance": state.balance,
        "debt": state.debt.total,
        "used": state.week.used,
        "breakdown": dict(state.week.breakdown),
        "holds": state.holds,
    }
