import copy
import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from meterctl.core.domain.canonical import canonical_bytes, entry_hash
from meterctl.core.errors import StoreUnusable
from meterctl.core.model import EMPTY, MAX_UNITS, Entry, Instant, Kind, Lot, state_document
from meterctl.core.ports import EntryFilter, EntryText, Recorded, Store
from tests.builders import make_entries, make_entry
from tests.stores import KINDS_THAT_VALIDATE, Connect, make_store


def seqs(entries: Iterator[Entry]) -> list[int]:
    return [entry["seq"] for entry in entries]


# append


def test_append_takes_all_and_says_so(store: Store) -> None:
    entries = make_entries("acme", 3)
    assert store.journal.append(entries) == 3
    assert list(store.journal.read("acme")) == entries


def test_append_of_nothing_takes_nothing(store: Store) -> None:
    assert store.journal.append([]) == 0
    assert list(store.journal.orgs()) == []


def test_append_takes_entries_of_many_orgs_in_the_given_order(store: Store) -> None:
    entries = [make_entry(org, seq) for seq in (1, 2, 3) for org in ("acme", "bolt", "core")]
    assert store.journal.append(entries) == 9
    assert list(store.journal.orgs()) == ["acme", "bolt", "core"]
    for org in ("acme", "bolt", "core"):
        assert seqs(store.journal.read(org)) == [1, 2, 3]


@pytest.mark.parametrize("position", [0, 1, 4])
@pytest.mark.parametrize("used", ["seq", "key"])
def test_append_stops_at_the_first_clash(store: Store, used: str, position: int) -> None:
    old = make_entry("acme", 1, key="used")
    store.journal.append([old])
    entries = make_entries("acme", 5, first=2)
    entries[position] = make_entry("acme", 1) if used == "seq" else make_entry("acme", 2 + position, key="used")
    assert store.journal.append(entries) == position
    assert list(store.journal.read("acme")) == [old, *entries[:position]]


@pytest.mark.parametrize("clash", [make_entry("acme", 2, key="other"), make_entry("acme", 3, key="debit:ref-1")])
def test_append_stops_at_a_clash_within_the_batch(store: Store, clash: Entry) -> None:
    entries = make_entries("acme", 2)
    assert store.journal.append([*entries, clash, make_entry("acme", 4)]) == 2
    assert list(store.journal.read("acme")) == entries


def test_after_a_clash_the_rest_can_be_appended(store: Store) -> None:
    store.journal.append([make_entry("acme", 1)])
    entries = [make_entry("bolt", 1), make_entry("acme", 1, key="late"), make_entry("core", 1)]
    assert store.journal.append(entries) == 1
    assert store.journal.append([make_entry("acme", 2, key="late"), entries[2]]) == 2
    assert list(store.journal.orgs()) == ["acme", "bolt", "core"]


def test_append_sent_twice_changes_nothing(store: Store) -> None:
    entries = make_entries("acme", 3)
    store.journal.append(entries)
    assert store.journal.append(entries) == 0
    assert store.journal.append(make_entries("acme", 3, actor="someone else")) == 0
    assert list(store.journal.read("acme")) == entries


def test_seqs_and_keys_are_each_orgs_own(store: Store) -> None:
    assert store.journal.append([make_entry("acme", 1, key="same"), make_entry("bolt", 1, key="same")]) == 2


def test_an_entry_comes_back_exactly(store: Store) -> None:
    entry = make_entry(
        "acme",
        1,
        kind="usage",
        amount=-MAX_UNITS,
        balance=MAX_UNITS,
        actor="Zoë “the boss” 王\u2028 \U0001f9fe é e\u0301",
        reason='back\\slash, "quote", tab\t, $dollar, a.b, \u007f',
        input={
            "op": "attribute",
            "run": "$run",
            "step": "s",
            "costs": {"$op": "x", "dotted.name": "0.10", "": "1"},
            "units": None,
            "plan_version": None,
        },
        state=state_document(EMPTY._replace(lots=(Lot(2**32, MAX_UNITS, None),))),
        breakdown={"llm": MAX_UNITS, "dotted.name": 2**31, "$op": 2**32},
        draws=[{"lot": 2**32, "units": 2**31}],
        debt={"owed": 0, "overage": 2**31},
    )
    store.journal.append([entry])
    (found,) = store.journal.read("acme")
    assert found == entry
    assert typed(found) == typed(entry)
    assert store.journal.tip("acme") == store.journal.by_seq("acme", 1) == entry


