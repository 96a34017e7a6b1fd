"""Keep payments by all their names: a session, its payment intent and its invoice are one payment."""

from collections.abc import Iterable

from meterctl.core.payments.payments import INTENT_PREFIX, INVOICE_PREFIX, SESSION_PREFIX, Payment

Sale = tuple[Payment, ...]


class SaleBook:
    """Payments in their parts, by the first part's session."""

    def __init__(self) -> None:
        self.sales: dict[str, Sale] = {}
        self._by_name: dict[str, str] = {}

    def add(self, payments: Iterable[Payment]) -> str:
        """Take in a payment, in its parts. A session, its payment intent and its invoice are one payment: the one that
        tells most stands for it, under all their names."""
        sale = tuple(payments)
        names = dict.fromkeys(name for part in sale for name in part.all_names)
        known = dict.fromkeys(self._by_name[name] for name in names if name in self._by_name)
        sales = [sale, *(self.sales.pop(one) for one in known if one in self.sales)]
        best = max(sales, key=_tells)
        if all(len(one) == 1 for one in sales):
            others = dict.fromkeys(name for one in sales for name in one[0].all_names if name != best[0].session)
            best = (best[0]._replace(names=tuple(others)),)
        self.sales[best[0].session] = best
        for one in sales:
            for name in (name for part in one for name in part.all_names):
                self._by_name[name] = best[0].session
        return best[0].session

    def named(self, names: Iterable[str]) -> Sale | None:
        """The payment with one of these names, in its parts."""
        found = (self.sales.get(self._by_name.get(name, "")) for name in names)
        return next((sale for sale in found if sale is not None), None)


#: Of several objects for one payment the first in this row knows most of what was sold.
_KINDS = (SESSION_PREFIX, INVOICE_PREFIX, INTENT_PREFIX)


def _tells(sale: Sale) -> tuple[bool, bool, bool, int, str]:
    first = sale[0]
    kind = next((number for number, prefix in enumerate(_KINDS) if first.session.startswith(prefix)), len(_KINDS))
    return first.paid, not first.foreign, first.unread is None, -kind, first.at
