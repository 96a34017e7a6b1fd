"""Lessons about weeks, quotas, runs and thresholds: what happened elsewhere, and cannot here."""

from collections.abc import Callable

import pytest

from meterctl.core.domain.operations import Attribute
from meterctl.core.errors import BadInput, StoreUnreachable
from meterctl.core.model import Entry
from meterctl.core.ports import Store
from meterctl.core.reads.queries import Reads
from tests.desk import Desk, tap

NEXT_MONDAY = "2026-11-23T00:00:00.000Z"
NEXT_TUESDAY = "2026-11-24T09:00:00Z"


@pytest.fixture(autouse=True)
def quota(desk: Desk) -> None:
    desk.publish("free", 100)


def reads(desk: Desk) -> Reads:
    return Reads(desk.store, desk.clock, desk.ledger.terms)


def test_l13_every_week_begins_anew(desk: Desk) -> None:
    for number, monday in enumerate(("02", "09", "16", "23")):
        desk.go("2026-11-30T00:00:00Z")
        desk.run(f"r{number}", 60, at=f"2026-11-{monday}T08:00:00Z")
        assert desk.tip()["state"]["week"]["used"] == 60


def test_l14_a_new_org_may_run_before_its_first_run(desk: Desk) -> None:
    meter = reads(desk).meter("newcomer", requested=100)
    assert (meter.quota, meter.allowed) == (100, True)


def test_l16_each_org_has_the_quota_of_its_own_plan(desk: Desk) -> None:
    desk.publish("pro", 5000)
    desk.assign("pro", "p1")
    assert (reads(desk).meter("acme").quota, reads(desk).meter("other").quota) == (5000, 100)


def test_l17_a_week_ends_on_its_monday_whenever_that_is_noticed(desk: Desk) -> None:
    desk.run("r1", 10)
    desk.go("2026-12-09T17:23:00Z")
    desk.sweep()
    assert (desk.tip()["kind"], desk.tip()["at"]) == ("reset", NEXT_MONDAY)


def test_l18_a_late_event_does_not_reopen_or_end_a_week(desk: Desk) -> None:
    desk.go(NEXT_TUESDAY)
    desk.run("r1", 10)
    late = desk.run("r0", 5, at="2026-11-16T08:00:00Z")
    assert late.entry is not None
    assert (late.entry["week"], late.entry["occurred_at"]) == ("2026-W48", "2026-11-16T08:00:00.000Z")
    assert desk.tip()["state"]["week"]["used"] == 15


def test_l19_a_retry_after_monday_does_not_count_twice(desk: Desk) -> None:
    desk.run("r1", 60)
    desk.go(NEXT_TUESDAY)
    assert desk.run("r1", 60).status == "replayed"
    assert desk.state().week is None


def test_l20_replay_protection_is_no_list_in_the_state(desk: Desk) -> None:
    sizes = set()
    for number in range(30):
        desk.run(f"run-{number}", 1)
        sizes.add(len(desk.tip()["state"]["week"]))
    assert "run-3" not in str(desk.tip()["state"])
    assert len(sizes) == 1
    assert desk.run("run-3", 1).status == "replayed"


def test_l21_each_step_of_a_run_is_charged(desk: Desk) -> None:
    statuses = [desk.run("r1", 5, step=step).status for step in ("main", "fetch", "render")]
    assert statuses == ["applied"] * 3
    assert desk.tip()["state"]["week"]["used"] == 15


def test_l22_an_invalid_step_is_refused_not_replaced(desk: Desk) -> None:
    for step in ("", "a b", "a.b", "x" * 65):
        with pytest.raises(BadInput):
            Attribute("acme", "r1", step, None, 5)


def test_l23_a_breakdown_always_sums_to_its_total(desk: Desk) -> None:
    with pytest.raises(BadInput):
        Attribute("acme", "r1", "main", {"gpt 4": "0.1"})
    receipt = desk.run("r1", costs={"llm": "0.0019", "gpt-4.1": "0.0109", "tiny": "0.00001"})
    assert receipt.entry is not None
    assert receipt.entry["breakdown"] == {"llm": 1, "gpt-4.1": 10}
    assert sum(receipt.entry["breakdown"].values()) == receipt.entry["units"] == 11


