"""A store URL that names something else: every command refuses it, also where it would have nothing to do."""

import gzip
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from tests.acceptance.shell import Shell
from tests.mongod import own_database

EMPTY = {
    "nothing": b"",
    "header": b"op,org,units,ref\n",
    "blank": b"\n \r\n\t\n",
    "mark": b"\xef\xbb\xbf",
    "marked_blank": b"\xef\xbb\xbf\n\n",
    "packed": gzip.compress(b""),
    "packed_blank.csv.gz": gzip.compress(b"\n\n"),
    "nothing.ndjson": b"",
}
#: A header is no payment, no event and no entry.
LINES = [name for name in EMPTY if name != "header"]

#: Commands that have nothing to do, or nothing to read.
IDLE = [
    *(f"backfill {name}" for name in EMPTY),
    *(f"backfill nothing {options}" for options in ("--dry-run", "--sort at", "--workers 2", "--plan-out new.plan")),
    "backfill nothing --timezone Europe/Berlin",
    "backfill - --results - --line-buffered",
    *(f"reconcile {name}" for name in LINES),
    "reconcile nothing --plan-out new.plan",
    *(f"events {name}" for name in LINES),
    "events nothing --pending waiting --rejects rejects",
    "events nothing --dry-run",
    "apply empty.plan --elsewhere --yes",
    "apply empty.plan --elsewhere --dry-run",
    *(f"import {name}" for name in LINES),
    "import nothing --dry-run",
    *("expire --all", "expire --all --dry-run", "expire acme", "reset-week --all", "reset-week acme"),
    *("export --all", "export acme", "export --all --plans"),
    *("verify --all", "verify acme", "verify --all --repair-heads", "verify --all --repair-claims"),
    *("orgs", "report", "statement acme", "balance acme", "explain acme", "lot list acme"),
    *("ledger acme", "ledger --all-orgs", "ledger --session cs_1"),
    *("meter show acme", "meter history acme", "meter alerts", "meter check acme"),
    *("plan list", "plan show pro", "plan publish --from-config", "lock list", "lock break expire --reason why"),
    *("init", "debit acme 5 --ref r1", "debit acme 5 --ref r1 --dry-run", "adjust acme 5 --ref r1 --reason why"),
]

#: Commands that work on no store, and those that need more than a store to get so far.
WITHOUT = {"config", "schema", "demo", "audit"}
ELSEWHERE = {"doctor", "credit-pack", "refund", "undo"}  # doctor: see below; the others book as debit does


@pytest.fixture(params=["a program's database", "a text", "a directory", "a collection", "a view"])
def foreign(request: pytest.FixtureRequest, make_shell: Callable[[str], Shell], tmp_path: Path) -> Iterator[Shell]:
    """A shell whose store is something else; checks that it is unchanged in the end."""
    for name, content in EMPTY.items():
        (tmp_path / name).write_bytes(content)
    place = tmp_path / "foreign.db"
    if request.param in ("a collection", "a view"):
        with own_database() as uri, MongoClient[dict[str, Any]](uri) as client:
            database = client.get_default_database()
            database["articles"].insert_one({"title": "The other application's"})
            if request.param == "a view":
                database.command({"create": "journal", "viewOn": "articles", "pipeline": []})
            else:
                database["journal"].insert_one({"title": "The other application's"})
            before = {name: list(database[name].find()) for name in database.list_collection_names()}
            yield make_shell(uri)
            assert {name: list(database[name].find()) for name in database.list_collection_names()} == before
        return
    if request.param == "a directory":
        place.mkdir()
    elif request.param == "a text":
        place.write_text("This is a letter.\n" * 100, encoding="utf-8")
    else:
        with closing(sqlite3.connect(place)) as connection:
            connection.execute("CREATE TABLE users (name)")
    before_bytes = None if place.is_dir() else place.read_bytes()
    yield make_shell(f"sqlite:{place}")
    assert place.is_dir() or place.read_bytes() == before_bytes