def typed(value: Any) -> Any:
    """The value with the type of everything in it: for Python, 1 == 1.0 == True. A driver may have its own type for
    long integers, as long as it is an int."""
    if isinstance(value, dict):
        return {name: typed(part) for name, part in value.items()}
    if isinstance(value, list):
        return [typed(part) for part in value]
    return int if isinstance(value, int) and not isinstance(value, bool) else type(value), value


def test_an_entry_is_the_stores_own_copy(store: Store) -> None:
    entry = make_entry("acme", 1)
    given = copy.deepcopy(entry)
    store.journal.append([entry])
    assert entry == given, "append changed what it was given"
    entry["input"]["ref"] = entry["actor"] = "changed afterwards"
    read = store.journal.by_seq("acme", 1)
    assert read == given
    read["state"]["debt"]["owed"] = 5
    assert store.journal.by_seq("acme", 1) == given


UNFIT: list[tuple[Kind, dict[str, Any]]] = [
    ("topup", {"amount": 0}),
    ("topup", {"amount": -1}),
    ("debit", {"amount": 0}),
    ("debit", {"amount": 1}),
    ("refund", {"amount": 1}),
    ("expiration", {"amount": 0}),
    ("adjustment", {"amount": 0}),
    ("usage", {"amount": 1}),
    ("reset", {"amount": -1}),
    ("plan", {"amount": 1}),
    ("plan", {"amount": -1}),
    ("topup", {"amount": MAX_UNITS + 1}),
    ("debit", {"amount": -MAX_UNITS - 1}),
    ("debit", {"balance": MAX_UNITS + 1}),
    ("debit", {"balance": -MAX_UNITS - 1}),
    ("debit", {"amount": -1.5}),
    ("debit", {"balance": "5"}),
    ("debit", {"seq": 0}),
    ("gift", {"amount": 1}),  # type: ignore[list-item]
]


@pytest.mark.parametrize("kind", KINDS_THAT_VALIDATE)
@pytest.mark.parametrize(("entry_kind", "fields"), UNFIT)
def test_an_entry_that_cannot_be_is_refused(store: Store, entry_kind: Kind, fields: dict[str, Any]) -> None:
    with pytest.raises(StoreUnusable) as refused:
        store.journal.append([make_entry("acme", **{"seq": 1, "amount": 1, "kind": entry_kind, **fields})])
    assert refused.value.code == "entry_rejected"
    assert list(store.journal.orgs()) == []


@pytest.mark.parametrize("kind", KINDS_THAT_VALIDATE)
def test_an_entry_that_cannot_be_leaves_those_before_it(store: Store) -> None:
    entries = [make_entry("acme", 1), make_entry("acme", 2, amount=1), make_entry("acme", 3)]
    assert store.journal.append(entries) == 1
    assert list(store.journal.read("acme")) == entries[:1]
    with pytest.raises(StoreUnusable) as refused:
        store.journal.append(entries[1:])
    assert refused.value.code == "entry_rejected"
    assert list(store.journal.read("acme")) == entries[:1]


FIT: list[tuple[Kind, int]] = [
    ("topup", MAX_UNITS),
    ("debit", -MAX_UNITS),
    ("refund", 0),
    ("refund", -1),
    ("expiration", -1),
    ("adjustment", -1),
    ("adjustment", 1),
    ("reversal", -1),
    ("reversal", 0),
    ("reversal", 1),
    ("usage", 0),
    ("usage", -1),
    ("reset", 0),
    ("reset", 1),
    ("plan", 0),
]


def test_every_sign_that_fits_is_taken(store: Store) -> None:
    entries = [make_entry("acme", seq, kind=kind, amount=amount) for seq, (kind, amount) in enumerate(FIT, 1)]
    assert store.journal.append(entries) == len(FIT)


# Looking up


def test_tip_is_the_newest_entry(store: Store) -> None:
    assert store.journal.tip("acme") is None
    entries = make_entries("acme", 12)
    for entry in entries:
        store.journal.append([entry])
        assert store.journal.tip("acme") == entry
    assert store.journal.tip("acm") is None


def test_tips_are_entries_of_those_orgs_that_have_one(store: Store) -> None:
    store.journal.append([*make_entries("acme", 3), *make_entries("bolt", 2)])
    tips = store.journal.tips(["acme", "nobody", "bolt"])
    assert set(tips) == {"acme", "bolt"}
    for org, entry in tips.items():
        assert entry == store.journal.by_seq(org, entry["seq"])
    assert store.journal.tips([]) == {}


