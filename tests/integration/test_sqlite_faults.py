"""What can go wrong around a database file: a clear error, and nothing lost that was acknowledged."""

import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from meterctl.core.errors import MeterctlError, StoreUnreachable, StoreUnusable, sound
from meterctl.core.ports import Head, Lease, Observation
from meterctl.core.stores.sqlite import SqliteStore, transactions
from meterctl.core.stores.sqlite.database import SqliteDatabase
from meterctl.process.clock import SystemClock
from tests.builders import AT, make_claim, make_entries, make_entry, make_head, make_version

ROOT = Path(__file__).parents[2]

#: The most that any child process here may take.
SECONDS = 60


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "meterctl.db"


@pytest.fixture
def open_again(path: Path) -> Iterator[Callable[[], SqliteStore]]:
    """Opens the file at ``path``, with little patience for locks."""
    opened: list[SqliteStore] = []

    def another() -> SqliteStore:
        opened.append(SqliteStore(str(path), timeout_seconds=0.2))
        return opened[-1]

    yield another
    for store in opened:
        store.close()


@pytest.fixture
def store(open_again: Callable[[], SqliteStore]) -> SqliteStore:
    """A store that holds three entries of acme."""
    made = open_again()
    made.journal.append(make_entries("acme", 3))
    return made


def make(path: Path) -> None:
    store = SqliteStore(str(path))
    store.init()
    store.close()


def child(script: str, *arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def output(script: str, *arguments: object) -> str:
    """What a child prints that must end well."""
    with child(script, *arguments) as process:
        printed, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    return printed


def seqs(store: SqliteStore, org: str = "acme") -> list[int]:
    return [entry["seq"] for entry in store.journal.read(org)]


# The path


def test_the_file_and_its_directory_are_made_by_the_first_write(path: Path) -> None:
    store, other = SqliteStore(str(path)), SqliteStore(str(path))
    read = [*store.journal.orgs(), *store.heads.read(), *store.plans.all(), *store.locks.all()]
    assert read == []
    assert (store.journal.tip("acme"), store.journal.by_keys([("acme", "k")])) == (None, {})
    assert not path.parent.exists()
    other.journal.append([make_entry("acme", 1)])
    assert list(store.journal.orgs()) == ["acme"]
    store.close()
    other.close()


def test_a_relative_path_stays_where_it_was_when_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = SqliteStore("here.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.journal.append(make_entries("acme", 1))
    assert (tmp_path / "here.db").exists()
    store.close()


def test_a_directory_is_not_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="unable to open database file") as error:
        SqliteStore(str(tmp_path)).journal.tip("acme")
    assert str(tmp_path) in error.value.message
    assert "names a file" in error.value.hint


def test_a_file_is_not_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusable, match="cannot create the directory") as error:
        SqliteStore(str(tmp_path / "file" / "meterctl.db")).journal.tip("acme")
    assert str(tmp_path / "file") in error.value.message


@pytest.mark.parametrize("content", [b"# not a database\n" * 300, b"\0" * 5000, os.urandom(8192)])
def test_a_file_that_is_no_database_is_left_alone(
    path: Path, content: bytes, open_again: Callable[[], SqliteStore]
) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    store = open_again()
    attempts: list[Callable[[], object]] = [
        lambda: store.journal.tip("acme"),
        lambda: store.journal.append([make_entry()]),
        store.init,
    ]
    for attempt in attempts:
        with pytest.raises(StoreUnusable, match="file is not a database") as error:
            attempt()
        assert str(path) in error.value.message
        assert "--store" in error.value.hint
    assert path.read_bytes() == content


def test_the_database_of_another_program_is_left_alone(path: Path, open_again: Callable[[], SqliteStore]) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE songs (title)")
    other.close()
    content = path.read_bytes()
    with pytest.raises(StoreUnusable, match="another program"):
        open_again().init()
    assert path.read_bytes() == content


def test_a_schema_of_another_version_is_left_alone(path: Path, open_again: Callable[[], SqliteStore]) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(StoreUnusable, match="version 99; this program knows version"):
        open_again().journal.append([make_entry()])


def test_an_old_sqlite_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 30, 1))
    with pytest.raises(StoreUnusable, match=r"needs 3\.31 or later"):
        SqliteStore(str(path)).init()


