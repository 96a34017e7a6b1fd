"""Book due events of some orgs, and count the results."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meterctl.core.booking.head_cache import head_of
from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.operations import BookDue, Request
from meterctl.core.errors import Damaged, StoreUnusable, shell_command
from meterctl.core.model import Entry, Instant
from meterctl.core.results import Receipt

if TYPE_CHECKING:
    from meterctl.core.documents.writing import Failure


@dataclass(slots=True)
class SweepTally:
    """The results of ``orgs``; ``errors`` holds the failed ones with the reason."""

    orgs: list[str] = field(default_factory=list)
    done: int = 0
    skipped: int = 0
    errors: "list[Failure]" = field(default_factory=list)
    expired_lots: int = 0
    expired_units: int = 0
    weeks_closed: int = 0
    settled_units: int = 0
    rolled_over_units: int = 0
    released_holds: int = 0

    def count(self, receipt: Receipt) -> None:
        self.orgs.append(receipt.org)
        if receipt.status == "failed":
            self.errors.append({"org": receipt.org, "message": receipt.message})
        elif receipt.also:
            self.done += 1
        else:
            self.skipped += 1
        for entry in receipt.also:
            self._count_entry(entry)

    def _count_entry(self, entry: Entry) -> None:
        match entry["kind"]:
            case "expiration":
                self.expired_lots += 1
                self.expired_units += entry["units"]
            case "release":
                self.released_holds += 1
            case "reset":
                self.weeks_closed += 1
                self.settled_units += entry["settled"]
                self.rolled_over_units += entry.get("units", 0)
            case _:  # a dated plan takes effect, which moves no units
                pass


class DueBooker:
    """Books events due by ``at`` (else by now) on ``ledger``, page by page."""

    def __init__(self, ledger: Ledger, actor: str, at: Instant | None) -> None:
        self._ledger = ledger
        self._actor = actor
        self._at = at

    def book(self, pages: Iterable[list[str]]) -> Iterator[SweepTally]:
        """Book each page; yield one or more tallies per page.

        If one org makes a page fail, its orgs are booked one by one, so that only that org fails.
        """
        # Orgs requested but not answered yet, in order.
        waiting: dict[str, None] = {}

        def chunks() -> Iterator[list[Request]]:
            for page in source:
                waiting.update(dict.fromkeys(page))
                yield [self._request(org) for org in page]

        source = iter(pages)
        through = False
        while not through:  # bounded: each turn but the last takes a page
            try:
                for receipts in self._ledger.execute_chunks(chunks()):
                    yield self._answer(receipts, waiting)
                through = True
            except StoreUnusable as problem:
                if not waiting or not _lies_with_an_org(problem):
                    raise
                for org in list(waiting):
                    yield self._answer([self._alone(org)], waiting)

    def _request(self, org: str) -> Request:
        return Request(BookDue(org), self._actor, at=self._at)

    def _alone(self, org: str) -> Receipt:
        """Return the receipt of one org; ``failed`` if its own journal is the problem."""
        try:
            return self._ledger.one(self._request(org))
        except StoreUnusable as problem:
            if not _lies_with_an_org(problem):
                raise
            message = f"cannot be booked: {problem}; check it with: {shell_command('verify', org)}"
            return Receipt(command=BookDue.name, org=org, key="", status="failed", balance=0, message=message)

    def _answer(self, receipts: Sequence[Receipt], waiting: dict[str, None]) -> SweepTally:
        tally = SweepTally()
        for receipt in receipts:
            del waiting[receipt.org]
            tally.count(receipt)
        if tally.skipped:
            self._renew_heads([receipt.org for receipt in receipts if receipt.status == "unchanged"])
        return tally

    def _renew_heads(self, orgs: Sequence[str]) -> None:
        """Write the heads again. Nothing is due here, so a crash must have left the old heads behind."""
        store = self._ledger.store
        tips = [tip for org in orgs if (tip := store.journal.tip(org)) is not None]
        store.heads.put([head_of(tip) for tip in tips])


def _lies_with_an_org(problem: StoreUnusable) -> bool:
    """Return True if the problem concerns one org's journal only."""
    return isinstance(problem, Damaged) or problem.code == "entry_rejected"
