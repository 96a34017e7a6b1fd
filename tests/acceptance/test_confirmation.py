"""Asking before a write: never in a pipe, always on a terminal, and with stronger words where it is worth them."""

import json
import shlex

import pytest

from tests.acceptance.shell import Shell
from tests.acceptance.terminal import at_terminal

BEFORE = [
    "credit-pack acme small --session s1",
    "debit acme 10 --ref r1",
    "meter attribute acme run1 --units 5",
]

#: Not without a yes, where nobody can be asked.
GRAVE = {
    "debit into debt": "debit acme 5000 --ref r2 --allow-debt",
    "adjustment into debt": "adjust acme -5000 --ref a1 --reason why --allow-debt",
    "undo": "undo acme 2 --reason why",
    "forced reset": "reset-week acme --force --ref f1 --reason why",
}

PLAIN = ["debit acme 5 --ref r2", "credit-pack acme small --session s2", "adjust acme -5 --ref a1 --reason why"]


@pytest.mark.parametrize("case", GRAVE)
def test_in_a_pipe_it_needs_a_yes(run: Shell, case: str) -> None:
    run.all(*BEFORE)
    journal = run.journal()
    answer = run.json(GRAVE[case])
    assert (answer.code, answer.error["code"]) == (2, "confirmation_required")
    assert "--yes" in answer.error["hint"]
    assert run.journal() == journal
    assert run.doc(f"{GRAVE[case]} --dry-run")["status"] == "planned"
    assert run.doc(f"{GRAVE[case]} --yes")["status"] == "applied"


@pytest.mark.parametrize("line", [*PLAIN, "adjust acme 5 --ref a1 --reason why --allow-debt"])
def test_in_a_pipe_nothing_is_asked(run: Shell, line: str) -> None:
    run.all(*BEFORE)
    assert run.doc(line)["status"] == "applied"


@pytest.mark.parametrize("line", [PLAIN[0], GRAVE["debit into debt"]])
@pytest.mark.parametrize("answer", ["n\n", "\x04"], ids=["no", "end of input"])
def test_on_a_terminal_a_no_books_nothing(run: Shell, line: str, answer: str) -> None:
    run.all(*BEFORE)
    journal = run.journal()
    asked = "Type the org's id" if "--allow-debt" in line else "Book this?"
    ended, screen = at_terminal(run, line.split(), asked=asked, answer=answer)
    assert (ended.code, ended.out.strip()) == (130, ""), screen
    assert screen.splitlines()[-1] == "error [cancelled]: not confirmed: nothing was booked"
    assert run.journal() == journal


def test_on_a_terminal_it_shows_what_would_be_booked_and_a_yes_books_it(run: Shell) -> None:
    run.all(*BEFORE)
    ended, screen = at_terminal(run, [*PLAIN[0].split(), "--json"], asked="Book this?", answer="y\n")
    assert ended.code == 0, screen
    assert json.loads(ended.out)["status"] == "applied"
    assert "acme" in screen
    assert "980" in screen


def test_a_grave_write_wants_the_name_of_the_org(run: Shell) -> None:
    run.all(*BEFORE)
    words = GRAVE["undo"].split()
    refused, _ = at_terminal(run, words, asked="Type the org's id", answer="yes\n")
    assert refused.code == 130
    assert run.doc("balance acme")["balance"] == 985
    agreed, screen = at_terminal(run, [*words, "--json"], asked="Type the org's id", answer="acme\n")
    assert agreed.code == 0, screen
    assert json.loads(agreed.out)["status"] == "applied"


def test_with_a_yes_and_on_a_dry_run_a_terminal_is_not_asked(run: Shell) -> None:
    run.all(*BEFORE)
    for option, status in (("--dry-run", "planned"), ("--yes", "applied")):
        ended, screen = at_terminal(run, [*PLAIN[0].split(), "--json", option], asked="", answer="")
        assert json.loads(ended.out)["status"] == status
        assert "Book this?" not in screen


def test_what_would_not_be_booked_is_not_asked(run: Shell) -> None:
    run.all(*BEFORE)
    ended, screen = at_terminal(run, ["debit", "acme", "5000", "--ref", "r2", "--json"], asked="", answer="")
    assert (ended.code, json.loads(ended.out)["reason"]) == (4, "insufficient_balance")
    assert "Book this?" not in screen


#: What books without being shown entry by entry, and what it asks.
AS_A_WHOLE = {
    "backfill lines.ndjson": "Book the operations in lines.ndjson?",
    "plan publish pro --quota 700": "Publish this, for every org on the plan?",
}


@pytest.mark.parametrize("line", AS_A_WHOLE)
def test_what_books_as_a_whole_is_asked_for_as_a_whole(run: Shell, line: str) -> None:
    run.all(*BEFORE)
    run.file("lines.ndjson", '{"op": "debit", "org": "acme", "units": 5, "ref": "b1"}\n')
    before = (run.journal(), run.doc("plan list"))
    ended, screen = at_terminal(run, line.split(), asked=AS_A_WHOLE[line], answer="n\n")
    assert (ended.code, ended.out.strip()) == (130, ""), screen
    assert "tester" in screen
    assert (run.journal(), run.doc("plan list")) == before
    ended, screen = at_terminal(run, line.split(), asked=AS_A_WHOLE[line], answer="y\n")
    assert ended.code == 0, screen
    assert (run.journal(), run.doc("plan list")) != before
    ended, screen = at_terminal(run, [*line.split(), "--yes"], asked="", answer="")
    assert (ended.code, AS_A_WHOLE[line] in screen) == (0, False)


def test_grave_words_say_what_is_at_stake(run: Shell) -> None:
    run.all(*BEFORE)
    said = {
        "debit into debt": "puts acme 4,015 units into debt",
        "undo": "takes back entry 2 of acme: debit of -10 units, booked by tester on 2026-11-16",
        "forced reset": "ends week 2026-W47 of acme now",
    }
    for case, words in said.items():
        _, screen = at_terminal(run, shlex.split(GRAVE[case]), asked="Type the org's id", answer="no\n")
        assert words in screen


def test_debt_that_would_not_be_made_is_a_plain_question(run: Shell) -> None:
    run.all(*BEFORE)
    words = ["debit", "acme", "5", "--ref", "r2", "--allow-debt"]
    ended, screen = at_terminal(run, words, asked="Book this?", answer="y\n")
    assert ended.code == 0, screen


def test_the_demo_asks_nothing_and_takes_nothing_from_the_settings_of_the_caller(run: Shell) -> None:
    run.setenv("METERCTL_PROFILE", "prod")  # which the story's config does not have
    ended, screen = at_terminal(run, ["demo"], asked="", answer="")
    assert ended.code == 0, screen
    assert "Book this?" not in ended.out + screen


def test_a_confirmed_write_answers_in_one_line(run: Shell) -> None:
    """The whole receipt was on the screen a moment ago, with the question."""
    run.all(*BEFORE)
    ended, screen = at_terminal(run, PLAIN[0].split(), asked="Book this?", answer="y\n")
    assert ended.out.split("\n")[-2].strip() == "✓ booked: debit acme, entry 4, balance 985 → 980", screen
    assert len(ended.out.splitlines()) <= 2
    assert "key" in screen
    ended, _ = at_terminal(run, ["debit", "acme", "5", "--ref", "r3", "--yes"], asked="", answer="")
    assert len(ended.out.splitlines()) > 3, "nobody saw it before"
