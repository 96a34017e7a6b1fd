"""``verify`` on the command line: files, seals, and what cannot be read or written."""

import gzip
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from meterctl.core.stores.url import without_secret
from tests.acceptance.shell import Shell

BEFORE = ["credit-pack acme small --session s1", "credit-pack bolt small --session s2", "debit acme 5 --ref r1"]

#: How a seal begins that was made before.
OLDER = '{"at":"2025-11-22T10:03:00.000Z","schema":"meterctl.seal.v1"}\n'


@pytest.fixture
def booked(run: Shell) -> Shell:
    run.all(*BEFORE)
    return run


@pytest.fixture
def place(run: Shell) -> Iterator[Path]:
    """Where files are written; nothing half written is left there."""
    yield run.place
    assert [found.name for found in run.place.iterdir() if found.name.startswith(".")] == []


# nothing there


@pytest.mark.parametrize(("words", "told"), [("--all", "no journal"), ("acme", "no journal of acme")])
def test_a_store_without_journal_is_no_error_and_told(run_anywhere: Shell, words: str, told: str) -> None:
    answer = run_anywhere.json(f"verify {words}")
    assert (answer.code, answer.doc["ok"], answer.doc["entries"]) == (0, True, 0)
    assert answer.err == f"{told} in {without_secret(run_anywhere.store)}: nothing was checked\n"
    shown = run_anywhere(f"verify {words}")
    assert (shown.code, shown.err) == (0, answer.err)
    assert "nothing to check" in shown.out
    assert "hold" not in shown.out


@pytest.mark.parametrize(("words", "subject"), [("--all", ""), ("acme", " of acme"), ("--all --seal s.seal", "")])
def test_a_check_can_require_a_journal(run_anywhere: Shell, words: str, subject: str) -> None:
    answer = run_anywhere.json(f"verify {words} --require-journal --metrics-file out.prom")
    assert (answer.code, answer.error["code"]) == (10, "no_journal")
    assert answer.error["message"] == f"{without_secret(run_anywhere.store)} has no journal{subject}"
    assert re.search(r"^meterctl_verify_success\{.*\} 0$", (run_anywhere.place / "out.prom").read_text(), re.MULTILINE)
    assert not (run_anywhere.place / "s.seal").exists()
    run_anywhere.all("credit-pack acme small --session s1", f"verify {words} --require-journal")


def test_an_export_can_be_required_to_hold_a_journal(run: Shell) -> None:
    run.file("empty", "")
    answer = run.json("verify --file empty --require-journal")
    assert (answer.code, answer.error["message"]) == (10, "empty has no journal")


@pytest.mark.parametrize(("file", "place"), [("empty", "empty"), ("-", "standard input")])
def test_an_export_without_journal_is_told(run: Shell, file: str, place: str) -> None:
    run.file("empty", "")
    answer = run.json(f"verify --file {file}")
    assert (answer.code, answer.doc["ok"]) == (0, True)
    assert answer.err == f"no journal in {place}: nothing was checked\n"


def test_of_what_was_checked_nothing_is_told(booked: Shell) -> None:
    assert [booked(f"verify {words}").err for words in ("--all", "acme", "--all --seal s.seal")] == ["", "", ""]
    gone = booked("verify --all --against s.seal --store sqlite:elsewhere.db")
    assert (gone.code, gone.err) == (8, "")


# seals


def test_a_seal_proves_what_it_was_made_of(booked: Shell, place: Path) -> None:
    booked.all("verify --all --seal s.seal", "debit acme 5 --ref r2", "verify --all --against s.seal")
    assert len(Path(place, "s.seal").read_text().splitlines()) == 4


def test_an_export_and_a_seal_may_come_from_pipes(booked: Shell, place: Path) -> None:
    booked.all("verify --all --seal s.seal")
    journal, seal = booked.journal(), Path(place, "s.seal").read_text()
    booked.all(f"verify --file {booked.pipe('export', journal)} --against {booked.pipe('seal', seal)}")
    cut = booked.pipe("cut", "".join(journal.splitlines(keepends=True)[:-1]))
    assert booked.json(f"verify --file {cut} --against s.seal").code == 8


def test_an_export_may_be_zipped_whatever_its_name(booked: Shell, place: Path) -> None:
    booked.all("verify --all --seal s.seal")
    zipped = gzip.compress(booked.journal().encode())
    Path(place, "november").write_bytes(zipped)
    assert booked.doc("verify --file november --against s.seal")["entries"] == len(BEFORE)
    Path(place, "november").write_bytes(zipped[:-9])
    answer = booked.json("verify --file november --against s.seal")
    assert (answer.code, answer.error["code"]) == (2, "bad_file")
    assert answer.error["message"].startswith("cannot unzip november: ")


def test_an_endless_file_is_no_seal(booked: Shell) -> None:
    answer = booked.json("verify --all --against /dev/zero")
    assert (answer.code, answer.error["code"]) == (2, "bad_seal")


def test_a_seal_replaces_the_one_before_and_nothing_else(booked: Shell, place: Path) -> None:
    booked.file("s.seal.part", "mine")
    booked.file("s.seal", OLDER)
    booked.all("verify --all --seal s.seal")
    assert Path(place, "s.seal.part").read_text() == "mine"
    assert "2025" not in Path(place, "s.seal").read_text()


