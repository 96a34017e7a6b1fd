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
    "The statement of October": [
        ("2026-09-20T09:00Z", "credit-pack acme small --session cs_8101"),
        ("2026-10-02T09:00Z", "credit-pack acme large --session cs_8102"),
        ("2026-10-06T08:00Z", "meter attribute acme run-1 --cost llm=0.24 --cost search=0.06"),
        ("2026-10-14T08:00Z", "meter attribute acme run-2 --cost llm=0.31"),
        ("2026-10-19T15:00Z", "adjust acme 250 --ref ticket-5120 --reason 'outage of 17 October' --expires 2027-01-01"),
        ("2026-10-28T12:00Z", "refund acme --session cs_8101 --cents 200 --refund-id re_8101"),
        ("2026-11-03T08:00Z", "meter attribute acme run-3 --cost llm=0.12"),
    ],
    "Who gave credits last week?": [
        ("2026-11-08T09:00Z", "adjust acme 100 --ref t-1 --reason 'TCK-611 late invoice' --actor mia"),
        ("2026-11-10T09:00Z", "adjust acme 500 --ref t-2 --reason 'TCK-615 goodwill' --actor kim"),
        ("2026-11-12T16:00Z", "adjust bolt 40 --ref t-3 --reason 'TCK-618 failed runs' --actor mia"),
        ("2026-11-13T16:00Z", "adjust cafe 5000 --ref t-4 --reason 'asked by phone' --actor kim"),
        ("2026-11-16T09:00Z", "adjust bolt 10 --ref t-5 --reason 'TCK-622 failed run' --actor mia"),
    ],
    "Who is cut off now?": [
        ("2026-11-05T09:00Z", "credit-pack acme small --session cs_8201"),
        ("2026-11-17T09:00Z", "meter attribute bolt run-1 --units 100"),
        ("2026-11-18T09:00Z", "meter attribute cafe run-1 --units 60"),
        ("2026-11-19T09:00Z", "meter attribute dune run-1 --units 130"),
    ],
    "Who was cut off yesterday?": [
        ("2026-11-20T09:00Z", "meter attribute acme run-1 --units 100"),
        ("2026-11-21T20:00Z", "credit-pack acme small --session cs_8301"),
        ("2026-11-21T09:00Z", "meter attribute bolt run-1 --units 70"),
    ],
    "What expires next week is worth how much?": [
        ("2026-08-27T09:00Z", "credit-pack acme small --session cs_8401"),
        ("2026-10-01T09:00Z", "debit acme 220 --ref export-8"),
        ("2026-08-29T18:00Z", "credit-pack bolt small --session cs_8402"),
        ("2026-11-10T09:00Z", "adjust bolt 300 --ref t-1 --reason 'TCK-615 goodwill' --expires 2026-11-27T00:00Z"),
        ("2026-11-15T09:00Z", "credit-pack cafe large --session cs_8403"),
    ],
    "300 units vanished on Monday": [
        ("2026-10-02T09:00Z", "adjust acme 500 --ref trial-1 --reason 'trial' --expires 2026-11-16T09:00Z"),
        ("2026-10-20T09:00Z", "debit acme 200 --ref import-1"),
        ("2026-11-01T09:00Z", "credit-pack acme small --session cs_8501"),
    ],
    "Charged twice": [
        ("2026-11-19T10:02Z", "credit-pack acme small --session cs_8601"),
        ("2026-11-19T10:03Z", "credit-pack acme small --session cs_8602"),
        ("2026-11-20T08:00Z", "debit acme 150 --ref export-2"),
    ],
    "What do we owe our customers at the end of the year?": [
        ("2025-10-12T09:00Z", "credit-pack acme small --session cs_8701"),
        ("2025-11-20T09:00Z", "debit acme 400 --ref export-1"),
        ("2025-12-03T09:00Z", "credit-pack bolt large --session cs_8702"),
        ("2025-12-20T09:00Z", "meter attribute bolt run-1 --units 3100"),
        ("2025-12-28T09:00Z", "adjust cafe 200 --ref t-1 --reason 'trial'"),
        ("2026-02-01T09:00Z", "debit bolt 2000 --ref export-2"),
    ],
    "A run was metered wrongly": [
        ("2026-11-10T09:00Z", "credit-pack acme small --session cs_8801"),
        ("2026-11-17T08:00Z", "meter attribute acme run-1 --units 90"),
        ("2026-11-20T11:00Z", "meter attribute acme run-2 --units 700"),
    ],
    "Extend a pack": [
        ("2026-08-27T09:00Z", "credit-pack acme small --session cs_8901"),
        ("2026-10-01T09:00Z", "debit acme 220 --ref export-8"),
    ],
    "Void a promotion": [
        ("2026-11-02T09:00Z", "credit-pack acme small --session cs_9001"),
        ("2026-11-05T09:00Z", "adjust acme 500 --ref promo-11 --reason 'autumn promotion' --priority 10"),
        ("2026-11-12T09:00Z", "debit acme 120 --ref export-9"),
    ],
    "Downgrade next Monday": [
        ("2026-11-02T09:00Z", "plan assign acme pro --ref sub-1"),
        ("2026-11-17T09:00Z", "meter attribute acme run-1 --units 40"),
    ],
    "Give a new quota to this week": [
        ("2026-11-02T09:00Z", "plan assign acme pro --ref sub-1"),
        ("2026-11-17T09:00Z", "meter attribute acme run-1 --units 40"),
    ],
    "Refund the unused part": [
        ("2026-11-09T12:00Z", "credit-pack acme small --session cs_9101"),
        ("2026-11-12T12:00Z", "debit acme 330 --ref export-10"),
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
    assert len(found) == 24
    for title, text in found.items():
        assert 1 <= text.count("$ meterctl ") <= 2, title
        assert text.count("$ meterctl ") == len(BLOCK.findall(text)), title


def test_the_example_of_a_plan_answers_what_it_shows(play: Shell) -> None:
    play.all("credit-pack acme small --session cs_8001", "debit acme 50 --ref order-31")
    compare(PLANS, PLANS.read_text(encoding="utf-8"), play)
