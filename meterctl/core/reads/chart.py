"""The result of ``ledger --chart``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from meterctl.core.results import Result

if TYPE_CHECKING:
    from meterctl.core.documents import fields as f
    from meterctl.core.documents.fields import instant, means, signed
    from meterctl.core.documents.reading import BalanceMark, BalancePoint
    from meterctl.core.model import Instant


@dataclass(slots=True)
class LedgerChart(Result):
    """The balance of an org over time."""

    name = "ledger-chart"

    org: f.Org
    balance: Annotated[int, signed("the balance at the end")]
    since: Annotated[Instant | None, instant("its begin: as asked, else the first entry; null: there is no journal")]
    until: Annotated[Instant, instant("its end: as asked, else now")]
    lowest: Annotated[BalanceMark | None, means("the lowest balance, the first time")]
    highest: Annotated[BalanceMark | None, means("the highest balance, the first time")]
    points: Annotated[
        Sequence[BalancePoint],
        means(
            "by equal slices of the time, at most 240 of them; a slice in which no units moved has none, for the "
            "balance stays. With a since after the first entry, the first point is the balance at that instant"
        ),
    ]
    known: Annotated[bool, means("false: the org has no journal")] = True

    def rows(self) -> Iterable[Mapping[str, Any]]:
        return self.points
