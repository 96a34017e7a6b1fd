"""Structured logs: each line on standard error gets its time, level and run, as JSON or text."""

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TextIO

from meterctl.process.clock import SystemClock

LOG_FORMATS = ("json", "text")

#: Longest record, in characters; a longer line is cut.
LONGEST = 8000


class LogLines(io.TextIOBase):
    """A stream that turns each line into a record. ``run`` identifies the process."""

    def __init__(self, target: TextIO, form: str, run: str) -> None:
        self._target = target
        self._form = form
        self._run = run
        self._partial = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            if line.strip():
                self.record("info", line.strip())
        self._partial = self._partial[:LONGEST]
        return len(text)

    def flush(self) -> None:
        self._target.flush()

    def record(self, level: str, message: str, **fields: str | int | float | None) -> None:
        """Write one record, without the fields that are None."""
        known = {name: value for name, value in fields.items() if value is not None}
        message, time = message[:LONGEST], SystemClock().now()
        if self._form == "json":
            document = {"time": time, "level": level, "run": self._run, "message": message, **known}
            self._target.write(json.dumps(document, ensure_ascii=False) + "\n")
        else:
            rest = "".join(f" {name}={value}" for name, value in known.items())
            self._target.write(f"{time} {level} [{self._run}] {message}{rest}\n".replace("\r", " "))
        self._target.flush()

    def end(self) -> None:
        """Write the last line if it has no line end."""
        if self._partial:
            self.write("\n")


@contextmanager
def log_records(form: str, command: str) -> Iterator[list[int]]:
    """Turn lines on standard error into records; the last one has exit code and duration.

    The block appends its exit code to the list that it receives.
    """
    began, codes, real = monotonic(), list[int](), sys.stderr
    log = LogLines(real, form, os.urandom(6).hex())
    sys.stderr = log
    try:
        yield codes
    finally:
        sys.stderr = real
        log.end()
        code = codes[0] if codes else None
        level = "info" if code in (0, None) else "error"
        seconds = round(monotonic() - began, 3)
        log.record(level, f"{command} ended", command=command, exit_code=code, seconds=seconds)
