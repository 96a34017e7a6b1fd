"""Several processes that write at once."""

from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from time import perf_counter

from bench.places import Place, floor_at
from bench.stories import TERMS
from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.operations import Debit, Request
from meterctl.core.stores.url import open_store
from meterctl.process.clock import SystemClock
from tests.builders import make_entry

#: How long the slowest may take to start, and all of them to write.
SECONDS = 600


def debits(place: Place, store: str, orgs: list[str], writes: int) -> float:
    """Debits a second of as many processes as ``orgs``, each debiting its own ``writes`` times, one after the other."""
    return _together(_debit, place.url(store), orgs, writes)


def inserts(place: Place, count: int, writes: int) -> float:
    """Raw inserts a second of ``count`` processes."""
    place.floor()
    return _together(_insert, place.floor_address, [f"raw-{number}" for number in range(count)], writes)


def _together(
    open_writer: Callable[[str, str], Callable[[int], None]], address: str, orgs: list[str], writes: int
) -> float:
    context = get_context("spawn")
    barrier = context.Barrier(len(orgs) + 1)
    processes = [
        context.Process(target=_write, args=(open_writer, address, org, number, writes, barrier))
        for number, org in enumerate(orgs)
    ]
    for process in processes:
        process.start()
    barrier.wait(SECONDS)
    began = perf_counter()
    for process in processes:
        process.join(SECONDS)
    taken = perf_counter() - began
    assert [process.exitcode for process in processes] == [0] * len(orgs)
    return len(orgs) * writes / taken


def _write(
    open_writer: Callable[[str, str], Callable[[int], None]],
    address: str,
    org: str,
    number: int,
    writes: int,
    barrier: Barrier,
) -> None:
    write = open_writer(address, org)
    first = 1 + number * (writes + 1)
    write(first)
    barrier.wait(SECONDS)
    for place in range(first + 1, first + 1 + writes):
        write(place)


def _debit(address: str, org: str) -> Callable[[int], None]:
    ledger = Ledger(open_store(address), SystemClock(), TERMS)

    def write(number: int) -> None:
        assert ledger.one(Request(Debit(org, 1, f"debit-{number}"), "bench")).applied

    return write


def _insert(address: str, org: str) -> Callable[[int], None]:
    floor = floor_at(address)

    def write(number: int) -> None:
        floor.store(floor.ready([make_entry(org, number)]))

    return write
