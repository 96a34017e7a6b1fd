"""A reconciliation of many payments: its requests and its memory are bounded for each payment."""

import tracemalloc
from pathlib import Path

from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.instants import add_days, from_millis
from meterctl.core.domain.operations import CreditPack, Request
from meterctl.core.domain.policy import StripeSettings, Terms
from meterctl.core.payments.reconcile.compare import repairable_findings
from meterctl.core.payments.reconcile.gather import gather
from meterctl.core.payments.reconcile.notes import Notes
from meterctl.core.payments.reconcile.repairs import RepairPolicy
from meterctl.core.payments.sales import Seller
from meterctl.core.payments.stripe.gateway import connect
from meterctl.core.payments.stripe.shop import Shop
from meterctl.core.stores.sqlite import SqliteStore
from tests.desk import PACKS, Desk, HandClock
from tests.stripe_server import KEY, InProcess, StandIn, seconds

SESSIONS = 1500
FIRST = seconds("2026-10-01T00:00:00Z")

#: Bytes held for each payment and its credit, in the end. 10,000 payments then take some 15 MB.
MOST_BYTES = 1500


def test_memory_and_requests_grow_little_with_the_payments(tmp_path: Path) -> None:
    account, clock = StandIn(), HandClock("2026-11-22T12:00:00Z")
    for number in range(SESSIONS):
        account.sell(f"org-{number % 50}", at=FIRST + number * 600)
    store = SqliteStore(str(tmp_path / "meterctl.db"))
    store.init()
    sold = [
        Request(
            CreditPack(item["metadata"]["org"], "small", item["id"], 500, names=(item["payment_intent"],)),
            "tester",
            None,
            from_millis((item["created"] + 60) * 1000),
        )
        for item in account.objects["sessions"].values()
    ]
    list(Ledger(store, clock, Terms(packs=PACKS)).execute(sold))
    gateway = connect({"STRIPE_API_KEY": KEY}, clock.sleep, InProcess(account), Shop(StripeSettings(), PACKS))
    account.requests.clear()
    tracemalloc.start()
    try:
        both = gather(gateway, store, None, clock.now(), progress=lambda _: None, notes=Notes(None, {}))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert repairable_findings(both.cases, RepairPolicy(Seller(PACKS), "tester"), lambda _: []) == []
    assert both.counts["credits"] == both.counts["sessions"] == SESSIONS
    assert len(account.requests) <= SESSIONS / 100 + 5
    assert held / SESSIONS < MOST_BYTES
    whole_run = len(account.requests)
    account.requests.clear()
    week = add_days(clock.now(), -7)
    gather(gateway, store, week, clock.now(), progress=lambda _: None, notes=Notes(None, {}))
    assert len(account.requests) <= whole_run
    store.close()


def test_payments_credited_long_after_they_were_made_are_read_from_the_list() -> None:
    """More than fifty: reading them one by one would cost more than a full run."""
    account, desk = StandIn(), Desk(now="2026-11-22T12:00:00Z")
    for number in range(260):
        account.sell(f"org-{number}", at=FIRST + number * 600)
    broken = account.sell("acme", at=FIRST + 90_000)
    del account.objects["sessions"][broken]["amount_total"]
    for item in list(account.objects["sessions"].values())[180:260]:
        desk.credit(item["id"], org=item["metadata"]["org"], cents=500)
    gateway = connect({"STRIPE_API_KEY": KEY}, desk.clock.sleep, InProcess(account), Shop(StripeSettings(), PACKS))
    account.requests.clear()
    notes = Notes(None, {})
    both = gather(
        gateway, desk.store, add_days(desk.clock.now(), -7), desk.clock.now(), progress=lambda _: None, notes=notes
    )
    assert len(account.requests) == 5 + 1  # the sessions credited stand on the first page of older ones
    assert repairable_findings(both.cases, RepairPolicy(Seller(PACKS), "tester"), lambda _: []) == []
    assert len(both.cases) == 80
