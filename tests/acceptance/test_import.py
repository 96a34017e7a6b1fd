"""Journals move: from one store to another, out of a backup, and on from where a store has them."""

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.acceptance.shell import NOW, Shell, conforms
from tests.acceptance.test_schemas import LATER, STORY
from tests.mongod import own_database


@pytest.fixture(params=["sqlite", "mongod"])
def booked(request: pytest.FixtureRequest, make_shell: Callable[[str], Shell], tmp_path: Path) -> Iterator[Shell]:
    """A store with entries of every kind, orgs, plans, and a payment that moved from one org to another."""
    with own_database() if request.param == "mongod" else nullcontext(f"sqlite:{tmp_path}/meterctl.db") as url:
        shell = make_shell(url)
        shell.all(*STORY, "expire --all", now=LATER)
        shell.all("adjust zeta 5 --ref a1 --reason why", "credit-pack zeta small --session moved", now=LATER)
        shell.all("undo zeta 2 --reason moved --yes", "credit-pack abc small --session moved", now=LATER)
        yield shell


@pytest.fixture
def other(booked: Shell, tmp_path: Path) -> Iterator[str]:
    """The URL of a second store of the other kind, with nothing in it."""
    if booked.store.startswith("mongodb"):
        yield f"sqlite:{tmp_path}/other.db"
        return
    with own_database() as uri:
        yield uri


def export(run: Shell, words: str = "--all", store: str = "") -> str:
    answer = run(f"{f'--store {store} ' if store else ''}export {words}", now=LATER)
    assert answer.code == 0, answer
    return answer.out


def test_l95_an_export_goes_into_another_store_and_comes_out_the_same(booked: Shell, other: str) -> None:
    file = booked.file("backup.ndjson", export(booked, "--all --plans"))
    done = booked.doc(f"--store {other} import {file}", now=LATER)
    lines = export(booked).splitlines()
    assert (done["status"], done["entries"], done["imported"], done["known"]) == ("applied", len(lines), len(lines), 0)
    orgs, plans = {json.loads(line)["org"] for line in lines}, booked.doc("plan show pro")["versions"]
    assert (done["orgs"], done["plans"], done["missing_plans"]) == (len(orgs), len(plans), [])
    assert export(booked, store=other) == export(booked)
    assert export(booked, "--all --plans", store=other) == export(booked, "--all --plans")
    assert booked.doc(f"--store {other} verify --all", now=LATER)["ok"]
    for line in ("plan show pro", "orgs", "balance acme", "meter show acme", "ledger --session moved", "expire --all"):
        here, there = booked.doc(line, now=LATER), booked.doc(f"--store {other} {line}", now=LATER)
        assert {**here, "seconds": 0, "store": 0} == {**there, "seconds": 0, "store": 0}, line
    again = booked.doc(f"--store {other} import {file}", now=LATER)
    assert (again["status"], again["imported"], again["known"], again["plans"]) == ("unchanged", 0, len(lines), 0)


def test_the_store_goes_on_where_the_old_one_ended(booked: Shell, other: str) -> None:
    booked.doc(f"--store {other} import {booked.file('backup.ndjson', export(booked, '--all --plans'))}", now=LATER)
    repeat = booked.doc(f"--store {other} debit acme 30 --ref r1", now=LATER)
    assert repeat["status"] == "replayed"
    refused = booked.json(f"--store {other} credit-pack bolt small --session moved", now=LATER)
    assert (refused.code, refused.doc["reason"]) == (4, "session_claimed")
    assert booked.doc(f"--store {other} credit-pack bolt small --session s77", now=LATER)["applied"]


def test_a_store_is_read_directly(booked: Shell, other: str) -> None:
    done = booked.doc(f"--store {other} import {booked.store}", now=LATER)
    assert (done["status"], done["plans"]) == ("applied", 2)
    assert export(booked, "--all --plans", store=other) == export(booked, "--all --plans")
    same = booked.json(f"import {booked.store}", now=LATER)
    assert (same.code, same.error["code"]) == (2, "usage")


def test_gzip_and_standard_input_are_read(booked: Shell, other: str, tmp_path: Path) -> None:
    (tmp_path / "backup.gz").write_bytes(gzip.compress(export(booked).encode()))
    assert booked.doc(f"--store {other} import {tmp_path}/backup.gz", now=LATER)["imported"]
    again = booked.json(f"--store {other} import -", now=LATER, stdin=export(booked))
    assert (again.code, again.doc["status"]) == (0, "unchanged")


