"""Plans saved with --plan-out, and what applying them does."""

import json
import shlex
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from meterctl.core.domain.canonical import canonical_text
from tests.acceptance.shell import CONFIG, NOW, Answer, Shell
from tests.acceptance.terminal import at_terminal
from tests.desk import booked

LATER = "2026-11-16T15:00:00.000Z"
TUESDAY = "2026-11-24T08:00:00.000Z"

BEFORE = [
    "plan publish pro --quota 500",
    "credit-pack acme small --session s1",
    "credit-pack bolt small --session s2",
    "credit-pack acme brief --session s3",
    "debit acme 30 --ref r1",
    "refund acme --session s1 --cents 100 --refund-id re1",
    "meter attribute acme run1 --units 5",
]

#: Every command that books for orgs, and what it is called in a plan.
PLANNABLE = {
    "credit-pack acme small --session s9": "credit-pack",
    "debit acme 120 --ref r9": "debit",
    "debit acme 5000 --ref r9 --allow-debt": "debit",
    "refund acme --session s1 --cents 50 --refund-id re9": "refund",
    "refund acme --reverse re1": "reverse-refund",
    "adjust acme 7 --ref a1 --reason why --expires 2027-01-01": "adjust",
    "adjust acme -7 --ref a1 --reason why": "adjust",
    "undo acme 3 --reason why": "undo",
    "meter attribute acme run9 --cost llm=0.10 --cost search=0.002": "attribute",
    "meter attribute acme run9 --step fetch --units 2000": "attribute",
    "plan assign acme pro --ref p1": "assign-plan",
    "reset-week acme --force --ref f1 --reason why": "reset-week",
    "expire acme": "book-due",
    "expire --all": "book-due",
    "reset-week acme": "book-due",
    "reset-week --all": "book-due",
    "backfill lines.ndjson": "debit",
}

LINES = """\
{"op": "debit", "org": "acme", "units": 1, "ref": "b1", "at": "2026-11-16T11:00:00Z", "actor": "cron"}
{"op": "debit", "org": "bolt", "units": 2, "ref": "b1", "reason": "sold"}
{"op": "debit", "org": "acme", "units": 999999, "ref": "b2"}
{"op": "debit", "org": "acme", "units": 3, "ref": "b3"}
"""


def plan(run: Shell, line: str, file: str = "plan.ndjson", now: str | None = None) -> list[dict[str, Any]]:
    """Save a plan, which books nothing; its lines."""
    journal = run.journal()
    run(*shlex.split(line), "--plan-out", file, now=now)
    assert run.journal() == journal
    return [json.loads(saved) for saved in Path(run.place, file).read_text().splitlines()]


def apply(run: Shell, words: str = "plan.ndjson", now: str | None = LATER) -> Answer:
    return run.json(f"apply {words}", now=now)


def statuses(answer: Answer) -> dict[str, int]:
    names = ("applied", "planned", "replayed", "unchanged", "moved", "refused", "conflict", "failed")
    return {name: answer.doc[name] for name in names if answer.doc[name]}


def entries(run: Shell) -> list[dict[str, Any]]:
    """All that is booked, but for when that was."""
    return [booked(json.loads(line)) for line in run.journal().splitlines()]


# what is planned is what is booked


@pytest.mark.parametrize("line", PLANNABLE)
def test_a_plan_books_what_the_command_would_have_booked(run: Shell, line: str, tmp_path: Path) -> None:
    now = TUESDAY if PLANNABLE[line] == "book-due" else NOW
    run.file("lines.ndjson", LINES)
    run.all(*BEFORE)
    before = entries(run)
    header, *steps = plan(run, line, now=now)
    assert header["schema"] == "meterctl.saved-plan.v1"
    assert header["operations"] == len(steps) > 0
    assert {step["request"]["op"] for step in steps} == {PLANNABLE[line]}
    answer = apply(run, now="2026-11-25T08:00:00.000Z")
    assert (answer.code, statuses(answer)) == (0, {"applied": len(steps)})
    planned = entries(run)
    moved = sum(entry["amount"] for entry in planned) - sum(entry["amount"] for entry in before)
    assert header["amount"] == answer.doc["amount"] == moved
    assert header["entries"] == len(planned) - len(before)
    run.setenv("METERCTL_STORE", f"sqlite:{tmp_path}/straight.db")
    run.all(*BEFORE)
    run.json(*shlex.split(line), "--yes", now=now)
    assert entries(run) == planned


