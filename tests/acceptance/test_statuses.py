"""Every status, every reason and every exit code, each reached through the command line."""

import pytest

from meterctl.core.errors import REFUSALS, with_org
from meterctl.core.model import MAX_UNITS
from meterctl.core.stores.url import without_secret
from tests.acceptance.shell import EARLIER, NOW, Shell

CREDIT = "credit-pack acme small --session s1"
REFUND = "refund acme --session s1 --cents 200 --refund-id re1"
DEBIT = "debit acme 10 --ref r1"
RUN = "meter attribute acme run1 --units 20"

#: What has to be there, and then the line that is refused.
REFUSED: dict[str, list[str]] = {
    "unknown_pack": ["credit-pack acme huge --session s1"],
    "unknown_session": [REFUND],
    "unknown_refund": ["refund acme --reverse re1"],
    "unknown_entry": ["undo acme 7 --reason why --yes"],
    "unknown_plan": ["plan assign acme gold --ref p1"],
    "unknown_plan_version": [f"{RUN} --plan-version 9"],
    "not_as_expected": [CREDIT, f"{DEBIT} --expect-balance 999"],
    "session_claimed": [CREDIT, "credit-pack bolt small --session s1"],
    "mode_mismatch": ["credit-pack acme small --session cs_live_1", "credit-pack acme small --session cs_test_1"],
    "insufficient_balance": [CREDIT, "debit acme 1001 --ref r1"],
    "undone": [CREDIT, "undo acme 1 --reason why --yes", REFUND],
    "refund_exceeds_payment": [CREDIT, REFUND, "refund acme --session s1 --cents 301 --refund-id re2"],
    "not_undoable": [CREDIT, REFUND, "undo acme 2 --reason why --yes"],
    "lot_partly_used": [CREDIT, DEBIT, "undo acme 1 --reason why --yes"],
    "no_open_week": [CREDIT, "reset-week acme --force --ref f1 --reason why --yes"],
    "invalid_cost": ["meter attribute acme run1 --cost llm=nan"],
    "in_future": [CREDIT, f"{DEBIT} --at 2026-11-16T12:05:00.001Z"],
    "expires_in_past": [f"adjust acme 5 --ref a1 --reason why --expires {EARLIER}"],
    "unknown_currency": ["credit-pack acme small --session s1 --currency xxx"],
    "amount_required": ["credit-pack acme any --session s1"],
    "entry_moved": [CREDIT, DEBIT, "undo acme 1 --of debit:r1 --reason why --yes"],
    "week_closed": [f"{RUN} --at 2026-11-09T12:00:00Z", "undo acme --run run1 --reason why --yes"],
    "unknown_lot": [CREDIT, "lot extend acme 9 --expires never --ref x1 --reason why"],
    "lot_gone": [CREDIT, "debit acme 1000 --ref r1", "lot void acme 1 --ref v1 --reason why --yes"],
    "insufficient_lot": [CREDIT, "adjust acme -1001 --lot 1 --ref a1 --reason why"],
    "unknown_hold": [CREDIT, "meter release acme --ref h1"],
    "too_far_ahead": ["plan publish pro --quota 5", "plan assign acme pro --ref p1 --from 2028-01-01"],
    "from_in_past": ["plan publish pro --quota 5", f"plan assign acme pro --ref p1 --from {EARLIER}"],
    "amount_out_of_range": [
        f"adjust acme {MAX_UNITS} --ref a1 --reason why",
        "adjust acme 1 --ref a2 --reason why",
    ],
}


#: Reasons whose hint holds the figures of the case.
OWN_HINTS = {"week_closed", "lot_gone"}


def test_every_reason_of_a_refusal_is_reached() -> None:
    elsewhere = {"moved": "plans, see test_apply", "too_many_lots": "tests/unit/domain/test_rules_lots.py"}
    limits = {"over_limit", "over_debt_limit", "needs_approval"}  # see test_limits
    assert set(REFUSED) == set(REFUSALS) - set(elsewhere) - limits


@pytest.mark.parametrize("reason", REFUSED)
def test_a_refusal_books_nothing_and_says_what_to_do(run: Shell, reason: str) -> None:
    *before, line = REFUSED[reason]
    run.all(*before)
    journal = run.journal()
    answer = run.json(line)
    exit_code, hint = REFUSALS[reason]
    assert answer.code == exit_code
    receipt = answer.doc
    assert (receipt["status"], receipt["reason"], receipt["applied"]) == ("refused", reason, False)
    assert receipt["message"]
    assert receipt["hint"] == with_org(hint, "acme") or (receipt["hint"] and reason in OWN_HINTS)
    assert (receipt["entry"], receipt["also"]) == (None, [])
    assert run.journal() == journal


