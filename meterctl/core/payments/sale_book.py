"""Keep payments under all their names: a session, its payment intent and its invoice are one payment."""

from collections.abc import Iterable

from meterctl.core.payments.payments import (
    INTENT_PREFIX,
    INVOICE_PREFIX,
    SESSION_PREFIX,
    Payment,
    numbered_names,
    whole_of,
)

Sale = tuple[Payment, ...]


class SaleBook:
    """Payments in their parts, by the first part's session."""

    def __init__(self) -> None:
        self.sales: dict[str, Sale] = {}
        self._by_name: dict[str, str] = {}

    def add(self, payments: Iterable[Payment], names: Iterable[str] = ()) -> str:
        """Add a payment, in its parts; return its name, or an empty one if only ``names`` without a payment came.

        A session, its payment intent and its invoice are one payment. The object with the most detail is kept, under
        the ``names`` of all.
        """
        parts = tuple(payments)
        all_names = dict.fromkeys([*names, *(name for part in parts for name in part.all_names)])
        keys = dict.fromkeys(self._by_name[name] for name in all_names if name in self._by_name)
        sales = [sale for sale in (parts, *(self.sales.pop(key, ()) for key in keys)) if sale]
        if not sales:
            return ""
        best = max(sales, key=_detail_rank)
        others = [name for sale in sales if len(sale) == 1 for name in sale[0].all_names]
        best = with_names(best, dict.fromkeys([*names, *others]))
        self.sales[best[0].session] = best
        known_names = [*all_names, *(name for sale in sales for part in sale for name in part.all_names)]
        self._by_name |= dict.fromkeys([*known_names, *map(whole_of, known_names)], best[0].session)
        return best[0].session

    def link(self, names: Iterable[str]) -> None:
        """Add further names to a payment that is already in the book."""
        self.add((), names)

    def find(self, names: Iterable[str]) -> Sale | None:
        """Return the payment with one of these names, in its parts, or None."""
        sales = (self.sales.get(self._by_name.get(name, "")) for name in names)
        return next((sale for sale in sales if sale is not None), None)


#: Kinds of objects for one payment, the one with the most detail first.
_KINDS = (SESSION_PREFIX, INVOICE_PREFIX, INTENT_PREFIX)


def _detail_rank(sale: Sale) -> tuple[bool, bool, bool, int, str]:
    """Return the rank of an object among those of one payment: the highest has the most detail."""
    first = sale[0]
    kind = next((number for number, prefix in enumerate(_KINDS) if first.session.startswith(prefix)), len(_KINDS))
    return first.paid, not first.foreign, first.missing_object is None, -kind, first.at


def with_names(sale: Sale, names: Iterable[str]) -> Sale:
    """Return the payment with further names; a part's names carry its number unless it is the only part."""
    has_others = sale[0].whole not in (0, sum(part.cents for part in sale))
    result = []
    for number, part in enumerate(sale, 1):
        own = list(part.names)
        for name in names:
            if ":" not in name:
                own += numbered_names([name], number, has_others=has_others)
            elif number == 1 or name.endswith(f":{number}"):
                own.append(name)
        result.append(part._replace(names=tuple(name for name in dict.fromkeys(own) if name != part.session)))
    return tuple(result)


def is_identified(sale: Sale | None) -> bool:
    """Return True if the events identify the payment.

    A foreign payment intent may still belong to one of our sessions or invoices.
    """
    return sale is not None and not (sale[0].foreign and sale[0].session.startswith(INTENT_PREFIX))
