"""Bringing devkit's data in, on a real mongod: every defect that its data is known to have is found, and no other."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from tests.acceptance.conftest import make_shell  # noqa: F401 - a fixture
from tests.acceptance.shell import Shell
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
    from random import Random

    org = healthy(Random(3))
    org.ledger[0]["amount"] = 1.5
    fill(old, [org])
    (finding,) = run.json(f"audit devkit --from {old}").doc["findings"]
    assert (finding["finding"], finding["org"]) == ("unreadable", str(org.id))
    assert "1.5" in finding["message"]
