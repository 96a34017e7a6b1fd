"""Files that are written: never over the store's own, for nobody but their owner, and in the place they were opened."""

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from meterctl.cli import main
from meterctl.core.domain.canonical import canonical_text
from meterctl.core.domain.checks import check_ref
from meterctl.core.errors import BadInput, StoreUnusable
from meterctl.core.stores.sqlite import SqliteStore
from meterctl.process.clock import SystemClock
from tests.desk import Desk

Run = Callable[..., tuple[int, dict[str, Any]]]

CONFIG = """
[packs.small]
units = 1000
price_cents = 500
currency = "usd"
"""

#: Neither root nor the owner of anything here.
NOBODY = 65534


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a config, that all commands run in, on a store of their own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "meterctl.toml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.setenv("METERCTL_STORE", f"sqlite:{tmp_path}/data/j.db")
    monkeypatch.setenv("METERCTL_CONFIG", str(tmp_path / "meterctl.toml"))
    monkeypatch.setenv("METERCTL_ACTOR", "tester")
    return tmp_path


@pytest.fixture
def run(place: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line; its exit code, and the document that it printed."""

    def go(*argv: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = main([*argv, "--json"])
        said = capsys.readouterr()
        return code, json.loads(said.out or said.err.splitlines()[-1])

    return go


LINES = '{"op": "adjust", "org": "acme", "units": 5, "ref": "r1", "reason": "why"}\n'

WRITERS = [
    ("expire", "--all", "--metrics-file"),
    ("backfill", "in.ndjson", "--results"),
    ("verify", "--all", "--seal"),
    ("adjust", "acme", "1", "--ref", "p", "--reason", "why", "--plan-out"),
    ("events", "in.ndjson", "--unsigned", "--pending"),
    ("events", "in.ndjson", "--unsigned", "--rejects"),
]


def contents(directory: Path) -> dict[str, bytes]:
    """What is in the files of a store; in the one that holds its locks every reader leaves something."""
    return {file.name: b"" if file.name.endswith("-shm") else file.read_bytes() for file in directory.iterdir()}


@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer[-1])
def test_l107_the_stores_own_files_are_never_written_over(
    place: Path, run: Run, writer: tuple[str, ...], end: str
) -> None:
    (place / "in.ndjson").write_text(LINES, encoding="utf-8")
    with closing(SqliteStore(str(place / "data" / "j.db"))) as store:  # stays open: its log stays too
        desk = Desk(store, now="2026-11-20T00:00:00Z")
        assert desk.adjust(5, "a").applied
        link = place / "link"
        link.symlink_to(place / "data" / f"j.db{end}")
        before = contents(place / "data")
        for target in (place / "data" / f"j.db{end}", link):
            code, error = run(*writer, str(target))
            assert (code, "overwrite" in error["message"]) == (2, True), error
        assert contents(place / "data") == before
        assert desk.balance() == 5


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer[-1])
def test_l107_nor_is_another_store(place: Path, run: Run, writer: tuple[str, ...]) -> None:
    (place / "in.ndjson").write_text(LINES, encoding="utf-8")
    with closing(SqliteStore(str(place / "other.db"))) as other:
        Desk(other, now="2026-11-20T00:00:00Z").adjust(5, "a")
    before = (place / "other.db").read_bytes()
    assert run(*writer, str(place / "other.db"))[0] == 2
    assert (place / "other.db").read_bytes() == before


def as_reader(argv: list[str]) -> tuple[int, str]:
    """Run a command line in a process that may write to nothing: its exit code, and all that it said."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        sys.stdout = sys.stderr = os.fdopen(writing, "w")
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        code = main(argv)
        sys.stdout.flush()
        os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as said:
        text = said.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


READS = [
    *("balance acme", "ledger acme", "meter show acme", "explain acme"),
    *("orgs", "verify --all", "export --all", "doctor"),
]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("log", ["none", "open"])
def test_l108_who_may_only_read_the_file_can_read(log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METERCTL_NOW", raising=False)
    place = Path(mkdtemp(prefix="meterctl-test-"))
    path = place / "data" / "j.db"
    store = SqliteStore(str(path))
    assert Desk(store, now="2026-11-20T00:00:00Z").adjust(5, "a").applied
    other = sqlite3.connect(path)  # not closed before a fork, as ours are
    other.execute("SELECT count(*) FROM journal").fetchall()
    try:
        command = ["--store", f"sqlite:{path}", "--config", os.devnull, "--json"]
        write = ["adjust", "acme", "1", "--ref", "b", "--reason", "why", "--actor", "me", *command]
        for line in (*([*line.split(), *command] for line in READS), [*write, "--dry-run"]):
            main(line)  # whatever it imports, it may not be able to later
        if log == "none":
            other.close()
        store.close()
        for file in (place / "data").iterdir():
            file.chmod(0o444)
        for directory in (place / "data", place):
            directory.chmod(0o555)
        before = {file.name: file.read_bytes() for file in (place / "data").iterdir()}
        answers = {line: as_reader([*line.split(), *command]) for line in READS}
        assert {line: code for line, (code, _) in answers.items()} == dict.fromkeys(READS, 0), answers["doctor"]
        assert json.loads(answers["balance acme"][1])["balance"] == 5
        code, said = as_reader(write)
        assert (code, "read-only" in said or "read only" in said) == (10, True), said
        assert {file.name: file.read_bytes() for file in (place / "data").iterdir()} == before
    finally:
        other.close()
        for directory in (place, place / "data"):
            directory.chmod(0o755)
        shutil.rmtree(place)


def test_l109_what_is_made_is_its_owners_alone(place: Path, run: Run) -> None:
    (place / "in.ndjson").write_text(LINES, encoding="utf-8")
    before = os.umask(0o022)
    try:
        with closing(SqliteStore(str(place / "data" / "j.db"))) as store:
            Desk(store, now="2026-11-20T00:00:00Z").adjust(5, "a")
            made = {file.name: file.stat().st_mode & 0o777 for file in (place / "data").iterdir()}
        assert made == {"j.db": 0o600, "j.db-wal": 0o600, "j.db-shm": 0o600}
        assert (place / "data").stat().st_mode & 0o777 == 0o700
        for writer in WRITERS:
            target = place / writer[-1].strip("-")
            run(*writer, str(target))
            expected = 0o644 if "--metrics-file" in writer else 0o600  # the collector of metrics is another user
            assert target.stat().st_mode & 0o777 == expected, writer
    finally:
        os.umask(before)


def test_l109_a_file_that_is_written_again_keeps_its_rights(place: Path, run: Run) -> None:
    """Whoever scrapes metrics may be another user."""
    metrics = place / "sweep.prom"
    metrics.touch()
    metrics.chmod(0o644)
    assert run("expire", "--all", "--metrics-file", str(metrics))[0] == 0
    assert metrics.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("replaced", [False, True])
def test_l110_nothing_is_acknowledged_into_a_file_that_was_moved_away(tmp_path: Path, replaced: bool) -> None:
    path = tmp_path / "j.db"
    with closing(SqliteStore(str(path))) as store:
        desk = Desk(store)
        assert desk.adjust(5, "a").applied
        path.rename(tmp_path / "moved.db")
        if replaced:
            with closing(SqliteStore(str(tmp_path / "new.db"))) as other:
                Desk(other).adjust(7, "other")
            (tmp_path / "new.db").rename(path)
        with pytest.raises(StoreUnusable) as moved:
            desk.adjust(5, "b")
        assert (moved.value.code, moved.value.exit_code) == ("store_moved", 10)


def test_l110_a_file_that_was_moved_away_holds_all_that_was_acknowledged(tmp_path: Path) -> None:
    """SQLite would leave its log behind, and delete it as soon as the next process makes a new file."""
    path = tmp_path / "j.db"
    with closing(SqliteStore(str(path))) as store:
        assert Desk(store).adjust(5, "a").applied
        path.rename(tmp_path / "moved.db")
    with closing(SqliteStore(str(path))) as store:
        assert Desk(store).adjust(7, "other").applied
    with closing(SqliteStore(str(tmp_path / "moved.db"))) as store:
        assert Desk(store).balance() == 5


def test_l110_a_log_whose_file_is_gone_is_not_written_over(tmp_path: Path) -> None:
    with closing(SqliteStore(str(tmp_path / "j.db"))) as store:
        assert Desk(store).adjust(5, "a").applied
        for end in ("", "-wal"):  # as a process leaves them that is killed
            shutil.copy(tmp_path / f"j.db{end}", tmp_path / f"left.db{end}")
    (tmp_path / "left.db").rename(tmp_path / "moved.db")
    for empty in (False, True):
        if empty:
            (tmp_path / "left.db").touch()
        with closing(SqliteStore(str(tmp_path / "left.db"))) as store:
            uses: list[Callable[[Desk], object]] = [lambda desk: desk.adjust(7, "other"), Desk.balance]
            for use in uses:
                with pytest.raises(StoreUnusable) as lone:
                    use(Desk(store))
                assert (lone.value.code, lone.value.exit_code) == ("store_moved", 10)
                assert "left.db-wal" in lone.value.message
    with closing(SqliteStore(str(tmp_path / "left.db"), only_look=True)) as store, pytest.raises(StoreUnusable):
        store.examine(SystemClock())
    (tmp_path / "moved.db").rename(tmp_path / "left.db")
    with closing(SqliteStore(str(tmp_path / "left.db"))) as store:
        assert Desk(store).balance() == 5


def resealed(text: str, header_changes: dict[str, Any], told: dict[str, Any]) -> str:
    """A plan whose figures were edited, with a checksum that fits."""
    first, *lines = text.splitlines()
    header = json.loads(first) | header_changes
    changed = []
    for line in lines:
        step = json.loads(line)
        step["entries"][-1] |= told
        changed.append(json.dumps(step))
    body = "".join(f"{line}\n" for line in changed)
    del header["sha256"]
    found = sha256((body + canonical_text(header) + "\n").encode()).hexdigest()
    return canonical_text(header | {"sha256": found}) + "\n" + body


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ({"amount": -1}, {"amount": -1, "balance": 999}),
        ({}, {"balance": 999}),
        ({"amount": -1}, {}),
        ({}, {"kind": "adjustment"}),
        ({"entries": 9}, {}),
    ],
)
def test_l111_an_edited_plan_books_nothing(place: Path, run: Run, header: dict[str, Any], told: dict[str, Any]) -> None:
    assert run("adjust", "acme", "1000", "--ref", "a", "--reason", "why")[0] == 0
    assert run("debit", "acme", "900", "--ref", "d", "--plan-out", "plan.ndjson")[0] == 0
    whole = (place / "plan.ndjson").read_text(encoding="utf-8")
    (place / "plan.ndjson").write_text(resealed(whole, header, told), encoding="utf-8")
    assert run("apply", "plan.ndjson")[0] in (2, 6)
    assert run("balance", "acme")[1]["balance"] == 1000
    (place / "plan.ndjson").write_text(resealed(whole, {}, {}), encoding="utf-8")
    assert run("apply", "plan.ndjson")[0] == 0
    assert run("balance", "acme")[1]["balance"] == 100


