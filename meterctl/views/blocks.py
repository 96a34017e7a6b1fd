"""What a view is made of: blocks that say what is shown, and leave to the drawing how.

Text in them is raw: whoever draws makes it safe (see `meterctl.views.safety`), in one place for all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from meterctl.core.model import Instant

#: What a piece of text means; colours follow from it.
Tone = Literal["", "strong", "good", "warn", "bad", "dim", "accent"]


class Said(NamedTuple):
    """A piece of text with a tone."""

    text: str
    tone: Tone = ""


class Bar(NamedTuple):
    """A horizontal bar: lengths with their tones, on a scale from 0 to ``whole``, with marks at some values."""

    parts: tuple[tuple[int, Tone], ...]
    whole: int
    marks: tuple[int, ...] = ()


#: What stands in one place: text, toned text, a bar, or several of them in a row.
Cell = str | Said | Bar | tuple["str | Said", ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """What the answer is about, and how it went."""

    text: Cell


@dataclass(frozen=True, slots=True)
class Pairs:
    """Names with what they are, one below the other."""

    pairs: Sequence[tuple[str, Cell]]
    title: str = ""


class Column(NamedTuple):
    """A column of a grid. Where space is short, columns of the highest ``rank`` are left out first (0 never), and a
    column with a ``least`` width folds down to that. ``usual``: its width where rows are not known in advance."""

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
    """Rows under columns. ``rows`` may be a stream; if ``live``, one that pauses, and each row is shown as it comes."""

    columns: Sequence[Column]
    rows: Iterable[Row]
    title: str = ""
    empty: str = "none"
    live: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence below the rest: what to know, or what to do next."""

    text: Cell
    tone: Tone = "dim"


class CurveStep(NamedTuple):
    """A value from an instant on, and how low and how high it was on the way there."""

    at: Instant
    low: int
    high: int
    last: int


@dataclass(frozen=True, slots=True)
class Chart:
    """A value over time, from ``since`` to ``until``: it holds from each step (there is one at least) to the next, and
    from the last to the end. ``page_only``: only a page shows it, for it would fill half a terminal."""

    since: Instant
    steps: Sequence[CurveStep]
    until: Instant
    page_only: bool = False


Block = Heading | Pairs | Grid | Note | Chart


def in_row(*cells: str | Said | None, between: str = " · ") -> tuple[str | Said, ...]:
    """Those of ``cells`` that say something, in one place."""
    row: list[str | Said] = []
    for cell in cells:
        if cell is not None and (cell if isinstance(cell, str) else cell.text):
            row += [between, cell] if row else [cell]
    return tuple(row)


def pieces(cell: Cell) -> tuple[Said | Bar, ...]:
    """``cell`` as the sequence it stands for."""
    if isinstance(cell, Bar | Said):
        return (cell,)
    if isinstance(cell, str):
        return (Said(cell),)
    return tuple(Said(piece) if isinstance(piece, str) else piece for piece in cell)


def bar_pieces(bar: Bar, width: int) -> tuple[Said, ...]:
    """``bar`` drawn in ``width`` characters. What is there at all shows, and what is not whole never looks so."""
    cells: list[tuple[str, Tone]] = []
    total = 0
    for length, tone in bar.parts:
        total += length
        cells += [("█", tone)] * (_reach(total, bar.whole, width) - len(cells))
    cells += [("░", "dim")] * (width - len(cells))
    for mark in bar.marks:
        place = min(width, max(1, _scaled(mark, bar.whole, width))) - 1
        cells[place] = ("│", "strong")
    return tuple(Said(sign, tone) for sign, tone in cells)


def _scaled(value: int, whole: int, width: int) -> int:
    return (2 * value * width + whole) // (2 * whole) if whole > 0 else 0


def _reach(value: int, whole: int, width: int) -> int:
    if value <= 0 or whole <= 0:
        return 0
    return width if value >= whole else max(1, min(width - 1, _scaled(value, whole, width)))
