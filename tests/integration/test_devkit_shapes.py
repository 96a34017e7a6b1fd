"""Odd shapes of devkit's data: each comes in as it is, or its org is named with the value; nothing else is held up."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64, ObjectId
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

from tests.acceptance.conftest import make_shell  # noqa: F401 - a fixture
from tests.acceptance.shell import Shell
from tests.devkit_data import NOW, OrgData, healthy
from tests.integration.test_devkit import old, run  # noqa: F401 - fixtures

Documents = dict[str, list[dict[str, Any]]]
Change = Callable[[OrgData, Documents], object]

FAR = DatetimeMS(8_640_000_000_000_000)  # JavaScript's last date


def entries(field: str, make: Callable[[Any], Any]) -> Change:
    """Change a field of every ledger entry."""
    return lambda org, _: [entry.update({field: make(entry[field])}) for entry in org.ledger]


def first(field: str, value: Any) -> Change:
    return lambda org, _: org.ledger[0].update({field: value})


def week(field: str, value: Any) -> Change:
    return lambda org, _: org.weeks[0].update({field: value})


def ledger(field: str, value: Any) -> Change:
    return lambda _, documents: documents["billingextrabalances"][0].update({field: value})


def plan(field: str, value: Any) -> Change:
    return lambda _, documents: documents["subscriptions"][0].update({field: value})


def named(value: Callable[[ObjectId], Any]) -> Change:
    """Name the org in another way, in its ledger alone: the other documents are gone."""

    def change(org: OrgData, documents: Documents) -> None:
        documents["billingextrabalances"][0]["organization"] = value(org.id)
        documents["billingusages"], documents["subscriptions"] = [], []

    return change


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


#: Shapes that come in whole, with the findings of an audit.
WHOLE: Mapping[str, tuple[Change, set[str]]] = {
    "amounts are doubles": (entries("amount", float), set()),
    "amounts are 64 bit": (entries("amount", Int64), set()),
    "amounts are decimals": (entries("amount", lambda units: Decimal128(str(units))), set()),
    "times are texts": (entries("at", iso), set()),
    "times are texts with an offset": (entries("at", lambda at: at.isoformat()), set()),
    "times are milliseconds": (entries("at", lambda at: Int64(millis(at))), set()),
    "times are milliseconds as doubles": (entries("at", lambda at: float(millis(at))), set()),
    "times are seconds": (entries("at", lambda at: millis(at) // 1000), set()),
    "the first time is missing": (first("at", None), set()),
    "no time at all": (entries("at", lambda _: None), set()),
    "a time ahead of now": (lambda org, _: org.ledger[-1].update(at=datetime(2030, 1, 1, tzinfo=UTC)), set()),
    "ids are texts": (entries("_id", str), set()),
    "no ids": (entries("_id", lambda _: None), {"no_id"}),
    "further fields": (entries("at", lambda at: at), set()),
    "refs that no ref can be": (lambda org, _: org.ledger[0].update(refId="größe \u202e" * 50), set()),
    "no cached balance": (ledger("cachedBalance", None), set()),
    "a cached balance with a fraction": (ledger("cachedBalance", 5.25), {"cached_balance"}),
    "a cached balance as text": (ledger("cachedBalance", "much"), {"cached_balance"}),
    "usage is a double": (week("meterUsed", 230.0), set()),
    "usage is a decimal": (week("meterUsed", Decimal128("230")), set()),
    "a version is a double": (week("planVersion", 3.0), set()),
    "a month in place of a week": (lambda org, _: org.weeks[1].update(weekKey=None), set()),
    "the org is a text": (named(str), {"text_org_id"}),
    "the org is a text in capitals": (named(lambda name: str(name).upper()), {"text_org_id"}),
    "the org has a name": (named(lambda _: "acme"), {"text_org_id"}),
}

#: Shapes that nothing can be made of, with the words by which the org is named.
UNREADABLE: Mapping[str, tuple[Change, str]] = {
    "a fraction": (first("amount", 1.5), "amount is 1.5"),
    "a fraction as decimal": (first("amount", Decimal128("1.5")), "amount is Decimal128('1.5')"),
    "no number": (first("amount", float("nan")), "amount is nan"),
    "no amount": (first("amount", None), "amount is None"),
    "an amount as text": (first("amount", "100"), "amount is '100'"),
    "a truth": (first("amount", True), "amount is True"),
    "more than there can be": (first("amount", 1e300), "amount is 1e+300,"),
    "a time that is none": (first("at", "x" * 23 + "Z"), "at is 'xxx"),
    "a time without a zone": (first("at", "2026-05-04T10:00:00"), "at is '2026-05-04T10:00:00'"),
    "a time beyond the calendar": (first("at", FAR), "at is DatetimeMS"),
    "an expiry beyond the calendar": (first("expiresAt", FAR), "expiresAt is DatetimeMS"),
    "an unknown kind": (first("kind", "bonus"), "kind is 'bonus'"),
    "no kind": (first("kind", None), "kind is None"),
    "an id that is a number": (first("_id", 5), "_id is 5"),
    "a ref that is a number": (first("refId", 7), "refId is 7"),
    "a ledger that is no array": (ledger("ledger", {"a": 1}), "ledger is {'a': 1}"),
    "an entry that is none": (lambda org, _: org.ledger.append(None), "a ledger entry is None"),  # type: ignore[arg-type]
    "a week that the calendar lacks": (week("weekKey", "2025-W53"), "weekKey is '2025-W53'"),
    "negative usage": (week("meterUsed", -5), "meterUsed is -5"),
    "usage with a fraction": (week("meterUsed", 230.5), "meterUsed is 230.5"),
    "a breakdown that is an array": (week("meterBreakdown", [1]), "meterBreakdown is [1]"),
    "run keys that are a text": (week("consumedAttributionKeys", "abc"), "consumedAttributionKeys is 'abc'"),
    "a plan that is a number": (plan("plan", 5), "plan is 5"),
    "a plan that began at no time": (plan("currentPeriodStart", "soon"), "currentPeriodStart is 'soon'"),
    "an org that no org can be": (named(lambda _: "größe"), "'größe' is not an org"),
    "no org": (named(lambda _: None), "organization is None, which names no org"),
    "an org that is a number": (named(lambda _: 42), "organization is 42, which names no org"),
    "an empty org": (named(lambda _: ""), "organization is '', which names no org"),
    "several orgs": (named(lambda name: [name]), "organization is [ObjectId("),
}


def put(uri: str, documents: Documents) -> None:
    with MongoClient[dict[str, Any]](uri) as client:
        for name, rows in documents.items():
            if rows:
                client.get_default_database()[name].insert_many(rows)


def changed(change: Change) -> tuple[OrgData, Documents]:
    org = healthy(Random(8))
    documents = org.documents()
    change(org, documents)
    return org, documents


@pytest.mark.parametrize("shape", WHOLE)
def test_a_shape_comes_in_whole(run: Shell, old: str, shape: str) -> None:  # noqa: F811
    change, findings = WHOLE[shape]
    total = healthy(Random(8)).total
    _, documents = changed(change)
    put(old, documents)
    audit = run.json(f"audit devkit --from {old}").doc
    wrong = {finding["finding"] for finding in audit["findings"]}
    lost_weeks = {"overflow_not_debited"} if not documents["billingusages"] else set()
    assert wrong - lost_weeks == findings
    done = run.doc(f"import devkit --from {old}")
    assert (done["orgs"], done["balance"], done["old_balance"]) == (1, total, total)
    assert run.json("verify --all").doc["findings"] == []
    assert run.doc(f"import devkit --from {old}")["imported"] == 0


@pytest.mark.parametrize("shape", UNREADABLE)
def test_a_shape_that_cannot_come_in_holds_up_no_other_org(run: Shell, old: str, shape: str) -> None:  # noqa: F811
    change, words = UNREADABLE[shape]
    put(old, changed(change)[1])
    good = healthy(Random(9))
    put(old, good.documents())
    (finding,) = run.json(f"audit devkit --from {old}").doc["findings"]
    assert (finding["finding"], words in finding["message"]) == ("unreadable", True), finding
    answer = run.json(f"import devkit --from {old}")
    (report,) = [each for each in answer.doc["reports"] if each["problems"]]
    assert (answer.code, answer.doc["failed"], report["status"]) == (7, 1, "failed")
    assert words in report["problems"][0]
    assert answer.doc["balance"] == good.total
    assert run.json("verify --all").doc["findings"] == []


def test_a_document_that_is_damaged_holds_up_no_other_org(run: Shell, old: str) -> None:  # noqa: F811
    bad, good = ObjectId(), healthy(Random(9))
    entry = {"_id": ObjectId(), "kind": "debit", "amount": -1, "refId": "XXXX"}
    damaged = bson.encode({"organization": bad, "ledger": [entry]}).replace(b"XXXX", b"\xff\xfeXX")
    with MongoClient[RawBSONDocument](old, document_class=RawBSONDocument) as client:
        client.get_default_database().billingextrabalances.insert_one(RawBSONDocument(damaged))
    put(old, good.documents())
    (finding,) = run.json(f"audit devkit --from {old}").doc["findings"]
    assert (finding["org"], finding["finding"]) == (str(bad), "unreadable")
    answer = run.json(f"import devkit --from {old}")
    assert (answer.code, answer.doc["failed"], answer.doc["balance"]) == (7, 1, good.total)


def test_a_week_that_has_not_begun_is_a_problem_and_stays_out(run: Shell, old: str) -> None:  # noqa: F811
    org, documents = changed(week("weekKey", "2027-W20"))
    put(old, documents)
    answer = run.json(f"import devkit --from {old}")
    assert answer.code == 7
    assert answer.doc["reports"][0]["problems"] == ["week 2027-W20 has not begun, and counts 230 units"]
    assert answer.doc["balance"] == org.total
    assert run.json("verify --all").doc["findings"] == []


def test_a_plan_without_a_usable_name_is_a_problem(run: Shell, old: str) -> None:  # noqa: F811
    org, documents = changed(plan("plan", "größe ü"))
    put(old, documents)
    answer = run.json(f"import devkit --from {old}")
    assert (answer.code, answer.doc["balance"]) == (7, org.total)
    assert "größe ü" in answer.doc["reports"][0]["problems"][0]
    assert run.json("verify --all").doc["findings"] == []


@pytest.mark.parametrize(("command", "outcome"), [("import", "imported"), ("audit", "audited")])
def test_a_database_without_any_org_is_told(run: Shell, old: str, command: str, outcome: str) -> None:  # noqa: F811
    answer = run.json(f"{command} devkit --from {old}")
    assert (answer.code, answer.doc["orgs"]) == (0, 0)
    assert answer.err.startswith("no data of devkit in mongodb://")
    assert answer.err.endswith(f": nothing was {outcome}\n")


@pytest.mark.parametrize("command", ["import devkit", "audit devkit"])
def test_an_org_that_the_old_database_lacks_is_not_found(run: Shell, old: str, command: str) -> None:  # noqa: F811
    put(old, healthy(Random(9)).documents())
    answer = run.json(f"{command} --from {old} --org {ObjectId()}")
    assert (answer.code, answer.error["code"]) == (3, "not_found")


def test_an_org_is_found_by_an_id_in_capitals(run: Shell, old: str) -> None:  # noqa: F811
    org = healthy(Random(9))
    put(old, org.documents())
    done = run.doc(f"import devkit --from {old} --org {str(org.id).upper()}")
    assert [(report["org"], report["balance"]) for report in done["reports"]] == [(str(org.id), org.total)]


# While the old system writes


def push(uri: str, org: Any, entry: Mapping[str, Any]) -> None:
    with MongoClient[dict[str, Any]](uri) as client:
        ledgers = client.get_default_database().billingextrabalances
        assert ledgers.update_one({"organization": org}, {"$push": {"ledger": entry}}).modified_count == 1


@pytest.mark.parametrize("has_ids", [True, False])
def test_both_ledgers_of_an_org_may_grow(run: Shell, old: str, has_ids: bool) -> None:  # noqa: F811
    org = healthy(Random(8))
    org.second_ledger.append({"kind": "debit", "amount": -2, "refId": "second", "at": NOW})
    if not has_ids:
        entries("_id", lambda _: None)(org, {})
    put(old, org.documents())
    assert run.doc(f"import devkit --from {old}")["balance"] == org.total
    push(old, org.id, {"kind": "debit", "amount": -3, "refId": "first-again", "at": NOW})
    push(old, str(org.id), {"kind": "debit", "amount": -4, "refId": "second-again", "at": NOW})
    done = run.doc(f"import devkit --from {old}")
    assert (done["imported"], done["failed"], done["balance"]) == (2, 0, org.total - 7)
    assert run.doc(f"import devkit --from {old}")["imported"] == 0
    assert run.json("verify --all").doc["findings"] == []


def test_an_entry_that_a_retry_stores_again_comes_in_twice(run: Shell, old: str) -> None:  # noqa: F811
    org = healthy(Random(8))
    entry = org.debit(5)
    put(old, org.documents())
    run.doc(f"import devkit --from {old}")
    push(old, org.id, entry)
    done = run.doc(f"import devkit --from {old}")
    assert (done["imported"], done["balance"], done["old_balance"]) == (1, org.total - 5, org.total - 5)
    assert run.doc(f"import devkit --from {old}")["imported"] == 0
    (twice,) = [each for each in run.json(f"audit devkit --from {old}").doc["findings"] if each["units"]]
    assert (twice["finding"], twice["units"]) == ("booked_twice", 5)


def test_a_whole_pack_that_expired_after_use_leaves_other_packs_their_expiry(run: Shell, old: str) -> None:  # noqa: F811
    """Its excess is owed back, and the other pack expires whole: together the customer ends with nothing."""
    org = OrgData(Random(5))
    used = org.pack(100, days=2)
    org.debit(80)
    org.later(60)
    org.pack(100, days=10)
    org.expire(used, 100)
    put(old, org.documents())
    findings = run.json(f"audit devkit --from {old}").doc["findings"]
    assert {each["finding"]: each["units"] for each in findings} == {"whole_pack_expiration": 80, "not_expired": -100}
    run.doc(f"import devkit --from {old}")
    run.all("expire --all")
    run.json(f"audit devkit --from {old} --plan-out amends.ndjson")
    run.doc("apply amends.ndjson --yes")
    assert run.doc(f"balance {org.id}")["balance"] == 0
    assert run.json("verify --all").doc["findings"] == []


@pytest.mark.parametrize("parts", [(30, 50), (30, 30, 40), (99,)])
def test_a_pack_that_expired_in_parts_comes_in_whole(run: Shell, old: str, parts: tuple[int, ...]) -> None:  # noqa: F811
    org = OrgData(Random(8))
    brief = org.pack(100, days=2)
    org.later(60)
    for units in parts:
        org.expire(brief, units)
        org.pack(1000, days=None)
    put(old, org.documents())
    done = run.doc(f"import devkit --from {old}")
    assert (done["orgs"], done["failed"], done["balance"]) == (1, 0, org.total)
    keys = [json.loads(line)["key"] for line in run(f"export {org.id}").out.splitlines()]
    assert keys.count("expire:2") == (sum(parts) == 100)  # only the last part can be what was left of the lot
    assert run.doc(f"balance {org.id}")["balance"] == 1000 * len(parts)  # the rest is due by now
    run.doc("expire --all")
    assert run.json("verify --all").doc["findings"] == []
    assert run.doc(f"import devkit --from {old}")["imported"] == 0
