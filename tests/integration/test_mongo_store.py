"""What only a real mongod shows: validators, concerns, rights, plans, and servers that do not answer."""

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import WriteError
from pymongo.monitoring import CommandListener, CommandStartedEvent

from meterctl.core.errors import BadInput, Damaged, MeterctlError, StoreUnreachable, StoreUnusable
from meterctl.core.model import Entry, Instant
from meterctl.core.ports import EntryFilter, Lease, Observation, Recorded, Store
from meterctl.core.stores.mongo import MongoStore, connect, expected_indexes, expected_validator
from meterctl.process.clock import SystemClock
from tests.builders import AT, holders, make_claim, make_entries, make_entry, make_head, make_version
from tests.mongod import Mongod, ReplicaSet, own_database, require_mongod_binary, with_database

Document = dict[str, Any]
Dial = Callable[..., MongoStore]

PASSWORD = "hunter2"  # noqa: S105
NOBODY_THERE = "127.0.0.1:1"


@pytest.fixture
def uri() -> Iterator[str]:
    """The URI of an empty database of its own."""
    with own_database() as uri:
        yield uri


@pytest.fixture
def database(uri: str) -> Iterator[Database[Document]]:
    """The same database without the adapter."""
    # Before 5.0 that is not a server's default, and what a majority lacks no read of the adapter shows.
    with MongoClient[Document](uri, w="majority") as client:
        yield client.get_default_database()


@pytest.fixture
def dial() -> Iterator[Dial]:
    """`connect`, whose stores the test need not close."""
    opened: list[MongoStore] = []

    def dialled(uri: str, **options: Any) -> MongoStore:
        opened.append(connect(uri, **options))
        return opened[-1]

    yield dialled
    for store in opened:
        store.close()


@pytest.fixture
def store(dial: Dial, uri: str) -> MongoStore:
    made = dial(uri)
    made.init()
    return made


@pytest.fixture(scope="module")
def own_mongod() -> Iterator[Mongod]:
    """A server that a test may freeze or kill."""
    require_mongod_binary()
    server = Mongod().start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def replica_set() -> Iterator[ReplicaSet]:
    require_mongod_binary()
    nodes = ReplicaSet(3).start()
    yield nodes
    nodes.stop()


def stored(entry: Entry, **changes: Any) -> Document:
    """The document that the adapter makes of an entry, changed."""
    document = {"_id": f"{entry['org']} {entry['key']}", **entry, "moving": entry["amount"] != 0, **changes}
    return {name: value for name, value in document.items() if value is not ...}


# Schema


