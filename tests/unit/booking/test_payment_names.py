"""One payment under several names, between writers that race, lose or crash."""

from collections.abc import Callable
from typing import Any

import pytest

from meterctl.core.domain.operations import CreditPack, Undo
from meterctl.core.errors import Damaged, StoreUnreachable, sound
from meterctl.core.model import Claim
from meterctl.core.stores.overlay import OverlayStore
from meterctl.core.verify import Check, verify_all
from meterctl.core.verify.claim_repair import repair_claims
from tests.desk import Desk, request
from tests.memory_store import MemoryStore


def claims(desk: Desk) -> set[tuple[str, str, str]]:
    return {(claim.name, claim.org, claim.session) for claim in sound(desk.store.claims.read())}


def findings(desk: Desk) -> list[str]:
    result = verify_all(desk.store).findings
    assert {finding.check for finding in result} <= {Check.CLAIM}
    return [finding.message for finding in result]


def crash_before_append(desk: Desk, act: Callable[[], object]) -> None:
    """Let ``act`` die behind its claims."""

    def die(_real: Any, _entries: Any) -> Any:
        raise StoreUnreachable("down")

    desk.store.journal.on("append", die)  # type: ignore[attr-defined]
    with pytest.raises(StoreUnreachable):
        act()
    desk.store.journal.on("append", lambda real, entries: real(entries))  # type: ignore[attr-defined]


def before_claiming(desk: Desk, act: Callable[[], object]) -> None:
    """Let another writer ``act`` once between reading the claims and taking some."""

    def take(real: Any, requested: Any) -> Any:
        act()
        return real(requested)

    desk.store.claims.on("take", take, times=1)  # type: ignore[attr-defined]


def test_a_claim_without_a_credit_does_not_hide_the_topup_that_has_the_name(desk: Desk) -> None:
    """A writer claimed pi_1 under its own name and died; another one credited the payment as cs_1."""
    desk.credit("cs_1", "small", "pi_1")
    assert desk.store.claims.move(Claim("pi_1", "acme", "cs_1"), Claim("pi_1", "acme", "pi_1"))
    again = desk.credit("pi_1")
    assert (again.status, again.entry and again.entry["session"]) == ("replayed", "cs_1")
    assert claims(desk) == {("cs_1", "acme", "cs_1"), ("pi_1", "acme", "cs_1")}
    assert findings(desk) == []


def test_the_loser_of_a_race_for_a_shared_name_leaves_no_claim_that_waits(desk: Desk) -> None:
    rival = Desk(desk.store)
    before_claiming(desk, lambda: rival.credit("cs_1", "small", "pi_1"))
    assert desk.credit("cs_2", "short", "pi_1", "ch_2").status == "conflict"
    assert claims(desk) == {
        ("cs_1", "acme", "cs_1"),
        ("pi_1", "acme", "cs_1"),
        ("cs_2", "acme", ""),
        ("ch_2", "acme", ""),
    }
    assert findings(desk) == []


def test_the_loser_in_another_org_leaves_no_claim_that_waits(desk: Desk) -> None:
    rival = Desk(desk.store)
    before_claiming(desk, lambda: rival.credit("cs_1", "small", "pi_1", org="bolt"))
    receipt = desk.credit("cs_2", "small", "pi_1")
    assert (receipt.reason, receipt.message) == ("session_claimed", "the payment pi_1 was credited to bolt")
    assert claims(desk) == {("cs_1", "bolt", "cs_1"), ("pi_1", "bolt", "cs_1"), ("cs_2", "acme", "")}
    assert findings(desk) == []


def test_a_crash_beside_another_name_is_settled_by_running_it_again(desk: Desk) -> None:
    crash_before_append(desk, lambda: desk.credit("cs_1", "small", "pi_1", "ch_1"))
    assert desk.credit("cs_2", "short", "pi_1").applied
    assert findings(desk) == ["session 'cs_1' is claimed, but not credited: credit it again"]
    assert desk.credit("cs_1", "small", "pi_1", "ch_1").status == "conflict"
    assert findings(desk) == []
    assert desk.credit("cs_1", "small", "pi_1", "ch_1").status == "conflict"


def test_a_crash_beside_the_same_pack_under_another_name_is_one_credit(desk: Desk) -> None:
    crash_before_append(desk, lambda: desk.credit("cs_1", "small", "pi_1"))
    assert desk.credit("cs_2", "small", "pi_1").applied
    assert desk.credit("cs_1", "small", "pi_1").status == "replayed"
    assert claims(desk) == {(name, "acme", "cs_2") for name in ("cs_1", "cs_2", "pi_1")}
    assert (findings(desk), desk.balance()) == ([], 1000)


def lose(desk: Desk) -> None:
    """Let acme lose pi_1 to another of its own payments, and keep cs_2 without a session."""
    rival = Desk(desk.store)
    before_claiming(desk, lambda: rival.credit("cs_1", "small", "pi_1"))
    assert desk.credit("cs_2", "short", "pi_1").status == "conflict"


def test_a_name_that_was_given_by_mistake_does_not_stop_the_payment_for_good(desk: Desk) -> None:
    lose(desk)
    assert desk.credit("cs_2", "short").applied
    assert ("cs_2", "acme", "cs_2") in claims(desk)
    assert findings(desk) == []


