"""Draw a chart as lines of text: a curve of dots by plotille, an axis of units and one of time.

Values below zero have their own canvas under the zero line, so that no scale can hide them. Loaded only when a chart is
drawn.
"""

from collections.abc import Iterator
from typing import NamedTuple

from plotille import Canvas

from meterctl.core.domain.instants import from_millis, to_millis
from meterctl.views import words
from meterctl.views.blocks import Chart, Styled, Tone
from meterctl.views.svg import step_size

#: The approximate height of a chart in lines.
_HEIGHT = 12

#: The least and the most characters of the curve, and the characters for each label of time.
_NARROW, _WIDE, _APART = 12, 150, 26

#: Dots in a character, across and down; a character without dots.
_ACROSS, _DOWN, _BLANK = 2, 4, "\u2800"


class _Scale(NamedTuple):
    """Labels at multiples of ``step``, ``rows`` lines apart: ``above`` and ``below`` the zero line."""

    step: int
    above: int
    below: int
    rows: int


def curve_lines(chart: Chart, width: int) -> Iterator[tuple[Styled, ...]]:
    """Yield the lines of ``chart``, ``width`` characters each, or wider if that is too narrow for a curve."""
    scale = _scale(min(0, *(step.low for step in chart.steps)), max(0, *(step.high for step in chart.steps)))
    labels = _labels(scale)
    gutter = max(map(len, labels))
    room = min(_WIDE, max(_NARROW, width - gutter - 2))
    rows: list[tuple[str, Tone]] = [(row, "accent") for row in _rows(_canvas(chart, scale, room, above=True))]
    rows += [("─" * room, "dim")]
    rows += [(row, "bad") for row in _rows(_canvas(chart, scale, room, above=False))]
    for label, (row, tone) in zip(labels, rows, strict=True):
        axis = "┼" if label == "0" else "┤" if label else "│"
        yield Styled(f"{label:>{gutter}} {axis}", "dim"), Styled(row, tone)
    yield (Styled(" " * (gutter + 2) + _times(chart, room), "dim"),)


def _scale(low: int, high: int) -> _Scale:
    """Return the finest scale in round steps from ``low`` <= 0 to ``high`` >= 0."""
    step = step_size(low, high)
    above, below = -(-high // step), -(low // step)
    if above + below == 0:
        above = 1
    return _Scale(step, above, below, _HEIGHT // (above + below))


def _labels(scale: _Scale) -> list[str]:
    """Return the label of each line, from the top; most are empty."""
    between = [""] * (scale.rows - 1)
    above = [line for place in range(scale.above, 0, -1) for line in (words.units(place * scale.step), *between)]
    below = [line for place in range(1, scale.below + 1) for line in (*between, words.units(-place * scale.step))]
    return [*above, "0", *below]


def _rows(canvas: Canvas | None) -> list[str]:
    return [] if canvas is None else canvas.plot(linesep="\n").replace(_BLANK, " ").split("\n")


def _canvas(chart: Chart, scale: _Scale, room: int, *, above: bool) -> Canvas | None:
    """Return a canvas with the part of the curve at or above zero, or below it; None if the scale has no such part.

    Coordinates are dots, so that all scaling is on integers."""
    labels, sign = (scale.above, 1) if above else (scale.below, -1)
    if labels == 0:
        return None
    across, down = room * _ACROSS, labels * scale.rows * _DOWN
    canvas = Canvas(room, labels * scale.rows, 0, 0, across, down)

    def dot(value: int) -> int:
        away = max(0, sign * value) * (down - 1) // (labels * scale.step)
        return away if above else down - 1 - away

    for x, low, until, high in _strokes(chart, across):
        if high >= 0 if above else low < 0:
            canvas.line(x, dot(low), until, dot(high))
    return canvas


def _strokes(chart: Chart, across: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the lines of the curve as ``x, value, x, value``: vertical at each step, level to the next."""
    first = to_millis(chart.since)
    span = max(1, to_millis(chart.until) - first)
    places = [min(across - 1, (to_millis(step.at) - first) * across // span) for step in chart.steps]
    ends = [*places[1:], across - 1]
    before = chart.steps[0]
    for step, x, until in zip(chart.steps, places, ends, strict=True):
        yield x, min(before.last, step.low), x, max(before.last, step.high)
        yield x, step.last, until, step.last
        before = step


def _times(chart: Chart, room: int) -> str:
    """Return the labels of the time axis: at both ends, and between them if there is room."""
    parts = max(1, room // _APART)
    texts = _shorten(_instants(chart, parts), room)
    line = texts[0]
    for part, text in enumerate(texts[1:], 1):
        start = min((room - 1) * part // parts - len(text) // 2, room - len(text))
        if start > len(line) and text != texts[part - 1]:
            line = f"{line:<{start}}{text}"
    return line


def _instants(chart: Chart, parts: int) -> list[str]:
    first, last = to_millis(chart.since), to_millis(chart.until)
    return [words.when(from_millis(first + (last - first) * part // parts)) for part in range(parts + 1)]


def _shorten(texts: list[str], room: int) -> list[str]:
    """Return the instants as they are, or only their days (or minutes) if two do not fit."""
    if 2 * len(texts[0]) < room:
        return texts
    part = slice(0, 10) if texts[0][:10] != texts[-1][:10] else slice(11, None)
    return [text[part] for text in texts]
