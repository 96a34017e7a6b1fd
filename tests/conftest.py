"""What holds for the whole suite: how hypothesis searches, one mongod for all workers, and what was left out."""

import gc
import os
import signal

import pytest
from hypothesis import settings

from tests.mongod import LEFT_OUT, share_with_workers

# The same counterexamples each time, or others with HYPOTHESIS_PROFILE=explore.
settings.register_profile("same", derandomize=True, database=None, deadline=None, print_blob=True, max_examples=100)
settings.register_profile("explore", database=None, deadline=None, print_blob=True, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# A shell starts what it puts in the background deaf to Ctrl-C, and so would be every process that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Parallel workers inherit the environment of the process that starts them: through it they share one server."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        share_with_workers()


def pytest_collection_finish() -> None:
    """Spare the garbage collector the modules and tests, which stay to the end: else it walks them again and again."""
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A run without a real mongod must not look like one with it."""
    skipped = terminalreporter.stats.get("skipped", [])
    left_out = [report for report in skipped if isinstance(report.longrepr, tuple) and LEFT_OUT in report.longrepr[2]]
    if left_out:
        terminalreporter.write_line(f"{len(left_out)} tests left out: {left_out[0].longrepr[2]}", yellow=True)
