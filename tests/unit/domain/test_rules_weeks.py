"""Week close, settlement, reset by hand, plan assignment."""

from typing import Any

import pytest

from meterctl.core.model import DUE_ACTOR, Entry
from tests.desk import NOON, Desk, booked

MONDAY_2 = "2026-11-23T00:00:00.000Z"
MONDAY_3 = "2026-11-30T00:00:00.000Z"


def used(quota: int, units: int, **terms: Any) -> Desk:
    """A desk where ``units`` of ``quota`` are used in week 47."""
    desk = Desk(**terms)
    desk.publish("free", quota)
    assert desk.run("r", units).applied
    return desk


def closes(desk: Desk, now: str) -> list[Entry]:
    desk.go(now)
    entries = list(desk.sweep().also)
    assert {entry["kind"] for entry in entries} <= {"reset"}
    return entries


def week_of(entry: Entry) -> dict[str, Any] | None:
    found: dict[str, Any] | None = entry["state"]["week"]
    return found


# closing


def test_a_week_close_archives_the_week() -> None:
    desk = used(100, 90)
    (entry,) = closes(desk, "2026-12-25")
    assert booked(entry) == {
        "v": 1,
        "org": "acme",
        "seq": 2,
        "key": "week:2026-W47",
        "kind": "reset",
        "amount": 0,
        "balance": 0,
        "at": MONDAY_2,
        "actor": DUE_ACTOR,
        "reason": None,
        "input": {"op": "close-week", "week": "2026-W47", "cycle": 1},
        "closed": {
            "key": "2026-W47",
            "cycle": 1,
            "plan": "free",
            "version": 1,
            "quota": 100,
            "used": 90,
            "uncovered": 0,
            "breakdown": {"default": 90},
            "alerts": [80],
        },
        "opened": None,
        "settled": 0,
        "state": {"lots": [], "debt": {"owed": 0, "overage": 0}, "plan": None, "week": None},
    }


def test_weeks_without_usage_leave_no_entry() -> None:
    desk = used(100, 90)
    assert len(closes(desk, "2027-03-01")) == 1
    assert closes(desk, "2027-06-01") == []


def test_the_next_usage_opens_the_week_it_falls_into() -> None:
    desk = used(100, 90)
    desk.go("2026-12-09")
    receipt = desk.run("s", 5)
    assert [entry["key"] for entry in receipt.also] == ["week:2026-W47"]
    assert receipt.entry is not None
    assert week_of(receipt.entry) is not None
    assert receipt.entry["week"] == "2026-W50"


def test_l52_a_week_across_new_year_has_its_iso_key() -> None:
    desk = Desk(now="2025-12-30T12:00Z")
    entry = desk.run("r", 1).entry
    assert entry is not None
    assert entry["week"] == "2026-W01"
    assert [(gone["key"], gone["at"]) for gone in closes(desk, "2026-01-05")] == [
        ("week:2026-W01", "2026-01-05T00:00:00.000Z")
    ]


# settlement


@pytest.mark.parametrize(
    ("quota", "overage", "settled", "left"),
    [(100, 30, 30, 0), (100, 100, 100, 0), (100, 130, 100, 30), (100, 1, 1, 0)],
)
def test_l30_overage_is_settled_once_from_the_next_weeks_quota(
    quota: int, overage: int, settled: int, left: int
) -> None:
    desk = used(quota, quota + overage)
    (entry,) = closes(desk, MONDAY_2)
    assert (entry["amount"], entry["settled"], entry["balance"]) == (settled, settled, -left)
    assert entry["state"]["debt"] == {"owed": 0, "overage": left}
    opened = week_of(entry)
    assert opened is not None
    assert opened == entry["opened"] | {"alerts": opened["alerts"]}
    assert (opened["key"], opened["cycle"], opened["quota"], opened["used"]) == ("2026-W48", 1, quota, settled)
    assert (opened["breakdown"], opened["uncovered"]) == ({}, 0)


@pytest.mark.parametrize(("overage", "alerts"), [(79, []), (80, [80]), (100, [80, 100]), (250, [80, 100])])
def test_settlement_crosses_thresholds_of_the_week_it_opens(overage: int, alerts: list[int]) -> None:
    desk = used(100, 100 + overage)
    (entry,) = closes(desk, MONDAY_2)
    assert entry.get("alerts", []) == alerts
    opened = week_of(entry)
    assert opened is not None
    assert opened["alerts"] == alerts
    assert entry["closed"]["alerts"] == [80, 100]


def test_several_mondays_later_every_one_of_them_settled() -> None:
    desk = used(100, 350)
    entries = closes(desk, "2027-01-01")
    assert [(entry["key"], entry["settled"], entry["at"]) for entry in entries] == [
        ("week:2026-W47", 100, MONDAY_2),
        ("week:2026-W48", 100, MONDAY_3),
        ("week:2026-W49", 50, "2026-12-07T00:00:00.000Z"),
        ("week:2026-W50", 0, "2026-12-14T00:00:00.000Z"),
    ]
    assert desk.balance() == 0
    assert desk.state().week is None


