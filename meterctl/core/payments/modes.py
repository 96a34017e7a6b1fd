"""Compare the mode of a store, test or live, with that of a key."""

from meterctl.core.booking.payment_modes import MODES, differing, store_mode
from meterctl.core.errors import PaymentRefused
from meterctl.core.ports import Store


def check_mode(store: Store, *, live: bool) -> None:
    """Refuse a test key on a store with live payments, and a ``live`` key on one with test payments."""
    held = store_mode(store)
    if held is not None and held != live:
        mode = MODES[held]
        raise PaymentRefused(
            differing(f"the key is a {MODES[live]} key", held),
            hint=f"set STRIPE_API_KEY to a {mode} key, name another store (--store), or undo those payments first",
            code="mode_mismatch",
        )
