"""List orgs by balance, debt, plan or use."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from meterctl.core.errors import raise_if_damaged
from meterctl.core.model import Instant
from meterctl.core.ports import Head
from meterctl.core.reads import org_list
from meterctl.core.reads.org_list import SORTS, OrgFilter, OrgLister, OrgQuery
from tests.desk import Desk

LATER = "2026-11-18T12:00:00.000Z"


@pytest.fixture
def desk() -> Desk:
    """Four orgs: one with two lots, one in debt, one far in its week, one that only expires."""
    desk = Desk()
    desk.publish("free", 100)
    desk.publish("pro", 1000)
    desk.credit("cs_1", "small", org="rich")
    desk.credit("cs_2", "forever", org="rich")
    desk.debit(40, "d1", org="poor", allow_debt=True)
    desk.assign("pro", "p1", org="busy")
    desk.run("r1", 900, org="busy")
    desk.credit("cs_3", "short", org="brief")
    return desk


def listed(desk: Desk, now: str = LATER, **more: Any) -> list[dict[str, Any]]:
    wanted = OrgFilter(**{name: more.pop(name) for name in OrgFilter._fields if name in more})
    lister = OrgLister(desk.store, Instant(now), desk.ledger.terms)
    return list(lister.list(OrgQuery(wanted, **more)).rows())  # type: ignore[arg-type]


def names(desk: Desk, **more: Any) -> list[str]:
    return [record["org"] for record in listed(desk, **more)]


def test_what_is_due_is_counted_in(desk: Desk) -> None:
    brief, busy, poor, rich = listed(desk)
    assert (brief["balance"], brief["lots"], brief["next_expiry"], brief["seq"]) == (0, 0, None, 1)
    assert (rich["balance"], rich["lots"], rich["expiring_units"]) == (1200, 2, 1000)
    assert (poor["balance"], poor["owed"], poor["overage"]) == (-40, 40, 0)
    assert (busy["used"], busy["quota"], busy["plan"]) == (900, 1000, "pro")
    assert listed(desk, now="2026-11-23T00:00:00.000Z")[1]["used"] == 0


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["brief", "busy", "poor", "rich"]),
        ({"negative": True}, ["poor"]),
        ({"plan": "pro"}, ["busy"]),
        ({"week_over": 89}, ["busy"]),
        ({"week_over": 90}, []),
        ({"expiring_by": "2027-03-01T00:00:00.000Z"}, ["rich"]),
        ({"expiring_by": "2026-12-01T00:00:00.000Z"}, []),
        ({"idle_since": LATER}, ["brief", "busy", "poor", "rich"]),
        ({"idle_since": "2026-11-16T12:00:00.000Z"}, []),
        ({"negative": True, "plan": "pro"}, []),
    ],
)
def test_all_conditions_hold(desk: Desk, wanted: dict[str, Any], expected: list[str]) -> None:
    assert names(desk, **wanted) == expected


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("org", ["brief", "busy", "poor", "rich"]),
        ("balance", ["poor", "brief", "busy", "rich"]),
        ("next_expiry", ["rich", "brief", "busy", "poor"]),
        ("used", ["busy", "brief", "poor", "rich"]),
    ],
)
def test_sorted_by_a_field_and_then_by_name(desk: Desk, sort: str, expected: list[str]) -> None:
    assert names(desk, sort=sort) == expected


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("limit", [1, 3, 4, 10])
def test_a_limit_takes_the_first_of_any_order(desk: Desk, sort: str, limit: int) -> None:
    assert names(desk, sort=sort, limit=limit) == names(desk, sort=sort)[:limit]


def test_a_listing_in_order_of_org_is_a_stream(desk: Desk) -> None:
    head = raise_if_damaged(desk.store.heads.get(["rich"])["rich"])
    read = 0

    def heads(*, after: str = "") -> Iterator[Head]:
        nonlocal read
        for number in range(1_000_000):
            read += 1
            yield head._replace(org=f"org-{number}")

    desk.store.heads.read = heads  # type: ignore[method-assign]
    rows = OrgLister(desk.store, Instant(LATER), desk.ledger.terms).list(OrgQuery()).rows()
    assert len(list(islice(rows, 20))) == 20
    assert read == org_list.MOST_CHECKED + 20  # those of the first have no journal


@pytest.mark.parametrize("broken", [{"state": None}, {"state": {"lots": 5}}, {"at": None}])
def test_where_a_head_is_broken_the_journal_says_what_is_true(desk: Desk, broken: dict[str, Any]) -> None:
    before = listed(desk)
    head = raise_if_damaged(desk.store.heads.get(["rich"])["rich"])
    desk.store.heads.replace([head._replace(**broken), head._replace(org="ghost", state={})])
    assert listed(desk) == before


# what the journal adds


def record(desk: Desk, org: str, **more: Any) -> dict[str, Any]:
    return next(each for each in listed(desk, **more) if each["org"] == org)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"prefix": "b"}, ["brief", "busy"]),
        ({"prefix": "busy"}, ["busy"]),
        ({"prefix": "c"}, []),
        ({"blocked": True}, []),
        ({"below": 0}, ["poor"]),
        ({"below": 1}, ["brief", "busy", "poor"]),
        ({"owing_since": "2026-11-16T12:00:00.000Z"}, ["poor"]),
        ({"owing_since": "2026-11-16T11:59:59.999Z"}, []),
        ({"runs_out_by": "2027-11-16T00:00:00.000Z"}, []),
    ],
)
def test_more_filters_say_which_orgs_are_listed(desk: Desk, wanted: dict[str, Any], expected: list[str]) -> None:
    assert names(desk, **wanted) == expected


def test_a_prefix_is_no_pattern(desk: Desk) -> None:
    desk.adjust(1, "x", org="a.b")
    desk.adjust(1, "x", org="axb")
    desk.adjust(1, "x", org="a.")
    assert names(desk, prefix="a.") == ["a.", "a.b"]
    assert names(desk, prefix="b.*") == []


def test_blocked_orgs_are_those_that_admission_refuses(desk: Desk) -> None:
    desk.debit(61, "d2", org="poor", allow_debt=True)
    assert names(desk, blocked=True) == ["poor"]
    assert (record(desk, "poor")["available"], record(desk, "poor")["allowed"]) == (-1, False)


def test_debt_is_dated_by_the_entry_that_began_it(desk: Desk) -> None:
    desk.go("2026-11-17T09:00:00.000Z")
    desk.debit(5, "d2", org="poor", allow_debt=True)
    assert record(desk, "poor")["debt_since"] == "2026-11-16T12:00:00.000Z"
    desk.adjust(45, "a1", org="poor")
    desk.debit(9, "d3", org="poor", allow_debt=True)
    assert record(desk, "poor")["debt_since"] == "2026-11-17T09:00:00.000Z"


def test_run_out_dates_come_from_the_pace(desk: Desk) -> None:
    desk.adjust(1100, "g1", org="worn")
    for week in range(4):
        desk.go(f"2026-11-{16 + 7 * week}" if week < 2 else f"2026-{'11-30' if week == 2 else '12-07'}")
        desk.run(f"r{week}", 350, org="worn")
    now = "2026-12-14T00:00:00.000Z"
    worn = record(desk, "worn", now=now)
    assert (worn["pace"], worn["balance"]) == (356, 100)
    assert worn["runs_out"] is not None
    assert [each["org"] for each in listed(desk, now=now, runs_out_by=worn["runs_out"])] == ["worn"]
    assert listed(desk, now=now, runs_out_by=now) == []
    assert listed(desk, now=now, sort="runs_out", limit=1)[0]["org"] == "worn"


def test_rows_that_are_shown_are_those_of_the_journal(desk: Desk) -> None:
    """Heads that are behind, forged or of nobody change nothing that is shown."""
    head = raise_if_damaged(desk.store.heads.get(["rich"])["rich"])
    desk.debit(200, "d9", org="rich")
    desk.store.heads.replace([head._replace(state={**head.state, "lots": []}, balance=9)])
    desk.store.heads.put([head._replace(org="nobody")])
    shown = record(desk, "rich")
    assert (shown["balance"], shown["seq"], shown["checked"]) == (1000, 3, True)
    assert "nobody" not in names(desk)


def test_a_row_that_no_longer_matches_is_left_out(desk: Desk) -> None:
    head = raise_if_damaged(desk.store.heads.get(["poor"])["poor"])
    desk.adjust(1000, "a1", org="poor")
    desk.store.heads.replace([head])
    assert names(desk, negative=True) == []


def test_rows_beyond_the_first_are_marked_as_cached(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(org_list, "MOST_CHECKED", 2)
    assert [each["checked"] for each in listed(desk)] == [True, True, False, False]
    assert [each["checked"] for each in listed(desk, sort="balance")] == [True, True, False, False]


def test_a_past_instant_is_answered_from_the_journals(desk: Desk) -> None:
    desk.go("2026-11-17T09:00:00.000Z")
    desk.adjust(1000, "a1", org="poor")
    desk.adjust(5, "a1", org="young")
    lister = OrgLister(desk.store, Instant(LATER), desk.ledger.terms)

    def at(instant: str, **wanted: Any) -> list[tuple[str, int]]:
        query = OrgQuery(OrgFilter(**wanted), as_of=Instant(instant))
        return [(each["org"], each["balance"]) for each in lister.list(query).rows()]

    before = "2026-11-16T23:00:00.000Z"
    assert at(before) == [("brief", 100), ("busy", 0), ("poor", -40), ("rich", 1200)]
    assert at(before, negative=True) == [("poor", -40)]
    assert at(before, prefix="poor", owing_since=Instant("2026-11-16T12:00:00.000Z")) == [("poor", -40)]
    assert at(LATER, prefix="p") == [("poor", 960)]
    assert at("2026-11-16T11:00:00.000Z") == []
