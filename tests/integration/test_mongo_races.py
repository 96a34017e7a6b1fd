"""What another process may do between two steps of one call."""

from typing import Any

import pytest

from meterctl.core.errors import StoreUnreachable
from meterctl.core.model import Instant
from meterctl.core.ports import Lease
from meterctl.core.stores.mongo import MongoStore
from tests.builders import make_claim
from tests.mongomock_client import MockClient

NOON, LATER = Instant("2026-11-22T12:00:00.000Z"), Instant("2026-11-22T12:01:00.000Z")
HELD = Lease("sweep", "one", NOON, LATER)
WANTED = Lease("sweep", "two", NOON, LATER)


@pytest.fixture
def store() -> MongoStore:
    client: Any = MockClient()
    return MongoStore(client, "credits")


def test_a_claim_that_is_clashed_with_but_not_seen_is_no_answer(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.claims.take([make_claim("cs_1", "acme")])
    monkeypatch.setattr(store.claims, "_find", lambda _: {})
    with pytest.raises(StoreUnreachable, match="did not return the claim on cs_1"):
        store.claims.take([make_claim("cs_1", "bolt"), make_claim("cs_2", "bolt")])


def given_back_before_each_look(store: MongoStore, monkeypatch: pytest.MonkeyPatch, looks: int) -> list[object]:
    """For so many looks the lock is gone, and taken again right after."""
    seen: list[object] = []
    held = store.locks._find

    def look(name: str) -> Any:
        seen.append(name)
        return None if len(seen) <= looks else held(name)

    monkeypatch.setattr(store.locks, "_find", look)
    return seen


def test_a_lock_given_back_while_we_look_is_looked_at_again(store: MongoStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.locks.acquire(HELD, NOON)
    looks = given_back_before_each_look(store, monkeypatch, 2)
    assert store.locks.acquire(WANTED, NOON) == HELD
    assert len(looks) == 3


def test_a_lock_that_never_stays_long_enough_to_be_seen_is_no_answer(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.locks.acquire(HELD, NOON)
    given_back_before_each_look(store, monkeypatch, 99)
    with pytest.raises(StoreUnreachable, match="did not return the holder of the lock sweep"):
        store.locks.acquire(WANTED, NOON)
