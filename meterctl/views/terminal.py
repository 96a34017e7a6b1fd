"""Draw blocks on a terminal by rich: aligned, folded to its width, and coloured unless switched off.

Data reaches rich as `Text` only, never as markup, and only after it was made safe. Loaded only for people.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal, NoReturn, TextIO, cast

from rich.box import SIMPLE_HEAD, Box
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from meterctl.process.colours import force_colour, use_colour
from meterctl.views.blocks import (
    Bar,
    Block,
    Cell,
    Chart,
    Column,
    Grid,
    Heading,
    Note,
    Pairs,
    Row,
    Tone,
    bar_pieces,
    pieces,
)
from meterctl.views.safety import in_encoding, speaks_unicode, visible_line

#: The width of output that does not go to a terminal.
PIPE_WIDTH = 120

#: Rows of a grid that are laid out together: a longer grid is drawn in parts, so that it may be endless.
PAGE = 200

#: The width of a bar if there is room, and the least width of a column on a very narrow terminal.
BAR, NARROWEST = 20, 4

#: Colours that can be read on light and on dark backgrounds; the plain green, yellow and cyan of many terminals are too
#: pale on light ones. Rich maps them on a terminal with 16 colours.
_STYLES: dict[Tone, str] = {
    "": "",
    "strong": "bold",
    "good": "green4",
    "warn": "dark_orange3",
    "bad": "bold red",
    "dim": "dim",
    "accent": "deep_sky_blue3",
}

_ASCII_HEAD = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)


def draw(blocks: Iterable[Block], stream: TextIO) -> None:
    """Draw on ``stream`` to fit its width, encoding and colours."""
    draw_on(console_for(stream), blocks)


def console_for(stream: TextIO) -> Console:
    """Return a console on ``stream``. Only a terminal gets escape codes, and only without NO_COLOR."""
    on_terminal = stream.isatty()
    columns = os.environ.get("COLUMNS", "")
    return _Console(
        file=stream if on_terminal or force_colour() else cast(TextIO, _Trimmed(stream)),
        force_terminal=on_terminal or force_colour(),
        color_system=_colours(stream),
        width=None if on_terminal else int(columns) if columns.isdecimal() and int(columns) else PIPE_WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )


def _colours(stream: TextIO) -> Literal["auto", "256"] | None:
    """Return the colours to draw with: rich detects those of a terminal, and other streams get 256."""
    if not use_colour(stream):
        return None
    return "auto" if stream.isatty() else "256"


class _Console(Console):
    """A console that passes a broken pipe on: rich itself would end the process as failed."""

    def on_broken_pipe(self) -> NoReturn:
        raise  # noqa: PLE0704 - called while it handles the error


class _Trimmed:
    """A file that strips the trailing blanks which rich pads lines with."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = stream.encoding

    def write(self, text: str) -> int:
        return self._stream.write(re.sub(r" +$", "", text, flags=re.MULTILINE))

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return False


def draw_on(console: Console, blocks: Iterable[Block]) -> None:
    before: Block | None = None
    for block in blocks:
        if isinstance(block, Chart) and block.page_only:
            continue
        apart = isinstance(block, Grid | Chart) or (isinstance(before, Grid) and isinstance(block, Pairs))
        apart = apart or (isinstance(block, Pairs) and bool(block.title))
        if before is not None and apart:
            console.print()
        _draw_block(console, block)
        before = block


def _draw_block(console: Console, block: Block) -> None:
    match block:
        case Heading(text):
            console.print(_text(console, text))
        case Note():
            _note(console, block)
        case Pairs():
            _pairs(console, block)
        case Grid():
            _grid(console, block)
        case Chart():
            _chart(console, block)


def _chart(console: Console, chart: Chart) -> None:
    from meterctl.views.curve import curve_lines

    for line in curve_lines(chart, console.width):
        console.print(_text(console, line), no_wrap=True, overflow="ignore", crop=False)


# -- text


def _text(console: Console, cell: Cell, width: int = BAR) -> Text:
    """Return ``cell`` as rich text, safe to show, with bars ``width`` wide."""
    text = Text()
    for piece in pieces(cell):
        for part in bar_pieces(piece, width) if isinstance(piece, Bar) else (piece,):
            text.append(_safe(console, part.text), style=_STYLES[part.tone])
    return text


def _safe(console: Console, text: str) -> str:
    return in_encoding(visible_line(text), console.encoding)


def _note(console: Console, note: Note) -> None:
    text = _text(console, note.text)
    text.stylize_before(_STYLES[note.tone])
    console.print(Padding(text, (0, 0, 0, 1)))


