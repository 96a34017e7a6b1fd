"""Put together everything that the events of a run say, object by object."""

from io import BytesIO
from typing import IO

from meterctl.core.payments.payments import Giveback, Payment, Standing
from meterctl.core.payments.webhook_events import Event, Refunded
from meterctl.core.payments.webhook_file import Delivery, PutAside, Source

#: What is said of one object by several events: the later in this row holds.
_RANK: tuple[Standing, ...] = ("waiting", "void", "given", "returned")


class Feed:
    """What all events of a run say, by object, and which deliveries said it. ``live`` is the mode of their payments:
    the store's, or of an empty one that of the first event.

    What said it is put ``aside``, in memory unless a file for that is given.
    """

    def __init__(self, live: bool | None = None, aside: IO[bytes] | None = None) -> None:
        self.live = live
        self._aside = PutAside(BytesIO() if aside is None else aside)
        self.payments: dict[str, Payment] = {}
        self.givebacks: dict[str, Giveback] = {}
        self.refunded: dict[str, Refunded] = {}
        self.sessions: dict[str, str] = {}
        self._sources: dict[str, list[Source]] = {}

    def add(self, told: Event) -> bool:
        """Take an event in; False if it says nothing of payments."""
        about = []
        if told.payment is not None:
            about.append(told.payment.session)
            self._add_payment(told.payment)
        for giveback in told.givebacks:
            about.append(giveback.id)
            self.add_giveback(giveback)
        if told.refunded is not None:
            about.append(told.refunded.charge)
            known = self.refunded.get(told.refunded.charge)
            self.refunded[told.refunded.charge] = max(known or told.refunded, told.refunded, key=lambda one: one.cents)
        if about:
            source = self._aside.put(told.delivery, told.id)
            for name in about:
                self._sources.setdefault(name, []).append(source)
        return bool(about)

    def put_aside(self, delivery: Delivery) -> Source:
        """A delivery that says nothing, and is kept for what it may say one day."""
        return self._aside.put(delivery)

    def _add_payment(self, payment: Payment) -> None:
        if payment.intent is not None:
            self.sessions[payment.intent] = payment.session
        known = self.payments.get(payment.session)
        if known is None or (payment.paid, known.at) > (known.paid, payment.at):
            self.payments[payment.session] = payment

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


def _weight(item: Giveback) -> tuple[int, int]:
    """Of what is said of one giveback, the heaviest holds: a dispute's money only comes back, bit by bit."""
    return _RANK.index(item.standing), -item.cents
