"""README.md: its commands, run as they stand, answer what it shows; its commands and pages are there.

To write the answers anew: METERCTL_WRITE_DOCS=1.
"""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from meterctl.cli import COMMANDS
from tests.acceptance.shell import Shell, without_clock

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "README.md"
SCREEN = 50
BLOCK = re.compile(r"<!-- play (\S+) -->\n```console\n(.*?)```\n", re.DOTALL)


@pytest.fixture
def desk(run: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    for name, value in {"METERCTL_ACTOR": "mia", "COLUMNS": "100", "TZ": "UTC"}.items():
        monkeypatch.setenv(name, value)
    time.tzset()
    run.config((ROOT / "examples" / "meterctl.toml").read_text(encoding="utf-8"))
    yield run
    monkeypatch.undo()
    time.tzset()


def test_the_tour_shows_what_the_commands_answer(desk: Shell) -> None:
    page = PAGE.read_text(encoding="utf-8")

    def replayed(found: re.Match[str]) -> str:
        shown = ""
        for line in re.findall(r"^\$ meterctl (.*)$", found[2], re.MULTILINE):
            answer = desk(line, now=found[1])
            assert answer.code == 0, (line, answer)
            shown += f"$ meterctl {line}\n{_same_every_time(without_clock(answer.err + answer.out))}"
        return f"<!-- play {found[1]} -->\n```console\n{shown}```\n"

    now = BLOCK.sub(replayed, page)
    if os.environ.get("METERCTL_WRITE_DOCS"):
        PAGE.write_text(now, encoding="utf-8")
        page = now
    assert now == page
    assert len(BLOCK.findall(page)) == 9


def test_every_section_fits_on_a_screen() -> None:
    sections = PAGE.read_text(encoding="utf-8").split("\n## ")
    assert [section.splitlines()[0] for section in sections if section.count("\n") > SCREEN] == []


def _same_every_time(text: str) -> str:
    """What was measured, and the hash that depends on it, stand for those of any run."""
    text = re.sub(r"(took +|in )[0-9.]+ m?s\b", r"\g<1>0.1 s", text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def test_the_readme_names_every_command_and_only_pages_that_exist() -> None:
    page = PAGE.read_text(encoding="utf-8")
    _, _, commands = page.partition("## Commands")
    named = set(re.findall(r"`([a-z-]+)`", commands.partition("Every command")[0]))
    assert set(COMMANDS) <= named
    for link in re.findall(r"\]\(([^)#:]+)\)", page):
        assert (ROOT / link).exists(), link