WRONG: dict[str, Document] = {
    "wrong_sign": {"amount": 5},
    "unknown_kind": {"kind": "gift"},
    "double_amount": {"amount": -5.0},
    "array_amount": {"amount": [-5]},
    "boolean_balance": {"balance": True},
    "amount_beyond_json": {"amount": -(2**53)},
    "seq_zero": {"seq": 0},
    "text_seq": {"seq": "1"},
    "no_hash": {"hash": ...},
    "no_state": {"state": ...},
    "state_as_text": {"state": "{}"},
    "another_id": {"_id": "acme other"},
    "not_moving": {"moving": False},
    "moving_missing": {"moving": ...},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_the_server_takes_no_wrong_entry_from_anyone(
    store: MongoStore, database: Database[Document], change: Document
) -> None:
    with pytest.raises(WriteError) as refused:
        database.journal.insert_one(stored(make_entry("acme", 1), **change))
    assert refused.value.code == 121
    database.journal.insert_one(stored(make_entry("acme", 1)))
    assert store.journal.tip("acme") == make_entry("acme", 1)


def live_indexes(database: Database[Document], name: str) -> dict[str, tuple[Any, ...]]:
    live = database[name].index_information()
    return {
        index: (tuple(about["key"]), about.get("unique", False), about.get("partialFilterExpression"))
        for index, about in live.items()
        if index != "_id_"
    }


def test_the_first_append_makes_what_init_makes(dial: Dial, uri: str, database: Database[Document]) -> None:
    store = dial(uri)
    assert store.journal.append([make_entry("acme", 1)]) == 1
    for name, indexes in expected_indexes().items():
        assert live_indexes(database, name) == {
            index.name: (index.keys, index.unique, index.partial) for index in indexes
        }
    assert database.journal.options()["validator"] == expected_validator()


def test_init_mends_what_is_missing_and_keeps_the_rest(store: MongoStore, database: Database[Document]) -> None:
    store.journal.append(make_entries("acme", 3))
    database.journal.drop_index("org_kind")
    database.command({"collMod": "journal", "validator": {}})
    lines = store.init()
    assert [line for line in lines if line.endswith("made")] == [
        "journal: index org_kind made",
        "journal: validator made",
    ]
    assert [line for line in store.init() if line.endswith("made")] == []
    assert len(list(store.journal.read("acme"))) == 3


def test_nothing_is_booked_where_seqs_are_not_unique(
    dial: Dial, store: MongoStore, uri: str, database: Database[Document]
) -> None:
    store.journal.append([make_entry("acme", 1)])
    database.journal.drop_index("org_seq")
    fresh = dial(uri)
    for call in (lambda: fresh.journal.append([make_entry("acme", 1, key="other")]), lambda: fresh.journal.tip("acme")):
        with pytest.raises(StoreUnusable) as missing:
            call()
        assert missing.value.code == "index_missing"
        assert "meterctl init" in missing.value.hint
    assert database.journal.count_documents({}) == 1
    fresh.init()
    assert fresh.journal.append([make_entry("acme", 1, key="other")]) == 0


@pytest.mark.parametrize(
    "options",
    [{}, {"unique": True, "partialFilterExpression": {"kind": "usage"}}],
    ids=["not-unique", "of-some-only"],
)
def test_an_index_that_does_not_keep_seqs_unique_does_not_do(
    options: Document, dial: Dial, uri: str, database: Database[Document]
) -> None:
    database.journal.create_index([("org", 1), ("seq", 1)], name="org_seq", **options)
    store = dial(uri)
    with pytest.raises(StoreUnusable) as missing:
        store.journal.append([make_entry("acme", 1)])
    assert missing.value.code == "index_missing"


def test_an_index_of_the_same_name_is_not_taken_for_ours(dial: Dial, uri: str, database: Database[Document]) -> None:
    database.journal.create_index("kind", name="org_kind")
    with pytest.raises(StoreUnusable, match="org_kind") as unusable:
        dial(uri).init()
    assert unusable.value.code == "store_unusable"


def test_fresh_processes_may_all_append_at_once(dial: Dial, uri: str) -> None:
    stores = [dial(uri) for _ in range(6)]
    with ThreadPoolExecutor(len(stores)) as pool:
        taken = list(pool.map(lambda store: store.journal.append([make_entry("acme", 1)]), stores))
    assert sum(taken) == 1


def test_a_journal_is_made_although_another_process_makes_its_indexes(dial: Dial, own_mongod: Mongod) -> None:
    """As MongoDB 4.4 answers then."""
    with MongoClient[Document](own_mongod.uri) as client:
        failure = {"failCommands": ["collMod"], "errorCode": 12587}
        client.admin.command("configureFailPoint", "failCommand", mode={"times": 2}, data=failure)
        store = dial(with_database(own_mongod.uri, "made_by_two"))
        assert store.journal.append([make_entry("acme", 1)]) == 1
        assert client["made_by_two"].journal.options()["validator"] == expected_validator()


def test_a_validator_that_is_refused_is_told(dial: Dial, own_mongod: Mongod) -> None:
    with MongoClient[Document](own_mongod.uri) as client:
        failure = {"failCommands": ["collMod"], "errorCode": 13}
        client.admin.command("configureFailPoint", "failCommand", mode={"times": 1}, data=failure)
        store = dial(with_database(own_mongod.uri, "refused"))
        with pytest.raises(StoreUnusable, match="denies access"):
            store.journal.append([make_entry("acme", 1)])


def test_what_does_not_fit_its_entry_is_not_hidden(store: MongoStore, database: Database[Document]) -> None:
    entry = make_entry("acme", 1)
    database.command({"collMod": "journal", "validator": {}})
    database.journal.insert_one(stored(entry, _id="acme other", moving=False))
    (kept,) = store.journal.documents("acme")
    assert kept.content == {**entry, "_id": "acme other", "moving": False}
    with pytest.raises(Damaged, match="no field '_id', 'moving'"):
        store.journal.tip("acme")


# Concerns


class Commands(CommandListener):
    """Every command that is sent."""

    def __init__(self) -> None:
        self.sent: list[Document] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.sent.append(dict(event.command))

    def succeeded(self, event: object) -> None: ...

    def failed(self, event: object) -> None: ...

    def on(self, collection: str, *names: str) -> list[Document]:
        return [command for command in self.sent for name in names if command.get(name) == collection]


CARELESS = "&w=0&journal=false&readPreference=secondaryPreferred&readConcernLevel=local"


def use_everything(store: Store) -> None:
    store.journal.append([make_entry("acme", 1), make_entry("bolt", 1)])
    store.journal.tip("acme")
    store.journal.tips(["acme", "bolt", "core"])
    store.journal.grown({"acme": 0, "bolt": 1})
    store.journal.by_keys([("acme", "debit:ref-1")])
    store.journal.by_seq("acme", 1)
    list(store.journal.read("acme"))
    list(store.journal.read("acme", EntryFilter(kinds=("topup",))))
    list(store.journal.read("acme", EntryFilter(session="cs_1")))
    list(store.journal.alerts(AT))
    list(store.journal.alerts(AT, org="acme"))
    list(store.journal.alerts_recorded(Recorded(AT, "", 0), AT))
    list(store.journal.orgs())
    list(store.journal.scan())
    store.heads.put([make_head("acme", 2), make_head("acme", 1)])
    store.heads.replace([make_head("acme", 1)])
    store.heads.get(["acme"])
    store.heads.due(AT)
    list(store.heads.read())
    store.claims.take([make_claim("cs_1", "acme")])
    store.claims.take([make_claim("cs_1", "bolt")])
    store.claims.holders(["cs_1"])
    store.claims.move(make_claim("cs_1", "acme"), make_claim("cs_1", "bolt"))
    list(store.claims.read())
    store.plans.add(make_version())
    store.plans.add(make_version())
    store.plans.all()
    lease = Lease("sweep", "one", AT, Instant("2026-11-22T10:04:00.000Z"))
    store.locks.acquire(lease, AT)
    store.locks.acquire(lease, AT)
    store.locks.all()
    store.locks.release("sweep", "one")


def test_concerns_are_ours_whatever_the_uri_says(uri: str) -> None:
    commands = Commands()
    with MongoClient[Document](uri + CARELESS, event_listeners=[commands]) as client:
        use_everything(MongoStore(client, client.get_default_database().name))
    for name in ("journal", "claims", "plans", "locks"):
        writes = commands.on(name, "insert", "update", "delete", "findAndModify")
        assert writes
        assert all(write["writeConcern"] == {"w": "majority", "j": True} for write in writes), writes
        reads = commands.on(name, "find", "distinct", "aggregate")
        assert reads
        assert all(read["readConcern"] == {"level": "majority"} for read in reads), reads
    assert {str(write["writeConcern"]) for write in commands.on("heads", "update")} == {"{'w': 1}"}
    data = [command for command in commands.sent if {"find", "distinct", "insert", "update"} & command.keys()]
    assert not [command for command in data if command.get("$readPreference", {"mode": "primary"})["mode"] != "primary"]
    assert all("maxTimeMS" in command for command in data), "the server must give up when we do"


# Plans: what a question costs


def examined(database: Database[Document], ask: Callable[[], object]) -> int:
    """Index keys and documents that the server looked at to answer."""
    database.command("profile", 2)
    ask()
    database.command("profile", 0)
    operations = list(database["system.profile"].find({"ns": {"$regex": r"\.(journal|heads)$"}}))
    database.drop_collection("system.profile")
    assert operations
    return sum(operation["keysExamined"] + operation["docsExamined"] for operation in operations)


def first(stream: Iterator[Entry], count: int = 1) -> list[int]:
    return [next(stream)["seq"] for _ in range(count)]


def test_a_page_costs_the_same_wherever_it_lies(store: MongoStore, database: Database[Document]) -> None:
    rare: dict[int, Document] = {
        1: {"kind": "topup", "session": "cs_1"},
        2: {"kind": "usage", "amount": -1, "alerts": [80]},
        2999: {"kind": "debit"},
    }
    count = 3000
    store.journal.append([make_entry("acme", seq, **rare.get(seq, {"kind": "usage"})) for seq in range(1, count + 1)])
    store.journal.append([make_entry(org, 1, kind="usage") for org in ("abba", "bolt", "core")])
    read = store.journal.read
    asks: list[tuple[Callable[[], object], list[Any]]] = [
        (lambda: first(read("acme", EntryFilter(kinds=("topup",)), newest_first=True)), [1]),
        (lambda: first(read("acme", EntryFilter(kinds=("topup", "refund", "reversal")), newest_first=True)), [1]),
        (lambda: first(read("acme", EntryFilter(kinds=("debit",)))), [2999]),
        (lambda: first(read("acme", EntryFilter(moving=True), newest_first=True), 3), [2999, 2, 1]),
        (lambda: first(read("acme", EntryFilter(moving=True, kinds=("usage",)), newest_first=True)), [2]),
        (lambda: first(read("acme", EntryFilter(session="cs_1"), newest_first=True)), [1]),
        (lambda: first(read("acme", newest_first=True), 20), list(range(3000, 2980, -1))),
        (lambda: first(read("acme", EntryFilter(before=1500), newest_first=True)), [1499]),
        (lambda: first(read("acme", EntryFilter(after=1500))), [1501]),
        (lambda: first(store.journal.alerts(AT)), [2]),
        (lambda: first(store.journal.alerts(AT, org="acme")), [2]),
        (lambda: first(store.journal.alerts_recorded(Recorded(AT, "acme", 1), Instant("2027"))), [2]),
        (lambda: first(store.journal.scan(after="abba"), 20), list(range(1, 21))),
        (lambda: list(store.journal.orgs()), ["abba", "acme", "bolt", "core"]),
        (lambda: list(store.journal.tips(["acme", "bolt", "core", "nobody"])), ["acme", "bolt", "core"]),
        (lambda: list(store.journal.grown({"acme": 2999, "bolt": 9, "nobody": 0})), ["acme"]),
    ]
    for ask, expected in asks:
        answers: list[Any] = []
        cost = examined(database, lambda ask=ask, answers=answers: answers.append(ask()))  # type: ignore[misc]
        assert sorted(answers[0]) == sorted(expected)
        assert cost < 120, expected


def test_what_is_due_is_found_without_looking_at_the_rest(store: MongoStore, database: Database[Document]) -> None:
    heads = [make_head(f"org-{number:05}", expiry="2027-01-01T00:00:00.000Z") for number in range(5000)]
    heads[77] = make_head("org-00077", expiry="2026-01-01T00:00:00.000Z")
    heads[4000] = make_head("org-04000", due="2026-01-01T00:00:00.000Z")
    store.heads.put(heads)
    found: list[str] = []
    cost = examined(database, lambda: found.extend(due.org for due in store.heads.due(AT)))
    assert found == ["org-00077", "org-04000"]
    assert cost < 60


# Servers that do not answer


def within(seconds: float, call: Callable[[], object]) -> StoreUnreachable:
    started = time.monotonic()
    with pytest.raises(StoreUnreachable) as unreachable:
        call()
    assert time.monotonic() - started < seconds
    return unreachable.value


def test_a_server_that_is_not_there(dial: Dial, uri: str) -> None:
    store = dial(f"mongodb://{NOBODY_THERE}/credits", timeout_seconds=0.5)
    for call in (
        lambda: store.journal.append([make_entry("acme", 1)]),
        lambda: store.journal.tip("acme"),
        lambda: list(store.journal.orgs()),
        lambda: store.heads.put([make_head("acme", 1)]),
        lambda: store.claims.take([make_claim("cs_1", "acme")]),
        store.plans.all,
        store.locks.all,
        store.init,
    ):
        error = within(5, call)
        assert f"mongodb://{NOBODY_THERE}/credits" in error.message
        assert "Topology" not in error.message
        assert error.exit_code == 10


def test_the_uri_may_ask_to_wait_shorter() -> None:
    store = connect(f"mongodb://{NOBODY_THERE}/credits?timeoutMS=300")
    within(3, lambda: store.journal.tip("acme"))
    store.close()


def test_servers_that_cannot_be_looked_up() -> None:
    with pytest.raises(StoreUnreachable, match="looked up") as unreachable:
        connect(f"mongodb+srv://joe:{PASSWORD}@no.such.host.invalid/credits", timeout_seconds=0.5)
    assert PASSWORD not in everything_said(unreachable.value)


def test_a_server_that_stops_answering(dial: Dial, own_mongod: Mongod) -> None:
    uri = with_database(own_mongod.uri, "frozen")
    patient, store = dial(uri), dial(uri, timeout_seconds=1.0)
    assert patient.journal.append([make_entry("acme", 1)]) == 1
    own_mongod.pause()
    try:
        within(6, lambda: store.journal.append([make_entry("acme", 2)]))
        within(6, lambda: store.journal.tip("acme"))
        within(6, lambda: list(store.journal.read("acme")))
    finally:
        own_mongod.resume()
    patient.journal.append([make_entry("acme", 2)])
    assert [entry["seq"] for entry in patient.journal.read("acme")] == [1, 2]


def test_what_was_acknowledged_survives_a_kill(dial: Dial, own_mongod: Mongod) -> None:
    store = dial(with_database(own_mongod.uri, "killed"))
    acknowledged = 0
    for first_seq in (1, 41, 81):
        acknowledged += store.journal.append(make_entries("acme", 40, first=first_seq))
        store.claims.take([make_claim(f"cs_{first_seq}", "acme")])
        own_mongod.restart()
    assert [entry["seq"] for entry in store.journal.read("acme")] == list(range(1, acknowledged + 1))
    assert holders(store) == {"cs_1": "acme", "cs_41": "acme", "cs_81": "acme"}


@pytest.fixture
def held_back(dial: Dial, replica_set: ReplicaSet) -> Iterator[str]:
    """The URI of a replica set whose primary holds the second entry of acme and a claim, and no other node does."""
    uri = with_database(replica_set.uri, f"test_{uuid.uuid4().hex[:12]}")
    patient, store = dial(uri), dial(uri, timeout_seconds=1.0)
    patient.init()
    patient.claims.take([make_claim("cs_1", "acme")])
    patient.journal.append([make_entry("acme", 1)])
    replica_set.hold_replication(held=True)
    within(6, lambda: store.journal.append([make_entry("acme", 2)]))
    within(6, lambda: store.claims.take([make_claim("cs_2", "acme")]))
    yield uri
    replica_set.hold_replication(held=False)


def test_a_read_shows_nothing_that_may_still_vanish(dial: Dial, held_back: str) -> None:
    with MongoClient[Document](held_back) as client:
        assert client.get_default_database().journal.count_documents({}) == 2, "the primary itself has it"
    store = dial(held_back, timeout_seconds=1.0)
    entry = make_entry("acme", 1)
    assert store.journal.tip("acme") == entry
    assert store.journal.tips(["acme", "bolt"]) == {"acme": entry}
    assert list(store.journal.read("acme")) == [entry]
    assert store.journal.by_keys([("acme", "debit:ref-2")]) == {}
    assert store.claims.holders(["cs_1", "cs_2"]) == {"cs_1": make_claim("cs_1", "acme")}


def test_a_clash_with_what_may_still_vanish_is_no_answer(dial: Dial, held_back: str) -> None:
    store = dial(held_back, timeout_seconds=1.0)
    within(6, lambda: store.journal.append([make_entry("acme", 2, key="other")]))
    within(6, lambda: store.claims.take([make_claim("cs_2", "bolt")]))


def test_a_clash_waits_until_what_it_clashed_with_can_be_read(
    dial: Dial, held_back: str, replica_set: ReplicaSet
) -> None:
    store = dial(held_back)
    with ThreadPoolExecutor(2) as pool:
        taken = pool.submit(store.journal.append, [make_entry("acme", 2, key="other")])
        seen = pool.submit(lambda: (taken.result(), store.journal.tip("acme")))
        holders = pool.submit(store.claims.take, [make_claim("cs_2", "bolt")])
        time.sleep(0.3)
        assert not taken.done()
        replica_set.hold_replication(held=False)
        assert seen.result() == (0, make_entry("acme", 2))
        assert holders.result() == {"cs_2": make_claim("cs_2", "acme")}


def test_a_new_primary_has_all_that_was_acknowledged(dial: Dial, replica_set: ReplicaSet) -> None:
    """Writers go on through a step-down and a killed primary: each seq has one entry, and none that was acknowledged
    is gone."""
    uri = with_database(replica_set.uri, "elections")
    stores = [dial(uri, timeout_seconds=20) for _ in range(3)]

    def write(writer: int) -> list[str]:
        journal, acknowledged = stores[writer].journal, []
        for number in range(1, 61):
            entry = append_next(journal, f"debit:{writer}-{number}")
            acknowledged.append(entry["hash"])
        return acknowledged

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(write, writer) for writer in range(3)]
        replica_set.step_down()
        time.sleep(0.5)
        killed = replica_set.kill_primary()
        acknowledged = [name for writer in running for name in writer.result(timeout=90)]
    replica_set.restart(killed)
    entries = list(stores[0].journal.read("acme"))
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    assert {entry["hash"] for entry in entries} == set(acknowledged)
    assert len(entries) == len(acknowledged) == 180


