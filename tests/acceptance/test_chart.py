"""``ledger --chart``: the balance over time, against the journal it is drawn from."""

import json

import pytest

from meterctl.core.errors import USAGE
from tests.acceptance.shell import EARLIER, MONDAY, NEXT_MONDAY, NOW, Shell

#: Up, down below zero and up again, all within minutes; then a lot that expires by itself.
STORY = [
    ("2026-11-14T09:00Z", "credit-pack acme small --session s1"),
    ("2026-11-14T09:01Z", "debit acme 1400 --ref r1 --allow-debt --yes"),
    ("2026-11-14T09:02Z", "adjust acme 900 --ref a1 --reason why"),
    ("2026-11-14T10:00Z", "plan publish pro --quota 5"),
    ("2026-11-14T10:00Z", "plan assign acme pro --ref p1"),
    ("2026-11-15T12:00Z", "credit-pack acme brief --session s2"),
]


def told(run: Shell) -> None:
    for now, line in STORY:
        run.all(line, now=now)


def test_the_points_are_the_balances_of_the_journal(run_anywhere: Shell) -> None:
    told(run_anywhere)
    chart = run_anywhere.doc("ledger acme --chart")
    assert (chart["since"], chart["until"]) == ("2026-11-14T09:00:00.000Z", NOW)
    assert [(point["seq"], point["low"], point["high"], point["balance"]) for point in chart["points"]] == [
        (3, -400, 1000, 500),
        (5, 600, 600, 600),
        (6, 500, 500, 500),
    ]
    assert chart["points"][-1]["pending"] is True
    assert (chart["lowest"]["seq"], chart["lowest"]["balance"]) == (2, -400)
    assert (chart["highest"]["seq"], chart["highest"]["balance"]) == (1, 1000)
    assert chart["balance"] == run_anywhere.doc("balance acme")["balance"] == 500


def test_what_is_due_counts_as_if_it_were_booked(run: Shell) -> None:
    told(run)
    before = run.doc("ledger acme --chart --until now")
    run.all("expire --all")
    after = run.doc("ledger acme --chart --until now")
    before["points"][-1]["pending"] = False
    assert before == after


def test_a_span_opens_with_the_balance_at_its_start(run: Shell) -> None:
    told(run)
    chart = run.doc(f"ledger acme --chart --since 2026-11-14T09:01:30Z --until {EARLIER}")
    assert [(point["at"], point["balance"]) for point in chart["points"]] == [
        ("2026-11-14T09:02:00.000Z", 500),
    ]
    assert chart["points"][0]["low"] == -400, "the debt it opened with"
    later = run.doc(f"ledger acme --chart --since {MONDAY}")
    assert [(point["at"], point["balance"], point["seq"]) for point in later["points"]] == [
        (MONDAY, 600, 5),
        ("2026-11-16T12:00:00.000Z", 500, 6),
    ]
    assert later["lowest"]["balance"] == 500


def test_until_is_now_at_most(run: Shell) -> None:
    told(run)
    assert run.doc(f"ledger acme --chart --until {NEXT_MONDAY}")["until"] == NOW
    nothing = run.doc("ledger acme --chart --until 2026-11-01")
    assert (nothing["points"], nothing["balance"], nothing["lowest"]) == ([], 0, None)


@pytest.mark.parametrize("line", ["--since 2026-11-17", "--since now"])
def test_a_span_without_any_time_is_refused(run: Shell, line: str) -> None:
    answer = run.json(f"ledger acme --chart {line}")
    assert (answer.code, answer.error["code"]) == (USAGE, "bad_input")


@pytest.mark.parametrize(
    "option",
    ["--kind debit", "--all-kinds", "--limit 5", "--before 3", "--session s1", "--ref r1", "--run r1", "--follow"],
)
def test_a_chart_of_some_entries_is_refused(run: Shell, option: str) -> None:
    told(run)
    answer = run.json(f"ledger acme --chart {option}")
    assert (answer.code, answer.error["code"]) == (USAGE, "usage")
    assert "--since and --until" in answer.error["hint"]


def test_a_chart_is_of_one_org(run: Shell) -> None:
    told(run)
    assert "ORG" in run.json("ledger --session s1 --chart").error["hint"]


def test_records_are_points(run: Shell) -> None:
    told(run)
    points = run.doc("ledger acme --chart")["points"]
    assert [json.loads(line) for line in run("ledger acme --chart -o ndjson").out.splitlines()] == points
    header, first, *_ = run("ledger acme --chart -o csv").out.splitlines()
    assert (header, first.split(",")[1]) == ("at,seq,balance,pending,low,high", "3")


def test_the_axis_begins_where_the_span_does(run: Shell) -> None:
    told(run)
    run.setenv("COLUMNS", "80")
    assert run("ledger acme --chart").out.splitlines()[-4].split()[:2] == ["2026-11-14", "09:00"]
    assert run("ledger acme --chart --since 2026-11-10").out.splitlines()[-4].split()[:2] == ["2026-11-10", "00:00"]


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_people_see_where_it_went_below_zero(run: Shell, columns: int) -> None:
    told(run)
    run.setenv("COLUMNS", str(columns))
    shown = run("ledger acme --chart").out
    assert "\033" not in shown
    assert "0 ┼────" in shown
    assert "-500 ┤" in shown
    assert "meterctl ledger acme --before 3" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= columns


def test_a_ticket_gets_it_as_it_stands(run: Shell) -> None:
    told(run)
    before, chart, after = run("ledger acme --chart -o markdown").out.split("```")
    assert before.startswith("**acme")
    assert "┼──" in chart
    assert "lowest" in after
    assert "┼──" in run("ledger acme --chart -o plain").out


@pytest.mark.parametrize("output", ["table", "markdown", "plain"])
def test_nobody_has_no_chart(run: Shell, output: str) -> None:
    assert "no entries" in run(f"ledger nobody --chart -o {output}").out
