"""The fields that scripts may rely on, written down once more, apart from the code: more may come, none may go."""

import json

import pytest

from meterctl.core.booking.chunk_writer import PATIENCE
from meterctl.core.reads.feeds import MARGIN
from meterctl.core.stores.url import without_secret
from tests.acceptance.shell import MONDAY, NEXT_MONDAY, NOW, Shell

RECEIPT = "command org key status applied reason message entry also balance diff undone_by warnings"
ENTRY = "v org seq key kind amount balance at recorded_at actor reason input state prev hash"
SWEEP = (
    "command at due done failed skipped expired_lots expired_units weeks_closed settled_units errors locked_by seconds"
    " dry_run store journal_found rolled_over_units released_holds"
)
METER = "org plan plan_version week quota used remaining uncovered breakdown alerts balance available allowed"
FIELDS = {
    "credit-pack acme small --session s1": ("receipt", RECEIPT),
    "debit acme 5 --ref r1": ("receipt", RECEIPT),
    "refund acme --session s1 --cents 5 --refund-id re1": ("receipt", RECEIPT),
    "refund acme --reverse re1": ("receipt", RECEIPT),
    "adjust acme 5 --ref a1 --reason why": ("receipt", RECEIPT),
    "undo acme 2 --reason why --yes": ("receipt", RECEIPT),
    "meter attribute acme run1 --units 5": ("receipt", RECEIPT),
    "plan assign acme free --ref p1": ("receipt", RECEIPT),
    "reset-week acme --force --ref f1 --reason why --yes": ("receipt", RECEIPT),
    "expire --all": ("sweep", SWEEP),
    "expire acme": ("sweep", SWEEP),
    "reset-week --all": ("sweep", SWEEP),
    "ledger acme": ("ledger", "org balance entries next_before"),
    "meter show acme": ("meter", METER),
    "meter check acme": ("meter", METER),
    "balance acme": ("balance", "org as_of balance lots debt next_expiry seq"),
    "verify --all": ("verify", "ok orgs entries findings seconds"),
    "backfill lines.ndjson": ("backfill", "lines applied replayed refused conflict invalid seconds"),
}


def test_every_document_has_the_fields_that_are_promised(run: Shell) -> None:
    run.file("lines.ndjson", '{"op": "debit", "org": "acme", "units": 1, "ref": "b1"}\n')
    for line, (name, fields) in FIELDS.items():
        document = run.doc(line)
        assert document["schema"] == f"meterctl.{name}.v1", line
        assert set(fields.split()) <= set(document), line
        booked = [document["entry"], *document["also"]] if name == "receipt" else []
        for entry in [*booked, *(document["entries"] if name == "ledger" else [])]:
            assert entry is None or set(ENTRY.split()) <= set(entry)


def test_a_balance(run_anywhere: Shell) -> None:
    run = run_anywhere
    run.all("credit-pack acme small --session s1", "credit-pack acme gift --session s2", "debit acme 10 --ref r1")
    balance = run.doc("balance acme")
    lots = [
        {name: lot[name] for name in ("id", "remaining", "expires_at", "pack", "session")} for lot in balance["lots"]
    ]
    assert lots == [
        {"id": 1, "remaining": 990, "expires_at": "2026-12-07T12:00:00.000Z", "pack": "small", "session": "s1"},
        {"id": 2, "remaining": 50, "expires_at": None, "pack": "gift", "session": "s2"},
    ]
    assert balance["next_expiry"] == {"at": "2026-12-07T12:00:00.000Z", "units": 990}
    assert (balance["balance"], balance["seq"], balance["as_of"]) == (1040, 3, NOW)
    assert balance["debt"] == {"owed": 0, "overage": 0}


