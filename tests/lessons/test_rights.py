"""Least rights on a real server with access control: each command, as a user who books, and as one who only reads."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pymongo import MongoClient

from meterctl.cli import main
from meterctl.commands.catalogue import commands
from meterctl.core.domain.instants import add_millis
from meterctl.core.ports import Lease
from meterctl.core.stores.mongo.store import connect
from meterctl.process.clock import SystemClock
from tests.devkit_data import healthy
from tests.mongod import Mongod, require_mongod_binary

CONFIG = """
[packs.small]
units = 1000
price_cents = 500
currency = "usd"
[plans.pro]
weekly_quota = 500
"""

PASSWORD = "secret-of-a-test"  # noqa: S105 - opens nothing but a server on loopback

#: Everything that lines below act on, booked by the user who may. {n} keeps the runs of both users apart.
STORY = [
    "credit-pack acme small --session cs_a{n} --paid-cents 500",
    "refund acme --session cs_a{n} --cents 50 --refund-id re_a{n}",
    "meter hold acme 5 --ref ha{n}",
    "debit acme 5 --ref da{n} --reason why",
    "adjust lots{n} 5 --ref a1 --reason why",
    "adjust due{n} 5 --ref a1 --reason why --at {before} --expires {yesterday}",
    "adjust due{n}b 5 --ref a1 --reason why --at {before} --expires {yesterday}",
    "meter attribute ended{n} run --units 7 --at {before}",
    "meter attribute open{n} run --units 7",
    "plan publish pro --quota 40{n}",
    "adjust planned{n} 5 --ref pa{n} --reason why --plan-out plan{n}.ndjson",
]

#: Lines of every command that writes, each of which has something to write after the story.
WRITES = {
    "lock break": ["lock break sweep --reason why"],
    "credit-pack": ["credit-pack acme small --session cs_b{n} --paid-cents 500"],
    "debit": ["debit acme 5 --ref d{n} --reason why"],
    "refund": [
        "refund acme --session cs_a{n} --cents 100 --refund-id re_{n}",
        "refund acme --reverse re_a{n}",
        "refund acme --session cs_a{n} --unused --refund-id ru_{n}",
    ],
    "adjust": ["adjust acme 50 --ref a{n} --reason why"],
    "undo": ["undo acme --ref da{n} --reason why"],
    "lot extend": ["lot extend lots{n} 1 --expires 30d --ref x1 --reason why"],
    "lot void": ["lot void lots{n} 1 --ref v1 --reason why"],
    "meter hold": ["meter hold acme 5 --ref h{n}"],
    "meter release": ["meter release acme --ref ha{n}"],
    "meter attribute": ["meter attribute acme run-{n} --units 7"],
    "plan publish": ["plan publish pro --quota 50{n}", "plan publish --from-config"],
    "plan assign": ["plan assign plan{n} pro --ref p1"],
    "expire": ["expire due{n}", "expire --all"],
    "reset-week": ["reset-week --all", "reset-week open{n} --force --ref w1 --reason why"],
    "backfill": ["backfill in{n}.ndjson", "backfill in{n}b.ndjson --workers 2"],
    "apply": ["apply plan{n}.ndjson"],
    "events": ["events events{n}.ndjson --unsigned --pending pending{n}.ndjson"],
    "import": ["import export{n}.ndjson"],
}

#: Lines of every command that only reads, and of writes that only show what they would do.
READS = {
    "balance": ["balance acme", "balance acme --as-of yesterday"],
    "ledger": [
        "ledger acme",
        "ledger --session cs_a1",
        "ledger --all-orgs --reason-has why",
        "ledger acme --chart",
        "ledger acme --since 7d --by kim",
    ],
    "meter show": ["meter show acme"],
    "meter history": ["meter history acme"],
    "meter alerts": ["meter alerts", "meter alerts acme", "meter alerts --after 1d"],
    "meter check": ["meter check acme --units 5"],
    "explain": ["explain acme"],
    "statement": ["statement acme --month {month}"],
    "report": ["report --month {month}"],
    "lot list": ["lot list acme --all"],
    "plan list": ["plan list"],
    "plan show": ["plan show pro"],
    "orgs": ["orgs", "orgs --runs-out 14d", "orgs --idle 30d --sort balance"],
    "reconcile": ["reconcile payments.ndjson", "reconcile payments.ndjson --plan-out mend.ndjson"],
    "export": ["export acme", "export --all"],
    "audit devkit": ["audit devkit --from {old}"],
    "verify": ["verify acme", "verify --all", "verify --all --seal seal.ndjson", "verify --all --workers 2"],
    "lock list": ["lock list"],
    "doctor": ["doctor"],
    "config show": ["config show"],
    "config init": ["config init first{n}.toml"],
    "schema": ["schema receipt", "schema --commands"],
}
PREVIEWS = [
    "debit acme 5 --ref new --reason why --dry-run",
    "refund acme --session cs_a1 --preview",
    "adjust acme 5 --ref new --reason why --plan-out preview{n}.ndjson",
    "backfill in1.ndjson --dry-run",
    "expire --all --dry-run",
]

#: `init` needs the role dbAdmin: `test_l114_denied_access_names_the_right_and_the_role` runs it. `demo` opens no store
#: but a throw-away file of its own.
APART = {"init", "demo"}


@pytest.fixture(scope="module")
def server() -> Iterator[Mongod]:
    require_mongod_binary()
    made = Mongod(auth=True).start()
    yield made
    made.stop()


def uri_of(server: Mongod, user: str) -> str:
    place = f"{server.address}/credits?authSource=admin&replicaSet={server.replica_set}"
    return f"mongodb://{user}:{PASSWORD}@{place}"


@pytest.fixture(scope="module")
def users(server: Mongod) -> dict[str, str]:
    """The URIs of two users with exactly the roles that `init` gives, and of one with none."""
    admin = server.uri.replace("/?", "/credits?authSource=admin&", 1)
    store = connect(admin)
    store.init()
    roles = store.roles()
    store.close()
    with MongoClient[dict[str, Any]](server.uri) as client:
        for name, role in roles.items():
            client.credits.command(role)
            member = [{"role": role["createRole"], "db": "credits"}]
            client.admin.command("createUser", name, pwd=PASSWORD, roles=member)
        client.admin.command("createUser", "stranger", pwd=PASSWORD, roles=[])
    return {name: uri_of(server, name) for name in (*roles, "stranger")}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("METERCTL_NOW", raising=False)
    (tmp_path / "c.toml").write_text(CONFIG, encoding="utf-8")

    def go(line: str, uri: str) -> tuple[int, str]:
        capsys.readouterr()
        asked = ["--yes"] if line.startswith(("undo", "lot void")) or "--force" in line else []
        code = main([*line.split(), "--json", "--store", uri, "--config", "c.toml", *asked])
        said = capsys.readouterr()
        return code, said.out + said.err

    return go


def lines_of(lines: Mapping[str, list[str]], n: int, old: str) -> list[str]:
    """The lines as user number ``n`` gives them."""
    now = datetime.now(UTC)
    times = {
        "before": f"{now - timedelta(days=8):%Y-%m-%dT%H:%M:%SZ}",
        "yesterday": f"{now - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
        "month": f"{now:%Y-%m}",
    }
    return [line.format(n=n, old=old, **times) for of_one in lines.values() for line in of_one]


def set_the_scene(run: Any, uri: str, n: int, place: Path) -> None:
    """Book the story of run ``n``, and write the files that its lines read."""
    adjust = {"op": "adjust", "units": 5, "ref": "r1", "reason": "why"}
    for name in (f"in{n}", f"in{n}b"):
        (place / f"{name}.ndjson").write_text(json.dumps({**adjust, "org": name}) + "\n", encoding="utf-8")
    paid = {
        "id": f"cs_test_{n}",
        "object": "checkout.session",
        "mode": "payment",
        "status": "complete",
        "payment_status": "paid",
        "amount_total": 500,
        "currency": "usd",
        "livemode": False,
        "metadata": {"org": "acme", "pack": "small"},
    }
    event = {"id": f"evt_{n}", "type": "checkout.session.completed", "created": 1795168800, "livemode": False}
    text = json.dumps({**event, "data": {"object": paid}}) + "\n"
    (place / f"events{n}.ndjson").write_text(text, encoding="utf-8")
    payment = {"id": f"cs_a{n}", "org": "acme", "pack": "small", "paid_cents": 500, "currency": "usd"}
    refund = {"id": f"re_a{n}", "cents": 50, "status": "succeeded"}
    line = json.dumps({**payment, "paid_at": datetime.now(UTC).isoformat(), "refunds": [refund]})
    (place / "payments.ndjson").write_text(line + "\n", encoding="utf-8")
    elsewhere = f"sqlite:{place}/elsewhere{n}.db"
    assert run(f"adjust imported{n} 5 --ref r1 --reason why", elsewhere)[0] == 0
    (place / f"export{n}.ndjson").write_text(run("export --all", elsewhere)[1], encoding="utf-8")
    for line in lines_of({"": STORY}, n, ""):
        code, said = run(line, uri)
        assert code == 0, (line, said)
    hold_sweep_lock(uri)


def hold_sweep_lock(uri: str) -> None:
    """Leave the lock of a sweep that died."""
    store = connect(uri)
    now = SystemClock().now()
    store.locks.acquire(Lease("sweep", "another:1:abc", add_millis(now, -120_000), add_millis(now, -60_000)), now)
    store.close()


@pytest.fixture(scope="module")
def old(server: Mongod) -> str:
    """The address of an old database, without defects, for a user who may read it."""
    uri = server.uri.replace("/?", "/old?authSource=admin&", 1)
    data = healthy(Random(1))
    with MongoClient[dict[str, Any]](server.uri) as client:
        for name, documents in data.documents().items():
            if documents:
                client.old[name].insert_many(documents)
    return uri


def test_l114_every_command_has_its_lines_here() -> None:
    by_kind = {kind: {one["name"] for one in commands() if one["writes"] is kind} for kind in (True, False)}
    assert WRITES.keys() == by_kind[True]
    assert READS.keys() | APART == by_kind[False]
    assert all(line.startswith(name) for lines in (WRITES, READS) for name, of in lines.items() for line in of)


def test_l114_the_printed_roles_suffice_for_every_command(
    run: Any, users: dict[str, str], old: str, tmp_path: Path
) -> None:
    set_the_scene(run, users["role"], 1, tmp_path)
    for user in ("reader_role", "role"):
        for line in [*lines_of(READS, len(user), old), *lines_of({"": PREVIEWS}, len(user), old)]:
            code, said = run(line, users[user])
            # The story left orgs with due events and a lock, and mongod is one alone: doctor has findings of that.
            assert code == (8 if line == "doctor" else 0), (user, line, said)
            assert "lacks the right" not in said, (user, line, said)
    for line in lines_of(WRITES, 1, old):
        code, said = run(line, users["role"])
        assert code == 0, (line, said)
        assert "nothing is due" not in said, line
    for repair in ("--repair-heads", "--repair-claims"):
        assert run(f"verify --all {repair}", users["role"])[0] == 0
    assert run("verify --all", users["reader_role"])[0] == 0


def test_l114_denied_access_names_the_right_and_the_role(run: Any, users: dict[str, str], tmp_path: Path) -> None:
    set_the_scene(run, users["role"], 3, tmp_path)
    before = run("export --all", users["reader_role"])
    for line in lines_of(WRITES, 3, ""):
        code, said = run(line, users["reader_role"])
        assert code == 10, (line, said)
        error = json.loads(said.splitlines()[-1])
        assert error["code"] == "access_denied", (line, said)
        assert re.search(r"lacks the right (insert|update|remove) on the collection \w+", error["message"]), line
        assert "the role meterctl has" in error["message"], line
        assert not any(word in said for word in ("lsid", "clusterTime", "signature", PASSWORD, "$db")), line
    assert run("export --all", users["reader_role"]) == before
    for line in ("balance acme", "debit acme 1 --ref new2 --reason why"):
        code, said = run(line, users["stranger"])
        assert (code, "right find on the collection journal" in said) == (10, True), said
        assert "meterctlReader" in said
    for user in ("role", "reader_role"):
        code, said = run("init", users[user])
        assert (code, "dbAdmin" in said) == (10, True), said


def test_l114_init_prints_both_roles(run: Any, server: Mongod) -> None:
    code, said = run("init", server.uri.replace("/?", "/credits?authSource=admin&", 1))
    document = json.loads(said)
    assert code == 0
    assert document["role"]["createRole"] == "meterctl"
    assert document["reader_role"]["createRole"] == "meterctlReader"
    assert {action for right in document["reader_role"]["privileges"] for action in right["actions"]} == {
        "find",
        "listCollections",
        "listIndexes",
    }
