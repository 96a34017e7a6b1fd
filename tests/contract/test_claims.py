import threading
from concurrent.futures import ThreadPoolExecutor

from meterctl.core.model import Claim
from meterctl.core.ports import Store
from tests.builders import holders, make_claim
from tests.stores import Connect

ACME, BOLT = make_claim("cs_1", "acme"), make_claim("cs_1", "bolt")


def test_free_names_are_claimed_each_with_its_session(store: Store) -> None:
    wanted = [Claim("cs_1", "acme", "cs_1"), Claim("pi_1", "acme", "cs_1"), Claim("cs_2", "bolt", "cs_2")]
    claims = {claim.name: claim for claim in wanted}
    assert store.claims.take(wanted) == claims
    assert store.claims.holders(["cs_1", "pi_1", "cs_2", "cs_3"]) == claims


def test_nothing_wanted_nothing_taken(store: Store) -> None:
    assert store.claims.take([]) == {}
    assert store.claims.holders([]) == {}
    assert list(store.claims.read()) == []


def test_the_same_org_may_claim_again(store: Store) -> None:
    for _ in range(3):
        assert store.claims.take([ACME]) == {"cs_1": ACME}
    assert list(store.claims.read()) == [ACME]


def test_a_name_keeps_the_session_it_was_claimed_with(store: Store) -> None:
    store.claims.take([Claim("pi_1", "acme", "cs_1")])
    assert store.claims.take([Claim("pi_1", "acme", "in_1")]) == {"pi_1": Claim("pi_1", "acme", "cs_1")}


def test_the_first_org_keeps_a_name(store: Store, connect: Connect) -> None:
    store.claims.take([ACME])
    wanted = [make_claim(name, "bolt") for name in ("cs_0", "cs_1", "cs_2")]
    expected = {"cs_0": wanted[0], "cs_1": ACME, "cs_2": wanted[2]}
    assert connect().claims.take(wanted) == expected
    assert store.claims.holders(iter(["cs_0", "cs_1", "cs_2"])) == expected


def test_the_first_of_a_batch_keeps_a_name(store: Store) -> None:
    assert store.claims.take([ACME, BOLT, ACME]) == {"cs_1": ACME}


def test_a_claim_moves(store: Store) -> None:
    store.claims.take([ACME, make_claim("cs_2", "acme")])
    assert store.claims.move(ACME, BOLT) is True
    assert holders(store) == {"cs_1": "bolt", "cs_2": "acme"}
    assert store.claims.take([ACME]) == {"cs_1": BOLT}


def test_a_claim_moves_to_another_session_of_its_org(store: Store) -> None:
    store.claims.take([Claim("pi_1", "acme", "cs_1")])
    assert store.claims.move(Claim("pi_1", "acme", "cs_1"), Claim("pi_1", "acme", "in_1")) is True
    assert list(store.claims.read()) == [Claim("pi_1", "acme", "in_1")]


def test_a_claim_may_lose_its_session_and_get_one_again(store: Store) -> None:
    kept = Claim("cs_1", "acme", "")
    store.claims.take([ACME])
    assert store.claims.move(ACME, kept) is True
    assert list(store.claims.read()) == [kept]
    assert store.claims.take([ACME]) == store.claims.holders(["cs_1"]) == {"cs_1": kept}
    assert store.claims.move(kept, ACME) is True
    assert list(store.claims.read()) == [ACME]


def test_only_the_claim_in_force_moves(store: Store) -> None:
    store.claims.take([ACME])
    assert store.claims.move(BOLT, make_claim("cs_1", "core")) is False
    assert store.claims.move(Claim("cs_1", "acme", "other"), BOLT) is False
    assert store.claims.move(make_claim("cs_2", "acme"), make_claim("cs_2", "bolt")) is False
    assert list(store.claims.read()) == [ACME]


def test_read_goes_over_all_claims_in_order(store: Store, many: int) -> None:
    claims = [make_claim(name, "acme") for name in sorted(["cs_é", "A", *(f"cs_{n:04}" for n in range(many))])]
    store.claims.take(claims[::-1])
    assert list(store.claims.read()) == claims
    assert list(store.claims.read(after=claims[-4].name)) == claims[-3:]


def test_many_claims_at_once(store: Store) -> None:
    wanted = [make_claim(f"cs_{number:04}", f"org-{number % 7}") for number in range(1500)]
    expected = {claim.name: claim for claim in wanted}
    assert store.claims.take(wanted) == expected
    assert store.claims.holders(claim.name for claim in wanted) == expected


def test_a_race_for_a_name_has_one_winner_that_all_are_told(store: Store) -> None:
    writers, rounds = 8, 10
    barrier = threading.Barrier(writers)

    def claim(name: int) -> list[Claim]:
        told = []
        for number in range(rounds):
            barrier.wait(timeout=60)
            told.append(store.claims.take([make_claim(f"cs_{number}", f"org-{name}")])[f"cs_{number}"])
        return told

    with ThreadPoolExecutor(writers) as pool:
        answers = list(pool.map(claim, range(writers)))
    assert all(told == answers[0] for told in answers)
    assert list(store.claims.read()) == answers[0]


def test_a_race_to_move_a_claim_has_one_winner(store: Store) -> None:
    store.claims.take([ACME])
    barrier = threading.Barrier(8)

    def move(name: int) -> bool:
        barrier.wait(timeout=60)
        return store.claims.move(ACME, make_claim("cs_1", f"org-{name}"))

    with ThreadPoolExecutor(8) as pool:
        moved = list(pool.map(move, range(8)))
    assert moved.count(True) == 1
    assert holders(store) == {"cs_1": f"org-{moved.index(True)}"}
