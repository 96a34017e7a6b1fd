"""``meterctl backfill`` as it is typed: formats, bad lines, what it answers, and every way to be broken off."""

import gzip
import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from meterctl.cli import main
from meterctl.core.backfill.booker import CHUNK
from meterctl.core.stores.sqlite import SqliteStore
from meterctl.process.interrupts import ENDING
from tests.waiting import wait_for

EXAMPLES = Path(__file__).parents[2] / "examples"
NOW = "2026-11-22T10:00:00.000Z"


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.out)
        return document

    @property
    def tally(self) -> dict[str, int]:
        """What was counted, but for what came to nothing."""
        counts = {name: count for name, count in self.document.items() if isinstance(count, int)}
        return {name: count for name, count in counts.items() if count}

    @property
    def error(self) -> dict[str, str]:
        error: dict[str, str] = json.loads(self.err.splitlines()[-1])
        return error


Run = Callable[..., Ran]


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:{tmp_path / 'meterctl.db'}"


@pytest.fixture
def run(store: str, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str | Path, now: str = NOW) -> Ran:
        shared = ["--store", store, "--config", str(EXAMPLES / "meterctl.toml"), "--now", now, "--json"]
        code = main([*shared, "backfill", *map(str, words)])
        return Ran(code, *capsys.readouterr())

    return run


def journals(store: str, *without: str) -> dict[str, list[dict[str, Any]]]:
    """Every entry of every org, without these fields."""
    opened = SqliteStore(store.removeprefix("sqlite:"))
    try:
        return {
            org: [{name: value for name, value in entry.items() if name not in without} for entry in journal]
            for org in opened.journal.orgs()
            for journal in [opened.journal.read(org)]
        }
    finally:
        opened.close()


def booked(store: str) -> dict[str, list[dict[str, Any]]]:
    """The journals without what depends on when they were written."""
    return journals(store, "recorded_at", "prev", "hash")


def count(store: str) -> int:
    return sum(len(entries) for entries in journals(store).values())


def debits(numbers: Iterable[int], *, orgs: int = 7) -> str:
    lines = (
        {"op": "debit", "org": f"org-{number % orgs}", "units": 1, "ref": f"r{number}", "allow_debt": True}
        for number in numbers
    )
    return "".join(json.dumps(line) + "\n" for line in lines)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


# what goes in


#: Of the example's lines: one says an earlier time than the line before it, and one stands in it twice.
ASIDE = {"late": 1, "twice_in_file": 1}
COUNTED = {"lines": 15, "applied": 13, "replayed": 1, "refused": 1, **ASIDE}


def test_the_example_says_what_became_of_each_line(run: Run, store: str, tmp_path: Path) -> None:
    results = tmp_path / "results.ndjson"
    ran = run(EXAMPLES / "operations.ndjson", "--results", results)
    assert (ran.code, ran.tally) == (7, COUNTED)
    assert ran.document["schema"] == "meterctl.backfill.v1"
    told = rows(results)
    assert [row["line"] for row in told] == list(range(1, 16))
    assert {**told[2], "warnings": [warning["code"] for warning in told[2]["warnings"]]} == {
        "line": 3, "status": "applied", "reason": None, "org": "acme", "key": "run:run-1:main", "seq": 2,
        "balance": 11907, "warnings": ["clock_pinned"],
    }  # fmt: skip
    assert (told[6]["status"], told[6]["reason"], told[6]["seq"]) == ("refused", "insufficient_balance", None)
    assert "750 available" in told[6]["message"]
    assert (told[14]["status"], told[14]["reason"], told[14]["balance"]) == ("replayed", "twice_in_file", 11387)
    codes = [warning["code"] for row in told for warning in row["warnings"]]
    assert [code for code in codes if code not in ("new_org", "clock_pinned")] == ["took_effect_later"]


def test_the_example_as_csv_books_the_same(run: Run, store: str, tmp_path: Path) -> None:
    """The CSV has the example's lines but for the refused one, the repeated one and those with a plan."""
    ran = run(EXAMPLES / "operations.csv")
    assert (ran.code, ran.tally) == (0, {"lines": 11, "applied": 11, "late": 1})
    from_csv = booked(store)
    other = f"sqlite:{tmp_path / 'other.db'}"
    run("--store", other, EXAMPLES / "operations.ndjson")
    from_ndjson = booked(other)
    for one in (*from_csv["core"], *from_ndjson["core"]):
        assert one.pop("input")  # a time to expire at is an option that the CSV leaves out
    assert from_csv["acme"] == from_ndjson["acme"]
    assert from_csv["bolt"] == from_ndjson["bolt"]
    assert [entry["key"] for entry in from_csv["core"]] == [entry["key"] for entry in from_ndjson["core"][:3]]


