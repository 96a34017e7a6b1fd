"""Reduce a balance over time to a bounded number of slices. Pure, and flat in memory however long the journal."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from meterctl.core.domain.instants import to_millis
from meterctl.core.model import Entry, Instant

#: Slices of a span of time: more than a wide terminal has columns.
SLICES = 240


class SeriesMark(NamedTuple):
    """A balance from an instant on, and the entry that made it; ``pending``: the entry is due, not booked."""

    at: Instant
    seq: int
    balance: int
    pending: bool


class Slice(NamedTuple):
    """The last, lowest and highest balance of a slice of time."""

    last: SeriesMark
    low: SeriesMark
    high: SeriesMark


def mark_of(entry: Entry) -> SeriesMark:
    """Return the balance after an entry, booked or due."""
    return SeriesMark(entry["at"], entry["seq"], entry["balance"], bool(entry.get("pending")))


def opened_at(start: Instant, marks: Iterable[SeriesMark]) -> Iterator[SeriesMark]:
    """Yield ``marks`` from ``start`` on, preceded by one for the balance at ``start`` if it is known."""
    opening: SeriesMark | None = None
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


def slices_between(marks: Iterable[SeriesMark], start: Instant, end: Instant) -> Iterator[Slice]:
    """Yield the slices of a time that may begin between two of the ``marks``."""
    return slices_of(opened_at(start, marks), start, end)


def slices_of(marks: Iterable[SeriesMark], start: Instant, end: Instant, slices: int = SLICES) -> Iterator[Slice]:
    """Yield ``marks`` grouped into at most ``slices`` equal slices of the time from ``start`` to ``end``.

    Empty slices are left out. Each keeps its lowest balance, so that no short dip is lost."""
    first = to_millis(start)
    span = max(1, to_millis(end) - first)

    def place(mark: SeriesMark) -> int:
        return min(slices - 1, (to_millis(mark.at) - first) * slices // span)

    return (_slice(together) for _, together in groupby(marks, place))


def _slice(marks: Iterator[SeriesMark]) -> Slice:
    last = low = high = next(marks)
    for last in marks:
        low = last if last.balance < low.balance else low
        high = last if last.balance > high.balance else high
    return Slice(last, low, high)


def lowest(slices: Iterable[Slice]) -> SeriesMark | None:
    """Return the first mark with the lowest balance; None without slices."""
    return min((each.low for each in slices), key=lambda mark: mark.balance, default=None)


def highest(slices: Iterable[Slice]) -> SeriesMark | None:
    """Return the first mark with the highest balance; None without slices."""
    return max((each.high for each in slices), key=lambda mark: mark.balance, default=None)
