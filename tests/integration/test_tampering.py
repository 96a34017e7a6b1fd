"""Whoever writes to the database behind our back is found: every value of every entry, whole entries, heads, claims."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from pymongo import MongoClient

from meterctl.core.domain.canonical import canonical_text, entry_hash
from meterctl.core.errors import raise_if_damaged
from meterctl.core.model import Instant
from meterctl.core.ports import Head, Store
from meterctl.core.verify import Check, SealWriter, read_seal, repair_heads, verify_all, verify_org
from tests.desk import NOON
from tests.journals import ORGS, another, clone, journal, leaves, put, rehash, tell_story
from tests.journals import Path as Way
from tests.mongod import require_mongod
from tests.stores import _database_name as database_name
from tests.stores import drop_store, make_store


class Intruder(Protocol):
    """Writes to the database itself, past every check that can be taken away."""

    def find(self, org: str, seq: int) -> Any:
        """The database's own name for where entry ``seq`` stands."""
        ...

    def write(self, place: Any, entry: dict[str, Any]) -> None:
        """Put ``entry`` in that place."""
        ...

    def insert(self, entry: dict[str, Any]) -> None: ...

    def delete(self, org: str, seq: int) -> None: ...

    def set_head(self, org: str, field: str, value: object) -> None: ...

    def delete_head(self, org: str) -> None: ...

    def set_claim(self, session: str, org: str) -> None: ...

    def delete_claim(self, session: str) -> None: ...

    def close(self) -> None: ...


class SqliteIntruder:
    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._connection.executescript(
            """
            PRAGMA ignore_check_constraints = ON;
            PRAGMA synchronous = OFF;
            DROP TRIGGER journal_no_update;
            DROP TRIGGER journal_no_delete;
            DROP INDEX journal_seq;
            DROP INDEX journal_key;
            CREATE INDEX journal_seq ON journal (org, seq);
            CREATE INDEX journal_key ON journal (org, key);
            """
        )

    def find(self, org: str, seq: int) -> Any:
        (rowid,) = self._connection.execute(
            "SELECT rowid FROM journal WHERE org = ? AND seq = ?", (org, seq)
        ).fetchone()
        return rowid

    def write(self, place: Any, entry: dict[str, Any]) -> None:
        self._do("UPDATE journal SET doc = ? WHERE rowid = ?", canonical_text(entry), place)

    def insert(self, entry: dict[str, Any]) -> None:
        self._do("INSERT INTO journal (doc) VALUES (?)", canonical_text(entry))

    def delete(self, org: str, seq: int) -> None:
        self._do("DELETE FROM journal WHERE org = ? AND seq = ?", org, seq)

    def set_head(self, org: str, field: str, value: object) -> None:
        value = canonical_text(value) if isinstance(value, dict) else value
        self._do(f"UPDATE heads SET {field} = ? WHERE org = ?", value, org)  # noqa: S608

    def delete_head(self, org: str) -> None:
        self._do("DELETE FROM heads WHERE org = ?", org)

    def set_claim(self, session: str, org: str) -> None:
        self._do("INSERT OR REPLACE INTO claims (name, org, session) VALUES (?, ?, ?)", session, org, session)

    def delete_claim(self, session: str) -> None:
        self._do("DELETE FROM claims WHERE name = ?", session)

    def close(self) -> None:
        self._connection.close()

    def _do(self, statement: str, *values: object) -> None:
        assert self._connection.execute(statement, values).rowcount == 1


class MongoIntruder:
    def __init__(self, database: Any) -> None:
        self._database = database
        self._journal = database.journal
        database.command("collMod", "journal", validator={})
        self._journal.drop_index("org_seq")
        self._journal.create_index([("org", 1), ("seq", 1)], name="org_seq")

    def find(self, org: str, seq: int) -> Any:
        return self._journal.find_one({"org": org, "seq": seq})["_id"]

    def write(self, place: Any, entry: dict[str, Any]) -> None:
        moving = {"moving": entry.get("amount") != 0}
        assert self._journal.replace_one({"_id": place}, {**entry, **moving}).matched_count == 1

    def insert(self, entry: dict[str, Any]) -> None:
        name = f"{entry['org']} {entry['key']}"
        self._journal.insert_one({"_id": name, **entry, "moving": entry["amount"] != 0})

    def delete(self, org: str, seq: int) -> None:
        assert self._journal.delete_one({"org": org, "seq": seq}).deleted_count == 1

    def set_head(self, org: str, field: str, value: object) -> None:
        assert self._database.heads.update_one({"_id": org}, {"$set": {f"head.{field}": value}}).modified_count == 1

    def delete_head(self, org: str) -> None:
        assert self._database.heads.delete_one({"_id": org}).deleted_count == 1

    def set_claim(self, session: str, org: str) -> None:
        self._database.claims.update_one({"_id": session}, {"$set": {"org": org, "session": session}}, upsert=True)

    def delete_claim(self, session: str) -> None:
        assert self._database.claims.delete_one({"_id": session}).deleted_count == 1

    def close(self) -> None:
        self._database.client.close()


