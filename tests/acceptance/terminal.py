"""A command on a terminal of its own, with someone who answers what it asks."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

from tests.acceptance.shell import Answer, Shell

SECONDS = 30.0


def at_terminal(run: Shell, words: list[str], *, asked: str, answer: str) -> tuple[Answer, str]:
    """Run a command with standard input and standard error on a terminal and standard output in a file. Once ``asked``
    is on the screen, type ``answer``. Returns what came of it and the whole screen."""
    ours, theirs = pty.openpty()
    printed = Path(run.place, "printed")
    with printed.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "meterctl", *words], stdin=theirs, stdout=out, stderr=theirs, close_fds=True
        )
    os.close(theirs)
    try:
        screen = _read(ours, until=asked)
        os.write(ours, answer.encode())
        screen += _read(ours)
        code = process.wait(SECONDS)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return Answer(code, printed.read_text(), screen), screen


def _read(terminal: int, until: str | None = None) -> str:
    """What is shown, up to ``until`` or the program's end."""
    deadline, screen = time.monotonic() + SECONDS, ""
    while time.monotonic() < deadline and (until is None or until not in screen):
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                more = os.read(terminal, 4096).decode(errors="replace")
            except OSError:  # what Linux says when the other side is gone
                break
            if not more:
                break
            screen += more
    assert until is None or until in screen, screen
    return screen
