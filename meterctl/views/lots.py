"""Show the lots of an org by state."""

from collections.abc import Iterable, Mapping
from typing import Any

from meterctl.core.reads.lot_history import FATES
from meterctl.core.results import Listing
from meterctl.views import words
from meterctl.views.blocks import Block, Cell, Column, Grid, Heading, Row, Styled, inline
from meterctl.views.registry import view


@view("lots")
def show_lots(lots: Listing) -> Iterable[Block]:
    yield Heading(inline(Styled(str(lots.about["org"]), "strong"), "lots"))
    columns = [
        Column("lot", right=True),
        Column("state", least=7),
        Column("pack", rank=3, least=8),
        Column("left", right=True),
        Column("of", right=True, rank=1),
        Column("expires (UTC)", least=10),
        Column("priority", right=True, rank=5),
        Column("history", rank=2, least=12),
        Column("session", rank=4, least=14),
    ]
    yield Grid(columns, [_row(lot) for lot in lots.items], empty="no lot")


def _row(lot: Mapping[str, Any]) -> Row:
    expires_at = lot["expires_at"]
    history = ", ".join(f"{lot[fate]:,} {fate}" for fate in FATES if lot[fate])
    cells: list[Cell] = [
        str(lot["id"]),
        Styled(lot["state"], "good" if lot["state"] == "live" else "dim"),
        lot["pack"] or Styled("-", "dim"),
        Styled(words.units(lot["remaining"]), "strong"),
        words.units(lot["units"]),
        words.when(expires_at) if expires_at else Styled("never", "dim"),
        str(lot["priority"]),
        history or Styled("-", "dim"),
        lot["session"] or Styled("-", "dim"),
    ]
    return Row(cells, "" if lot["state"] == "live" else "dim")
