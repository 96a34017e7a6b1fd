"""Metered usage: pricing versions, quota, overflow, debt, thresholds."""

from typing import Any

import pytest

from meterctl.core.domain.rules import admission
from meterctl.core.model import EMPTY, NO_DEBT, Debt, Entry, Lot, State, Week
from tests.desk import NOON, Desk, booked


def metered(quota: int = 100, **terms: Any) -> Desk:
    """A desk whose orgs are on plan ``free`` with that quota."""
    desk = Desk(**terms)
    desk.publish("free", quota)
    return desk


def usage(desk: Desk, run: str, units: int, **more: Any) -> Entry:
    entry = desk.run(run, units, **more).entry
    assert entry is not None
    assert entry["kind"] == "usage"
    return entry


def week(desk: Desk) -> Week:
    found = desk.state().week
    assert found is not None
    return found


# one run


def test_a_run_within_quota() -> None:
    entry = metered().run("run-1", step="s1", costs={"llm": "0.0105"}).entry
    assert entry is not None
    opened: dict[str, Any] = {
        "key": "2026-W47",
        "cycle": 1,
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
        "seq": 1,
        "key": "run:run-1:s1",
        "kind": "usage",
        "amount": 0,
        "balance": 0,
        "at": NOON,
        "actor": "tester",
        "reason": "because",
        "input": {
            "op": "attribute",
            "run": "run-1",
            "step": "s1",
            "costs": {"llm": "0.0105"},
            "units": None,
            "plan_version": None,
        },
        "run": "run-1",
        "step": "s1",
        "week": "2026-W47",
        "cycle": 1,
        "units": 10,
        "breakdown": {"llm": 10},
        "overflow": 0,
        "uncovered": 0,
        "opened": opened,
        "state": {
            "lots": [],
            "debt": {"owed": 0, "overage": 0},
            "plan": None,
            "week": {**opened, "used": 10, "breakdown": {"llm": 10}},
        },
    }


def test_usage_adds_up_in_the_week() -> None:
    desk = metered()
    desk.run("a", costs={"llm": "0.010", "ocr": "0.002"})
    second = desk.run("b", costs={"llm": "0.003", "tts": "0.004"}).entry
    assert second is not None
    assert "opened" not in second
    desk.run("c", 5)
    assert week(desk).used == 24
    assert week(desk).breakdown == {"llm": 13, "ocr": 2, "tts": 4, "default": 5}


def test_units_are_taken_as_given() -> None:
    desk = metered(run_base=50, max_units_per_run=60)
    entry = usage(desk, "r", 7)
    assert (entry["units"], entry["breakdown"]) == (7, {"default": 7})
    assert usage(desk, "s", 70)["units"] == 70


def test_a_run_without_costs_takes_run_base() -> None:
    desk = metered(run_base=3)
    entry = desk.run("r", costs={}).entry
    assert entry is not None
    assert (entry["units"], entry["breakdown"]) == (3, {"base": 3})


def test_a_run_of_nothing_is_booked_all_the_same() -> None:
    desk = metered(run_base=0)
    entry = desk.run("r", costs={}).entry
    assert entry is not None
    assert (entry["units"], entry["breakdown"], week(desk).used) == (0, {}, 0)


def test_a_capped_run_says_what_it_was() -> None:
    desk = metered(max_units_per_run=10)
    entry = desk.run("r", costs={"llm": "0.015", "ocr": "0.005"}).entry
    assert entry is not None
    assert (entry["units"], entry["capped_from"], entry["breakdown"]) == (10, 20, {"llm": 8, "ocr": 2})


@pytest.mark.parametrize("cost", ["-1", "nan", "x", "", "1e999999999", "1,5"])
def test_invalid_cost(cost: str) -> None:
    desk = metered()
    receipt = desk.run("r", costs={"llm": "1", "ocr": cost})
    assert receipt.reason == "invalid_cost"
    assert desk.entries() == []


# replays


def test_l21_each_step_of_a_run_counts_once() -> None:
    desk = metered()
    assert desk.run("r", 1, step="a").applied
    assert desk.run("r", 1, step="b").applied
    assert desk.run("r", 1, step="a").status == "replayed"
    assert week(desk).used == 2


