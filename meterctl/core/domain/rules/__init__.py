"""The rules: decide from a state alone which entry an operation books.

Pure: a rule returns a `Draft`, a `Refusal`, or an `Idle` if nothing is to do. Events of time are in
`meterctl.core.domain.due_events`, and `meterctl.core.domain.effects` applies effects to a state. Each file here holds
one subject; each rule is a ladder of refusals, the most basic first.
"""

from collections.abc import Callable
from typing import Any

from meterctl.core.domain.operations import (
    Adjust,
    AssignPlan,
    Attribute,
    CreditPack,
    Debit,
    ExtendLot,
    ForceReset,
    Hold,
    Operation,
    Refund,
    Release,
    ReverseRefund,
    Undo,
    VoidLot,
)
from meterctl.core.domain.rules.context import Context, Decision, History, Idle
from meterctl.core.domain.rules.credit import decide_credit
from meterctl.core.domain.rules.giving_back import give_back, give_back_parts
from meterctl.core.domain.rules.holds import Admission, admission, decide_hold, decide_release
from meterctl.core.domain.rules.lots import decide_extend, decide_void
from meterctl.core.domain.rules.plans import decide_assign_plan, decide_force_reset
from meterctl.core.domain.rules.refunds import Refundable, decide_refund, decide_reverse_refund, refundable
from meterctl.core.domain.rules.taking import decide_adjust, decide_taking
from meterctl.core.domain.rules.undo import decide_undo
from meterctl.core.domain.rules.usage import decide_attribute
from meterctl.core.errors import Refusal
from meterctl.core.model import MAX_UNITS, MOST_LOTS, State

__all__ = [
    "RULES",
    "Admission",
    "Context",
    "Decision",
    "History",
    "Idle",
    "Refundable",
    "admission",
    "give_back",
    "give_back_parts",
    "out_of_bounds",
    "refundable",
]

#: The rule of each operation, which decides what it books. Replays and conflicts are settled before; due events are
#: booked. Past the last rung of a ladder nothing can fail but the size of the state that results: see `out_of_bounds`.
RULES: dict[type[Operation], Callable[[Any, Context], Decision]] = {
    CreditPack: decide_credit,
    Debit: decide_taking,
    Refund: decide_refund,
    ReverseRefund: decide_reverse_refund,
    Adjust: decide_adjust,
    Attribute: decide_attribute,
    AssignPlan: decide_assign_plan,
    Undo: decide_undo,
    ForceReset: decide_force_reset,
    ExtendLot: decide_extend,
    VoidLot: decide_void,
    Hold: decide_hold,
    Release: decide_release,
}


def out_of_bounds(before: State, after: State, balance: int) -> Refusal | None:
    """Return a refusal if ``after`` or its ``balance`` is a sum that JSON readers could not keep exact, or if the org
    would have more lots than it may."""
    used, held = 0 if after.week is None else after.week.used, after.held if after.holds else 0
    # Lots and debt never stand together, so the balance bounds both.
    if not -MAX_UNITS <= balance <= MAX_UNITS or used > MAX_UNITS or held > MAX_UNITS:
        return Refusal("amount_out_of_range", "the org's units would leave the range of +-(2^53 - 1)")
    if len(after.lots) > MOST_LOTS and len(after.lots) > len(before.lots):
        return Refusal("too_many_lots", f"the org would have {len(after.lots):,} live lots; {MOST_LOTS:,} is the most")
    return None
