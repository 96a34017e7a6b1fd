"""Test and live: the mode of a store is that of its topups that stand, under whatever names."""

from typing import Protocol

from meterctl.core.errors import PaymentRefused
from meterctl.core.payments.booked import credits_of
from meterctl.core.ports import EntryFilter, Store, sound

_MARKS = (("cs_live_", True), ("cs_test_", False))

_WORDS = {True: "live", False: "test"}


class HasMode(Protocol):
    @property
    def live(self) -> bool: ...


def mode_of(name: str) -> bool | None:
    """Return True for a name of a live payment, False for a test one, None where the name does not say."""
    return next((live for mark, live in _MARKS if name.startswith(mark)), None)


def store_mode(store: Store) -> bool | None:
    """Return whether the store holds live payments or test ones; None if it holds neither."""
    return next((live for mark, live in _MARKS if _stands(store, mark)), None)


def _stands(store: Store, mark: str) -> bool:
    """Return True if a topup under a name that begins with ``mark`` stands."""
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


def _check(store: Store, live: bool, told: str, hint: str) -> None:
    held = store_mode(store)
    if held is not None and held != live:
        raise PaymentRefused(
            f"{told}, but the store holds {_WORDS[held]} payments",
            hint=f"{hint.format(_WORDS[held])}, name another store (--store), or undo those payments first",
            code="mode_mismatch",
        )