def test_l19_a_repeated_run_is_a_replay_in_whatever_week_it_arrives() -> None:
    desk = metered()
    first = usage(desk, "r", 1)
    for now in ("2026-11-23", "2027-06-01"):
        desk.go(now)
        receipt = desk.run("r", 1)
        assert (receipt.status, receipt.entry) == ("replayed", first)


def test_costs_written_differently_are_a_replay_and_others_a_conflict() -> None:
    desk = metered()
    desk.run("r", costs={"llm": "0.10"})
    assert desk.run("r", costs={"llm": "1e-1"}).status == "replayed"
    receipt = desk.run("r", costs={"llm": "0.11"})
    assert (receipt.status, receipt.diff) == (
        "conflict",
        {"costs": {"first": {"llm": "0.1"}, "now": {"llm": "0.11"}}},
    )


# versions


def two_versions() -> Desk:
    """Plan ``free``: version 1 at ratio 1 with quota 100, from Wednesday version 2 at ratio 2 with quota 200."""
    desk = metered()
    desk.publish("free", 200, "2026-11-18", default="2")
    return desk


@pytest.mark.parametrize(
    ("now", "version", "quota", "units"),
    [
        ("2026-11-01", 1, 100, 10),  # before the first: the first
        ("2026-11-17T23:59:59.999Z", 1, 100, 10),
        ("2026-11-18T00:00:00.000Z", 2, 200, 20),
        ("2026-12-01", 2, 200, 20),
    ],
)
def test_a_week_opens_with_the_version_in_force(now: str, version: int, quota: int, units: int) -> None:
    desk = two_versions()
    desk.go(now)
    entry = desk.run("r", costs={"llm": "0.010"}).entry
    assert entry is not None
    assert entry["units"] == units
    assert (week(desk).plan, week(desk).version, week(desk).quota) == ("free", version, quota)


def test_an_open_week_keeps_its_version() -> None:
    desk = two_versions()
    desk.run("r", costs={"llm": "0.010"})
    desk.go("2026-11-20")
    second = desk.run("s", costs={"llm": "0.010"}).entry
    assert second is not None
    assert (second["units"], week(desk).version, week(desk).quota) == (10, 1, 100)


def test_l18_a_late_run_belongs_to_the_week_in_which_it_takes_effect() -> None:
    desk = two_versions()
    desk.go("2026-11-25")
    desk.adjust(1, "a")
    entry = desk.run("r", costs={"llm": "0.010"}, at=NOON).entry
    assert entry is not None
    assert (entry["week"], entry["units"], entry["occurred_at"]) == ("2026-W48", 20, NOON)
    assert (week(desk).version, week(desk).quota) == (2, 200)


def test_a_version_given_prices_the_run_and_leaves_the_week_alone() -> None:
    desk = two_versions()
    entry = desk.run("r", costs={"llm": "0.010"}, version=2).entry
    assert entry is not None
    assert (entry["units"], week(desk).version, week(desk).quota) == (20, 1, 100)
    desk.go("2026-11-20")
    old = desk.run("s", costs={"llm": "0.010"}, version=1).entry
    assert old is not None
    assert old["units"] == 10


@pytest.mark.parametrize("version", [0, 3, 99])
@pytest.mark.parametrize("opened", [False, True])
def test_l42_unknown_plan_version(version: int, opened: bool) -> None:
    desk = two_versions()
    if opened:
        desk.run("first", 1)
    assert desk.run("r", costs={"llm": "bad"}, version=version).reason == "unknown_plan_version"
    assert desk.run("r", 1, version=version).reason == "unknown_plan_version"


def test_a_plan_nobody_published_has_version_0_quota_0_ratio_1() -> None:
    desk = Desk()
    entry = desk.run("r", costs={"llm": "0.010"}).entry
    assert entry is not None
    assert (entry["units"], entry["overflow"]) == (10, 10)
    assert (week(desk).plan, week(desk).version, week(desk).quota) == ("free", 0, 0)
    assert desk.run("s", costs={"llm": "0.010"}, version=0).applied
    assert desk.run("t", costs={"llm": "0.010"}, version=1).reason == "unknown_plan_version"


