"""Eight processes debit one org at once: what it holds is taken exactly, and not a unit more."""

import json

import pytest

from tests.acceptance.many_processes import work_at_once
from tests.acceptance.shell import Shell

WRITERS = 8

DEBITS = """
from meterctl.core.domain.operations import Debit
for n in range(times):
    receipt = book(Debit("acme", 1, f"{writer}-{n}"))
    answers[f"{receipt.exit_code} {receipt.status} {receipt.reason}"] += 1
"""


def test_eight_processes_take_what_is_there_and_nothing_else(run_anywhere: Shell) -> None:
    check(run_anywhere, each=60, held=240)


@pytest.mark.long
def test_eight_processes_take_what_is_there_for_long(run_anywhere: Shell) -> None:
    check(run_anywhere, each=1000, held=4000)


def check(run: Shell, *, each: int, held: int) -> None:
    run.all(f"adjust acme {held} --ref grant --reason test")
    ended = work_at_once(DEBITS, writers=WRITERS, each=each)
    assert ended == {"0 applied None": held, "4 refused insufficient_balance": WRITERS * each - held}
    assert run.doc("balance acme")["balance"] == 0
    entries = [json.loads(line) for line in run.journal().splitlines()]
    assert [entry["seq"] for entry in entries] == list(range(1, held + 2))
    assert [entry["balance"] for entry in entries] == list(range(held, -1, -1))
    assert len({entry["key"] for entry in entries}) == held + 1
    findings = run("verify acme --now 2999-01-01").out  # the writers booked by the clock of this machine
    assert findings.startswith("✓"), findings
