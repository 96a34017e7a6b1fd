"""Listing orgs by what they hold."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from meterctl.core.model import Instant
from meterctl.core.ports import Head
from meterctl.core.reads.org_list import SORTS, OrgFilter, list_orgs
from meterctl.core.stores.border import undamaged
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
    return list(list_orgs(desk.store, Instant(now), desk.ledger.terms, wanted, **more).rows())  # type: ignore[arg-type]


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
    head = undamaged(desk.store.heads.get(["rich"])["rich"])
    read = 0

    def heads(*, after: str = "") -> Iterator[Head]:
        nonlocal read
        for number in range(1_000_000):
            read += 1
            yield head._replace(org=f"org-{number}")

    desk.store.heads.read = heads  # type: ignore[method-assign]
    rows = list_orgs(desk.store, Instant(LATER), desk.ledger.terms, OrgFilter()).rows()
    assert len(list(islice(rows, 20))) == 20
    assert read == 20


@pytest.mark.parametrize("broken", [{"state": None}, {"state": {"lots": 5}}, {"at": None}])
def test_where_a_head_is_broken_the_journal_says_what_is_true(desk: Desk, broken: dict[str, Any]) -> None:
    before = listed(desk)
    head = undamaged(desk.store.heads.get(["rich"])["rich"])
    desk.store.heads.replace([head._replace(**broken), head._replace(org="ghost", state={})])
    assert listed(desk) == before
