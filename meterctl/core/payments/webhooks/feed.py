"""Combine the events of a run, object by object."""

from collections.abc import Iterable
from io import BytesIO
from typing import IO, NamedTuple

from meterctl.core.payments.payments import Giveback, Payment, Standing
from meterctl.core.payments.sale_book import Sale, SaleBook
from meterctl.core.payments.stripe.shop import Json
from meterctl.core.payments.webhooks.deliveries import Delivery, PutAside, Source
from meterctl.core.payments.webhooks.events import Event, RefundedSum

#: The highest rank wins if events disagree about a refund, or about a dispute: an inquiry may become a dispute, but
#: nothing becomes of a cancelled refund.
_REFUND_RANK: tuple[Standing, ...] = ("waiting", "given", "void", "returned")
_DISPUTE_RANK: tuple[Standing, ...] = ("waiting", "void", "given", "returned")


class Link(NamedTuple):
    """The names of one payment, and the time of the event that has them."""

    names: tuple[str, ...]
    created: int


class Feed:
    """The news of a run's events by object, with the deliveries that brought it.

    ``live`` is the mode of their payments: the store's, or the first event's for an empty store. Deliveries are put
    ``aside`` in a file, or in memory without one.
    """

    def __init__(self, live: bool | None = None, aside: IO[bytes] | None = None) -> None:
        self.live = live
        self._aside = PutAside(BytesIO() if aside is None else aside)
        self._book = SaleBook()
        #: Objects to read again with others at hand, and the times of their events.
        self.items: dict[str, tuple[Json, int | None]] = {}
        self.givebacks: dict[str, Giveback] = {}
        self.refund_sums: dict[str, RefundedSum] = {}
        self.subscriptions: dict[str, tuple[int, Json]] = {}
        self.thin: dict[tuple[str, str], Event] = {}
        self._links: list[Link] = []
        self._sources: dict[str, list[Source]] = {}

    def add(self, event: Event, source: Source | None = None) -> bool:
        """Add an event; return False if it does not concern payments."""
        about = [giveback.id for giveback in event.givebacks]
        if event.payments:
            self.add_sale(event.payments)
            about += [part.session for part in event.payments]
            if event.item is not None:
                self.items[about[-1]] = event.item, event.created
        for giveback in event.givebacks:
            self.add_giveback(giveback)
        if event.refund_sum is not None:
            about.append(event.refund_sum.charge)
            known = self.refund_sums.get(event.refund_sum.charge, event.refund_sum)
            self.refund_sums[event.refund_sum.charge] = max(known, event.refund_sum, key=lambda one: one.cents)
        if event.subscription is not None:
            about.append(self._add_subscription(event.subscription, event.created or 0))
        if event.thin is not None:
            about.append(event.thin[1])
            self.thin[event.thin] = event
        if event.same_payment:
            about.append(event.same_payment[0])
            self._links.append(Link(event.same_payment, event.created or 0))
        if about:
            source = source or self._aside.put(event.delivery, event.id)
            for name in about:
                self._sources.setdefault(name, []).append(source)
        return bool(about)

    def put_aside(self, delivery: Delivery) -> Source:
        """Keep a delivery that cannot be used now but may be later."""
        return self._aside.put(delivery)

    # -- payments

    @property
    def sales(self) -> dict[str, Sale]:
        return self._book.sales

    def add_sale(self, payments: Iterable[Payment]) -> str:
        """Add a payment, in its parts; return its name."""
        return self._book.add(payments)

    def find_sale(self, names: Iterable[str]) -> Sale | None:
        """Return the payment with one of these names, in its parts, or None."""
        return self._book.find(names)

    def link(self) -> None:
        """Add the names from invoice_payment events to known payments."""
        for link in self._links:
            if self.find_sale(link.names) is not None:
                self._book.link(link.names)

    def loose_links(self) -> list[Link]:
        """Return the links to payments that no event of this run shows."""
        return [link for link in self._links if self.find_sale(link.names) is None]

    # -- the rest

    def _add_subscription(self, item: Json, created: int) -> str:
        name = str(item.get("id"))
        known = self.subscriptions.get(name)
        if known is None or created >= known[0]:
            self.subscriptions[name] = (created, item)
        return name

    def add_giveback(self, giveback: Giveback) -> None:
        known = self.givebacks.get(giveback.id)
        if known is None or _weight(giveback) > _weight(known):
            self.givebacks[giveback.id] = giveback

    def sources_of(self, *names: str) -> list[Source]:
        """Return the deliveries that concern these objects."""
        return [source for name in names for source in self._sources.get(name, ())]

    def unexplained_charges(self) -> list[RefundedSum]:
        """Return the charges whose refunded sum exceeds their known refunds.

        Failed refunds count as known, because the sum included them at the time.
        """
        known = self.refunds_by_charge()
        return [charge for charge in self.refund_sums.values() if sum(known[charge.charge].values()) < charge.cents]

    def refunds_by_charge(self) -> dict[str, dict[str, int]]:
        """Return the refunds of each charge with a refunded sum, as cents by id, that the events hold."""
        by_name: dict[str, dict[str, int]] = {}
        for item in self.givebacks.values():
            for name in () if item.is_dispute else item.of:
                by_name.setdefault(name, {})[item.id] = item.cents
        return {
            one.charge: by_name.get(one.charge, {}) | by_name.get(one.intent or "", {})
            for one in self.refund_sums.values()
        }


def _weight(item: Giveback) -> tuple[int, int, int]:
    """Return the rank of an event's news of a giveback; for a dispute, more moves of its money rank higher."""
    rank = _DISPUTE_RANK if item.is_dispute else _REFUND_RANK
    return item.moves, rank.index(item.standing), -item.cents
