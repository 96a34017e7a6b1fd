"""Test and live payments in one store: which credit is refused, in one call and over several."""

from typing import Any

import pytest

from meterctl.core.booking import payment_modes
from meterctl.core.booking.ledger import Ledger
from meterctl.core.booking.payment_modes import JournalModes, check_source, mode_of, store_mode
from meterctl.core.domain.operations import CreditPack, Debit, Operation, Undo
from meterctl.core.errors import Damaged, PaymentRefused
from meterctl.core.stores.overlay import OverlayStore
from tests.desk import Desk, request
from tests.memory_store import MemoryStore


def credit(session: str, *names: str, org: str = "acme") -> CreditPack:
    return CreditPack(org, "small", session, names=names)


def book(desk: Desk, *operations: Operation, chunk: int = 500) -> list[str]:
    receipts = desk.ledger.execute(map(request, operations), chunk=chunk)
    return [receipt.reason or receipt.status for receipt in receipts]


@pytest.mark.parametrize(
    ("names", "live"),
    [(["cs_live_1"], True), (["pi_1", "cs_test_1"], False), (["pi_1"], None), (["cs_1"], None), ([], None)],
)
def test_the_mode_of_a_payment_is_in_the_names_of_its_sessions(names: list[str], live: bool | None) -> None:
    assert mode_of(names) is live


@pytest.mark.parametrize(("first", "second"), [("cs_live_", "cs_test_"), ("cs_test_", "cs_live_")])
@pytest.mark.parametrize("chunk", [1, 2, 500])
def test_a_credit_of_the_other_mode_is_refused(desk: Desk, first: str, second: str, chunk: int) -> None:
    requests = [credit("pi_0"), credit(f"{first}1"), credit(f"{second}1"), credit("pi_2", f"{second}2"), credit("in_3")]
    done = ["applied", "applied", "mode_mismatch", "mode_mismatch", "applied"]
    assert book(desk, *requests, chunk=chunk) == done
    assert book(desk, *requests, chunk=chunk) == ["replayed" if each == "applied" else each for each in done]
    assert desk.balance() == 3000
    assert store_mode(desk.store) is (first == "cs_live_")


@pytest.mark.parametrize("chunk", [1, 500])
def test_an_undo_frees_the_mode_at_once(desk: Desk, chunk: int) -> None:
    requests = [
        credit("cs_test_1"),
        credit("cs_test_2", org="bolt"),
        credit("cs_live_1"),
        Undo("acme", of="session:cs_test_1"),
        credit("cs_live_2"),
        Undo("bolt", of="session:cs_test_2"),
        credit("cs_live_3"),
        credit("cs_test_3"),
    ]
    done = book(desk, *requests, chunk=chunk)
    assert [index for index, each in enumerate(done) if each == "mode_mismatch"] == [2, 4, 7]
    assert [session for session in ("cs_live_2", "cs_live_3") if desk.store.claims.holders([session])] == ["cs_live_3"]


@pytest.mark.parametrize("chunk", [1, 2, 3, 500])
def test_a_name_that_a_payment_got_later_counts_too(desk: Desk, chunk: int) -> None:
    book(desk, credit("pi_1"))
    requests = [credit("cs_0"), credit("cs_test_1", "pi_1"), credit("cs_live_1"), Undo("acme", of="session:pi_1")]
    expected = ["applied", "replayed", "mode_mismatch", "applied", "applied"]
    assert book(desk, *requests, credit("cs_live_2"), chunk=chunk) == expected


def test_a_mode_is_known_while_its_chunk_is_being_appended() -> None:
    """The second chunk is decided on top of the first one: no query finds its entries and claims yet."""
    debits = [Debit("acme", 1, f"d{number}", allow_debt=True) for number in range(300)]
    for first in (credit("cs_test_1"), credit("cs_test_1", "pi_1")):
        other = Desk(MemoryStore())
        book(other, credit("pi_1"))
        other.ledger = Ledger(other.store, other.clock, other.ledger.terms, overlap=True)
        requests = [*debits, first, *debits[:10], credit("cs_live_1", org="bolt")]
        assert book(other, *requests, chunk=302)[-1] == "mode_mismatch"


def test_no_number_of_undone_topups_tells_a_mode(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payment_modes, "_CLAIMS", 5)
    names = [f"cs_test_{number:02}" for number in range(20)]
    for name in names:
        desk.credit(name, org=f"org-{name}")
        desk.undo(1, org=f"org-{name}")
    assert store_mode(desk.store) is None
    assert book(desk, credit("cs_live_1")) == ["applied"]


def test_a_damaged_topup_or_claim_tells_no_mode_and_stops_nothing(desk: Desk) -> None:
    book(desk, credit("cs_test_1"), credit("cs_test_2", org="bolt"))

    def by_keys(real: Any, keys: Any) -> Any:
        if ("acme", "session:cs_test_1") in keys:
            raise Damaged("entry 1 was changed", org="acme")
        return real(keys)

    def read(real: Any, **where: Any) -> Any:
        return [Damaged("a foreign claim"), *real(**where)]

    desk.store.journal.on("by_keys", by_keys)  # type: ignore[attr-defined]
    desk.store.claims.on("read", read)  # type: ignore[attr-defined]
    assert store_mode(desk.store) is False
    assert book(desk, credit("cs_live_1", org="core")) == ["mode_mismatch"]


def test_a_rehearsal_over_several_chunks_decides_as_the_real_run(desk: Desk) -> None:
    book(desk, credit("cs_test_1"))
    rehearsed = Desk(OverlayStore(desk.store, MemoryStore()))
    requests = [Undo("acme", of="session:cs_test_1"), credit("cs_live_1"), credit("cs_test_2"), credit("cs_live_2")]
    expected = ["applied", "applied", "mode_mismatch", "applied"]
    assert book(rehearsed, *requests, chunk=1) == expected == book(desk, *requests, chunk=1)


def test_the_mode_of_journals_is_that_of_their_standing_topups(desk: Desk) -> None:
    book(desk, credit("cs_test_1"), credit("pi_1"), Undo("acme", of="session:cs_test_1"))
    modes = JournalModes()
    for entry in desk.entries():
        modes.take(entry)
    modes.end()
    undone = modes.live
    book(desk, credit("cs_live_1", org="bolt"))
    for entry in desk.entries("bolt"):
        modes.take(entry)
    modes.end()
    assert (undone, modes.live) == (None, True)
    check_source(True, "there", desk.store)
    check_source(None, "there", desk.store)
    check_source(False, "there", MemoryStore())
    with pytest.raises(PaymentRefused, match="there holds test payments, but the store holds live payments") as caught:
        check_source(False, "there", desk.store)
    assert (caught.value.code, caught.value.exit_code) == ("mode_mismatch", 4)