def _pairs(console: Console, pairs: Pairs) -> None:
    if pairs.title:
        console.print(Text(_safe(console, pairs.title), style="bold"))
    names = max((cell_len(name) for name, _ in pairs.pairs), default=0)
    names = min(names, max(console.width - 2 * NARROWEST - 4, NARROWEST))  # on a very narrow terminal they fold
    room = min(2 * BAR, console.width - names - 4)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=names, overflow="fold", style="dim")
    table.add_column(overflow="fold")
    for name, cell in pairs.pairs:
        table.add_row(Text(_safe(console, name)), _text(console, cell, max(room, NARROWEST)))
    console.print(Padding(table, (0, 0, 0, 1)))


# -- grids


def _grid(console: Console, grid: Grid) -> None:
    """Draw a grid a page at a time; the first page determines the columns."""
    pages = _pages(grid)
    first = next(pages, [])
    if grid.title:
        console.print(Text(_safe(console, grid.title), style="bold"))
    if not first:
        _note(console, Note(grid.empty))
        return
    widths = widths_for(grid.columns, _natural_widths(console, grid, first), console.width)
    console.print(_page(console, grid.columns, widths, first, with_header=True))
    for page in pages:
        console.print(_page(console, grid.columns, widths, page, with_header=False))
    missing = [column.name for column, width in zip(grid.columns, widths, strict=True) if width is None]
    if any(missing):
        _note(console, Note(f"hidden columns: {', '.join(name for name in missing if name)}"))


def _pages(grid: Grid) -> Iterator[list[Row]]:
    rows = iter(grid.rows)
    size = 1 if grid.live else PAGE
    while page := list(islice(rows, size)):  # bounded: by the rows
        yield page


def _natural_widths(console: Console, grid: Grid, rows: Sequence[Row]) -> list[int]:
    """Return the width that each column needs to show these rows unfolded."""
    widths = [max(cell_len(column.name), column.usual if grid.live else 0) for column in grid.columns]
    for row in rows:
        for place, cell in enumerate(row.cells):
            width = BAR if isinstance(cell, Bar) else _text(console, cell).cell_len
            widths[place] = max(widths[place], width)
    return widths


def widths_for(columns: Sequence[Column], natural: Sequence[int], room: int) -> list[int | None]:
    """Return a width for each column so that all fit in ``room``; None for hidden ones."""
    least = [min(width, column.least or width) for column, width in zip(columns, natural, strict=True)]
    shown = _fitting(columns, least, room)
    fitted = _squeeze([natural[place] for place in shown], [least[place] for place in shown], room)
    if _total(fitted) > room:  # very narrow: columns that can fold go below their least width
        floors = [min(least[place], NARROWEST) if columns[place].least else least[place] for place in shown]
        fitted = _squeeze(fitted, floors, room)
    widths = dict(zip(shown, fitted, strict=True))
    return [widths.get(place) for place in range(len(columns))]


def _fitting(columns: Sequence[Column], least: Sequence[int], room: int) -> list[int]:
    """Return the places of the columns that fit; columns of rank 0 always stay."""
    shown = list(range(len(columns)))
    for rank in sorted({column.rank for column in columns}, reverse=True):
        if rank == 0 or _total([least[place] for place in shown]) <= room:
            break
        shown = [place for place in shown if columns[place].rank < rank]
    return shown


def _squeeze(natural: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Return the ``natural`` widths reduced to ``room``, always at the widest that may still shrink."""
    widths = [min(width, max(room, floor)) for width, floor in zip(natural, least, strict=True)]
    for _ in range(max(0, _total(widths) - room)):
        spare = [place for place, width in enumerate(widths) if width > least[place]]
        if not spare:
            break
        widths[max(spare, key=lambda place: widths[place])] -= 1
    return widths


def _total(widths: Sequence[int]) -> int:
    """Return the width of a table of these columns, two blanks apart."""
    return sum(widths) + 2 * max(0, len(widths) - 1)


def _page(
    console: Console, columns: Sequence[Column], widths: Sequence[int | None], rows: Sequence[Row], *, with_header: bool
) -> Table:
    box = SIMPLE_HEAD if speaks_unicode(console.encoding) else _ASCII_HEAD
    table = Table(
        box=box, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), show_header=with_header, safe_box=False
    )
    shown = [(place, width) for place, width in enumerate(widths) if width is not None]
    for place, width in shown:
        column = columns[place]
        table.add_column(
            Text(_safe(console, column.name)),
            justify="right" if column.right else "left",
            width=width,
            overflow="fold",
        )
    for row in rows:
        cells = [_text(console, row.cells[place], width) for place, width in shown]
        table.add_row(*cells, style=_STYLES[row.tone])
    return table
