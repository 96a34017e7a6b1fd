"""Show lists of orgs."""

from collections.abc import Iterable, Mapping
from typing import Any

from meterctl.core.results import Listing
from meterctl.views import words
from meterctl.views.blocks import Block, Cell, Column, Grid, Row, Styled
from meterctl.views.registry import view
from meterctl.views.weeks import unless_zero


@view("orgs")
def show_orgs(orgs: Listing) -> Iterable[Block]:
    columns = [
        Column("org", least=12, usual=20),
        Column("balance", right=True),
        Column("available", right=True, rank=1),
        Column("debt", right=True, rank=2),
        Column("since", rank=4, usual=10),
        Column("lots", right=True, rank=8),
        Column("expires", rank=3, usual=10),
        Column("expiring", right=True, rank=3),
        Column("plan", rank=7, least=8),
        Column("week", right=True, rank=5),
        Column("runs out", rank=2, usual=10),
        Column("last entry", rank=9, usual=10),
    ]
    yield Grid(columns, (_org_row(org) for org in orgs.items), empty="no org matches")


def _org_row(org: Mapping[str, Any]) -> Row:
    over = org["used"] > org["quota"]
    return Row(
        [
            org["org"] if org["checked"] else f"{org['org']} (cached)",
            Styled(words.units(org["balance"]), "bad" if org["balance"] < 0 else "strong"),
            Styled(words.units(org["available"]), "" if org["allowed"] else "bad"),
            unless_zero(org["owed"] + org["overage"]),
            _day(org["debt_since"]),
            str(org["lots"]),
            _day(org["next_expiry"]),
            unless_zero(org["expiring_units"]),
            org["plan"],
            Styled(words.percent(org["used"], org["quota"]), "warn" if over else ""),
            _day(org["runs_out"]),
            _day(org["last_at"]),
        ]
    )


def _day(instant: str | None) -> Cell:
    return instant[:10] if instant else Styled("-", "dim")