@pytest.mark.parametrize("reason", ["unknown_pack", "session_claimed", "insufficient_balance", "lot_partly_used"])
def test_refusals_are_the_same_on_every_store(run_anywhere: Shell, reason: str) -> None:
    *before, line = REFUSED[reason]
    run_anywhere.all(*before)
    journal = run_anywhere.journal()
    answer = run_anywhere.json(line)
    assert (answer.code, answer.doc["reason"]) == (REFUSALS[reason][0], reason)
    assert run_anywhere.journal() == journal


def test_a_due_event_is_not_booked_by_an_operation_that_is_refused(run: Shell) -> None:
    run.all("credit-pack acme brief --session s1")
    journal = run.journal()
    answer = run.json("debit acme 60 --ref r1", now="2026-11-18T00:00:00Z")
    assert (answer.code, answer.doc["reason"], answer.doc["also"]) == (4, "insufficient_balance", [])
    assert run.journal() == journal


# Statuses


def test_applied(run_anywhere: Shell) -> None:
    receipt = run_anywhere.doc(CREDIT)
    assert (receipt["status"], receipt["applied"], receipt["reason"]) == ("applied", True, None)
    assert receipt["entry"]["amount"] == receipt["balance"] == 1000
    assert receipt["entry"]["expires_at"] == "2026-12-07T12:00:00.000Z"


REPEATABLE = {
    "credit-pack": ([], CREDIT),
    "debit": ([CREDIT], DEBIT),
    "refund": ([CREDIT], REFUND),
    "refund --reverse": ([CREDIT, REFUND], "refund acme --reverse re1"),
    "adjust": ([], "adjust acme 5 --ref a1 --reason why"),
    "meter attribute": ([], RUN),
    "plan assign": (["plan publish pro --quota 500"], "plan assign acme pro --ref p1"),
    "undo": ([CREDIT], "undo acme 1 --reason why --yes"),
    "undo of a run": ([RUN], "undo acme --run run1 --reason why --yes"),
    "lot extend": ([CREDIT], "lot extend acme 1 --expires never --ref x1 --reason why"),
    "lot void": ([CREDIT], "lot void acme 1 --ref v1 --reason why --yes"),
    "meter hold": ([CREDIT], "meter hold acme 5 --ref h1"),
    "meter release": ([CREDIT, "meter hold acme 5 --ref h1"], "meter release acme --ref h1"),
    "plan assign --from": (["plan publish pro --quota 5"], "plan assign acme pro --ref p2 --from next-week"),
    "reset-week --force": ([RUN], "reset-week acme --force --ref f1 --reason why --yes"),
}


@pytest.mark.parametrize("command", REPEATABLE)
def test_what_is_sent_twice_is_booked_once(run_anywhere: Shell, command: str) -> None:
    before, line = REPEATABLE[command]
    run_anywhere.all(*before)
    first = run_anywhere.doc(line)
    journal = run_anywhere.journal()
    again = run_anywhere.doc(f"{line} --actor another --at 2026-11-16T11:00:00Z")
    assert (first["status"], first["applied"]) == ("applied", True)
    assert (again["status"], again["applied"], again["also"]) == ("replayed", False, [])
    assert again["entry"] == first["entry"]
    assert again["balance"] == first["balance"]
    assert run_anywhere.journal() == journal


CONFLICTS = {
    "credit-pack": ([CREDIT], f"{CREDIT} --paid-cents 400", "paid_cents", 500, 400),
    "another pack": ([CREDIT], "credit-pack acme brief --session s1", "pack", "small", "brief"),
    "debit": ([CREDIT, DEBIT], "debit acme 11 --ref r1", "units", 10, 11),
    "refund": ([CREDIT, REFUND], "refund acme --session s1 --cents 201 --refund-id re1", "cents", 200, 201),
    "adjust": (["adjust acme 5 --ref a1 --reason why"], "adjust acme 6 --ref a1 --reason why", "units", 5, 6),
    "meter attribute": ([RUN], "meter attribute acme run1 --units 21", "units", 20, 21),
}


@pytest.mark.parametrize("case", CONFLICTS)
def test_a_key_used_for_something_else_is_a_conflict(run: Shell, case: str) -> None:
    before, line, field, first, now = CONFLICTS[case]
    run.all(*before)
    journal = run.journal()
    answer = run.json(line)
    receipt = answer.doc
    assert answer.code == 5
    assert (receipt["status"], receipt["applied"]) == ("conflict", False)
    assert receipt["diff"][field] == {"first": first, "now": now}
    assert receipt["hint"]
    assert run.journal() == journal


def test_a_conflict_on_mongodb_too(run_anywhere: Shell) -> None:
    run_anywhere.all(CREDIT, DEBIT)
    answer = run_anywhere.json("debit acme 11 --ref r1")
    assert (answer.code, answer.doc["status"]) == (5, "conflict")
    assert answer.doc["diff"] == {"units": {"first": 10, "now": 11}}