@pytest.mark.parametrize("name", ["operations.ndjson", "operations.csv"])
@pytest.mark.parametrize("zipped", [False, True])
def test_standard_input_and_gzip_book_the_same(
    run: Run, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, zipped: bool
) -> None:
    data = (EXAMPLES / name).read_bytes()
    other = f"sqlite:{tmp_path / 'other.db'}"
    plain = run("--store", other, EXAMPLES / name)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(data) if zipped else data)))
    ran = run("-")
    assert (ran.code, ran.tally) == (plain.code, plain.tally)
    assert journals(store) == journals(other)


def test_lines_of_one_org_take_effect_in_file_order(run: Run, store: str, tmp_path: Path) -> None:
    path = tmp_path / "in.ndjson"
    path.write_text(debits(range(3 * CHUNK + 5), orgs=3))
    assert run(path).tally == {"lines": 3 * CHUNK + 5, "applied": 3 * CHUNK + 5}
    for org, entries in journals(store).items():
        numbers = [int(entry["key"].removeprefix("debit:r")) for entry in entries]
        assert numbers == [number for number in range(3 * CHUNK + 5) if f"org-{number % 3}" == org]
        assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))


def test_what_lines_leave_out_comes_from_the_options(run: Run, store: str, tmp_path: Path) -> None:
    path = tmp_path / "in.ndjson"
    adjust = {"op": "adjust", "org": "acme", "units": 1}
    lines = [
        {**adjust, "ref": "a"},
        {**adjust, "ref": "b", "at": None, "reason": None, "actor": None},
        {**adjust, "ref": "c", "at": "2026-11-03T00:00Z", "reason": "own", "actor": "own"},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run(path, "--actor", "job", "--reason", "moved", "--at", "2026-11-02").code == 0
    told = [(entry["actor"], entry["reason"], entry["at"][:10]) for entry in journals(store)["acme"]]
    assert told == [("job", "moved", "2026-11-02")] * 2 + [("own", "own", "2026-11-03")]


# bad lines and bad files


def test_a_bad_line_stops_nothing(run: Run, store: str, tmp_path: Path) -> None:
    path, results = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    bad = [
        (b"oops", "bad_json"),
        (b'{"op": "debit", "org": "acme", "units": 120.0, "ref": "x"}', "bad_number"),
        (b'{"op": "debit", "org": "acme", "units": 9007199254740992, "ref": "x"}', "bad_number"),
        (b'{"op": "debit", "org": "a b", "units": 1, "ref": "x"}', "bad_org"),
        (b'{"op": "debit", "org": "acme", "units": 1}', "missing_field"),
        (b'{"op": "debit", "org": "acme", "units": 1, "ref": "x", "unit": 2}', "bad_field"),
        (b'{"op": "steal", "org": "acme"}', "bad_op"),
        (b'{"op": "debit", "org": "acme", "units": 1, "ref": "caf\xe9"}', "bad_encoding"),
        (b'{"op": "undo", "org": "acme", "seq": 1}', "reason_required"),
        (b'{"op": "attribute", "org": "acme", "run": "x", "costs": {"llm": NaN}}', "bad_json"),
    ]
    good = debits(range(len(bad) + 1), orgs=1).encode().splitlines()
    lines = [line for pair in zip(good, [text for text, _ in bad], strict=False) for line in pair] + [good[-1], b""]
    path.write_bytes(b"\n".join(lines))
    ran = run(path, "--results", results)
    assert (ran.code, ran.tally) == (7, {"lines": 21, "applied": 11, "invalid": 10})
    told = rows(results)
    assert [row["line"] for row in told] == list(range(1, 22))
    assert [(row["status"], row["reason"]) for row in told[1::2]] == [("invalid", code) for _, code in bad]
    assert all(row["message"] for row in told[1::2])
    assert all(row["status"] == "applied" and "message" not in row for row in told[::2])
    assert count(store) == 11


def test_bad_lines_without_end_are_told_in_order(run: Run, store: str, tmp_path: Path) -> None:
    path, results = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    path.write_text(debits([1]) + "oops\n" * (2 * CHUNK + 3) + debits([2]) + "oops\n")
    ran = run(path, "--results", results)
    assert ran.tally == {"lines": 2 * CHUNK + 6, "applied": 2, "invalid": 2 * CHUNK + 4}
    assert [row["line"] for row in rows(results)] == list(range(1, 2 * CHUNK + 7))


def test_conflicts_and_refusals_are_told_apart(run: Run, tmp_path: Path) -> None:
    path, results = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    lines = [
        {"op": "adjust", "org": "acme", "units": 5, "ref": "a", "reason": "gift"},
        {"op": "adjust", "org": "acme", "units": 6, "ref": "a", "reason": "gift"},
        {"op": "debit", "org": "acme", "units": 9, "ref": "d"},
        {"op": "assign-plan", "org": "acme", "plan": "free", "ref": "p"},
        {"op": "assign-plan", "org": "acme", "plan": "free", "ref": "q"},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ran = run(path, "--results", results)
    assert ran.tally == {
        "lines": 5,
        "applied": 2,
        "conflict": 1,
        "refused": 1,
        "unchanged": 1,
        "twice_in_file": 1,
    }
    assert [row["status"] for row in rows(results)] == ["applied", "conflict", "refused", "applied", "unchanged"]
    assert [row["seq"] for row in rows(results)] == [1, 1, None, 2, None]


@pytest.mark.parametrize(
    ("data", "told"), [(b"op,org,unit\ndebit,acme,5\n", "unit"), (b"\xff\xfe{\0", "UTF-8"), (b"\x1f\x8b?", "input")]
)
def test_a_file_of_no_use_is_refused_before_anything_is_booked(
    run: Run, store: str, tmp_path: Path, data: bytes, told: str
) -> None:
    path = tmp_path / "input"
    path.write_bytes(data)
    ran = run(path, "--results", tmp_path / "results")
    assert (ran.code, ran.out, ran.error["code"]) == (2, "", "bad_file")
    assert told in ran.error["message"]
    assert ran.error["hint"]
    assert count(store) == 0
    assert not (tmp_path / "results").exists()


def test_results_go_to_a_file_of_their_own(run: Run, store: str, tmp_path: Path) -> None:
    path = tmp_path / "in.ndjson"
    path.write_text(debits(range(3)))
    for results in ("-", path, store.removeprefix("sqlite:"), tmp_path / "absent" / "results"):
        ran = run(path, "--results", results)
        assert (ran.code, ran.out, ran.error["code"]) == (2, "", "bad_results")
    assert path.read_text() == debits(range(3))
    assert count(store) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_results_that_cannot_be_written_end_it(run: Run, store: str, tmp_path: Path) -> None:
    path = tmp_path / "in.ndjson"
    path.write_text(debits(range(3)))
    ran = run(path, "--results", "/dev/full")
    assert (ran.code, ran.error["code"]) == (1, "results_unwritable")
    assert run(path).tally == {"lines": 3, "replayed": 3}


# again, dry, and cut off


def test_running_it_again_books_nothing(run: Run, store: str) -> None:
    run(EXAMPLES / "operations.ndjson")
    before = journals(store)
    ran = run(EXAMPLES / "operations.ndjson", now="2026-11-29T10:00:00Z")
    assert ran.tally == {"lines": 15, "replayed": 14, "refused": 1, "twice_in_file": 1}
    assert journals(store) == before


@pytest.mark.parametrize("name", ["operations.ndjson", "operations.csv"])
def test_a_file_cut_off_anywhere_is_finished_by_running_it_again(
    run: Run, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    data = (EXAMPLES / name).read_bytes()
    whole = f"sqlite:{tmp_path / 'whole.db'}"
    run("--store", whole, EXAMPLES / name)
    for length in range(len(data) // 7, len(data), len(data) // 7):
        # Every time a little more of it. Of CSV a pipe: in a file a last line without its end counts as complete.
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data[:length])))
        run("-")
    monkeypatch.undo()
    run(EXAMPLES / name)
    assert booked(store) == booked(whole)


def test_a_dry_run_answers_what_the_real_run_does(run: Run, store: str, tmp_path: Path) -> None:
    path, planned, real = tmp_path / "in.ndjson", tmp_path / "planned", tmp_path / "real"
    path.write_text((EXAMPLES / "operations.ndjson").read_text() + debits(range(CHUNK + 3)))
    ran = run(path, "--results", planned, "--dry-run")
    assert count(store) == 0
    assert ran.tally == {"lines": CHUNK + 18, "planned": CHUNK + 16, "replayed": 1, "refused": 1, **ASIDE}
    run(path, "--results", real)
    as_planned = planned.read_text().replace('"planned"', '"applied"')
    assert as_planned == real.read_text()


def backfill(store: str, *words: str | Path) -> list[str]:
    return [sys.executable, "-m", "meterctl", "--store", store, "--now", NOW, "--json", "backfill", *map(str, words)]


def start(store: str, *words: str | Path, **options: Any) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(backfill(store, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


@pytest.mark.parametrize("number", ENDING)
def test_an_interrupt_answers_all_that_is_booked(run: Run, store: str, tmp_path: Path, number: int) -> None:
    path, results = tmp_path / "in.ndjson", tmp_path / "results"
    path.write_text(debits(range(24_000)))
    process = start(store, path, "--results", results)
    wait_for(lambda: results.exists() and results.stat().st_size > 0, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    told = rows(results)
    assert 0 < len(told) < 24_000
    assert [row["line"] for row in told] == list(range(1, len(told) + 1))
    assert f"stopped after line {len(told)}; to go on, run the same again" in err.decode()
    assert count(store) == len(told)
    ran = run(path)
    assert ran.tally == {"lines": 24_000, "applied": 24_000 - len(told), "replayed": len(told)}


@pytest.mark.parametrize("number", ENDING)
def test_an_interrupt_while_it_waits_for_input(store: str, tmp_path: Path, number: int) -> None:
    results = tmp_path / "results"
    process = start(store, "-", "--results", results, stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(debits(range(CHUNK)).encode())
    process.stdin.flush()
    wait_for(lambda: count(store) == CHUNK, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"stopped after line {CHUNK}" in err.decode()
    assert len(rows(results)) == CHUNK


def test_ctrl_c_that_a_shell_told_to_ignore_is_ignored(store: str, tmp_path: Path) -> None:
    path, results = tmp_path / "in.ndjson", tmp_path / "results"
    path.write_text(debits(range(4 * CHUNK)))
    process = start(store, path, "--results", results, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    wait_for(results.exists, process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(rows(results)) == 4 * CHUNK


@pytest.mark.parametrize("after", [1, 3])
def test_kill_9_loses_nothing_that_was_answered(run: Run, store: str, tmp_path: Path, after: int) -> None:
    path, results = tmp_path / "in.ndjson", tmp_path / "results"
    path.write_text(debits(range(16_000)))
    process = start(store, path, "--results", results)
    wait_for(lambda: results.exists() and results.read_bytes().count(b"\n") >= after * CHUNK, process)
    process.kill()
    process.communicate(timeout=60)
    answered = [json.loads(line) for line in results.read_text().splitlines(keepends=True) if line.endswith("\n")]
    before = journals(store)
    keys = {(org, entry["key"]) for org, entries in before.items() for entry in entries}
    assert {(row["org"], row["key"]) for row in answered} <= keys
    ran = run(path)
    assert ran.tally == {"lines": 16_000, "applied": 16_000 - len(keys), "replayed": len(keys)}
    after_all = journals(store)
    assert all(after_all[org][: len(entries)] == entries for org, entries in before.items())


#: Runs a command and prints the most memory that a process of it took. To Linux a process begins with what the one held
#: that started it: this one holds little, pytest more than is allowed here.
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 2])
def test_a_million_lines_take_no_more_memory_than_some(store: str, tmp_path: Path, workers: int) -> None:
    """Not even the largest of the processes does."""
    path = tmp_path / "in.ndjson"
    with path.open("w") as file:
        for start_at in range(0, 1_000_000, 10_000):
            file.write(debits(range(start_at, start_at + 10_000), orgs=97))
    command = [sys.executable, "-c", MEASURE, *backfill(store, path, "--workers", str(workers))]
    taken = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    assert int(taken.stdout) < 250_000_000
