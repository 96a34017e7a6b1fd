"""Eight processes hold units of one org and settle them: no unit is held twice, and each run is booked once."""

import json
from collections import Counter

from tests.acceptance.many_processes import work_at_once
from tests.acceptance.shell import Shell

WRITERS, EACH, HELD = 8, 15, 600

#: Each hold is settled by its run, and the run is sent again as if its answer had been lost.
HOLDS = """
from meterctl.core.domain.meter_operations import Attribute, Hold
for n in range(times):
    ref = f"{writer}-{n}"
    held = book(Hold("acme", 10, ref))
    answers[f"hold {held.status} {held.reason}"] += 1
    if held.exit_code == 0:
        for _ in range(2):
            answers[f"run {book(Attribute('acme', ref, units=10, hold=ref)).status}"] += 1
"""


def test_eight_processes_hold_and_settle(run_anywhere: Shell) -> None:
    run = run_anywhere
    run.all(f"adjust acme {HELD} --ref grant --reason test")
    total = work_at_once(HOLDS, writers=WRITERS, each=EACH)
    runs = HELD // 10
    assert total["hold applied None"] == total["run applied"] == total["run replayed"] == runs, total
    assert sum(count for kind, count in total.items() if kind.startswith("hold refused")) == WRITERS * EACH - runs
    assert run.doc("balance acme")["balance"] == 0
    kinds = Counter(json.loads(line)["kind"] for line in run.journal().splitlines())
    assert kinds["hold"] == runs
    findings = run("verify acme --now 2999-01-01").out  # the writers booked by the clock of this machine
    assert findings.startswith("✓"), findings
