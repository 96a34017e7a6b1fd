"""Statements and reports over random journals and windows: they add up, by org and in all, and equal the journal."""

from collections import Counter
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from meterctl.core.domain.instants import add_millis
from meterctl.core.model import Entry, Instant
from meterctl.core.reads.period import Period
from meterctl.core.reads.report import GROUPINGS, Reporter
from meterctl.core.reads.statement import Statement, Statements
from tests.desk import Desk
from tests.property.strategies import DAY, HOUR, ORGS, START, WEEK, History, histories
from tests.property.test_histories import CHECKS, ask, desk_of

#: Places for the ends of windows, from the start of the history on.
OFFSETS = [-400 * DAY, -DAY, 0, 1, HOUR, DAY, 2 * DAY, 5 * DAY + 12 * HOUR, WEEK, 2 * WEEK, 10 * WEEK, 70 * WEEK]


def play(history: History) -> Desk:
    desk = desk_of(history)
    for step in history.steps:
        desk.clock.instant = add_millis(desk.clock.instant, step.pause)
        ask(desk, step.operation, step.at(desk.clock.instant))
    return desk


def statements(desk: Desk, period: Period) -> dict[str, Statement]:
    maker = Statements(desk.store, desk.clock, desk.ledger.terms)
    return {org: maker.of(org, period) for org in ORGS}


def journals(desk: Desk) -> dict[str, list[Entry]]:
    """Every journal with all that is due booked."""
    for org in ORGS:
        desk.sweep(org=org)
    return {org: desk.entries(org) for org in ORGS}


def balance_at(entries: list[Entry], instant: Instant) -> int:
    before = [entry["balance"] for entry in entries if entry["at"] < instant]
    return before[-1] if before else 0


