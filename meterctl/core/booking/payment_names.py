"""Payments by their names: one payment is credited once, whatever the second credit calls it.

Each name of a payment is claimed before its topup is appended. A credit without a claimed name is therefore new. If a
name is claimed, the claim's topup may be in the journal, may never have been appended, or is just being appended under
another name. Then the journal decides: the topups of one org are in order, and the second writer decides again.

A writer that loses a name to another credit of the payment has claimed its other names already, and so has a writer
that crashed before. These claims cannot be freed, because a third writer may rely on them. The writer whose credit is
answered with the other one takes the session off them: the org keeps the names, and `verify` expects no credit.

Once a topup was undone, a repeat of it is a replay, under every name of the payment. To credit the payment anew, in the
same org, a credit says so: its session is one of the payment's names with ``~2``, ``~3`` ...
"""

from collections.abc import Collection, Iterable, Sequence

from meterctl.core.booking.journal_view import OrgView, OrgViews, journal_history, topup_of
from meterctl.core.domain.entries import undo_key
from meterctl.core.domain.operations import CreditPack, Request
from meterctl.core.domain.rules import History
from meterctl.core.errors import Damaged, Refusal, read_apart
from meterctl.core.model import Claim, Entry
from meterctl.core.ports import Store


class PaymentNames:
    """The claims on the payments of a chunk, as they were read and as the chunk adds to them."""

    def __init__(self, store: Store, views: OrgViews) -> None:
        self._store = store
        self._views = views
        self._claims: dict[str, Claim] = {}
        self._damage: dict[str, Damaged] = {}

    def load(self, requests: Iterable[Request], known: Iterable[tuple[str, str]]) -> Collection[str]:
        """Read the claims on all packs about to be credited, in one query, and return their names. A credit that is
        ``known`` and has one name alone needs none."""
        known_keys = set(known)
        names = dict.fromkeys(
            name
            for operation in (request.operation for request in requests)
            if isinstance(operation, CreditPack)
            and (operation.names or (operation.org, operation.key) not in known_keys)
            for name in operation.all_names
        )
        if names:
            # A damaged claim stops only the credits that ask for it.
            claims, damage = read_apart(self._store.claims.holders, names)
            self._claims = claims | self._claims
            self._damage |= damage
        return names

    def booked(self, operation: CreditPack, view: OrgView) -> Entry | None:
        """Return the topup that the org has of this payment, under whichever of its names."""
        for name in operation.all_names:
            if name in self._damage:
                raise self._damage[name]
        own = [claim for name in operation.all_names if (claim := self._own(operation, name)) is not None]
        for claim in own:
            if (topup := topup_of(claim, view)) is not None and not _is_anew(operation, topup, view):
                return topup
        named = view.topup_named(operation.all_names) if own else None
        return None if named is None or _is_anew(operation, named, view) else named

    def _own(self, operation: CreditPack, name: str) -> Claim | None:
        claim = self._claims.get(name)
        return claim if claim is not None and claim.org == operation.org else None

    def refusal(self, operation: CreditPack) -> Refusal | None:
        """Return a refusal if another org holds a name of the payment, unless its topup was undone."""
        for name in operation.all_names:
            claim = self._claims.get(name)
            if claim is None or claim.org == operation.org or topup_is_undone(claim, self._views.of(claim.org)):
                continue
            # The view of the holder may be old, and a refusal must not depend on it.
            if not undo_is_booked(self._store, claim):
                return self._session_claimed(operation, claim)
        return None

    def _session_claimed(self, operation: CreditPack, claim: Claim) -> Refusal:
        label = _label(claim.name, operation)
        is_pending = topup_of(claim, self._views.of(claim.org)) is not None
        if is_pending or not _is_idle(self._store, claim):
            return Refusal("session_claimed", f"{label} was credited to {claim.org}")
        message = f"{label} is kept for {claim.org}, where a credit was begun and not booked"
        hint = f"if it belongs to {operation.org}: credit it to {claim.org}, undo that, and run this again"
        return Refusal("session_claimed", message, hint)

    def take(self, operation: CreditPack) -> tuple[Claim, ...]:
        """Return the claims that a credit about to be booked needs, and remember them."""
        claims = tuple(Claim(name, operation.org, operation.session) for name in operation.all_names)
        self._claims |= {claim.name: claim for claim in claims}
        return claims

    def learn(self, operation: CreditPack, topup: Entry) -> tuple[Claim, ...]:
        """Return the claims that a repeated credit adds: it may know more names of the payment than the first did."""
        session = topup["session"]
        claims = (Claim(name, operation.org, session) for name in operation.all_names)
        new = tuple(claim for claim in claims if claim.name != session and self._claims.get(claim.name) != claim)
        self._claims |= {claim.name: claim for claim in new}
        return new

    def concede(self, operation: CreditPack, view: OrgView) -> tuple[Claim, ...]:
        """Return the claims without a topup that a credit leaves behind when it is answered with the booking of another
        name of its payment: without their session."""
        own = (claim for name in operation.all_names if (claim := self._own(operation, name)) is not None)
        return tuple(claim._replace(session="") for claim in own if claim.session and topup_of(claim, view) is None)


def _label(name: str, operation: CreditPack) -> str:
    return f"session {name}" if name == operation.session else f"the payment {name}"


def claims_of(topup: Entry) -> list[Claim]:
    """Return the claims that a topup rests on: one by each name of its payment."""
    return [Claim(name, topup["org"], topup["session"]) for name in (topup["session"], *topup["names"])]


def claim_all(store: Store, claims: Sequence[Claim]) -> dict[str, Claim]:
    """Claim these names, each for the first claim on it, and return the claims in force. A claim moves on if its topup
    was undone, or if the same org never appended it."""
    first_claims: dict[str, Claim] = {}
    for claim in claims:
        first_claims.setdefault(claim.name, claim)
    holders = store.claims.take(list(first_claims.values()))
    for name, claim in first_claims.items():
        if holders[name] != claim and _move(store, holders[name], claim):
            holders[name] = claim
    return holders


def _move(store: Store, holder: Claim, to: Claim) -> bool:
    is_free = (holder.org == to.org and _is_idle(store, holder)) or undo_is_booked(store, holder)
    return is_free and store.claims.move(holder, to)


def _is_anew(operation: CreditPack, topup: Entry, view: OrgView) -> bool:
    """Return True if a payment is credited anew after the org's ``topup`` of it was undone."""
    return operation.is_anew and view.by_key(undo_key(topup)) is not None


def _is_idle(store: Store, claim: Claim) -> bool:
    """Return True if the claim's topup was never appended."""
    return topup_of(claim, journal_history(store, claim.org)) is None


def undo_is_booked(store: Store, claim: Claim) -> bool:
    """Return True if the store has the undo of the claim's topup.

    A pending undo does not count: if it were never appended after the claim moved, both orgs would keep the pack.
    """
    return topup_is_undone(claim, journal_history(store, claim.org))


def topup_is_undone(claim: Claim, history: History) -> bool:
    topup = topup_of(claim, history)
    return topup is not None and history.by_key(undo_key(topup)) is not None
