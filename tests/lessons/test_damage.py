"""Damage and strangers: bytes that were changed, and documents that other programs wrote."""

import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from meterctl.cli import main
from meterctl.core.domain import rules
from meterctl.core.domain.operations import Debit
from meterctl.core.errors import Damaged, StoreDamaged, StoreUnusable
from meterctl.core.model import Instant
from meterctl.core.ports import Lease, Observation, Store
from meterctl.core.reads.export_lines import entry_texts
from meterctl.core.reads.org_list import OrgFilter, OrgLister, OrgQuery
from meterctl.core.stores.mongo import MongoStore
from meterctl.core.stores.sqlite import SqliteStore
from meterctl.core.sweep.sweeper import Sweeper
from meterctl.core.verify import verify_all, verify_org
from meterctl.core.verify.doctor import Diagnosis, Doctor
from meterctl.process.clock import SystemClock
from tests.builders import make_version
from tests.desk import NOON, Desk, tap
from tests.journals import tell_story
from tests.mongomock_client import MockClient
from tests.stores import drop_store, make_store

MONGO = ("mongomock", "mongod")
COLLECTIONS = ("journal", "heads", "claims", "plans", "locks")


@pytest.fixture(params=MONGO)
def mongo(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MongoStore]:
    """A store on MongoDB of which nothing is made yet."""
    made = make_store(request.param, tmp_path)
    assert isinstance(made, MongoStore)
    yield made
    made.close()
    drop_store(request.param, tmp_path)


def database_of(store: MongoStore) -> Any:
    return store._database._database


def wrong(store: Store) -> dict[str, str]:
    """The checks of the doctor that found something, with what they found."""
    if isinstance(store, MongoStore) and isinstance(store._database.client, MockClient):
        store.examine = lambda _: [Observation("store", True, "no server")]  # type: ignore[method-assign,assignment]
    diagnosis = Diagnosis("a store")
    Doctor(store, Instant(NOON), SystemClock()).look(diagnosis)
    return {check.name: check.found for check in diagnosis.checks if check.ok is False}


# Other applications


@pytest.mark.parametrize("name", COLLECTIONS)
def test_l67_a_collection_of_another_application_is_refused_and_left_alone(mongo: MongoStore, name: str) -> None:
    database = database_of(mongo)
    database[name].insert_one({"title": "The other application's", "seq": "one"})
    desk = Desk(mongo)
    for use in (mongo.init, lambda: desk.adjust(5, "a"), desk.balance, lambda: mongo.examine(desk.clock)):
        with pytest.raises(StoreUnusable) as refused:
            use()
        assert (refused.value.code, refused.value.exit_code) == ("foreign_collection", 10)
        assert name in refused.value.message
        assert "meterctlPrefix" in refused.value.hint
    assert database.list_collection_names() == [name]
    assert list(database[name].index_information()) == ["_id_"]
    database[name].insert_one({"anything": "goes on"})
    assert database[name].count_documents({}) == 2


#: How another application, or a mistake, may have made an empty collection of ours.
RULES: dict[str, dict[str, Any]] = {
    "a validator": {"validator": {"title": {"$type": "string"}}},
    "a limit of its size": {"capped": True, "size": 4096},
    "an order of letters": {"collation": {"locale": "en", "strength": 2}},
    "times": {"timeseries": {"timeField": "at"}},
    "a unique field": {},
}


@pytest.mark.parametrize("name", ["journal", "heads", "plans"])
@pytest.mark.parametrize("rule", RULES)
def test_l67_an_empty_collection_with_rules_of_another_application_is_refused(
    tmp_path: Path, rule: str, name: str
) -> None:
    with closing(make_store("mongod", tmp_path)) as store:
        assert isinstance(store, MongoStore)
        database = database_of(store)
        database.create_collection(name, **RULES[rule])
        if rule == "a unique field":
            database[name].create_index("slug", unique=True)
        before = database[name].options(), sorted(database[name].index_information())
        for use in (store.init, lambda: Desk(store).adjust(5, "a"), lambda: store.plans.add(make_version())):
            with pytest.raises(StoreUnusable, match=name) as refused:
                use()
            assert refused.value.code == "foreign_collection"
        assert (database[name].options(), sorted(database[name].index_information())) == before
    drop_store("mongod", tmp_path)


#: No plain collection: each loses documents, or takes none.
KINDS_OF_COLLECTION: dict[str, dict[str, Any]] = {
    "a view": {"viewOn": "articles", "pipeline": []},
    "a time series": {"timeseries": {"timeField": "at"}},
    "a capped collection": {"capped": True, "size": 4096},
}


