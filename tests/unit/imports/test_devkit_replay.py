"""Which credit a removal came from: the known cases, and what always holds."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from meterctl.core.domain.instants import add_days
from meterctl.core.imports.devkit.records import OldEntry
from meterctl.core.imports.devkit.replay import Effect, Replay
from meterctl.core.model import Instant

DAY = Instant("2026-05-01T00:00:00.000Z")


def day(number: int) -> Instant:
    return add_days(DAY, number)


def pack(name: str, units: int, at: int, expires: int | None = None) -> OldEntry:
    return OldEntry(name, "topup", units, f"cs_{name}", None, None, day(at), None if expires is None else day(expires))


def debit(units: int, at: int) -> OldEntry:
    return OldEntry(f"d{at}", "debit", -units, None, f"r{at}", None, day(at), None)


def refund(name: str, units: int, at: int) -> OldEntry:
    return OldEntry(f"f{at}", "refund", -units, f"cs_{name}", f"refund-re_{at}-x", None, day(at), None)


def expire(name: str, units: int, at: int) -> OldEntry:
    return OldEntry(f"e{at}", "expiration", -units, None, f"expire-{name}", None, day(at), None)


def replay(entries: Iterable[OldEntry]) -> tuple[Replay, list[Effect]]:
    """Replay a whole ledger: where it ends, and the effect of each entry."""
    walk = Replay()
    return walk, [walk.feed(place, entry) for place, entry in enumerate(entries)]


def left(walk: Replay) -> dict[str, int]:
    return {credit.entry.id: credit.remaining for credit in walk.credits.values()}


def test_what_was_used_does_not_expire() -> None:
    walk, _ = replay([pack("a", 100, 1, 10), debit(80, 2)])
    assert (left(walk), walk.uncovered) == ({"a": 20}, 0)


def test_a_debit_after_the_expiry_takes_nothing_from_the_pack() -> None:
    walk, effects = replay([pack("a", 100, 1, 10), debit(30, 12)])
    assert (left(walk), walk.uncovered) == ({"a": 100}, 30)
    assert effects[1].draws == ()


def test_debt_is_repaid_first() -> None:
    walk, effects = replay([debit(80, 1), pack("a", 100, 2, 10)])
    assert (left(walk), walk.uncovered, effects[1].repaid) == ({"a": 20}, 0, 80)


def test_a_refund_takes_from_its_own_pack_first() -> None:
    walk, _ = replay([pack("a", 100, 1, 10), pack("b", 50, 1, 20), debit(80, 2), refund("a", 100, 3)])
    assert (left(walk), walk.uncovered) == ({"a": 0, "b": 0}, 30)


def test_a_whole_pack_that_expired_after_use_is_debt_for_the_next() -> None:
    walk, _ = replay([pack("a", 100, 1, 10), debit(80, 2), expire("a", 100, 10), pack("b", 100, 11, 30)])
    assert (left(walk), walk.uncovered) == ({"a": 0, "b": 20}, 0)


def test_a_marker_closes_a_spent_pack() -> None:
    walk, _ = replay([pack("a", 100, 1, 10), debit(100, 2), expire("a", 0, 10)])
    assert walk.credits[0].closed


def test_an_entry_without_a_time_happened_when_the_last_one_did() -> None:
    timeless = debit(5, 3)._replace(at=None)
    _, effects = replay([pack("a", 10, 2), timeless, debit(1, 1)])
    assert [effect.at for effect in effects] == [day(2), day(2), day(2)]


ENTRIES = st.lists(
    st.one_of(
        st.builds(
            pack, st.sampled_from("abcd"), st.integers(1, 100), st.integers(0, 30), st.none() | st.integers(1, 40)
        ),
        st.builds(debit, st.integers(1, 150), st.integers(0, 30)),
        st.builds(refund, st.sampled_from("abcde"), st.integers(1, 150), st.integers(0, 30)),
        st.builds(expire, st.sampled_from("abcde"), st.integers(0, 150), st.integers(0, 30)),
    ),
    max_size=20,
)


@given(ENTRIES)
def test_remainders_less_uncovered_debt_are_the_sum_of_all_amounts(entries: list[OldEntry]) -> None:
    walk = Replay()
    total = 0
    for place, entry in enumerate(entries):
        effect = walk.feed(place, entry)
        total += entry.amount
        assert sum(left.remaining for left in walk.credits.values()) - walk.uncovered == total
        assert sum(units for _, units in effect.draws) + effect.uncovered == max(0, -entry.amount)
        assert all(credit.remaining >= 0 for credit in walk.credits.values())
