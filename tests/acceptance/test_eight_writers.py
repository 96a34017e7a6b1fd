"""Eight processes debit one org at once: what it holds is taken exactly, and not a unit more."""

import json
import os
import subprocess
import sys
from collections import Counter

from tests.acceptance.shell import Shell

WRITERS, EACH, HELD = 8, 500, 2000

#: One process of many, wired as a command is, but for all its debits at once. It waits for the start.
WRITER = """
import json, sys
from collections import Counter
from meterctl.core.domain.operations import Debit
from meterctl.options import Options
from meterctl.wiring import Wiring
writer, times = sys.argv[1], int(sys.argv[2])
wiring = Wiring(Options())
wiring.reads.balance("acme")
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.readline()
receipts = [wiring.ledger.one(wiring.request(Debit("acme", 1, f"{writer}-{n}"))) for n in range(times)]
wiring.close()
json.dump(Counter(f"{receipt.exit_code} {receipt.status} {receipt.reason}" for receipt in receipts), sys.stdout)
"""


def debit_at_once() -> Counter[str]:
    """How all the debits ended, counted."""
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
    return total


def test_eight_processes_take_what_is_there_and_nothing_else(run_anywhere: Shell) -> None:
    run = run_anywhere
    run.all(f"adjust acme {HELD} --ref grant --reason test")
    ended = debit_at_once()
    assert ended == {"0 applied None": HELD, "4 refused insufficient_balance": WRITERS * EACH - HELD}
    assert run.doc("balance acme")["balance"] == 0
    entries = [json.loads(line) for line in run.journal().splitlines()]
    assert [entry["seq"] for entry in entries] == list(range(1, HELD + 2))
    assert [entry["balance"] for entry in entries] == list(range(HELD, -1, -1))
    assert len({entry["key"] for entry in entries}) == HELD + 1
    findings = run("verify acme --now 2999-01-01").out  # the writers booked by the clock of this machine
    assert findings.startswith("✓"), findings
