"""Run a sweep in several processes; each books pages of orgs."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain

from meterctl.core.sweep.due_booker import DueBooker, SweepTally
from meterctl.wiring import Wiring
from meterctl.workers.pool import Workers


class SweepWorkers:
    """``count`` processes, this one among them, that book due events, page by page."""

    def __init__(self, count: int, wiring: Wiring) -> None:
        self._others = Workers(count - 1, _book, wiring)
        self._here = partial(_book, wiring)

    def book(self, pages: Iterable[list[str]]) -> Iterator[SweepTally]:
        return chain.from_iterable(self._others.answers(pages, self._here))


def _book(wiring: Wiring, page: list[str]) -> list[SweepTally]:
    return list(DueBooker(wiring.ledger, wiring.actor, wiring.at).book([page]))
