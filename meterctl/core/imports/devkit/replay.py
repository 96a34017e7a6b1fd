"""Which credit each removal came from: devkit never stored that, so it is found by walking the ledger in order.

A credit first repays uncovered debt; the rest is its remainder. A refund with a session takes from that session's pack
first. An expiration named after a credit takes from that one alone, and closes it. Everything else takes from credits
neither closed nor expired at the entry's own time: the soonest expiry first (never-expiring last), then the oldest.
Units that nothing covers are uncovered debt. Always: remainders less uncovered debt are the sum of all amounts.
"""

from bisect import insort
from dataclasses import dataclass, field
from typing import NamedTuple

from meterctl.core.imports.devkit.records import OldEntry
from meterctl.core.model import Instant

_BEGINNING = Instant("")


@dataclass(slots=True)
class OldCredit:
    """Units that came in by the entry in ``place``, and the rest of them."""

    place: int
    entry: OldEntry
    remaining: int
    closed: bool = False
    clawed: int = 0

    @property
    def order(self) -> tuple[bool, str, int]:
        """Return its place in the order of spending."""
        return self.entry.expires_at is None, self.entry.expires_at or "", self.place

    def is_expired(self, at: Instant) -> bool:
        return self.entry.expires_at is not None and self.entry.expires_at <= at


class Effect(NamedTuple):
    """The effect of one entry: ``draws`` as ``(place of the credit, units)``, ``uncovered`` debt made, debt ``repaid``.

    ``own`` is the credit that it is about, and ``own_units`` the part taken from that one.
    """

    at: Instant
    draws: tuple[tuple[int, int], ...] = ()
    uncovered: int = 0
    repaid: int = 0
    own: int | None = None
    own_units: int = 0


@dataclass(slots=True)
class Replay:
    """A walk over a ledger: feed it every entry in array order."""

    credits: dict[int, OldCredit] = field(default_factory=dict)
    uncovered: int = 0
    at: Instant = _BEGINNING
    _open: list[OldCredit] = field(default_factory=list)
    _by_id: dict[str, OldCredit] = field(default_factory=dict)
    _by_session: dict[str, OldCredit] = field(default_factory=dict)

    def feed(self, place: int, entry: OldEntry) -> Effect:
        """Return the effect of the next entry. One without a time happened when the last one did."""
        self.at = max(self.at, entry.at or self.at)
        at = entry.at or self.at
        if entry.amount > 0:
            return self._credit(place, entry)
        own = self._own(entry)
        rest = -entry.amount
        draws: list[tuple[int, int]] = []
        own_units = 0
        if own is not None:
            own_units = min(own.remaining, rest)
            rest -= self._take(own, own_units, draws)
            own.closed = own.closed or entry.kind == "expiration"
            own.clawed += -entry.amount if entry.kind == "refund" else 0
        if own is None or entry.kind != "expiration":
            rest -= self._take_from_open(rest, at, draws)
        self.uncovered += rest
        return Effect(
            at=self.at,
            draws=tuple(draws),
            uncovered=rest,
            repaid=0,
            own=None if own is None else own.place,
            own_units=own_units,
        )

    def _credit(self, place: int, entry: OldEntry) -> Effect:
        repaid = min(self.uncovered, entry.amount)
        self.uncovered -= repaid
        credit = self.credits[place] = OldCredit(place, entry, entry.amount - repaid)
        if credit.remaining:
            insort(self._open, credit, key=lambda each: each.order)
        self._by_id.setdefault(entry.id, credit)
        if entry.session is not None and entry.kind == "topup":
            self._by_session.setdefault(entry.session, credit)
        return Effect(self.at, repaid=repaid)

    def _own(self, entry: OldEntry) -> OldCredit | None:
        if entry.kind == "expiration" and entry.expires is not None:
            return self._by_id.get(entry.expires)
        if entry.kind == "refund" and entry.session is not None:
            return self._by_session.get(entry.session)
        return None

    def _take_from_open(self, units: int, at: Instant, draws: list[tuple[int, int]]) -> int:
        """Take up to ``units`` from open credits; return the units taken."""
        taken, spent = 0, 0
        for credit in self._open:
            if taken == units:
                break
            if not credit.closed and not credit.is_expired(at):
                taken += self._take(credit, min(credit.remaining, units - taken), draws)
            spent += credit.closed or not credit.remaining
        if spent:
            self._open = [credit for credit in self._open if credit.remaining and not credit.closed]
        return taken

    def _take(self, credit: OldCredit, units: int, draws: list[tuple[int, int]]) -> int:
        if units:
            credit.remaining -= units
            draws.append((credit.place, units))
        return units