def append_next(journal: Any, key: str) -> Entry:
    """Append an entry under ``key`` on top of the tip, as often as it takes."""
    for _ in range(500):
        try:
            tip = journal.tip("acme")
            entry = make_entry("acme", 1 if tip is None else tip["seq"] + 1, key=key)
            if journal.append([entry]) or (entry := journal.by_keys([("acme", key)]).get(("acme", key))):
                return entry
        except StoreUnreachable:
            time.sleep(0.05)
    raise AssertionError(f"{key} was never appended")


# Rights and secrets


@pytest.fixture(scope="module")
def locked_mongod() -> Iterator[Mongod]:
    require_mongod_binary()
    server = Mongod(auth=True).start()
    yield server
    server.stop()


def as_user(server: Mongod, user: str, password: str, database: str) -> str:
    return f"mongodb://{user}:{password}@{server.address}/{database}?authSource=admin&replicaSet={server.replica_set}"


@pytest.fixture
def clerk(dial: Dial, locked_mongod: Mongod) -> str:
    """The URI of a user with exactly the role that init prints."""
    admin = dial(with_database(locked_mongod.uri, "credits", "&authSource=admin"))
    admin.init()
    role = admin.roles()["role"]
    with MongoClient[Document](locked_mongod.uri) as client:
        if not client.credits.command("rolesInfo", role["createRole"])["roles"]:
            client.credits.command(role)
            member_of = [{"role": role["createRole"], "db": "credits"}]
            client.admin.command("createUser", "clerk", pwd=PASSWORD, roles=member_of)
    return as_user(locked_mongod, "clerk", PASSWORD, "credits")