@pytest.mark.parametrize("name", COLLECTIONS)
def test_l67_a_view_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    with closing(make_store("mongod", tmp_path)) as store:
        assert isinstance(store, MongoStore)
        database = database_of(store)
        database["articles"].insert_one({"title": "The other application's"})
        # Reading this view fails, so only its options may be looked at.
        database.create_collection(name, viewOn="articles", pipeline=[{"$project": {"x": {"$divide": [1, 0]}}}])
        desk = Desk(store)
        uses = (store.require_ours, store.init, lambda: desk.adjust(5, "a"), desk.balance)
        for use in (*uses, lambda: store.examine(desk.clock), lambda: list(store.journal.orgs())):
            with pytest.raises(StoreUnusable, match=rf"{name} \(a view\)") as refused:
                use()
            assert refused.value.code == "foreign_collection"
        assert sorted(set(database.list_collection_names()) - {"system.views"}) == sorted(["articles", name])
    drop_store("mongod", tmp_path)


@pytest.mark.parametrize("name", ["claims", "plans", "locks", "heads"])
@pytest.mark.parametrize("kind", KINDS_OF_COLLECTION)
def test_l67_a_collection_that_loses_documents_is_not_written_to(tmp_path: Path, kind: str, name: str) -> None:
    """The journal is ours; another collection was replaced, say by a restore."""
    with closing(make_store("mongod", tmp_path)) as store:
        store.init()
        Desk(store).adjust(5, "a")
    with closing(make_store("mongod", tmp_path)) as store:
        assert isinstance(store, MongoStore)
        database = database_of(store)
        database.drop_collection(name)
        database.create_collection(name, **KINDS_OF_COLLECTION[kind])
        observation = next(each for each in store.examine(SystemClock()) if each.name == "collections")
        assert (observation.ok, observation.found) == (
            False,
            f"another application's, or not plain: {name} is {kind}",
        )
        uses: dict[str, Callable[[], object]] = {
            "claims": lambda: Desk(store).credit("cs_1"),
            "plans": lambda: store.plans.add(make_version()),
            "locks": lambda: store.locks.acquire(Lease("expire", "me", Instant(NOON), Instant(NOON)), Instant(NOON)),
        }
        if name in uses:
            with pytest.raises(StoreUnusable, match=f"{name} .{kind}.") as refused:
                uses[name]()
            assert refused.value.code == "foreign_collection"
        assert Desk(store).adjust(5, "b").applied, "an entry needs none of them"
    drop_store("mongod", tmp_path)


def test_l67_a_journal_that_is_sharded_already_is_ours(tmp_path: Path) -> None:
    with closing(make_store("mongod", tmp_path)) as store:
        assert isinstance(store, MongoStore)
        database_of(store).journal.create_index([("org", 1), ("seq", 1)], unique=True, name="org_seq")
        database_of(store).heads.create_index("made_by_hand")
        store.init()
        assert Desk(store).adjust(5, "a").applied
    drop_store("mongod", tmp_path)


def test_l67_a_prefix_keeps_both_apart(mongo: MongoStore) -> None:
    database = database_of(mongo)
    for name in COLLECTIONS:
        database[name].insert_one({"title": name})
    store = MongoStore(mongo._database.client, mongo._database.name, prefix="meterctl_")
    store.init()
    desk = tell_story(store)
    assert desk.balance() > 0
    assert verify_all(store).ok
    assert {database[name].count_documents({}) for name in COLLECTIONS} == {1}
    assert not wrong(store).keys() - {"ahead", "due"}


@pytest.mark.parametrize("stranger", [{"_id": "zz", "name": "Gold"}, {"name": "Gold"}, {"_id": 7, "org": 5}])
@pytest.mark.parametrize("name", COLLECTIONS)
def test_l104_one_foreign_document_stops_nobody_and_is_found(
    mongo: MongoStore, name: str, stranger: dict[str, Any]
) -> None:
    mongo.init()
    desk = Desk(mongo)
    desk.credit("cs_1", "short")
    desk.credit("cs_2", "short", org="bolt")
    database_of(mongo).command({"collMod": "journal", "validator": {}})
    database_of(mongo)[name].insert_one(dict(stranger))
    desk.go("2026-11-18T12:00:00Z")
    swept = Sweeper(desk.ledger, "expire", "cron").all()
    assert (swept.done, swept.failed) == (2, 0)
    assert desk.adjust(5, "a").applied
    assert desk.run("r", 3).applied
    findings = verify_all(mongo).findings
    assert findings
    assert {finding.org for finding in findings} <= {None, "zz"}
    if name != "journal":
        assert "documents" in wrong(mongo)