@pytest.mark.parametrize("seal", ["meterctl.db", "meterctl.toml", "kept.ndjson", "letter", "list", "deep", "./link"])
def test_a_seal_never_replaces_what_is_no_seal(booked: Shell, place: Path, seal: str) -> None:
    booked.file("kept.ndjson", booked.journal())
    booked.file("letter", "Dear reader,\n")
    booked.file("list", "[1]\n")
    booked.file("deep", "[" * 100_000)
    Path(place, "link").symlink_to("letter")
    before = Path(place, seal).read_bytes()
    answer = booked.json(f"verify --all --seal {seal}")
    assert (answer.code, Path(place, seal).read_bytes()) == (2, before)
    assert seal in answer.error["message"]
    assert "another file" in answer.error["hint"]


@pytest.mark.parametrize("there", [None, ""])
def test_a_seal_is_never_the_store_even_where_that_is_empty(run: Shell, place: Path, there: str | None) -> None:
    if there is not None:
        run.file("meterctl.db", there)
    answer = run.json("verify --all --seal ./meterctl.db")
    assert (answer.code, answer.error["code"]) == (2, "usage")
    run.all(BEFORE[0])


def test_an_empty_file_may_become_a_seal(booked: Shell, place: Path) -> None:
    booked.file("s.seal", "")
    booked.all("verify --all --seal s.seal", "verify --all --against s.seal")


@pytest.mark.parametrize("seal", ["export", "./export", "link"])
def test_a_seal_never_replaces_the_export_it_is_made_of(booked: Shell, place: Path, seal: str) -> None:
    export = booked.file("export", booked.journal())
    Path(place, "link").symlink_to(export)
    answer = booked.json(f"verify --file export --seal {seal}")
    assert (answer.code, answer.error["code"]) == (2, "usage")
    assert Path(export).read_text() == booked.journal()


def test_a_seal_may_replace_the_one_it_is_held_against_once_that_holds(booked: Shell, place: Path) -> None:
    booked.all("verify --all --seal s.seal", "debit acme 5 --ref r2", "verify --all --against s.seal --seal s.seal")
    sealed = Path(place, "s.seal").read_text()
    assert '"seq":3' in sealed
    cut = booked.file("cut", "".join(booked.journal().splitlines(keepends=True)[:2]))
    assert booked.json(f"verify --file {cut} --against s.seal --seal s.seal").code == 8
    assert Path(place, "s.seal").read_text() == sealed


def test_no_seal_is_written_on_what_is_broken(booked: Shell, place: Path) -> None:
    booked.file("s.seal", OLDER)
    spoilt = booked.file("spoilt.ndjson", booked.journal().replace('"units":5', '"units":6'))
    answer = booked.json(f"verify --file {spoilt} --seal s.seal")
    assert (answer.code, Path(place, "s.seal").read_text()) == (8, OLDER)
    assert "no seal was written to s.seal" in answer.err


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("verify --file missing --seal s.seal", "bad_file"),
        ("verify --all --against missing --seal s.seal", "bad_file"),
        ("verify --file . --seal s.seal", "bad_file"),
        ("verify --all --seal nowhere/s.seal", "bad_file"),
        ("verify --all --seal .", "bad_file"),
    ],
)
def test_what_cannot_be_read_or_written_is_named_and_leaves_nothing(
    booked: Shell, place: Path, line: str, code: str
) -> None:
    answer = booked.json(line)
    assert (answer.code, answer.error["code"]) == (2, code)
    assert not list(place.glob("s.seal*"))


def test_a_file_that_cannot_be_read_is_not_told_as_a_seal_that_cannot_be_written(
    booked: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("meterctl.commands.verify.verify_all", broken)
    answer = booked.json("verify --all --seal s.seal")
    assert "seal" not in answer.err
    assert "Input/output error" in answer.error["message"]


def test_a_disk_that_is_full_is_told_and_leaves_the_seal_before(
    booked: Shell, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    booked.file("s.seal", OLDER)
    monkeypatch.setattr("os.fsync", full)
    answer = booked.json("verify --file - --seal s.seal", stdin=booked.journal())
    assert (answer.code, answer.error["message"]) == (2, "cannot write s.seal: No space left on device")
    assert Path(place, "s.seal").read_text() == OLDER


# heads


@pytest.mark.parametrize("told_by", ["verify --all", "verify acme", "doctor", "explain acme"])
def test_the_command_that_mends_a_head_is_named_as_it_works(booked: Shell, told_by: str) -> None:
    with closing(sqlite3.connect(booked.place / "meterctl.db")) as file, file:
        file.execute("DELETE FROM heads WHERE org = 'acme'")
    told = booked.json(told_by)
    command = re.search(r"meterctl (verify [^\"]*--repair-heads)", told.out)
    assert command is not None, told
    assert booked.doc(command[1])["mended"] == 1
    assert booked.doc("verify --all")["ok"]


@pytest.mark.parametrize("words", ["acme", "--all --seal s.seal", "--all --against s.seal", "--file s.seal"])
def test_repairing_heads_does_nothing_else(booked: Shell, place: Path, words: str) -> None:
    booked.file("s.seal", "mine")
    answer = booked.json(f"verify {words} --repair-heads")
    assert (answer.code, answer.error["code"]) == (2, "usage")
    assert answer.error["hint"] == "meterctl verify --all --repair-heads"
    assert Path(place, "s.seal").read_text() == "mine"