def test_the_printed_role_suffices_for_everything(dial: Dial, clerk: str) -> None:
    store = dial(clerk)
    use_everything(store)
    assert store.claims.holders(["cs_1"]) == {"cs_1": make_claim("cs_1", "bolt")}
    assert store.locks.all() == []


@pytest.mark.parametrize("command", ["update", "delete", "findAndModify", "drop", "collMod", "dropIndexes"])
def test_the_printed_role_changes_no_entry(clerk: str, command: str) -> None:
    changes: dict[str, Document] = {
        "update": {"updates": [{"q": {"org": "acme"}, "u": {"$set": {"amount": -1}}}]},
        "delete": {"deletes": [{"q": {"org": "acme"}, "limit": 0}]},
        "findAndModify": {"query": {"org": "acme"}, "remove": True},
        "drop": {},
        "collMod": {"validator": {}},
        "dropIndexes": {"index": "org_seq"},
    }
    with MongoClient[Document](clerk) as client, pytest.raises(Exception, match="not authorized") as denied:
        client.get_default_database().command({command: "journal", **changes[command]})
    assert getattr(denied.value, "code", None) == 13


def test_denied_access_says_what_to_do_and_no_password(dial: Dial, locked_mongod: Mongod, clerk: str) -> None:
    impostor = dial(as_user(locked_mongod, "clerk", "wrong-" + PASSWORD, "credits"))
    elsewhere = dial(as_user(locked_mongod, "clerk", PASSWORD, "another"))
    for store in (impostor, elsewhere):
        with pytest.raises(StoreUnusable) as denied:
            store.journal.tip("acme")
        assert "meterctl init" in denied.value.hint
        assert PASSWORD not in everything_said(denied.value) + store.describe() + repr(store)


