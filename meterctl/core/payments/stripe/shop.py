"""Find the org and pack of a payment in the shop's own fields, and skip sales that are not ours."""

from collections.abc import Iterable, Mapping
from sys import intern
from typing import Any, NamedTuple

from meterctl.core.domain.checks import check_org
from meterctl.core.domain.policy import Pack, PaymentKind, StripeSettings
from meterctl.core.errors import BadInput
from meterctl.core.payments.payments import Problem
from meterctl.core.payments.sales import Seller

Json = Mapping[str, Any]

#: The objects that a payment may refer to; a place in the config may name their metadata.
ROOTS = ("payment_intent", "customer", "invoice", "subscription", "payment_link")

PRICE = "price"


class LineItem(NamedTuple):
    """An item of a sale. ``cents`` is the amount paid for it, ``tax`` included."""

    id: str
    price: str | None
    quantity: int
    cents: int
    tax: int = 0
    discount: int = 0
    text: str = ""
    tax_inside: bool = False


class MissingObject(Exception):
    """The object ``name`` must be read first."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Shop(NamedTuple):
    """The ``[stripe]`` table of the config, the packs, and the ``known`` objects by id."""

    settings: StripeSettings = StripeSettings()
    packs: Mapping[str, Pack] = {}
    known: Mapping[str, Json] = {}
    #: The plans that follow a subscription, by the ids of their prices.
    plan_prices: Mapping[str, str] = {}
    default_plan: str = "free"

    @property
    def by_price(self) -> dict[str, str]:
        """Return the packs by the ids of their prices."""
        return {price: name for name, pack in self.packs.items() for price in pack.stripe_prices}

    @property
    def roots(self) -> tuple[str, ...]:
        """Return the objects besides the payment whose metadata are needed."""
        places = (*self.settings.org, *self.settings.pack, *self.settings.only)
        return tuple(root for root in ROOTS if any(place.startswith(f"{root}.") for place in places))

    def seller(self, *, discounts: bool = False, accept_paid: frozenset[str] = frozenset()) -> Seller:
        """Return the packs on sale with the amounts to accept; the config may accept discounts too."""
        return Seller(self.packs, discounts or self.settings.discounts == "accept", accept_paid)

    def takes(self, kind: PaymentKind) -> bool:
        return kind in self.settings.payments

    def ignores(self, names: Iterable[str]) -> bool:
        return any(name in self.settings.ignore for name in names)

    def is_ours(self, item: Json, kind: str) -> bool:
        """Return False for a payment excluded by ``only``."""
        return all(self.text_at(item, kind, place) == value for place, value in self.settings.only.items())

    def org_of(self, item: Json, kind: str, *, own: bool = False) -> tuple[str | None, Problem | None]:
        """Return the first org id in the configured places, or a `Problem` if they hold only other text.

        ``own`` looks at the payment itself only.
        """
        bad = None
        for place in self.settings.org:
            if own and place.startswith(("customer", "subscription.", "payment_link.")):
                continue
            value = self.text_at(item, kind, place)
            if value is None:
                continue
            try:
                return intern(check_org(value)), None
            except BadInput as problem:
                bad = bad or Problem("bad_org", f"{place} holds {value!r}, which is not an org id: {problem.hint}")
        return None, bad

    def pack_of(self, item: Json, kind: str, lines: list[LineItem] | None) -> str | None:
        """Return the pack from the first place that names one; `PRICE` if the prices of the items do.

        If all places name unknown packs, return the first of these names.
        """
        unknown = None
        for place in self.settings.pack:
            if place == PRICE:
                by_price = self.by_price
                if lines is not None and any(line.price in by_price for line in lines):
                    return PRICE
                continue
            value = self.text_at(item, kind, place)
            if value is None:
                continue
            if (pack := self._pack_named(value)) is not None:
                return pack
            unknown = unknown or value
        return unknown

    def _pack_named(self, name_or_units: str) -> str | None:
        """Return the pack of that name, or the only pack of that many units."""
        if name_or_units in self.packs:
            return intern(name_or_units)
        # A longer number matches no pack, and Python refuses to parse thousands of digits.
        number = int(name_or_units) if name_or_units.isdecimal() and len(name_or_units) <= 20 else 0
        matches = [name for name, pack in self.packs.items() if pack.units == number > 0]
        return matches[0] if len(matches) == 1 else None

    def sells_by_price(self) -> bool:
        return PRICE in self.settings.pack and bool(self.by_price)

    def text_at(self, item: Json, kind: str, place: str) -> str | None:
        """Return the text at a ``place`` of a payment, without the spaces around it; None if there is none."""
        root, _, rest = place.partition(".metadata.")
        if place.startswith("metadata."):
            return _text(_metadata(item), place.removeprefix("metadata."))
        if not rest:
            value = item.get(place)
            return _text({place: value.get("id") if isinstance(value, Mapping) else value}, place)
        holder = item if kind == root else self._holder(item, kind, root)
        return None if holder is None else _text(_metadata(holder), rest)

    def _holder(self, item: Json, kind: str, root: str) -> Json | None:
        """Return the object that a payment refers to. Raises `MissingObject` if only its id is known."""
        if kind == "invoice" and root == "subscription":
            details = (item.get("parent") or {}).get("subscription_details") or item.get("subscription_details")
            if isinstance(details, Mapping) and isinstance(details.get("metadata"), Mapping):
                return details
        held = item.get(root)
        if isinstance(held, Mapping):
            return held
        if not isinstance(held, str) or not held:
            return None
        if held not in self.known:
            raise MissingObject(held)
        return self.known[held]


def _metadata(item: Json) -> Json:
    metadata = item.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        raise TypeError("its metadata is not an object")
    return metadata


def _text(held: Json, name: str) -> str | None:
    value = held.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        hint = "pass objects and events complete, as Stripe sent them"
        raise BadInput(f"{name} holds {value!r}, which is not text", hint=hint, code="bad_payload")
    return value.strip() or None