def test_a_balance_of_another_time(run_anywhere: Shell) -> None:
    run = run_anywhere
    run.all("credit-pack acme brief --session s1", now="2026-11-14T12:00:00Z")
    run.all("adjust acme 7 --ref a1 --reason why")
    was = {
        text: run.doc(f"balance acme --as-of {text}")["balance"]
        for text in ("2026-11-14", "2026-11-15", "now", "2027-01-01")
    }
    assert was == {"2026-11-14": 0, "2026-11-15": 100, "now": 7, "2027-01-01": 7}


def test_a_meter(run_anywhere: Shell) -> None:
    run = run_anywhere
    run.all(
        "plan publish pro --quota 500 --ratio llm=1.25",
        "plan assign acme pro --ref p1",
        "credit-pack acme brief --session s1",
        "meter attribute acme run1 --cost llm=0.336 --cost search=0.05",
    )
    meter = run.doc("meter show acme")
    assert meter["week"] == {"key": "2026-W47", "cycle": 1, "starts_at": MONDAY, "ends_at": NEXT_MONDAY}
    assert (meter["plan"], meter["plan_version"], meter["quota"]) == ("pro", 1, 500)
    assert (meter["used"], meter["remaining"], meter["breakdown"]) == (470, 30, {"llm": 420, "search": 50})
    assert (meter["alerts"], meter["available"], meter["allowed"]) == ([80], 130, True)
    run.all("meter attribute acme run2 --units 200")
    meter = run.doc("meter show acme")
    assert (meter["used"], meter["remaining"], meter["alerts"]) == (670, 0, [80, 100])
    assert (meter["balance"], meter["available"], meter["allowed"]) == (-70, -70, False)


def test_a_sweep(run_anywhere: Shell) -> None:
    run = run_anywhere
    run.all("plan publish free --quota 40 --effective-from 2026-11-01")
    run.all(*(f"credit-pack {org} brief --session {org}" for org in ("acme", "bolt", "corp")))
    run.all("meter attribute acme run1 --units 200", "debit bolt 30 --ref r1", now="2026-11-16T13:00:00Z")
    sweep = run.doc("expire --all", now="2026-11-24T00:00:00Z")
    counts = {
        name: sweep[name] for name in SWEEP.split() if name not in ("seconds", "at", "errors", "store", "journal_found")
    }
    assert counts == {
        "command": "expire",
        "due": 3,
        "done": 3,
        "failed": 0,
        "skipped": 0,
        "expired_lots": 2,
        "expired_units": 170,
        "weeks_closed": 1,
        "settled_units": 40,
        "rolled_over_units": 0,
        "released_holds": 0,
        "locked_by": None,
        "dry_run": False,
    }
    assert (sweep["at"], sweep["errors"]) == ("2026-11-24T00:00:00.000Z", [])
    again = run.doc("reset-week --all", now="2026-11-24T00:00:00Z")
    assert (again["command"], again["due"], again["done"]) == ("reset-week", 0, 0)
    history = run.doc("meter history acme", now="2026-11-24T00:00:00Z")["weeks"]
    assert [(week["key"], week["used"], week["settled"]) for week in history] == [("2026-W47", 200, 40)]


def test_alerts_come_once_each(run_anywhere: Shell) -> None:
    run = run_anywhere
    run.all("plan publish free --quota 100", "meter attribute acme run1 --units 79")
    assert run.doc("meter alerts")["alerts"] == []
    run.all("meter attribute acme run2 --units 40", "meter attribute acme run3 --units 40")
    found = run.doc("meter alerts acme")["alerts"]
    assert [(alert["below"], alert["balance"]) for alert in found if alert["kind"] == "balance"] == [(0, -19)]
    alerts = [alert for alert in found if alert["kind"] == "threshold"]
    assert [(alert["percent"], alert["used"], alert["quota"]) for alert in alerts] == [(80, 119, 100), (100, 119, 100)]
    assert run.doc("meter alerts acme --since 2026-W48")["alerts"] == []