def test_a_plan_keeps_who_why_and_when(run: Shell) -> None:
    run.all(*BEFORE)
    plan(run, 'debit acme 5 --ref r9 --actor kim --reason "sold by phone"')
    run.setenv("METERCTL_ACTOR", "robin")
    assert apply(run).code == 0
    entry = run.doc("ledger acme --limit 1")["entries"][0]
    said = {name: entry[name] for name in ("actor", "reason", "at", "recorded_at")}
    assert said == {"actor": "kim", "reason": "sold by phone", "at": NOW, "recorded_at": LATER}


def test_a_plan_says_what_it_books_and_leaves_out_the_rest(run: Shell) -> None:
    run.file("lines.ndjson", LINES)
    run.all(*BEFORE)
    before = run.doc("balance acme")
    header, *steps = plan(run, "backfill lines.ndjson")
    assert (header["operations"], header["orgs"], header["entries"], header["amount"]) == (3, 2, 3, -6)
    assert header["left_out"] == {"refused": 1}
    assert (header["actor"], header["made_at"], header["store"]) == ("tester", NOW, run.store)
    assert [step["request"]["ref"] for step in steps] == ["b1", "b1", "b3"]
    assert [step["entries"][-1]["balance"] for step in steps] == [before["balance"] - 1, 998, before["balance"] - 4]
    assert steps[0]["basis"] == steps[2]["basis"]
    assert (steps[0]["basis"]["seq"], steps[0]["below"]) == (before["seq"], None)
    assert steps[2]["below"] == {name: steps[0]["entries"][0][name] for name in ("seq", "digest")}


def test_what_is_refused_makes_an_empty_plan(run: Shell) -> None:
    run.all(*BEFORE)
    answer = run.json("debit acme 5000 --ref r9 --plan-out plan.ndjson")
    assert (answer.code, answer.doc["reason"]) == (4, "insufficient_balance")
    assert "would book nothing" in answer.err
    done = apply(run)
    assert (done.code, done.doc["operations"], statuses(done)) == (0, 0, {})


# once, whole, or not at all


def test_applying_again_books_nothing_twice(run_anywhere: Shell) -> None:
    run = run_anywhere
    run.file("lines.ndjson", LINES)
    run.all(*BEFORE)
    plan(run, "backfill lines.ndjson")
    assert statuses(apply(run)) == {"applied": 3}
    journal = run.journal()
    again = apply(run)
    assert (again.code, statuses(again)) == (0, {"replayed": 3})
    assert run.journal() == journal
    run.all("debit acme 1 --ref later")
    assert statuses(apply(run)) == {"replayed": 3}


def test_a_sweep_that_was_planned_can_be_applied_again(run: Shell) -> None:
    run.all(*BEFORE)
    plan(run, "expire --all", now=TUESDAY)
    assert statuses(apply(run, now=TUESDAY)) == {"applied": 1}
    run.all("debit acme 1 --ref later", now=TUESDAY)
    assert statuses(apply(run, now=TUESDAY)) == {"unchanged": 1}


def test_what_moved_is_named_and_left_alone_and_others_go_on(run_anywhere: Shell) -> None:
    run = run_anywhere
    run.file("lines.ndjson", LINES)
    run.all(*BEFORE)
    plan(run, "backfill lines.ndjson")
    run.all('adjust acme 9 --ref a9 --actor robin --reason "goodwill"')
    answer = apply(run)
    assert (answer.code, statuses(answer)) == (6, {"applied": 1, "moved": 2})
    (moved,) = answer.doc["orgs_moved"]
    assert (moved["org"], moved["seq"] - moved["since"]) == ("acme", 1)
    (entry,) = moved["entries"]
    named = ("kind", "key", "amount", "actor", "reason")
    assert [entry[name] for name in named] == ["adjustment", "adjust:a9", 9, "robin", "goodwill"]
    assert answer.doc["problems"][0]["message"].endswith(f"entry {entry['seq']} (adjustment by robin)")
    assert {receipt["reason"] for receipt in answer.doc["receipts"]} == {None, "moved"}
    assert run.doc("balance bolt")["balance"] == 998
    assert [entry["key"] for entry in run.doc("ledger acme --limit 1")["entries"]] == ["adjust:a9"]
    assert statuses(apply(run)) == {"replayed": 1, "moved": 2}
    shown = run("apply plan.ndjson")
    assert "acme moved since entry" in shown.out
    assert "robin" in shown.out


