import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from meterctl.core.model import EMPTY, MAX_UNITS, Instant, Lot, Reservation, state_document
from meterctl.core.ports import DueOrg, Store
from tests.builders import make_entry, make_head
from tests.stores import Connect

NOON = Instant("2026-11-22T12:00:00.000Z")
EARLIER, LATER = "2026-11-22T11:59:59.999Z", "2026-11-22T12:00:00.001Z"


def names(found: list[DueOrg]) -> list[str]:
    return [due.org for due in found]


def test_put_and_get(store: Store) -> None:
    lots = (Lot(1, MAX_UNITS - 5, Instant(LATER)), Lot(2, 5, None))
    holds = (Reservation("job", 7, Instant(EARLIER)),)
    state = state_document(EMPTY._replace(lots=lots, plan="größe", holds=holds))
    head = make_head("acme", 3, expiry=LATER, due=EARLIER)._replace(state=state, balance=MAX_UNITS)
    store.heads.put([head, make_head("bolt", 1)])
    assert store.heads.get(["acme", "bolt", "nobody"]) == {"acme": head, "bolt": make_head("bolt", 1)}
    assert store.heads.get([]) == {}
    assert store.heads.get(iter(["bolt"])) == {"bolt": make_head("bolt", 1)}


def test_put_of_nothing_does_nothing(store: Store) -> None:
    store.heads.put([])
    store.heads.replace([])
    assert list(store.heads.read()) == []


def test_a_head_goes_forward(store: Store) -> None:
    for seq in (1, 2, 7):
        store.heads.put([make_head("acme", seq, expiry=NOON)])
        assert list(store.heads.read()) == [make_head("acme", seq, expiry=NOON)]


def test_a_head_never_goes_back(store: Store) -> None:
    store.heads.put([make_head("acme", 7), make_head("bolt", 1)])
    store.heads.put([make_head("acme", 6, expiry=NOON), make_head("bolt", 2), make_head("core", 1)])
    assert list(store.heads.read()) == [make_head("acme", 7), make_head("bolt", 2), make_head("core", 1)]


@pytest.mark.parametrize("seqs", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
def test_the_newest_of_several_heads_of_one_org_stays(store: Store, seqs: tuple[int, ...]) -> None:
    store.heads.put([make_head("acme", seq) for seq in seqs])
    assert list(store.heads.read()) == [make_head("acme", 3)]


def test_writers_at_once_leave_the_newest_head(store: Store, connect: Connect) -> None:
    seqs = list(range(1, 81))
    random.Random(5).shuffle(seqs)
    stores = [store, connect()]

    def put(seq: int) -> None:
        stores[seq % 2].heads.put([make_head("acme", seq), make_head("bolt", 100 - seq)])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, seqs))
    assert store.heads.get(["acme", "bolt"]) == {"acme": make_head("acme", 80), "bolt": make_head("bolt", 99)}


def test_many_heads_at_once_go_forward_and_never_back(store: Store) -> None:
    orgs = [f"org-{number:04}" for number in range(600)]
    store.heads.put([make_head(org, 5) for org in orgs[::2]])
    older, newer = ({org: make_head(org, seq, expiry=NOON) for org in orgs} for seq in (4, 6))
    store.heads.put([(older if number % 3 else newer)[org] for number, org in enumerate(orgs)])
    assert {head.org: head.seq for head in store.heads.read()} == {
        org: 6 if number % 3 == 0 else 5 if number % 2 == 0 else 4 for number, org in enumerate(orgs)
    }
    assert store.heads.get(orgs[:2]) == {orgs[0]: newer[orgs[0]], orgs[1]: older[orgs[1]]}


def test_writers_of_many_heads_at_once_leave_the_newest(store: Store, connect: Connect) -> None:
    orgs = [f"org-{number:03}" for number in range(300)]
    stores = [store, connect(), connect()]

    def put(seq: int) -> None:
        stores[seq % 3].heads.put([make_head(org, seq) for org in random.Random(seq).sample(orgs, 200)])

    newest = {org: max(seq for seq in range(1, 13) if org in random.Random(seq).sample(orgs, 200)) for org in orgs}
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(put, range(1, 13)))
    assert {head.org: head.seq for head in store.heads.read()} == newest


