"""A store on top of another: it shows what lies below and what was written to it, and leaves what lies below alone."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from meterctl.core.errors import Damaged, sound
from meterctl.core.model import Instant
from meterctl.core.ports import EntryFilter, Recorded, Store
from meterctl.core.stores.overlay import OverlayStore
from meterctl.process.clock import SystemClock
from tests.builders import make_claim, make_entries, make_entry, make_head, make_version
from tests.desk import contents
from tests.journals import ORGS, tell_story
from tests.memory_store import MemoryStore

ANY_TIME = Instant("2000-01-01T00:00:00.000Z")
END_OF_TIME = Instant("2999-01-01T00:00:00.000Z")

READS: dict[str, Callable[[Store], Any]] = {
    "contents": contents,
    "tip": lambda store: [store.journal.tip(org) for org in (*ORGS, "nobody")],
    "tips": lambda store: store.journal.tips([*ORGS, "nobody"]),
    "grown": lambda store: [store.journal.grown(dict.fromkeys([*ORGS, "nobody"], seq)) for seq in range(12)],
    "by_keys": lambda store: store.journal.by_keys([("acme", "session:cs_1"), ("acme", "session:none"), ("x", "y")]),
    "by_seq": lambda store: [store.journal.by_seq("acme", seq) for seq in (1, 3, 9999)],
    "starting": lambda store: list(store.journal.starting(ORGS, "session:")),
    "read backwards": lambda store: list(store.journal.read("acme", newest_first=True)),
    "alerts": lambda store: list(store.journal.alerts(ANY_TIME)),
    "alerts of one": lambda store: list(store.journal.alerts(ANY_TIME, org="acme")),
    "alerts recorded": lambda store: list(store.journal.alerts_recorded(Recorded(ANY_TIME, "", 0), END_OF_TIME)),
    "texts": lambda store: list(store.journal.texts()),
    "texts of one": lambda store: list(store.journal.texts("acme")),
    "scan": lambda store: list(store.journal.scan()),
    "heads": lambda store: store.heads.get([*ORGS, "nobody"]),
    "due": lambda store: store.heads.due(END_OF_TIME),
    "holders": lambda store: store.claims.holders([claim.name for claim in sound(store.claims.read())]),
    "examine": lambda store: store.examine(SystemClock()),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_with_nothing_written_it_reads_as_what_lies_below(read: Callable[[Store], Any]) -> None:
    below = tell_story().store
    assert read(OverlayStore(below, MemoryStore())) == read(below)


@pytest.fixture
def below() -> Iterator[Store]:
    """A store that is as it was when the test is over."""
    store = MemoryStore()
    store.journal.append(make_entries("acme", 2))
    store.heads.put([make_head("acme", 2)])
    store.claims.take([make_claim("s1", "acme")])
    store.plans.add(make_version("free", 1))
    before = contents(store)
    yield store
    assert contents(store) == before


def test_what_is_appended_comes_after_what_lies_below(below: Store) -> None:
    journal = OverlayStore(below, MemoryStore()).journal
    added = [make_entry("acme", 3, key="session:s2", kind="topup"), make_entry("bolt", 1)]
    assert journal.append(added) == 2
    assert [entry["seq"] for entry in journal.read("acme")] == [1, 2, 3]
    assert [entry["seq"] for entry in journal.read("acme", newest_first=True)] == [3, 2, 1]
    assert [entry["seq"] for entry in journal.read("acme", EntryFilter(after=1))] == [2, 3]
    assert journal.by_seq("acme", 3) == journal.tip("acme") == added[0]
    assert journal.tips(["acme", "bolt"]) == {"acme": added[0], "bolt": added[1]}
    assert [journal.grown({"acme": seq}) for seq in (1, 2, 3)] == [{"acme"}, {"acme"}, set()]
    assert list(journal.starting(["acme"], "session:")) == [added[0]]
    assert list(journal.orgs(after="acme")) == ["bolt"]
    assert [entry["org"] for entry in journal.scan()] == ["acme", "acme", "acme", "bolt"]
    assert [(text.org, text.seq) for text in journal.texts()] == [("acme", 1), ("acme", 2), ("acme", 3), ("bolt", 1)]
    assert [text.seq for text in journal.texts("acme")] == [1, 2, 3]


def test_heads_that_are_put_hide_those_below(below: Store) -> None:
    heads = OverlayStore(below, MemoryStore()).heads
    heads.put([make_head("acme", 3)])
    heads.replace([make_head("bolt", 1)])
    assert {org: head.seq for org, head in heads.get(["acme", "bolt"]).items()} == {"acme": 3, "bolt": 1}


def test_a_claim_of_below_is_moved_in_the_layer_and_only_from_its_holder(below: Store) -> None:
    claims = OverlayStore(below, MemoryStore()).claims
    assert claims.take([make_claim("s1", "bolt"), make_claim("s2", "bolt")]) == {
        "s1": make_claim("s1", "acme"), "s2": make_claim("s2", "bolt"),
    }  # fmt: skip
    assert not claims.move(make_claim("s1", "bolt"), make_claim("s1", "carl"))
    assert not claims.move(make_claim("nobody's", "acme"), make_claim("nobody's", "carl"))
    assert claims.move(make_claim("s1", "acme"), make_claim("s1", "carl"))
    assert claims.holders(["s1", "s2", "s3"]) == {"s1": make_claim("s1", "carl"), "s2": make_claim("s2", "bolt")}


def test_a_plan_version_is_published_once_in_both_together(below: Store) -> None:
    plans = OverlayStore(below, MemoryStore()).plans
    assert not plans.add(make_version("free", 1))
    assert plans.add(make_version("free", 2))
    assert not plans.add(make_version("free", 2))
    assert [version.version for version in sound(plans.all())] == [1, 2]


def test_it_says_what_it_is_and_makes_nothing(below: Store) -> None:
    store = OverlayStore(below, MemoryStore())
    assert store.describe() == "memory: (dry run)"
    assert store.init() == []
    store.close()


def test_claims_are_read_in_order_from_both(below: Store) -> None:
    store = OverlayStore(below, MemoryStore())
    for name in ("a1", "t1", "s0"):
        store.claims.take([make_claim(name, "bolt")])
    assert store.claims.move(make_claim("s1", "acme"), make_claim("s1", "bolt"))
    claims = [claim for claim in store.claims.read() if not isinstance(claim, Damaged)]
    assert [(claim.name, claim.org) for claim in claims] == [(name, "bolt") for name in ("a1", "s0", "s1", "t1")]
    assert [claim.name for claim in sound(store.claims.read(after="s0"))] == ["s1", "t1"]