def test_what_a_user_may_do_to_the_journal_is_examined(dial: Dial, locked_mongod: Mongod, clerk: str) -> None:
    def examined(uri: str) -> dict[str, Observation]:
        return {seen.name: seen for seen in dial(uri).examine(SystemClock())}

    assert examined(clerk)["rights"].ok is True
    assert examined(clerk)["indexes of journal"].ok is True
    assert examined(clerk)["validator"].ok is True
    powerful = examined(with_database(locked_mongod.uri, "credits", "&authSource=admin"))
    assert (powerful["rights"].ok, powerful["validator"].ok) == (False, True)
    assert "remove, update" in powerful["rights"].found


def everything_said(error: MeterctlError) -> str:
    return f"{error} {error!r} {error.message} {error.hint}"


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        (f"mongodb://joe:{PASSWORD}@{NOBODY_THERE}", f"mongodb://{NOBODY_THERE}/meterctl"),
        (f"mongodb://joe:{PASSWORD}@a:1,b:2/credits?tls=false", "mongodb://a:1,b:2/credits"),
        ("mongodb://a/?authMechanism=PLAIN&authSource=$external&username=x".partition("?")[0], "mongodb://a/meterctl"),
        (f"mongodb://a/credits?appName=x@{PASSWORD}", "mongodb://a/credits"),
        (f"mongodb://joe:x@a/credits?appName=x@{PASSWORD}", "mongodb://a/credits"),
        (f"mongodb://joe:p%40%2F{PASSWORD}@a/credits", "mongodb://a/credits"),
    ],
)
def test_describe_shows_no_secret(dial: Dial, uri: str, place: str) -> None:
    store = dial(uri, timeout_seconds=0.2)
    assert store.describe() == place


