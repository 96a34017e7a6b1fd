"""Reads count in what is due, all at the same instant."""

from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.operations import Refund
from meterctl.core.reads.ledger_query import LedgerQuery
from meterctl.core.reads.queries import Reads
from meterctl.core.reads.refund_preview import preview_refund
from meterctl.core.stores.overlay import OverlayStore
from tests.desk import Desk, request
from tests.memory_store import MemoryStore


def reads(desk: Desk) -> Reads:
    return Reads(desk.store, desk.clock, desk.ledger.terms)


def test_a_page_of_the_ledger_agrees_with_its_balance_when_the_last_entry_is_ahead_of_the_clock() -> None:
    desk = Desk()
    desk.adjust(5, "a", at="2026-11-16T12:04:00Z")
    desk.adjust(20, "b", expires="2026-11-16T12:02:00Z")
    page = reads(desk).ledger("acme", LedgerQuery()).document()
    newest = page["entries"][0]
    assert (newest["kind"], newest["pending"]) == ("expiration", True)
    assert page["entries"][0]["balance"] == page["balance"] == 5


def test_a_preview_of_a_refund_shows_all_of_it_at_the_instant_it_is_said_to_happen() -> None:
    desk = Desk()
    desk.credit("s", "short")
    desk.go("2026-11-19")
    operation = Refund("acme", "s", 150, "re")
    rehearsal = Ledger(OverlayStore(desk.store, MemoryStore()), desk.clock, desk.ledger.terms, dry_run=True)
    facts = preview_refund(reads(desk), rehearsal, request(operation, "2026-11-17T00:00Z"), operation).document()
    assert (facts["remaining_units"], facts["expired_units"], facts["units"], facts["forgiven"]) == (100, 0, 50, 0)
    assert (facts["balance"], facts["balance_after"]) == (100, 50)


def test_alerts_of_an_org_count_in_those_of_a_week_that_is_due() -> None:
    desk = Desk()
    desk.publish("free", 100)
    desk.run("r", 190)
    desk.go("2026-11-24")
    before = list(reads(desk).alerts("acme", None).rows())
    assert [(alert["week"], alert["percent"]) for alert in before if alert["kind"] == "threshold"] == [
        ("2026-W47", 80),
        ("2026-W47", 100),
        ("2026-W48", 80),
    ]
    desk.sweep()
    booked = list(reads(desk).alerts("acme", None).rows())
    assert [{**alert, "recorded_at": None} for alert in before] == [{**alert, "recorded_at": None} for alert in booked]
