"""The first hour: help, a first config, man pages, colours, and every command as data."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs.man.make import write as write_man_pages
from meterctl.cli import COMMANDS, SECTIONS
from meterctl.core.errors import REFUSALS, USAGE
from tests.acceptance.shell import Shell
from tests.acceptance.test_completion import offered
from tests.programs import needed

ROOT = Path(__file__).parents[2]


def test_every_command_stands_in_one_section_of_the_help(run: Shell) -> None:
    named = [name for names in SECTIONS.values() for name in names]
    assert len(named) == len(set(named))
    assert set(named) >= set(COMMANDS)
    shown = run("--help").out
    assert all(f"{title}:" in shown for title in SECTIONS)


@pytest.mark.parametrize("line", ["debit", "meter show", "config init", "report"])
def test_help_is_asked_for_in_three_ways(run: Shell, line: str) -> None:
    asked = run(f"{line} --help")
    assert (asked.code, asked.err) == (0, "")
    assert run(f"{line} -h") == run(f"help {line}") == asked
    assert run("help") == run("-h") == run("--help")


def test_help_on_no_command_is_a_usage_error(run: Shell) -> None:
    assert run("help debti").code == USAGE


def test_a_first_config_is_written_once_and_passes(run: Shell) -> None:
    path = run.place / "sub" / "first.toml"
    assert run(f"config init {path}").code == 0
    shown = run.doc(f"config show --config {path}")
    assert (shown["source"], shown["default_plan"], sorted(shown["packs"])) == (str(path), "free", ["large", "small"])
    again = run(f"config init {path}")
    assert (again.code, again.out) == (USAGE, "")
    assert "[file_exists]" in again.err
    assert run("config init").code == USAGE, "there is one here: it is left alone"


def test_the_first_config_is_the_example() -> None:
    packaged = (ROOT / "meterctl" / "config" / "first.toml").read_text("utf-8")
    assert packaged == (ROOT / "examples" / "meterctl.toml").read_text("utf-8")


def test_config_show_names_the_places_that_were_looked_at(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [place["found"] for place in run.doc("config show")["looked_at"]] == [True]
    monkeypatch.delenv("METERCTL_CONFIG")
    (run.place / "meterctl.toml").unlink()
    looked = run.doc("config show")["looked_at"]
    assert [(Path(place["path"]).name, place["found"]) for place in looked] == [("meterctl.toml", False)] * 2
    assert run("config init --user").code == 0
    shown = run.doc("config show")
    assert [place["found"] for place in shown["looked_at"]] == [False, True]
    assert shown["source"] == shown["looked_at"][1]["path"]


def test_every_command_is_described_as_data(run: Shell) -> None:
    document = run.doc("schema --commands")
    commands = {command["name"]: command for command in document["commands"]}
    assert {name.split()[0] for name in commands} == set(COMMANDS)
    debit = {parameter["flags"][-1]: parameter for parameter in commands["debit"]["parameters"]}
    assert debit["ORG"]["argument"]
    assert debit["--ref"]["value"] == "REF"
    assert commands["debit"]["writes"]
    assert not commands["balance"]["writes"]
    assert {reason["code"] for reason in document["reasons"]} == set(REFUSALS)
    assert [each["code"] for each in document["exit_codes"]] == [*range(11), 130]
    assert run("schema receipt --commands").code == USAGE


def test_every_flag_in_the_data_stands_in_the_help(run: Shell) -> None:
    for command in run.doc("schema --commands")["commands"]:
        shown = run(f"help {command['name']}").out
        for parameter in command["parameters"]:
            assert parameter["flags"][-1].split("|")[0] in shown, (command["name"], parameter)


def test_man_pages_render_without_a_warning(tmp_path: Path) -> None:
    groff = needed("groff")
    pages = write_man_pages(tmp_path)
    assert len(pages) > len(COMMANDS)
    for page in pages:
        ended = subprocess.run(
            [groff, "-man", "-ww", "-z", "-Tutf8", str(page)], capture_output=True, text=True, timeout=60, check=True
        )
        assert (ended.stdout, ended.stderr) == ("", ""), page


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("meterctl balance ac", ["acme"]),
        ("meterctl balance b", ["bolt"]),
        ("meterctl balance z", []),
        ("meterctl ledger acme --kind ref", ["refund"]),
        ("meterctl orgs --sort b", ["balance"]),
        ("meterctl report --by p", ["pack", "plan"]),
        ("meterctl balance -o m", ["markdown"]),
        ("meterctl statement acme -o h", ["hledger", "html"]),
        ("meterctl --profile st", ["staging"]),
        ("meterctl schema rec", ["receipt", "receipts", "reconcile"]),
    ],
)
def test_a_shell_is_offered_fitting_words(run: Shell, line: str, words: list[str]) -> None:
    run.config((run.place / "meterctl.toml").read_text() + "[profiles.staging]\nactor = 'x'\n")
    run.all("adjust acme 1 --ref a --reason x", "adjust bolt 1 --ref a --reason x")
    assert offered(line) == words


def test_zsh_gets_answers_in_its_own_form(run: Shell) -> None:
    run.all("adjust acme 1 --ref a --reason x")
    ended = subprocess.run(
        [sys.executable, "-m", "meterctl"],
        env=os.environ | {"_METERCTL_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "meterctl balance ac"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "_arguments" in ended.stdout
    assert "acme" in ended.stdout


def test_colours_come_where_they_are_asked_for(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    run.all("adjust acme 5 --ref a --reason x")
    assert "\x1b" not in run("balance acme").out + run("balance '!'").err
    monkeypatch.delenv("NO_COLOR")
    assert "\x1b" not in run("balance acme").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in run("balance acme").out
    assert run("balance '!'").err.startswith("\x1b[1;31merror [")
    assert "\x1b" not in run("balance acme --json").out
    json.loads(run("balance '!' --json").err)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run("balance acme").out


def test_the_glossary_has_each_word_once_and_in_order() -> None:
    lines = (ROOT / "docs" / "glossary.md").read_text("utf-8").splitlines()
    words = [line.split("|")[1].strip() for line in lines if line.startswith("| ")][2:]
    assert words == sorted(set(words))
    assert len(words) > 40