def test_a_week_opened_before_the_plan_was_published_stays_as_it_is() -> None:
    desk = Desk()
    desk.run("r", costs={"llm": "0.010"})
    desk.publish("free", 100, default="3")
    entry = desk.run("s", costs={"llm": "0.010"}).entry
    assert entry is not None
    assert (entry["units"], week(desk).version) == (10, 0)


def test_a_frozen_version_that_was_lost_is_said_to_be_unknown() -> None:
    desk = two_versions()
    desk.run("r", 1)
    desk.store.plans._versions.clear()  # type: ignore[attr-defined]
    receipt = desk.run("s", costs={"llm": "1"})
    assert receipt.reason == "unknown_plan_version"
    assert "version 1" in receipt.message


# overflow


@pytest.mark.parametrize(
    ("quota", "before", "units", "overflow"),
    [
        (100, 0, 100, 0),
        (100, 0, 101, 1),
        (100, 99, 1, 0),
        (100, 99, 5, 4),
        (100, 100, 5, 5),
        (100, 150, 5, 5),
        (0, 0, 5, 5),
        (0, 7, 5, 5),
    ],
)
def test_overflow_is_the_part_of_these_units_above_quota(quota: int, before: int, units: int, overflow: int) -> None:
    desk = metered(quota)
    desk.adjust(1000, "a")
    if before:
        usage(desk, "before", before)
    entry = usage(desk, "r", units)
    assert (entry["overflow"], entry["amount"]) == (overflow, -overflow)
    if overflow:
        assert (entry["draws"], entry["debt"]) == ([{"lot": 1, "units": overflow}], {"owed": 0, "overage": 0})
    else:
        assert "draws" not in entry
        assert "debt" not in entry


def test_l26_usage_and_its_debit_are_one_entry() -> None:
    desk = metered(10)
    desk.adjust(5, "a", expires="2026-12-01")
    desk.adjust(5, "b")
    entry = usage(desk, "r", 17)
    assert entry["draws"] == [{"lot": 1, "units": 5}, {"lot": 2, "units": 2}]
    assert (entry["amount"], week(desk).used, desk.lots()) == (-7, 17, {2: 3})


def test_l27_what_lots_cannot_cover_is_overage() -> None:
    desk = metered(10)
    desk.adjust(5, "a")
    entry = usage(desk, "r", 18)
    assert (entry["draws"], entry["debt"]) == ([{"lot": 1, "units": 5}], {"owed": 0, "overage": 3})
    assert (entry["amount"], entry["uncovered"]) == (-8, 0)
    assert (desk.balance(), desk.debt(), week(desk).uncovered) == (-3, (0, 3), 0)


def test_absorbed_overflow_is_counted_and_not_booked() -> None:
    desk = metered(10, overage="absorb")
    desk.adjust(5, "a")
    entry = usage(desk, "r", 18)
    assert (entry["draws"], entry["debt"]) == ([{"lot": 1, "units": 5}], {"owed": 0, "overage": 0})
    assert (entry["amount"], entry["overflow"], entry["uncovered"]) == (-5, 8, 3)
    usage(desk, "s", 4)
    assert (desk.balance(), desk.debt(), week(desk).uncovered, week(desk).used) == (0, (0, 0), 7, 22)


def test_l28_quota_0_uses_up_packs() -> None:
    desk = metered(0)
    desk.adjust(5, "a")
    usage(desk, "r", 5)
    assert (desk.balance(), desk.lots()) == (0, {})


def test_a_lower_quota_charges_nothing_that_was_used_before() -> None:
    desk = metered(100)
    desk.publish("tiny", 10)
    desk.adjust(50, "a")
    usage(desk, "r", 60)
    desk.assign("tiny", "p")
    assert desk.balance() == 50
    assert usage(desk, "s", 5)["overflow"] == 5


# thresholds


@pytest.mark.parametrize(
    ("steps", "alerts"),
    [
        ([79], [[]]),
        ([80], [[80]]),
        ([79, 1], [[], [80]]),
        ([99, 1], [[80], [100]]),
        ([120], [[80, 100]]),
        ([50, 70], [[], [80, 100]]),
        ([80, 1, 18, 1, 1, 200], [[80], [], [], [100], [], []]),
        ([100, 100, 100], [[80, 100], [], []]),
    ],
)
def test_l24_each_threshold_is_crossed_once_and_in_order(steps: list[int], alerts: list[list[int]]) -> None:
    desk = metered(100)
    entries = [usage(desk, f"r{number}", units) for number, units in enumerate(steps)]
    assert [entry.get("alerts", []) for entry in entries] == alerts
    assert all("alerts" not in entry or entry["alerts"] for entry in entries)
    assert list(week(desk).alerts) == [percent for crossed in alerts for percent in crossed]


