"""Warn about a payment that differs from the price of its pack."""

from collections.abc import Iterator, Mapping
from typing import Any

from meterctl.core.domain.policy import Terms
from meterctl.core.results import Warning


def price_warnings(topup: Mapping[str, Any], terms: Terms) -> Iterator[Warning]:
    """Warn if the net amount of a topup is not price times quantity. A pack of any amount has no price."""
    pack = terms.packs.get(topup["pack"])
    if pack is None or pack.unit_price_cents is not None:
        return
    currency, quantity = topup["currency"], topup["quantity"]
    each = pack.price_in(currency)
    paid = topup["paid_cents"] - topup["tax_cents"]
    if each is not None and paid != each * quantity:
        message = f"{paid:,} cents ({currency}) were paid; {quantity} x {topup['pack']} costs {each * quantity:,}"
        yield Warning("price_differs", message)
