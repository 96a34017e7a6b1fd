"""Blocks as text to paste elsewhere, drawn by tabulate: Markdown for tickets, plain for mails and notes.

Nothing is folded, left out or coloured. In Markdown, whatever data could mean to a Markdown reader is escaped.
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

#: What starts something in Markdown or HTML; an underscore only at a word's edge, so that ids stay readable.
_MARKUP = re.compile(r"[\\`*\[\]<>|~&#!]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def paste(blocks: Iterable[Block], stream: TextIO, form: Form) -> None:
    """Write ``blocks`` in ``form``, apart by blank lines."""
    shown = (block for block in blocks if not (isinstance(block, Chart) and block.page_only))
    for place, block in enumerate(shown):
        if place:
            stream.write("\n")
        stream.write(in_encoding(_drawn(block, form), stream.encoding) + "\n")


def _drawn(block: Block, form: Form) -> str:
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
            parts += (said.text for said in bar_pieces(piece, _BAR))
        else:
            parts.append(_escaped(visible_line(piece.text), form))
    return "".join(parts)


def _escaped(text: str, form: Form) -> str:
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
    """Lines that belong together; in Markdown as they stand."""
    from meterctl.views.curve import curve_lines

    drawn = "\n".join("".join(said.text for said in line).rstrip() for line in curve_lines(chart, _CHART))
    return f"```text\n{drawn}\n```" if form == "markdown" else drawn


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
    aligned = ["right" if right else "left" for right in rights]
    drawn = tabulate(rows, headers=names, tablefmt=style, colalign=aligned, disable_numparse=True)
    return "\n".join(line.rstrip() for line in drawn.splitlines())
