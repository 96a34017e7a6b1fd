"""The doctor: what is as it should be is said to be so, and whatever is wrong is found, with what to do about it."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from meterctl.core.errors import DONE, FINDINGS, UNREACHABLE
from meterctl.core.stores.mongo import schema
from tests.acceptance.shell import CONFIG, Shell, hold_lock


def checks(run: Shell, code: int, line: str = "doctor", now: str | None = None) -> dict[str, dict[str, Any]]:
    answer = run.json(line, now=now)
    assert answer.code == code, answer
    document = answer.doc
    assert document["ok"] == all(check["ok"] is not False for check in document["checks"])
    for check in document["checks"]:
        assert check["fix"] or check["ok"], f"{check} says not what to do"
    return {check["name"]: check for check in document["checks"]}


def wrong(found: dict[str, dict[str, Any]]) -> set[str]:
    return {name for name, check in found.items() if check["ok"] is False}


def test_nothing_is_wrong_with_a_store_in_use(run_anywhere: Shell) -> None:
    run_anywhere.all("init", "credit-pack acme small --session s1", "debit acme 5 --ref r1")
    found = checks(run_anywhere, DONE)
    assert {"config", "store", "write concern", "rights", "locks", "due", "heads", "claims"} <= found.keys()
    shown = run_anywhere("doctor")
    assert "nothing is wrong" in " ".join(shown.out.split())  # a long name of a store folds the line


def test_a_store_that_is_not_there_is_not_made(run: Shell) -> None:
    found = checks(run, DONE)
    assert found["store"]["ok"] is None
    assert "meterctl init" in found["store"]["fix"]
    assert not (run.place / "meterctl.db").exists()


def files(run: Shell) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.place.glob("meterctl.db*")}


def test_an_empty_file_stays_empty(run: Shell) -> None:
    run.file("meterctl.db", "")
    assert checks(run, DONE)["store"]["found"].endswith("does not exist yet")
    assert files(run) == {"meterctl.db": b""}


def test_a_file_without_write_ahead_log_is_found_and_left_so(run: Shell) -> None:
    run.all("init", "credit-pack acme small --session s1")
    with sqlite3.connect(run.place / "meterctl.db") as file:
        file.execute("PRAGMA journal_mode = DELETE")
    file.close()
    before = files(run)
    for _ in range(2):
        found = checks(run, FINDINGS)
        assert wrong(found) == {"write concern"}
        assert found["write concern"]["found"] == "journal mode delete instead of wal"
    assert files(run) == before
    run.all("balance acme")
    assert checks(run, DONE)["write concern"]["ok"] is True


def test_a_store_in_use_is_left_as_it_is(run: Shell) -> None:
    run.all("init", "credit-pack acme small --session s1", "debit acme 5 --ref r1")
    before = files(run)
    assert before.keys() == {"meterctl.db"}
    checks(run, DONE)
    assert files(run) == before


def test_the_database_of_another_program_is_a_finding_and_left_alone(run: Shell) -> None:
    with sqlite3.connect(run.place / "meterctl.db") as file:
        file.execute("CREATE TABLE songs (title)")
    file.close()
    before = files(run)
    assert "another program" in checks(run, UNREACHABLE)["store"]["found"]
    assert files(run) == before


def test_a_file_that_may_not_be_seen_is_a_finding(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refused)
    assert wrong(checks(run, UNREACHABLE)) == {"store"}


def test_a_plan_that_is_not_published_as_the_config_has_it_is_told(run_anywhere: Shell) -> None:
    run_anywhere.all("init")
    told = checks(run_anywhere, DONE)["plans"]
    assert told["ok"] is None
    assert told["found"].endswith("as in the config: pro")
    assert "plan publish --from-config" in told["fix"]
    run_anywhere.all("plan publish --from-config")
    assert checks(run_anywhere, DONE)["plans"]["ok"] is True
    run_anywhere.all("plan publish pro --quota 7")
    assert "pro" in checks(run_anywhere, DONE)["plans"]["found"]


def test_a_default_plan_that_nobody_knows_is_told(run_anywhere: Shell) -> None:
    run_anywhere.all("init")
    told = checks(run_anywhere, DONE)["default plan"]
    assert told["ok"] is None
    assert told["found"] == "orgs without a plan have quota 0: 'free' is neither published nor in the config"
    assert "meterctl plan publish free --quota N" in told["fix"]
    run_anywhere.all("plan publish free --quota 100")
    assert checks(run_anywhere, DONE)["default plan"]["ok"] is True


@pytest.mark.parametrize(("name", "near"), [("pr", "pro"), ("tema", "team")])
def test_a_default_plan_that_is_mistyped_is_told_with_the_one_it_is_like(run: Shell, name: str, near: str) -> None:
    run.all("init", "plan publish team --quota 5")
    run.config(f"default_plan = '{name}'\n{CONFIG}")
    assert checks(run, DONE)["default plan"]["found"].endswith(f"; did you mean {near!r}?")
    run.config(f"default_plan = '{near}'\n{CONFIG}")
    known = checks(run, DONE)["default plan"]
    assert known == {"name": "default plan", "ok": True, "found": near, "fix": None, "code": None}


def test_what_waits_too_long_is_found(run_anywhere: Shell) -> None:
    run_anywhere.all("init", "credit-pack acme brief --session s1")
    soon = checks(run_anywhere, DONE, now="2026-11-18T12:00:00Z")["due"]
    assert soon["found"] == "orgs with something due: 1; the longest, acme, for 24 hours"
    found = checks(run_anywhere, FINDINGS, now="2026-11-19T12:00:00Z")
    assert wrong(found) == {"due"}
    assert "48 hours" in found["due"]["found"]
    assert "meterctl expire --all" in found["due"]["fix"]


def test_a_lock_of_a_dead_process_is_found(run: Shell) -> None:
    run.all("init")
    hold_lock(run)
    assert checks(run, DONE)["locks"]["found"] == "1 held"
    found = checks(run, FINDINGS, now="2026-11-16T12:01:00Z")
    assert wrong(found) == {"locks"}
    assert "meterctl lock break sweep" in found["locks"]["fix"]


def test_a_file_that_was_changed_is_found(run: Shell) -> None:
    run.all("init", "credit-pack acme small --session s1", "adjust bolt 5 --ref a1 --reason why")
    with sqlite3.connect(run.place / "meterctl.db") as file:
        file.execute("DROP TRIGGER journal_no_update")
        file.execute("DROP INDEX heads_due")
        file.execute("CREATE INDEX heads_due ON heads (org)")
        file.execute("DELETE FROM heads WHERE org = 'acme'")
        file.execute("INSERT INTO claims (name, org, session) VALUES ('s2', 'acme', 's2')")
    file.close()
    found = checks(run, FINDINGS)
    assert wrong(found) == {"schema", "heads", "claims"}
    assert found["schema"]["found"] == "missing: journal_no_update"
    assert found["heads"]["found"] == "1 of 2 are behind or wrong, such as acme"
    assert found["claims"]["found"] == "1 of 2 are not credited, such as s2 of acme"
    run.all("init")
    assert checks(run, FINDINGS)["schema"]["found"] == "changed: heads_due"


def test_the_sample_bounds_what_is_looked_at(run: Shell) -> None:
    run.all(*(f"credit-pack org{n} gift --session s{n}" for n in range(3)))
    found = checks(run, DONE, "doctor --sample 2")
    assert found["heads"]["found"] == "the first 2 looked at, all current"
    assert found["claims"]["found"] == "the first 2 looked at, no credit is missing"


def test_a_bad_config_is_a_finding_and_the_store_is_looked_at_all_the_same(run: Shell) -> None:
    run.all("init")
    run.file("bad.toml", "metermode = true\n")
    found = checks(run, FINDINGS, "doctor --config bad.toml")
    assert wrong(found) == {"config"}
    assert "did you mean meter_mode" in found["config"]["found"]
    assert (found["config"]["code"], found["store"]["code"]) == ("bad_config", None)
    assert found["store"]["ok"] is True
    assert not {"default plan", "plans"} & found.keys()
    run.file("none.toml", "default_plan = 'pro'\n")
    assert checks(run, DONE, "doctor --config none.toml")["plans"]["found"] == "the config has no plans"


def test_a_file_that_is_no_store_is_a_finding(run: Shell) -> None:
    run.file("meterctl.db", "this is a letter and no database" * 100)
    found = checks(run, UNREACHABLE)
    assert wrong(found) == {"store"}


def test_an_unreachable_server_is_a_finding(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    from meterctl.core.stores.mongo import store

    monkeypatch.setattr(store.connect, "__kwdefaults__", {"timeout_seconds": 0.3})
    found = checks(run, UNREACHABLE, "doctor --store mongodb://127.0.0.1:9/x")
    assert wrong(found) == {"store"}
    assert found["store"]["code"] == "store_unreachable"
    assert "traceback" not in run("doctor --store mongodb://127.0.0.1:9/x").err.lower()


@pytest.fixture
def database(run_anywhere: Shell) -> Any:
    if not run_anywhere.store.startswith("mongodb"):
        pytest.skip("of MongoDB only")
    from pymongo import MongoClient

    run_anywhere.all("init", "credit-pack acme small --session s1")
    with MongoClient[dict[str, Any]](run_anywhere.store) as client:
        yield client.get_default_database()


def test_a_database_that_was_changed_is_found(run_anywhere: Shell, database: Any) -> None:
    database.journal.drop_index(schema.BY_ALERT)
    database.heads.drop_index(schema.BY_DUE)
    database.heads.create_index([("head.next_due", 1)], name=schema.BY_DUE)
    database.command({"collMod": "journal", "validationAction": "warn"})
    found = checks(run_anywhere, FINDINGS)
    assert wrong(found) >= {"indexes of journal", "indexes of heads", "validator"}
    assert found["indexes of journal"]["found"] == f"missing: {schema.BY_ALERT}"
    assert found["indexes of heads"]["found"] == f"not as expected: {schema.BY_DUE}"
    assert "action warn" in found["validator"]["found"]
    database.command({"collMod": "journal", "validator": {}})
    assert checks(run_anywhere, FINDINGS)["validator"]["found"] == "the journal has no validator"


def test_what_was_never_made_is_found(run_anywhere: Shell, database: Any) -> None:
    database.client.drop_database(database.name)
    found = checks(run_anywhere, FINDINGS)
    assert "meterctl init" in found["indexes of journal"]["fix"]
    assert database.list_collection_names() == []
