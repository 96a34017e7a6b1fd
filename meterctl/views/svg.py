"""Compute the drawings of a page: a curve of the balance, and bars. Pure; the template writes the SVG."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from meterctl.core.domain.instants import DAY, from_millis, to_millis
from meterctl.views import words
from meterctl.views.blocks import Bar, Chart, Tone

#: The curve's drawing, and the margins that its labels take.
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 240, 90, 28, 12

#: The width of a bar in a table's cell.
BAR = 200

#: The most labels along an axis.
_LABELS = 6


class Label(NamedTuple):
    """A text beside an axis, at a place along it."""

    place: float
    text: str


class Curve(NamedTuple):
    """A balance over time, ready to be drawn: ``line`` is the curve, ``area`` it with the ground below."""

    line: str
    area: str
    zero: float
    rows: tuple[Label, ...]
    columns: tuple[Label, ...]
    title: str
    description: str


class BarPart(NamedTuple):
    x: float
    width: float
    tone: Tone


class BarDrawing(NamedTuple):
    parts: tuple[BarPart, ...]
    marks: tuple[float, ...]
    title: str


def curve_of(chart: Chart) -> Curve:
    """Return the drawing of ``chart``."""
    low = min(0, *(step.low for step in chart.steps))
    high = max(0, *(step.high for step in chart.steps))
    step = step_size(low, high)
    bottom, top = low // step * step, -(-high // step) * step or step

    def y(value: int) -> float:
        return round(TOP + (top - value) * (HEIGHT - TOP - BOTTOM) / (top - bottom), 1)

    points = list(_points(chart, y))
    line = "M" + "L".join(f"{x:g},{height:g}" for x, height in points)
    area = f"{line}L{points[-1][0]:g},{y(0):g}L{points[0][0]:g},{y(0):g}Z"
    rows = tuple(Label(y(value), words.units(value)) for value in range(bottom, top + 1, step))
    last = chart.steps[-1].last
    description = (
        f"From {words.when_utc(chart.since)} to {words.when_utc(chart.until)}: lowest "
        f"{words.units(min(step.low for step in chart.steps))}, highest "
        f"{words.units(max(step.high for step in chart.steps))}, last {words.units(last)} units."
    )
    return Curve(
        line=line,
        area=area,
        zero=y(0),
        rows=rows,
        columns=tuple(_times(chart)),
        title="Balance over time",
        description=description,
    )


def step_size(low: int, high: int) -> int:
    """Return the finest round step (1, 2 or 5 times a power of ten) with at most `_LABELS` steps from low to high."""
    steps = (digit * int(10**power) for power in range(17) for digit in (1, 2, 5))
    return next(step for step in steps if -(-high // step) - low // step <= _LABELS)


def _points(chart: Chart, y: Callable[[int], float]) -> Iterator[tuple[float, float]]:
    """Yield the corners of the curve: level from each step to the next, upright between."""
    first = to_millis(chart.since)
    span = max(1, to_millis(chart.until) - first)
    room = WIDTH - LEFT
    before = chart.steps[0].last
    for step in chart.steps:
        x = round(LEFT + (to_millis(step.at) - first) * room / span, 1)
        yield x, y(before)
        if step.low < min(before, step.last):
            yield x, y(step.low)
        if step.high > max(before, step.last):
            yield x, y(step.high)
        yield x, y(step.last)
        before = step.last
    yield float(WIDTH), y(before)


def _times(chart: Chart) -> Iterator[Label]:
    first, last = to_millis(chart.since), to_millis(chart.until)
    for part in range(4):
        text = words.when(from_millis(first + (last - first) * part // 3))
        long = last - first > 3 * DAY
        yield Label(round(LEFT + (WIDTH - LEFT) * part / 3, 1), text[:10] if long else text[5:])


def bar_of(bar: Bar) -> BarDrawing:
    """Return the drawing of ``bar``."""
    parts, x = [], 0.0
    for length, tone in bar.parts:
        width = round(length * BAR / bar.whole, 1) if bar.whole > 0 else 0.0
        if width > 0:
            parts.append(BarPart(round(x, 1), width, tone))
            x += width
    total = sum(length for length, _ in bar.parts)
    marks = tuple(round(mark * BAR / bar.whole, 1) for mark in bar.marks) if bar.whole > 0 else ()
    return BarDrawing(tuple(parts), marks, f"{words.units(total)} of {words.units(bar.whole)}")
