"""A service in one process: guarded debits by `meterctl.connect`, and whole runs of the example service over HTTP."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import meterctl
from bench.benches import Home, Sizes
from bench.figures import Figure
from bench.places import Place, opened
from bench.stories import book, name
from meterctl.core.domain.operations import Adjust

SERVICE = Path(__file__).parent.parent / "examples" / "service.py"

#: Requests at once, each about an org of its own, and the seconds after which one is given up.
CALLERS, PATIENCE = 8, 60.0


def service(place: Place, sizes: Sizes) -> Iterator[Figure]:
    """Book on MongoDB as a service does: by one client in turn, and by requests at once that each hold, then debit."""
    if place.kind != "mongod":
        return
    store, home = opened(place, "service"), Home()
    book(store, [Adjust(name(number), 2**40, "grant", None) for number in range(CALLERS)])
    store.close()
    config = home.path / "meterctl.toml"
    with meterctl.connect(place.url("service"), config=str(config), actor="bench") as client:
        began = time.perf_counter()
        for number in range(sizes.calls):
            assert client.debit(name(0), 1, ref=f"ref-{number}").applied
        rate = sizes.calls / (time.perf_counter() - began)
    yield Figure("service", place.kind, "debits by one client, one after the other", rate, "/s", bound=">= 200")
    with _serving(place, config) as port, ThreadPoolExecutor(CALLERS) as pool:
        runs = [(caller, number) for number in range(sizes.calls) for caller in range(CALLERS)]
        began = time.perf_counter()
        codes = list(pool.map(lambda run: _run(port, *run), runs))
        rate = len(runs) / (time.perf_counter() - began)
    assert set(codes) == {200}
    yield Figure("service", place.kind, "runs over HTTP, a hold and a debit each", rate, "/s", bound=">= 200")
    home.close()


def _run(port: int, caller: int, number: int) -> int:
    """Ask the service for one run; return the status of its answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("POST", "/run", json.dumps({"org": name(caller), "run": f"run-{number}", "prompt": "x" * 9}))
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


@contextmanager
def _serving(place: Place, config: Path) -> Iterator[int]:
    """Run the example service in a process of its own; yield its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    options = ["--store", place.url("service"), "--config", str(config), "--port", str(port)]
    process = subprocess.Popen([sys.executable, str(SERVICE), *options])
    try:
        _await(port)
        yield port
    finally:
        process.kill()
        process.wait(PATIENCE)


def _await(port: int) -> None:
    """Wait until the service listens."""
    end = time.monotonic() + PATIENCE
    while True:  # bounded: by the time
        try:
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return
