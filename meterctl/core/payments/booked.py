"""The journal's side of payments: the packs that were credited, with the refunds that were booked on them."""

from collections.abc import Iterable
from typing import NamedTuple

from meterctl.core.model import Entry, Instant
from meterctl.core.payments.payments import Giveback, base_of, names_of, part_names, share_of, whole_of
from meterctl.core.ports import EntryFilter, Store


class Clawback(NamedTuple):
    """A refund as booked, under ``name``; ``reversed_by`` is the seq of the entry that took it back."""

    name: str
    cents: int
    seq: int
    reversed_by: int | None = None
    #: When it happened, or when it came back.
    at: Instant = Instant("")

    @property
    def stands(self) -> bool:
        return self.reversed_by is None


class Credit(NamedTuple):
    """A pack as booked for a payment, with the refunds booked on it. ``names`` are the payment's others."""

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
        """The refunds that stand for this giveback."""
        return [claw for claw in self.clawbacks if base_of(claw.name) == giveback_id and claw.stands]

    @property
    def left(self) -> int:
        """Cents of the payment that nothing has clawed."""
        return self.cents - sum(claw.cents for claw in self.clawbacks if claw.stands)

    def was_last_of_it(self, claw: Clawback) -> bool:
        """Whether nothing of the payment was left once ``claw`` was booked: it may have wanted more."""
        before = [other for other in self.clawbacks if other.seq <= claw.seq]
        stood = sum(other.cents for other in before if other.reversed_by is None or other.reversed_by > claw.seq)
        return stood == self.cents


def credits_of(entries: Iterable[Entry]) -> list[Credit]:
    """The packs that the entries of one org (its topups, refunds and reversals only, oldest first) have booked."""
    made: dict[int, Credit] = {}
    refunds: dict[int, tuple[int, Clawback]] = {}
    undone: dict[int, Entry] = {}
    for entry in entries:
        if entry["kind"] == "topup":
            made[entry["seq"]] = Credit(
                entry["org"],
                entry["session"],
                entry["seq"],
                entry["pack"],
                entry["paid_cents"],
                entry["currency"],
                undone=False,
                names=tuple(entry.get("names", ())),
                quantity=entry.get("quantity", 1),
                tax_cents=entry.get("tax_cents", 0),
                at=entry["at"],
            )
        elif entry["kind"] == "refund":
            claw = Clawback(entry["refund_id"], entry["cents"], entry["seq"], at=_said(entry))
            refunds[entry["seq"]] = (entry["lot"], claw)
        else:
            undone[entry["reverses"]] = entry
    by_topup: dict[int, list[Clawback]] = {}
    for topup, booked in refunds.values():
        back = undone.get(booked.seq)
        claw = booked if back is None else booked._replace(reversed_by=back["seq"], at=max(booked.at, _said(back)))
        by_topup.setdefault(topup, []).append(claw)
    return [
        credit._replace(undone=seq in undone, clawbacks=tuple(by_topup.get(seq, ()))) for seq, credit in made.items()
    ]


def _said(entry: Entry) -> Instant:
    return Instant(entry.get("occurred_at") or entry["at"])


def standing_credit(found: Iterable[Credit]) -> Credit | None:
    """The credit that was not undone, if there is one."""
    return next((credit for credit in found if not credit.undone), None)


def credits_for(store: Store, names: Iterable[str]) -> list[Credit]:
    """Every credit of a payment with one of these names, in any of its parts, undone ones too."""
    wanted = list(dict.fromkeys(names))
    first = [again for name in wanted for part in (name, *part_names(name)[1:3]) for again in names_of(part)]
    holders = store.claims.holders(first)
    if any(":" in name for name in holders):
        holders |= store.claims.holders(
            [again for name in wanted for part in part_names(name) for again in names_of(part)]
        )
    sessions = dict.fromkeys((claim.org, claim.session) for claim in holders.values())
    found: list[Credit] = []
    for org, session in sessions:
        found += credits_of(store.journal.read(org, EntryFilter(session=session)))
    return found


class CreditedPart(NamedTuple):
    """A credit as a part of its payment of ``whole`` cents, as far as the journal knows of it."""

    credit: Credit
    number: int
    offset: int
    whole: int

    def share_of(self, item: Giveback) -> Giveback:
        """The part of a giveback that falls on this credit."""
        return share_of(item, part=self.number, offset=self.offset, cents=self.credit.cents, whole=self.whole)


def in_parts(found: Iterable[Credit]) -> list[CreditedPart]:
    """The credits of one payment as its parts, in order: of each part the one that stands, else the last one undone."""
    by_part: dict[str, Credit] = {}
    for credit in sorted(found, key=lambda one: (one.undone, one.org, one.seq)):
        by_part.setdefault(base_of(credit.name), credit)
    first = next(iter(by_part.values()))
    # A second credit under another name is no part: it is a duplicate.
    parts = [
        one for one in by_part.values() if whole_of(one.name) == whole_of(first.name) and one.undone == first.undone
    ]
    whole, offset = sum(credit.cents for credit in parts), 0
    made = []
    for number, credit in enumerate(parts, 1):
        made.append(CreditedPart(credit, number, offset, whole))
        offset += credit.cents
    return made


def shares_unknown(found: Iterable[Credit]) -> bool:
    """Return True where other things than packs were paid together with these: the journal does not know the whole."""
    return any(name.endswith(":1") for credit in found for name in credit.names)
