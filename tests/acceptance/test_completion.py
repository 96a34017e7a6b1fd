"""What a shell offers while a line is being typed."""

import os
import subprocess
import sys

import pytest

from tests.acceptance.shell import Shell


def offered(line: str, **environment: str) -> list[str]:
    """What bash is offered for the last word of ``line``."""
    words = line.split(" ")
    ended = subprocess.run(
        [sys.executable, "-m", "meterctl"],
        env=os.environ
        | {"_METERCTL_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
        | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stderr == ""
    return ended.stdout.split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("meterctl cred", ["credit-pack"]),
        ("meterctl meter sh", ["show"]),
        ("meterctl credit-pack acme ", ["any", "brief", "gift", "small"]),
        ("meterctl credit-pack acme s", ["small"]),
        ("meterctl plan assign acme ", ["gold", "pro"]),
        ("meterctl plan show g", ["gold"]),
        ("meterctl --config missing.toml credit-pack acme ", []),
    ],
)
def test_commands_packs_and_plans_are_offered(run: Shell, line: str, words: list[str]) -> None:
    run.all("plan publish gold --quota 5")
    assert offered(line) == words


def test_a_store_that_cannot_be_asked_is_no_error(run: Shell) -> None:
    assert offered("meterctl plan show ", METERCTL_STORE="ftp://nowhere") == []