def test_replace_stores_an_older_head_too(store: Store) -> None:
    store.heads.put([make_head("acme", 7, expiry=NOON)])
    store.heads.replace([make_head("acme", 2), make_head("bolt", 1)])
    assert list(store.heads.read()) == [make_head("acme", 2), make_head("bolt", 1)]
    assert store.heads.due(NOON) == []


def test_due_is_what_is_due_by_then_longest_due_first(store: Store) -> None:
    store.heads.put(
        [
            make_head("expired", expiry=EARLIER, due=LATER),
            make_head("expires-now", expiry=NOON),
            make_head("later", expiry=LATER, due=LATER),
            make_head("never"),
            make_head("week-ended", expiry=LATER, due=EARLIER),
            make_head("a-week-ends-now", due=NOON),
        ]
    )
    assert store.heads.due(NOON) == [
        DueOrg(Instant(EARLIER), "expired"),
        DueOrg(Instant(EARLIER), "week-ended"),
        DueOrg(NOON, "a-week-ends-now"),
        DueOrg(NOON, "expires-now"),
    ]
    assert store.heads.due(Instant("2026-01-01T00:00:00.000Z")) == []


@pytest.mark.parametrize("size", [1, 7, 25, 1000])
def test_due_goes_on_behind_the_last_of_a_page(store: Store, size: int) -> None:
    waiting = [DueOrg(NOON if number % 5 else Instant(EARLIER), f"org-{number:03}") for number in range(50)]
    store.heads.put([make_head(due.org, expiry=due.since) for due in random.Random(7).sample(waiting, 50)])
    found: list[DueOrg] = []
    while page := store.heads.due(NOON, after=found[-1] if found else None, limit=size):
        assert len(page) <= size
        found += page
    assert found == sorted(waiting)


def test_a_page_of_due_orgs_goes_on_where_its_last_org_was(store: Store) -> None:
    store.heads.put([make_head(org, expiry=EARLIER) for org in ("acme", "bolt", "core")])
    (last,) = store.heads.due(NOON, limit=1)
    store.heads.put([make_head("acme", 2), make_head("bolt", 2, expiry=NOON)])
    assert store.heads.due(NOON, after=last) == [DueOrg(Instant(EARLIER), "core"), DueOrg(NOON, "bolt")]


def test_what_was_booked_is_no_longer_due(store: Store) -> None:
    store.heads.put([make_head("acme", 1, expiry=EARLIER), make_head("bolt", 1, expiry=EARLIER)])
    store.heads.put([make_head("acme", 2), make_head("bolt", 2, expiry=LATER)])
    assert store.heads.due(NOON) == []
    assert names(store.heads.due(Instant(LATER))) == ["bolt"]


def test_read_goes_over_all_heads_in_order(store: Store, many: int) -> None:
    orgs = sorted(["A", "a.b", *(f"org-{number:04}" for number in range(many))])
    store.heads.put([make_head(org) for org in reversed(orgs)])
    assert [head.org for head in store.heads.read()] == orgs
    assert [head.org for head in store.heads.read(after=orgs[-10])] == orgs[-9:]
    assert list(store.heads.read(after="z")) == []


def test_read_goes_on_while_heads_change(store: Store, connect: Connect, many: int) -> None:
    orgs = [f"org-{number:04}" for number in range(many)]
    store.heads.put([make_head(org) for org in orgs])
    stream, writer = store.heads.read(), connect()
    found = [next(stream).org]
    writer.heads.put([make_head(org, 2) for org in orgs])
    assert found + [head.org for head in stream] == orgs


def test_heads_change_no_answer_of_the_journal(store: Store) -> None:
    entries = [make_entry("acme", 1), make_entry("acme", 2)]
    store.journal.append(entries)
    store.heads.replace([make_head("acme", 9), make_head("ghost", 1)])
    assert store.journal.tip("acme") == entries[1]
    assert store.journal.tip("ghost") is None
    assert list(store.journal.orgs()) == ["acme"]
    tips = store.journal.tips(["acme", "ghost"])
    assert "ghost" not in tips
    assert tips["acme"] in entries
