"""The one write path: requests in, receipts out.

A single debit, a backfill of a million lines and both sweeps go through `Ledger.execute`: take a chunk, read its orgs'
tips and known keys in one query each, decide in memory, append in order, and answer. How one chunk is booked is
`meterctl.core.booking.chunk_writer`'s part, how chunks follow each other `meterctl.core.booking.pipeline`'s.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from random import Random

from meterctl.core.booking.chunk_writer import PATIENCE, Writer
from meterctl.core.booking.pipeline import Execution
from meterctl.core.domain.operations import Request
from meterctl.core.domain.policy import Terms
from meterctl.core.ports import Clock, Store
from meterctl.core.results import Receipt

CHUNK = 500


class Ledger:
    """Books requests on one store, under one set of terms.

    With ``dry_run`` the store is expected to be an overlay that keeps what is appended to itself; receipts then say
    ``planned``.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        terms: Terms,
        *,
        dry_run: bool = False,
        patience: float = PATIENCE,
        random: Random | None = None,
        overlap: bool = True,
    ) -> None:
        """``overlap``: whether a long chunk is appended while the next one is decided. That saves what there is to wait
        for, and costs a sixth of the processor time."""
        self.store = store
        self.clock = clock
        self.terms = terms
        self.dry_run = dry_run
        self._patience = patience
        self._random = random or Random()
        self._overlap = overlap

    def one(self, request: Request) -> Receipt:
        """Book one request. Raises `StoreUnreachable` if the store cannot tell about it, `Damaged` if the org's journal
        cannot be booked on."""
        receipt = next(receipt for receipts in self.execute_chunks([[request]]) for receipt in receipts)
        if receipt.problem is not None:
            raise receipt.problem
        return receipt

    def execute(self, requests: Iterable[Request], *, chunk: int = CHUNK) -> Iterator[Receipt]:
        """A receipt per request, in order. Requests of one org take effect in the order given.

        When it raises, everything answered before is booked, and of the rest what is booked will be found as replays.
        """
        source = iter(requests)
        for receipts in self.execute_chunks(iter(lambda: list(islice(source, chunk)), [])):
            yield from receipts

    def execute_chunks(self, chunks: Iterable[Sequence[Request]]) -> Iterator[list[Receipt]]:
        """As `execute`, for requests that come in chunks: answers the receipts of each, in one or several parts."""
        writer = Writer(self.store, self.clock, self.terms, self.dry_run, self._patience, self._random)
        return Execution(writer, chunks, overlap=self._overlap).run()
