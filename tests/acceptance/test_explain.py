"""``explain`` through the command line: figures for scripts, words for people, the same on every store."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.acceptance.shell import NEXT_MONDAY, Shell

STORY = [
    "plan publish pro --quota 500",
    "plan assign acme pro --ref p1",
    "credit-pack acme small --session s1",
    "debit acme 120 --ref r1",
    "refund acme --session s1 --cents 100 --refund-id re1",
    'adjust acme 50 --ref a1 --reason "outage \x1b[31m"',
    "meter attribute acme run1 --units 1300",
]


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Somewhere east of Greenwich, where midnight UTC is no midnight."""
    monkeypatch.setenv("TZ", "EST-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_the_figures_are_the_same_on_every_store(run_anywhere: Shell) -> None:
    run_anywhere.all(*STORY)
    facts = run_anywhere.doc("explain acme")
    balance = run_anywhere.doc("balance acme")
    meter = run_anywhere.doc("meter show acme")
    assert (facts["allowed"], facts["available"]) == (meter["allowed"], meter["available"]) == (False, -70)
    assert facts["sum"]["balance"] == balance["balance"] == -70
    assert facts["sum"]["missing"] == 71
    assert (facts["debt"]["overage"], facts["debt"]["since_seq"], facts["debt"]["seqs"]["overage"]) == (70, 6, [6])
    lots = {lot["id"]: {name: lot[name] for name in ("units", "used", "clawed", "left")} for lot in facts["lots"]}
    assert lots == {
        2: {"units": 1000, "used": 800, "clawed": 200, "left": 0},
        5: {"units": 50, "used": 50, "clawed": 0, "left": 0},
    }
    assert facts["allowed_again"] == {"at": NEXT_MONDAY, "available": 430, "quota": 500}
    assert run_anywhere.doc("explain acme", now=NEXT_MONDAY)["available"] == 430


def test_explaining_books_nothing(run: Shell) -> None:
    run.all(*STORY)
    journal = run.journal()
    for words in ("acme", "nobody", "acme --as-of 2027-01-01"):
        assert run("explain", *words.split(), now="2026-12-24").code == 0
    assert run.journal() == journal


def test_people_get_sentences_the_sum_the_lots_and_what_comes(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    run.all(*STORY)
    monkeypatch.setenv("COLUMNS", "160")
    shown = run("explain acme").out
    for said in run.doc("explain acme")["said"]:
        assert said in " ".join(shown.split())
    assert "✗ may not run" in shown
    assert "used 3, 6; clawed 4" in shown
    assert "overage" in shown
    assert "\x1b" not in shown
    assert "outage \\x1b[31m" in shown
    assert "here" not in shown


@pytest.mark.usefixtures("zone")
def test_people_see_their_own_clock_beside_utc_and_scripts_only_utc(
    run: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.all(*STORY)
    monkeypatch.setenv("COLUMNS", "160")
    shown = run("explain acme").out
    assert "2026-11-16 12:00 UTC (2026-11-16 21:00 EST)" in shown
    assert "2026-11-23 09:00 EST" in shown
    document = json.dumps(run.doc("explain acme"))
    assert "EST" not in document
    assert "+09" not in document


@pytest.mark.parametrize("output", ["markdown", "plain", "csv", "ndjson"])
def test_every_format_has_the_answer(run: Shell, output: str) -> None:
    run.all(*STORY)
    answer = run(f"explain acme -o {output}")
    assert (answer.code, "-70 units are available" in answer.out) == (0, True)


def test_a_narrow_terminal_keeps_what_matters(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    run.all(*STORY)
    monkeypatch.setenv("COLUMNS", "60")
    shown = run("explain acme").out
    assert max(map(len, shown.splitlines())) <= 60
    assert "hidden columns:" in shown
    assert "= available" in shown


def test_an_earlier_instant_is_echoed_and_explained(run: Shell) -> None:
    run.all(*STORY)
    run.all("debit acme 10 --ref r2 --allow-debt --yes", now="2026-11-18T12:00:00Z")
    answer = run("explain acme --as-of 2026-11-17", now="2026-11-18T12:00:00Z")
    assert "as of 2026-11-17T00:00:00.000Z" in answer.err
    assert "-70 units are available" in answer.out
    assert "-80 units are available" in run("explain acme", now="2026-11-18T12:00:00Z").out


@pytest.mark.parametrize("words", ["explain", "explain a,b", "explain acme --as-of someday", "explain acme more"])
def test_what_cannot_be_explained_is_2(run: Shell, words: str) -> None:
    assert run.json(words).code == 2
