"""A chart as lines of text: a curve of dots, drawn by plotille, between an axis of units and one of time.

What is below zero has a canvas of its own under the zero line, so that no scale can make it vanish. Loaded only when a
chart is drawn.
"""

from collections.abc import Iterator
from typing import NamedTuple

from plotille import Canvas

from meterctl.core.domain.instants import from_millis, to_millis
from meterctl.views import words
from meterctl.views.blocks import Chart, Said, Tone

#: About how many lines a chart is high, and the most labels other than zero.
_HEIGHT, _LABELS = 12, 6

#: The least characters the curve itself is wide, the most, and how many there are to a label of time.
_NARROW, _WIDE, _APART = 12, 150, 26

#: Dots in a character, across and down; a character without any.
_ACROSS, _DOWN, _BLANK = 2, 4, "\u2800"


class _Scale(NamedTuple):
    """Labels stand at multiples of ``step``, each ``rows`` lines from the next: ``above`` of them over the zero line,
    ``below`` of them under it."""

    step: int
    above: int
    below: int
    rows: int


def curve_lines(chart: Chart, width: int) -> Iterator[tuple[Said, ...]]:
    """The lines of ``chart``, ``width`` characters each; more where that is too little for anything."""
    scale = _scale(min(0, *(step.low for step in chart.steps)), max(0, *(step.high for step in chart.steps)))
    labels = _labels(scale)
    gutter = max(map(len, labels))
    room = min(_WIDE, max(_NARROW, width - gutter - 2))
    rows: list[tuple[str, Tone]] = [(row, "accent") for row in _rows(_drawn(chart, scale, room, above=True))]
    rows += [("─" * room, "dim")]
    rows += [(row, "bad") for row in _rows(_drawn(chart, scale, room, above=False))]
    for label, (row, tone) in zip(labels, rows, strict=True):
        axis = "┼" if label == "0" else "┤" if label else "│"
        yield Said(f"{label:>{gutter}} {axis}", "dim"), Said(row, tone)
    yield (Said(" " * (gutter + 2) + _times(chart, room), "dim"),)


def _scale(low: int, high: int) -> _Scale:
    """The finest scale in round steps (1, 2 or 5 times a power of ten) that shows ``low`` <= 0 and ``high`` >= 0."""
    steps = (digit * 10**power for power in range(17) for digit in (1, 2, 5))
    step = next(step for step in steps if -(-high // step) - low // step <= _LABELS)
    above, below = -(-high // step), -(low // step)
    if above + below == 0:
        above = 1
    return _Scale(step, above, below, _HEIGHT // (above + below))


def _labels(scale: _Scale) -> list[str]:
    """What stands at each line, from the top; most say nothing."""
    between = [""] * (scale.rows - 1)
    above = [line for place in range(scale.above, 0, -1) for line in (words.units(place * scale.step), *between)]
    below = [line for place in range(1, scale.below + 1) for line in (*between, words.units(-place * scale.step))]
    return [*above, "0", *below]


def _rows(canvas: Canvas | None) -> list[str]:
    return [] if canvas is None else canvas.plot(linesep="\n").replace(_BLANK, " ").split("\n")


def _drawn(chart: Chart, scale: _Scale, room: int, *, above: bool) -> Canvas | None:
    """The part of the curve that lies above zero (or at it), or the part below; None where the scale has no such part.
    Places are counted in dots, so that it is integers that are scaled."""
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
    """The lines that make the curve, each from a place and a value to a place and a value: upright at each step, level
    from there to the next."""
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
    """What time it is along the axis: at both ends, and between them where there is room."""
    parts = max(1, room // _APART)
    texts = _shortened(_instants(chart, parts), room)
    line = texts[0]
    for part, text in enumerate(texts[1:], 1):
        start = min((room - 1) * part // parts - len(text) // 2, room - len(text))
        if start > len(line) and text != texts[part - 1]:
            line = f"{line:<{start}}{text}"
    return line


def _instants(chart: Chart, parts: int) -> list[str]:
    first, last = to_millis(chart.since), to_millis(chart.until)
    return [words.when(from_millis(first + (last - first) * part // parts)) for part in range(parts + 1)]


def _shortened(texts: list[str], room: int) -> list[str]:
    """Days with minutes; where two of those do not fit, one of both."""
    if 2 * len(texts[0]) < room:
        return texts
    kept = slice(0, 10) if texts[0][:10] != texts[-1][:10] else slice(11, None)
    return [text[kept] for text in texts]
