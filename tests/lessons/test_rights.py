"""Least rights on a real server with access control: each command, as a user who books, and as one who only reads."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from meterctl.cli import main
from meterctl.core.stores.mongo.store import connect
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

WRITES = [
    "credit-pack acme small --session cs_1 --paid-cents 500",
    "debit acme 5 --ref d1 --reason why",
    "refund acme --session cs_1 --cents 100 --refund-id re_1",
    "refund acme --reverse re_1",
    "adjust acme 50 --ref a1 --reason why",
    "meter attribute acme run-1 --units 7",
    "plan publish pro --quota 500",
    "plan assign acme pro --ref p1",
    "undo acme 2 --reason why",
    "reset-week acme --force --ref w1 --reason why",
    "expire --all",
    "reset-week --all",
    "backfill in.ndjson",
    "events events.json --unsigned",
    "verify --all --repair-heads",
]

READS = [
    *("balance acme", "ledger acme", "ledger --session cs_1", "meter show acme", "meter history acme", "meter alerts"),
    *("meter check acme", "explain acme", "plan list", "plan show pro", "orgs", "export --all", "verify --all"),
    *("lock list", "config show", "doctor"),
]


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
    (tmp_path / "in.ndjson").write_text(
        '{"op": "adjust", "org": "bolt", "units": 5, "ref": "r1", "reason": "why"}\n', encoding="utf-8"
    )
    (tmp_path / "events.json").write_text(
        '{"id": "evt_1", "type": "ping", "created": 1795168800, "livemode": false, "data": {"object": {}}}\n',
        encoding="utf-8",
    )

    def go(line: str, uri: str) -> tuple[int, str]:
        capsys.readouterr()
        asked = ["--yes"] if line.startswith("undo") or "--force" in line else []
        code = main([*line.split(), "--json", "--store", uri, "--config", "c.toml", *asked])
        said = capsys.readouterr()
        return code, said.out + said.err

    return go


def test_l114_the_printed_roles_suffice_for_every_command(run: Any, users: dict[str, str]) -> None:
    done = {line: run(line, users["role"]) for line in WRITES}
    assert {line: code for line, (code, _) in done.items()} == dict.fromkeys(WRITES, 0), done
    for user in ("role", "reader_role"):
        done = {line: run(line, users[user]) for line in READS}
        codes = {line: code for line, (code, _) in done.items()}
        assert codes == dict.fromkeys(READS, 0), (user, [said for code, said in done.values() if code])


def test_l114_denied_access_names_the_right_and_the_role(run: Any, users: dict[str, str]) -> None:
    for line in (line for line in WRITES if not line.startswith("events")):
        code, said = run(line, users["reader_role"])
        # A sweep or a repetition may find nothing to write.
        if code != 0:
            assert (code, json.loads(said)["code"]) == (10, "access_denied"), said
            assert "lacks the right" in said
            assert "the role meterctl" in said
            assert not any(word in said for word in ("lsid", "clusterTime", "signature", PASSWORD, "$db"))
    code, said = run("debit acme 1 --ref new --reason why", users["reader_role"])
    assert (code, "right insert on the collection journal" in said) == (10, True), said
    for line in ("balance acme", "debit acme 1 --ref new2 --reason why"):
        code, said = run(line, users["stranger"])
        assert (code, "right find on the collection journal" in said) == (10, True), said
        assert "meterctlReader" in said
    code, said = run("init", users["role"])
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
