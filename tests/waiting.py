"""Waiting for what another process or thread brings about."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Seen = TypeVar("Seen")

#: How long a child process may take for anything, even on a machine that is busy.
SECONDS = 120


def wait_for(seen: Callable[[], Seen], process: "subprocess.Popen[Any] | None" = None) -> Seen:
    """What ``seen`` tells, once that is something. Fails loudly if it takes too long, or if the ``process`` that is to
    bring it about has ended."""
    deadline = time.monotonic() + SECONDS
    while not (told := seen()):
        assert time.monotonic() < deadline, f"nothing happened for {SECONDS} seconds"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.003)
    return told


def workers_of(parent: int) -> list[int]:
    """The processes that share the work of ``parent``, as far as they are started; the one that keeps track of what
    they share is none of them."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