def test_tips_of_many_orgs(store: Store, many: int) -> None:
    orgs = [f"org-{number:04}" for number in range(many)]
    store.journal.append([make_entry(org, 1) for org in orgs])
    assert {org: entry["org"] for org, entry in store.journal.tips(iter(orgs)).items()} == {org: org for org in orgs}


def test_grown_are_those_with_an_entry_beyond(store: Store) -> None:
    store.journal.append([*make_entries("acme", 3), *make_entries("bolt", 2)])
    assert store.journal.grown({"acme": 3, "bolt": 2, "nobody": 0}) == set()
    assert store.journal.grown({"acme": 2, "bolt": 2}) == {"acme"}
    assert store.journal.grown({"acme": 1, "bolt": 0, "core": 1}) == {"acme", "bolt"}
    assert store.journal.grown({}) == set()


def test_grown_of_many_orgs(store: Store, many: int) -> None:
    orgs = [f"org-{number:04}" for number in range(many)]
    store.journal.append([make_entry(org, 1) for org in orgs])
    behind = set(orgs[::7])
    assert store.journal.grown({org: 0 if org in behind else 1 for org in orgs}) == behind


def test_by_keys_finds_what_was_used(store: Store) -> None:
    acme, bolt = make_entry("acme", 1, key="a"), make_entry("bolt", 1, key="b")
    store.journal.append([acme, bolt])
    wanted = [("acme", "a"), ("acme", "b"), ("bolt", "b"), ("nobody", "a"), ("acme", "never/used")]
    assert store.journal.by_keys(wanted) == {("acme", "a"): acme, ("bolt", "b"): bolt}
    assert store.journal.by_keys([]) == {}


def test_by_keys_does_not_mix_up_where_an_org_ends(store: Store) -> None:
    entry = make_entry("acme", 1, key="run:a/b:main")
    store.journal.append([entry])
    assert store.journal.by_keys([("acme/run:a", "b:main"), ("acme", "run:a/b:main")]) == {
        ("acme", "run:a/b:main"): entry
    }


def test_by_keys_of_very_many(store: Store) -> None:
    store.journal.append(make_entries("acme", 50))
    found = store.journal.by_keys(("acme", f"debit:ref-{number}") for number in range(3000))
    assert {key for _, key in found} == {f"debit:ref-{number}" for number in range(1, 51)}


def test_by_seq(store: Store) -> None:
    entries = make_entries("acme", 3)
    store.journal.append(entries)
    assert [store.journal.by_seq("acme", seq) for seq in (1, 2, 3)] == entries
    assert store.journal.by_seq("acme", 0) is None
    assert store.journal.by_seq("acme", 4) is None
    assert store.journal.by_seq("bolt", 1) is None


# Reading


def mixed_journal(count: int) -> list[Entry]:
    """Entries of every kind, moving and not, those of a payment of one of three sessions."""
    kinds: list[tuple[Kind, int]] = [
        ("topup", 9),
        ("usage", 0),
        ("usage", -2),
        ("debit", -1),
        ("refund", 0),
        ("refund", -4),
        ("plan", 0),
        ("reset", 0),
        ("reset", 3),
        ("adjustment", -1),
        ("expiration", -2),
        ("reversal", 0),
        ("reversal", 4),
    ]
    return [
        make_entry("acme", seq, kind=kind, amount=amount, **session_of(kind, seq))
        for seq, (kind, amount) in zip(range(1, count + 1), itertools.cycle(kinds), strict=False)
    ]


def session_of(kind: Kind, seq: int) -> dict[str, str]:
    return {"session": f"cs_{seq % 3}"} if kind in ("topup", "refund") else {}


def matches(entry: Entry, where: EntryFilter) -> bool:
    return (
        (where.before is None or entry["seq"] < where.before)
        and (where.after is None or entry["seq"] > where.after)
        and (not where.kinds or entry["kind"] in where.kinds)
        and (not where.moving or entry["amount"] != 0)
        and (where.session is None or entry.get("session") == where.session)
    )


