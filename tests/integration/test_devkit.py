"""Bringing devkit's data in, on a real mongod: every defect that its data is known to have is found, and no other."""

import json
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pymongo import MongoClient

from tests.acceptance.conftest import make_shell  # noqa: F401 - a fixture
from tests.acceptance.shell import Shell, conforms
from tests.devkit_data import DEFECTS, NOW, OrgData, generate, healthy, write
from tests.mongod import own_database

TIME = NOW.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.fixture
def old() -> Iterator[str]:
    """The URI of an empty database."""
    with own_database() as uri:
        yield uri


@pytest.fixture
def run(make_shell: Callable[[str], Shell], tmp_path: Path) -> Shell:  # noqa: F811
    shell = make_shell(f"sqlite:{tmp_path}/meterctl.db")
    shell.setenv("METERCTL_NOW", TIME)
    return shell


def fill(uri: str, orgs: list[OrgData]) -> None:
    with MongoClient[dict[str, Any]](uri) as client:
        write(client.get_default_database(), orgs)


def snapshot(uri: str) -> dict[str, Any]:
    with MongoClient[dict[str, Any]](uri) as client:
        database = client.get_default_database()
        names = sorted(database.list_collection_names())
        return {name: list(database[name].find().sort("_id")) for name in names}


def found(document: dict[str, Any]) -> Counter[tuple[str, str, int | None]]:
    return Counter((finding["org"], finding["finding"], finding["units"]) for finding in document["findings"])


def expected(orgs: list[OrgData]) -> Counter[tuple[str, str, int | None]]:
    return Counter((str(org.id), each.finding, each.units) for org in orgs for each in org.expected)


def test_an_audit_finds_exactly_what_is_wrong(run: Shell, old: str) -> None:
    orgs = generate(len(DEFECTS) * 10)
    fill(old, orgs)
    before = snapshot(old)
    answer = run.json(f"audit devkit --from {old}")
    assert answer.code == 8
    assert found(answer.doc) == expected(orgs)
    assert answer.doc["orgs"] == len(orgs)
    owed = [each.units or 0 for org in orgs for each in org.expected]
    assert answer.doc["owed"] == sum(units for units in owed if units > 0)
    assert answer.doc["owing"] == -sum(units for units in owed if units < 0)
    assert snapshot(old) == before


def test_healthy_data_has_no_finding(run: Shell, old: str) -> None:
    fill(old, generate(60, seed=5, every=1000)[1:])
    answer = run.json(f"audit devkit --from {old}")
    assert (answer.code, answer.doc["ok"], answer.doc["findings"]) == (0, True, [])


@pytest.mark.parametrize("uri", ["", "sqlite:x.db", "mongodb://127.0.0.1:1/x?timeoutMS=200"])
def test_a_database_that_is_none_or_out_of_reach(run: Shell, uri: str) -> None:
    answer = run.json(f"audit devkit {f'--from {uri}' if uri else ''}")
    assert (answer.code, answer.error["code"]) in ((2, "usage"), (10, "store_unreachable"))


def test_one_org_can_be_looked_at_alone(run: Shell, old: str) -> None:
    orgs = generate(len(DEFECTS) * 5)
    fill(old, orgs)
    org = next(org for org in orgs if org.expected)
    assert found(run.json(f"audit devkit --from {old} --org {org.id}").doc) == expected([org])


def test_what_cannot_be_read_is_a_finding(run: Shell, old: str) -> None:
    org = healthy(Random(3))
    org.ledger[0]["amount"] = 1.5
    fill(old, [org])
    (finding,) = run.json(f"audit devkit --from {old}").doc["findings"]
    assert (finding["finding"], finding["org"]) == ("unreadable", str(org.id))
    assert "1.5" in finding["message"]


# The import


def balances(run: Shell) -> dict[str, int]:
    """The balance that each journal ends with."""
    lines = run("export --all").out.splitlines()
    return {entry["org"]: entry["balance"] for entry in map(json.loads, lines)}


@pytest.fixture(params=["sqlite", "mongod"])
def anywhere(request: pytest.FixtureRequest, make_shell: Callable[[str], Shell], tmp_path: Path) -> Iterator[Shell]:  # noqa: F811
    with own_database() if request.param == "mongod" else nullcontext(f"sqlite:{tmp_path}/meterctl.db") as url:
        shell = make_shell(url)
        shell.setenv("METERCTL_NOW", TIME)
        yield shell