def test_l24_a_jump_crosses_all_thresholds_in_order(desk: Desk) -> None:
    desk.run("r1", 50)
    receipt = desk.run("r2", 70)
    assert receipt.entry is not None
    assert receipt.entry["alerts"] == [80, 100]


def test_l25_an_alert_is_part_of_the_entry_that_crossed(desk: Desk) -> None:
    desk.run("r1", 85)
    desk.run("r2", 1)
    desk.run("r1", 85)
    found = list(reads(desk).alerts(None, None).items)
    assert [(alert["percent"], alert["seq"]) for alert in found] == [(80, 1)]


@pytest.mark.parametrize("stored", [False, True])
def test_l25_nor_is_it_lost_or_told_twice_where_the_run_had_no_answer(store: Store, stored: bool) -> None:
    desk = Desk(tap(store))

    def no_answer(real: Callable[[list[Entry]], int], entries: list[Entry]) -> int:
        if stored:
            real(entries)
        raise StoreUnreachable("no answer in time")

    store.journal.on("append", no_answer, times=1)  # type: ignore[attr-defined]
    assert desk.run("r1", 85).applied
    assert [(alert["percent"], alert["seq"]) for alert in reads(desk).alerts(None, None).items] == [(80, 1)]


def test_l26_usage_and_what_it_draws_are_one_entry(desk: Desk) -> None:
    desk.credit("cs_1")
    receipt = desk.run("r1", 150)
    assert receipt.entry is not None
    assert (receipt.entry["units"], receipt.entry["amount"]) == (150, -50)
    assert receipt.also == ()


def test_l27_overflow_beyond_the_balance_is_debt_not_free(desk: Desk) -> None:
    desk.credit("cs_1", "short")
    desk.run("r1", 250)
    assert (desk.lots(), desk.debt()) == ({}, (0, 50))


def test_l27_or_it_is_seen_as_uncovered(desk: Desk) -> None:
    desk.set_terms(overage="absorb")
    desk.run("r1", 250)
    assert desk.debt() == (0, 0)
    assert desk.tip()["state"]["week"]["uncovered"] == 150


def test_l28_without_a_quota_everything_overflows(desk: Desk) -> None:
    desk.publish("none", 0)
    desk.assign("none", "p1")
    desk.credit("cs_1", "short")
    desk.run("r1", 60)
    desk.run("r2", 60)
    assert desk.balance() == -20


def test_l29_admission_counts_overflow_once(desk: Desk) -> None:
    desk.credit("cs_1")
    desk.run("r1", 600)  # 100 of the quota, 500 of the pack
    meter = reads(desk).meter("acme", requested=500)
    assert (meter.available, meter.allowed) == (500, True)
    assert not reads(desk).meter("acme", requested=501).allowed


def test_l30_overage_is_settled_once(desk: Desk) -> None:
    desk.run("r1", 130)
    desk.go("2026-12-08T00:00:00Z")
    desk.sweep()
    resets = [entry for entry in desk.entries() if entry["kind"] == "reset"]
    assert [entry["settled"] for entry in resets] == [30, 0]
    assert (desk.debt(), desk.state().week) == ((0, 0), None)


def test_l32_the_receipt_is_the_entry(desk: Desk) -> None:
    receipt = desk.run("r1", 150)
    assert receipt.entry == desk.tip()


def test_l41_costs_are_exact(desk: Desk) -> None:
    for cost, units in (("0.29", 290), ("1.001", 1001), ("0.0009999", 0)):
        desk.set_terms(run_base=0)
        receipt = desk.run(f"r{cost}", costs={"llm": cost})
        assert receipt.entry is not None
        assert receipt.entry["units"] == units


def test_l42_an_unknown_plan_version_is_refused(desk: Desk) -> None:
    receipt = desk.run("r1", costs={"llm": "0.1"}, version=7)
    assert (receipt.reason, receipt.exit_code) == ("unknown_plan_version", 3)


def test_l43_there_is_always_a_version_in_force(desk: Desk) -> None:
    desk.publish("free", 200, effective_from="2026-11-18T00:00:00Z")
    plans = reads(desk).plans
    for when, quota in (("2015-01-01", 100), ("2026-11-17T23:59:59.999Z", 100), ("2026-11-18T00:00:00.000Z", 200)):
        assert plans.in_force("free", when).weekly_quota == quota  # type: ignore[arg-type]
