"""A step of a journal, with the checks that several kinds of entries share."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from meterctl.core.domain import weeks
from meterctl.core.domain.due_events import CLOSE_WEEK, EXPIRE, PLAN_DUE, RUN_OUT, next_due_of, next_of
from meterctl.core.domain.effects import draw, total_units
from meterctl.core.model import Entry, Instant, Lot, State
from meterctl.core.verify.checks import Check, Note
from meterctl.core.verify.lookback import Past


class JournalStep(NamedTuple):
    """An entry with the state, the time and the past before it. ``note`` receives each deviation from the rules."""

    entry: Entry
    state: State
    at: Instant
    past: Past
    note: Note


week_end = lru_cache(maxsize=256)(weeks.week_end)

#: For each due event: its check, and the field of its input that names the lot, hold, week or entry.
_DUE: dict[str, tuple[Check, str]] = {
    EXPIRE: (Check.EXPIRY, "lot"),
    RUN_OUT: (Check.HOLDS, "hold"),
    CLOSE_WEEK: (Check.WEEK, "week"),
    PLAN_DUE: (Check.WEEK, "entry"),
}

_ENDED = {
    EXPIRE: "lot {name} had expired at {instant}",
    RUN_OUT: "hold {name} had run out at {instant}",
    CLOSE_WEEK: "week {name} had ended at {instant}",
    PLAN_DUE: "the plan of entry {name} was due at {instant}",
}


def check_overdue(step: JournalStep) -> None:
    """Check that nothing is booked while an older event is due."""
    soonest, operation = next_due_of(step.state), step.entry["input"]
    due = _DUE.get(operation["op"])
    if soonest is None or (due is None and soonest > step.entry["at"]):
        return
    coming = next_of(step.state)
    assert coming is not None  # it is due then
    if due is None or (operation["op"], operation[due[1]]) != (coming.op, coming.name):
        event = _ENDED[coming.op].format(name=coming.name, instant=coming.instant)
        step.note(_DUE[coming.op][0], f"{event}, and was not booked before it")


def check_instant(step: JournalStep, instant: Instant, check: Check, event: str) -> None:
    """Check that a due event takes effect at ``instant``, or at the last entry's time if that is later."""
    if step.entry["at"] != max(instant, step.at):
        step.note(check, f"{event} at {instant}, but the entry takes effect at {step.entry['at']}")


def check_amount(step: JournalStep, amount: int) -> None:
    if step.entry["amount"] != amount:
        step.note(Check.DRAWS, f"the amount is {step.entry['amount']}, but its parts add up to {amount}")


def check_taken(step: JournalStep, lots: Sequence[Lot], units: int, uncovered: int = 0) -> None:
    """Check that ``units`` are drawn from ``lots`` in order, and that the rest is debt or ``uncovered``."""
    entry = step.entry
    debt = entry["debt"]["owed"] + entry["debt"]["overage"]
    from_lots = total_units(entry["draws"])
    if from_lots + debt + uncovered != units:
        step.note(Check.DRAWS, f"{from_lots} units drawn and {debt} of debt are not {units - uncovered} in all")
    draws, _ = draw(lots, units)
    if entry["draws"] != draws:
        step.note(Check.LOTS, f"the draws are {entry['draws']}, expected {draws}")


def check_low(step: JournalStep) -> None:
    """Check that the balance fell below each recorded balance alert with this entry."""
    entry = step.entry
    low = entry.get("low")
    if low is None:
        return
    if low != sorted(set(low), reverse=True):
        step.note(Check.ALERTS, f"the balances {low} do not descend")
    for level in low:
        if not entry["balance"] < level <= entry["balance"] - entry["amount"]:
            step.note(Check.ALERTS, f"the balance did not fall below {level} with this entry")
