"""Rebuild claims from the journals."""

from meterctl.core.booking.journal_view import journal_history, topup_of
from meterctl.core.booking.payment_names import claims_of, topup_is_undone, undo_is_booked
from meterctl.core.errors import StoreDamaged
from meterctl.core.model import Claim
from meterctl.core.ports import EntryFilter, Store
from meterctl.core.verify.store_check import Repair


def repair_claims(store: Store) -> Repair:
    """Claim every name of every credited payment for its org; return the counts.

    Safe while others write. A claim of another valid topup is left alone, and `verify` reports it.
    """
    orgs, repairs, unreadable = 0, 0, list[str]()
    for org in store.journal.orgs():
        try:
            repairs += _repair_org(store, org)
        except StoreDamaged:
            unreadable.append(org)
        orgs += 1
    return Repair(orgs, repairs, unreadable)


def _repair_org(store: Store, org: str) -> int:
    repairs = 0
    for topup in store.journal.read(org, EntryFilter(kinds=("topup",))):
        claims = claims_of(topup)
        if topup_is_undone(claims[0], journal_history(store, org)):
            continue
        holders = store.claims.holders(claim.name for claim in claims)
        for claim in claims:
            holder = holders.get(claim.name)
            if holder == claim:
                continue
            repairs += _claim(store, claim) if holder is None else _move(store, holder, claim)
    return repairs


def _claim(store: Store, claim: Claim) -> bool:
    return store.claims.take([claim])[claim.name] == claim


def _move(store: Store, holder: Claim, claim: Claim) -> bool:
    """Move a claim whose holder did not book the payment, or undid it; return True if moved."""
    is_valid = topup_of(holder, journal_history(store, holder.org)) is not None and not undo_is_booked(store, holder)
    return not is_valid and store.claims.move(holder, claim)
