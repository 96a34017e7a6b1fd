"""Runs a command, and writes down how long it took and how much memory the largest of its processes had.

A process of its own and a small one, because the kernel counts what the process that starts another one had in memory
as the other's too.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    report, *command = sys.argv[1:]
    began = time.perf_counter()
    code = subprocess.run(command, check=False).returncode
    taken = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {"seconds": taken, "peak_mb": used.ru_maxrss / 1024, "cpu": used.ru_utime + used.ru_stime}
    Path(report).write_text(json.dumps(found))
    return code


if __name__ == "__main__":
    sys.exit(main())