@pytest.mark.parametrize("seq", ["7", None, {"n": 1}, float("nan")])
def test_l105_documents_without_an_org_or_a_number_are_counted(tmp_path: Path, seq: object) -> None:
    with closing(make_store("mongod", tmp_path)) as store:
        assert isinstance(store, MongoStore)
        store.init()
        desk = Desk(store)
        desk.adjust(5, "a")
        database = database_of(store)
        database.command({"collMod": "journal", "validator": {}})
        database.journal.insert_one({"_id": "acme/x", "org": "acme", "seq": seq, "key": "x"})
        database.journal.insert_one({"_id": "nobody", "seq": 1})
        found = verify_all(store).findings
        assert sorted(finding.org or "" for finding in found) == ["", "acme"]
        assert all("in no journal" in finding.message for finding in found)
        assert desk.adjust(5, "b").applied
        assert desk.balance() == 10
    drop_store("mongod", tmp_path)


# Damaged documents


_CHANGE_TIP = """
    UPDATE journal SET doc = json_set(doc, ?, json(?))
    WHERE rowid = (SELECT max(rowid) FROM journal WHERE org = 'acme')
"""


def change_tip(store: Store, kind: str, tmp_path: Path, change: dict[str, Any]) -> None:
    """Change the newest entry of ``acme`` as bytes on a disk change: past every rule of the store."""
    if isinstance(store, MongoStore):
        if kind == "mongod":
            database_of(store).command({"collMod": "journal", "validator": {}})
        newest = store._database.journal.find({"org": "acme"}).sort("seq", -1).limit(1)[0]
        store._database.journal.update_one({"_id": newest["_id"]}, {"$set": change})
        return
    with closing(sqlite3.connect(tmp_path / "store" / "meterctl.db", isolation_level=None)) as file:
        file.execute("PRAGMA ignore_check_constraints = ON")
        file.execute("DROP TRIGGER journal_no_update")
        for name, value in change.items():
            file.execute(_CHANGE_TIP, (f"$.{name}", json.dumps(value)))


@pytest.mark.parametrize("change", [{"balance": 991}, {"state.debt.owed": 1}, {"reason": "another"}])
@pytest.mark.parametrize("kind", ["mongomock", "sqlite", "mongod"])
def test_l99_nothing_is_booked_or_read_on_a_newest_entry_that_was_changed(
    kind: str, change: dict[str, Any], tmp_path: Path
) -> None:
    with closing(make_store(kind, tmp_path)) as store:
        store.init()
        desk = Desk(store)
        desk.credit("cs_1")
        desk.debit(10, "d1")
        desk.adjust(5, "other", org="bolt")
        change_tip(store, kind, tmp_path, change)
        for use in (lambda: desk.debit(1, "d2"), desk.balance, lambda: desk.sweep(at="2027-03-01T00:00:00Z")):
            with pytest.raises(Damaged) as damaged:
                use()
            assert (damaged.value.org, damaged.value.seq, damaged.value.exit_code) == ("acme", 2, 10)
            assert "meterctl verify acme" in damaged.value.hint
        assert desk.adjust(5, "more", org="bolt").applied
        lister = OrgLister(store, Instant(NOON), desk.ledger.terms)
        with pytest.raises(Damaged, match="acme"):
            lister.list(OrgQuery()).fields()
        (other,) = lister.list(OrgQuery(OrgFilter(prefix="bo"))).fields()["orgs"]
        assert (other["org"], other["balance"]) == ("bolt", 10)
        assert not verify_org(store, "acme").ok
    drop_store(kind, tmp_path)


