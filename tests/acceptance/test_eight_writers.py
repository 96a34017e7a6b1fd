"""Eight processes debit one org at once: what it holds is taken exactly, and not a unit more."""

import json

from tests.acceptance.many_processes import work_at_once
from tests.acceptance.shell import Shell

WRITERS, EACH, HELD = 8, 500, 2000

DEBITS = """
from meterctl.core.domain.operations import Debit
for n in range(times):
    receipt = book(Debit("acme", 1, f"{writer}-{n}"))
    answers[f"{receipt.exit_code} {receipt.status} {receipt.reason}"] += 1
"""


def test_eight_processes_take_what_is_there_and_nothing_else(run_anywhere: Shell) -> None:
    run = run_anywhere
    run.all(f"adjust acme {HELD} --ref grant --reason test")
    ended = work_at_once(DEBITS, writers=WRITERS, each=EACH)
    assert ended == {"0 applied None": HELD, "4 refused insufficient_balance": WRITERS * EACH - HELD}
    assert run.doc("balance acme")["balance"] == 0
    entries = [json.loads(line) for line in run.journal().splitlines()]
    assert [entry["seq"] for entry in entries] == list(range(1, HELD + 2))
    assert [entry["balance"] for entry in entries] == list(range(HELD, -1, -1))
    assert len({entry["key"] for entry in entries}) == HELD + 1
    findings = run("verify acme --now 2999-01-01").out  # the writers booked by the clock of this machine
    assert findings.startswith("✓"), findings