def test_thresholds_come_ascending_however_they_are_configured() -> None:
    desk = metered(100, thresholds=(200, 100, 50, 80))
    assert usage(desk, "r", 250)["alerts"] == [50, 80, 100, 200]


def test_a_threshold_is_reached_exactly_not_about() -> None:
    desk = metered(3, thresholds=(33, 34, 67))
    assert usage(desk, "a", 1)["alerts"] == [33]  # 1 of 3 is 33.3 percent
    assert usage(desk, "b", 1)["alerts"] == [34]  # 2 of 3 is 66.7 percent
    assert usage(desk, "c", 1)["alerts"] == [67]


def test_a_threshold_that_is_new_in_the_config_was_not_crossed_by_what_was_used_before() -> None:
    desk = metered(100, thresholds=(100,))
    usage(desk, "a", 80)
    desk.set_terms(thresholds=(70, 80, 90))
    assert "alerts" not in usage(desk, "b", 1)
    assert usage(desk, "c", 9)["alerts"] == [90]


def test_quota_0_has_no_thresholds() -> None:
    desk = metered(0)
    assert "alerts" not in usage(desk, "r", 100)
    assert week(desk).alerts == ()


def test_each_week_has_its_own_thresholds() -> None:
    desk = metered(100)
    usage(desk, "r", 100)
    desk.go("2026-11-23")
    assert usage(desk, "s", 80)["alerts"] == [80]


# meter mode


def test_meter_mode_off_books_no_usage() -> None:
    desk = metered(meter_mode=False)
    receipt = desk.run("r", 5)
    assert (receipt.status, receipt.reason, receipt.exit_code, receipt.entry) == ("disabled", None, 0, None)
    assert desk.run("r", costs={"llm": "bad"}, version=99).status == "disabled"
    assert desk.entries() == []


def test_a_run_booked_before_is_a_replay_with_meter_mode_off() -> None:
    desk = metered()
    desk.run("r", 5)
    desk.set_terms(meter_mode=False)
    assert desk.run("r", 5).status == "replayed"


def test_packs_debits_refunds_and_expiry_go_on_without_the_meter() -> None:
    desk = metered(meter_mode=False)
    assert desk.credit("s", "short").applied
    assert desk.debit(10, "d").applied
    assert desk.refund("s", 100, "re").applied
    desk.go("2026-11-20")
    assert [entry["kind"] for entry in desk.sweep().also] == ["expiration"]


# admission


@pytest.mark.parametrize(
    ("quota", "used", "balance", "asked", "available", "allowed"),
    [
        (100, 0, 0, 0, 100, True),
        (100, 99, 0, 0, 1, True),
        (100, 100, 0, 0, 0, False),
        (100, 150, 0, 0, 0, False),
        (100, 150, 30, 0, 30, True),  # prepaid units are not eaten up by what was used beyond quota
        (100, 150, 30, 30, 30, True),
        (100, 150, 30, 31, 30, False),
        (100, 40, -70, 0, -10, False),
        (100, 40, -60, 0, 0, False),
        (100, 40, -59, 1, 1, True),
        (0, 0, 0, 0, 0, False),
        (0, 5, 1, 1, 1, True),
    ],
)
def test_l29_available_is_what_is_left_of_quota_and_balance(
    quota: int, used: int, balance: int, asked: int, available: int, allowed: bool
) -> None:
    week = Week("2026-W47", 1, "free", 1, quota, used, 0, {}, ())
    lots, debt = ((Lot(1, balance, None),), NO_DEBT) if balance > 0 else ((), Debt(-balance, 0))
    assert admission(State(lots, debt, None, week), quota, asked) == (available, allowed)


def test_l14_a_new_org_has_its_whole_quota() -> None:
    assert admission(EMPTY, 100) == (100, True)
    assert admission(EMPTY, 100, 101) == (100, False)
