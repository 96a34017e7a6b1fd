"""Journals to measure on, made by the rules themselves."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from meterctl.core.booking.head_cache import head_of
from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.instants import add_millis, parse
from meterctl.core.domain.operation_documents import request_from_document
from meterctl.core.domain.operations import Adjust, Attribute, Debit, Operation, Request
from meterctl.core.domain.policy import Pack, Terms
from meterctl.core.errors import sound
from meterctl.core.model import Instant, PlanVersion
from meterctl.core.ports import Store
from meterctl.process.clock import FixedClock
from tests.memory_store import MemoryStore

#: A Monday; everything is told as if it had happened from then on, at a time that has passed when it is measured.
START = parse("2025-11-17T00:00:00.000Z")
#: When all that is due in `expiring` and `metered` is due.
END = parse("2025-11-25T00:00:00.000Z")

TERMS = Terms(packs={"small": Pack(1000, 500, "usd", 90)})

CONFIG = """\
allow_time_travel = true
[packs.small]
units = 1000
price_cents = 500
currency = "usd"
expiry_days = 90
"""

CHUNK = 5000

Item = TypeVar("Item")


def chunks(items: Iterable[Item], size: int = CHUNK) -> Iterator[list[Item]]:
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk


def ledger(store: Store, now: Instant = START, *, overlap: bool = True) -> Ledger:
    return Ledger(store, FixedClock(now), TERMS, overlap=overlap)


def name(number: int) -> str:
    return f"org-{number:07}"


def book(store: Store, operations: Iterable[Operation], *, now: Instant = START) -> None:
    """Book all of them the way a backfill does."""
    requests = (Request(operation, "bench", "measuring") for operation in operations)
    for receipt in ledger(store, now).execute(requests, chunk=CHUNK):
        assert receipt.applied, receipt


def publish(store: Store, quota: int, *, plan: str = "free") -> None:
    assert store.plans.add(PlanVersion(plan, 1, quota, {}, START, START, "bench", None))


# -- many orgs


def expiring(number: int, expires_at: Instant) -> Operation:
    """Return a grant of 100 units to an org of its own, which expires."""
    return Adjust(name(number), 100, "grant", expires_at)


def metered(number: int, _: Instant) -> Operation:
    """Return a run of an org of its own that goes 200 units beyond a quota of 500."""
    return Attribute(name(number), "run-1", "main", None, 700, None)


def fill(
    store: Store, numbers: Sequence[int], of: Callable[[int, Instant], Operation], due_at: Callable[[int], Instant]
) -> None:
    """Return an org with one entry for each number, decided in memory and stored as it is."""
    plans = store.plans.all()
    for chunk in chunks(numbers):
        scratch = MemoryStore()
        for version in sound(plans):
            scratch.plans.add(version)
        book(scratch, (of(number, due_at(number)) for number in chunk))
        entries = [entry for number in chunk for entry in scratch.journal.read(name(number))]
        assert store.journal.append(entries) == len(chunk)
        store.heads.put([head_of(entry) for entry in entries])


def spread(number: int) -> Instant:
    """Return an instant of its own for each org: things become due at all times."""
    return add_millis(START, 1000 + number)


# -- one long journal


def grow(store: Store, org: str, first: int, last: int) -> None:
    """Let ``org`` have ``last`` entries: a grant, and debits of one unit from seq ``first`` on."""
    if first == 1:
        book(store, [Adjust(org, 2**40, "grant", None)])
    book(store, (Debit(org, 1, f"debit-{seq}") for seq in range(max(first, 2), last + 1)))


def book_lines(store: Store, count: int, orgs: int) -> None:
    """Book what `lines` says, as a backfill would."""
    documents = (json.loads(line) for line in lines(count, orgs))
    requests = (request_from_document(document, actor="bench") for document in documents)
    for receipt in ledger(store).execute(requests, chunk=CHUNK):
        assert receipt.applied, receipt


def lines(count: int, orgs: int) -> Iterator[str]:
    """Yield the lines of a backfill file: orgs that buy a pack now and then, and use it in runs and debits."""
    for number in range(count):
        org, turn = name(number % orgs), number // orgs
        if turn % 50 == 0:
            yield f'{{"op":"credit-pack","org":"{org}","pack":"small","session":"cs_{number}"}}\n'
        elif turn % 2:
            costs = f'{{"llm":"0.0{turn % 9 + 1}","search":"0.0{number % 5}1"}}'
            yield f'{{"op":"attribute","org":"{org}","run":"run-{number}","costs":{costs}}}\n'
        else:
            yield f'{{"op":"debit","org":"{org}","units":{number % 7 + 1},"ref":"ref-{number}","allow_debt":true}}\n'