def test_idempotency_comes_before_every_other_rule(run: Shell) -> None:
    run.all(CREDIT, "debit acme 1000 --ref r1")
    assert run.doc("debit acme 1000 --ref r1")["status"] == "replayed"
    assert run.json("debit acme 1000 --ref r2 --at 2026-11-17T00:00:00Z").doc["reason"] == "in_future"
    assert run.doc("debit acme 1000 --ref r1 --at 2026-11-17T00:00:00Z")["status"] == "replayed"


def test_a_replay_of_what_was_undone_says_so(run_anywhere: Shell) -> None:
    run_anywhere.all(CREDIT, DEBIT, "undo acme 2 --reason why --yes")
    again = run_anywhere.doc(DEBIT)
    assert (again["status"], again["undone_by"], again["balance"]) == ("replayed", 3, 1000)


def test_the_same_plan_again_changes_nothing(run: Shell) -> None:
    run.all("plan publish pro --quota 500", "plan assign acme pro --ref p1")
    journal = run.journal()
    receipt = run.doc("plan assign acme pro --ref p2")
    assert (receipt["status"], receipt["applied"], receipt["reason"]) == ("unchanged", False, None)
    assert run.journal() == journal


@pytest.mark.parametrize("line", [RUN, "reset-week acme --force --ref f1 --reason why --yes"])
def test_with_the_meter_off_nothing_is_metered(run: Shell, line: str) -> None:
    run.all("meter attribute acme run0 --units 5")
    journal = run.journal()
    run.config("meter_mode = false\n")
    receipt = run.doc(line)
    assert (receipt["status"], receipt["applied"]) == ("disabled", False)
    assert run.journal() == journal


def test_with_the_meter_off_the_weekly_sweep_says_so_and_a_due_week_is_closed_all_the_same(run: Shell) -> None:
    run.all("meter attribute acme run0 --units 5 --at 2026-11-16T12:00:00Z")
    run.config("meter_mode = false\n")
    later = "2026-11-24T00:00:00Z"
    assert run.doc("reset-week --all", now=later)["status"] == "disabled"
    assert run.doc("expire --all", now=later)["weeks_closed"] == 1


def test_with_the_meter_off_every_org_may_run_and_is_told_so(run: Shell) -> None:
    run.all("debit acme 5 --ref d1 --allow-debt --yes")
    assert run.json("meter check acme").code == 4
    assert run.doc("orgs --blocked")["orgs"]
    run.config("meter_mode = false\n")
    for units in ("0", "99999"):
        answer = run.json(f"meter check acme --units {units}")
        assert (answer.code, answer.doc["allowed"], answer.doc["meter_mode"]) == (0, True, False)
    assert "off: usage is not booked" in run("meter check acme").out
    facts = run.doc("explain acme")
    assert (facts["allowed"], facts["meter_mode"], facts["allowed_again"]) == (True, False, None)
    assert facts["said"][0] == "acme may run: the meter is off, so usage is not booked."
    assert run.doc("orgs --blocked")["orgs"] == []


@pytest.mark.parametrize("options", ["", "acme --all", "acme --limit 3", "'a b'"])
def test_with_the_meter_off_what_cannot_be_meant_is_refused_all_the_same(run: Shell, options: str) -> None:
    run.config("meter_mode = false\n")
    assert run.json(f"reset-week {options}").error["code"] in ("usage", "bad_org")


def test_a_planned_write_books_nothing(run_anywhere: Shell) -> None:
    receipt = run_anywhere.doc(f"{CREDIT} --dry-run")
    assert (receipt["status"], receipt["applied"]) == ("planned", False)
    assert receipt["entry"]["seq"] == 1
    assert run_anywhere.journal() == ""


def test_a_pack_booked_to_the_wrong_org_is_moved(run_anywhere: Shell) -> None:
    run_anywhere.all(CREDIT, "undo acme 1 --reason wrong-org --yes", "credit-pack bolt small --session s1")
    assert run_anywhere.doc("balance bolt")["balance"] == 1000
    assert run_anywhere.doc("balance acme")["balance"] == 0
    answer = run_anywhere.json("credit-pack acme small --session s1")
    assert (answer.doc["status"], answer.doc["undone_by"]) == ("replayed", 2)


# What else ends with a code of its own


def test_admission_is_an_exit_code(run: Shell) -> None:
    run.all("credit-pack acme brief --session s1")
    allowed, denied = run.json("meter check acme --units 100"), run.json("meter check acme --units 101")
    assert (allowed.code, allowed.doc["allowed"]) == (0, True)
    assert (denied.code, denied.doc["allowed"]) == (4, False)
    assert run.json("meter check nobody").code == 4