def test_settled_units_count_as_used() -> None:
    desk = used(100, 140)
    desk.go(MONDAY_2)
    entry = desk.run("s", 65).entry
    assert entry is not None
    assert entry["overflow"] == 5
    assert entry["alerts"] == [80, 100]


@pytest.mark.parametrize("why", ["switched off", "nothing owed", "quota 0"])
def test_nothing_is_settled(why: str) -> None:
    desk = used(100, 100 if why == "nothing owed" else 130, settle_overage=why != "switched off")
    if why == "quota 0":
        desk.publish("free", 0, "2026-11-20")
    (entry,) = closes(desk, MONDAY_2)
    assert (entry["amount"], entry["settled"]) == (0, 0)
    assert not entry["opened"]
    assert week_of(entry) is None


def test_l31_owed_is_never_settled() -> None:
    desk = used(100, 130)
    desk.debit(50, "d", allow_debt=True)
    (entry,) = closes(desk, MONDAY_2)
    assert entry["state"]["debt"] == {"owed": 50, "overage": 0}


@pytest.mark.parametrize(
    ("effective_from", "quota"), [(MONDAY_2, 20), ("2026-11-23T00:00:00.001Z", 100), ("2026-11-18", 20)]
)
def test_the_version_in_force_at_that_monday_decides(effective_from: str, quota: int) -> None:
    desk = used(100, 150)
    desk.publish("free", 20, effective_from)
    (entry,) = closes(desk, MONDAY_2)
    assert (entry["settled"], entry["opened"]["quota"]) == (min(quota, 50), quota)


def test_l16_the_orgs_own_plan_decides() -> None:
    desk = Desk()
    desk.publish("free", 10)
    desk.publish("pro", 40)
    desk.assign("pro", "p")
    desk.run("r", 100)
    (entry,) = closes(desk, MONDAY_2)
    assert (entry["closed"]["plan"], entry["closed"]["quota"], entry["settled"]) == ("pro", 40, 40)
    assert (entry["opened"]["plan"], entry["opened"]["version"]) == ("pro", 1)


def test_a_new_default_plan_counts_from_the_next_week_on() -> None:
    desk = used(100, 130)
    desk.publish("team", 20)
    desk.set_terms(default_plan="team")
    desk.run("s", 1)
    assert desk.state().week.plan == "free"  # type: ignore[union-attr]
    (entry,) = closes(desk, MONDAY_2)
    assert (entry["settled"], entry["opened"]["plan"], entry["opened"]["quota"]) == (20, "team", 20)


def test_a_week_still_open_is_closed_with_meter_mode_off() -> None:
    desk = used(100, 90)
    desk.set_terms(meter_mode=False)
    assert [entry["key"] for entry in closes(desk, MONDAY_2)] == ["week:2026-W47"]


# reset by hand


def test_a_reset_by_hand_opens_the_next_cycle() -> None:
    desk = used(100, 130)
    entry = desk.reset("x").entry
    assert entry is not None
    fresh = {
        "key": "2026-W47",
        "cycle": 2,
        "plan": "free",
        "version": 1,
        "quota": 100,
        "used": 0,
        "uncovered": 0,
        "breakdown": {},
        "alerts": [],
    }
    assert booked(entry) == {
        "v": 1,
        "org": "acme",
        "seq": 2,
        "key": "reset:x",
        "kind": "reset",
        "amount": 0,
        "balance": -30,
        "at": NOON,
        "actor": "tester",
        "reason": "because",
        "input": {"op": "reset-week", "ref": "x"},
        "closed": {
            **fresh,
            "cycle": 1,
            "used": 130,
            "breakdown": {"default": 130},
            "alerts": [80, 100],
            "overflow": [{"from": "debt", "units": 30}],
        },
        "opened": fresh,
        "settled": 0,
        "state": {"lots": [], "debt": {"owed": 0, "overage": 30}, "plan": None, "week": fresh},
    }


def test_a_reset_by_hand_takes_a_fresh_snapshot() -> None:
    desk = used(100, 10)
    desk.publish("free", 200, "2026-11-17", default="2")
    desk.go("2026-11-18")
    desk.reset("x")
    entry = desk.run("s", costs={"llm": "0.010"}).entry
    assert entry is not None
    assert (entry["units"], entry["cycle"], desk.state().week.quota) == (20, 2, 200)  # type: ignore[union-attr]


def test_cycles_have_keys_of_their_own() -> None:
    desk = used(100, 10)
    desk.reset("x")
    desk.reset("y")
    assert [entry["key"] for entry in closes(desk, MONDAY_2)] == ["week:2026-W47#3"]
    desk.run("s", 1)
    assert [entry["key"] for entry in closes(desk, MONDAY_3)] == ["week:2026-W48"]