def test_history_becomes_journals_that_verify_and_sum_to_the_unit(anywhere: Shell, old: str) -> None:
    orgs = generate(len(DEFECTS) * 5)
    fill(old, orgs)
    before = snapshot(old)
    planned = anywhere.doc(f"import devkit --from {old} --dry-run")
    assert (planned["status"], anywhere("export --all").out) == ("planned", "")
    done = anywhere.doc(f"import devkit --from {old}")
    assert (done["status"], done["orgs"], done["failed"]) == ("applied", len(orgs), 0)
    assert done["imported"] == planned["imported"]
    assert balances(anywhere) == {str(org.id): org.total for org in orgs}
    assert done["balance"] == done["old_balance"] == sum(org.total for org in orgs)
    verified = anywhere.json("verify --all").doc
    assert verified["ok"], verified["findings"][:3]
    again = anywhere.doc(f"import devkit --from {old}")
    assert (again["status"], again["imported"]) == ("unchanged", 0)
    assert snapshot(old) == before
    anywhere.all("expire --all")
    assert anywhere.json("verify --all").doc["ok"]
    assert anywhere.doc(f"import devkit --from {old}")["imported"] == 0


def test_every_old_entry_is_there_with_its_time_and_amount(run: Shell, old: str) -> None:
    orgs = generate(40)
    fill(old, orgs)
    run.doc(f"import devkit --from {old}")
    entries = [json.loads(line) for line in run("export --all").out.splitlines()]
    for entry in entries:
        conforms(entry, "entry")
        assert entry["imported"]["source"] == "devkit"
    booked = {(entry["org"], entry["imported"]["id"]): entry for entry in entries if entry["amount"]}
    for org in orgs:
        if org.second_ledger:
            continue
        for place, was in enumerate(org.ledger):
            if was["amount"]:
                entry = booked[str(org.id), str(was.get("_id", f"#{place}"))]
                assert (entry["amount"], entry["imported"]["kind"]) == (was["amount"], was["kind"])
                assert entry["at"] == max(was["at"], org.ledger[0]["at"]).isoformat(timespec="milliseconds").replace(
                    "+00:00", "Z"
                )


def test_a_late_retry_stays_a_replay(run: Shell, old: str) -> None:
    org = healthy(Random(4))
    fill(old, [org])
    run.doc(f"import devkit --from {old}")
    first, second = org.weeks[0]["consumedAttributionKeys"]
    session = next(entry["stripeSessionId"] for entry in org.ledger if "stripeSessionId" in entry)
    lines = [
        f"meter attribute {org.id} {first} --step initial --units 12345",
        f"meter attribute {org.id} {second.partition(':')[0]} --step fetch --cost llm=1.5",
        f"credit-pack {org.id} small --session {session}",
    ]
    for line in lines:
        receipt = run.doc(line)
        assert (receipt["status"], receipt["entry"]["imported"]["source"]) == ("replayed", "devkit"), line
    shown = run.doc(f"meter history {org.id}")["weeks"]
    assert [(week["key"], week["used"]) for week in shown] == [("2026-W20", 150), ("2026-W19", 230)]
    assert shown[1]["breakdown"] == {"llm": 115, "search": 115}


def test_a_second_run_brings_only_what_is_new(run: Shell, old: str) -> None:
    org, other = healthy(Random(8)), healthy(Random(9))
    open_week = org.week("2026-W36", 20)
    fill(old, [org, other])
    run.doc(f"import devkit --from {old}")
    count = len(run("export --all").out.splitlines())
    with MongoClient[dict[str, Any]](old) as client:
        database = client.get_default_database()
        new = [
            {"_id": org.new_id(), "kind": "debit", "amount": -3, "refId": str(org.new_id()), "at": NOW},
            {"_id": org.new_id(), "kind": "topup", "amount": 10, "refId": "referral:1:referee", "at": NOW},
        ]
        database.billingextrabalances.update_one({"organization": org.id}, {"$push": {"ledger": {"$each": new}}})
        run_id = str(org.new_id())
        database.billingusages.update_one(
            {"_id": open_week["_id"]}, {"$inc": {"meterUsed": 7}, "$push": {"consumedAttributionKeys": run_id}}
        )
    done = run.doc(f"import devkit --from {old}")
    assert (done["imported"], done["failed"]) == (3, 0)
    entries = [json.loads(line) for line in run("export --all").out.splitlines()]
    assert len(entries) == count + 3
    assert {entry["key"] for entry in entries} >= {
        f"debit:{new[0]['refId']}",
        "adjust:referral:1:referee",
        f"run:{run_id}:initial",
    }
    assert run.doc(f"meter show {org.id}")["used"] == 27
    assert run.json("verify --all").doc["ok"]


