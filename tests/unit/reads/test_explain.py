"""Explaining an org: the sum, the lots held against an independent fold of the whole journal, and what it costs."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings

from meterctl.core.domain.instants import add_millis, parse
from meterctl.core.domain.operations import Attribute, Request
from meterctl.core.errors import raise_if_damaged
from meterctl.core.model import Draw, Entry
from meterctl.core.reads import debt_age
from meterctl.core.reads import explain as explaining
from meterctl.core.reads.explain import Explainer
from meterctl.core.reads.lot_history import FATES, Stories
from tests.desk import NOON, Desk, tap
from tests.memory_store import MemoryStore
from tests.property.strategies import START, History, histories


def explain(desk: Desk, org: str = "acme", as_of: str | None = None) -> dict[str, Any]:
    explainer = Explainer(desk.store, desk.clock, desk.ledger.terms)
    return explainer.explain(org, None if as_of is None else parse(as_of)).document()


def lot(facts: dict[str, Any], number: int) -> dict[str, Any]:
    (found,) = [lot for lot in facts["lots"] if lot["id"] == number]
    return dict(found)


def codes(facts: dict[str, Any]) -> list[str]:
    return [oddity["code"] for oddity in facts["oddities"]]


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.publish("free", 100)
    return desk


# may it run


def test_an_org_that_nothing_was_ever_booked_for() -> None:
    facts = explain(Desk())
    assert (facts["allowed"], facts["available"], facts["seq"], facts["lots"]) == (False, 0, 0, [])
    assert facts["said"][0] == "acme may not run: nothing is available."
    assert facts["said"][-1] == "With 1 unit more it could run at once; waiting will not help."
    assert (facts["week"]["since_seq"], facts["debt"], facts["upcoming"]) == (None, None, [])


def test_a_debt_that_many_weeks_pay_is_paid_in_the_end() -> None:
    desk = Desk()
    desk.publish("free", 100)
    desk.run("r1", 1000)
    facts = explain(desk)
    assert facts["allowed_again"] == {"at": "2027-01-25T00:00:00.000Z", "available": 100, "quota": 100}
    assert any("it can run again on Monday 25 January 2027" in said for said in facts["said"])
    desk.go("2027-01-24T23:59:59.999Z")
    assert not explain(desk)["allowed"]
    desk.go("2027-01-25")
    assert explain(desk)["allowed"]


def test_a_version_to_come_may_let_it_run() -> None:
    desk = Desk()
    desk.publish("free", 10)
    desk.publish("free", 100, "2026-11-17T00:00:00.000Z")
    desk.debit(50, "d", allow_debt=True)
    assert explain(desk)["allowed_again"] == {"at": "2026-11-17T00:00:00.000Z", "available": 50, "quota": 100}


def test_the_sum_adds_up_and_says_where_it_comes_from(desk: Desk) -> None:
    desk.publish("pro", 500)
    desk.assign("pro", "p1")
    desk.credit("s1")
    desk.run("r1", 160)
    facts = explain(desk)
    assert facts["sum"] == {
        "quota": 500,
        "used": 160,
        "quota_left": 340,
        "in_lots": 1000,
        "owed": 0,
        "overage": 0,
        "held": 0,
        "balance": 1000,
        "available": 1340,
        "missing": 0,
    }
    assert facts["plan"] == {"plan": "pro", "version": 1, "assigned": True, "seqs": [1]}
    assert (facts["week"]["key"], facts["week"]["since_seq"], facts["week"]["seqs"]) == ("2026-W47", 1, [3])
    assert facts["said"] == [
        "acme may run: 1,340 units are available.",
        "Its plan pro grants 500 units a week; this week (2026-W47) it has used 160, so 340 are left.",
        "Its lots hold 1,000 units.",
        "340 left of the quota + 1,000 in lots - 0 of debt = 1,340 available.",
        "On Monday 23 November 2026 this week ends, and the quota begins anew.",
    ]


def test_an_org_that_is_cut_off_hears_what_would_help_and_when(desk: Desk) -> None:
    desk.run("r1", 130)
    facts = explain(desk)
    assert (facts["allowed"], facts["sum"]["missing"]) == (False, 31)
    assert facts["allowed_again"] == {"at": "2026-11-23T00:00:00.000Z", "available": 70, "quota": 100}
    assert facts["said"] == [
        "acme may not run: -30 units are available.",
        "Its plan free grants 100 units a week; this week (2026-W47) it has used 130, so none is left.",
        "No lot holds any units.",
        "It owes 30 units used beyond quota and lots, since Monday 16 November 2026; its next pack pays that first.",
        "0 left of the quota + 0 in lots - 30 of debt = -30 available.",
        "With 31 units more it could run at once; else it can run again on Monday 23 November 2026, with 70 units.",
        "On Monday 23 November 2026 this week ends, and the quota begins anew; 30 units of the debt are paid from it.",
    ]
    desk.go("2026-11-23T00:00:00Z")
    assert explain(desk)["available"] == 70


def test_owed_debt_that_no_quota_pays(desk: Desk) -> None:
    desk.debit(101, "d", allow_debt=True)
    desk.run("r1", 1)
    facts = explain(desk)
    assert (facts["available"], facts["allowed"], facts["allowed_again"]) == (-2, False, None)
    assert facts["said"][-2] == "With 3 units more it could run at once; waiting will not help."
    assert "101 units taken back or forced" in facts["said"][3]


def test_a_plan_without_a_quota() -> None:
    desk = Desk()
    desk.credit("s1")
    said = explain(desk)["said"]
    assert said[1] == "Its plan free grants no units a week: all it uses is drawn from its lots."
    assert said[-1].startswith("On Sunday 14 February 2027, 1,000 units of lot 1 will expire")


# lots


def test_a_lot_says_what_became_of_every_unit(desk: Desk) -> None:
    desk.debit(50, "early", allow_debt=True)
    desk.credit("s1")  # 2: pays 50
    desk.debit(200, "d1")  # 3
    desk.refund("s1", 100, "re1")  # 4: claws 200
    desk.refund("s1", 50, "re2")  # 5: claws 100
    desk.reverse("re2")  # 6
    desk.debit(10, "d2")  # 7
    desk.undo(7)  # 8
    story = lot(explain(desk), 2)
    fates = {"debt": 50, "used": 200, "clawed": 200, "expired": 0, "forfeited": 0, "voided": 0, "left": 550}
    assert {fate: story[fate] for fate in fates} == fates
    assert story["seqs"] == {"units": [2], "debt": [2], "used": [3, 7], "clawed": [4, 5, 6]}
    assert (story["pack"], story["session"], story["paid_cents"], story["complete"]) == ("small", "s1", 500, True)
    assert story["kind"] == "topup"
    desk.go("2027-03-01")
    story = lot(explain(desk), 2)
    assert (story["expired"], story["left"], story["seqs"]["expired"]) == (550, 0, [9])


def test_units_that_came_back_too_late_or_paid_debt_on_their_way(desk: Desk) -> None:
    desk.credit("s1", "short")
    desk.credit("s2", "forever")
    desk.debit(150, "d1")  # 100 of lot 1, 50 of lot 2
    desk.debit(190, "d2", allow_debt=True)  # 150 of lot 2, 40 owed
    desk.go("2026-11-20")
    desk.undo(3)  # lot 1 has expired; 40 of the 50 of lot 2 pay the debt
    facts = explain(desk)
    assert (lot(facts, 1)["forfeited"], lot(facts, 1)["used"]) == (100, 0)
    second = lot(facts, 2)
    assert (second["debt"], second["used"], second["left"]) == (40, 150, 10)
    assert second["seqs"]["debt"] == [5]


def test_grants_and_what_came_back_as_a_lot_say_who_gave_them(desk: Desk) -> None:
    desk.adjust(7, "a1", expires="2026-12-01")
    desk.debit(10, "d1", allow_debt=True)
    desk.adjust(3, "a2")  # pays the 3 owed
    desk.undo(2)
    lots = explain(desk)["lots"]
    assert [(found["id"], found["kind"], found["debt"], found["left"]) for found in lots] == [
        (1, "adjustment", 0, 7),
        (4, "reversal", 0, 3),
        (3, "adjustment", 3, 0),
    ]
    assert {(found["session"], found["actor"], found["reason"]) for found in lots} == {(None, "tester", "because")}


def test_a_voided_lot(desk: Desk) -> None:
    desk.credit("s1")
    desk.undo(1)
    story = lot(explain(desk), 1)
    assert (story["voided"], story["used"], story["left"], story["seqs"]["voided"]) == (1000, 0, 0, [2])


def test_lots_that_are_gone_come_after_the_live_ones_the_last_touched_first(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explaining, "MOST_GONE", 2)
    monkeypatch.setattr(explaining, "MOST_LIVE", 1)
    for number in range(1, 6):
        desk.adjust(10, f"a{number}")
    desk.debit(30, "d1")
    facts = explain(desk)
    assert [(found["id"], found["left"]) for found in facts["lots"]] == [(4, 10), (3, 0), (2, 0)]
    assert facts["more_lots"] == 1
    assert facts["sum"]["in_lots"] == 20


def test_a_lot_older_than_what_is_read_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explaining, "CHANGES", 3)
    desk.credit("s1")
    desk.refund("s1", 100, "re1")
    for number in range(3):
        desk.adjust(1, f"a{number}")
    old, *_, new = sorted(explain(desk)["lots"], key=lambda found: found["id"])
    assert (old["complete"], old["clawed"], old["used"], old["left"]) == (False, 0, 200, 800)
    assert new["complete"]


# debt


def test_debt_is_dated_and_its_makers_are_named(desk: Desk) -> None:
    desk.debit(5, "d1", allow_debt=True)
    desk.adjust(5, "a1")
    desk.go("2026-11-18T12:00:00Z")
    for number in range(40):
        desk.run(f"r{number}", 1, at=f"2026-11-17T{number // 2:02}:00:00Z")
    desk.debit(7, "d2", allow_debt=True)
    desk.adjust(2, "a2")
    desk.go("2026-11-21T12:00:00Z")
    facts = explain(desk)
    assert facts["debt"] == {
        "owed": 5,
        "overage": 0,
        "since": "2026-11-18T12:00:00.000Z",
        "since_seq": 43,
        "exact": True,
        "seqs": {"owed": [43], "overage": []},
    }
    (oddity,) = facts["oddities"]
    assert (oddity["code"], oddity["seqs"]) == ("debt", [43])
    assert oddity["message"] == "5 units of debt have been open for 3 days"


def test_debt_older_than_what_is_read_is_at_least_so_old(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debt_age, "MOST_PAYERS", 3)
    desk.debit(50, "d1", allow_debt=True)
    for number in range(5):
        desk.adjust(1, f"a{number}")
    debt = explain(desk)["debt"]
    assert (debt["exact"], debt["since_seq"] <= 5, debt["owed"]) == (False, True, 45)


def test_debt_that_a_due_event_settles_is_none(desk: Desk) -> None:
    desk.run("r1", 130)
    desk.go("2026-11-24")
    facts = explain(desk)
    assert (facts["debt"], facts["pending"]) == (None, 1)
    assert (facts["week"]["since_seq"], facts["week"]["used"], facts["week"]["settled"]) == (2, 30, 30)
    assert "it has used 30, 30 of which paid for the week before, so 70 are left" in facts["said"][1]


# what comes


def test_what_time_will_do_is_what_it_does(desk: Desk) -> None:
    desk.credit("s1", "short")
    desk.credit("s2")
    desk.run("r1", 150)
    upcoming = explain(desk)["upcoming"]
    assert [(event["kind"], event["lot"], event["units"], event["week"]) for event in upcoming] == [
        ("expiration", 1, 50, None),
        ("reset", None, None, "2026-W47"),
        ("expiration", 2, 1000, None),
    ]
    desk.go("2027-06-01")
    desk.sweep()
    booked = desk.entries()[3:]
    assert [(entry["at"], entry["balance"]) for entry in booked] == [
        (event["at"], event["balance"]) for event in upcoming
    ]


def test_an_instant_ahead_shows_what_time_alone_will_do(desk: Desk) -> None:
    desk.credit("s1", "short")
    facts = explain(desk, as_of="2026-12-01")
    assert (facts["available"], facts["pending"], lot(facts, 1)["expired"], codes(facts)) == (100, 1, 100, [])


def test_an_instant_behind_shows_what_was_so_then(desk: Desk) -> None:
    desk.credit("s1")
    desk.run("r0", 120)
    before = explain(desk)
    desk.go("2026-11-18T12:00:00Z")
    desk.refund("s1", 500, "re1")
    desk.run("r1", 500)
    then = explain(desk, as_of=NOON)
    assert then == before
    assert explain(desk)["said"] != before["said"]
    assert explain(desk, as_of=add_millis(parse(NOON), -1))["seq"] == 0


# oddities


def weeks_of_usage(desk: Desk, *units: int) -> None:
    for number, count in enumerate(units):
        desk.go(f"2026-{('11-16', '11-23', '11-30', '12-07', '12-14', '12-21')[number]}T12:00:00Z")
        desk.run(f"w{number}", count)


def test_a_week_far_above_the_usual_is_unusual(desk: Desk) -> None:
    weeks_of_usage(desk, 50, 40, 60, 50, 130)
    facts = explain(desk)
    assert codes(facts) == ["debt", "unusual_burn"]
    assert facts["oddities"][1]["message"] == (
        "130 units used this week so far; the median of 2026-W47 to 2026-W50 is 50 a week"
    )
    assert len(facts["oddities"][1]["seqs"]) == 4


def test_a_pace_is_unusual_once_the_first_day_is_over(desk: Desk) -> None:
    weeks_of_usage(desk, 50, 40, 60, 50)
    desk.run("more", 1)
    assert codes(explain(desk)) == []
    desk.go("2026-12-08T12:00:00Z")
    assert codes(explain(desk)) == ["unusual_burn"]
    desk.go("2026-12-12T12:00:00Z")
    assert codes(explain(desk)) == []


def test_one_week_is_no_habit(desk: Desk) -> None:
    weeks_of_usage(desk, 5, 90)
    assert codes(explain(desk)) == []


def test_what_is_due_and_not_booked_is_odd_now_and_only_now(desk: Desk) -> None:
    desk.credit("s1", "short")
    desk.go("2026-11-20")
    facts = explain(desk)
    (oddity,) = facts["oddities"]
    assert oddity["code"] == "overdue"
    assert "since 2026-11-17 12:00 UTC" in oddity["message"]
    assert codes(explain(desk, as_of="2026-11-20")) == []
    desk.sweep()
    assert codes(explain(desk)) == []


def test_a_head_that_is_behind_is_odd(desk: Desk) -> None:
    desk.credit("s1")
    old = raise_if_damaged(desk.store.heads.get(["acme"])["acme"])
    desk.debit(1, "d1")
    desk.store.heads.replace([old])
    (oddity,) = explain(desk)["oddities"]
    assert (oddity["code"], "is at entry 1, the journal at 2" in oddity["message"]) == ("head_behind", True)
    desk.store.heads = type(desk.store.heads)()  # type: ignore[misc]
    assert "is missing" in explain(desk)["oddities"][0]["message"]


def test_usage_that_nothing_covered_is_odd() -> None:
    desk = Desk(overage="absorb")
    desk.run("r1", 30)
    (oddity,) = explain(desk)["oddities"]
    assert (oddity["code"], oddity["seqs"]) == ("uncovered", [1])


def test_a_journal_with_a_hole_is_explained_as_far_as_it_goes(desk: Desk) -> None:
    """What was taken out of a journal is for verify to find; here it only cannot be told."""
    desk.credit("s1")
    desk.debit(10, "d1")
    desk.undo(2)
    whole = desk.entries()
    holed = Stories([whole[2]], [], 0, lambda _: None)
    assert holed.of(1, 1000) is None
    assert holed.by_last_change() == []


# what it costs


def test_what_it_reads_does_not_grow_with_the_journal() -> None:
    def cost(entries: int) -> Counter[str]:
        desk = Desk(tap(MemoryStore()))
        desk.publish("free", 100)
        desk.credit("s1", "forever")
        desk.debit(1, "d1")
        runs = (Attribute("acme", f"r{number}", units=1) for number in range(entries))
        list(desk.ledger.execute(Request(run, "tester") for run in runs))
        yielded: Counter[str] = Counter()

        def counted(read: Any, *arguments: Any, **more: Any) -> Iterator[Entry]:
            for entry in read(*arguments, **more):
                yielded["entries"] += 1
                yield entry

        desk.store.journal.on("read", counted)  # type: ignore[attr-defined]
        desk.store.journal.calls.clear()  # type: ignore[attr-defined]
        explain(desk)
        return yielded + desk.store.journal.calls  # type: ignore[attr-defined,no-any-return]

    short, long = cost(1000), cost(4000)
    assert long["entries"] == short["entries"] <= explaining.DRAWS + 20
    assert long["by_seq"] <= short["by_seq"] + 8
    assert long["read"] == short["read"]


# held against the whole journal


def naive_fates(entries: list[dict[str, Any]]) -> dict[int, Counter[str]]:
    """Return the fates of each lot, from every entry."""
    lots: dict[int, Counter[str]] = {}
    drawn_as = {"usage": "used", "debit": "used", "adjustment": "used", "refund": "clawed"}
    by_seq = {entry["seq"]: entry for entry in entries}
    for entry in entries:
        kind = entry["kind"]
        if kind != "refund" and entry.get("lot") == entry["seq"]:
            repaid = (
                0 if kind == "reversal" else sum(entry.get("repaid", {}).values())
            )  # units carried over repay nothing
            lots[entry["seq"]] = Counter(units=entry["units"], debt=repaid, left=entry["units"] - repaid)
        for drawn in entry.get("draws", ()):
            lots[drawn["lot"]] += Counter({"voided" if "voids" in entry else drawn_as[kind]: drawn["units"]})
            lots[drawn["lot"]]["left"] -= drawn["units"]
        if kind == "expiration":
            lots[entry["lot"]] += Counter(expired=entry["units"])
            lots[entry["lot"]]["left"] -= entry["units"]
        if kind == "reversal" and "voided" in entry:
            lots[entry["reverses"]] += Counter(voided=entry["units"] if "units" in entry else entry["voided"]["units"])
            lots[entry["reverses"]]["left"] = 0
        elif kind == "reversal":
            first = by_seq[entry["reverses"]]
            gone, back, drawn = (
                units_by_lot(draws) for draws in (entry["forfeited"], entry["restored"], taken(entry, first))
            )
            for number, units in drawn.items():
                lot = lots[number]
                lot["voided" if "voids" in first else drawn_as[first["kind"]]] -= units
                lot["forfeited"] += gone[number]
                lot["left"] += back[number]
                lot["debt"] += units - gone[number] - back[number]
    return lots


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example])
@given(histories())
def test_of_any_history_the_figures_are_those_of_the_whole_journal(history: History) -> None:
    desk = desk_of(history)
    for step in history.steps:
        desk.go(add_millis(desk.clock.now(), step.pause))
        desk.ledger.one(Request(step.operation, "tester", "because", step.at(desk.clock.now())))
    for org in desk.store.journal.orgs():
        note(org)
        facts = explain(desk, org)
        check_sum(facts, desk, org)
        desk.sweep(org=org)
        check_lots(facts, desk.entries(org))


def desk_of(history: History) -> Desk:
    desk = Desk(now=START)
    desk.ledger.terms = history.terms
    for version in history.versions:
        assert desk.store.plans.add(version)
    return desk


def check_sum(facts: dict[str, Any], desk: Desk, org: str) -> None:
    total = facts["sum"]
    debt = total["owed"] + total["overage"]
    free = total["quota_left"] + total["in_lots"] - debt - total["held"]
    assert free == total["available"] == facts["available"]
    assert total["balance"] == total["in_lots"] - debt == desk.balance(org)
    assert facts["allowed"] == (total["available"] >= 1) == (total["missing"] == 0)
    assert total["missing"] in (0, 1 - total["available"])


def check_lots(facts: dict[str, Any], entries: list[Any]) -> None:
    """Once all that was due is booked, the journal holds what was explained as if it were."""
    naive = naive_fates(entries)
    by_seq = {entry["seq"] for entry in entries}
    for story in facts["lots"]:
        expected = naive[story["id"]]
        assert story["complete"]
        assert {name: story[name] for name in ("units", *FATES, "left")} == {
            name: expected[name] for name in ("units", *FATES, "left")
        }
        assert all(set(seqs) <= by_seq for seqs in story["seqs"].values())
        assert all(story["seqs"].get(fate) for fate in ("clawed", "expired", "forfeited", "voided") if story[fate])
    if facts["debt"] is not None:
        assert since_of_debt(entries, facts["seq"]) == facts["debt"]["since_seq"]


def since_of_debt(entries: list[Any], seq: int) -> int:
    """The first entry of the newest run of entries that leave debt."""
    for entry in reversed(entries[:seq]):
        if not sum(entry["state"]["debt"].values()):
            return int(entry["seq"]) + 1
    return 1


def taken(entry: dict[str, Any], first: dict[str, Any]) -> list[Draw]:
    """What a reversal gives back: all that was drawn, or of a run what was taken out of the week."""
    draws: list[Draw] = entry["uncounted"]["draws"] if "uncounted" in entry else first["draws"]
    return draws


def units_by_lot(draws: Iterable[Draw]) -> Counter[int]:
    units: Counter[int] = Counter()
    for drawn in draws:
        units[drawn["lot"]] += drawn["units"]
    return units