def test_a_feed_of_alerts_misses_and_repeats_nothing(run_anywhere: Shell) -> None:
    run = run_anywhere
    told: list[tuple[str, int]] = []

    def poll(cursor: str, now: str) -> str:
        page = run.doc("meter", "alerts", "--after", cursor, now=now)
        told.extend((alert["org"], alert["percent"]) for alert in page["alerts"] if alert["percent"])
        following: str = page["next"]
        return following

    run.all("plan publish free --quota 100", "meter attribute corp run1 --units 200")
    cursor = poll("2026-11-16", "2026-11-16T12:00:30Z")
    run.all("meter attribute bolt run1 --units 90", now="2026-11-16T12:01:00Z")
    cursor = poll(cursor, "2026-11-16T12:01:50Z")
    assert told == [("corp", 80), ("corp", 100)], "the newest is not settled yet"
    # Stamped before what the last poll could have seen, and there only after it.
    run.all("meter attribute acme run1 --units 90", now="2026-11-16T12:00:45Z")
    cursor = poll(cursor, "2026-11-16T12:02:00Z")
    cursor = poll(cursor, "2026-11-16T12:03:00Z")
    assert told == [("corp", 80), ("corp", 100), ("acme", 80), ("bolt", 80)]
    assert poll(cursor, "2026-11-16T13:00:00Z") == cursor
    assert len(told) == 4


def test_a_feed_begins_where_it_is_told(run: Shell) -> None:
    page = run.doc("meter alerts --after 1h")
    assert page["alerts"] == []
    assert (page["until"], page["next"]) == ("2026-11-16T11:58:30.000Z", "2026-11-16T11:00:00.000Z//0")
    assert "next page: --after 2026-11-16T11:00:00.000Z//0" in run("meter alerts --after 1h").out
    for cursor in ("2026-11-16T11:00:00.000Z/acme/x", "2026-11-16T11:00:00.000Z/acme", "soon/acme/1", "a/b/c/d"):
        answer = run.json("meter", "alerts", "--after", cursor)
        assert (answer.code, answer.error["code"]) == (2, "bad_cursor")
    for line in ("meter alerts acme --after now", "meter alerts --since 1d --after now"):
        assert run.json(line).error["code"] == "usage"


def test_a_page_of_a_feed_has_an_end(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meterctl.core.reads.feeds.MOST", 2)
    run.all("plan publish free --quota 10", *(f"meter attribute {org} r --units 20" for org in ("a", "b", "c")))
    pages, cursor = [], "2026-11-16"
    for _ in range(3):
        page = run.doc("meter", "alerts", "--after", cursor, now="2026-11-16T13:00:00Z")
        cursor = page["next"]
        pages.append([alert["org"] for alert in page["alerts"]])
    assert pages == [["a"] * 3 + ["b"] * 3, ["c"] * 3, []], "two thresholds and a balance each"


def test_a_feed_waits_longer_than_any_writer_tries() -> None:
    assert MARGIN >= 3 * 1000 * PATIENCE, "to wait, one call on SQLite, and clocks that differ"


# The ledger


def test_a_ledger_shows_what_moved_units_unless_told_otherwise(run: Shell) -> None:
    run.all(
        "plan publish free --quota 100",
        "credit-pack acme small --session s1",
        "meter attribute acme run1 --units 60",
        "meter attribute acme run2 --units 60",
        "debit acme 5 --ref r1",
        "refund acme --session s1 --cents 5 --refund-id re1",
    )
    kinds = [(entry["seq"], entry["kind"]) for entry in run.doc("ledger acme")["entries"]]
    assert kinds == [(5, "refund"), (4, "debit"), (3, "usage"), (1, "topup")]
    assert run.seqs() == [5, 4, 3, 2, 1]
    usage = run.doc("ledger acme --kind usage --kind topup")["entries"]
    assert [entry["seq"] for entry in usage] == [3, 2, 1]
    of_session = run.doc("ledger acme --session s1")["entries"]
    assert [entry["seq"] for entry in of_session] == run_seqs_of(run, "ledger --session s1") == [5, 1]
    assert run_seqs_of(run, "ledger acme --ref r1") == [4]
    assert run_seqs_of(run, "ledger acme --ref r1 --kind topup") == []
    assert run_seqs_of(run, "ledger acme --ref nobody") == []


def run_seqs_of(run: Shell, line: str, now: str | None = None) -> list[int]:
    return [entry["seq"] for entry in run.doc(line, now=now)["entries"]]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20])
