"""Ids and names as other systems make them, through every command and format that shows them."""

import csv
import io
import json
import shlex

import pytest

from tests.acceptance.shell import FORMATS, Shell

ORGS = [
    "ops@example.com",
    "auth0|507f1f77",
    "google-oauth2|1234",
    "github:acme",
    "org:42",
    "urn:org:9",
    "acme/prod",
    "_internal",
    "user_2abc",
    "507f1f77bcf86cd799439011",
    "a#1~b+c=d",
    "-".join(["x" * 63, "y" * 64]),
]
NO_ORGS = [
    "",
    " a",
    "-x",
    "=1+1",
    "a b",
    'a"b',
    "x" * 129,
    "a\tb",
    "é",
    "a,b",
    "a%2Fb",
    "@x",
    "#x",
    "a'b",
    "a;b",
    "a\\b",
]
FEATURES = ["gpt-4.1", "openai/gpt-4o", "anthropic:claude@2026", "a+b", "llm"]
NO_FEATURES = ["", "a b", "a,b", "a$b", "x" * 65, "default", "base", "a|b"]


@pytest.mark.parametrize("org", ORGS)
def test_an_org_id_of_another_system_is_taken_everywhere(run_anywhere: Shell, org: str) -> None:
    run = run_anywhere
    word = shlex.quote(org)
    run.all(
        f"credit-pack {word} small --session cs_1",
        f"debit {word} 10 --ref r1",
        f"meter attribute {word} run:a --step b:c --units 7",
        f"adjust {word} 5 --ref a1 --reason gift --expires 2026-12-01",
        f"verify {word}",
        "verify --all --repair-heads",
        f"expire {word}",
    )
    assert run.doc("balance", org)["org"] == org
    assert run.doc("explain", org)["org"] == org
    assert [entry["org"] for entry in run.doc("ledger", "--ref", "r1")["entries"]] == [org]
    assert run.doc("ledger", "--session", "cs_1")["org"] == org
    assert [record["org"] for record in run.doc("orgs")["orgs"]] == [org]
    for output in FORMATS:
        answer = run("ledger", org, "-o", output)
        assert answer.code == 0, answer
    rows = list(csv.DictReader(io.StringIO(run("ledger", org, "-o", "csv").out)))
    assert {row["org"] for row in rows} == {org}
    line = json.dumps({"op": "debit", "org": org, "units": 1, "ref": "r2"})
    assert run.json("backfill", run.file("in.ndjson", line + "\n")).doc["applied"] == 1
    assert f'"org":"{org}"' in run("export", org).out.replace('": "', '":"')


@pytest.mark.parametrize("org", NO_ORGS)
def test_what_no_system_calls_an_org_is_refused(run: Shell, org: str) -> None:
    for words in (["debit", "--ref", "r1", "--", org, "1"], ["balance", "--", org]):
        answer = run.json(*words)
        assert (answer.code, answer.error["code"]) == (2, "bad_org"), words
    line = json.dumps({"op": "debit", "org": org, "units": 1, "ref": "r2"})
    assert run.json("backfill", run.file("in.ndjson", line + "\n")).doc["invalid"] == 1


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_is_named_as_models_are(run_anywhere: Shell, feature: str) -> None:
    run = run_anywhere
    run.all(
        f"plan publish pro --quota 100 --ratio default=1 --ratio {feature}=2",
        "plan assign acme pro --ref p1",
        f"meter attribute acme run1 --cost {feature}=0.01",
        "verify --all",
    )
    assert run.doc("meter show acme")["breakdown"] == {feature: 20}
    table = run.file("in.csv", f"op,org,run,costs.{feature}\nattribute,acme,run2,0.01\n")
    assert run.json("backfill", table).doc["applied"] == 1
    assert run.doc("meter show acme")["breakdown"] == {feature: 40}


@pytest.mark.parametrize("feature", NO_FEATURES)
def test_what_no_model_is_called_is_refused(run: Shell, feature: str) -> None:
    answer = run.json("meter", "attribute", "acme", "run1", "--cost", f"{feature}=0.01")
    assert (answer.code, answer.error["code"]) in [(2, "bad_feature"), (2, "usage"), (2, "bad_costs"), (2, "bad_cost")]
