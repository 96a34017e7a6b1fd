"""Operations on one lot: another expiry, and the end of it."""

from meterctl.core.domain.effects import debt_document, draft
from meterctl.core.domain.operations import ExtendLot, VoidLot
from meterctl.core.domain.rules.context import Context, Decision
from meterctl.core.errors import Damaged, Refusal, plural, shell_command
from meterctl.core.model import NO_DEBT, PRIORITY, Entry, Lot


def opening_of(lot_id: int, context: Context) -> Entry | None:
    """Return the entry that opened a lot; None if no lot of this number was ever opened."""
    opening = context.history.by_seq(lot_id)
    if opening is None or opening.get("lot") != lot_id:
        return None
    opened = opening["units"] - sum(opening.get("repaid", {}).values()) if opening["kind"] != "reversal" else 1
    return opening if opened > 0 else None


def is_opened(lot_id: int, context: Context) -> bool:
    """Return True if the org has, or once had, a lot of this number."""
    return any(lot.id == lot_id for lot in context.state.lots) or opening_of(lot_id, context) is not None


def lot_as_of(lot_id: int, context: Context) -> Lot:
    """Return a lot with its expiry, priority and origin: from the state while it lives, else as it was opened, with
    the expiry of its newest extension."""
    for lot in context.state.lots:
        if lot.id == lot_id:
            return lot
    opening = context.history.by_seq(lot_id)
    if opening is None:
        raise Damaged(f"lot {lot_id} was opened by no entry that is there")
    extension = context.history.extension_of(lot_id)
    expires_at = opening.get("expires_at") if extension is None else extension["expires_at"]
    return Lot(lot_id, 0, expires_at, opening.get("priority", PRIORITY), opening["kind"] == "topup")


def decide_extend(operation: ExtendLot, context: Context) -> Decision:
    """Give a live lot another expiry: later, earlier, or never."""
    lot = _live(operation, context)
    if isinstance(lot, Refusal):
        return lot
    if operation.expires_at is not None and operation.expires_at <= context.at:
        return Refusal("expires_in_past", f"lot {lot.id} would expire at {operation.expires_at}, which has passed")
    return draft("extension", operation, 0, {"lot": lot.id, "expires_at": operation.expires_at})


def decide_void(operation: VoidLot, context: Context) -> Decision:
    """Take the rest of one lot."""
    lot = _live(operation, context)
    if isinstance(lot, Refusal):
        return lot
    effects = {
        "units": lot.remaining,
        "draws": [{"lot": lot.id, "units": lot.remaining}],
        "debt": debt_document(NO_DEBT),
        "voids": lot.id,
    }
    return draft("adjustment", operation, -lot.remaining, effects)


def _live(operation: ExtendLot | VoidLot, context: Context) -> Lot | Refusal:
    """Return the live lot that ``operation`` is about, or why there is none."""
    for lot in context.state.lots:
        if lot.id == operation.lot:
            return lot
    if not is_opened(operation.lot, context):
        return Refusal("unknown_lot", f"{operation.org} has no lot {operation.lot}")
    message = f"nothing is left in lot {operation.lot}{_end_of(operation, context)}"
    return Refusal("lot_gone", message, _way_out(operation, context))


def _end_of(operation: ExtendLot | VoidLot, context: Context) -> str:
    expiration = context.history.by_key(f"expire:{operation.lot}")
    if expiration is None:
        return ": it was used up, or taken back"
    return f": {plural(expiration['units'], 'unit')} of it expired at {expiration['expires_at']}"


def _way_out(operation: ExtendLot | VoidLot, context: Context) -> str:
    """Return the command that would give back what expired of a lot, for an operator who meant to extend it."""
    if isinstance(operation, VoidLot):
        history = shell_command("lot", "list", operation.org, "--all")
        return f"nothing is left to void; see its history with: {history}"
    expiration = context.history.by_key(f"expire:{operation.lot}")
    units = "UNITS" if expiration is None else expiration["units"]
    until = () if operation.expires_at is None else ("--expires", operation.expires_at)
    grant = shell_command("adjust", operation.org, f"+{units}", "--ref", operation.ref, *until, "--reason", "TEXT")
    return f"a lot that is gone cannot be extended; grant it anew with: {grant}"
