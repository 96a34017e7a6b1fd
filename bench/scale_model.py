"""What a million orgs and a thousand million entries take: ``python -m bench.scale_model``.

Measures first: realistic journals in both stores, what each table and index of them weighs, and what would be left of
entries that went to an archive. Then reckons: how much that makes at full size, how evenly orgs of very different sizes
fall on shards, and how long the sweep of a Monday takes when the week of every org ends at the same instant.
"""

import argparse
import random
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from bench import stories
from bench.places import MongodPlace, Place, SqlitePlace, opened, places
from meterctl.core.domain.instants import add_days, add_millis
from meterctl.core.domain.operations import AssignPlan, Attribute, CreditPack, Debit, Operation, Request
from meterctl.core.model import Instant
from meterctl.core.sweep.due_orgs import Shard

#: What is reckoned with.
ORGS, ENTRIES = 10**6, 10**9

RUNS_A_WEEK = 18
FEATURES = ("llm", "search", "storage", "render")


class Part(NamedTuple):
    """A table, collection or index, and what it weighs for each entry (each org, where it holds orgs)."""

    name: str
    bytes_each: float
    each: str


# -- journals as they come


def year_of(org: str, weeks: int, chance: random.Random) -> Iterator[tuple[Instant, Operation]]:
    """Return the history of one org: a plan, a pack a month, runs that may exceed the quota, a debit a week."""
    yield stories.START, AssignPlan(org, "pro", "signup")
    for week in range(weeks):
        monday = add_days(stories.START, 7 * week)
        if week % 4 == 0:
            yield add_millis(monday, 1), CreditPack(org, "small", f"cs_live_{chance.getrandbits(160):040x}")
        for run in range(RUNS_A_WEEK):
            used = chance.sample(FEATURES, chance.randint(1, 3))
            costs = {feature: f"0.{chance.randint(1, 9999):04}" for feature in used}
            at = add_millis(monday, (run + 1) * 25_000_000 + chance.randint(0, 999))
            yield at, Attribute(org, f"{chance.getrandbits(96):024x}", "main", costs)
        yield add_days(monday, 6), Debit(org, chance.randint(1, 40), f"{chance.getrandbits(96):024x}", True)


def fill(place: Place, orgs: int, weeks: int) -> int:
    """Journals of ``orgs`` orgs over ``weeks`` weeks; how many entries they have."""
    store = opened(place, "scale")
    stories.publish(store, 20_000, plan="pro")
    names = [f"org_{random.Random(number).getrandbits(64):016x}" for number in range(orgs)]
    told = (story for name in names for story in year_of(name, weeks, random.Random(name)))
    requests = (Request(operation, "billing", "metering", at) for at, operation in told)
    booked = stories.ledger(store, add_days(stories.START, 7 * weeks + 1)).execute(requests, chunk=stories.CHUNK)
    entries = sum(1 + len(receipt.also) for receipt in booked if receipt.applied)
    store.close()
    return entries


# -- what they weigh


def weigh(place: Place, entries: int, orgs: int) -> list[Part]:
    if isinstance(place, MongodPlace):
        return list(_weigh_collections(place, entries, orgs))
    assert isinstance(place, SqlitePlace)
    return list(_weigh_pages(place, entries, orgs))


def _weigh_collections(place: MongodPlace, entries: int, orgs: int) -> Iterator[Part]:
    database = place.client["bench_scale"]
    # What would be left of an entry in an archive: that its key is used, and where it was.
    database["journal"].aggregate([{"$project": {"seq": 1}}, {"$out": "stubs"}])
    place.client.admin.command("fsync")  # sizes are those of the last checkpoint
    entry, org = (entries, "entry"), (orgs, "org")
    for name, (count, each) in {"journal": entry, "heads": org, "claims": org, "stubs": entry}.items():
        stats: dict[str, Any] = database.command("collStats", name)
        yield Part(f"{name}, uncompressed", stats["size"] / count, each)
        yield Part(f"{name}, on disk", (stats["storageSize"] - stats["freeStorageSize"]) / count, each)
        for index, size in stats["indexSizes"].items():
            free = stats["indexDetails"][index]["block-manager"]["file bytes available for reuse"]
            yield Part(f"{name}: index {index}", (size - free) / count, each)