# Rights and room


def test_a_read_only_file_can_be_read_and_says_so_to_writers(
    path: Path, store: SqliteStore, open_again: Callable[[], SqliteStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def connect_read_only(file: Path, **options: object) -> sqlite3.Connection:
        return connect(f"file:{file}?mode=ro", **options | {"uri": True})  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", connect_read_only)
    reader = open_again()
    assert seqs(reader) == [1, 2, 3]
    writes: list[Callable[[], object]] = [
        lambda: reader.journal.append([make_entry("acme", 4)]),
        lambda: reader.heads.put([make_head()]),
        lambda: reader.heads.replace([make_head()]),
        lambda: reader.claims.take([make_claim("cs_1", "acme")]),
        lambda: reader.claims.move(make_claim("cs_1", "acme"), make_claim("cs_1", "bolt")),
        lambda: reader.plans.add(make_version()),
        lambda: reader.locks.acquire(Lease("sweep", "me", AT, AT), AT),
        lambda: reader.locks.release("sweep", "me"),
        reader.init,
    ]
    for write in writes:
        with pytest.raises(StoreUnusable, match="readonly database") as error:
            write()
        assert str(path) in error.value.message
        assert "rights" in error.value.hint
    assert seqs(store) == [1, 2, 3]


def append_until_refused(store: SqliteStore, first: int) -> None:
    for start in range(first, first + 2000, 10):
        assert store.journal.append(make_entries("acme", 10, first=start)) == 10


def looked_over(store: SqliteStore) -> dict[str, Observation]:
    return {seen.name: seen for seen in store.examine(SystemClock())}


def test_a_disk_without_write_ahead_logging_is_told(
    path: Path, open_again: Callable[[], SqliteStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def connect_as_on_a_network(file: Path, **options: object) -> sqlite3.Connection:
        return connect(f"file:{file}?vfs=unix-dotfile", **options | {"uri": True})  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", connect_as_on_a_network)
    store = open_again()
    store.journal.append([make_entry("acme", 1)])
    seen = looked_over(store)["write concern"]
    assert (seen.ok, seen.found) == (False, "journal mode delete instead of wal")


def test_who_only_looks_sees_all_and_changes_nothing(path: Path, store: SqliteStore) -> None:
    looking = SqliteStore(str(path), only_look=True)
    assert seqs(looking) == [1, 2, 3]  # the last of them in the log that another process keeps
    assert looked_over(looking)["write concern"].ok is True
    with pytest.raises(StoreUnusable, match="readonly"):
        looking.journal.append([make_entry("acme", 4)])
    assert seqs(store) == [1, 2, 3]
    looking.close()


def test_who_only_looks_makes_no_file(path: Path) -> None:
    looking = SqliteStore(str(path), only_look=True)
    assert looked_over(looking) == {}
    with pytest.raises(StoreUnusable, match="unable to open"):
        looking.journal.tip("acme")
    assert not path.parent.exists()


@pytest.mark.parametrize("refused", ["meterctl.db", ""])
def test_a_place_that_may_not_be_written_is_told(
    store: SqliteStore, path: Path, refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.init()
    place = path.parent / refused
    # Asked this way, for root may write anywhere.
    monkeypatch.setattr(os, "access", lambda asked, mode: not (asked == place and mode == os.W_OK))
    rights = looked_over(store)["rights"]
    assert rights.ok is None
    assert "read-only for this user" in rights.found


def test_a_full_disk_loses_nothing(path: Path, store: SqliteStore, open_again: Callable[[], SqliteStore]) -> None:
    ((pages,),) = store._database.rows("PRAGMA page_count")
    store._database.rows(f"PRAGMA max_page_count = {pages + 20}")
    with pytest.raises(StoreUnusable, match="full") as error:
        append_until_refused(store, first=4)
    assert str(path) in error.value.message
    assert "make room" in error.value.hint
    taken = len(seqs(store))
    assert taken > 3
    assert taken % 10 == 3, "a batch is stored whole or not at all"
    assert seqs(store) == seqs(open_again()) == list(range(1, taken + 1))

    store._database.rows("PRAGMA max_page_count = 100000")
    assert store.journal.append(make_entries("acme", 10, first=taken + 1)) == 10


WRITE_UNTIL_REFUSED = """
import resource, sys
from meterctl.core.errors import StoreUnusable
from meterctl.core.stores.sqlite import SqliteStore
from tests.builders import make_entry
store = SqliteStore(sys.argv[1])
store.init()
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
try:
    for seq in range(1, 5000):
        assert store.journal.append([make_entry("acme", seq)]) == 1
        print(seq, flush=True)
except StoreUnusable as error:
    print(error.code)
"""


def test_a_disk_that_refuses_to_write_loses_nothing(path: Path, open_again: Callable[[], SqliteStore]) -> None:
    *acknowledged, code = output(WRITE_UNTIL_REFUSED, path).split()
    assert code == "store_unusable"
    assert len(acknowledged) > 10
    assert seqs(open_again()) == list(range(1, len(acknowledged) + 1))


def test_a_damaged_file_is_reported(path: Path, store: SqliteStore, open_again: Callable[[], SqliteStore]) -> None:
    store.journal.append(make_entries("acme", 500, first=4))
    store.close()
    content = bytearray(path.read_bytes())
    content[4096 * 2 :] = b"\xff" * (len(content) - 4096 * 2)
    path.write_bytes(content)
    with pytest.raises(StoreUnusable, match="malformed") as error:
        seqs(open_again())
    assert "backup" in error.value.hint


# Locks

HOLD_THE_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE heads SET seq = seq")
print("locked", flush=True)
sys.stdin.readline()
"""


@contextmanager
def locked_by_another_process(path: Path) -> Iterator[None]:
    with child(HOLD_THE_LOCK, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield
        process.communicate("\n", timeout=SECONDS)


def test_a_lock_held_too_long_is_reported(path: Path, store: SqliteStore) -> None:
    with locked_by_another_process(path):
        with pytest.raises(StoreUnreachable, match="database is locked") as error:
            store.journal.append([make_entry("acme", 4)])
        assert str(path) in error.value.message
        assert error.value.code == "store_unreachable"
        assert seqs(store) == [1, 2, 3], "readers do not wait for writers"
    assert store.journal.append([make_entry("acme", 4)]) == 1


def test_a_writer_waits_for_a_lock_within_its_patience(path: Path, store: SqliteStore) -> None:
    patient = SqliteStore(str(path), timeout_seconds=SECONDS)
    with ThreadPoolExecutor(1) as pool:
        with locked_by_another_process(path):
            appended = pool.submit(patient.journal.append, [make_entry("acme", 4)])
            assert seqs(store) == [1, 2, 3]
            assert not appended.done()
        assert appended.result(SECONDS) == 1
    patient.close()


@pytest.mark.parametrize("use", ["BEGIN; SELECT * FROM heads", "BEGIN IMMEDIATE"], ids=["reader", "writer"])
def test_an_opener_waits_until_a_file_in_use_can_be_switched(path: Path, use: str) -> None:
    """A copy may not be in write-ahead mode, which is switched on while nobody uses the file."""
    make(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA journal_mode = DELETE")
    for statement in use.split("; "):
        other.execute(statement).fetchall()
    impatient, patient = (SqliteStore(str(path), timeout_seconds=seconds) for seconds in (0.1, SECONDS))
    with pytest.raises(StoreUnreachable, match="database is locked"):
        impatient.journal.tip("acme")
    with ThreadPoolExecutor(1) as pool:
        appended = pool.submit(patient.journal.append, [make_entry("acme", 1)])
        time.sleep(0.3)
        assert not appended.done()
        other.execute("COMMIT")
        assert appended.result(SECONDS) == 1
    other.close()
    assert patient._database.rows("PRAGMA journal_mode") == [("wal",)]
    patient.close()


def test_opening_gives_up_after_some_tries(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without write-ahead mode the file is as safe; readers and writers only wait for each other."""
    make(path)
    monkeypatch.setattr(transactions, "_SWITCH_TRIES", 0)
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA journal_mode = DELETE")
    other.close()
    store = SqliteStore(str(path))
    assert store.journal.append(make_entries("acme", 2)) == 2
    store.close()


def test_an_error_while_switching_is_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(sqlite3.Connection):
        def execute(self, statement: str, *parameters: object) -> sqlite3.Cursor:
            if "journal_mode" in statement:
                statement = "SELECT no_such_column"
            return super().execute(statement, *parameters)  # type: ignore[arg-type]

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda file, **options: connect(file, factory=Failing, **options))
    with pytest.raises(StoreUnusable, match="no_such_column"):
        SqliteStore(str(path)).init()


def test_a_file_that_another_process_is_just_making_is_not_made_twice(
    path: Path, monkeypatch: pytest.MonkeyPatch, open_again: Callable[[], SqliteStore]
) -> None:
    make(path)
    look, looked = SqliteDatabase._has_schema, [False]  # what the first look finds is out of date by the second
    monkeypatch.setattr(SqliteDatabase, "_has_schema", lambda *given: looked.pop() if looked else look(*given))
    store = open_again()
    assert store.journal.append(make_entries("acme", 2)) == 2
    assert all(line.endswith(": found") for line in store.init())


CREATE_AND_WRITE = """
import sys
from meterctl.core.stores.sqlite import SqliteStore
from tests.builders import make_entries
sys.stdin.readline()
store = SqliteStore(sys.argv[1])
print(store.journal.append(make_entries(sys.argv[2], 5)))
"""


def test_several_processes_make_the_same_file_at_once(path: Path, open_again: Callable[[], SqliteStore]) -> None:
    orgs = [f"org-{number}" for number in range(6)]
    for _ in range(3):
        processes = [child(CREATE_AND_WRITE, path, org) for org in orgs]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        assert [process.communicate(timeout=SECONDS)[0] for process in processes] == ["5\n"] * len(orgs)
        store = open_again()
        assert list(store.journal.orgs()) == orgs
        store.close()
        for file in path.parent.iterdir():
            file.unlink()


# Crashes

WRITE_UNTIL_KILLED = """
import sys
from meterctl.core.stores.sqlite import SqliteStore
from tests.builders import make_entries, make_entry, make_head
store = SqliteStore(sys.argv[1])
tip = store.journal.tip("acme")
seq = tip["seq"] if tip else 0
while True:
    count = 1 + seq % 7
    assert store.journal.append(make_entries("acme", count, first=seq + 1)) == count
    seq += count
    print(seq, flush=True)
    store.heads.put([make_head("acme", seq)])
"""


def write_until_killed(path: Path, after: int) -> int:
    """Kill a writer once it has acknowledged some ``after`` batches; the last seq that it acknowledged."""
    with child(WRITE_UNTIL_KILLED, path) as process:
        assert process.stdout is not None
        for _ in range(after):
            process.stdout.readline()
        process.kill()
        rest = process.stdout.read().split("\n")
    # A line cut off in the middle was not acknowledged in full; a whole one before it always is there.
    return int(rest[-2]) if len(rest) > 1 else 0


def test_what_a_killed_writer_acknowledged_is_there(path: Path, open_again: Callable[[], SqliteStore]) -> None:
    randomness = random.Random(11)
    for _ in range(8):
        acknowledged = write_until_killed(path, randomness.randint(1, 60))
        store = open_again()
        found = seqs(store)
        assert found == list(range(1, len(found) + 1))
        assert len(found) >= acknowledged
        assert [head.seq <= len(found) for head in sound(store.heads.read())] == [True]
        assert store._database.rows("PRAGMA integrity_check") == [("ok",)]
        store.close()


def test_a_truncated_log_leaves_a_valid_prefix(path: Path, open_again: Callable[[], SqliteStore]) -> None:
    randomness = random.Random(13)
    log = path.with_name(path.name + "-wal")
    for _ in range(6):
        write_until_killed(path, randomness.randint(10, 40))
        content = log.read_bytes()
        cut = randomness.randint(0, len(content))
        log.write_bytes(content[:cut] + randomness.randbytes(randomness.choice([0, 5000])))
        store = open_again()
        found = seqs(store)
        assert found == list(range(1, len(found) + 1))
        assert store._database.rows("PRAGMA integrity_check") == [("ok",)]
        assert store.journal.append([make_entry("acme", len(found) + 1)]) == 1
        store.close()


# Forks

FORK = """
import os, sys, threading
from meterctl.core.stores.sqlite import SqliteStore
from tests.builders import make_entry

store = SqliteStore(sys.argv[1])
store.journal.append([make_entry("acme", 1)])
closed, close = os.pipe()
if os.fork() == 0:
    store.journal.append([make_entry("acme", 2)])
    os.close(close)
    os.read(closed, 1)  # until the parent has closed the file
    print(store.journal.append([make_entry("acme", 3)]), store.journal.tip("acme")["seq"], flush=True)
    os._exit(0)
while store.journal.tip("acme")["seq"] < 2:
    pass
store.close()
os.close(close)
os.wait()
print(store.journal.tip("acme")["seq"])
"""


def test_a_fork_carries_no_connection_over(path: Path, open_again: Callable[[], SqliteStore]) -> None:
    assert output(FORK, path) == "1 3\n3\n"
    assert seqs(open_again()) == [1, 2, 3]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # other tests leave threads behind; the child uses none
def test_a_parent_goes_on_after_a_fork(store: SqliteStore) -> None:
    child_id = os.fork()
    if child_id == 0:
        os._exit(0)
    assert os.waitpid(child_id, 0) == (child_id, 0)
    assert store.journal.append([make_entry("acme", 4)]) == 1
    assert seqs(store) == [1, 2, 3, 4]


FORK_WHILE_WRITING = """
import os, sys, threading, warnings
from meterctl.core.stores.sqlite import SqliteStore
from tests.builders import make_entry

warnings.simplefilter("ignore", DeprecationWarning)  # of forks with threads
store = SqliteStore(sys.argv[1], timeout_seconds=20)
store.init()
make_entry("acme", 1)  # imports now: a child forked during an import could wait for it for ever

def write(org, count):
    for seq in range(1, count + 1):
        assert store.journal.append([make_entry(org, seq)]) == 1

threads = [threading.Thread(target=write, args=(f"thread-{number}", 60)) for number in range(3)]
for thread in threads:
    thread.start()
children = []
for number in range(5):
    child = os.fork()
    if child == 0:
        write(f"child-{number}", 10)
        os._exit(0)
    children.append(child)
    write(f"parent-{number}", 5)
for thread in threads:
    thread.join()
print([os.waitpid(child, 0)[1] for child in children])
"""


def test_a_fork_waits_for_the_writes_of_other_threads(path: Path, open_again: Callable[[], SqliteStore]) -> None:
    assert output(FORK_WHILE_WRITING, path) == "[0, 0, 0, 0, 0]\n"
    store = open_again()
    assert {org: len(seqs(store, org)) for org in store.journal.orgs()} == {
        **{f"child-{number}": 10 for number in range(5)},
        **{f"parent-{number}": 5 for number in range(5)},
        **{f"thread-{number}": 60 for number in range(3)},
    }


# Threads


def test_a_later_thread_takes_over_the_connection_of_an_earlier_one(store: SqliteStore) -> None:
    for seq in range(4, 24):
        thread = threading.Thread(target=store.journal.append, args=([make_entry("acme", seq)],))
        thread.start()
        thread.join()
    assert seqs(store) == list(range(1, 24))
    assert len(store._database._links) < 10


def test_a_closed_store_lets_go_of_the_file(path: Path, store: SqliteStore) -> None:
    assert {file.name for file in path.parent.iterdir()} == {"meterctl.db", "meterctl.db-wal", "meterctl.db-shm"}
    store.close()
    assert {file.name for file in path.parent.iterdir()} == {"meterctl.db"}


# The journal's own guards


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET doc = json_set(doc, '$.amount', -6)",
        "DELETE FROM journal",
        "DELETE FROM journal WHERE seq = 3",
    ],
)
def test_no_entry_is_changed_or_removed(store: SqliteStore, statement: str) -> None:
    with (
        pytest.raises(MeterctlError, match="an entry is never"),
        store._database.writing() as connection,
    ):
        connection.execute(statement)
    assert list(store.journal.read("acme")) == make_entries("acme", 3)


def test_a_refused_entry_ends_its_batch_before_it(store: SqliteStore) -> None:
    refused = make_entry("acme", 5, kind="topup", amount=-1)
    assert store.journal.append([make_entry("acme", 4), refused, make_entry("acme", 6)]) == 1
    with pytest.raises(StoreUnusable, match=r"entry 5 of acme \(topup\)") as error:
        store.journal.append([refused])
    assert error.value.code == "entry_rejected"
    assert seqs(store) == [1, 2, 3, 4]


def test_an_interrupted_write_is_undone(store: SqliteStore) -> None:
    def interrupted() -> Iterator[Head]:
        yield make_head("acme", 3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.heads.put(interrupted())  # type: ignore[arg-type]
    assert list(store.heads.read()) == []
    assert store.journal.append([make_entry("acme", 4)]) == 1


def test_a_mistake_of_the_program_stays_what_it_is(store: SqliteStore) -> None:
    with pytest.raises(sqlite3.ProgrammingError):
        store._database.rows("SELECT ?", ())


def test_init_makes_what_is_missing(path: Path, open_again: Callable[[], SqliteStore]) -> None:
    store = open_again()
    assert all(line.endswith(": made") for line in store.init())
    with store._database.writing() as connection:
        connection.execute("DROP INDEX heads_due")
    assert [line for line in open_again().init() if line.endswith(": made")] == ["heads_due: made"]
    assert store.describe() == f"sqlite:{path}"


@pytest.mark.parametrize("other", ["", "CREATE INDEX {0} ON journal (org)", "CREATE UNIQUE INDEX {0} ON journal (doc)"])
@pytest.mark.parametrize("index", ["journal_seq", "journal_key"])
def test_nothing_is_booked_where_seqs_and_keys_are_not_unique(
    store: SqliteStore, open_again: Callable[[], SqliteStore], index: str, other: str
) -> None:
    with store._database.writing() as connection:
        connection.execute(f"DROP INDEX {index}")
        connection.execute(other.format(index))
    fresh = open_again()
    with pytest.raises(StoreUnusable) as missing:
        fresh.journal.append([make_entry("acme", 4)])
    assert missing.value.code == "index_missing"
    assert seqs(fresh) == [1, 2, 3]
    assert len(list(fresh.journal.scan())) == 3


def test_a_read_that_needs_the_missing_index_says_so(store: SqliteStore) -> None:
    with store._database.writing() as connection:
        connection.execute("DROP INDEX journal_key")
    with pytest.raises(StoreUnusable) as missing:
        store.journal.by_keys([("acme", "a")])
    assert missing.value.code == "index_missing"


@pytest.mark.parametrize("table", ["heads", "claims"])
def test_a_table_that_is_missing_is_told_with_the_way_to_make_it(store: SqliteStore, table: str) -> None:
    with store._database.writing() as connection:
        connection.execute(f"DROP TABLE {table}")
    with pytest.raises(StoreUnusable, match=f"is incomplete: no such table: {table}") as missing:
        list(store.heads.read() if table == "heads" else store.claims.read())
    assert "meterctl init" in missing.value.hint


def test_init_says_so_when_an_index_cannot_be_made_any_more(store: SqliteStore) -> None:
    with store._database.writing() as connection:
        connection.execute("DROP INDEX journal_seq")
        connection.execute("INSERT INTO journal (doc) SELECT json_set(doc, '$.key', 'twin') FROM journal WHERE seq = 3")
    with pytest.raises(StoreUnusable, match="UNIQUE constraint failed"):
        store.init()
    assert store._database.rows("SELECT seq FROM journal ORDER BY seq") == [(1,), (2,), (3,), (3,)]


def test_only_entries_wait_for_the_disk(store: SqliteStore) -> None:
    """NORMAL in write-ahead mode commits without a sync; a crash of the machine may cost heads, never entries."""
    store.heads.put([make_head("acme", 3)])
    assert store._database.rows("PRAGMA synchronous") == [(1,)]
    store.journal.append([make_entry("acme", 4)])
    assert store._database.rows("PRAGMA synchronous") == [(2,)]
    store.heads.put([make_head("acme", 4)])
    store.claims.take([make_claim("cs_1", "acme")])
    assert store._database.rows("PRAGMA synchronous") == [(2,)]
    assert store._database.rows("PRAGMA journal_mode") == [("wal",)]
