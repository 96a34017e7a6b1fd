"""Old data that nobody expects, brought in from a real mongod: each oddity is booked in full, or named with its org."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from pymongo import MongoClient

from tests.acceptance.conftest import make_shell  # noqa: F401 - a fixture
from tests.acceptance.shell import Shell
from tests.devkit_data import NOW, OrgData
from tests.integration.test_devkit import fill, old, run  # noqa: F401 - fixtures


def entries_of(run: Shell) -> list[dict[str, Any]]:  # noqa: F811
    return [json.loads(line) for line in run("export --all").out.splitlines()]


def bring_in(run: Shell, old: str, *orgs: OrgData) -> list[dict[str, Any]]:  # noqa: F811
    """Import the orgs, see that they verify and that a second run brings nothing; return the entries."""
    fill(old, [*orgs])
    done = run.doc(f"import devkit --from {old}")
    assert (done["failed"], done["balance"]) == (0, sum(org.total for org in orgs))
    assert run.doc("verify --all")["ok"]
    assert run.doc(f"import devkit --from {old}")["imported"] == 0
    return entries_of(run)


def problem_of(run: Shell, old: str) -> str:  # noqa: F811
    answer = run.json(f"import devkit --from {old}")
    assert answer.code == 7
    (problem,) = [problem for report in answer.doc["reports"] for problem in report["problems"]]
    return str(problem)


def update(old: str, collection: str, change: dict[str, Any]) -> None:  # noqa: F811
    with MongoClient[dict[str, Any]](old) as client:
        client.get_default_database()[collection].update_one({}, change)


def test_a_refund_of_a_pack_whose_price_is_known_is_a_refund(run: Shell, old: str) -> None:  # noqa: F811
    org = OrgData(Random(5))
    pack = org.pack(1000)
    org.refund(pack, 200, cents=100)
    org.refund(pack, 700, cents=450)  # together more than the pack cost: its cents prove nothing
    org.refund(pack, 10, cents=400)
    org.refund(pack, 5, cents=1)
    first, *booked = [entry for entry in bring_in(run, old, org) if entry["amount"]]
    assert (first["kind"], first["paid_cents"], first["session"]) == ("topup", 500, pack["stripeSessionId"])
    assert [(entry["kind"], entry["amount"], entry.get("cents")) for entry in booked] == [
        ("refund", -200, 100),
        ("adjustment", -700, None),
        ("refund", -10, 400),
        ("adjustment", -5, None),
    ]
    refused = run.json(f"refund {org.id} --session {pack['stripeSessionId']} --cents 1 --refund-id re_1")
    assert (refused.code, refused.doc["reason"]) == (4, "refund_exceeds_payment")


def test_names_that_a_journal_does_not_take_are_replaced(run: Shell, old: str) -> None:  # noqa: F811
    org = OrgData(Random(5))
    pack = org.pack(100)
    pack["stripeSessionId"] = "cs\x00live"
    org.grant(50)["refId"] = "r" * 300
    org.debit(5, ref="d\x00")
    org.debit(6, ref="twice")
    org.debit(7, ref="twice")
    week = org.week("2026-W19", 30, meterBreakdown={"bad feature!": 10, "llm": 20})
    week["consumedAttributionKeys"] = ["run-1", "run-2:bad step!", "r" * 300]
    booked = bring_in(run, old, org)
    assert [entry["key"] for entry in booked if entry["amount"]] == [
        f"adjust:devkit:{pack['_id']}",
        "adjust:devkit:1",
        "adjust:devkit:2",
        "debit:twice",
        "adjust:twice",
    ]
    (usage,) = [entry for entry in booked if entry["kind"] == "usage"]
    assert (usage["run"], usage["units"], usage["breakdown"]) == ("run-1", 30, {"llm": 20, "default": 10})


def test_units_of_a_week_without_a_run_are_booked_under_a_name_of_its_own(run: Shell, old: str) -> None:  # noqa: F811
    org = OrgData(Random(5))
    org.pack(100)
    org.week("2026-W19", 30, consumedAttributionKeys=[], meterBreakdown={"llm": 40})
    (usage,) = [entry for entry in bring_in(run, old, org) if entry["kind"] == "usage"]
    assert (usage["units"], usage["breakdown"]) == (30, {"default": 30})
    assert usage["run"].startswith("devkit-2026-W19-")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"$set": {"meterUsed": 5}}, "week 2026-W19 counts 5 units, where more were brought in before"),
        (
            {"$inc": {"meterUsed": 5}, "$push": {"consumedAttributionKeys": "late"}},
            "week 2026-W19 was closed, and has 5 units and 1 runs more by now",
        ),
    ],
)
def test_a_week_that_changed_after_its_end_is_named(run: Shell, old: str, change: Any, message: str) -> None:  # noqa: F811
    org = OrgData(Random(5))
    org.pack(100)
    org.week("2026-W19", 30)
    before = bring_in(run, old, org)
    update(old, "billingusages", change)
    assert problem_of(run, old) == message
    assert entries_of(run) == before


def test_a_credit_that_expired_here_first_does_not_expire_again(run: Shell, old: str) -> None:  # noqa: F811
    org = OrgData(Random(5))
    pack = org.pack(100, days=2)
    fill(old, [org])
    run.doc(f"import devkit --from {old}")
    run.all("expire --all")
    expired = {"_id": org.new_id(), "kind": "expiration", "amount": -100, "refId": f"expire-{pack['_id']}", "at": NOW}
    update(old, "billingextrabalances", {"$push": {"ledger": expired}})
    before = entries_of(run)
    assert run.doc(f"import devkit --from {old}")["failed"] == 0
    assert entries_of(run) == before
    assert run.doc(f"balance {org.id}")["balance"] == 0


UNREADABLE: dict[str, tuple[Callable[[OrgData], object], str]] = {
    "no number": (lambda org: org.ledger[0].update(amount="7"), "amount is '7', which is no whole number"),
    "no text": (lambda org: org.ledger[0].update(refId=7), "refId is 7, which is no text"),
    "another kind": (lambda org: org.ledger[0].update(kind="gift"), "kind is 'gift'"),
    "no date": (lambda org: org.ledger[0].update(at="yesterday"), "at is 'yesterday', which is no date"),
    "no week": (lambda org: org.week("2026-19", 5), "weekKey is '2026-19'"),
    "no entry": (lambda org: org.ledger.append("x"), "a ledger entry is 'x'"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_value_that_does_not_fit_its_field_is_named(run: Shell, old: str, name: str) -> None:  # noqa: F811
    spoil, message = UNREADABLE[name]
    org = OrgData(Random(5))
    org.pack(100)
    documents = org.documents()
    spoil(org)
    org.documents = lambda: documents | {"billingusages": org.weeks}  # type: ignore[method-assign]
    fill(old, [org])
    (finding,) = run.json(f"audit devkit --from {old}").doc["findings"]
    assert (finding["finding"], finding["org"]) == ("unreadable", str(org.id))
    assert message in finding["message"]
    assert message in problem_of(run, old)
    assert entries_of(run) == []


def test_whole_numbers_of_javascript_and_the_monthly_counter_of_old_are_read(run: Shell, old: str) -> None:  # noqa: F811
    org = OrgData(Random(5))
    org.pack(100)["amount"] = 100.0
    org.weeks.append({"organizationId": org.id, "month": "2025-11", "meterUsed": 900})
    week = org.week("2026-W19", 30)
    week["consumedAttributionKeys"] = ["", "settle:1", *week["consumedAttributionKeys"]]
    booked = bring_in(run, old, org)
    assert [(entry["kind"], entry["amount"]) for entry in booked if entry["amount"]] == [("topup", 100)]
    assert sum(entry["units"] for entry in booked if entry["kind"] == "usage") == 30