def test_what_changed_or_vanished_since_is_told_and_never_corrected(run: Shell, old: str) -> None:
    org = healthy(Random(8))
    org.debit(5)
    fill(old, [org])
    run.doc(f"import devkit --from {old}")
    before = run("export --all").out
    with MongoClient[dict[str, Any]](old) as client:
        ledgers = client.get_default_database().billingextrabalances
        for change in ({"$set": {"ledger.0.amount": 99}}, {"$pop": {"ledger": 1}}):
            ledgers.update_one({"organization": org.id}, change)
    answer = run.json(f"import devkit --from {old}")
    assert answer.code == 7
    (report,) = answer.doc["reports"]
    assert any("is gone" in problem for problem in report["problems"])
    assert any("+99" in problem for problem in report["problems"])
    assert run("export --all").out == before


def test_what_cannot_be_read_fails_alone(run: Shell, old: str) -> None:
    bad, good = healthy(Random(3)), healthy(Random(4))
    bad.ledger[0]["amount"] = 1.5
    fill(old, [bad, good])
    answer = run.json(f"import devkit --from {old}")
    assert (answer.code, answer.doc["failed"]) == (7, 1)
    assert set(balances(run)) == {str(good.id)}


def test_an_org_with_a_journal_of_its_own_is_left_alone(run: Shell, old: str) -> None:
    org = healthy(Random(4))
    fill(old, [org])
    run.all(f"adjust {org.id} 5 --ref a1 --reason why")
    answer = run.json(f"import devkit --from {old} --org {org.id}")
    assert answer.code == 7
    assert balances(run) == {str(org.id): 5}


def test_a_lot_that_is_live_has_its_old_expiry(run: Shell, old: str) -> None:
    org = OrgData(Random(5))
    org.pack(100, days=2)
    late = org.pack(200, days=300)
    fill(old, [org])
    run.doc(f"import devkit --from {old}")
    assert balances(run) == {str(org.id): 300}
    balance = run.doc(f"balance {org.id}")  # the first pack is due
    expected = late["expiresAt"].isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert (balance["balance"], [lot["expires_at"] for lot in balance["lots"]]) == (200, [expected])


def test_the_plan_of_an_audit_is_carried_out_on_what_was_imported(run: Shell, old: str) -> None:
    orgs = generate(len(DEFECTS) * 5)
    fill(old, orgs)
    run.doc(f"import devkit --from {old}")
    run.all("expire --all")
    before = balances(run)
    assert run.json(f"audit devkit --from {old} --plan-out amends.ndjson").code == 8
    run.doc("apply amends.ndjson --yes")
    mended = {"whole_pack_expiration", "refund_above_topup", "clawback_after_expiry", "booked_twice", "wrong_sign",
              "overflow_not_debited", "settlement_not_charged", "settlement_not_credited"}  # fmt: skip
    for org in orgs:
        owed = sum(each.units or 0 for each in org.expected if each.finding in mended)
        assert balances_of(run, org) == before[str(org.id)] + owed


