"""Find the mode of a store, test or live: the mode of its topups that are not undone."""

from typing import Protocol

from meterctl.core.errors import PaymentRefused, sound
from meterctl.core.payments.booked import credits_of
from meterctl.core.ports import EntryFilter, Store

_MARKS = (("cs_live_", True), ("cs_test_", False))

_WORDS = {True: "live", False: "test"}


class HasMode(Protocol):
    @property
    def live(self) -> bool: ...


def mode_of(name: str) -> bool | None:
    """Return True for the name of a live payment, False for a test one, None if the name does not tell."""
    return next((live for mark, live in _MARKS if name.startswith(mark)), None)


def store_mode(store: Store) -> bool | None:
    """Return True for a store with live payments, False for one with test payments, None without either."""
    return next((live for mark, live in _MARKS if _has_topup(store, mark)), None)


def _has_topup(store: Store, mark: str) -> bool:
    """Return True if a topup whose name begins with ``mark`` is not undone."""
    for claim in sound(store.claims.read(after=mark)):
        if not claim.name.startswith(mark):
            return False
        credits = credits_of(store.journal.read(claim.org, EntryFilter(session=claim.session)))
        if any(not credit.undone and credit.name == claim.session for credit in credits):
            return True
    return False


def check_mode(gateway: HasMode, store: Store) -> None:
    """Refuse a test key on a store with live payments, and a live key on one with test payments."""
    _check(store, gateway.live, f"the key is a {_WORDS[gateway.live]} key", "set STRIPE_API_KEY to a {} key")


def check_name(name: str, store: Store) -> None:
    """Refuse a payment of the other mode than the store's, by its name."""
    live = mode_of(name)
    if live is not None:
        _check(store, live, f"{name} is a {_WORDS[live]} payment", "check the id")


def _check(store: Store, live: bool, cause: str, hint: str) -> None:
    held = store_mode(store)
    if held is not None and held != live:
        raise PaymentRefused(
            f"{cause}, but the store holds {_WORDS[held]} payments",
            hint=f"{hint.format(_WORDS[held])}, name another store (--store), or undo those payments first",
            code="mode_mismatch",
        )
