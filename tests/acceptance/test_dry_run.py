"""A dry run takes the path of the real run: with the clock held still the two say the same, to the hash."""

import json
from typing import Any

import pytest

from tests.acceptance.shell import Shell

BEFORE = [
    "plan publish pro --quota 500",
    "credit-pack acme small --session s1",
    "credit-pack acme brief --session s2",
    "debit acme 10 --ref r1",
    "refund acme --session s1 --cents 100 --refund-id re1",
    "meter attribute acme run1 --units 5",
    "credit-pack acme gift --session s4",
]

WRITES = [
    "credit-pack acme small --session s3",
    "debit acme 20 --ref r2",
    "debit acme 5000 --ref r3 --allow-debt --yes",
    "refund acme --session s1 --cents 33 --refund-id re2",
    "refund acme --reverse re1",
    "adjust acme 50 --ref a1 --reason why --expires 2027-01-01",
    "adjust acme -50 --ref a2 --reason why",
    "undo acme 3 --reason why --yes",
    "undo acme 6 --reason why --yes",
    "meter attribute acme run2 --cost llm=0.5 --cost search=0.7",
    "plan assign acme pro --ref p1",
    "reset-week acme --force --ref f1 --reason why --yes",
]

#: The brief pack has expired by then, and in the second case the week is over, too.
LATER = ["2026-11-16T12:00:00.000Z", "2026-11-18T00:00:00.000Z"]


def said(receipt: dict[str, Any]) -> dict[str, Any]:
    """A receipt without what tells a plan from a deed."""
    return {name: value for name, value in receipt.items() if name not in ("status", "applied", "message")}


@pytest.mark.parametrize("line", WRITES)
@pytest.mark.parametrize("now", LATER)
def test_a_planned_write_is_the_applied_one(run: Shell, line: str, now: str) -> None:
    run.all(*BEFORE)
    journal = run.journal()
    planned = run.doc(f"{line} --dry-run", now=now)
    assert run.journal() == journal
    applied = run.doc(line, now=now)
    assert (planned["status"], planned["applied"]) == ("planned", False)
    assert (applied["status"], applied["applied"]) == ("applied", True)
    assert said(planned) == said(applied)
    assert len(planned["also"]) == (1 if now != LATER[0] else 0)
    booked = [json.loads(entry) for entry in run.journal().splitlines()[len(journal.splitlines()) :]]
    assert booked == [*planned["also"], planned["entry"]]


@pytest.mark.parametrize("line", ["credit-pack acme small --session s3", "debit acme 20 --ref r2"])
def test_on_mongodb_too(run_anywhere: Shell, line: str) -> None:
    run_anywhere.all(*BEFORE)
    journal = run_anywhere.journal()
    planned = run_anywhere.doc(f"{line} --dry-run", now=LATER[1])
    assert run_anywhere.journal() == journal
    assert said(planned) == said(run_anywhere.doc(line, now=LATER[1]))


@pytest.mark.parametrize("line", ["debit acme 9999 --ref r2", "debit acme 10 --ref r1", "debit acme 11 --ref r1"])
def test_what_would_not_be_booked_is_answered_as_in_earnest(run: Shell, line: str) -> None:
    run.all(*BEFORE)
    dry, real = run.json(f"{line} --dry-run"), run.json(line)
    assert (dry.code, dry.doc) == (real.code, real.doc)
    assert real.doc["status"] in ("refused", "replayed", "conflict")


@pytest.mark.parametrize("line", ["expire --all", "expire acme", "reset-week --all", "reset-week acme"])
def test_a_sweep(run: Shell, line: str) -> None:
    run.all(*BEFORE)
    now = "2026-11-24T00:00:00.000Z"
    journal = run.journal()
    dry = run.doc(f"{line} --dry-run", now=now)
    assert run.journal() == journal
    assert run.doc("lock list", now=now)["locks"] == []
    real = run.doc(line, now=now)
    assert (dry.pop("dry_run"), real.pop("dry_run")) == (True, False)
    assert dry | {"seconds": 0} == real | {"seconds": 0}
    assert (real["due"], real["done"], real["expired_lots"], real["weeks_closed"]) == (1, 1, 1, 1)
    assert real["expired_units"] == 85


def test_a_backfill(run: Shell) -> None:
    run.all(*BEFORE)
    journal = run.journal()
    lines = [
        {"op": "credit-pack", "org": "bolt", "pack": "small", "session": "s5"},
        {"op": "debit", "org": "bolt", "units": 600, "ref": "b1"},
        {"op": "debit", "org": "bolt", "units": 600, "ref": "b2"},
        {"op": "debit", "org": "bolt", "units": 400, "ref": "b3"},
        {"op": "debit", "org": "bolt", "units": 0, "ref": "b4"},
    ]
    text = "\n".join(map(json.dumps, lines))
    dry, real = run.json("backfill - --dry-run", stdin=text), run.json("backfill -", stdin=text)
    assert (dry.doc["planned"], dry.doc["applied"]) == (real.doc["applied"], real.doc["planned"]) == (3, 0)
    assert (dry.doc["refused"], dry.doc["invalid"]) == (real.doc["refused"], real.doc["invalid"]) == (1, 1)
    assert run.journal().startswith(journal)
    assert run.doc("balance bolt")["balance"] == 0


def test_a_plan_version(run: Shell) -> None:
    planned = run.doc("plan publish pro --quota 500 --dry-run")
    assert run.doc("plan list")["plans"] == []
    applied = run.doc("plan publish pro --quota 500")
    assert said(planned) == said(applied)
    assert (planned["status"], applied["status"]) == ("planned", "applied")


def test_the_real_run_after_the_plan_moved_books_what_is_true_then(run: Shell) -> None:
    run.all(*BEFORE)
    planned = run.doc("debit acme 20 --ref r2 --dry-run")
    run.all("debit acme 1 --ref r9")
    applied = run.doc("debit acme 20 --ref r2")
    assert applied["entry"]["seq"] == planned["entry"]["seq"] + 1
    assert applied["balance"] == planned["balance"] - 1