FILTERS = [
    EntryFilter(),
    EntryFilter(before=40),
    EntryFilter(after=40),
    EntryFilter(before=60, after=20),
    EntryFilter(before=30, after=29),
    EntryFilter(before=1),
    EntryFilter(after=10_000_000),
    EntryFilter(moving=True),
    EntryFilter(moving=True, before=50, after=3),
    EntryFilter(kinds=("usage",)),
    EntryFilter(kinds=("usage",), moving=True),
    EntryFilter(kinds=("topup", "refund", "reversal"), before=70),
    EntryFilter(kinds=("topup", "refund", "reversal"), after=20, moving=True),
    EntryFilter(kinds=("plan",), moving=True),
    EntryFilter(kinds=("debit", "debit")),
    EntryFilter(session="cs_1"),
    EntryFilter(session="cs_0", moving=True, before=90),
    EntryFilter(session="cs_2", kinds=("topup", "refund"), after=5),
    EntryFilter(session="cs_none"),
]


@pytest.mark.parametrize("newest_first", [False, True], ids=["oldest_first", "newest_first"])
def test_read_gives_what_matches_in_order(store: Store, newest_first: bool) -> None:
    journal = mixed_journal(100)
    store.journal.append([*journal, *make_entries("acme2", 20), *make_entries("acm", 20)])
    for where in FILTERS:
        expected = [entry for entry in journal if matches(entry, where)]
        found = list(store.journal.read("acme", where, newest_first=newest_first))
        assert found == (expected[::-1] if newest_first else expected), where


@pytest.mark.parametrize("newest_first", [False, True], ids=["oldest_first", "newest_first"])
def test_read_goes_on_over_many_pages(store: Store, many: int, newest_first: bool) -> None:
    journal = mixed_journal(many)
    store.journal.append(journal)
    for where in (
        EntryFilter(),
        EntryFilter(moving=True),
        EntryFilter(kinds=("usage", "topup")),
        EntryFilter(session="cs_1"),
    ):
        expected = [entry["seq"] for entry in journal if matches(entry, where)]
        found = seqs(store.journal.read("acme", where, newest_first=newest_first))
        assert found == (expected[::-1] if newest_first else expected), where


def test_reading_an_org_without_a_journal_gives_nothing(store: Store) -> None:
    assert list(store.journal.read("acme")) == []
    assert list(store.journal.read("acme", EntryFilter(moving=True), newest_first=True)) == []


def test_read_goes_on_while_the_journal_grows(store: Store, connect: Connect, many: int) -> None:
    store.journal.append(make_entries("acme", many))
    stream, writer = store.journal.read("acme"), connect()
    found = [next(stream)["seq"] for _ in range(5)]
    for seq in range(many + 1, many + 101):
        assert writer.journal.append([make_entry("acme", seq)]) == 1
    found += seqs(stream)
    assert found[:many] == list(range(1, many + 1))
    assert found == list(range(1, len(found) + 1))


def test_read_backwards_goes_on_while_the_journal_grows(store: Store, connect: Connect, many: int) -> None:
    store.journal.append(make_entries("acme", many))
    stream, writer = store.journal.read("acme", newest_first=True), connect()
    found = [next(stream)["seq"] for _ in range(5)]
    writer.journal.append(make_entries("acme", 100, first=many + 1))
    assert found + seqs(stream) == list(range(many, 0, -1))


def test_an_abandoned_stream_holds_nothing_up(store: Store, many: int) -> None:
    store.journal.append(make_entries("acme", many))
    stream = store.journal.read("acme")
    next(stream)
    assert store.journal.append([make_entry("acme", many + 1)]) == 1
    assert next(stream)["seq"] == 2


def test_orgs_come_in_order_of_name(store: Store) -> None:
    orgs = ["a", "Z", "9", "a.b", "a-b", "a_b", "ab", "aB", "a" * 64]
    store.journal.append([make_entry(org, seq) for seq in (1, 2) for org in orgs])
    assert list(store.journal.orgs()) == sorted(orgs)
    assert list(store.journal.orgs(after="a-b")) == [org for org in sorted(orgs) if org > "a-b"]
    assert list(store.journal.orgs(after="a-c")) == [org for org in sorted(orgs) if org > "a-c"]
    assert list(store.journal.orgs(after="zz")) == []


