"""Put together everything that the events of a run say, object by object."""

from collections.abc import Iterable
from io import BytesIO
from typing import IO

from meterctl.core.payments.payments import Giveback, Payment, Standing
from meterctl.core.payments.sale_book import Sale, SaleBook
from meterctl.core.payments.shop import Json
from meterctl.core.payments.webhook_events import Event, Refunded
from meterctl.core.payments.webhook_file import Delivery, PutAside, Source

#: When events disagree about a refund or dispute, the highest rank wins.
_RANK: tuple[Standing, ...] = ("waiting", "void", "given", "returned")


class Feed:
    """Everything that the events of a run say, by object, and which deliveries said it. ``live`` is the mode of their
    payments: the store's, or of an empty one that of the first event.

    Deliveries are put ``aside``, in memory unless a file for that is given.
    """

    def __init__(self, live: bool | None = None, aside: IO[bytes] | None = None) -> None:
        self.live = live
        self._aside = PutAside(BytesIO() if aside is None else aside)
        self._book = SaleBook()
        self.items: dict[str, Json] = {}
        self.givebacks: dict[str, Giveback] = {}
        self.refunded: dict[str, Refunded] = {}
        self.subscriptions: dict[str, tuple[int, Json]] = {}
        self.thin: dict[tuple[str, str], Event] = {}
        self._links: list[tuple[str, ...]] = []
        self._sources: dict[str, list[Source]] = {}

    def add(self, event: Event, source: Source | None = None) -> bool:
        """Take an event in; False if it says nothing of payments."""
        about = [giveback.id for giveback in event.givebacks]
        if event.payments:
            self.add_sale(event.payments)
            about += [part.session for part in event.payments]
            if event.item is not None:
                self.items[about[-1]] = event.item
        for giveback in event.givebacks:
            self.add_giveback(giveback)
        if event.refunded is not None:
            about.append(event.refunded.charge)
            known = self.refunded.get(event.refunded.charge, event.refunded)
            self.refunded[event.refunded.charge] = max(known, event.refunded, key=lambda one: one.cents)
        if event.subscription is not None:
            about.append(self._add_subscription(event.subscription, event.created or 0))
        if event.thin is not None:
            about.append(event.thin[1])
            self.thin[event.thin] = event
        if event.linked:
            self._links.append(event.linked)
        if about:
            source = source or self._aside.put(event.delivery, event.id)
            for name in about:
                self._sources.setdefault(name, []).append(source)
        return bool(about or event.linked)

    def put_aside(self, delivery: Delivery) -> Source:
        """Keep a delivery that says nothing now, for what it may say one day."""
        return self._aside.put(delivery)

    # -- payments

    @property
    def sales(self) -> dict[str, Sale]:
        return self._book.sales

    def add_sale(self, payments: Iterable[Payment]) -> str:
        """Take in a payment, in its parts; its name."""
        return self._book.add(payments)

    def sale_named(self, names: Iterable[str]) -> Sale | None:
        """The payment with one of these names, in its parts."""
        return self._book.named(names)

    def link(self) -> None:
        """Add the names that other events give to the payments which are known."""
        for names in self._links:
            if self.sale_named(names) is not None:
                self._book.link(names)

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

    def told_by(self, *names: str) -> list[Source]:
        """The deliveries that spoke of these objects."""
        return [source for name in names for source in self._sources.get(name, ())]

    def untold(self) -> list[Refunded]:
        """Charges that were refunded by more than the refunds that are known, failed ones too: at that time they were
        counted."""
        known: dict[str | None, int] = {}
        for item in self.givebacks.values():
            if not item.is_dispute:
                known[item.charge] = known.get(item.charge, 0) + item.cents
        return [charge for charge in self.refunded.values() if known.get(charge.charge, 0) < charge.cents]


def _weight(item: Giveback) -> tuple[int, int, int]:
    """How much an event says of a giveback: of a dispute the one that knows of most moves of its money says most."""
    return item.moves, _RANK.index(item.standing), -item.cents