def test_not_found_is_3(run: Shell) -> None:
    codes = {
        "ledger --session s9": "unknown_session",
        "plan show gold": "unknown_plan",
        "plan publish gold --from-config": "unknown_plan",
        "lock break sweep --reason why": "unknown_lock",
        "schema nonsense": "unknown_schema",
    }
    answers = {line: run.json(line) for line in codes}
    assert {line: answer.error["code"] for line, answer in answers.items()} == codes
    assert {answer.code for answer in answers.values()} == {3}
    assert all(answer.error["hint"] for answer in answers.values())


def test_reading_an_org_without_a_journal_is_no_error(run_anywhere: Shell) -> None:
    assert run_anywhere.doc("balance nobody")["balance"] == 0
    assert run_anywhere.doc("ledger nobody")["entries"] == []
    assert run_anywhere.doc("meter show nobody")["used"] == 0
    assert run_anywhere.doc("meter history nobody")["weeks"] == []
    assert run_anywhere("export nobody").out == ""
    assert run_anywhere.doc("expire nobody")["due"] == 0
    assert run_anywhere.journal() == ""


def test_the_clock_of_a_caller_may_run_five_minutes_ahead(run: Shell) -> None:
    run.all(CREDIT)
    assert run.doc(f"{DEBIT} --at 2026-11-16T12:05:00.000Z")["entry"]["at"] == "2026-11-16T12:05:00.000Z"
    assert run.doc("debit acme 1 --ref r2")["entry"]["at"] == "2026-11-16T12:05:00.000Z"


def test_a_sweep_of_the_future_is_refused(run: Shell) -> None:
    run.all("credit-pack acme brief --session s1")
    journal = run.journal()
    answer = run.json("expire --all --at 2026-11-18T00:00:00Z")
    assert (answer.code, answer.error["code"]) == (4, "in_future")
    assert run.journal() == journal
    assert run.json("expire --all --at 2026-11-16T12:05:00Z").code == 0


def test_the_largest_amount_is_taken_and_the_next_one_is_not(run_anywhere: Shell) -> None:
    receipt = run_anywhere.doc(f"adjust acme {MAX_UNITS} --ref a1 --reason why")
    assert receipt["balance"] == MAX_UNITS == run_anywhere.doc("balance acme")["balance"]
    assert run_anywhere.json(f"adjust acme {MAX_UNITS + 1} --ref a2 --reason why").code == 2
    assert run_anywhere.json("adjust acme 1 --ref a3 --reason why").doc["reason"] == "amount_out_of_range"
    assert run_anywhere.doc(f"debit acme {MAX_UNITS} --ref r1")["balance"] == 0


def test_times_are_booked_in_utc(run: Shell) -> None:
    run.all("credit-pack acme small --session s1 --at 2026-11-16")
    assert run.doc("debit acme 1 --ref r1 --at 2026-11-16T09:30:00+02:00")["entry"]["at"] == "2026-11-16T07:30:00.000Z"
    naive = run.doc("debit acme 1 --ref r2 --at 2026-11-16T08:30:00")
    assert naive["entry"]["at"] == "2026-11-16T08:30:00.000Z"
    late = run.doc("debit acme 1 --ref r3 --at 2026-11-16T08:00:00Z")["entry"]
    assert (late["at"], late["occurred_at"]) == ("2026-11-16T08:30:00.000Z", "2026-11-16T08:00:00.000Z")
    assert late["recorded_at"] == NOW


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("debit acme 1 --ref r9", "1 unit asked, 0 available: the balance is 0"),
        ("debit acme 5000 --ref r9", "5,000 units asked, 0 available: the balance is 0"),
        ("adjust full 5001 --ref a1 --reason why", "adjust:a1 was used for something else: units differ"),
        ("plan assign full free --ref p1", "plan:p1 was used for something else: plan differs"),
    ],
)
def test_a_no_is_told_in_words(run: Shell, line: str, said: str) -> None:
    run.all("plan publish pro --quota 5", "adjust full 5000 --ref a1 --reason why", "plan assign full pro --ref p1")
    assert run.json(line).doc["message"] == said


@pytest.mark.parametrize("command", ["expire", "reset-week"])
def test_a_sweep_where_there_is_no_journal_says_where_it_looked(run_anywhere: Shell, command: str) -> None:
    run, place = run_anywhere, without_secret(run_anywhere.store)
    everything, one = (run.json(f"{command} {words}") for words in ("--all", "acme"))
    assert everything.err == f"no journal in {place}: nothing is due\n"
    assert one.err == f"no journal of acme in {place}: nothing is due\n"
    assert (everything.code, one.code, everything.doc["due"], one.doc["due"]) == (0, 0, 0, 0)
    run.all("credit-pack acme small --session s1")
    assert [run.json(f"{command} {words}").err for words in ("--all", "acme")] == ["", ""]
