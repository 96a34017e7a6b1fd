"""Draw blocks as text to paste elsewhere, by tabulate: Markdown for tickets, plain for mails and notes.

Nothing is folded, dropped or coloured. In Markdown, data that a Markdown reader could take for markup is escaped.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal, TextIO

from tabulate import tabulate

from meterctl.views.blocks import Bar, Block, Cell, Chart, Grid, Heading, Pairs, bar_pieces, pieces
from meterctl.views.safety import in_encoding, visible_line

Form = Literal["markdown", "plain"]

#: The widths of a bar and of a chart.
_BAR, _CHART = 20, 76

#: The characters of markup in Markdown or HTML; an underscore only at a word's edge, so that ids stay readable.
_MARKUP = re.compile(r"[\\`*\[\]<>|~&#!]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def paste(blocks: Iterable[Block], stream: TextIO, form: Form) -> None:
    """Write ``blocks`` in ``form``, separated by blank lines."""
    shown = (block for block in blocks if not (isinstance(block, Chart) and block.page_only))
    for place, block in enumerate(shown):
        if place:
            stream.write("\n")
        stream.write(in_encoding(_block(block, form), stream.encoding) + "\n")


def _block(block: Block, form: Form) -> str:
    if isinstance(block, Grid):
        return _grid(block, form)
    if isinstance(block, Pairs):
        return _pairs(block, form)
    if isinstance(block, Chart):
        return _chart(block, form)
    text = _text(block.text, form)
    return _strong(text, form) if isinstance(block, Heading) else text


def _text(cell: Cell, form: Form) -> str:
    parts: list[str] = []
    for piece in pieces(cell):
        if isinstance(piece, Bar):
            parts += (piece.text for piece in bar_pieces(piece, _BAR))
        else:
            parts.append(_escape(visible_line(piece.text), form))
    return "".join(parts)


def _escape(text: str, form: Form) -> str:
    return _MARKUP.sub(r"\\\g<0>", text) if form == "markdown" else text


def _strong(text: str, form: Form) -> str:
    return f"**{text}**" if form == "markdown" else text


def _pairs(pairs: Pairs, form: Form) -> str:
    rows = [[_text(name, form), _text(cell, form)] for name, cell in pairs.pairs]
    table = _table(
        rows, ["", ""] if form == "markdown" else [], [False, False], "pipe" if form == "markdown" else "plain"
    )
    return f"{_strong(_text(pairs.title, form), form)}\n\n{table}" if pairs.title else table


def _chart(chart: Chart, form: Form) -> str:
    """Return the lines of a chart, in Markdown as a code block."""
    from meterctl.views.curve import curve_lines

    text = "\n".join("".join(piece.text for piece in line).rstrip() for line in curve_lines(chart, _CHART))
    return f"```text\n{text}\n```" if form == "markdown" else text


def _grid(grid: Grid, form: Form) -> str:
    title = _text(grid.title, form)
    rows = [[_text(cell, form) for cell in row.cells] for row in grid.rows]
    if not rows:
        body = _text(grid.empty, form)
    else:
        names = [_text(column.name, form) for column in grid.columns]
        rights = [column.right for column in grid.columns]
        body = _table(rows, names, rights, "pipe" if form == "markdown" else "simple")
    return f"{_strong(title, form)}\n\n{body}" if title else body


def _table(rows: Sequence[Sequence[str]], names: Sequence[str], rights: Sequence[bool], style: str) -> str:
    alignment = ["right" if right else "left" for right in rights]
    table = tabulate(rows, headers=names, tablefmt=style, colalign=alignment, disable_numparse=True)
    return "\n".join(line.rstrip() for line in table.splitlines())
