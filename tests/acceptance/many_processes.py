"""Processes that begin at the same moment: each is wired as a command is, but books more than one operation."""

import json
import os
import subprocess
import sys
from collections import Counter

#: Put before the work of a process: wires it, waits for the start, and gives it ``book`` and ``answers`` to count in.
_BEFORE = """
import json, sys
from collections import Counter
from meterctl.options import Options
from meterctl.wiring import Wiring
writer, times = sys.argv[1], int(sys.argv[2])
wiring = Wiring(Options())
wiring.reads.balance("acme")
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.readline()
book = lambda operation: wiring.ledger.one(wiring.request(operation))
answers = Counter()
"""

_AFTER = """
wiring.close()
json.dump(answers, sys.stdout)
"""


def work_at_once(work: str, *, writers: int, each: int) -> Counter[str]:
    """Run ``work`` in so many processes, each ``times`` = ``each``, and return all their ``answers``."""
    environment = {name: value for name, value in os.environ.items() if name not in ("METERCTL_CONFIG", "METERCTL_NOW")}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _BEFORE + work + _AFTER, f"w{writer}", str(each)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for writer in range(writers)
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