def test_pages_meet_without_gap_or_overlap(run_anywhere: Shell, size: int) -> None:
    run = run_anywhere
    run.all("credit-pack acme small --session s1", *(f"debit acme {n} --ref r{n}" for n in range(1, 7)))
    seen: list[int] = []
    before: int | None = None
    for _ in range(10):
        page = run.doc(f"ledger acme --limit {size}" + (f" --before {before}" if before else ""))
        seen += [entry["seq"] for entry in page["entries"]]
        before = page["next_before"]
        if before is None:
            break
    assert seen == [7, 6, 5, 4, 3, 2, 1]


def test_what_is_due_stands_on_top_of_the_ledger_and_pages_like_the_rest(run: Shell) -> None:
    run.all(
        "plan publish free --quota 10",
        "credit-pack acme brief --session s1",
        "credit-pack acme brief --session s2",
        "meter attribute acme run1 --units 5",
    )
    later = "2026-11-24T00:00:00.000Z"
    journal = run.journal()
    page = run.doc("ledger acme --all-kinds", now=later)
    shown = [(entry["seq"], entry["kind"], entry.get("pending", False)) for entry in page["entries"]]
    assert shown == [
        (6, "reset", True),
        (5, "expiration", True),
        (4, "expiration", True),
        (3, "usage", False),
        (2, "topup", False),
        (1, "topup", False),
    ]
    assert page["balance"] == 0 == page["entries"][0]["balance"]
    pages = [run.doc(f"ledger acme --all-kinds --limit 2 --before {seq}", now=later) for seq in (7, 5, 3)]
    assert [[entry["seq"] for entry in page["entries"]] for page in pages] == [[6, 5], [4, 3], [2, 1]]
    assert run_seqs_of(run, "ledger acme --until 2027-01-01 --all-kinds", now=later) == [6, 5, 4, 3, 2, 1]
    assert run_seqs_of(run, "ledger acme --until 2026-11-17T12:00:00Z --all-kinds", now=later) == [3, 2, 1]
    assert run_seqs_of(run, "ledger acme --since 2026-11-18 --all-kinds", now=later) == [6]
    assert run_seqs_of(run, "ledger acme --kind expiration", now=later) == [5, 4]
    assert run_seqs_of(run, "ledger acme --session s1", now=later) == [1]
    assert run.journal() == journal
    run.all("expire acme", now=later)
    booked = run.doc("ledger acme --all-kinds", now=later)["entries"]
    due = [{name: value for name, value in entry.items() if name != "pending"} for entry in page["entries"]]
    assert booked == due


@pytest.mark.parametrize(("words", "told"), [("--all", "no journal"), ("acme", "no journal of acme")])
def test_an_export_of_nothing_is_no_error_and_told(run_anywhere: Shell, words: str, told: str) -> None:
    answer = run_anywhere(f"export {words}")
    assert (answer.code, answer.out) == (0, "")
    assert answer.err == f"{told} in {without_secret(run_anywhere.store)}: nothing was exported\n"


def test_an_export_is_the_journal_in_canonical_form(run_anywhere: Shell) -> None:
    run = run_anywhere
    run.all("credit-pack bolt small --session s2", "credit-pack acme small --session s1", "debit acme 5 --ref 'é☃'")
    lines = run.journal().splitlines()
    entries = [json.loads(line) for line in lines]
    assert [(entry["org"], entry["seq"]) for entry in entries] == [("acme", 1), ("acme", 2), ("bolt", 1)]
    assert [json.dumps(e, sort_keys=True, separators=(",", ":"), ensure_ascii=False) for e in entries] == lines
    assert run("export acme").out.splitlines() == lines[:2]
