"""An entry with all that came before it, and the parts that several checks share."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from meterctl.core.domain import weeks
from meterctl.core.domain.due_events import CLOSE_WEEK, EXPIRE, PLAN_DUE, RUN_OUT, next_of
from meterctl.core.domain.effects import draw, total_units
from meterctl.core.model import Entry, Instant, Lot, State
from meterctl.core.verify.checks import Check, Note
from meterctl.core.verify.lookback import Past


class JournalStep(NamedTuple):
    """An entry, and the world before it: the state, the time, and what is kept of older entries. ``note`` takes each
    thing that the entry did otherwise than the rules say."""

    entry: Entry
    state: State
    at: Instant
    past: Past
    note: Note


week_end = lru_cache(maxsize=256)(weeks.week_end)

#: By the operation of a due event: its check, and the name of the thing in its input.
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
    """Time comes first: nothing is booked while something older is due."""
    coming = next_of(step.state)
    if coming is None:
        return
    given = step.entry["input"]
    if given["op"] in _DUE:
        is_next = (given["op"], given[_DUE[given["op"]][1]]) == (coming.op, coming.name)
    else:
        is_next = coming.instant > step.entry["at"]
    if not is_next:
        told = _ENDED[coming.op].format(name=coming.name, instant=coming.instant)
        step.note(_DUE[coming.op][0], f"{told}, which is not booked before")


def check_instant(step: JournalStep, instant: Instant, check: Check, called: str) -> None:
    """A due event takes effect at its own ``instant``, or at the last entry's if that is later."""
    if step.entry["at"] != max(instant, step.at):
        step.note(check, f"{called} at {instant}, the entry is of {step.entry['at']}")


def check_amount(step: JournalStep, amount: int) -> None:
    if step.entry["amount"] != amount:
        step.note(Check.DRAWS, f"the amount is {step.entry['amount']}, but its parts come to {amount}")


def check_taken(step: JournalStep, lots: Sequence[Lot], units: int, uncovered: int = 0) -> None:
    """``units`` are drawn from ``lots`` in order; what they do not hold is debt, or stays ``uncovered``."""
    entry = step.entry
    debt = entry["debt"]["owed"] + entry["debt"]["overage"]
    drawn = total_units(entry["draws"])
    if drawn + debt + uncovered != units:
        step.note(Check.DRAWS, f"{drawn} units drawn and {debt} of debt are not the {units - uncovered} taken")
    draws, _ = draw(lots, units)
    if entry["draws"] != draws:
        step.note(Check.LOTS, f"units are drawn as {entry['draws']}, where the lots give {draws}")


def check_low(step: JournalStep) -> None:
    """Each recorded balance alert is one that this entry fell below."""
    entry = step.entry
    low = entry.get("low")
    if low is None:
        return
    if low != sorted(set(low), reverse=True):
        step.note(Check.ALERTS, f"the balances {low} do not descend")
    for level in low:
        if not entry["balance"] < level <= entry["balance"] - entry["amount"]:
            step.note(Check.ALERTS, f"the balance did not fall below {level} with this entry")
