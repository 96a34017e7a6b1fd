"""What a run's events say about one object, however many objects there are."""

from bench.calls import calls_of
from meterctl.core.model import Instant
from meterctl.core.payments.payments import Giveback
from meterctl.core.payments.webhooks.events import RefundedSum
from meterctl.core.payments.webhooks.feed import Feed

NOON = Instant("2026-11-22T12:00:00.000Z")


def refunded(charges: int) -> Feed:
    """A feed of refunds that explain every charge but the first."""
    feed = Feed()
    for number in range(charges):
        charge, intent = f"ch_{number}", f"pi_{number}"
        feed.refund_sums[charge] = RefundedSum(charge, intent, 5)
        feed.add_giveback(Giveback(f"re_{number}", intent, charge, 5 if number else 4, "usd", "given", NOON))
    return feed


def test_a_charge_is_unexplained_until_its_own_refunds_sum_up() -> None:
    assert refunded(3).unexplained_charges() == [RefundedSum("ch_0", "pi_0", 5)]


def test_refunds_are_found_by_name_and_not_by_a_look_at_all() -> None:
    few, many = (calls_of(refunded(count).unexplained_charges) for count in (100, 400))
    assert many < 5 * few
