"""Read the journal's side of payments: each credited pack, with the refunds booked on it."""

from collections.abc import Iterable
from sys import intern
from typing import NamedTuple

from meterctl.core.model import Entry, Instant
from meterctl.core.payments.payments import Giveback, base_of, names_of, part_names, share_of, whole_of
from meterctl.core.ports import EntryFilter, Store


class Clawback(NamedTuple):
    """A refund as booked under ``name``; ``reversed_by`` is the seq of the entry that reversed it."""

    name: str
    cents: int
    seq: int
    reversed_by: int | None = None
    #: The time of the refund, or of its reversal.
    at: Instant = Instant("")

    @property
    def stands(self) -> bool:
        return self.reversed_by is None


class Credit(NamedTuple):
    """A pack as booked for a payment, with its refunds. ``names`` are the payment's other ids."""

    org: str
    name: str
    seq: int
    pack: str
    cents: int
    currency: str
    undone: bool
    clawbacks: tuple[Clawback, ...] = ()
    names: tuple[str, ...] = ()
    quantity: int = 1
    tax_cents: int = 0
    at: Instant = Instant("")

    @property
    def all_names(self) -> tuple[str, ...]:
        return (self.name, *self.names)

    def clawed(self, giveback_id: str) -> list[Clawback]:
        """Return the refunds booked for this giveback and not reversed."""
        return [claw for claw in self.clawbacks if base_of(claw.name) == giveback_id and claw.stands]

    @property
    def remaining_cents(self) -> int:
        """Return the cents of the payment that no refund has taken."""
        return self.cents - sum(claw.cents for claw in self.clawbacks if claw.stands)

    def was_last_of_it(self, claw: Clawback) -> bool:
        """Return True if ``claw`` took the last cents of the payment: it may have been cut short."""
        before = [other for other in self.clawbacks if other.seq <= claw.seq]
        cents = sum(other.cents for other in before if other.reversed_by is None or other.reversed_by > claw.seq)
        return cents == self.cents


def credits_of(entries: Iterable[Entry]) -> list[Credit]:
    """Return the packs booked by the topups, refunds and reversals of one org (oldest first)."""
    credits: dict[int, Credit] = {}
    refunds: dict[int, tuple[int, Clawback]] = {}
    undone: dict[int, Entry] = {}
    for entry in entries:
        if entry["kind"] == "topup":
            credits[entry["seq"]] = Credit(
                org=intern(entry["org"]),
                name=entry["session"],
                seq=entry["seq"],
                pack=intern(entry["pack"]),
                cents=entry["paid_cents"],
                currency=intern(entry["currency"]),
                undone=False,
                names=tuple(entry.get("names", ())),
                quantity=entry.get("quantity", 1),
                tax_cents=entry.get("tax_cents", 0),
                at=entry["at"],
            )
        elif entry["kind"] == "refund":
            claw = Clawback(entry["refund_id"], entry["cents"], entry["seq"], at=_occurred_at(entry))
            refunds[entry["seq"]] = (entry["lot"], claw)
        else:
            undone[entry["reverses"]] = entry
    by_topup: dict[int, list[Clawback]] = {}
    for topup, original in refunds.values():
        back = undone.get(original.seq)
        claw = (
            original
            if back is None
            else original._replace(reversed_by=back["seq"], at=max(original.at, _occurred_at(back)))
        )
        by_topup.setdefault(topup, []).append(claw)
    return [
        credit._replace(undone=seq in undone, clawbacks=tuple(by_topup.get(seq, ()))) for seq, credit in credits.items()
    ]


def _occurred_at(entry: Entry) -> Instant:
    return Instant(entry.get("occurred_at") or entry["at"])


def standing_credit(candidates: Iterable[Credit]) -> Credit | None:
    """Return the first credit that was not undone, or None."""
    return next((credit for credit in candidates if not credit.undone), None)


def credits_for(store: Store, names: Iterable[str]) -> list[Credit]:
    """Return every credit of a payment with one of these names: all its parts, undone ones too."""
    requested = list(dict.fromkeys(names))
    first = [again for name in requested for part in (name, *part_names(name)[1:3]) for again in names_of(part)]
    holders = store.claims.holders(first)
    if any(":" in name for name in holders):
        holders |= store.claims.holders(
            [again for name in requested for part in part_names(name) for again in names_of(part)]
        )
    sessions = dict.fromkeys((claim.org, claim.session) for claim in holders.values())
    result: list[Credit] = []
    for org, session in sessions:
        result += credits_of(store.journal.read(org, EntryFilter(session=session)))
    return result


class CreditedPart(NamedTuple):
    """A credit as one part of its payment; ``whole`` is the sum of the parts in the journal, in cents."""

    credit: Credit
    number: int
    offset: int
    whole: int

    def share_of(self, item: Giveback) -> Giveback:
        """Return this credit's share of a giveback."""
        return share_of(item, part=self.number, offset=self.offset, cents=self.credit.cents, whole=self.whole)


def in_parts(candidates: Iterable[Credit]) -> list[CreditedPart]:
    """Return the credits of one payment as its parts, in order; an undone credit only if its part has no other."""
    by_part: dict[str, Credit] = {}
    for credit in sorted(candidates, key=lambda one: (one.undone, one.org, one.seq)):
        by_part.setdefault(base_of(credit.name), credit)
    first = next(iter(by_part.values()), None)
    if first is None:
        return []
    # A second credit under another name is a duplicate, not a part.
    parts = [
        one for one in by_part.values() if whole_of(one.name) == whole_of(first.name) and one.undone == first.undone
    ]
    whole, offset = sum(credit.cents for credit in parts), 0
    result = []
    for number, credit in enumerate(parts, 1):
        result.append(CreditedPart(credit, number, offset, whole))
        offset += credit.cents
    return result


def shares_unknown(parts: Iterable[Credit]) -> bool:
    """Return True if the payment covered more than packs, so the journal does not know its total."""
    return any(name.endswith(":1") for credit in parts for name in credit.names)
