"""Claims made again from the journals, as heads can be."""

from meterctl.core.booking.journal_view import unread
from meterctl.core.booking.payment_names import claims_of, topup_is_undone, undo_is_booked
from meterctl.core.errors import StoreDamaged
from meterctl.core.model import Claim
from meterctl.core.ports import EntryFilter, Store
from meterctl.core.verify.store_check import Repair


def repair_claims(store: Store) -> Repair:
    """Claim every name of every payment that is credited for the org that has it. Safe while others write: a claim that
    another standing topup holds is left alone, and `verify` tells of it."""
    seen, mended, unreadable = 0, 0, list[str]()
    for org in store.journal.orgs():
        try:
            mended += _repair_org(store, org)
        except StoreDamaged:
            unreadable.append(org)
        seen += 1
    return Repair(seen, mended, unreadable)


def _repair_org(store: Store, org: str) -> int:
    mended = 0
    for topup in store.journal.read(org, EntryFilter(kinds=("topup",))):
        claims = claims_of(topup)
        if topup_is_undone(claims[0], unread(store, org)):
            continue
        holders = store.claims.holders(claim.name for claim in claims)
        for claim in claims:
            holder = holders.get(claim.name)
            if holder == claim:
                continue
            mended += _claim(store, claim) if holder is None else _move(store, holder, claim)
    return mended


def _claim(store: Store, claim: Claim) -> bool:
    return store.claims.take([claim])[claim.name] == claim


def _move(store: Store, holder: Claim, claim: Claim) -> bool:
    """Move a claim on a payment that its holder has not, or has taken back."""
    key = (holder.org, f"session:{holder.session}")
    stands = key in store.journal.by_keys([key]) and not undo_is_booked(store, holder)
    return not stands and store.claims.move(holder, claim)
