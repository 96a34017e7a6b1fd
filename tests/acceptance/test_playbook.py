"""docs/playbook.md: each situation is solved with at most two commands, and they answer what it shows. So does the
example in docs/plans.md.

To write their answers anew: METERCTL_WRITE_DOCS=1.
"""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.shell import Shell, without_clock

ROOT = Path(__file__).parents[2]
PAGE, PLANS = ROOT / "docs" / "playbook.md", ROOT / "docs" / "plans.md"

BLOCK = re.compile(r"```console\n(.*?)```\n", re.DOTALL)
NOW = "2026-11-22T10:00:00Z"

#: What happened before each situation: when, and by which command.
STORIES: dict[str, list[tuple[str, str]]] = {
    "Cut off with a balance": [
        ("2026-11-02T09:00Z", "credit-pack acme small --session cs_1001"),
        ("2026-11-17T08:00Z", "meter attribute acme run-1 --units 90"),
        ("2026-11-20T11:00Z", "meter attribute acme run-2 --units 700"),
    ],
    "The pack is gone": [
        ("2026-08-20T09:00Z", "credit-pack acme small --session cs_1501"),
        ("2026-08-21T09:00Z", "debit acme 160 --ref import-1"),
        ("2026-09-14T09:00Z", "debit acme 200 --ref import-2"),
        ("2026-11-19T00:05Z", "expire --all"),
    ],
    "Refunded twice?": [
        ("2026-11-09T12:00Z", "credit-pack acme small --session cs_2001"),
        ("2026-11-12T12:00Z", "refund acme --session cs_2001 --cents 250 --refund-id re_2001"),
        ("2026-11-12T12:01Z", "refund acme --session cs_2001 --cents 250 --refund-id re_2001"),
        ("2026-11-13T09:30Z", "refund acme --session cs_2001 --cents 250 --refund-id re_2002"),
    ],
    "Wrong org credited": [
        ("2026-11-20T15:30Z", "credit-pack bolt small --session cs_3001 --actor kim"),
    ],
    "The overflow bill": [
        ("2026-11-03T09:00Z", "credit-pack acme small --session cs_3501"),
        ("2026-11-16T08:00Z", "meter attribute acme run-7 --cost llm=0.060"),
        ("2026-11-17T10:20Z", "meter attribute acme run-8 --cost llm=0.095 --cost search=0.012"),
        ("2026-11-19T16:45Z", "meter attribute acme run-9 --cost llm=0.130"),
    ],
    "The week was not reset": [
        ("2026-11-04T09:00Z", "meter attribute acme run-1 --units 60"),
        ("2026-11-12T09:00Z", "meter attribute acme run-2 --units 195"),
        ("2026-11-16T00:05Z", "reset-week --all"),
        ("2026-11-17T09:00Z", "meter attribute acme run-3 --units 5"),
    ],
    "The dispute was won": [
        ("2026-10-26T09:00Z", "credit-pack acme small --session cs_4001"),
        ("2026-10-30T09:00Z", "debit acme 300 --ref export-5"),
        ("2026-11-06T07:00Z", "refund acme --session cs_4001 --cents 500 --refund-id dp_4001"),
    ],
    "Negative balance": [
        ("2026-10-19T09:00Z", "credit-pack acme small --session cs_5001"),
        ("2026-10-20T09:00Z", "debit acme 950 --ref export-6"),
        ("2026-11-10T14:00Z", "refund acme --session cs_5001 --cents 500 --refund-id re_5001"),
        ("2026-11-18T09:00Z", "meter attribute acme run-4 --units 120"),
        ("2026-11-18T09:00Z", "debit bolt 40 --ref export-7 --allow-debt --yes"),
    ],
    "Expiring next week": [
        ("2026-08-27T09:00Z", "credit-pack acme small --session cs_6001"),
        ("2026-10-01T09:00Z", "debit acme 220 --ref export-8"),
        ("2026-11-15T09:00Z", "credit-pack acme large --session cs_6002"),
        ("2026-08-29T18:00Z", "credit-pack bolt small --session cs_6003"),
        ("2026-11-15T09:00Z", "credit-pack cafe large --session cs_6004"),
    ],
    "Who did this?": [
        ("2026-11-05T09:00Z", "credit-pack acme small --session cs_7001 --actor webhook"),
        ("2026-11-18T13:00Z", "debit acme 25 --ref order-31 --actor shop"),
        ("2026-11-19T16:40Z", 'adjust acme -500 --ref fix-9 --reason "double import" --actor kim'),
    ],
}


def sections() -> dict[str, str]:
    """The page's sections by their titles."""
    _, *found = re.split(r"^## (.*)\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(found[::2], found[1::2], strict=True))


@pytest.fixture
def play(run: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """Mia's desk."""
    for name, value in {"METERCTL_NOW": NOW, "METERCTL_ACTOR": "mia", "COLUMNS": "100", "TZ": "UTC"}.items():
        monkeypatch.setenv(name, value)
    time.tzset()
    run.config((ROOT / "examples" / "meterctl.toml").read_text(encoding="utf-8"))
    run.all("plan publish --from-config --effective-from 2026-08-01", now="2026-08-01T00:00Z")
    yield run
    monkeypatch.undo()
    time.tzset()


def played(run: Shell, block: str) -> str:
    """A block's commands, with what they answer now."""
    shown = []
    for line in re.findall(r"^\$ meterctl (.*)$", block, re.MULTILINE):
        answer = run(line)
        assert answer.code in (0, 4), (line, answer)
        shown.append(f"$ meterctl {line}\n{without_clock(answer.err + answer.out)}")
    return re.sub(r"took( +)[0-9.]+ s", r"took\g<1>0.01 s", "\n".join(shown))


def compare(page: Path, text: str, run: Shell) -> None:
    """That the commands in ``text``, which is a part of ``page``, answer what it shows."""
    shown = BLOCK.sub(lambda block: f"```console\n{played(run, block[1])}```\n", text)
    if os.environ.get("METERCTL_WRITE_DOCS"):
        page.write_text(page.read_text(encoding="utf-8").replace(text, shown), encoding="utf-8")
    assert shown == text


@pytest.mark.parametrize("title", STORIES)
def test_the_page_shows_what_the_commands_answer(play: Shell, title: str) -> None:
    for now, line in STORIES[title]:
        play.all(line, now=now)
    compare(PAGE, sections()[title], play)
    assert play("verify --all").code == 0


def test_the_page_has_every_situation_with_at_most_two_commands() -> None:
    found = sections()
    assert list(found) == list(STORIES)
    assert len(found) == 10
    for title, text in found.items():
        assert 1 <= text.count("$ meterctl ") <= 2, title
        assert text.count("$ meterctl ") == len(BLOCK.findall(text)), title


def test_the_example_of_a_plan_answers_what_it_shows(play: Shell) -> None:
    play.all("credit-pack acme small --session cs_8001", "debit acme 50 --ref order-31")
    compare(PLANS, PLANS.read_text(encoding="utf-8"), play)