@pytest.mark.parametrize(
    "uri",
    [
        f"mongodb://joe:{PASSWORD}:{PASSWORD}@a/credits",
        f"mongodb://joe:@{PASSWORD}@a/credits",
        f"mongodb://joe:x/{PASSWORD}@a/credits",
        f"mongodb://joe:x?{PASSWORD}@a/credits",
        f"mongodb://joe:{PASSWORD}@a:none/credits",
        f"mongodb://joe:{PASSWORD}@/credits",
        f"mongodb+srv://joe:{PASSWORD}@a:1/credits",
        f"mongodb://joe:{PASSWORD}@a/cre$dits",
    ],
)
def test_a_uri_that_cannot_be_used_is_bad_input_and_keeps_its_secret(dial: Dial, uri: str) -> None:
    with pytest.raises(BadInput) as bad:
        dial(uri)
    assert PASSWORD not in everything_said(bad.value)
    assert bad.value.__cause__ is None
    assert bad.value.__suppress_context__
    assert "mongodb://user:password@host" in bad.value.hint


def test_an_option_of_a_uri_without_a_value_is_bad_input_and_keeps_its_secret(dial: Dial) -> None:
    with pytest.raises(BadInput, match="option 'retryWrites' is unknown, or its value is wrong") as bad:
        dial(f"mongodb://joe:{PASSWORD}@a/credits?w=%ZZ&retryWrites")
    assert PASSWORD not in everything_said(bad.value)


def test_a_uri_without_a_secret_is_bad_input_with_the_reason(dial: Dial) -> None:
    with pytest.raises(BadInput, match="Port"):
        dial("mongodb://a:none/credits")
