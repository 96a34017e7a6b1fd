"""Write blocks as one self-contained HTML page: no script, no external font or picture.

Jinja renders it with autoescape on, after control characters were escaped, so data cannot become markup. Loaded
only for -o html.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from meterctl.views import svg
from meterctl.views.blocks import Bar, Block, Cell, Chart, Grid, Heading, Note, Pairs, pieces
from meterctl.views.safety import speaks_unicode, visible_line


def write_page(blocks: Iterable[Block], stream: TextIO) -> None:
    """Write ``blocks`` to ``stream`` as a page."""
    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    parts = [_part(block) for block in blocks]
    title = next(("".join(text for kind, text, _ in part["text"]) for part in parts if part["type"] == "heading"), "")
    page = environment.get_template("page.html").render(title=title, parts=parts, svg=svg)
    if not speaks_unicode(stream.encoding):
        page = page.encode("ascii", "xmlcharrefreplace").decode("ascii")
    stream.write(page)


def _part(block: Block) -> dict[str, Any]:
    """Return ``block`` as the template reads it."""
    match block:
        case Heading(text):
            return {"type": "heading", "text": _cell(text)}
        case Note(text, tone):
            return {"type": "note", "text": _cell(text), "tone": tone}
        case Pairs():
            rows = [(visible_line(name), _cell(cell)) for name, cell in block.pairs]
            return {"type": "pairs", "title": visible_line(block.title), "rows": rows}
        case Grid():
            return _grid(block)
        case Chart():
            return {"type": "chart", "curve": svg.curve_of(block)}


def _grid(grid: Grid) -> dict[str, Any]:
    return {
        "type": "grid",
        "title": visible_line(grid.title),
        "columns": [(visible_line(column.name), column.right) for column in grid.columns],
        "rows": [([_cell(cell) for cell in row.cells], row.tone) for row in grid.rows],
        "empty": grid.empty,
    }


def _cell(cell: Cell) -> Sequence[tuple[str, Any, str]]:
    """Return the pieces of ``cell`` as ``(kind, text or drawing, tone)``."""
    return list(_pieces(cell))


def _pieces(cell: Cell) -> Iterator[tuple[str, Any, str]]:
    for piece in pieces(cell):
        if isinstance(piece, Bar):
            yield "bar", svg.bar_of(piece), ""
        else:
            yield "text", visible_line(piece.text), piece.tone