def test_a_plan_stops_where_somebody_stepped_in_between(run: Shell) -> None:
    run.all(*BEFORE)
    lines = [{"op": "debit", "org": "bolt", "units": n, "ref": f"b{n}"} for n in (1, 2, 3)]
    run.file("three.ndjson", "".join(json.dumps(line) + "\n" for line in lines))
    header, first, *_ = plan(run, "backfill three.ndjson")
    # The first of them is booked, as by a run that was cut off; then someone else books.
    run.file("one.ndjson", json.dumps(first["request"]) + "\n")
    run.all("backfill one.ndjson", "debit bolt 50 --ref other --actor robin")
    answer = apply(run)
    assert (answer.code, statuses(answer)) == (6, {"replayed": 1, "moved": 2})
    assert [entry["actor"] for entry in answer.doc["orgs_moved"][0]["entries"]] == ["robin"]
    assert answer.doc["orgs_moved"][0]["since"] == header["operations"] - 2


def test_due_events_that_the_plan_knew_of_do_not_move_it(run: Shell) -> None:
    run.all(*BEFORE)
    _, step = plan(run, "debit acme 5 --ref r9", now=TUESDAY)
    assert len(step["entries"]) > 1
    run.all("expire --all", now=TUESDAY)
    assert statuses(apply(run, now=TUESDAY)) == {"applied": 1}


def test_due_events_that_it_did_not_know_of_do(run: Shell) -> None:
    run.all(*BEFORE)
    plan(run, "debit acme 5 --ref r9")
    run.all("expire --all", now=TUESDAY)
    answer = apply(run, now=TUESDAY)
    assert (answer.code, statuses(answer)) == (6, {"moved": 1})
    assert {entry["actor"] for entry in answer.doc["orgs_moved"][0]["entries"]} == {"meterctl"}


def test_a_price_that_changed_moves_a_plan_too(run: Shell) -> None:
    run.all(*BEFORE)
    plan(run, "credit-pack acme small --session s9")
    run.config(CONFIG.replace("units = 1000", "units = 2000"))
    answer = apply(run)
    assert (answer.code, statuses(answer), answer.doc["orgs_moved"][0]["entries"]) == (6, {"moved": 1}, [])
    assert "config or plans have changed" in answer.doc["problems"][0]["message"]
    run.config(CONFIG)
    assert statuses(apply(run)) == {"applied": 1}


def test_an_operation_that_a_rule_refuses_meanwhile(run: Shell) -> None:
    run.all(*BEFORE)
    plan(run, "credit-pack acme small --session s9")
    run.all("credit-pack bolt small --session s9")
    answer = apply(run)
    assert (answer.code, statuses(answer)) == (4, {"refused": 1})
    assert answer.doc["problems"][0]["reason"] == "session_claimed"


def test_several_operations_of_which_some_are_refused_are_7(run: Shell) -> None:
    credits = [{"op": "credit-pack", "org": org, "pack": "small", "session": f"{org}9"} for org in ("acme", "cafe")]
    run.file("two.ndjson", "".join(json.dumps(line) + "\n" for line in credits))
    plan(run, "backfill two.ndjson")
    run.all("credit-pack bolt small --session acme9")
    answer = apply(run)
    assert (answer.code, statuses(answer)) == (7, {"applied": 1, "refused": 1})
    assert "acme9" in run("apply plan.ndjson").out


def test_a_key_used_for_something_else_meanwhile_is_a_conflict(run: Shell) -> None:
    run.all(*BEFORE)
    plan(run, "debit acme 5 --ref r9")
    run.all("debit acme 6 --ref r9")
    answer = apply(run)
    assert (answer.code, statuses(answer)) == (5, {"conflict": 1})


def test_a_dry_run_of_a_plan_books_nothing(run: Shell) -> None:
    run.all(*BEFORE)
    plan(run, "debit acme 5 --ref r9")
    journal = run.journal()
    answer = apply(run, "plan.ndjson --dry-run")
    assert (answer.code, statuses(answer), answer.doc["amount"]) == (0, {"planned": 1}, -5)
    assert run.journal() == journal
    run.all("debit acme 1 --ref later")
    assert apply(run, "plan.ndjson --dry-run").code == 6


