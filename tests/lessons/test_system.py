"""Lessons about stores, clocks, batches and terminals: what happened elsewhere, and cannot here."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pymongo.collection import Collection

from meterctl.core.backfill.booker import Backfiller, FileAuthor
from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain import instants, weeks
from meterctl.core.domain.checks import check_integer, check_org
from meterctl.core.domain.operations import BookDue, CreditPack, Debit, Undo
from meterctl.core.errors import BadInput, Damaged, StoreUnreachable, StoreUnusable, sound
from meterctl.core.files.operation_lines import open_input
from meterctl.core.model import MAX_UNITS, Entry, Instant
from meterctl.core.ports import Store
from meterctl.core.reads.ledger_query import LedgerQuery
from meterctl.core.reads.queries import Reads
from meterctl.core.results import LedgerPage
from meterctl.core.stores.mongo import MongoStore
from meterctl.core.stores.mongo.store import connect
from meterctl.core.stores.overlay import OverlayStore
from meterctl.core.stores.sqlite import SqliteStore
from meterctl.core.sweep.due_orgs import EVERYTHING
from meterctl.core.sweep.lease import KeptLock
from meterctl.core.sweep.sweeper import Sweeper
from meterctl.process.clock import SystemClock
from tests.desk import Desk, booked, contents, request, tap
from tests.memory_store import MemoryStore
from tests.stores import drop_store, make_store
from tests.waiting import wait_for

#: Seconds to the next renewal of a process that is dead before it.
WAKES_NO_MORE = 3600


@pytest.fixture
def mongod_store(tmp_path: Path) -> Iterator[MongoStore]:
    store = make_store("mongod", tmp_path)
    assert isinstance(store, MongoStore)
    store.init()
    yield store
    store.close()
    drop_store("mongod", tmp_path)


def test_l12_pages_neither_repeat_nor_skip_entries_of_the_same_instant(desk: Desk) -> None:
    desk.credit("cs_1")
    for number in range(11):
        desk.debit(1, f"d{number}")  # all at the same instant
    reads = Reads(desk.store, desk.clock, desk.ledger.terms)
    seen: list[int] = []
    before: int | None = None
    for _ in range(6):
        page = reads.ledger("acme", LedgerQuery(limit=2, before=before))
        seen += [entry["seq"] for entry in page.entries]
        before = page.next_before
    assert seen == list(range(12, 0, -1))
    assert before is None


def test_l48_a_lock_of_a_dead_process_is_free_within_a_minute(desk: Desk) -> None:
    desk.credit("cs_1", "short")
    desk.go("2026-11-18T12:00:00Z")
    dead = KeptLock(desk.store.locks, desk.clock, EVERYTHING.lock_name, "dead:1:x", renew_seconds=WAKES_NO_MORE)
    assert dead.take() is None
    desk.go("2026-11-18T12:00:59Z")
    assert Sweeper(desk.ledger, "expire", "cron").all().locked_by == "dead:1:x"
    assert desk.debit(1, "d1").reason == "insufficient_balance"  # and all is right meanwhile
    desk.go("2026-11-18T12:01:00Z")
    assert Sweeper(desk.ledger, "expire", "cron").all().done == 1
    dead.release()


def test_l48_a_lock_is_renewed_as_long_as_its_process_works(desk: Desk) -> None:
    busy = KeptLock(desk.store.locks, desk.clock, EVERYTHING.lock_name, "busy:1:x", renew_seconds=0.005)
    assert busy.take() is None
    for minute in range(1, 4):
        desk.go(f"2026-11-16T12:0{minute}:00Z")
        renewed = instants.add_millis(desk.clock.now(), 60_000)
        wait_for(partial(is_held_until, desk.store, renewed))
    assert Sweeper(desk.ledger, "expire", "cron").all().locked_by == "busy:1:x"
    busy.release()
    assert Sweeper(desk.ledger, "expire", "cron").all().locked_by is None


def is_held_until(store: Store, instant: Instant) -> bool:
    return [lease.expires_at for lease in sound(store.locks.all())] == [instant]


@pytest.mark.parametrize("instead", [None, {}, {"sparse": True}], ids=["missing", "not-unique", "sparse"])
def test_l49_a_database_without_its_unique_index_is_not_written_to(
    store: Store, instead: dict[str, Any] | None
) -> None:
    database = getattr(store, "_database", None)
    if database is None or not hasattr(database, "journal"):
        pytest.skip("the embedded store: see below")
    Desk(store).credit("cs_1")
    database.journal.drop_index("org_seq")
    if instead is not None:
        database.journal.create_index([("org", 1), ("seq", 1)], name="org_seq", **instead)
    again = MongoStore(database.journal.database.client, database.journal.database.name)
    with pytest.raises(Exception, match="index") as refused:
        Desk(again).debit(5, "d1")
    assert getattr(refused.value, "code", None) == "index_missing"


@pytest.mark.parametrize("instead", [None, {}, {"sparse": True}], ids=["missing", "of-all", "sparse"])
def test_l49_doctor_tells_of_an_index_that_is_missing_or_another(
    mongod_store: MongoStore, instead: dict[str, Any] | None
) -> None:
    database = mongod_store._database
    database.journal.drop_index("org_session")
    if instead is not None:
        keys = [("org", 1), ("session", 1), ("seq", 1)]
        database.journal.create_index(keys, name="org_session", **instead)
    seen = {check.name: check for check in mongod_store.examine(SystemClock())}
    assert seen["indexes of journal"].ok is False
    assert "org_session" in seen["indexes of journal"].found
    assert seen["indexes of heads"].ok


@pytest.mark.parametrize("instead", [None, "CREATE INDEX heads_due ON heads (org)"], ids=["missing", "another"])
def test_l49_doctor_tells_so_of_a_file_too(tmp_path: Path, instead: str | None) -> None:
    with closing(SqliteStore(str(tmp_path / "meterctl.db"))) as store:
        store.init()
        with store._database.writing() as connection:
            connection.execute("DROP INDEX heads_due")
            if instead is not None:
                connection.execute(instead)
        seen = {check.name: check for check in store.examine(SystemClock())}
        assert seen["schema"].ok is False
        assert "heads_due" in seen["schema"].found


@pytest.mark.parametrize("index", ["journal_seq", "journal_key"])
def test_l49_nor_is_a_file_without_one_of_its_unique_indexes(tmp_path: Path, index: str) -> None:
    path = str(tmp_path / "meterctl.db")
    with closing(SqliteStore(path)) as store:
        Desk(store).credit("cs_1")
        with store._database.writing() as connection:
            connection.execute(f"DROP INDEX {index}")
    with closing(SqliteStore(path)) as store:
        with pytest.raises(StoreUnusable) as refused:
            Desk(store).debit(5, "d1")
        assert refused.value.code == "index_missing"
        assert "meterctl init" in refused.value.hint
        assert store.init().count(f"{index}: made") == 1
        assert Desk(store).debit(5, "d1").status == "applied"


def test_l50_reads_ask_the_primary(store: Store) -> None:
    database = getattr(store, "_database", None)
    if database is None or not hasattr(database, "journal"):
        pytest.skip("the embedded store is one file")
    for name in ("journal", "heads", "claims", "plans", "locks"):
        assert getattr(database, name).read_preference.mode == 0


#: What an operator may have copied from a reader's settings.
CARELESS = "mongodb://127.0.0.1:1/?readPreference=secondaryPreferred&readConcernLevel=local&w=0&journal=false"


def test_l50_and_l51_hold_whatever_the_uri_says() -> None:
    with closing(connect(CARELESS)) as store:
        database = store._database
        for name in ("journal", "claims", "plans", "locks"):
            collection: Collection[Any] = getattr(database, name)
            assert collection.read_preference.mode == 0
            assert collection.read_concern.level == "majority"
            assert collection.write_concern.document == {"w": "majority", "j": True}
        assert database.heads.read_preference.mode == 0
        assert database.heads.write_concern.document == {"w": 1}


def test_l51_a_write_without_an_answer_is_looked_up_not_repeated(store: Store) -> None:
    desk = Desk(tap(store))
    desk.credit("cs_1")

    def answer_is_lost(real: object, entries: list[Entry]) -> int:
        real(entries)  # type: ignore[operator]
        raise StoreUnreachable("no answer in time")

    store.journal.on("append", answer_is_lost, times=1)  # type: ignore[attr-defined]
    receipt = desk.debit(5, "d1")
    assert (receipt.status, desk.balance(), len(desk.entries())) == ("applied", 995, 2)


def test_l52_iso_weeks_are_right_on_every_day_for_twenty_years() -> None:
    day = datetime(2015, 1, 1, tzinfo=UTC)
    while day.year < 2036:
        year, week, _ = day.isocalendar()
        assert weeks.week_key(instants.from_datetime(day)) == f"{year}-W{week:02}"
        day += timedelta(days=1)
    assert weeks.week_key(instants.parse("2025-12-29")) == "2026-W01"


def test_l53_times_are_aware_and_utc() -> None:
    assert instants.parse("2026-11-23T01:30:00+09:00") == "2026-11-22T16:30:00.000Z"
    with pytest.raises(ValueError, match="zone"):
        instants.from_datetime(datetime(2026, 11, 22))  # noqa: DTZ001 - that is the point


def test_l54_what_users_write_is_shown_never_obeyed(desk: Desk) -> None:
    from meterctl.render import write

    for hostile in ("-x", "$ne", "a b", "\x1b[2J", '{"$gt": ""}'):
        with pytest.raises(BadInput):
            check_org(hostile)
    desk.ledger.one(request(Debit("acme", 1, "$ne", allow_debt=True), reason="\x1b[31m[bold]red[/bold]\u202e"))
    page = Reads(desk.store, desk.clock, desk.ledger.terms).ledger("acme", LedgerQuery(ref="$ne"))
    assert isinstance(page, LedgerPage)
    assert len(list(page.entries)) == 1
    for output in ("table", "markdown", "plain", "csv"):
        stream = io.StringIO()
        write(page, output, stream)
        assert "\x1b[31m" not in stream.getvalue()
        assert "\u202e" not in stream.getvalue()
        shown = r"\[bold\]red\[/bold\]" if output == "markdown" else "[bold]red[/bold]"
        assert shown in "".join(stream.getvalue().split())  # however narrow the table is


def test_l55_a_batch_that_stopped_is_finished_by_running_it_again(desk: Desk, tmp_path: Path) -> None:
    lines = [{"op": "adjust", "org": f"org-{n % 3}", "units": 10, "ref": f"a{n}", "reason": "r"} for n in range(30)]
    whole = [json.dumps(line) for line in lines]

    def statuses(name: str, text: str) -> list[str]:
        (tmp_path / name).write_text(text, encoding="utf-8")
        with open_input(str(tmp_path / name)) as source:
            backfiller = Backfiller(desk.ledger, FileAuthor("tester", None, None))
            return [answer.status for part in backfiller.answers(iter([list(source.lines())])) for answer in part]

    cut = statuses("cut.ndjson", "\n".join(whole[:11]) + "\n" + whole[11][:20])
    assert cut == ["applied"] * 11 + ["invalid"]
    assert statuses("whole.ndjson", "\n".join(whole)) == ["replayed"] * 11 + ["applied"] * 19
    assert sum(desk.balance(f"org-{n}") for n in range(3)) == 300


def unreadable(desk: Desk, org: str) -> Ledger:
    """A ledger on the same store, where ``org`` has a journal that cannot be read."""
    broken = tap(desk.store)

    def garbage(real: object, names: str | list[str]) -> object:
        if org == names or (org in names and not isinstance(names, str)):
            raise Damaged(f"the newest entry of {org} is damaged", org=org)
        return real(names)  # type: ignore[operator]

    broken.journal.on("tips", garbage)
    broken.journal.on("tip", garbage)
    return Ledger(broken, desk.clock, desk.ledger.terms)


def unbookable(desk: Desk, org: str) -> Ledger:
    """A ledger on the same store, which takes no entry of ``org``."""
    broken = tap(desk.store)

    def reject(real: object, entries: list[Entry]) -> object:
        if any(entry["org"] == org for entry in entries):
            raise StoreUnusable("the store does not take an entry", code="entry_rejected")
        return real(entries)  # type: ignore[operator]

    broken.journal.on("append", reject)
    return Ledger(broken, desk.clock, desk.ledger.terms)


@pytest.mark.parametrize("broken", [unreadable, unbookable])
def test_l56_one_bad_org_does_not_stop_a_sweep(desk: Desk, broken: Callable[[Desk, str], Ledger]) -> None:
    for org in ("a", "b", "c"):
        desk.credit(f"cs_{org}", "short", org=org)
    desk.go("2026-11-18T12:00:00Z")
    swept = Sweeper(broken(desk, "b"), "expire", "cron").all()
    assert (swept.due, swept.done, swept.failed, swept.exit_code) == (3, 2, 1, 7)
    assert [error["org"] for error in swept.errors] == ["b"]


def test_l56_nor_does_it_stop_any_other_call(desk: Desk) -> None:
    for org in ("a", "b", "c"):
        desk.credit(f"cs_{org}", org=org)
    answers = unreadable(desk, "b").execute([request(Debit(org, 5, "d1")) for org in ("a", "b", "c")])
    assert [answer.status for answer in answers] == ["applied", "failed", "applied"]


def test_l57_integers_beyond_what_json_keeps_are_refused(desk: Desk) -> None:
    for hostile in (MAX_UNITS + 1, 2**63, "9007199254740993", 120.0, "1e3", True):
        with pytest.raises(BadInput):
            check_integer(hostile, "units", least=1)
    desk.adjust(MAX_UNITS, "a1")
    assert desk.adjust(1, "a2").reason == "amount_out_of_range"
    assert desk.tip()["balance"] == MAX_UNITS


def test_l58_a_backfilled_entry_is_like_any_other(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "one.ndjson"
    line = {"op": "debit", "org": "other", "units": 5, "ref": "d1", "allow_debt": True, "actor": "tester"}
    file.write_text(json.dumps(line), encoding="utf-8")
    desk.do(Debit("acme", 5, "d1", allow_debt=True), reason="because")
    with open_input(str(file)) as source:
        backfiller = Backfiller(desk.ledger, FileAuthor("tester", "because", None))
        list(backfiller.answers(iter([list(source.lines())])))
    assert {**booked(desk.tip("other")), "org": "acme"} == booked(desk.tip("acme"))


@pytest.mark.parametrize("chunk", [1, 500])
def test_l59_a_dry_run_says_what_the_real_run_does(desk: Desk, chunk: int) -> None:
    desk.credit("cs_1", "short")
    desk.go("2026-11-18T12:00:00Z")
    layer = OverlayStore(desk.store, MemoryStore())
    rehearsal = Ledger(layer, desk.clock, desk.ledger.terms, dry_run=True)
    asked = [
        request(Debit("acme", 5, "d1", allow_debt=True)),
        request(Debit("acme", 6, "d1")),
        request(BookDue("acme")),
        request(CreditPack("third", "small", "cs_2")),
        request(CreditPack("other", "small", "cs_2")),
        request(Undo("third", 1)),
        request(CreditPack("other", "small", "cs_2")),
        request(CreditPack("other", "small", "cs_1")),
    ]
    before = contents(desk.store)
    planned = list(rehearsal.execute(asked, chunk=chunk))
    assert contents(desk.store) == before
    real = list(desk.ledger.execute(asked, chunk=chunk))
    for name in ("entry", "also", "balance", "reason"):
        assert [getattr(receipt, name) for receipt in planned] == [getattr(receipt, name) for receipt in real]
    assert [receipt.status for receipt in planned] == [
        *("planned", "conflict", "unchanged", "planned", "refused", "planned", "planned", "refused"),
    ]
