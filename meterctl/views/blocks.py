"""Define the blocks that views are made of: content without its drawing.

Text in them is raw. The code that draws makes it safe (see `meterctl.views.safety`), in one place for all views.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from meterctl.core.model import Instant

#: The meaning of a piece of text; its colour follows from it.
Tone = Literal["", "strong", "good", "warn", "bad", "dim", "accent"]


class Styled(NamedTuple):
    """A piece of text with a tone."""

    text: str
    tone: Tone = ""


class Bar(NamedTuple):
    """A horizontal bar: lengths with their tones, on a scale from 0 to ``whole``, with marks at some values."""

    parts: tuple[tuple[int, Tone], ...]
    whole: int
    marks: tuple[int, ...] = ()


#: The content of one place: text, toned text, a bar, or several texts in a row.
Cell = str | Styled | Bar | tuple["str | Styled", ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """The subject of the answer, and its outcome."""

    text: Cell


@dataclass(frozen=True, slots=True)
class Pairs:
    """Names with their values, one below the other."""

    pairs: Sequence[tuple[str, Cell]]
    title: str = ""


class Column(NamedTuple):
    """A column of a grid.

    If space is short, columns of the highest ``rank`` are dropped first (0 never), and a column with a ``least`` width
    folds down to it. ``usual`` is its width if the rows are not known in advance."""

    name: str
    right: bool = False
    rank: int = 0
    least: int = 0
    usual: int = 10


class Row(NamedTuple):
    cells: Sequence[Cell]
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows under columns. ``rows`` may be a stream; if ``live``, each row is shown as soon as it comes."""

    columns: Sequence[Column]
    rows: Iterable[Row]
    title: str = ""
    empty: str = "none"
    live: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence below the rest: a remark, or the next step."""

    text: Cell
    tone: Tone = "dim"


class CurveStep(NamedTuple):
    """A value from an instant on, and its lowest and highest on the way there."""

    at: Instant
    low: int
    high: int
    last: int


@dataclass(frozen=True, slots=True)
class Chart:
    """A value over time, from ``since`` to ``until``, constant between its steps (at least one).

    ``page_only``: only a page shows it, because it would fill half a terminal."""

    since: Instant
    steps: Sequence[CurveStep]
    until: Instant
    page_only: bool = False


Block = Heading | Pairs | Grid | Note | Chart


def inline(*cells: str | Styled | None, between: str = " · ") -> tuple[str | Styled, ...]:
    """Return the ``cells`` that are not empty as one cell."""
    row: list[str | Styled] = []
    for cell in cells:
        if cell is not None and (cell if isinstance(cell, str) else cell.text):
            row += [between, cell] if row else [cell]
    return tuple(row)


def pieces(cell: Cell) -> tuple[Styled | Bar, ...]:
    """Return the pieces of ``cell``."""
    if isinstance(cell, Bar | Styled):
        return (cell,)
    if isinstance(cell, str):
        return (Styled(cell),)
    return tuple(Styled(piece) if isinstance(piece, str) else piece for piece in cell)


def bar_pieces(bar: Bar, width: int) -> tuple[Styled, ...]:
    """Return ``bar`` as ``width`` characters: any value above 0 shows, and only a whole one fills the bar."""
    cells: list[tuple[str, Tone]] = []
    total = 0
    for length, tone in bar.parts:
        total += length
        cells += [("█", tone)] * (_reach(total, bar.whole, width) - len(cells))
    cells += [("░", "dim")] * (width - len(cells))
    for mark in bar.marks:
        place = min(width, max(1, _scale(mark, bar.whole, width))) - 1
        cells[place] = ("│", "strong")
    return tuple(Styled(sign, tone) for sign, tone in cells)


def _scale(value: int, whole: int, width: int) -> int:
    return (2 * value * width + whole) // (2 * whole) if whole > 0 else 0


def _reach(value: int, whole: int, width: int) -> int:
    if value <= 0 or whole <= 0:
        return 0
    return width if value >= whole else max(1, min(width - 1, _scale(value, whole, width)))
