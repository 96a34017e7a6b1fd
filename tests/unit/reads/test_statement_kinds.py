"""Every rule that moves units, or moves none, through a real ledger into a statement and a report."""

from random import Random

import pytest

from meterctl.core.domain import instants
from meterctl.core.domain.operations import (
    Adjust,
    AssignPlan,
    Attribute,
    CreditPack,
    Debit,
    ExtendLot,
    Hold,
    Operation,
    Refund,
    Release,
    Undo,
    VoidLot,
)
from meterctl.core.model import KINDS, Instant
from meterctl.core.reads.movements import MOVEMENTS
from meterctl.core.reads.period import Period
from meterctl.core.reads.report import Reporter
from meterctl.core.reads.statement import Statement, Statements
from tests.desk import MONDAY, Desk

WHOLE = Period(Instant("2026-01-01T00:00:00.000Z"), Instant("2027-12-01T00:00:00.000Z"))


def statement(desk: Desk, period: Period = WHOLE) -> Statement:
    return Statements(desk.store, desk.clock, desk.ledger.terms).of("acme", period)


def moved(desk: Desk, period: Period = WHOLE) -> dict[tuple[str, str | None], int]:
    records = statement(desk, period).fields()["movements"]
    return {(record["movement"], record["label"]): record["units"] for record in records}


@pytest.fixture
def desk() -> Desk:
    desk = Desk(now=MONDAY)
    desk.publish("free", 100)
    desk.publish("roll", 100, "2026-01-01", (60, 1))
    return desk


def test_unused_quota_that_is_rolled_over_is_a_movement_of_its_week(desk: Desk) -> None:
    assert desk.assign("roll", "p1").applied
    desk.run("r1", 30)
    desk.go("2026-11-24")
    assert moved(desk) == {("rolled_over", None): 60}
    week = statement(desk).fields()["weeks"][0]
    assert (week["used"], week["rolled_over"]) == (30, 60)
    desk.go("2026-12-24")
    assert moved(desk)[("expired", None)] < 0, "and what was not used of it expires"


def test_a_voided_lot_and_its_undo(desk: Desk) -> None:
    desk.adjust(300, "g1")
    assert desk.do(VoidLot("acme", 1, "v1")).applied
    assert moved(desk) == {("granted", "because"): 300, ("voided", None): -300}
    assert desk.do(Undo("acme", of="void:v1")).applied
    assert moved(desk)[("undone", "voided lot")] == 300


def test_an_undone_run_is_taken_off_week_and_feature(desk: Desk) -> None:
    desk.adjust(300, "g1")
    desk.run("r1", 130)
    desk.run("r2", 40)
    assert desk.do(Undo("acme", of="run:r1:main")).applied
    document = statement(desk).fields()
    assert document["features"] == {"default": 40}
    assert [week["used"] for week in document["weeks"]] == [40]
    assert document["closing"] == 300


def test_holds_extensions_and_plans_move_nothing_and_are_seen(desk: Desk) -> None:
    desk.credit("s1")
    before = statement(desk).sums.closing
    assert desk.do(ExtendLot("acme", 1, instants.parse("2027-10-01"), "x1")).applied
    assert desk.do(Hold("acme", 400, "h1")).applied
    desk.assign("roll", "p1")
    made = statement(desk)
    assert (made.sums.closing, made.outstanding.held) == (before, 400)
    assert desk.do(Release("acme", "h1")).applied
    assert statement(desk).outstanding.held == 0


def test_tax_and_quantity_stand_in_money_and_in_the_worth_of_what_is_left(desk: Desk) -> None:
    desk.do(CreditPack("acme", "small", "s1", 1190, 2, 190))
    desk.debit(500, "d1")
    document = statement(desk).fields()
    assert (document["money"][0]["paid"], document["money"][0]["tax"]) == (1190, 190)
    worth = {"currency": "usd", "cents": 893, "tax_cents": 143}
    assert document["outstanding"]["paid_value"] == [worth], "1,500 of 2,000 units: 892.50 and 142.50"


def operations(random: Random, number: int) -> Operation:
    lot = random.randrange(1, 12)
    return random.choice(
        [
            CreditPack(
                "acme", random.choice(["small", "short", "forever"]), f"s{number}", None, random.randrange(1, 4)
            ),
            Debit("acme", random.randrange(1, 400), f"d{number}", random.random() < 0.3),
            Adjust("acme", random.choice([40, 300]), f"a{number}", None, False, random.choice([None, 10, 90])),
            Adjust("acme", -90, f"a{number}", None, False, None, random.choice([None, lot])),
            Attribute("acme", f"r{number}", units=random.randrange(1, 250)),
            Attribute("acme", f"r{number}", units=random.randrange(1, 250), hold=f"h{number - 1}"),
            Hold("acme", random.randrange(1, 200), f"h{number}"),
            ExtendLot("acme", lot, None, f"x{number}"),
            VoidLot("acme", lot, f"v{number}"),
            AssignPlan("acme", random.choice(["free", "roll"]), f"p{number}", random.choice([None, "next-week"])),
            Refund("acme", f"s{random.randrange(max(1, number))}", random.choice([50, 250]), f"re{number}"),
            Undo("acme", seq=random.randrange(1, number + 2)),
        ]
    )


@pytest.mark.parametrize("seed", range(40))
def test_random_journals_of_all_operations_add_up(seed: int) -> None:
    """Kinds by the dozen, over eight weeks; each window is held against the entries, and a report against all of it."""
    random = Random(seed)
    desk = Desk(now=MONDAY)
    desk.publish("free", 100)
    desk.publish("roll", 100, "2026-01-01", (60, 1))
    now = desk.clock.now()
    for number in range(80):
        now = instants.add_millis(now, random.choice([60_000, 3_600_000, 86_400_000]))
        desk.go(now)
        desk.do(operations(random, number))
    for _ in range(6):
        first, second = sorted(random.sample(range(100 * 86_400_000), 2))
        period = Period(instants.add_millis(Instant(MONDAY), first), instants.add_millis(Instant(MONDAY), second))
        if period.since > now:
            continue
        document = statement(desk, period).fields()
        assert document["opening"] + sum(each["units"] for each in document["movements"]) == document["closing"]
        report = Reporter(desk.store, desk.clock, desk.ledger.terms).of(period).fields()
        for name in ("opening", "closing", "movements", "features", "money", "outstanding", "entries"):
            assert report[name] == document[name], name
    entries = desk.entries()
    assert statement(desk).sums.closing == desk.balance()
    assert {entry["kind"] for entry in entries} <= set(KINDS)
    assert {each["movement"] for each in statement(desk).fields()["movements"]} <= set(MOVEMENTS)