# plans that are none


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: "",
        lambda _: "nonsense\n",
        lambda _: '{"schema": "meterctl.receipt.v1"}\n',
        lambda _: '{"schema": "meterctl.saved-plan.v1"}\n',
        lambda text: text.replace('"units":5', '"units":4'),
        lambda text: text.splitlines(keepends=True)[0],
        lambda text: text[:-1],
        lambda text: text + text.splitlines(keepends=True)[1],
        lambda text: text.replace('"operations":1', '"operations":2'),
        lambda text: text.replace('"amount":-5', '"amount":-6', 1),
        lambda text: text.replace('"actor":"tester"', '"actor":"mallory"', 1),
        lambda text: text.replace('"made_at":"2026', '"made_at":"2025'),
        lambda text: text.replace('"store":"sqlite:', '"store":"other:'),
        lambda text: text.replace('"left_out":{}', '"left_out":{"refused":1}'),
        lambda text: text.replace('"amount":-5', '"amount":-6,"amount":-5', 1),
        lambda text: text.replace('"amount":-5', '"amount":-5.0', 1),
        lambda text: text.replace('"amount":-5', '"amount":NaN', 1),
        lambda text: text.replace('"amount":-5', '"amount": -5', 1),
        lambda text: text.replace('"actor":"tester"', '"actor":"\\ud800"', 1),
        lambda text: text.replace("{", '{"Also":"this",', 1),
        lambda text: "\n" + text,
        lambda _: "[" * 100_000,
    ],
)  # fmt: skip
def test_a_damaged_plan_is_2_and_books_nothing(run: Shell, spoil: Any) -> None:
    run.all(*BEFORE)
    plan(run, "debit acme 5 --ref r9")
    journal = run.journal()
    path = Path(run.place, "plan.ndjson")
    whole = path.read_text()
    path.write_text(spoil(whole))
    assert path.read_text() != whole
    answer = apply(run)
    assert (answer.code, answer.error["code"]) == (2, "bad_plan")
    assert "--plan-out" in answer.error["hint"]
    assert run.journal() == journal


def test_a_plan_of_an_earlier_meterctl_is_2(run: Shell) -> None:
    """Its hash covered the lines after the header only."""
    run.all(*BEFORE)
    plan(run, "debit acme 5 --ref r9")
    header, line = Path(run.place, "plan.ndjson").read_text().splitlines(keepends=True)
    told = json.loads(header) | {"sha256": sha256(line.encode()).hexdigest()}
    run.file("plan.ndjson", json.dumps(told) + "\n" + line)
    answer = apply(run)
    assert (answer.code, answer.error["code"]) == (2, "bad_plan")
    assert "earlier meterctl" in answer.error["message"]


def forged(header: dict[str, Any], lines: str) -> str:
    """A plan with a hash that holds."""
    bare = {name: value for name, value in header.items() if name != "sha256"}
    found = sha256((lines + canonical_text(bare) + "\n").encode()).hexdigest()
    return canonical_text(bare | {"sha256": found}) + "\n" + lines


def test_a_line_that_was_forged_is_2(run: Shell) -> None:
    run.all(*BEFORE)
    header, step = plan(run, "debit acme 5 --ref r9")
    for change in ({"op": "mint"}, {"units": -5}, {"ref": None}):
        line = json.dumps(step | {"request": step["request"] | change}) + "\n"
        run.file("forged.ndjson", forged(header, line))
        answer = apply(run, "forged.ndjson")
        assert (answer.code, answer.error["code"]) == (2, "bad_plan")
        assert "line 2" in answer.error["message"]
    run.file("forged.ndjson", forged(header, "[]\n"))
    assert "line 2" in apply(run, "forged.ndjson").error["message"]


def test_a_plan_may_come_from_a_pipe(run: Shell) -> None:
    run.all(*BEFORE)
    plan(run, "debit acme 5 --ref r9")
    text = Path(run.place, "plan.ndjson").read_text()
    assert statuses(apply(run, run.pipe("whole", text))) == {"applied": 1}
    answer = apply(run, run.pipe("cut", text[:-1]))
    assert (answer.code, answer.error["code"]) == (2, "bad_plan")


@pytest.mark.parametrize("file", ["nowhere.ndjson", "."])
def test_a_plan_that_cannot_be_read_is_2(run: Shell, file: str) -> None:
    answer = apply(run, file)
    assert (answer.code, answer.error["code"]) == (2, "bad_file")


@pytest.mark.parametrize("file", ["nowhere/plan.ndjson", "."])
def test_a_plan_that_cannot_be_written_is_2(run: Shell, file: str) -> None:
    run.all(*BEFORE)
    answer = run.json(f"debit acme 5 --ref r9 --plan-out {file}")
    assert (answer.code, answer.error["code"]) == (2, "bad_file")
    assert not list(run.place.glob(".*"))