#: Ledgers by hand, each with what an import, the sweep after it and the audit's plan leave of it.
VECTORS: dict[str, tuple[Callable[[OrgData], object], int, int]] = {
    "what was used does not expire": (lambda org: (org.pack(100, days=10), org.debit(80)), 20, 0),
    "a debit after the expiry": (lambda org: (org.pack(100, days=2), org.later(60), org.debit(30)), 70, -30),
    "debt is repaid first": (lambda org: (org.debit(80), org.pack(100, days=10)), 20, 0),
    "a refund takes from its own pack first": (
        lambda org: (
            pack := org.pack(100, days=10), org.pack(50, days=20), org.debit(80), org.refund(pack, 100)
        ),
        -30, -30,
    ),
    "a whole pack that expired after use": (
        lambda org: (
            pack := org.pack(100, days=2), org.debit(80), org.later(60), org.expire(pack, 100), org.pack(100, days=10)
        ),
        20, 80,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VECTORS)
def test_the_known_ledgers(run: Shell, old: str, name: str) -> None:
    make, sum_of_entries, after_all = VECTORS[name]
    org = OrgData(Random(5))
    make(org)
    fill(old, [org])
    run.doc(f"import devkit --from {old}")
    assert balances(run) == {str(org.id): sum_of_entries}
    run.all("expire --all")
    run.json(f"audit devkit --from {old} --plan-out amends.ndjson")
    run("apply amends.ndjson --yes")
    assert balances(run) == {str(org.id): after_all}
    assert run.json("verify --all").doc["ok"]


def balances_of(run: Shell, org: OrgData) -> int:
    return int(run.doc(f"ledger {org.id} --all-kinds --limit 1")["entries"][0]["balance"])


@pytest.mark.long
def test_ten_thousand_orgs(run: Shell, old: str) -> None:
    orgs = generate(10_000, seed=7)
    fill(old, orgs)
    assert found(run.json(f"audit devkit --from {old}").doc) == expected(orgs)
    assert run.doc(f"import devkit --from {old}")["failed"] == 0
    assert balances(run) == {str(org.id): org.total for org in orgs}
    assert run.json("verify --all").doc["ok"]
    assert run.doc(f"import devkit --from {old}")["imported"] == 0


def test_an_import_killed_again_and_again_brings_everything_once(run: Shell, old: str, tmp_path: Path) -> None:
    orgs = generate(150, seed=11)
    fill(old, orgs)
    target, whole = f"sqlite:{tmp_path}/killed.db", f"sqlite:{tmp_path}/whole.db"
    command = [sys.executable, "-m", "meterctl", "--store", target, "import", "devkit", "--from", old, "--json"]
    killed = 0
    for part in range(1, 6):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and journals_in(tmp_path / "killed.db") < part * len(orgs) // 15:
                time.sleep(0.002)
            killed += process.poll() is None
            process.kill()
    assert killed >= 3, "the kills came too late"
    assert 0 < journals_in(tmp_path / "killed.db") < len(orgs)
    assert run.doc(f"--store {target} import devkit --from {old}")["failed"] == 0
    assert run.doc(f"--store {whole} import devkit --from {old}")["failed"] == 0
    assert contents(run, target) == contents(run, whole)
    report = run.json(f"--store {target} verify --all").doc
    assert report["findings"] == []
    assert run.doc(f"--store {target} import devkit --from {old}")["imported"] == 0


def journals_in(file: Path) -> int:
    """The number of orgs with a journal, 0 before the file is complete."""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5)) as database:
            return int(database.execute("SELECT count(DISTINCT org) FROM journal").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def contents(run: Shell, store: str) -> list[tuple[Any, ...]]:
    """Every entry, without the instant of its import and the hashes that depend on it."""
    entries = [json.loads(line) for line in run(f"--store {store} export --all").out.splitlines()]
    return [
        (entry["org"], entry["seq"], entry["key"], entry["at"], entry["amount"], entry["state"]) for entry in entries
    ]


def test_l70_a_test_database_is_not_imported_beside_live_payments(run: Shell, old: str) -> None:
    org, other = healthy(Random(1)), healthy(Random(2))
    fill(old, [org, other])
    run.all("credit-pack shop small --session cs_test_0")
    refused = run.json(f"import devkit --from {old}")
    assert (refused.code, refused.error["code"]) == (4, "mode_mismatch")
    assert "holds live payments, but the store holds test payments" in refused.error["message"]
    assert run.doc("orgs")["orgs"][0]["org"] == "shop"
    one = run.json(f"import devkit --from {old} --org {org.id} --dry-run")
    assert (one.code, one.error["code"]) == (4, "mode_mismatch")
    run.all("undo shop 1 --reason test --yes")
    assert run.doc(f"import devkit --from {old}")["orgs"] == 2