def test_a_kept_name_stays_with_its_org(desk: Desk) -> None:
    """Another writer of the org may be crediting it at this moment."""
    lose(desk)
    receipt = desk.credit("cs_2", "short", org="bolt")
    assert receipt.reason == "session_claimed"
    assert receipt.message == "session cs_2 is kept for acme, where a credit was begun and not booked"
    assert receipt.hint == "if it belongs to bolt: credit it to acme, undo that, and run this again"
    desk.credit("cs_2", "short")
    desk.undo(of="session:cs_2")
    assert desk.credit("cs_2", "short", org="bolt").applied
    assert findings(desk) == []


def test_a_topup_may_rest_on_a_name_that_its_org_keeps(desk: Desk) -> None:
    """A second writer credited the name while the first one took the session off its claim."""
    desk.credit("cs_1", "small", "pi_1")
    kept = Claim("pi_1", "acme", "")
    assert desk.store.claims.move(Claim("pi_1", "acme", "cs_1"), kept)
    assert findings(desk) == []
    assert desk.credit("pi_1").status == "replayed"
    assert ("pi_1", "acme", "cs_1") in claims(desk)
    assert desk.store.claims.move(Claim("pi_1", "acme", "cs_1"), kept)
    assert repair_claims(desk.store).mended == 1
    assert ("pi_1", "acme", "cs_1") in claims(desk)


def test_a_refusal_by_another_rule_keeps_the_credit_awaited(desk: Desk) -> None:
    """A paid pack without its credit must stay in sight."""
    crash_before_append(desk, lambda: desk.credit("cs_1", "small", "pi_1"))
    assert desk.credit("cs_1", "small", "pi_1", at="2027-01-01").reason == "in_future"
    assert findings(desk) == ["session 'cs_1' is claimed, but not credited: credit it again"]


def test_a_dry_run_takes_no_session_off_a_claim(desk: Desk) -> None:
    crash_before_append(desk, lambda: desk.credit("cs_1", "small", "pi_1"))
    desk.credit("cs_2", "short", "pi_1")
    before = claims(desk)
    rehearsal = Desk(OverlayStore(desk.store, MemoryStore()))
    assert rehearsal.credit("cs_1", "small", "pi_1").status == "conflict"
    assert claims(desk) == before


def test_a_damaged_claim_stops_only_the_credit_that_asks_for_it(desk: Desk) -> None:
    def holders(real: Any, names: Any) -> Any:
        if "cs_1" in list(names):
            raise Damaged("the claim 'cs_1' is damaged")
        return real(names)

    desk.store.claims.on("holders", holders)  # type: ignore[attr-defined]
    requests = [request(CreditPack("acme", "small", session)) for session in ("cs_1", "cs_2")]
    assert [receipt.status for receipt in desk.ledger.execute(requests)] == ["failed", "applied"]


# -- a payment is credited anew


@pytest.mark.parametrize("anew", ["pi_1~2", "cs_1~2"], ids=["under its name", "under another name"])
def test_an_undone_payment_is_credited_anew_under_a_session_that_says_so(desk: Desk, anew: str) -> None:
    desk.credit("pi_1", "small", "ch_1")
    desk.undo(1)
    for session in ("pi_1", "cs_1"):
        assert (again := desk.credit(session, "small", "pi_1", "ch_1")).undone_by == 2, again
    other = desk.credit("cs_1", "short", "ch_1")
    assert other.status == "conflict"
    assert other.hint == (
        "to credit the payment anew, give it another session: --session 'pi_1~2' --name pi_1 --name ch_1"
    )
    assert desk.credit(anew, "short", "cs_1", "pi_1", "ch_1").status == "applied"
    assert {session for _, _, session in claims(desk)} == {anew}
    assert findings(desk) == []
    # From here on it is that credit, under every name.
    assert desk.credit("cs_2", "short", "ch_1").status == "replayed"
    assert desk.credit("pi_2~2", "short", "pi_1").status == "replayed"
    assert desk.refund("ch_1", 300, "re_1").entry["session"] == anew  # type: ignore[index]
    assert desk.balance() == 0


def test_a_payment_that_stands_is_not_credited_anew(desk: Desk) -> None:
    desk.credit("pi_1", "small", "ch_1")
    assert desk.credit("cs_1~2", "small", "ch_1").status == "replayed"
    assert desk.credit("pi_1~2", "short", "pi_1").status == "conflict"
    assert desk.balance() == 1000


def test_claims_of_a_payment_that_was_credited_anew_are_rebuilt(desk: Desk) -> None:
    desk.credit("pi_1", "small", "ch_1")
    desk.undo(1)
    desk.credit("cs_1~2", "small", "pi_1", "ch_1")
    for claim in list(sound(desk.store.claims.read())):
        assert desk.store.claims.move(claim, claim._replace(session="pi_1"))
    repair_claims(desk.store)
    assert {session for _, _, session in claims(desk)} == {"cs_1~2"}
    assert findings(desk) == []


def test_undo_and_a_credit_anew_fit_into_one_file(desk: Desk) -> None:
    desk.credit("pi_1", "short")
    undo = Undo("acme", of="session:pi_1")
    anew = CreditPack("acme", "small", "cs_1~2", names=("pi_1",))
    assert [receipt.status for receipt in desk.ledger.execute(map(request, (undo, anew)))] == ["applied", "applied"]
    assert desk.balance() == 1000
    assert findings(desk) == []