def test_l82_a_defect_in_a_rule_is_told_as_a_defect(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def defect(*_: object) -> None:
        raise AttributeError("'NoneType' object has no attribute 'quota'")

    desk.adjust(5, "a")
    monkeypatch.setitem(rules.RULES, Debit, defect)
    with pytest.raises(AttributeError):
        desk.debit(1, "d")
    debit = ["debit", "acme", "1", "--ref", "d", "--store", f"sqlite:{tmp_path}/meterctl.db"]
    assert main(debit) == 1
    said = capsys.readouterr()
    assert "error [unexpected]" in said.err
    assert "damaged" not in said.err + said.out
    monkeypatch.setenv("METERCTL_DEBUG", "1")
    assert main(debit) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("change", [{"balance": 5_000}, {"seq": 99}, {"hash": "0" * 64}, {"state": {"lots": 5}}])
def test_l113_a_forged_head_is_found_by_the_doctor_and_forges_no_balance(desk: Desk, change: dict[str, Any]) -> None:
    desk.credit("cs_1")
    (head,) = desk.store.heads.read()
    assert wrong(desk.store) == {}
    desk.store.heads.replace([head._replace(**change)])  # type: ignore[union-attr]
    assert "heads" in wrong(desk.store)
    listing = OrgLister(desk.store, Instant(NOON), desk.ledger.terms).list(OrgQuery())
    assert [record["balance"] for record in listing.rows()] == [1000]


# Damaged files


def filled(path: Path) -> None:
    """A store of some hundred pages at ``path``, in one file."""
    with closing(SqliteStore(str(path))) as store:
        desk = Desk(store)
        for number in range(20):
            desk.adjust(1000, "grant", org=f"org-{number}")
            for debit in range(30):
                desk.debit(1, f"d{debit}", org=f"org-{number}")
        tell_story(store)
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def test_l76_a_damaged_middle_is_found_and_never_booked_on(tmp_path: Path) -> None:
    path = tmp_path / "meterctl.db"
    filled(path)
    content = bytearray(path.read_bytes())
    start, length = len(content) * 3 // 8, len(content) // 4
    content[start : start + length] = random.Random(1).randbytes(length)
    path.write_bytes(content)
    with closing(SqliteStore(str(path))) as store:
        assert "file" in wrong(store)
        assert not verify_all(store).ok
        desk, refused = Desk(store), 0
        for number in range(20):
            try:
                desk.debit(1, "after", org=f"org-{number}")
            except StoreDamaged:
                refused += 1
        assert refused


@pytest.mark.parametrize("entries", [1, 30, 300])
@pytest.mark.parametrize("start", [0.25, 0.375, 0.45, 0.5])
def test_l76_damage_is_a_finding_wherever_the_middle_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entries: int, start: float
) -> None:
    """In a small file it holds the tables of plans, locks and the clock too."""
    path = tmp_path / "meterctl.db"
    with closing(SqliteStore(str(path))) as store:
        desk = Desk(store, now=NOON)
        for number in range(entries):
            desk.adjust(1, f"a{number}", org=f"o{number % 40}")
    content = bytearray(path.read_bytes())
    first = int(len(content) * start)
    content[first : first + len(content) // 4] = random.Random(1).randbytes(len(content) // 4)
    path.write_bytes(content)
    monkeypatch.setenv("METERCTL_STORE", f"sqlite:{path}")
    monkeypatch.setenv("METERCTL_NOW", NOON)
    assert (main(["doctor", "--json"]), main(["verify", "--all", "--json"])) == (8, 8)
    assert main(["debit", "o0", "1", "--ref", "d1", "--json"]) == 10


def test_l76_a_schema_that_cannot_be_read_is_a_finding_of_the_doctor(tmp_path: Path) -> None:
    path = tmp_path / "meterctl.db"
    filled(path)
    content = path.read_bytes()
    assert content.count(b"CREATE TRIGGER journal_no_update") == 1
    path.write_bytes(content.replace(b"CREATE TRIGGER journal_no_update", b"CREATE TRIGGEQ journal_no_update"))
    with closing(SqliteStore(str(path), only_look=True)) as store:
        assert set(wrong(store)) == {"store", "file"}


def test_l98_an_index_that_lost_an_entry_is_found(tmp_path: Path) -> None:
    path = tmp_path / "meterctl.db"
    filled(path)
    content = path.read_bytes()
    key = b"org-7debit:d17"  # as it stands in the index alone: org and key, one behind the other
    assert content.count(key) == 1
    path.write_bytes(content.replace(key, b"org-7debit:d1\xb7"))
    with closing(SqliteStore(str(path))) as store:
        assert "file" in wrong(store)
        assert not verify_all(store).ok
        desk = Desk(store)
        with pytest.raises(StoreDamaged):
            desk.debit(1, "d17", org="org-7")
    path.write_bytes(content.replace(key, b"org-7debit:e17"))
    with closing(SqliteStore(str(path))) as store:
        assert "file" in wrong(store)
        with pytest.raises(StoreDamaged):
            Desk(store).debit(1, "d17", org="org-7")


@pytest.mark.parametrize("kind", ["mongomock", "sqlite", "mongod"])
def test_l98_an_export_with_a_gap_is_told(kind: str, tmp_path: Path) -> None:
    with closing(make_store(kind, tmp_path)) as store:
        store.init()
        desk = Desk(tap(store))
        for number in range(5):
            desk.adjust(1, f"a{number}")
            desk.adjust(1, f"a{number}", org="bolt")
        lines = list(entry_texts(store))
        assert len(lines) == 10
        store.journal.on("texts", lambda real, org: (text for text in real(org) if text[:2] != ("acme", 3)))  # type: ignore[attr-defined]
        exported: list[bytes] = []
        with pytest.raises(Damaged, match="entry 3 of acme is missing") as gap:
            exported.extend(entry_texts(store))
        assert (gap.value.org, gap.value.seq) == ("acme", 3)
    drop_store(kind, tmp_path)