def test_a_store_that_has_the_beginning_goes_on_from_there(booked: Shell, other: str) -> None:
    early = [line for line in export(booked).splitlines() if json.loads(line)["seq"] <= 4]
    booked.doc(f"--store {other} import {booked.file('early.ndjson', chr(10).join(early))}", now=LATER)
    file = booked.file("backup.ndjson", export(booked))
    planned = booked.doc(f"--store {other} import {file} --dry-run", now=LATER)
    assert (planned["status"], planned["known"]) == ("planned", len(early))
    assert len(export(booked, store=other).splitlines()) == len(early)
    assert booked.doc(f"--store {other} import {file}", now=LATER)["known"] == len(early)
    assert export(booked, store=other) == export(booked)
    shorter = booked.doc(f"--store {other} import early.ndjson", now=LATER)
    assert (shorter["status"], shorter["known"]) == ("unchanged", len(early))


def test_an_export_of_what_is_new_goes_on_from_the_last_one(booked: Shell, other: str) -> None:
    booked.doc(f"--store {other} import {booked.file('first.ndjson', export(booked, '--all --plans'))}", now=LATER)
    later = "2026-12-02T08:00:00.000Z"
    booked.all("debit abc 1 --ref late", "refund acme --session s1 --cents 5 --refund-id late", now=later)
    booked.all("adjust new 3 --ref a --reason why", now=later)
    new = booked("export --all --since 2026-12-01", now=later).out
    assert {json.loads(line)["org"] for line in new.splitlines()} == {"abc", "acme", "new"}
    assert len(new.splitlines()) < 8
    file = booked.file("new.ndjson", new)
    done = booked.doc(f"--store {other} import {file}", now=later)
    assert (done["status"], done["entries"], done["known"]) == ("applied", len(new.splitlines()), 0)
    assert export(booked, store=other) == export(booked)
    assert booked.doc(f"--store {other} verify --all", now=later)["ok"]
    assert booked.doc(f"--store {other} import {file}", now=later)["status"] == "unchanged"


def test_what_is_new_needs_what_came_before(booked: Shell, other: str) -> None:
    booked.all("debit abc 1 --ref late", now="2026-12-02T08:00:00.000Z")
    file = booked.file("new.ndjson", booked("export --all --since 2026-12-01", now="2026-12-03T08:00:00.000Z").out)
    refused = booked.json(f"--store {other} import {file}", now="2026-12-03T08:00:00.000Z")
    assert (refused.code, refused.error["code"]) == (8, "unsound_export")
    assert export(booked, store=other) == ""


