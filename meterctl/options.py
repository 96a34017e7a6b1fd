"""The options that every command has in common, as a value."""

from typing import NamedTuple

FORMATS = ("table", "json", "ndjson", "csv", "markdown", "plain")


class Options(NamedTuple):
    """The options that all commands share, as text from the command line; None or False: not set."""

    store: str | None = None
    config: str | None = None
    profile: str | None = None
    output: str | None = None
    now: str | None = None
    actor: str | None = None
    reason: str | None = None
    at: str | None = None
    dry_run: bool = False
    yes: bool = False
    quiet: bool = False
    over_limit: bool = False
    expect_balance: str | None = None
    expect_seq: str | None = None
    plan_out: str | None = None
    metrics_file: str | None = None
    log_format: str | None = None  # read by `cli` before the command runs
    #: A person confirmed the clock after a jump.
    clock_confirmed: bool = False