def save_empty_plan(run: Shell) -> None:
    other = f"sqlite:{run.place}/other.db"
    run.json(f"--store {other} debit nobody 5 --ref r1 --plan-out {run.place}/empty.plan")


def test_l67_a_foreign_store_is_refused_where_nothing_is_to_do_too(foreign: Shell) -> None:
    save_empty_plan(foreign)
    (foreign.place / "waiting").write_text("")
    expected = "foreign_collection" if foreign.store.startswith("mongodb") else "store_unusable"
    for line in IDLE:
        answer = foreign.json(line)
        assert (answer.code, json.loads(answer.err.splitlines()[-1])["code"]) == (10, expected), line
        assert answer.out == "", line
    doctor = foreign.json("doctor")
    assert (doctor.code, doctor.doc["ok"]) == (10, False)
    assert [check["code"] for check in doctor.doc["checks"] if check["ok"] is False] == [expected]
    assert f"[{expected}]" in foreign("doctor").out
    made = {"new.plan", "rejects"} & {path.name for path in foreign.place.iterdir()}
    assert made == set()


def test_every_command_is_tried(run: Shell) -> None:
    commands = {command["name"].split()[0] for command in run.doc("schema --commands")["commands"]}
    assert commands - WITHOUT - ELSEWHERE == {line.split()[0] for line in IDLE}


def test_results_of_an_earlier_run_stay(foreign: Shell) -> None:
    results = foreign.place / "results.ndjson"
    results.write_text("{}\n", encoding="utf-8")
    assert foreign("backfill nothing --results results.ndjson").code == 10
    assert results.read_text(encoding="utf-8") == "{}\n"


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_file_is_nothing_to_do_and_makes_no_store(run_anywhere: Shell, name: str) -> None:
    run = run_anywhere
    (run.place / name).write_bytes(EMPTY[name])
    done = run.doc(f"backfill {name}")
    assert (done["lines"], done["applied"], done["invalid"]) == (0, 0, 0)
    assert not (run.place / "meterctl.db").exists()
    if name in LINES:
        answer = run.json(f"reconcile {name}")
        assert (answer.code, answer.doc["ok"], answer.doc["journal_found"]) == (0, True, False)
        assert answer.err.startswith("no journal in ")
        assert answer.err.endswith(": nothing was compared\n")
        assert not (run.place / "meterctl.db").exists()
        run.all("credit-pack acme small --session pi_1")
        answer = run.json(f"reconcile {name}")
        assert (answer.doc["journal_found"], answer.err) == (True, "")


def test_reconcile_says_that_a_store_has_no_journal_at_all(run: Shell) -> None:
    payment = {"id": "in_1", "org": "acme", "pack": "small", "paid_cents": 500, "currency": "usd"}
    file = run.file("payments.ndjson", json.dumps({**payment, "paid_at": "2026-11-10T10:00:00Z"}))
    answer = run.json(f"reconcile {file}")
    assert (answer.code, answer.doc["journal_found"], len(answer.doc["findings"])) == (8, False, 1)
    assert answer.err.endswith(": no payment is credited there\n")


def test_an_empty_database_file_stays_empty(run: Shell) -> None:
    place = run.file("empty.db", "")
    run.file("nothing", "")
    assert run.doc(f"--store sqlite:{place} backfill nothing")["lines"] == 0
    assert Path(place).read_bytes() == b""


@pytest.mark.parametrize("line", ["orgs", "orgs --blocked", "report", "ledger --all-orgs"])
def test_a_list_of_all_orgs_says_that_a_store_has_no_journal_at_all(run_anywhere: Shell, line: str) -> None:
    """After a mistyped store an empty list, or a report of zeros, would look like an answer."""
    answer = run_anywhere.json(line)
    assert answer.code == 0
    assert "no journal in " in answer.err
    run_anywhere.all("adjust acme 1 --ref a1 --reason why")
    assert "no journal in " not in run_anywhere.json(line).err
