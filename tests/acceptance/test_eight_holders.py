"""Eight processes hold units of one org and settle them: no unit is held twice, and each run is booked once."""

import json
import os
import subprocess
import sys
from collections import Counter

from tests.acceptance.shell import Shell

WRITERS, EACH, HELD = 8, 25, 1000

#: One process of many: each hold is settled by its run, and the run is sent again as if its answer had been lost.
WRITER = """
import json, sys
from collections import Counter
from meterctl.core.domain.meter_operations import Attribute, Hold
from meterctl.options import Options
from meterctl.wiring import Wiring
writer, times = sys.argv[1], int(sys.argv[2])
wiring = Wiring(Options())
wiring.reads.balance("acme")
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.readline()
book = lambda operation: wiring.ledger.one(wiring.request(operation))
found = Counter()
for n in range(times):
    ref = f"{writer}-{n}"
    held = book(Hold("acme", 10, ref))
    found[f"hold {held.status} {held.reason}"] += 1
    if held.exit_code == 0:
        for _ in range(2):
            found[f"run {book(Attribute('acme', ref, units=10, hold=ref)).status}"] += 1
wiring.close()
json.dump(found, sys.stdout)
"""


def test_eight_processes_hold_and_settle(run_anywhere: Shell) -> None:
    run = run_anywhere
    run.all(f"adjust acme {HELD} --ref grant --reason test")
    environment = {name: value for name, value in os.environ.items() if name not in ("METERCTL_CONFIG", "METERCTL_NOW")}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, f"w{writer}", str(EACH)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for writer in range(WRITERS)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    total: Counter[str] = Counter()
    for process in processes:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        total.update(json.loads(out))
    runs = HELD // 10
    assert total["hold applied None"] == total["run applied"] == total["run replayed"] == runs, total
    assert sum(count for kind, count in total.items() if kind.startswith("hold refused")) == WRITERS * EACH - runs
    assert run.doc("balance acme")["balance"] == 0
    kinds = Counter(json.loads(line)["kind"] for line in run.journal().splitlines())
    assert kinds["hold"] == runs
    findings = run("verify acme --now 2999-01-01").out  # the writers booked by the clock of this machine
    assert findings.startswith("✓"), findings