def test_a_plan_that_is_saved_touches_no_other_file(run: Shell) -> None:
    run.all(*BEFORE)
    part = Path(run.file("plan.ndjson.part", "mine"))
    plan(run, "debit acme 5 --ref r9")
    run.json("debit acme 5 --ref r9 --plan-out other/plan.ndjson")
    assert part.read_text() == "mine"
    assert not list(run.place.glob(".*"))


@pytest.mark.parametrize("file", ["lines.ndjson", "meterctl.db", "meterctl.toml", "empty.db"])
def test_a_plan_replaces_only_a_plan(run: Shell, file: str) -> None:
    run.all(*BEFORE)
    run.file("lines.ndjson", '{"op": "debit", "org": "acme", "units": 5, "ref": "r9"}\n')
    run.file("empty.db", "")
    before = (run.place / file).read_bytes()
    at = "--store sqlite:./empty.db" if file == "empty.db" else ""
    answer = run.json(f"backfill lines.ndjson --plan-out {file} {at}")
    assert (answer.code, answer.error["code"]) == (2, "bad_file")
    assert "another file" in answer.error["hint"]
    assert (run.place / file).read_bytes() == before
    plan(run, "debit acme 5 --ref r9")
    plan(run, "debit acme 6 --ref r9")
    assert statuses(run.json("apply plan.ndjson --yes")) == {"applied": 1}


@pytest.mark.parametrize("line", ["debit acme 1 --ref r1 --plan-out -", "apply -"])
def test_a_plan_needs_a_file_of_its_own(run: Shell, line: str) -> None:
    answer = run.json(line)
    assert (answer.code, answer.error["code"]) == (2, "bad_file")
    assert "file" in answer.error["message"]
    assert not (run.place / "-").exists()


def test_a_plan_of_another_store_is_2_unless_it_is_the_same(run: Shell, tmp_path: Path) -> None:
    run.all(*BEFORE)
    plan(run, "debit acme 5 --ref r9")
    copy = tmp_path / "copy.db"
    answer = run.json("apply", "plan.ndjson", "--store", f"sqlite:{copy}")
    assert (answer.code, answer.error["code"]) == (2, "other_store")
    assert "--elsewhere" in answer.error["hint"]
    moved = run.json("apply", "plan.ndjson", "--elsewhere", "--store", f"sqlite:{copy}")
    assert (moved.code, statuses(moved)) == (6, {"moved": 1})


@pytest.mark.parametrize("line", ["plan publish pro --quota 1", "lock break sweep --reason why", "apply plan.ndjson"])
def test_what_books_for_no_org_has_no_plan(run: Shell, line: str) -> None:
    answer = run.json(f"{line} --plan-out other.ndjson")
    assert (answer.code, answer.error["code"]) == (2, "usage")


def test_a_preview_is_no_plan(run: Shell) -> None:
    run.all(*BEFORE)
    answer = run.json("refund acme --session s1 --cents 5 --preview --plan-out plan.ndjson")
    assert (answer.code, answer.error["code"]) == (2, "usage")


@pytest.mark.parametrize("option", ["--at 2026-11-16", "--reason why"])
def test_a_plan_says_itself_when_and_why(run: Shell, option: str) -> None:
    run.all(*BEFORE)
    plan(run, "debit acme 5 --ref r9")
    assert apply(run, f"plan.ndjson {option}").code == 2


# on a terminal


def test_a_terminal_shows_the_plan_and_asks(run: Shell) -> None:
    run.file("lines.ndjson", LINES)
    run.all(*BEFORE)
    plan(run, "backfill lines.ndjson")
    journal = run.journal()
    ended, screen = at_terminal(run, ["apply", "plan.ndjson"], asked="Carry this out?", answer="n\n")
    assert (ended.code, run.journal()) == (130, journal)
    assert "3 operations" in screen
    ended, screen = at_terminal(run, ["apply", "plan.ndjson", "--json"], asked="Carry this out?", answer="y\n")
    assert (ended.code, statuses(ended)) == (0, {"applied": 3})


def test_debt_and_undo_ask_for_the_number_of_operations(run: Shell) -> None:
    run.all(*BEFORE)
    for line in ("debit acme 5000 --ref r9 --allow-debt", "undo acme 3 --reason why"):
        plan(run, line)
        ended, screen = at_terminal(run, ["apply", "plan.ndjson"], asked="number of operations", answer="y\n")
        assert ended.code == 130, screen
        assert "debt" in screen or "cannot be undone" in screen
    ended, screen = at_terminal(run, ["apply", "plan.ndjson"], asked="number of operations", answer="1\n")
    assert ended.code == 0, screen
