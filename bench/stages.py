"""Where the time of a sweep goes, stage by stage: ``python -m bench.stages``.

Each stage does by itself what `Ledger.execute` does with a page of orgs, on a fresh page each time. Processor time, so
that other work on the machine counts as little as can be: this process's, and the server's.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import process_time
from typing import TypeVar

from bench import stories
from bench.places import Place, opened, places
from bench.stories import chunks, name
from meterctl.core.booking.chunk_decider import Batch, Decision
from meterctl.core.booking.chunk_reader import ChunkReader
from meterctl.core.booking.head_cache import head_of
from meterctl.core.booking.journal_view import OrgViews
from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.canonical import canonical_bytes, entry_hash
from meterctl.core.domain.entries import book_due, tip_of
from meterctl.core.domain.operations import BookDue, Request
from meterctl.core.domain.policy import PlanBook
from meterctl.core.model import Entry
from meterctl.core.sweep.due_orgs import PAGE

Answer = TypeVar("Answer")


class Stages:
    """The processor time of each stage, added up."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.own: dict[str, float] = defaultdict(float)
        self.server: dict[str, float] = defaultdict(float)

    def take(self, stage: str, action: Callable[[], Answer]) -> Answer:
        server, own = self._place.server_cpu(), process_time()
        answer = action()
        self.own[stage] += process_time() - own
        self.server[stage] += self._place.server_cpu() - server
        return answer


def measure(place: Place, orgs: int) -> Stages:
    store, stages = opened(place, "stages"), Stages(place)
    stories.fill(store, range(orgs), stories.expiring, stories.spread)
    ledger, take = stories.ledger(store, stories.END), stages.take
    take("find what is due", partial(store.heads.due, stories.END, limit=orgs))
    for page in chunks(map(name, range(orgs)), PAGE):
        requests = [Request(BookDue(org), "bench") for org in page]
        tips = take("deciding: read tips", partial(store.journal.tips, page))
        entries = take("deciding: rules, entries, hashes", partial(_decided, ledger, tips))
        take("  of that: canonical form and hash", partial(_each, entry_hash, entries))
        take("deciding: all, receipts with it", partial(_outcomes, ledger, requests))
        take("  of appending: canonical form", partial(_each, canonical_bytes, entries))
        take("append", partial(store.journal.append, entries))
        take("put heads", partial(store.heads.put, _each(head_of, entries)))
    store.close()
    return stages


def _outcomes(ledger: Ledger, requests: Sequence[Request]) -> list[Decision]:
    views = OrgViews(ledger.store)
    reader = ChunkReader(ledger.store, views.load(requests), views)
    return Batch(reader, ledger.terms, ledger.clock.now()).decide()


def _decided(ledger: Ledger, tips: Mapping[str, Entry]) -> list[Entry]:
    plans, now = PlanBook(ledger.store.plans.all), stories.END
    booked = (book_due(org, tip_of(tip), now, ledger.terms, plans, now) for org, tip in tips.items())
    return [entry for due in booked for entry, _ in due]


def _each(make: Callable[[Entry], Answer], entries: Sequence[Entry]) -> list[Answer]:
    return [make(entry) for entry in entries]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.stages")
    parser.add_argument("--orgs", type=int, default=50_000)
    orgs = parser.parse_args().orgs
    with places(["sqlite", "mongod"]) as there:
        for place in there:
            stages = measure(place, orgs)
            print(f"\n{place.kind}: microseconds of processor time per org, own and the server's")
            for stage, own in stages.own.items():
                print(f"  {stage:36} {own / orgs * 1e6:6.1f} {stages.server[stage] / orgs * 1e6:6.1f}")


if __name__ == "__main__":
    main()
