"""Giving back: the units that an entry took come in again, as far as their lots have not expired."""

from collections.abc import Sequence
from typing import Any

from meterctl.core.domain.effects import debt_document, repay, total_units
from meterctl.core.domain.rules.context import Context
from meterctl.core.domain.rules.lots import lot_as_of
from meterctl.core.model import PRIORITY, Debt, Draw, Entry


def give_back(entry: Entry, context: Context) -> tuple[int, dict[str, Any]]:
    """Return amount and effects of giving back all that a debit, an adjustment or a refund took."""
    return give_back_parts(entry, entry.get("draws", []), Debt(entry["debt"]["owed"], 0), context)


def give_back_parts(entry: Entry, draws: Sequence[Draw], made: Debt, context: Context) -> tuple[int, dict[str, Any]]:
    """Return amount and effects of giving back ``draws`` and the debt ``made`` by ``entry``.

    What came from lots that have expired by now stays gone. The rest is a credit: it repays today's debt, with the part
    that had become debt first, then with the draws, last drawn first. Draws left over go back to their lots, debt left
    over becomes a lot that never expires.
    """
    forfeited: list[Draw] = []
    kept: list[Draw] = []
    for drawn in draws:
        back = _as_it_returns(drawn, context)
        expires_at = back["expires_at"]
        (forfeited if expires_at is not None and expires_at <= context.at else kept).append(back)
    repaid = _repaid(context.state.debt, made, total_units(kept))
    by_draws = max(0, repaid.total - made.total)
    opened = max(0, made.total - repaid.total)
    effects: dict[str, Any] = {
        "reverses": entry["seq"],
        "repaid": debt_document(repaid),
        "restored": _all_but_last(kept, by_draws),
        "forfeited": [{"lot": gone["lot"], "units": gone["units"]} for gone in forfeited],
    }
    if opened:
        effects |= {"lot": context.seq, "units": opened, "expires_at": None}
    return made.total + total_units(kept), effects


def _repaid(debt: Debt, made: Debt, units: int) -> Debt:
    """Return the debt that ``made`` and ``units`` pay: the overage that was made pays overage first, so that none of it
    stands for what was owed before."""
    overage = min(made.overage, debt.overage)
    rest = repay(Debt(debt.owed, debt.overage - overage), made.total + units - overage)
    return Debt(rest.owed, rest.overage + overage)


def _as_it_returns(drawn: Draw, context: Context) -> Draw:
    """Return a draw with all that its lot needs to open again."""
    lot = lot_as_of(drawn["lot"], context)
    back: Draw = {"lot": lot.id, "units": drawn["units"], "expires_at": lot.expires_at}
    if lot.priority != PRIORITY:
        back["priority"] = lot.priority
    if lot.paid:
        back["paid"] = True
    return back


def _all_but_last(draws: Sequence[Draw], units: int) -> list[Draw]:
    """Return ``draws`` without the last ``units`` of them."""
    left: list[Draw] = []
    for drawn in reversed(draws):
        used = min(units, drawn["units"])
        units -= used
        if drawn["units"] > used:
            left.append({**drawn, "units": drawn["units"] - used})
    return left[::-1]
