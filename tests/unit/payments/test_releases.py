"""A payment that was captured in part, and the refund that Stripe made of the rest until 2025."""

import pytest

from meterctl.core.model import Instant
from meterctl.core.payments.payments import Giveback, Payment
from meterctl.core.payments.releases import without_release

T0, LATER = Instant("2026-11-10T10:00:00.000Z"), Instant("2026-11-11T10:00:00.000Z")


def payment(cents: int, released: int) -> Payment:
    return Payment("pi_1", ("ch_1",), "acme", "small", cents, "usd", T0, True, "succeeded", False, released=released)


def refund(name: str, cents: int, at: Instant = T0) -> Giveback:
    return Giveback(name, "pi_1", "ch_1", cents, "usd", "given", at)


@pytest.mark.parametrize(
    ("cents", "released", "refunds", "answer", "standings"),
    [
        # Captured whole: every refund is one.
        (500, 0, [refund("re_1", 500)], None, ["given"]),
        # More went back than came in: one must be the rest, the first of its amount.
        (300, 700, [refund("re_1", 700)], None, ["void"]),
        (500, 500, [refund("re_2", 500, LATER), refund("re_1", 500)], None, ["given", "void"]),
        (500, 200, [refund("re_1", 200), refund("re_2", 500, LATER)], None, ["void", "given"]),
        # It may be either: Stripe tells, or it waits.
        (500, 500, [refund("re_1", 500)], True, ["void"]),
        (500, 500, [refund("re_1", 500)], False, ["given"]),
        (500, 500, [refund("re_1", 500)], None, ["waiting"]),
        # Another amount is a refund.
        (500, 500, [refund("re_1", 100)], None, ["given"]),
        (500, 500, [], None, []),
        (500, 500, [refund("re_1", 500)._replace(standing="returned")], None, ["returned"]),
        (500, 500, [refund("dp_1", 500)._replace(is_dispute=True)], None, ["given"]),
    ],
)
def test_the_rest_that_was_never_captured_is_no_refund(
    cents: int, released: int, refunds: list[Giveback], answer: bool | None, standings: list[str]
) -> None:
    settled = without_release(refunds, payment(cents, released), lambda _: answer)
    assert [item.standing for item in settled] == standings
    assert [item.id for item in settled] == [item.id for item in refunds]
