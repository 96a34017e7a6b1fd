"""The help: every command says what it books, and shows examples that work as they stand."""

import gzip
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest
import typer

from meterctl import cli, commands
from meterctl.commands import catalogue
from meterctl.commands.options import SHARED, WRITING
from meterctl.core.errors import PARTIAL, REFUSALS, UNREACHABLE, USAGE
from tests.acceptance.shell import Shell, hold_lock

#: Runs a whole story of commands, each in a process of its own; it has a test of its own.
DEMO = "meterctl demo"

FOLDER = Path(commands.__file__).parent

#: Modules that hold no command.
HELPERS = {
    "click",
    "catalogue",
    "names",
    "__init__",
    "command",
    "completion",
    "confirmation",
    "feature_pairs",
    "options",
    "period_options",
    "sweep_options",
    "metrics",
}

BOOKS = re.compile(r"\b(Books (nothing|an?|every|what|the)|Stores|Changes nothing)\b")

#: What the examples refer to: always, and by a word in them.
PREPARED = [
    "plan publish pro --quota 500",
    "credit-pack acme small --session cs_1234",
    *(f"debit acme 1 --ref r{n}" for n in range(16)),
]
PREPARED_FOR = {
    "--reverse re_1": ["refund acme --session cs_1234 --cents 250 --refund-id re_1"],
    "meter release acme": ["meter hold acme 5 --ref job-9"],
    "undo acme --run job-9": ["meter attribute acme job-9 --units 5"],
    "reset-week acme --force": ["meter attribute acme run-1 --units 5"],
    "apply plan.ndjson": ["debit acme 1 --ref planned --plan-out plan.ndjson"],
    "--against november.seal": ["verify --all --seal november.seal"],
}

#: Ends of examples that call for something else than this program.
ELSEWHERE = re.compile(r"\s(&&|\||>)\s.*$")

#: Examples that need what only a user has, and how they end without it.
NEED_MORE = {
    "config init": USAGE,  # there is one
    "audit devkit --from mongodb://db/devkit --plan-out amends.ndjson": 10,
    "import devkit --from mongodb://db/devkit --dry-run": 10,
    "credit-pack --from-stripe cs_live_1234": UNREACHABLE,
    "refund --from-stripe re_3Q2x": UNREACHABLE,
    "reconcile stripe --since 7d": UNREACHABLE,
    "events --from-stripe --since 3d": UNREACHABLE,
    "reconcile stripe --plan-out mend.ndjson": UNREACHABLE,
    'events body.json --signature "t=1763,v1=5257..."': USAGE,
    "backfill november.ndjson.gz --results answers.ndjson": PARTIAL,
}


class Command(NamedTuple):
    """A command as it is typed, with its help text."""

    words: tuple[str, ...]
    text: str
    options: frozenset[str]


def leaves() -> Iterator[Command]:
    for name in cli.COMMANDS:
        found = typer.main.get_command(import_module(cli.MODULES[name]).app)
        named = getattr(found, "commands", None)
        for words, command in [((name, sub), c) for sub, c in named.items()] if named else [((name,), found)]:
            options = frozenset(option for parameter in command.params for option in parameter.opts)
            yield Command(words, command.help or "", options)


def all_examples() -> list[str]:
    """Out of the modules' text, so that one that cannot be imported fails its own test and not all of them."""
    lines = [line for path in sorted(FOLDER.glob("*.py")) for line in path.read_text("utf-8").splitlines()]
    return [line.strip() for line in lines if line.startswith("      meterctl ") and line.strip() != DEMO]


@pytest.fixture(scope="module")
def known() -> list[Command]:
    return list(leaves())


def test_every_module_is_a_command_and_every_command_a_module() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - HELPERS
    assert {cli.MODULES[name].rpartition(".")[2] for name in cli.COMMANDS} == files


def test_the_list_of_commands_says_what_each_command_says_of_itself(run: Shell) -> None:
    """The list stands apart from the modules so that ``--help`` imports none."""
    for name, line in cli.COMMANDS.items():
        usage, _, text = run(f"{name} --help").out.partition("\n\n")
        assert usage.startswith(f"Usage: meterctl {name} ")
        first = re.split(r"(?<=\.)\s", " ".join(text.split()))[0]
        assert first == line, name


def test_help_lists_every_command(run: Shell) -> None:
    answer = run("--help")
    assert answer.code == 0
    assert all(re.search(rf"^  {name} ", answer.out, re.MULTILINE) for name in cli.COMMANDS)