@pytest.fixture(params=["sqlite", "mongod"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(kind: str, tmp_path: Path) -> Iterator[Store]:
    """A store that holds the story."""
    made = make_store(kind, tmp_path)
    made.init()
    tell_story(made)
    yield made
    made.close()
    drop_store(kind, tmp_path)


@pytest.fixture
def intruder(kind: str, store: Store, tmp_path: Path) -> Iterator[Intruder]:
    made: Intruder = intruder_of(kind, tmp_path)
    yield made
    made.close()


def intruder_of(kind: str, tmp_path: Path) -> Intruder:
    if kind == "sqlite":
        return SqliteIntruder(tmp_path / "store" / "meterctl.db")
    client: MongoClient[dict[str, Any]] = MongoClient(require_mongod())
    return MongoIntruder(client[database_name(tmp_path)])


def found_in(store: Store) -> set[tuple[str | None, int]]:
    return {(finding.org, finding.check) for finding in verify_all(store).findings}


def places(way: Way) -> Way:
    """``way`` with the same name for every place in a list."""
    return tuple("*" if isinstance(step, int) else step for step in way)


def fields_of_every_kind() -> Iterator[tuple[dict[str, Any], list[Way]]]:
    """Every field of every kind of entry once, nested ones too, in an entry that has it."""
    seen: set[object] = set()
    for entry in (entry for org in ORGS for entry in journal(org)):
        what = (entry["kind"], entry["input"]["op"])
        fields = {(what, places(way), type(value)): way for way, value in leaves(entry)}
        yield entry, [way for field, way in fields.items() if field not in seen]
        seen |= fields.keys()


def test_nothing_is_found_before_anyone_came(store: Store) -> None:
    assert found_in(store) == set()


def test_every_value_of_every_kind_of_entry_that_is_changed_is_found(
    store: Store, intruder: Intruder, kind: str
) -> None:
    missed, count = [], 0
    share = 3 if kind == "mongod" else 1  # the check sees the same entry from either store, and there it takes longer
    for entry, ways in fields_of_every_kind():
        place = intruder.find(entry["org"], entry["seq"])
        for way in ways[::share]:
            changed, count = clone(entry), count + 1
            put(changed, way, another(dict(leaves(entry))[way]))
            intruder.write(place, changed)
            if verify_org(store, entry["org"]).ok:
                missed.append((entry["kind"], way))
        intruder.write(place, entry)
    assert missed == []
    assert count > 400 // share
    assert found_in(store) == set()


def test_a_field_that_is_added_or_removed_is_found(store: Store, intruder: Intruder) -> None:
    for entry in (journal()[2], journal()[5], journal()[-1]):
        place = intruder.find("acme", entry["seq"])
        for name in entry:
            intruder.write(place, {field: entry[field] for field in entry if field != name})
            assert not verify_org(store, "acme").ok, name
        intruder.write(place, {**entry, "note": "x"})
        assert ("acme", Check.FORM) in found_in(store)
        intruder.write(place, entry)
    assert found_in(store) == set()


def test_a_deleted_entry_is_found_wherever_it_stood(store: Store, intruder: Intruder) -> None:
    for entry in journal():
        intruder.delete("acme", entry["seq"])
        assert not verify_org(store, "acme").ok
        intruder.insert(entry)
    assert found_in(store) == set()


def test_swapped_and_repeated_and_inserted_entries_are_found(store: Store, intruder: Intruder) -> None:
    one, two = journal()[18], journal()[19]
    for entry in (one, two):
        intruder.delete("acme", entry["seq"])
    for entry in ({**one, "seq": two["seq"]}, {**two, "seq": one["seq"]}):
        intruder.insert(entry)
    assert ("acme", Check.CHAIN) in found_in(store)
    for entry in (one, two):
        intruder.delete("acme", entry["seq"])
    for entry in (one, two):
        intruder.insert(entry)
    assert found_in(store) == set()
    inserted = {**journal("beta")[1], "org": "acme", "key": "debit:new", "seq": 20}
    intruder.insert({**inserted, "hash": entry_hash(inserted)})
    assert ("acme", Check.ORDER) in found_in(store)


def test_an_entry_that_was_added_at_the_end_is_found(store: Store, intruder: Intruder) -> None:
    tip = journal()[-1]
    taken = {**clone(journal()[-3]), "seq": tip["seq"] + 1, "prev": tip["hash"], "at": tip["at"], "state": tip["state"]}
    intruder.insert({**taken, "key": "debit:free", "hash": entry_hash({**taken, "key": "debit:free"})})
    assert ("acme", Check.SUM) in found_in(store)


def seal_of(store: Store) -> list[bytes]:
    lines: list[str] = []
    seal = SealWriter(lines.append, Instant(NOON))
    assert verify_all(store, on_tip=seal.add).ok
    seal.close()
    return [line.encode() for line in lines]


def test_a_tail_that_was_cut_off_with_its_head_is_found_with_a_seal(store: Store, intruder: Intruder) -> None:
    sealed = seal_of(store)
    intruder.delete("beta", 2)
    assert found_in(store) == {("beta", Check.HEAD)}
    assert repair_heads(store).mended == 1
    assert found_in(store) == set()
    findings = verify_all(store, seal=read_seal(sealed)).findings
    assert [(finding.org, finding.check) for finding in findings] == [("beta", Check.SEAL)]


def test_an_org_that_was_removed_without_a_trace_is_found_with_a_seal(store: Store, intruder: Intruder) -> None:
    sealed = seal_of(store)
    intruder.delete("plain", 1)
    assert found_in(store) == {("plain", Check.HEAD)}
    intruder.delete_head("plain")
    assert found_in(store) == set()
    (finding,) = verify_all(store, seal=read_seal(sealed)).findings
    assert (finding.org, finding.check) == ("plain", Check.SEAL)


def test_a_journal_that_was_written_anew_from_some_entry_on_is_found_with_a_seal(
    store: Store, intruder: Intruder
) -> None:
    sealed = seal_of(store)
    forged = journal()
    forged[2]["actor"] = "someone else"
    rehash(forged)
    for entry in forged[2:]:
        intruder.write(intruder.find("acme", entry["seq"]), entry)
    assert repair_heads(store).mended == 1
    assert found_in(store) == set()
    (finding,) = verify_all(store, seal=read_seal(sealed)).findings
    assert (finding.org, finding.seq, finding.check) == ("acme", len(forged), Check.SEAL)


@pytest.mark.parametrize("field", Head._fields[1:])
def test_an_edited_head_is_found_and_mended(store: Store, intruder: Intruder, field: str) -> None:
    head = store.heads.get(["acme"])["acme"]
    intruder.set_head("acme", field, another(getattr(head, field)))
    assert found_in(store) == {("acme", Check.HEAD)}
    assert repair_heads(store).mended == 1
    assert store.heads.get(["acme"])["acme"] == head
    assert found_in(store) == set()


def test_a_head_that_says_another_time_for_what_is_due_next_is_found(store: Store, intruder: Intruder) -> None:
    intruder.set_head("acme", "next_due", NOON)
    assert found_in(store) == {("acme", Check.HEAD)}


def test_lost_and_foreign_heads_are_found(store: Store, intruder: Intruder) -> None:
    intruder.delete_head("acme")
    store.heads.replace([raise_if_damaged(store.heads.get(["beta"])["beta"])._replace(org="nobody")])
    assert found_in(store) == {("acme", Check.HEAD), ("nobody", Check.HEAD)}


def test_edited_claims_are_found(store: Store, intruder: Intruder) -> None:
    intruder.set_claim("cs_1", "beta")
    assert found_in(store) == {("acme", Check.CLAIM), ("beta", Check.CLAIM)}
    intruder.delete_claim("cs_1")
    assert found_in(store) == {("acme", Check.CLAIM)}
    intruder.set_claim("cs_1", "acme")
    assert found_in(store) == set()
    intruder.set_claim("cs_forged", "plain")
    assert found_in(store) == {("plain", Check.CLAIM)}
    intruder.delete_claim("cs_forged")
    intruder.set_claim("cs_moved", "acme")  # whose topup of it was undone
    assert found_in(store) == {("beta", Check.CLAIM)}
