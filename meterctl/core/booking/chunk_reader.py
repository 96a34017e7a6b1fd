"""Reading for a chunk of requests: its orgs, the keys already in use, and payment names, in a few queries for all."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from meterctl.core.booking.journal_view import Name, OrgView, OrgViews
from meterctl.core.booking.payment_modes import Evidence, PaymentModes, mode_of
from meterctl.core.booking.payment_names import PaymentNames
from meterctl.core.domain.entries import REVERSIBLE, undo_key
from meterctl.core.domain.operations import CreditPack, Operation, Refund, Release, Request, Undo
from meterctl.core.domain.policy import PlanBook
from meterctl.core.errors import Damaged, Refusal, read_apart
from meterctl.core.model import Claim, Entry
from meterctl.core.ports import Store


class TooEarly(Exception):
    """Raised when a reply that appends nothing would depend on entries still being written."""


class InFlight(NamedTuple):
    """A chunk that is being appended: its entries, the payment names that it claims for them, and the names that its
    repeated credits add to their payments."""

    entries: Mapping[Name, Entry] = {}
    claimed: Collection[str] = frozenset()
    added: Collection[str] = frozenset()


NOTHING = InFlight()


class ChunkReader:
    """Finds the entries that deciding a chunk depends on: those in the store and those decided in the chunk so far."""

    def __init__(
        self,
        store: Store,
        requests: Sequence[Request],
        views: OrgViews,
        *,
        flight: InFlight = NOTHING,
        repeats: bool = True,
    ) -> None:
        """With ``repeats`` read the entries under the keys of ``requests``. Their orgs are loaded in ``views``.

        ``flight`` is the chunk before, if it is being appended. Without ``repeats`` a key is looked up only if a reply
        depends on it: no key can be appended twice.
        """
        self._store = store
        self.views = views
        self._flight = flight
        #: Names that repeated credits add to their payments. Another org may have been first: only the store tells.
        self.added_names = set(flight.added)
        # Not a method of this reader: each chunk would then wait for the garbage collector.
        self.plans = PlanBook(lambda: store.plans.all())  # noqa: PLW0108 - few commands load the plans of a store
        self.requests = requests
        self.keys_are_read = False
        self._known: dict[Name, Entry] = {}
        self._undone: dict[Name, Entry] = {}
        self._damage: dict[Name, Damaged] = {}
        self._names: PaymentNames | None = None
        self._modes: PaymentModes | None = None
        if repeats:
            self._read_keys()

    @property
    def names(self) -> PaymentNames:
        """The claims on all payments in the chunk, read when the first credit needs them."""
        # Not a `cached_property`: until Python 3.12 that holds one lock for all readers while it reads the store.
        if self._names is None:
            self._names = PaymentNames(self._store, self.views)
            # A credit that claims its other names and loses one of these could not free them again.
            if any(name in self._flight.claimed for name in self._names.load(self.requests, self._known)):
                raise TooEarly
        return self._names

    def refused_payment(self, operation: CreditPack) -> Refusal | None:
        """Return a refusal if another org holds the payment, or if the store holds payments of the other mode."""
        if (refusal := self.names.refusal(operation)) is not None:
            return refusal
        if self._modes is None:
            self._modes = PaymentModes(self._store.claims)
        named = (self.views.flying_named, self.views.named)
        decided = (self._flight.entries, self._known, self._undone)
        return self._modes.refusal(operation, Evidence(self._by_keys, decided, named))

    def learn_names(self, operation: CreditPack, topup: Entry) -> tuple[Claim, ...]:
        """Return the claims that a repeated credit adds, and remember the mode that they tell."""
        claims = self.names.learn(operation, topup)
        self.added_names.update(claim.name for claim in claims)
        live = mode_of(claim.name for claim in claims)
        if live is not None:
            self.views.named[operation.org, topup["key"]] = live
            if self._modes is not None:
                self._modes.note_name(live)
        return claims

    def must_wait(self, operation: Operation) -> bool:
        """Return True if the operation names a payment by a name that this chunk adds. Raise `TooEarly` if the chunk in
        flight adds it."""
        if isinstance(operation, Refund):
            name = operation.session
        elif isinstance(operation, Undo) and operation.of is not None:
            name = operation.of.removeprefix("session:")
        else:
            return False
        if name in self._flight.added:
            raise TooEarly
        return name in self.added_names

    def resolved(self, request: Request, view: OrgView) -> Request:
        """Return ``request`` with the key of the entry that an undo names by number or by another payment name."""
        operation = request.operation
        if not isinstance(operation, Undo):
            return request
        entry = None
        if operation.of is None and operation.seq is not None:
            entry = view.by_seq(operation.seq)
        elif operation.of is not None and operation.of.startswith("session:") and view.by_key(operation.of) is None:
            session = view.session_of(operation.of.removeprefix("session:"))
            entry = None if session is None else view.by_key(f"session:{session}")
        if entry is None:
            return request
        request = replace(request, operation=replace(operation, of=entry["key"]))
        self.look_up([(view.org, request.operation.key)])
        return request

    def first(self, operation: Operation, view: OrgView) -> Entry | None:
        """Return the entry that ``operation`` would repeat. Raise `Damaged` if it cannot be read."""
        name = (operation.org, operation.key)
        if name in self._damage:
            raise self._damage[name]
        first = self._known.get(name)
        if isinstance(operation, CreditPack) and first is None:
            return self.names.booked(operation, view)
        return first if first is None or not _is_run_out(first, operation) else None

    def twin(self, operation: Operation, view: OrgView) -> Entry | None:
        """Return the entry that ``operation`` would repeat, found with fresh keys: another process may have booked it
        since they were read."""
        if not self.keys_are_read:
            self._read_keys()
        elif operation.key:
            self.look_up([(operation.org, operation.key)])
        return self.first(operation, view)

    def undo_of(self, first: Entry, view: OrgView) -> Entry | None:
        """Return the entry that undid ``first``. Raise `Damaged` if it cannot be read."""
        name = (view.org, undo_key(first))
        if name in self._damage:
            raise self._damage[name]
        undo = self._undone.get(name)
        if undo is None and (view.org, first["key"]) not in self._known:
            return view.by_key(name[1])
        return undo

    def remember(self, entry: Entry) -> None:
        """Add an entry that was just decided: no query finds it yet."""
        name = (entry["org"], entry["key"])
        self._known[name] = entry
        if entry["kind"] == "reversal":
            self._undone[name] = entry
        if self._modes is not None:
            self._modes.note(entry)

    def make_sure(self, view: OrgView, *, up_to: int = 0) -> bool:
        """Read the tip again before a reply that appends nothing, if it may be behind the journal or behind entry
        ``up_to``, which the reply names. Return True if it was read.

        Pending entries need no second look: appending them proves the tip.
        """
        if view.pending or (view.exact and view.tip.seq >= up_to):
            return False
        if view.flying:
            raise TooEarly
        view.refresh()
        return True

    def _read_keys(self) -> None:
        self.keys_are_read = True
        operations = [request.operation for request in self.requests]
        self.look_up({(operation.org, key) for operation in operations if (key := operation.key)})
        # A repeat books nothing, so its reply needs the exact tip.
        self.views.make_sure({org for org, _ in self._known})

    def look_up(self, names: Collection[Name]) -> None:
        """Read the entries under these names, and the entries that undid them."""
        known = self._by_keys(names)
        undo_names = [(org, undo_key(entry)) for (org, _), entry in known.items() if entry["kind"] in REVERSIBLE]
        # Entries decided in this chunk are newer.
        self._known = known | self._known
        self._undone = self._by_keys(undo_names) | self._undone

    def _by_keys(self, names: Collection[Name]) -> dict[Name, Entry]:
        flying = self._flight.entries
        entries = self._from_store(names)
        return entries | {name: flying[name] for name in names if name in flying} if flying else entries

    def _from_store(self, names: Collection[Name]) -> dict[Name, Entry]:
        """Read the entries under these names. A damaged one stops only the requests that ask for it."""
        entries, damage = read_apart(self._store.journal.by_keys, names) if names else ({}, {})
        self._damage |= damage
        return entries


def _is_run_out(entry: Entry, operation: Operation) -> bool:
    """Return True if ``operation`` releases a hold and ``entry`` is the end of that hold by time, not by a release."""
    return isinstance(operation, Release) and entry["input"]["op"] != operation.name
