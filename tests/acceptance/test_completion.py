"""What a shell offers while a line is being typed."""

import os
import shlex
import subprocess
import sys
import time

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


def test_packs_need_no_store(run: Shell) -> None:
    assert offered("meterctl credit-pack acme s", METERCTL_STORE="sqlite:missing/x.db") == ["small"]


def test_a_store_that_cannot_be_asked_is_no_error(run: Shell) -> None:
    assert offered("meterctl plan show ", METERCTL_STORE="ftp://nowhere") == []


STORY = (
    "credit-pack acme small --session cs_1 --name pi_1",
    "adjust acme 50 --ref gift-1 --reason gift",
    "adjust acme 5 --ref void-me --reason gift",
    "lot void acme 3 --ref v-1 --reason over --yes",
    "debit acme 5 --ref order-1",
    "meter hold acme 10 --ref job-1",
    "meter hold acme 10 --ref job-2",
    "meter release acme --ref job-2",
    "meter attribute acme run-1 --step fetch --units 3",
    "meter attribute acme run-1 --step parse --units 3",
    "meter attribute acme run-2 --units 3",
    "refund acme --session cs_1 --cents 5 --refund-id re_1",
    "adjust auth0|5 1 --ref r --reason x",
    "credit-pack bolt small --session cs_2",
)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("balance ", ["acme", r"auth0\|5", "bolt"]),
        ("balance a", ["acme", r"auth0\|5"]),
        (r"balance auth0\|", [r"auth0\|5"]),
        ("refund b", ["bolt"]),
        ("verify b", ["bolt"]),
        ("expire b", ["bolt"]),
        ("export b", ["bolt"]),
        ("meter alerts b", ["bolt"]),
        ("credit-pack b", ["bolt"]),
        ("lot extend acme ", ["1", "2"]),
        ("lot void acme ", ["1", "2"]),
        ("lot void bolt ", ["1"]),
        ("lot void nobody ", []),
        ("lot extend acme 1 --expires n", ["never"]),
        ("adjust acme -1 --lot ", ["1", "2"]),
        ("meter release acme --ref ", ["job-1"]),
        ("meter attribute acme run-3 --hold j", ["job-1"]),
        ("undo acme --run ", ["run-1", "run-2"]),
        ("undo acme --run run-1 --step ", ["fetch", "parse"]),
        ("undo acme --ref ", ["gift-1", "order-1", "v-1", "void-me"]),
        ("undo acme --session ", ["cs_1", "pi_1"]),
        ("refund acme --session c", ["cs_1"]),
        ("refund acme --reverse ", ["re_1"]),
        ("ledger acme --run ", ["run-1", "run-2"]),
        ("ledger acme --kind ho", ["hold"]),
        ("plan assign acme pro --from ", ["30d", "7d", "next-week"]),
        ("schema lo", ["lock", "locks", "lots"]),
    ],
)
def test_names_in_the_journal_are_offered(run: Shell, line: str, words: list[str]) -> None:
    run.all(*STORY)
    assert offered(f"meterctl {line}") == words


def test_words_that_a_shell_would_run_are_quoted(run: Shell) -> None:
    run("debit", "acme", "5", "--allow-debt", "--yes", "--ref", "$(touch${IFS}x);a&'b'")
    words = offered("meterctl undo acme --ref ")
    assert [shlex.split(word) for word in words] == [["$(touch${IFS}x);a&'b'"]]
    echoed = subprocess.run(["bash", "-c", f"echo {words[0]}"], capture_output=True, text=True, check=True)
    assert echoed.stdout == "$(touch${IFS}x);a&'b'\n"


NOT_THERE = ["sqlite:missing/x.db", "sqlite:x.db", "mongodb://192.0.2.1", "mongodb://127.0.0.1:1"]
WORDS = ["balance ", "lot void acme ", "undo acme --run ", "plan show "]


# A server takes the whole patience each time: every store once, and every word where nothing answers at once.
@pytest.mark.parametrize(
    ("line", "store"), [*((WORDS[0], store) for store in NOT_THERE), *((line, NOT_THERE[-1]) for line in WORDS[1:])]
)
def test_a_store_that_is_not_there_offers_nothing_soon(run: Shell, line: str, store: str) -> None:
    began = time.monotonic()
    assert offered(f"meterctl {line}", METERCTL_STORE=store) == []
    assert time.monotonic() - began < 8  # the patience, and a start on a busy machine
    assert not list(run.place.glob("x.db*"))
