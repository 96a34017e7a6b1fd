"""Lessons about the hand at the desk: a wrong org, a wrong date, a wrong amount, and who did it."""

import csv
import io
import sys
from pathlib import Path

import pytest

from meterctl.core.backfill.saved_plans.apply import Application, Applier
from meterctl.core.backfill.saved_plans.plan_file import PlanFile, open_plan, planning_ledger
from meterctl.core.domain.guard import Guard
from meterctl.core.domain.instants import parse_expiry, parse_filter
from meterctl.core.domain.operations import Adjust, Request
from meterctl.core.domain.policy import Limits
from meterctl.core.model import Instant
from meterctl.core.reads.ledger_query import LedgerQuery
from meterctl.core.reads.near_orgs import nearest_org
from meterctl.core.reads.queries import Reads
from meterctl.core.stores.overlay import OverlayStore
from meterctl.core.verify import verify_org
from meterctl.render import write
from tests.desk import Desk
from tests.memory_store import MemoryStore


def codes(receipt: object) -> list[str]:
    return [warning.code for warning in receipt.warnings]  # type: ignore[attr-defined]


def reads(desk: Desk) -> Reads:
    return Reads(desk.store, desk.clock, desk.ledger.terms)


def test_l69_a_receipt_tells_the_balance_now(desk: Desk) -> None:
    late = desk.credit("cs_1", at="2026-08-01T10:00:00Z")
    assert (late.status, late.balance, desk.balance()) == ("applied", 0, 0)
    assert "expired_on_arrival" in codes(late)
    assert "1,000" not in late.message.partition("the balance is")[2]
    fresh = desk.credit("cs_2")
    assert (fresh.balance, codes(fresh)) == (1000, [])
    granted = desk.adjust(5, "a1", expires="2026-11-10T00:00:00Z", at="2026-11-09T00:00:00Z", org="other")
    assert (granted.balance, codes(granted)) == (0, ["new_org", "expired_on_arrival"])


def test_l72_a_table_for_accounting_holds_every_entry(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(47):
        desk.adjust(1, f"a{number}")
    page = reads(desk).ledger("acme", LedgerQuery(limit=None))
    write(page, "csv", sys.stdout)
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [int(row["seq"]) for row in rows] == list(range(47, 0, -1))
    assert sum(int(row["amount"]) for row in rows) == desk.balance()


def test_l73_a_new_org_is_told_with_the_one_that_may_be_meant(desk: Desk) -> None:
    assert codes(desk.credit("cs_1")) == ["new_org"]
    assert codes(desk.credit("cs_2")) == []
    desk.adjust(1, "a", org="lumen")
    assert codes(desk.credit("cs_3", org="acmee")) == ["new_org"]
    near = {org: nearest_org(desk.store.heads, org) for org in ("acmme", "ACME", "lumenn", "zzz")}
    assert near == {"acmme": "acme", "ACME": "acme", "lumenn": "lumen", "zzz": None}
    asked = reads(desk)
    for org, known in (("acme", True), ("acmme", False)):
        assert asked.balance(org).known is known
        assert asked.meter(org).known is known
        assert asked.ledger(org, LedgerQuery()).known is known
        assert asked.chart(org, None, None).known is known
        for listing in (asked.history(org), asked.alerts(org, None), asked.lots(org, all_lots=True)):
            assert (listing.org, listing.fields()["known"], listing.known) == (org, known, known)
    assert asked.alerts(None, None).known
    assert asked.balance("acme", Instant("2020-01-01T00:00:00.000Z")).known


def test_l74_a_date_that_ends_a_period_means_the_end_of_that_day() -> None:
    now = Instant("2026-11-18T12:00:00.000Z")
    assert parse_expiry("2026-12-31", now) == "2027-01-01T00:00:00.000Z"
    assert parse_expiry("30d", now) == "2026-12-18T12:00:00.000Z"
    ends = {text: parse_filter(text, now, ends=True)[:10] for text in ("2026-10", "2026-W47", "yesterday", "monday")}
    assert ends == {
        "2026-10": "2026-11-01",
        "2026-W47": "2026-11-23",
        "yesterday": "2026-11-18",
        "monday": "2026-11-17",
    }


def test_l79_who_booked_is_a_filter_of_its_own(desk: Desk) -> None:
    desk.adjust(1, "a1")
    desk.ledger.one(Request(Adjust("acme", 2, "a2"), "kim", "because"))
    page = reads(desk).ledger("acme", LedgerQuery(actor="kim"))
    assert [entry["seq"] for entry in page.entries] == [2]


def test_l80_a_limit_stops_an_amount_that_nobody_meant(desk: Desk) -> None:
    guard = Guard(limits=Limits(adjust=100_000))
    huge = Adjust("acme", 900_000_000, "a1")
    refused = desk.ledger.one(Request(huge, "kim", "because", guard=guard))
    assert (refused.status, refused.reason, refused.exit_code) == ("refused", "over_limit", 4)
    assert desk.entries() == []
    lifted = desk.ledger.one(Request(huge, "kim", "because", guard=guard._replace(over_limit=True)))
    assert lifted.status == "applied"


def test_l81_who_carries_out_the_plan_of_another_is_recorded(desk: Desk, tmp_path: Path) -> None:
    guard = Guard(limits=Limits(approval_over=1000))
    file = PlanFile(str(tmp_path / "plan"), "kim", desk.clock.now(), desk.store.describe())
    planner = planning_ledger(OverlayStore(desk.store, MemoryStore()), desk.clock, desk.ledger.terms, file)
    for _ in planner.execute([Request(Adjust("acme", 5000, "a1"), "kim", "because")]):
        pass
    file.save()
    file.close()

    def carry_out(actor: str) -> Application:
        with open_plan(str(tmp_path / "plan")) as plan:
            applier = Applier(desk.ledger, plan.header, actor, guard)
            for _ in applier.run(plan.steps()):
                pass
        return applier.result

    own = carry_out("kim")
    assert ([receipt.reason for receipt in own.receipts], own.exit_code, desk.entries()) == (["needs_approval"], 4, [])
    assert carry_out("lee").exit_code == 0
    (entry,) = desk.entries()
    assert (entry["actor"], entry["approved_by"]) == ("kim", "lee")
    assert verify_org(desk.store, "acme").ok
    assert [receipt.status for receipt in carry_out("lee").receipts] == ["replayed"]
    assert [entry["seq"] for entry in reads(desk).ledger("acme", LedgerQuery(actor="lee")).entries] == [1]
