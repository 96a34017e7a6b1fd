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


def give_back_parts(
    entry: Entry, draws: Sequence[Draw], new_debt: Debt, context: Context
) -> tuple[int, dict[str, Any]]:
    """Return amount and effects of giving back ``draws`` and the ``new_debt`` of ``entry``.

    What came from lots that have expired by now stays gone. The rest is a credit: it repays today's debt, with the part
    that had become debt first, then with the draws, last drawn first. Draws left over go back to their lots, debt left
    over becomes a lot that never expires.
    """
    forfeited: list[Draw] = []
    returns: list[Draw] = []
    for each_draw in draws:
        back = _as_it_returns(each_draw, context)
        expires_at = back["expires_at"]
        (forfeited if expires_at is not None and expires_at <= context.at else returns).append(back)
    repaid = _repaid(context.state.debt, new_debt, total_units(returns))
    by_draws = max(0, repaid.total - new_debt.total)
    opened = max(0, new_debt.total - repaid.total)
    effects: dict[str, Any] = {
        "reverses": entry["seq"],
        "repaid": debt_document(repaid),
        "restored": _all_but_last(returns, by_draws),
        "forfeited": [{"lot": each["lot"], "units": each["units"]} for each in forfeited],
    }
    if opened:
        effects |= {"lot": context.seq, "units": opened, "expires_at": None}
    return new_debt.total + total_units(returns), effects


def _repaid(debt: Debt, new_debt: Debt, units: int) -> Debt:
    """Return the debt that ``new_debt`` and ``units`` pay.

    New overage pays overage first, so that none of it pays older owed units.
    """
    overage = min(new_debt.overage, debt.overage)
    rest = repay(Debt(debt.owed, debt.overage - overage), new_debt.total + units - overage)
    return Debt(rest.owed, rest.overage + overage)


def _as_it_returns(source: Draw, context: Context) -> Draw:
    """Return a draw with all that its lot needs to open again."""
    lot = lot_as_of(source["lot"], context)
    back: Draw = {"lot": lot.id, "units": source["units"], "expires_at": lot.expires_at}
    if lot.priority != PRIORITY:
        back["priority"] = lot.priority
    if lot.paid:
        back["paid"] = True
    return back


def _all_but_last(draws: Sequence[Draw], units: int) -> list[Draw]:
    """Return ``draws`` without the last ``units`` of them."""
    rest: list[Draw] = []
    for each in reversed(draws):
        used = min(units, each["units"])
        units -= used
        if each["units"] > used:
            rest.append({**each, "units": each["units"] - used})
    return rest[::-1]