def by_kind(statement: dict[str, Any]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for record in statement["movements"]:
        sums[record["kind"]] += record["units"]
    return sums


def money_of(entries: list[Entry]) -> dict[str, tuple[int, int]]:
    """Paid and refunded by currency, straight from the entries."""
    money: dict[str, list[int]] = {}
    for entry in entries:
        if entry["kind"] in ("topup", "refund"):
            figures = money.setdefault(entry["currency"], [0, 0])
            figures[entry["kind"] == "refund"] += entry["paid_cents"] if entry["kind"] == "topup" else entry["cents"]
    return {currency: (paid, refunded) for currency, (paid, refunded) in money.items()}


def half_up(value: Fraction) -> int:
    return (2 * value + 1) // 2


def value_of(entries: list[Entry], until: Instant) -> dict[str, Fraction]:
    """The price paid for the live lots, straight from the entries."""
    state: dict[str, Any] = next((entry["state"] for entry in reversed(entries) if entry["at"] < until), {"lots": []})
    opening = {entry["seq"]: entry for entry in entries}
    value: dict[str, Fraction] = {}
    for lot in state["lots"]:
        bought = opening[lot["id"]]
        if bought["kind"] == "topup":
            share = Fraction(lot["remaining"] * bought["paid_cents"], bought["units"])
            value[bought["currency"]] = value.get(bought["currency"], Fraction(0)) + share
    return value


@settings(max_examples=max(150, settings().max_examples), suppress_health_check=CHECKS)
@given(histories(), st.sampled_from(OFFSETS), st.sampled_from(OFFSETS))
def test_statements_add_up_and_equal_the_journal(history: History, one: int, other: int) -> None:
    if one == other:
        other += 1
    desk = play(history)
    period = Period(add_millis(START, min(one, other)), add_millis(START, max(one, other)))
    made = statements(desk, period)
    booked = journals(desk)
    for org, statement in made.items():
        document, entries = statement.fields(), booked[org]
        within = [entry for entry in entries if period.since <= entry["at"] < period.until]
        assert document["opening"] == balance_at(entries, period.since)
        assert document["closing"] == balance_at(entries, period.until)
        assert document["opening"] + sum(by_kind(document).values()) == document["closing"]
        amounts: Counter[str] = Counter()
        for entry in within:
            amounts[entry["kind"]] += entry["amount"]
        assert +by_kind(document) == +amounts
        assert -by_kind(document) == -amounts
        assert document["entries"] == len(within)
        assert {each["currency"]: (each["paid"], each["refunded"]) for each in document["money"]} == money_of(within)
        used = sum(entry["units"] for entry in within if entry["kind"] == "usage")
        used -= sum(dict[str, Any](entry).get("uncounted", {}).get("units", 0) for entry in within)
        assert sum(document["features"].values()) == used == sum(week["used"] for week in document["weeks"])
        value = value_of(entries, period.until)
        paid_value = {each["currency"]: each["cents"] for each in document["outstanding"]["paid_value"]}
        assert paid_value == {currency: half_up(exact) for currency, exact in value.items()}
    again = statements(desk, period)
    assert {org: {**each.fields(), "pending": 0, "points": []} for org, each in made.items()} == {
        org: {**each.fields(), "points": []} for org, each in again.items()
    }, "a sweep changes nothing"


@settings(max_examples=max(60, settings().max_examples // 2), suppress_health_check=CHECKS)
@given(histories(), st.lists(st.sampled_from(OFFSETS), min_size=3, max_size=3, unique=True))
def test_windows_that_meet_continue_each_other(history: History, offsets: list[int]) -> None:
    desk = play(history)
    first, second, third = (add_millis(START, offset) for offset in sorted(offsets))
    left, right = statements(desk, Period(first, second)), statements(desk, Period(second, third))
    whole = statements(desk, Period(first, third))
    for org in ORGS:
        assert left[org].sums.closing == right[org].sums.opening
        joined = by_kind(left[org].fields())
        joined.update(by_kind(right[org].fields()))
        assert +joined == +by_kind(whole[org].fields())


@settings(max_examples=max(100, settings().max_examples), suppress_health_check=CHECKS)
@given(histories(), st.sampled_from(OFFSETS[:-1]), st.sampled_from(GROUPINGS))
def test_a_report_is_the_sum_of_all_statements(history: History, offset: int, by: Any) -> None:
    desk = play(history)
    period = Period(add_millis(START, offset), add_millis(START, offset + 3 * WEEK))
    report = Reporter(desk.store, desk.clock, desk.ledger.terms).of(period, by).fields()
    parts = [statement.fields() for statement in statements(desk, period).values()]
    for name in ("opening", "closing", "entries"):
        assert report[name] == sum(part[name] for part in parts), name
    for name in ("units", "paid_units", "owed", "overage", "held"):
        assert report["outstanding"][name] == sum(part["outstanding"][name] for part in parts), name
    total: Counter[str] = Counter()
    features: Counter[str] = Counter()
    for part in parts:
        total.update(by_kind(part))
        features.update(part["features"])
    assert +by_kind(report) == +total
    assert report["features"] == dict(features)
    moved = sum(sum(group["movements"].values()) for group in report["groups"])
    if by == "pack":
        assert sum(group["outstanding"]["units"] for group in report["groups"]) == report["outstanding"]["units"]
        return
    assert moved == report["closing"] - report["opening"]
    if by != "kind":
        assert sum(group["closing"] for group in report["groups"]) == report["closing"]
        assert sum(group["outstanding"]["units"] for group in report["groups"]) == report["outstanding"]["units"]


@given(histories())
def test_value_is_exact_over_all_orgs(history: History) -> None:
    desk = play(history)
    period = Period(START, add_millis(START, 500 * WEEK))
    report = Reporter(desk.store, desk.clock, desk.ledger.terms).of(period).fields()
    exact: dict[str, Fraction] = {}
    for entries in journals(desk).values():
        for currency, value in value_of(entries, period.until).items():
            exact[currency] = exact.get(currency, Fraction(0)) + value
    shown = {each["currency"]: each["cents"] for each in report["outstanding"]["paid_value"]}
    assert shown == {currency: half_up(value) for currency, value in exact.items()}
