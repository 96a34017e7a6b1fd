"""Units that are taken by hand: debits, negative adjustments, and the rest of one lot."""

from meterctl.core.domain.effects import debt_document, draft, draw, total_units
from meterctl.core.domain.operations import Adjust, Debit
from meterctl.core.domain.rules.context import Context, Decision
from meterctl.core.domain.rules.credit import decide_grant
from meterctl.core.domain.rules.holds import admission
from meterctl.core.domain.rules.lots import is_opened
from meterctl.core.errors import Refusal, plural
from meterctl.core.model import NO_DEBT, Kind


def decide_adjust(operation: Adjust, context: Context) -> Decision:
    """Give units, or take them: from all lots or from one."""
    if operation.units > 0:
        return decide_grant(operation, context)
    if operation.lot is not None:
        return _take_from_lot(operation, operation.lot, -operation.units, context)
    return decide_taking(operation, context)


def decide_taking(operation: Debit | Adjust, context: Context) -> Decision:
    """Take units from lots in draw order. The rest is owed if the operation allows debt; otherwise refuse."""
    kind: Kind = "debit" if isinstance(operation, Debit) else "adjustment"
    units = abs(operation.units)
    draws, owed = draw(context.state.lots, units)
    if not operation.allow_debt:
        if owed:
            return _insufficient(units, total_units(draws), context)
        if context.state.holds and (refusal := _held(units, context)) is not None:
            return refusal
    effects = {"units": units, "draws": draws, "debt": {"owed": owed, "overage": 0}}
    return draft(kind, operation, -units, effects)


def _insufficient(units: int, available: int, context: Context) -> Refusal:
    balance, held = context.state.balance, context.state.held
    if held:
        available = max(0, min(available, admission(context.state, context.quota()).available))
    also = f", and {plural(held, 'unit')} are held" if held else ""
    return Refusal(
        "insufficient_balance",
        f"{plural(units, 'unit')} asked, {available:,} available: the balance is {balance:,}{also}",
    )


def _held(units: int, context: Context) -> Refusal | None:
    """Return a refusal if taking ``units`` would leave less than the held units."""
    if not context.state.held:
        return None
    available = admission(context.state, context.quota()).available
    if available >= units:
        return None
    return _insufficient(units, available, context)


def _take_from_lot(operation: Adjust, lot_id: int, units: int, context: Context) -> Decision:
    """Draw ``units`` from one lot alone."""
    if not is_opened(lot_id, context):
        return Refusal("unknown_lot", f"{operation.org} has no lot {lot_id}")
    lot = next((lot for lot in context.state.lots if lot.id == lot_id), None)
    if lot is None or lot.remaining < units:
        rest = 0 if lot is None else lot.remaining
        return Refusal("insufficient_lot", f"{plural(units, 'unit')} asked, {rest:,} left in lot {lot_id}")
    if (refusal := _held(units, context)) is not None:
        return refusal
    effects = {"units": units, "draws": [{"lot": lot_id, "units": units}], "debt": debt_document(NO_DEBT)}
    return draft("adjustment", operation, -units, effects)