def _weigh_pages(place: SqlitePlace, entries: int, orgs: int) -> Iterator[Part]:
    connection = sqlite3.connect(place.directory / "scale.db")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    try:
        rows = connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC").fetchall()
    except sqlite3.OperationalError:  # built without it: the file as a whole then
        (size,) = connection.execute(
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        ).fetchone()
        rows = [("journal and all indexes", size)]
    finally:
        connection.close()
    for name, size in rows:
        each, count = ("org", orgs) if name.startswith(("heads", "claims")) else ("entry", entries)
        if size / count >= 1:
            yield Part(name, size / count, each)


# -- what that makes


def full_size(parts: list[Part]) -> float:
    """Bytes of everything at `ORGS` and `ENTRIES`."""
    stored = [part for part in parts if "uncompressed" not in part.name and not part.name.startswith("stubs")]
    return sum(part.bytes_each * (ENTRIES if part.each == "entry" else ORGS) for part in stored)


class Spread(NamedTuple):
    """How evenly orgs fall on shards: the fullest against the mean, by orgs and by entries; and the largest org."""

    orgs: float
    entries: float
    largest: float


def spread(shards: int, orgs: int, seed: int) -> Spread:
    """Orgs of very different sizes (log-normal: the upper tenth has half of all entries), by checksum of name. That
    stands for ranges of random names as much as for ``--shard``: neither knows how large an org is."""
    chance = random.Random(seed)
    count, weight, largest = [0] * shards, [0.0] * shards, 0.0
    for number in range(orgs):
        place = shard_of(f"org_{number:07}", shards)
        size = chance.lognormvariate(0, 1.4)
        count[place] += 1
        weight[place] += size
        largest = max(largest, size)
    return Spread(max(count) * shards / orgs, max(weight) * shards / sum(weight), largest * ENTRIES / sum(weight))


def shard_of(org: str, shards: int) -> int:
    return next(part for part in range(shards) if Shard(part + 1, shards).holds(org))


def report(place: Place, parts: list[Part]) -> None:
    print(f"\n{place.kind}: bytes")
    for part in parts:
        print(f"  {part.name:42} {part.bytes_each:8.0f} per {part.each}")
    print(f"  {ORGS:,} orgs with {ENTRIES:,} entries: {full_size(parts) / 1e9:,.0f} GB")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scale_model")
    parser.add_argument("--orgs", type=int, default=200)
    parser.add_argument("--weeks", type=int, default=52)
    parser.add_argument("--store", nargs="+", choices=["sqlite", "mongod"], default=["sqlite", "mongod"])
    parser.add_argument("--sweep-rate", type=float, default=10_000, help="orgs a second, as measured by bench")
    parser.add_argument("--write-rate", type=float, default=15_000, help="backfilled lines a second, as measured")
    arguments = parser.parse_args()
    with places(arguments.store) as there:
        for place in there:
            entries = fill(place, arguments.orgs, arguments.weeks)
            print(f"\n{entries:,} entries of {arguments.orgs:,} orgs on {place.kind}", end="")
            report(place, weigh(place, entries, arguments.orgs))
    reckon(arguments.sweep_rate, arguments.write_rate)


def reckon(sweep_rate: float, write_rate: float) -> None:
    print("\nshards  fullest: orgs  entries  largest org  Monday's sweep  loading all entries")
    for shards in (1, 4, 8, 16, 32):
        found = spread(shards, ORGS, seed=7)
        sweep = ORGS * found.orgs / shards / sweep_rate
        load = ENTRIES * found.entries / shards / write_rate
        print(
            f"{shards:6}  {found.orgs:12.3f}x  {found.entries:6.3f}x  {found.largest / 1e6:9.2f}M"
            f"  {sweep:12.0f} s  {load / 3600:17.1f} h"
        )


if __name__ == "__main__":
    main()
