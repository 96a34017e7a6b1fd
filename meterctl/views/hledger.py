"""Write an org's window as a double-entry journal that hledger reads and checks.

Each entry that moves units is a transaction between ``units:ORG`` and an account named after the movement. It asserts
the balance after it, so ``hledger check`` proves every running balance. Payments and refunds are a second pair of
postings, in money. Accounts and commodities are declared, as ``hledger check --strict`` asks for.
"""

from collections.abc import Callable, Iterable, Iterator

from meterctl.core.model import Entry, Instant
from meterctl.core.reads.movements import Movements, count_money, parts_of
from meterctl.views import words
from meterctl.views.safety import visible_line

#: Finds the purchase that an undo reversed.
TopupOf = Callable[[Entry], Entry | None]


class DoubleEntry:
    """Writes the journal of ``org`` from ``since`` on, line by line."""

    def __init__(self, org: str, since: Instant, opening: int, topup_of: TopupOf) -> None:
        self._org = _account(org)
        self._since = since
        self._opening = opening
        self._topup_of = topup_of
        self._accounts: dict[str, None] = {}
        self._currencies: dict[str, None] = {}

    def lines(self, entries: Iterable[Entry]) -> Iterator[str]:
        """Yield the journal; ``entries`` are in order; those before the window are skipped."""
        yield "decimal-mark ."
        yield "commodity 1000. units"
        yield ""
        yield f"{self._since[:10]} opening balance"
        yield self._posting(f"units:{self._org}", f"{self._opening} units = {self._opening} units")
        yield self._posting("opening", f"{-self._opening} units")
        for entry in entries:
            if entry["at"] >= self._since:
                yield from self._transaction(entry)
        yield ""
        yield from (f"account {account}" for account in self._accounts)
        yield from (f"commodity {_amount(100_000, currency)}" for currency in self._currencies)

    def _transaction(self, entry: Entry) -> Iterator[str]:
        parts = parts_of(entry)
        sums = Movements()
        count_money(sums, entry, self._topup_of)
        paid = [(currency, name, cents) for currency, of in sums.money.items() for name, cents in of.items() if cents]
        if not parts and not paid:
            return
        mark = "!" if entry.get("pending") else "*"
        yield ""
        yield f"{entry['at'][:10]} {mark} ({entry['seq']}) {entry['kind']}  ; {_comment(entry)}"
        if parts:
            balance = f"{entry['amount']} units = {entry['balance']} units"
            yield self._posting(f"units:{self._org}", balance)
        for part in parts:
            pack = f":{_account(part.label)}" if part.movement == "bought" and part.label else ""
            yield self._posting(part.movement + pack, f"{-part.units} units")
        for currency, name, cents in paid:
            if name != "tax":  # it is a part of the price that was paid
                yield from self._payment(currency, name, cents)

    def _payment(self, currency: str, name: str, cents: int) -> Iterator[str]:
        self._currencies[currency] = None
        sign = -1 if name in ("refunded", "undone") else 1
        yield self._posting(f"money:{self._org}", _amount(sign * cents, currency))
        yield self._posting(f"payments:{name}", _amount(-sign * cents, currency))

    def _posting(self, account: str, amount: str) -> str:
        self._accounts[account] = None
        return f"    {account}  {amount}"


def _comment(entry: Entry) -> str:
    reason = f", {entry['reason']}" if entry["reason"] else ""
    return visible_line(f"{entry['at']}, {entry['key']}, by {entry['actor']}{reason}")


def _account(name: str) -> str:
    """Return ``name`` as one part of an account's name: a colon would begin a part of its own."""
    return visible_line(name).replace("%", "%25").replace(":", "%3A").replace(";", "%3B").replace(" ", "%20")


def _amount(cents: int, currency: str) -> str:
    amount, code = words.money(cents, currency).replace(",", "").rsplit(" ", 1)
    return f"{amount if '.' in amount else f'{amount}.'} {code}"