SPOILT: dict[str, Callable[[list[str]], list[str]]] = {
    "a digit": lambda lines: [lines[0].replace('"balance":1000', '"balance":1001'), *lines[1:]],
    "a line is gone": lambda lines: lines[:2] + lines[3:],
    "lines swapped": lambda lines: [lines[1], lines[0], *lines[2:]],
    "a line twice": lambda lines: [lines[0], *lines],
    "half a line": lambda lines: [*lines[:-1], lines[-1][:50]],
    "a word between": lambda lines: [lines[0], "nonsense", *lines[1:]],
    "a plan of another shape": lambda lines: ['{"schema":"meterctl.exported-plan.v1","plan":"p"}', *lines],
    "an org in two places": lambda lines: [*lines, lines[0]],
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_a_damaged_export_brings_nothing_in(run: Shell, spoil: Callable[[list[str]], list[str]]) -> None:
    run.all("credit-pack abc small --session s0", "debit abc 1 --ref r0", *STORY)
    file = run.file("backup.ndjson", "\n".join(spoil(export(run).splitlines())))
    refused = run.json(f"--store sqlite:other.db import {file}", now=LATER)
    assert (refused.code, refused.error["code"]) == (8, "unsound_export")
    assert "verify --file" in refused.error["hint"]
    assert export(run, store="sqlite:other.db") == ""
    assert run.doc("--store sqlite:other.db plan list", now=LATER)["plans"] == []


@pytest.mark.parametrize(
    "line",
    ["adjust acme 5 --ref z --reason why", "adjust bolt 5 --ref z --reason why", "credit-pack q small --session s1"],
)
def test_a_store_with_something_else_is_left_alone(booked: Shell, other: str, line: str) -> None:
    booked.all(f"--store {other} {line}", now=NOW)
    before = export(booked, store=other)
    refused = booked.json(f"--store {other} import {booked.file('backup.ndjson', export(booked))}", now=LATER)
    assert (refused.code, refused.error["code"]) == (4, "other_journal")
    assert export(booked, store=other) == before
    assert booked.doc(f"--store {other} verify --all", now=LATER)["ok"]


def test_other_terms_under_the_same_plan_version_are_refused(run: Shell) -> None:
    run.all("plan publish pro --quota 5", "adjust acme 5 --ref a --reason why")
    run.all("--store sqlite:other.db plan publish pro --quota 6")
    file = run.file("backup.ndjson", export(run, "--all --plans"))
    refused = run.json(f"--store sqlite:other.db import {file}")
    assert (refused.code, refused.error["code"]) == (4, "other_journal")
    assert export(run, store="sqlite:other.db") == ""


def test_a_plan_that_is_not_known_here_is_told(run: Shell) -> None:
    run.all("plan publish pro --quota 5", "plan assign acme pro --ref p1")
    answer = run.json(f"--store sqlite:other.db import {run.file('backup.ndjson', export(run))}")
    assert (answer.code, answer.doc["missing_plans"]) == (0, ["pro"])
    assert "--plans" in answer.err


def test_lines_of_plans_conform(run: Shell) -> None:
    run.all("plan publish pro --quota 5 --ratio llm=1.5 --reason why")
    (line,) = export(run, "--all --plans").splitlines()
    conforms(json.loads(line), "exported-plan")


@pytest.mark.parametrize("content", ["op,org\n", "[1]\n", "\x00\x01", "5\n"])
def test_a_file_of_another_kind_is_told_as_that(run: Shell, content: str) -> None:
    refused = run.json(f"import {run.file('other.txt', content)}")
    assert (refused.code, refused.error["code"]) == (2, "bad_file")


@pytest.mark.parametrize("zipped", [False, True])
def test_a_byte_order_mark_before_an_export_is_skipped(booked: Shell, other: str, tmp_path: Path, zipped: bool) -> None:
    text = b"\xef\xbb\xbf" + export(booked, "--all --plans").encode()
    path = tmp_path / "marked.ndjson"
    path.write_bytes(gzip.compress(text) if zipped else text)
    found = booked.doc(f"verify --file {path}", now=LATER)
    assert (found["ok"], found["findings"]) == (True, [])
    done = booked.doc(f"--store {other} import {path}", now=LATER)
    assert (done["status"], done["imported"]) == ("applied", found["entries"])
    assert export(booked, store=other) == export(booked)


@pytest.mark.parametrize("line", ["import {}", "verify --file {}"])
def test_an_export_in_utf_16_is_told_as_that(run: Shell, line: str) -> None:
    path = run.place / "wide.ndjson"
    path.write_text('{"org": "acme"}\n', encoding="utf-16")
    refused = run.json(line.format(path))
    assert (refused.code, refused.error["code"]) == (2, "bad_file")
    assert "UTF-16" in refused.error["message"]
    assert str(path) in refused.error["message"]


def test_an_empty_export_brings_nothing(run: Shell) -> None:
    answer = run.json(f"import {run.file('empty.ndjson', '')}")
    assert (answer.code, answer.doc["status"]) == (0, "unchanged")
    assert answer.err.endswith("empty.ndjson: nothing was imported\n")


def test_one_finding_is_counted_as_one(booked: Shell, other: str) -> None:
    cut = booked.file("cut.ndjson", booked("export acme").out + "{\n")
    assert "breaks the rules: 1 finding; the first" in booked.json(f"import {cut} --store {other}").error["message"]


def test_an_import_that_was_cut_off_goes_on(booked: Shell, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from meterctl.core.imports import export_file
    from meterctl.core.imports.appender import Appender

    monkeypatch.setattr(export_file, "WINDOW", 3)
    real, calls = Appender.append, []

    def cut_off(self: Appender, entries: object) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        real(self, entries)  # type: ignore[arg-type]

    file = booked.file("backup.ndjson", export(booked))
    with monkeypatch.context() as patch:
        patch.setattr(Appender, "append", cut_off)
        assert booked(f"--store {other} import {file}", now=LATER).code == 130
    done = booked.doc(f"--store {other} import {file}", now=LATER)
    assert done["known"] == 9
    assert export(booked, store=other) == export(booked)
    assert booked.doc(f"--store {other} verify --all", now=LATER)["ok"]


def test_a_clock_that_jumped_brings_nothing_in(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    run.all("adjust acme 5 --ref a1 --reason why")
    file = run.file("backup.ndjson", export(run))
    monkeypatch.delenv("METERCTL_NOW")
    run.all("--store sqlite:other.db adjust bolt 5 --ref a1 --reason why")  # by the machine's own clock
    refused = run.json(f"--store sqlite:other.db import {file}", now="2031-10-01T08:00:00.000Z")
    assert (refused.code, refused.error["code"]) == (10, "clock_jump")
    assert {json.loads(line)["org"] for line in export(run, store="sqlite:other.db").splitlines()} == {"bolt"}
    assert run.doc(f"--store sqlite:other.db import {file}")["imported"] == 1
