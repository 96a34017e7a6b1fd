"""The balance over time, in a bounded number of slices: pure, and flat in memory however long the journal is."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from meterctl.core.domain.instants import to_millis
from meterctl.core.model import Entry, Instant

#: Into how many slices a span of time is cut: more than a wide terminal has places for.
SLICES = 240


class SeriesPoint(NamedTuple):
    """A balance as it stood from an instant on, and the entry that made it; ``pending``: one not booked yet."""

    at: Instant
    seq: int
    balance: int
    pending: bool


class Slice(NamedTuple):
    """What happened within a slice of time: where the balance ended, and how low and how high it was on the way."""

    last: SeriesPoint
    low: SeriesPoint
    high: SeriesPoint


def mark_of(entry: Entry) -> SeriesPoint:
    return SeriesPoint(entry["at"], entry["seq"], entry["balance"], bool(entry.get("pending")))


def opened_at(start: Instant, marks: Iterable[SeriesPoint]) -> Iterator[SeriesPoint]:
    """``marks`` from ``start`` on, behind one that says what the balance was at ``start`` if an earlier one tells."""
    opening: SeriesPoint | None = None
    for mark in marks:
        if mark.at < start:
            opening = mark._replace(at=start)
            continue
        if opening is not None:
            yield opening
            opening = None
        yield mark
    if opening is not None:
        yield opening


def slices_of(marks: Iterable[SeriesPoint], start: Instant, end: Instant, slices: int = SLICES) -> Iterator[Slice]:
    """``marks``, in order of time, by equal slices of the time from ``start`` to ``end``; none where nothing happened.
    So there are at most ``slices`` of them, and none hides how low the balance went."""
    first = to_millis(start)
    span = max(1, to_millis(end) - first)

    def place(mark: SeriesPoint) -> int:
        return min(slices - 1, (to_millis(mark.at) - first) * slices // span)

    return (_slice(together) for _, together in groupby(marks, place))


def _slice(marks: Iterator[SeriesPoint]) -> Slice:
    last = low = high = next(marks)
    for last in marks:
        low = last if last.balance < low.balance else low
        high = last if last.balance > high.balance else high
    return Slice(last, low, high)


def lowest(slices: Iterable[Slice]) -> SeriesPoint | None:
    """Where the balance was lowest, the first time; None where there was none."""
    return min((each.low for each in slices), key=lambda mark: mark.balance, default=None)


def highest(slices: Iterable[Slice]) -> SeriesPoint | None:
    """Where the balance was highest, the first time; None where there was none."""
    return max((each.high for each in slices), key=lambda mark: mark.balance, default=None)
