"""The one write path: requests in, receipts out.

A single debit, a backfill of a million lines and both sweeps go through `Ledger.execute`: take a chunk, read its orgs'
tips and known keys in one query each, decide in memory, append in order, and answer. `chunk_writer` books one chunk;
`pipeline` runs one chunk after the other.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from meterctl.core.booking.chunk_writer import PATIENCE, Writer
from meterctl.core.booking.head_cache import HeadKeeper
from meterctl.core.booking.pipeline import Execution
from meterctl.core.domain.operations import Request
from meterctl.core.domain.policy import Terms
from meterctl.core.ports import Clock, Store
from meterctl.core.results import Receipt, Warning

if TYPE_CHECKING:
    from random import Random

CHUNK = 500

Chunks = Iterable[Sequence[Request]]


class Recorder(Protocol):
    """Sees each request of a ledger and its receipt."""

    def record(self, chunks: Chunks, execute: Callable[[Chunks], Iterator[list[Receipt]]]) -> Iterator[list[Receipt]]:
        """Return the receipts of ``execute`` for ``chunks``, which may be completed on the way."""


class Ledger:
    """Books requests on one store, under one set of terms.

    With ``dry_run`` the store must be an overlay, which keeps appended entries to itself; receipts then say
    ``planned``. A ``recorder`` sees every request and its receipt.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        terms: Terms,
        *,
        dry_run: bool = False,
        patience: float = PATIENCE,
        random: "Random | None" = None,
        overlap: bool = True,
        recorder: Recorder | None = None,
        notice: Warning | None = None,
    ) -> None:
        """``notice`` is put on every receipt. With ``overlap`` a long chunk is appended while the next one is decided.
        That saves waiting for the store, and costs a sixth of the processor time."""
        self.store = store
        self.clock = clock
        self.terms = terms
        self.dry_run = dry_run
        self._patience = patience
        self._random = random
        self._overlap = overlap
        self._recorder = recorder
        self._notice = notice

    def one(self, request: Request) -> Receipt:
        """Book one request. Raise `StoreUnreachable` if the store does not confirm it, `Damaged` if the org's journal
        is damaged."""
        receipt = next(receipt for receipts in self.execute_chunks([[request]]) for receipt in receipts)
        if receipt.problem is not None:
            raise receipt.problem
        return receipt

    def execute(self, requests: Iterable[Request], *, chunk: int = CHUNK) -> Iterator[Receipt]:
        """Book requests, and yield a receipt for each, in order. Requests of one org take effect in the order given.

        When it raises, everything answered before is booked. The rest may be booked in part: run again, those requests
        come back as replays.
        """
        source = iter(requests)
        for receipts in self.execute_chunks(iter(lambda: list(islice(source, chunk)), [])):
            yield from receipts

    def execute_chunks(self, chunks: Chunks) -> Iterator[list[Receipt]]:
        """Book requests that come in chunks, as `execute` does. The receipts of one chunk may come in several lists."""
        heads = HeadKeeper(self.store.heads)
        writer = Writer(self.store, self.clock, self.terms, self.dry_run, self._patience, self._random, heads)
        run = Execution(writer, overlap=self._overlap).run
        receipts = run(chunks) if self._recorder is None else self._recorder.record(chunks, run)
        return receipts if self._notice is None else _with_notice(receipts, self._notice)


def _with_notice(parts: Iterable[list[Receipt]], notice: Warning) -> Iterator[list[Receipt]]:
    for receipts in parts:
        for receipt in receipts:
            receipt.warn(*notice)
        yield receipts