def test_l111_nobody_approves_his_own_plan_by_another_name_in_its_header(place: Path, run: Run) -> None:
    (place / "meterctl.toml").write_text(CONFIG + "[limits]\napproval_over = 500\n", encoding="utf-8")
    assert run("adjust", "acme", "900", "--ref", "a", "--reason", "why", "--plan-out", "plan.ndjson")[0] == 0
    whole = (place / "plan.ndjson").read_text(encoding="utf-8")
    (place / "plan.ndjson").write_text(resealed(whole, {"actor": "boss"}, {}), encoding="utf-8")
    code, document = run("apply", "plan.ndjson")
    assert (code, document["problems"][0]["reason"]) == (4, "needs_approval")
    assert run("balance", "acme")[1]["balance"] == 0
    assert run("apply", "plan.ndjson", "--actor", "lee")[0] == 0
    assert run("ledger", "acme")[1]["entries"][0]["approved_by"] == "lee"


@pytest.mark.parametrize(
    "ref", ["cafe\u0301", "a\u200bb", "a\u2060", "\u202eabc", "x\ufe0f", "\u3164", "a\u00ad", "\u115f"]
)
def test_l115_two_refs_that_look_the_same_are_not_both_taken(ref: str, run: Run) -> None:
    with pytest.raises(BadInput):
        check_ref(ref)
    assert run("adjust", "acme", "5", "--ref", ref, "--reason", "why")[0] == 2
    assert run("meter", "attribute", "acme", ref, "--units", "5")[0] == 2
    assert run("credit-pack", "acme", "small", "--session", ref)[0] == 2
    assert run("balance", "acme")[1]["balance"] == 0


@pytest.mark.parametrize("ref", ["café", "größe", "王", "cs_test_1", "Ω", "ñ"])
def test_l115_letters_that_can_be_seen_are_taken(ref: str) -> None:
    assert check_ref(ref) == ref
