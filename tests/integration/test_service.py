"""The example service over real HTTP, and the bridge for other languages through real pipes; on each store."""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

import meterctl
from meterctl.api import Client
from tests.mongod import own_database
from tests.programs import needed

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "mongod"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:{tmp_path}/meterctl.db"
        return
    with own_database() as uri:
        yield uri


@pytest.fixture
def meter(url: str) -> Iterator[Client]:
    with meterctl.connect(url, config=os.devnull, actor="service") as client:
        yield client


@pytest.fixture
def service(meter: Client) -> Iterator[str]:
    """The address of the example service."""
    spec = spec_from_file_location("service", ROOT / "examples" / "service.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    server = module.serve(meter, 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join(30)


def call(address: str, document: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    data = None if document is None else json.dumps(document).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(address, data), timeout=60) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def run(service: str, name: str, prompt: str = "x" * 20, org: str = "acme") -> tuple[int, dict[str, Any]]:
    return call(f"{service}/run", {"org": org, "run": name, "prompt": prompt})


def test_the_service_reserves_meters_and_refuses(service: str, meter: Client) -> None:
    assert run(service, "r0")[0] == 402
    meter.adjust("acme", 60, ref="a1", reason="a gift")
    assert run(service, "r1") == (200, {"status": "applied", "units": 20, "balance": 40})
    code, refused = run(service, "r2")
    assert (code, refused["error"]) == (402, "insufficient_balance")
    assert call(f"{service}/balance/acme") == (200, {"balance": 40})
    meter.adjust("acme", 10, ref="a2", reason="a gift")
    assert run(service, "r3", "fail")[0] == 503
    assert run(service, "r4")[0] == 200
    assert run(service, "bad run")[0] == 400
    assert meter.balance("acme").balance == 30


def test_many_requests_at_once_never_spend_the_same_units(service: str, meter: Client) -> None:
    meter.adjust("acme", 110, ref="a1", reason="a gift")
    codes: Counter[int] = Counter()

    def work(thread: int) -> None:
        codes.update(run(service, f"{thread}-{number}")[0] for number in range(3))

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert set(codes) == {200, 402}
    assert meter.balance("acme").balance == 110 - 20 * codes[200]
    assert codes[200] <= 4  # the fifth would have found less than it has to reserve
    assert "holds" not in meter.ledger("acme", all_kinds=True, limit=1).entries[0]["state"]  # type: ignore[index]


@pytest.fixture
def environment(url: str, tmp_path: Path) -> dict[str, str]:
    meterctl_command = tmp_path / "meterctl"
    meterctl_command.write_text(f'#!/bin/sh\nexec {sys.executable} -m meterctl "$@"\n')
    meterctl_command.chmod(0o755)
    known = {name: value for name, value in os.environ.items() if not name.startswith("METERCTL_")}
    own = {"METERCTL_STORE": url, "METERCTL_CONFIG": os.devnull, "METERCTL": str(meterctl_command)}
    return {**known, **own, "PYTHONPATH": str(ROOT)}


def test_each_line_is_answered_before_the_next_is_sent(environment: dict[str, str], meter: Client) -> None:
    words = [sys.executable, "-m", "meterctl", "backfill", "-", "--results", "-", "--line-buffered", "--json"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
    ) as bridge:
        assert bridge.stdin is not None
        assert bridge.stdout is not None

        def ask(line: str) -> dict[str, Any]:
            assert bridge.stdin is not None
            assert bridge.stdout is not None
            bridge.stdin.write(f"{line}\n")
            bridge.stdin.flush()
            answer: dict[str, Any] = json.loads(bridge.stdout.readline())
            return answer

        assert ask('{"op": "adjust", "org": "acme", "units": 9, "ref": "a1", "reason": "why"}')["balance"] == 9
        assert meter.balance("acme").balance == 9  # booked, and not only answered
        assert ask("nonsense")["status"] == "invalid"
        for number in range(5):
            assert ask(f'{{"op": "debit", "org": "acme", "units": 1, "ref": "r{number}"}}')["status"] == "applied"
        assert ask('{"op": "debit", "org": "acme", "units": 1, "ref": "r0"}')["status"] == "replayed"
        bridge.stdin.close()
        assert bridge.wait(60) == 7
        assert bridge.stderr is not None
        summary = json.loads(bridge.stderr.read())
        assert (summary["schema"], summary["lines"], summary["applied"]) == ("meterctl.backfill.v1", 8, 6)
        assert bridge.stdout.read() == ""


def test_node_books_through_the_bridge(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [needed("node", "nodejs"), str(ROOT / "examples" / "bridge.mjs")],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == ["100", "70", "insufficient_balance", "replayed", "7"]


def test_a_client_books_two_hundred_debits_a_second(meter: Client) -> None:
    """Far more where the machine is quiet; the bound only catches a mistake of a kind, such as connecting each time."""
    meter.adjust("acme", 1000, ref="a1", reason="why")
    began = time.process_time()
    for number in range(200):
        assert meter.debit("acme", 1, ref=f"r{number}").applied
    assert time.process_time() - began < 1.5