def test_thresholds_begin_anew_with_a_cycle() -> None:
    desk = used(100, 90)
    desk.reset("x")
    entry = desk.run("s", 85).entry
    assert entry is not None
    assert entry["alerts"] == [80]


def test_no_open_week() -> None:
    desk = used(100, 10)
    assert desk.reset("x", org="bolt").reason == "no_open_week"
    desk.go(MONDAY_2)
    assert desk.reset("x").reason == "no_open_week"


def test_a_reset_by_hand_does_nothing_with_meter_mode_off() -> None:
    desk = used(100, 10)
    desk.set_terms(meter_mode=False)
    receipt = desk.reset("x")
    assert (receipt.status, receipt.exit_code) == ("disabled", 0)
    assert len(desk.entries()) == 1


# plans


def test_assigning_a_plan_without_an_open_week() -> None:
    desk = Desk()
    desk.publish("pro", 100)
    entry = desk.assign("pro", "p").entry
    assert entry is not None
    assert booked(entry) == {
        "v": 1,
        "org": "acme",
        "seq": 1,
        "key": "plan:p",
        "kind": "plan",
        "amount": 0,
        "balance": 0,
        "at": NOON,
        "actor": "tester",
        "reason": "because",
        "input": {"op": "assign-plan", "plan": "pro", "ref": "p"},
        "plan": "pro",
        "version": 1,
        "quota": 100,
        "state": {"lots": [], "debt": {"owed": 0, "overage": 0}, "plan": "pro", "week": None},
    }


def test_an_open_week_keeps_used_and_takes_the_new_quota() -> None:
    desk = used(100, 40)
    desk.publish("pro", 200, default="3")
    desk.publish("pro", 300, "2026-11-17", default="4")
    desk.assign("pro", "p")
    week = desk.state().week
    assert week is not None
    assert (week.plan, week.version, week.quota, week.used, week.cycle) == ("pro", 1, 200, 40, 1)
    entry = desk.run("s", costs={"llm": "0.010"}).entry
    assert entry is not None
    assert entry["units"] == 30


@pytest.mark.parametrize(
    ("units", "quota", "recorded", "now"),
    [
        (40, 50, [], [80]),
        (40, 40, [], [80, 100]),
        (40, 51, [], []),
        (80, 100, [80], []),
        (80, 80, [80], [100]),
        (100, 10, [80, 100], []),
        (40, 0, [], []),
    ],
)
def test_thresholds_that_the_new_quota_reaches_are_recorded(
    units: int, quota: int, recorded: list[int], now: list[int]
) -> None:
    desk = used(100, units)
    desk.publish("other", quota)
    assert list(desk.state().week.alerts) == recorded  # type: ignore[union-attr]
    entry = desk.assign("other", "p").entry
    assert entry is not None
    assert entry.get("alerts", []) == now
    assert list(desk.state().week.alerts) == [*recorded, *now]  # type: ignore[union-attr]
    assert "alerts" not in entry or entry["alerts"]


def test_a_higher_quota_does_not_bring_a_threshold_back() -> None:
    desk = used(100, 85)
    desk.publish("big", 1000)
    desk.assign("big", "p")
    entry = desk.run("s", 750).entry
    assert entry is not None
    assert "alerts" not in entry
    again = desk.run("t", 165).entry
    assert again is not None
    assert again["alerts"] == [100]


def test_unknown_plan() -> None:
    desk = Desk()
    desk.publish("pro", 100)
    assert desk.assign("pr0", "p").reason == "unknown_plan"
    assert desk.assign("pro", "p").applied


def test_the_default_plan_can_be_assigned_though_nobody_published_it() -> None:
    desk = Desk()
    entry = desk.assign("free", "p").entry
    assert entry is not None
    assert (entry["plan"], entry["version"], entry["quota"]) == ("free", 0, 0)


def test_the_same_plan_again_changes_nothing() -> None:
    desk = Desk()
    desk.publish("pro", 100)
    desk.publish("pro", 200)
    desk.assign("pro", "p")
    receipt = desk.assign("pro", "q")
    assert (receipt.status, receipt.reason, receipt.exit_code, receipt.entry) == ("unchanged", None, 0, None)
    assert len(desk.entries()) == 1


def test_a_later_version_is_taken_by_the_next_week_not_by_the_open_one() -> None:
    desk = used(100, 10)
    desk.publish("free", 500, "2026-11-17")
    desk.go("2026-11-18")
    desk.run("s", 1)
    assert desk.state().week.quota == 100  # type: ignore[union-attr]
    desk.go(MONDAY_2)
    desk.run("t", 1)
    assert desk.state().week.quota == 500  # type: ignore[union-attr]
