"""``meterctl backfill --workers``: what several processes book and answer is what one does, however they end."""

import gzip
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from meterctl.cli import main
from meterctl.commands import backfill as command
from meterctl.core.backfill.booker import CHUNK
from meterctl.core.stores.url import open_store
from meterctl.process.interrupts import ENDING
from tests.desk import contents
from tests.mongod import own_database
from tests.waiting import wait_for, workers_of

NOW = "2026-11-22T10:00:00.000Z"

CONFIG = """\
allow_time_travel = true
[packs.small]
units = 1000
price_cents = 500
currency = "usd"
expiry_days = 90
"""


@pytest.fixture(params=["sqlite", "mongod"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Names one more store that nobody has used yet, on each kind that a user can choose."""
    with ExitStack() as stack:

        def new() -> str:
            if request.param == "sqlite":
                return f"sqlite:{tmp_path}/{uuid.uuid4().hex}.db"
            return stack.enter_context(own_database())

        yield new


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:{tmp_path / 'meterctl.db'}"


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meterctl.toml").write_text(CONFIG)
    monkeypatch.setenv("METERCTL_CONFIG", str(tmp_path / "meterctl.toml"))
    monkeypatch.setenv("METERCTL_ACTOR", "job")


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that little input takes many rounds."""
    monkeypatch.setattr(command, "CHUNK", 20)


class Ran(NamedTuple):
    code: int
    summary: dict[str, Any]
    results: list[dict[str, Any]]
    error: dict[str, Any]


Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process."""

    def run(store: str, file: str | Path, *words: str) -> Ran:
        results = tmp_path / "results"
        shared = ["--store", store, "--now", NOW, "--json"]
        code = main([*shared, "backfill", str(file), "--results", str(results), *words])
        out, err = capsys.readouterr()
        summary = json.loads(out) if out else {}
        summary.pop("seconds", None)
        return Ran(
            code, summary, rows(results) if results.exists() else [], {} if out else json.loads(err.splitlines()[-1])
        )

    return run


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def journals(store: str) -> dict[str, list[dict[str, Any]]]:
    opened = open_store(store)
    try:
        found: dict[str, list[dict[str, Any]]] = contents(opened)["journal"]
        return found
    finally:
        opened.close()


def count(store: str) -> int:
    return sum(map(len, journals(store).values()))


def operations(lines: int) -> list[dict[str, Any]]:
    """Of several orgs, with what is applied, replayed, refused and in conflict."""
    found: list[dict[str, Any]] = []
    for number in range(lines):
        org = f"org-{number % 7}"
        match number % 5:
            case 0:
                found.append({"op": "credit-pack", "org": org, "pack": "small", "session": f"cs_{number}"})
            case 1:
                found.append({"op": "debit", "org": org, "units": 3, "ref": f"d{number}"})
            case 2:
                found.append({"op": "debit", "org": org, "units": 10**6, "ref": f"big{number}"})
            case 3:
                found.append({"op": "adjust", "org": org, "units": number, "ref": f"same-{number % 3}"})
            case _:
                found.append(
                    found[-4] if number % 2 else {"op": "attribute", "org": org, "run": f"r{number}", "units": 2}
                )
    return found


def ndjson(lines: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def debits(orgs: int, lines: int) -> bytes:
    return ndjson(
        [
            {"op": "debit", "org": f"org-{number % orgs}", "units": 1, "ref": f"r{number}", "allow_debt": True}
            for number in range(lines)
        ]
    )


def mixed() -> bytes:
    """With lines in between that hold no operation, and some that name no org."""
    bad = (
        b'oops\n\n{"op": "steal", "org": "org-1"}\n{"op": "debit"}\n'
        b'{"op": "debit", "org": 5, "units": 1.50, "ref": "x"}\n'
        b'{"op": "debit", "org": "org-2", "units": 1.50, "ref": "x"}\n'
    )
    good = ndjson(operations(300)).splitlines(keepends=True)
    return b"".join(line + (bad if number % 9 == 4 else b"") for number, line in enumerate(good)) + bad


def csv() -> bytes:
    names = ["op", "org", "units", "ref", "pack", "session", "run"]
    cells = [",".join(str(line.get(name, "")) for name in names) for line in operations(200)]
    return "\n".join([",".join(names), *cells, "not,enough", ""]).encode()


# -- the same as one process


@pytest.mark.usefixtures("small_chunks")
def test_several_processes_book_and_answer_what_one_does(
    run: Run, new_store: Callable[[], str], tmp_path: Path
) -> None:
    file = tmp_path / "in.ndjson"
    file.write_bytes(mixed())
    said = ("--reason", "moved", "--at", "2026-11-20")
    stores = [new_store() for _ in range(3)]
    one, *several = [run(store, file, *said, "--workers", str(n)) for n, store in enumerate(stores, 1)]
    tally = {name: one.summary[name] for name in ("applied", "replayed", "refused", "conflict", "invalid")}
    assert min(tally.values()) > 10, tally
    assert several == [one, one]
    journal = journals(stores[0])
    assert journal["org-1"][0]["at"] == "2026-11-20T00:00:00.000Z"
    assert [journals(store) for store in stores[1:]] == [journal] * 2
    again = [run(store, file, *said, "--workers", n) for store, n in ((stores[0], "1"), (stores[2], "2"))]
    assert again[0] == again[1]
    assert again[0].summary["replayed"] == one.summary["replayed"] + one.summary["applied"]
    assert journals(stores[0]) == journals(stores[2])


INPUTS: dict[str, Callable[[], bytes]] = {
    "in.csv": csv,
    "in.csv.gz": lambda: gzip.compress(csv()),
    "in.ndjson.gz": lambda: gzip.compress(mixed()),
    "cut.ndjson.gz": lambda: gzip.compress(mixed())[:-200],
    "one-org.ndjson": lambda: debits(1, 150),
    "org-by-org.ndjson": lambda: ndjson(sorted(operations(200), key=lambda line: str(line["org"]))),
    "empty.ndjson": lambda: b"",
    "bad.ndjson": lambda: b"oops\n" * 150,
}


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("name", INPUTS)
def test_every_input_is_answered_as_by_one_process(run: Run, store: str, tmp_path: Path, name: str) -> None:
    file, other = tmp_path / name, f"sqlite:{tmp_path / 'other.db'}"
    file.write_bytes(INPUTS[name]())
    one = run(other, file)
    assert run(store, file, "--workers", "2") == one
    assert journals(store) == journals(other)


@pytest.mark.usefixtures("small_chunks")
def test_standard_input(run: Run, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(mixed())))
    ran = run(store, "-", "--workers", "2")
    assert (ran.code, ran.summary["applied"]) == (7, count(store))
    assert [row["line"] for row in ran.results] == sorted(row["line"] for row in ran.results)


def test_a_dry_run_and_a_plan_book_nothing(run: Run, store: str, tmp_path: Path) -> None:
    file, plan = tmp_path / "in.ndjson", tmp_path / "plan"
    file.write_bytes(ndjson(operations(50)))
    one = run(store, file, "--dry-run")
    assert one.summary["planned"] > 20
    assert run(store, file, "--dry-run", "--workers", "2") == one
    assert run(store, file, "--plan-out", str(plan), "--workers", "2").summary == one.summary
    assert plan.exists()
    assert count(store) == 0


@pytest.mark.parametrize("number", ["0", "65", "two"])
def test_there_is_a_most_of_processes(
    store: str, tmp_path: Path, number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.ndjson").write_bytes(debits(1, 1))
    assert main(["--store", store, "--json", "backfill", str(tmp_path / "in.ndjson"), "--workers", number]) == 2
    assert json.loads(capsys.readouterr().err)["code"] == "bad_number"


# -- failures


def test_a_store_out_of_reach_is_told_as_by_one_process(run: Run, tmp_path: Path) -> None:
    file, nowhere = tmp_path / "in.ndjson", "mongodb://127.0.0.1:1/none?timeoutMS=300"
    file.write_bytes(debits(7, 50))
    one, two = (run(nowhere, file, "--workers", number) for number in "12")
    assert (two.code, two.error["code"], two.error["hint"]) == (10, "store_unreachable", one.error["hint"])
    assert two == one
    assert not (tmp_path / "results").exists()  # the store is asked first


@pytest.mark.usefixtures("small_chunks")
def test_what_stands_before_a_failure_is_answered(run: Run, store: str, tmp_path: Path) -> None:
    file = tmp_path / "in.ndjson"
    take_nothing_for(store, "full")
    last = [{"op": "debit", "org": "full", "units": 1, "ref": "x", "allow_debt": True}]
    file.write_bytes(debits(7, 250) + ndjson(last) + debits(5, 700))
    one, two = (run(store, file, "--workers", number) for number in "12")
    assert one.code == 10
    assert two.error == one.error
    assert 150 < len(two.results) <= 250
    assert [row["line"] for row in two.results] == list(range(1, len(two.results) + 1))


def take_nothing_for(store: str, org: str) -> None:
    """Let the store refuse every entry of one org."""
    opened = open_store(store)
    opened.init()
    opened.close()
    connection = sqlite3.connect(store.removeprefix("sqlite:"))
    refuse = f"WHEN NEW.org = '{org}' BEGIN SELECT RAISE(ABORT, 'no room'); END"
    connection.execute(f"CREATE TRIGGER refuse BEFORE INSERT ON journal {refuse}")
    connection.close()


# -- broken off


class Started(NamedTuple):
    """A run as a process of its own, with a group of its own, as a terminal makes them."""

    process: "subprocess.Popen[bytes]"
    results: Path

    def signal(self, number: int) -> None:
        """What a terminal does on Ctrl-C: it reaches all processes of the command."""
        os.killpg(self.process.pid, number)

    def end(self) -> tuple[int, list[str]]:
        _, err = self.process.communicate(timeout=60)
        return self.process.returncode, err.decode().splitlines()

    def workers(self) -> list[int]:
        return workers_of(self.process.pid)

    def answered(self) -> bool:
        return self.results.exists() and self.results.stat().st_size > 0


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


LINES = 10 * CHUNK


def start(store: str, file: str, results: Path, **options: Any) -> "subprocess.Popen[bytes]":
    """A backfill in two processes."""
    argv = [sys.executable, "-m", "meterctl", "--store", store, "--now", NOW, "--json", "backfill", file]
    argv += ["--results", str(results), "--workers", "2"]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, **options)


@pytest.fixture
def started(store: str, tmp_path: Path) -> Iterator[Started]:
    (tmp_path / "in.ndjson").write_bytes(debits(50, LINES))
    process = start(store, str(tmp_path / "in.ndjson"), tmp_path / "told")
    yield Started(process, tmp_path / "told")
    process.kill()
    process.communicate()


def finish(run: Run, store: str, tmp_path: Path, *, told: list[dict[str, Any]]) -> int:
    """Run it again, which finds all booked that was ``told``; how many lines were replayed."""
    assert [row["line"] for row in told] == list(range(1, len(told) + 1))
    again = run(store, tmp_path / "in.ndjson", "--workers", "2")
    assert again.code == 0
    assert [row["status"] for row in again.results[: len(told)]] == ["replayed"] * len(told)
    assert again.summary["applied"] + again.summary["replayed"] == LINES == count(store)
    replayed: int = again.summary["replayed"]
    return replayed


def test_a_process_that_is_killed_is_told_and_the_run_finished_by_the_next(
    run: Run, store: str, tmp_path: Path, started: Started
) -> None:
    wait_for(started.answered)
    workers = started.workers()
    os.kill(workers[-1], signal.SIGKILL)
    code, err = started.end()
    assert (code, json.loads(err[-1])["code"], len(err)) == (1, "worker_died", 1)
    assert len(workers) == 2
    assert gone(workers)
    finish(run, store, tmp_path, told=rows(started.results))


@pytest.mark.parametrize("number", ENDING)
def test_an_interrupt_answers_all_that_is_booked(
    run: Run, store: str, tmp_path: Path, started: Started, number: signal.Signals
) -> None:
    wait_for(started.answered)
    started.signal(number)
    code, err = started.end()
    told = rows(started.results)
    assert (code, len(err), 0 < len(told) < LINES) == (130, 2, True)
    assert err[0] == f"stopped after line {len(told)}; to go on, run the same again"
    assert count(store) == len(told)
    assert finish(run, store, tmp_path, told=told) == len(told)


def test_ctrl_c_while_it_waits_for_input(store: str, tmp_path: Path) -> None:
    process = start(store, "-", tmp_path / "told", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(debits(7, 2 * CHUNK))
    process.stdin.flush()
    wait_for(lambda: count(store) == 2 * CHUNK)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"stopped after line {2 * CHUNK};" in err.decode()
    assert len(rows(tmp_path / "told")) == 2 * CHUNK


@pytest.mark.parametrize("number", ENDING)
def test_an_interrupt_while_the_processes_start(started: Started, number: signal.Signals) -> None:
    wait_for(started.workers)
    started.signal(number)
    code, err = started.end()
    assert (code, json.loads(err[-1])["code"], len(err)) == (130, "interrupted", 2)
    assert err[0].startswith("stopped after line ")


def test_a_second_ctrl_c_interrupts(run: Run, store: str, tmp_path: Path, started: Started) -> None:
    wait_for(started.answered)
    workers = started.workers()
    started.signal(signal.SIGINT)
    time.sleep(0.05)
    started.signal(signal.SIGINT)
    code, err = started.end()
    assert (code, json.loads(err[-1])["code"]) == (130, "interrupted")
    assert len(workers) == 2
    assert gone(workers)
    whole = [line for line in started.results.read_text().splitlines(keepends=True) if line.endswith("\n")]
    finish(run, store, tmp_path, told=list(map(json.loads, whole)))


def test_processes_of_a_run_that_was_killed_end_by_themselves(started: Started) -> None:
    wait_for(started.answered)
    workers = started.workers()
    started.process.kill()
    assert len(workers) == 2
    wait_for(lambda: gone(workers))