def test_scan_goes_over_all_entries_of_all_orgs_in_order(store: Store, many: int) -> None:
    orgs = sorted(["a", "Z", "a.b", "a-b", *(f"org-{number:03}" for number in range(many // 10))])
    entries = [entry for org in orgs for entry in make_entries(org, 12)]
    for number in range(12):
        store.journal.append(entries[number::12])
    assert list(store.journal.scan()) == entries
    assert list(store.journal.scan(after=orgs[-2])) == entries[-12:]
    assert list(store.journal.scan(after="a-a")) == [entry for entry in entries if entry["org"] > "a-a"]
    assert list(store.journal.scan(after="zz")) == []


def test_scan_goes_on_while_others_append(store: Store, connect: Connect, many: int) -> None:
    store.journal.append(make_entries("acme", many))
    stream, writer = store.journal.scan(), connect()
    found = [next(stream)]
    writer.journal.append([make_entry("acme", many + 1), make_entry("bolt", 1)])
    assert seqs(iter(found)) + seqs(stream) == [*range(1, many + 2), 1]


def test_orgs_goes_on_over_many_pages(store: Store, many: int) -> None:
    orgs = [f"org-{number:05}" for number in range(many)]
    store.journal.append([make_entry(org, 1) for org in orgs])
    assert list(store.journal.orgs()) == orgs


# Alerts


def alerting_journals() -> list[Entry]:
    """Two orgs whose every third entry crosses a threshold; two entries share an instant."""
    crossed: dict[str, Any] = {"alerts": [80, 100]}
    return [
        make_entry(
            org, seq, kind="usage", at=f"2026-11-22T10:{seq // 2:02}:00.000Z", **(crossed if seq % 3 == 0 else {})
        )
        for org in ("bolt", "acme")
        for seq in range(1, 61)
    ]


def expected_alerts(since: str, org: str | None = None) -> list[Entry]:
    found = [entry for entry in alerting_journals() if "alerts" in entry and entry["at"] >= since]
    found.sort(key=lambda entry: (entry["at"], entry["org"], entry["seq"]))
    return [entry for entry in found if org is None or entry["org"] == org]


@pytest.mark.parametrize("org", [None, "acme", "bolt", "core"])
def test_alerts_come_in_order_of_time(store: Store, org: str | None) -> None:
    store.journal.append(alerting_journals())
    for since in ("2026-01-01T00:00:00.000Z", "2026-11-22T10:15:00.000Z", "2026-11-22T10:15:00.001Z", "2027"):
        assert list(store.journal.alerts(Instant(since), org=org)) == expected_alerts(since, org), since


@pytest.mark.parametrize("org", [None, "acme"])
def test_alerts_go_on_over_many_pages(store: Store, many: int, org: str | None) -> None:
    entries = [make_entry("acme", seq, kind="usage", alerts=[80]) for seq in range(1, many + 1)]
    store.journal.append(entries)
    assert seqs(store.journal.alerts(Instant(entries[0]["at"]), org=org)) == list(range(1, many + 1))


def test_recorded_alerts_go_on_behind_any_place(store: Store) -> None:
    """Booked out of order: what is recorded early may take effect late, and the other way round."""
    entries = alerting_journals()
    for number, entry in enumerate(entries):
        entry["recorded_at"] = Instant(f"2026-11-22T11:{number % 7:02}:00.000Z")
        entry["hash"] = entry_hash(entry)
    store.journal.append(entries)
    until = Instant("2026-11-22T11:06:00.000Z")
    places = {Recorded(entry["recorded_at"], entry["org"], entry["seq"]): entry for entry in entries}
    expected = sorted(place for place in places if "alerts" in places[place] and place.recorded_at < until)
    assert len(expected) == 35
    for start in (0, 1, 17, 34, 35):
        after = expected[start - 1] if start else Recorded(Instant("2026-01-01T00:00:00.000Z"), "", 0)
        found = list(store.journal.alerts_recorded(after, until))
        assert found == [places[place] for place in expected[start:]], start
    from_then = Recorded(Instant("2026-11-22T11:05:00.000Z"), "", 0)
    assert {entry["recorded_at"] for entry in store.journal.alerts_recorded(from_then, until)} == {from_then[0]}


def test_recorded_alerts_go_on_over_many_pages(store: Store, many: int) -> None:
    entries = [make_entry("acme", seq, kind="usage", alerts=[80]) for seq in range(1, many + 1)]
    store.journal.append(entries)
    at = entries[0]["recorded_at"]
    found = store.journal.alerts_recorded(Recorded(at, "", 0), Instant("2027-01-01T00:00:00.000Z"))
    assert seqs(found) == list(range(1, many + 1))
    assert list(store.journal.alerts_recorded(Recorded(at, "", 0), at)) == []


# Keys that start alike


def test_entries_are_found_by_how_their_keys_start(store: Store) -> None:
    keys = {"acme": ["run:a:x", "run:a:y", "run:a%3Ab:x", "run:ab:x", "run:a;", "debit:run:a:"], "bolt": ["run:a:x"]}
    store.journal.append([make_entry(org, n, key=key) for org in keys for n, key in enumerate(keys[org], 1)])
    store.journal.append([make_entry("acme/run:a:z", 1, key="run:a:x")])

    def found(*orgs: str) -> list[tuple[str, str]]:
        return sorted((entry["org"], entry["key"]) for entry in store.journal.starting(orgs, "run:a:"))

    assert found("acme") == [("acme", "run:a:x"), ("acme", "run:a:y")]
    assert found("acme", "bolt", "nobody") == [("acme", "run:a:x"), ("acme", "run:a:y"), ("bolt", "run:a:x")]
    assert found("nobody") == found() == []


# Several writers


def test_another_connection_sees_what_was_acknowledged(store: Store, connect: Connect) -> None:
    other = connect()
    for seq in range(1, 11):
        writer, reader = (store, other) if seq % 2 else (other, store)
        entry = make_entry("acme", seq)
        assert reader.journal.by_keys([("acme", entry["key"])]) == {}
        assert writer.journal.append([entry]) == 1
        assert reader.journal.tip("acme") == entry
        assert reader.journal.append([entry]) == 0


@pytest.mark.parametrize("shared", [True, False], ids=["one_connection", "a_connection_each"])
def test_each_seq_has_one_winner(store: Store, connect: Connect, shared: bool) -> None:
    writers, rounds = 8, 12
    barrier = threading.Barrier(writers)

    def write(name: int) -> list[int]:
        mine = store if shared else connect()
        won = []
        for seq in range(1, rounds + 1):
            barrier.wait(timeout=60)
            if mine.journal.append([make_entry("acme", seq, key=f"debit:{name}-{seq}", actor=str(name))]):
                won.append(seq)
        return won

    with ThreadPoolExecutor(writers) as pool:
        won = list(pool.map(write, range(writers)))
    assert sorted(itertools.chain(*won)) == list(range(1, rounds + 1))
    assert {entry["seq"]: int(entry["actor"]) for entry in store.journal.read("acme")} == {
        seq: name for name, seqs_won in enumerate(won) for seq in seqs_won
    }


def test_each_key_has_one_winner(store: Store) -> None:
    writers, rounds = 8, 12
    barrier = threading.Barrier(writers)

    def write(name: int) -> int:
        taken = 0
        for number in range(rounds):
            barrier.wait(timeout=60)
            taken += store.journal.append([make_entry("acme", 1 + number * writers + name, key=f"debit:{number}")])
        return taken

    with ThreadPoolExecutor(writers) as pool:
        assert sum(pool.map(write, range(writers))) == rounds
    assert len(list(store.journal.read("acme"))) == rounds


def test_batches_of_different_orgs_do_not_disturb_each_other(store: Store) -> None:
    def write(org: str) -> list[int]:
        return [store.journal.append(make_entries(org, 20, first=first)) for first in range(1, 100, 20)]

    orgs = [f"org-{number}" for number in range(6)]
    with ThreadPoolExecutor(len(orgs)) as pool:
        assert list(pool.map(write, orgs)) == [[20] * 5] * len(orgs)
    for org in orgs:
        assert seqs(store.journal.read(org)) == list(range(1, 101))


def test_a_journal_outlives_its_connection(kind: str, tmp_path: Path, store: Store, connect: Connect) -> None:
    entries = make_entries("acme", 5)
    store.journal.append(entries)
    if kind != "mongomock":  # which is the process's own memory
        first = make_store(kind, tmp_path)
        first.journal.append([make_entry("acme", 6)])
        first.close()
        entries.append(make_entry("acme", 6))
    assert list(connect().journal.read("acme")) == entries


# texts


def test_texts_are_the_canonical_form_of_each_entry_in_order(store: Store) -> None:
    entries = [make_entry("acme", 1), make_entry("acme", 2, reason="grüße\n"), make_entry("Zed", 1)]
    assert store.journal.append(entries) == 3
    expected = [EntryText(entry["org"], entry["seq"], canonical_bytes(entry)) for entry in entries]
    assert list(store.journal.texts("acme")) == expected[:2]
    assert list(store.journal.texts()) == [expected[2], *expected[:2]]
    assert list(store.journal.texts("nobody")) == []