def test_help_ends_well_says_what_is_booked_and_shows_an_example(run: Shell, known: list[Command]) -> None:
    for command in known:
        answer = run(*command.words, "--help")
        assert (answer.code, answer.err) == (0, ""), command.words
        assert BOOKS.search(command.text), f"{command.words} does not say what it books"
        assert re.search(r"^Examples?:\n  meterctl ", command.text, re.MULTILINE), f"{command.words} has no example"
        assert " ".join(command.text.split())[:40] in " ".join(answer.out.split())


def test_every_command_has_the_shared_options(known: list[Command]) -> None:
    shared = {f"--{parameter.name}".replace("_", "-") for parameter in SHARED}
    writing = {f"--{parameter.name}".replace("_", "-") for parameter in WRITING}
    for command in known:
        assert shared <= command.options, command.words
        if re.search(r"\bBooks an?\b", command.text):
            assert writing <= command.options, command.words


def test_hints_name_commands_that_there_are() -> None:
    """In an error, in a refusal, and wherever else a hint is written."""
    hints = [hint for _, hint in REFUSALS.values()]
    for path in FOLDER.parent.rglob("*.py"):
        hints += re.findall(r'hint\b[^"\n]*"([^"\n]+)"', path.read_text("utf-8"))
    named = {word for hint in hints for word in re.findall(r"(?:^|: )meterctl ([a-z-]+)", hint)}
    assert len(named) > 5
    assert named <= set(cli.COMMANDS)


def test_groups_have_help_of_their_own(run: Shell) -> None:
    for group in ("meter", "plan", "lock", "config"):
        answer = run(group, "--help")
        assert answer.code == 0
        assert answer.out.startswith(f"Usage: meterctl {group} ")


@pytest.mark.parametrize("example", all_examples())
def test_an_example_works_as_it_stands(run: Shell, example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET"):
        monkeypatch.delenv(name, raising=False)
    run.all(*PREPARED, *(line for word, lines in PREPARED_FOR.items() if word in example for line in lines))
    if "lock break" in example:
        hold_lock(run)
    run.file("export.ndjson", run.journal())
    (run.place / "backup.ndjson.gz").write_bytes(gzip.compress(run.journal().encode()))
    run.all("--store sqlite:credits.db adjust other 5 --ref a1 --reason why")
    run.file("events.ndjson", "")
    run.file("lines.ndjson", '{"op": "debit", "org": "acme", "units": 1, "ref": "b1"}\n')
    payment = {"id": "order-77", "org": "acme", "pack": "small", "paid_cents": 500, "currency": "usd"}
    paid = json.dumps(payment | {"paid_at": "2026-11-10T10:00:00Z"})
    run.file("payments.ndjson", "")
    run.file("order-77.json", paid)
    (run.place / "november.ndjson.gz").write_bytes(gzip.compress(b'{"op": "plan", "org": "acme"}\n'))
    run.file("usage.csv", "op,org,run,units,at\nattribute,acme,run-7,5,2026-11-16 09:30\n")
    line = ELSEWHERE.sub("", example.removeprefix("meterctl "))
    line = re.sub(r" --store mongodb://\S+", "", line)
    expected = NEED_MORE.get(line, 0)
    line = re.sub(r"mongodb://\S+", r"\g<0>?timeoutMS=200", line)  # there is no server: do not wait ten seconds for it
    line = re.sub(r"/var/lib/\S+/", f"{run.place}/", line)
    answer = run(*shlex.split(line))
    assert answer.code == expected, (line, answer)


def test_the_demo_tells_its_story_and_leaves_no_trace(run: Shell) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", *DEMO.split()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COLUMNS": "130"},
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    commands = (
        "plan publish",
        "plan assign",
        "credit-pack",
        "adjust",
        "meter hold",
        "meter attribute",
        "undo",
        "refund",
    )
    for command in (*commands, "lot extend", "lot void", "lot list", "expire", "explain", "ledger", "verify"):
        assert f"$ meterctl {command}" in ended.stdout
    for words in ("run-1 let go, 400 units", "lot 3: 200, lot 2: 20", "takes back entry 6", "voided"):
        assert words in " ".join(ended.stdout.split()), words
    assert "✓ all checks hold: 13 entries of 1 org" in ended.stdout
    assert len(ended.stdout.splitlines()) < 150
    assert not list(run.place.glob("*.db*"))


def test_an_author_is_offered_to_writes_only() -> None:
    for command in catalogue.commands():
        offered = any("--actor" in parameter["flags"] for parameter in command["parameters"])
        assert offered is command["writes"], command["name"]
