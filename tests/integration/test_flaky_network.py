"""Four writers, in processes of their own, behind a network that loses requests and answers, delays, cuts and parts.

Each writer runs its commands again until they are acknowledged. In the end everything that was acknowledged is booked
once, at the place that the answer named, and nothing else is.
"""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pymongo import MongoClient

from meterctl.core.ports import Store
from meterctl.core.stores.url import open_store
from meterctl.core.verify import repair_heads, verify_all
from tests.flaky_proxy import FlakyProxy, Weather
from tests.mongod import require_mongod, with_database

CONFIG = """\
[packs.small]
units = 1000
price_cents = 500
currency = "usd"
"""

#: Milliseconds that a call may take: short, for every lost message costs that.
TIMEOUT_MS = 600

#: Tries of one command until it has to be acknowledged.
TRIES = 40

#: Lines of one file: some chunks. A command ends with the first read that stays without an answer, so a file of many
#: more would have to begin again more often than `TRIES`.
FILE_LINES = 1_000


class Network(NamedTuple):
    """A database as the writers reach it, and as it is."""

    flaky: str
    direct: str
    proxy: FlakyProxy


@pytest.fixture
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    server, name = require_mongod(), f"test_{uuid.uuid4().hex[:12]}"
    with MongoClient[dict[str, Any]](server) as client:
        host, port = client.address or ("", 0)
        with FlakyProxy((host, port), Weather(), seed=request.param) as proxy:
            options = f"directConnection=true&timeoutMS={TIMEOUT_MS}"
            yield Network(f"mongodb://127.0.0.1:{proxy.port}/{name}?{options}", with_database(server, name), proxy)
        client.drop_database(name)


class Writer:
    """Runs commands until each is acknowledged; ``entries`` are the ones that the answers named, by org and key."""

    def __init__(self, network: Network, place: Path, name: str) -> None:
        self.entries: dict[tuple[str, str], dict[str, Any]] = {}
        self.tries = 0
        self._place = place
        self._command = [sys.executable, "-m", "meterctl", "--json", "--store", network.flaky, "--actor", name]
        self._command += ["--config", str(place / "meterctl.toml")]
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith("METERCTL_")}

    def run(self, *words: str) -> dict[str, Any]:
        """The document of a command, once one of its tries is answered."""
        answered = ""
        for _ in range(TRIES):
            self.tries += 1
            done = subprocess.run(
                [*self._command, *words],
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            if done.returncode == 0:
                document: dict[str, Any] = json.loads(done.stdout)
                return document
            answered = f"{done.returncode}: {done.stderr[-500:]}"
            assert done.returncode == 10, answered  # not reachable; nothing else may go wrong
        raise AssertionError(f"{words} was never acknowledged: {answered}")

    def book(self, *words: str) -> None:
        entry = self.run(*words)["entry"]
        self.entries[entry["org"], entry["key"]] = entry

    def debits(self, org: str, name: str, count: int) -> None:
        for number in range(count):
            self.book("debit", org, "1", "--ref", f"{name}-{number}", "--allow-debt", "--yes")

    def packs(self, orgs: list[str], count: int) -> None:
        for number in range(count):
            self.book("credit-pack", orgs[number % len(orgs)], "small", "--session", f"cs_{number}")

    def files(self, org: str, count: int) -> None:
        """Book so many lines, in files that can get through this network at once."""
        for first in range(0, count, FILE_LINES):
            self.file(org, range(first, min(first + FILE_LINES, count)))

    def file(self, org: str, numbers: range) -> None:
        path, results = self._place / f"{org}.ndjson", self._place / f"{org}.results"
        lines = [{"op": "debit", "org": org, "units": 1, "ref": f"file-{n}", "allow_debt": True} for n in numbers]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        summary = self.run("backfill", str(path), "--results", str(results))
        assert summary["applied"] + summary["replayed"] == len(numbers)
        for row in map(json.loads, results.read_text(encoding="utf-8").splitlines()):
            self.entries[row["org"], row["key"]] = {"seq": row["seq"]}


def work(network: Network, place: Path, *, each: int, lines: int) -> list[Writer]:
    """Four writers at once: on one org, on their own, with claims, and with a file."""
    (place / "meterctl.toml").write_text(CONFIG, encoding="utf-8")
    writers = [Writer(network, place, f"writer-{number}") for number in range(4)]
    jobs: list[Callable[[], None]] = [
        lambda: writers[0].debits("shared", "first", each),
        lambda: writers[1].debits("shared", "second", each),
        lambda: writers[2].packs(["shared", "other"], each),
        lambda: writers[3].files("filed", lines),
    ]
    with ThreadPoolExecutor(len(jobs)) as pool:
        for job in [pool.submit(job) for job in jobs]:
            job.result()
    return writers


def settle(network: Network) -> Store:
    """The store as it is, once no late message can arrive any more, with its heads in order."""
    network.proxy.calm()
    time.sleep(1.5 * TIMEOUT_MS / 1000)
    store = open_store(network.direct)
    repair_heads(store)
    return store


def check(store: Store, writers: list[Writer], *, booked: int) -> None:
    entries = [entry for org in store.journal.orgs() for entry in store.journal.read(org)]
    names = [(entry["org"], entry["key"]) for entry in entries]
    assert len(set(names)) == len(names) == booked
    found = dict(zip(names, entries, strict=True))
    acknowledged = {name: entry for writer in writers for name, entry in writer.entries.items()}
    assert acknowledged.keys() == found.keys()
    for name, entry in acknowledged.items():
        assert entry.items() <= found[name].items(), name
    assert verify_all(store).findings == []


@pytest.mark.parametrize(
    ("network", "each", "lines"),
    [
        (1, 3, 300),
        *(pytest.param(seed, 60, 20_000, marks=pytest.mark.long) for seed in (2, 3, 4)),
    ],
    indirect=["network"],
)
def test_everything_acknowledged_over_a_flaky_network_is_booked_once(
    network: Network, tmp_path: Path, each: int, lines: int
) -> None:
    writers = work(network, tmp_path, each=each, lines=lines)
    store = settle(network)
    try:
        check(store, writers, booked=3 * each + lines)
    finally:
        store.close()
    faults = network.proxy.faults
    assert sum(faults.values()) > 10, faults
    tries = sum(writer.tries for writer in writers)
    commands = 3 * each + -(-lines // FILE_LINES)
    print(f"{commands} commands in {tries} tries, {lines:,} lines; {dict(faults)}")
