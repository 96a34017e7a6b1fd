import threading
from concurrent.futures import ThreadPoolExecutor

from meterctl.core.ports import Store, sound
from tests.stores import Connect


def test_a_free_session_is_claimed(store: Store) -> None:
    assert store.claims.take([("cs_1", "acme"), ("cs_2", "bolt")]) == {"cs_1": "acme", "cs_2": "bolt"}
    assert store.claims.holders(["cs_1", "cs_2", "cs_3"]) == {"cs_1": "acme", "cs_2": "bolt"}


def test_nothing_wanted_nothing_taken(store: Store) -> None:
    assert store.claims.take([]) == {}
    assert store.claims.holders([]) == {}
    assert list(store.claims.read()) == []


def test_the_same_org_may_claim_again(store: Store) -> None:
    for _ in range(3):
        assert store.claims.take([("cs_1", "acme")]) == {"cs_1": "acme"}
    assert list(store.claims.read()) == [("cs_1", "acme")]


def test_the_first_org_keeps_a_session(store: Store, connect: Connect) -> None:
    store.claims.take([("cs_1", "acme")])
    assert connect().claims.take([("cs_0", "bolt"), ("cs_1", "bolt"), ("cs_2", "bolt")]) == {
        "cs_0": "bolt",
        "cs_1": "acme",
        "cs_2": "bolt",
    }
    assert store.claims.holders(iter(["cs_0", "cs_1", "cs_2"])) == {"cs_0": "bolt", "cs_1": "acme", "cs_2": "bolt"}


def test_the_first_of_a_batch_keeps_a_session(store: Store) -> None:
    assert store.claims.take([("cs_1", "acme"), ("cs_1", "bolt"), ("cs_1", "acme")]) == {"cs_1": "acme"}


def test_a_claim_moves(store: Store) -> None:
    store.claims.take([("cs_1", "acme"), ("cs_2", "acme")])
    assert store.claims.move("cs_1", "acme", "bolt") is True
    assert dict(sound(store.claims.read())) == {"cs_1": "bolt", "cs_2": "acme"}
    assert store.claims.take([("cs_1", "acme")]) == {"cs_1": "bolt"}


def test_only_the_holders_claim_moves(store: Store) -> None:
    store.claims.take([("cs_1", "acme")])
    assert store.claims.move("cs_1", "bolt", "core") is False
    assert store.claims.move("cs_2", "acme", "bolt") is False
    assert list(store.claims.read()) == [("cs_1", "acme")]


def test_read_goes_over_all_claims_in_order(store: Store, many: int) -> None:
    sessions = sorted(["cs_é", "A", *(f"cs_{number:04}" for number in range(many))])
    store.claims.take([(session, "acme") for session in reversed(sessions)])
    assert list(store.claims.read()) == [(session, "acme") for session in sessions]
    assert [session for session, _ in sound(store.claims.read(after=sessions[-4]))] == sessions[-3:]


def test_many_claims_at_once(store: Store) -> None:
    wanted = [(f"cs_{number:04}", f"org-{number % 7}") for number in range(1500)]
    assert store.claims.take(wanted) == dict(wanted)
    assert store.claims.holders(session for session, _ in wanted) == dict(wanted)


def test_a_race_for_a_session_has_one_winner_that_all_are_told(store: Store) -> None:
    writers, rounds = 8, 10
    barrier = threading.Barrier(writers)

    def claim(name: int) -> list[str]:
        told = []
        for number in range(rounds):
            barrier.wait(timeout=60)
            session = f"cs_{number}"
            told.append(store.claims.take([(session, f"org-{name}")])[session])
        return told

    with ThreadPoolExecutor(writers) as pool:
        answers = list(pool.map(claim, range(writers)))
    assert all(told == answers[0] for told in answers)
    assert [org for _, org in sound(store.claims.read())] == answers[0]


def test_a_race_to_move_a_claim_has_one_winner(store: Store) -> None:
    store.claims.take([("cs_1", "acme")])
    barrier = threading.Barrier(8)

    def move(name: int) -> bool:
        barrier.wait(timeout=60)
        return store.claims.move("cs_1", "acme", f"org-{name}")

    with ThreadPoolExecutor(8) as pool:
        moved = list(pool.map(move, range(8)))
    assert moved.count(True) == 1
    assert store.claims.holders(["cs_1"]) == {"cs_1": f"org-{moved.index(True)}"}
