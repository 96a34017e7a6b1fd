"""The hand at the desk: limits, approval, reasons, new orgs, ends of periods, and how an org has to stand."""

import json

import pytest

from tests.acceptance.shell import CONFIG, Shell
from tests.acceptance.terminal import at_terminal

LIMITED = """
require_reason = ["debit"]
reason_pattern = "TCK-[0-9]+"
{config}
[limits]
adjust = 100
debit = 50
debt = 20
refund_cents = 200
approval_over = 2000
[profiles.lax]
require_reason = []
reason_pattern = ""
[profiles.lax.limits]
adjust = 0
"""
WHY = "--reason TCK-1"


@pytest.fixture
def limited(run: Shell) -> Shell:
    """Limits, and an org with 1,000 units."""
    run.all("credit-pack acme small --session s1")
    head, _, tables = CONFIG.partition("[packs.small]")
    run.config(head + LIMITED.format(config="").replace("[limits]", "[packs.small]" + tables + "[limits]", 1))
    return run


@pytest.mark.parametrize(
    "line",
    [
        f"adjust acme 101 --ref a1 {WHY}",
        f"adjust acme -101 --ref a1 {WHY}",
        f"debit acme 51 --ref d1 {WHY}",
        "refund acme --session s1 --cents 201 --refund-id re1",
    ],
)
def test_l80_an_amount_beyond_a_limit_is_refused_unless_that_is_said(limited: Shell, line: str) -> None:
    journal = limited.journal()
    for more in ("", " --yes", " --dry-run"):
        answer = limited.json(line + more)
        assert (answer.code, answer.doc["status"], answer.doc["reason"]) == (4, "refused", "over_limit")
        assert "--over-limit" in answer.doc["hint"]
    assert limited.journal() == journal
    assert limited.doc(f"{line} --over-limit")["status"] == "applied"
    assert limited.doc(line)["status"] == "replayed"


def test_l80_debt_has_a_limit(limited: Shell) -> None:
    limited.all(f"adjust acme -970 --ref a0 {WHY} --over-limit")
    answer = limited.json(f"debit acme 50 --ref d1 --allow-debt --yes {WHY} --dry-run")
    assert (answer.code, answer.doc["status"]) == (0, "planned")
    limited.all(f"debit acme 50 --ref d1 --allow-debt --yes {WHY}")
    answer = limited.json(f"debit acme 1 --ref d2 --allow-debt --yes {WHY}")
    assert (answer.code, answer.doc["reason"]) == (4, "over_debt_limit")
    assert limited.doc(f"debit acme 1 --ref d2 --allow-debt --yes --over-limit {WHY}")["status"] == "applied"


def test_l81_very_much_is_carried_out_by_somebody_else(limited: Shell) -> None:
    line = f"adjust acme 2001 --ref a1 {WHY}"
    answer = limited.json(f"{line} --over-limit")
    assert (answer.code, answer.doc["reason"]) == (4, "needs_approval")
    limited.all(f"{line} --plan-out plan.ndjson")
    own = limited.json("apply plan.ndjson")
    assert (own.code, own.doc["problems"][0]["reason"]) == (4, "needs_approval")
    assert limited.doc("apply plan.ndjson --actor lee")["applied"] == 1
    (entry, *_) = limited.doc("ledger acme --by lee")["entries"]
    assert (entry["actor"], entry["approved_by"], entry["amount"]) == ("tester", "lee", 2001)
    assert limited("verify --all").code == 0


@pytest.mark.parametrize("name", ["TESTER", " tester", "tester ", "test er", "tester\u200b", "\uff54ester"])
def test_the_author_under_a_name_that_reads_alike_is_nobody_else(limited: Shell, name: str) -> None:
    limited.all(f"adjust acme 2001 --ref a1 {WHY} --plan-out plan.ndjson")
    own = limited.json("apply", "plan.ndjson", "--actor", name)
    assert (own.code, own.doc["problems"][0]["reason"]) == (4, "needs_approval")
    assert limited.doc("apply plan.ndjson --actor tester2")["applied"] == 1


def test_one_s_own_plan_has_the_limits_of_the_desk(limited: Shell) -> None:
    limited.all(f"adjust acme 101 --ref a1 {WHY} --plan-out plan.ndjson")
    own = limited.json("apply plan.ndjson")
    assert (own.code, own.doc["problems"][0]["reason"]) == (4, "over_limit")
    assert limited.doc("apply plan.ndjson --over-limit")["applied"] == 1
    assert "approved_by" not in limited.doc("ledger acme")["entries"][0]


def test_a_file_has_no_limits(limited: Shell) -> None:
    lines = [
        {"op": "adjust", "org": "acme", "units": 5000, "ref": "a1", "reason": "moved"},
        {"op": "debit", "org": "acme", "units": 500, "ref": "d1"},
    ]
    path = limited.file("in.ndjson", "".join(json.dumps(line) + "\n" for line in lines))
    assert limited.doc("backfill", path)["applied"] == 2


def test_a_profile_has_limits_and_reasons_of_its_own(limited: Shell) -> None:
    assert limited.doc("adjust acme 101 --ref a1 --reason gift --profile lax")["status"] == "applied"
    assert limited.json("debit acme 51 --ref d1 --profile lax").doc["reason"] == "over_limit"
    assert limited.doc("debit acme 5 --ref d1 --profile lax")["status"] == "applied"


@pytest.mark.parametrize("why", ["", " --reason because", " --reason tck-1"])
def test_a_reason_is_needed_and_has_to_match(limited: Shell, why: str) -> None:
    answer = limited.json(f"debit acme 5 --ref d1{why}")
    assert (answer.code, answer.error["code"]) == (2, "reason_required")
    assert limited.doc("debit acme 5 --ref d1 --reason 'as in TCK-77'")["status"] == "applied"


def test_a_reason_is_not_needed_everywhere(limited: Shell) -> None:
    assert limited.doc("credit-pack acme small --session s2")["status"] == "applied"
    answer = limited.json("credit-pack acme small --session s3 --reason because")
    assert (answer.code, answer.error["code"]) == (2, "reason_required")


def test_an_org_that_stands_otherwise_is_left_alone(run_anywhere: Shell) -> None:
    run = run_anywhere
    run.all("credit-pack acme small --session s1")
    for bounds in ("--expect-balance 999", "--expect-seq 2", "--expect-balance 1000 --expect-seq 0"):
        answer = run.json(f"debit acme 5 --ref d1 {bounds}")
        assert (answer.code, answer.doc["reason"]) == (6, "not_as_expected")
    assert run.doc("debit acme 5 --ref d1 --expect-balance 1000 --expect-seq 1")["status"] == "applied"
    assert run.doc("debit acme 5 --ref d1 --expect-balance 1000 --expect-seq 1")["status"] == "replayed"
    for bad in ("debit acme 5 --ref d2 --expect-balance x", "expire --all --expect-seq 1"):
        assert run.json(bad).code == 2


def test_quiet_prints_nothing_but_warnings_and_noes(run: Shell) -> None:
    first = run("credit-pack acme small --session s1 --quiet")
    assert (first.code, first.out) == (0, "")
    assert first.err.splitlines()[0] == "warning [new_org]: acme had no journal: this opens one."
    assert run("debit acme 5 --ref d1 -q --json").out == run("debit acme 5 --ref d1 -q").out == ""
    assert "insufficient_balance" in run("debit acme 5000 --ref d2 -q").out


def test_l79_an_actor_is_refused_where_nobody_acts(run: Shell) -> None:
    run.all("credit-pack acme small --session s1 --actor kim")
    for line in ("ledger acme --actor kim", "balance acme --actor kim", "--actor kim explain acme"):
        answer = run.json(line)
        assert (answer.code, answer.error["code"]) == (2, "usage")
        assert "--by" in answer.error["hint"]
    assert len(run.doc("ledger acme --by kim")["entries"]) == 1
    assert run.doc("ledger acme --by lee")["entries"] == []


def test_l73_a_new_org_is_told_and_typed(run: Shell) -> None:
    run.all("credit-pack acme small --session s1")
    warning, *_ = run.doc("credit-pack acmee small --session s2 --dry-run")["warnings"]
    assert warning["code"] == "new_org"
    assert "acme?" in warning["message"]
    line = ["credit-pack", "acmee", "small", "--session", "s2"]
    ended, screen = at_terminal(run, line, asked="Type the org's id", answer="acme\n")
    assert (ended.code, "Did you mean acme?" in screen) == (130, True)
    ended, screen = at_terminal(run, line, asked="Type the org's id", answer="acmee\n")
    assert ended.code == 0, screen


@pytest.mark.parametrize(
    "line",
    [
        *("balance acmee", "explain acmee", "meter show acmee", "ledger acmee", "ledger acmee --chart"),
        *("meter history acmee", "meter alerts acmee", "lot list acmee", "lot list acmee --all"),
        "statement acmee --month 2026-11",
    ],
)
def test_l73_a_read_of_an_unknown_org_says_so(run: Shell, line: str) -> None:
    run.all("credit-pack acme small --session s1")
    answer = run.json(line)
    assert (answer.code, answer.doc["known"]) == (0, False)
    assert answer.err.endswith('No journal for "acmee". Did you mean acme?\n')
    assert run(line).err.endswith('No journal for "acmee". Did you mean acme?\n')
    known = run.json(line.replace("acmee", "acme"))
    assert (known.doc["known"], "No journal" in known.err) == (True, False)


@pytest.mark.parametrize("line", ["export acmee", "verify acmee", "expire acmee", "reset-week acmee"])
def test_so_does_a_command_that_finds_nothing_to_do(run: Shell, line: str) -> None:
    run.all("credit-pack acme small --session s1")
    answer = run(line)
    assert (answer.code, answer.err.startswith("no journal of acmee in ")) == (0, True)
    assert answer.err.endswith(". Did you mean acme?\n")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("debit acmee 5 --ref d1", 4),
        ("meter hold acmee 5 --ref h1", 4),
        ("refund acmee --session s1 --cents 5 --refund-id r1", 3),
        ("undo acmee --ref d1 --reason why --yes", 3),
    ],
)
def test_so_does_a_refused_write(run: Shell, line: str, code: int) -> None:
    run.all("credit-pack acme small --session s1")
    answer = run(line)
    assert (answer.code, answer.err) == (code, 'No journal for "acmee". Did you mean acme?\n')
    assert "No journal" not in run(line.replace("acmee", "acme").replace("5 --ref", "5000 --ref")).err


def test_at_a_terminal_a_limit_is_lifted_by_the_org_s_id(limited: Shell) -> None:
    line = f"adjust acme 101 --ref a1 {WHY}".split()
    ended, screen = at_terminal(limited, line, asked="Type the org's id", answer="yes\n")
    assert (ended.code, "Beyond a limit" in screen) == (130, True)
    ended, screen = at_terminal(limited, line, asked="Type the org's id", answer="acme\n")
    assert ended.code == 0, screen
    assert limited.doc("balance acme")["balance"] == 1101


def test_a_price_that_is_not_the_pack_s_is_told_and_typed(run: Shell) -> None:
    run.all("credit-pack acme small --session s1")
    line = "credit-pack acme small --session s2 --paid-cents 5"
    assert run.doc(f"{line} --dry-run")["warnings"][0]["code"] == "price_differs"
    ended, screen = at_terminal(run, line.split(), asked="Type the org's id", answer="acme\n")
    assert ended.code == 0, screen


def test_l69_units_that_had_expired_are_not_claimed(run: Shell) -> None:
    receipt = run.doc("credit-pack acme small --session s1 --at 2026-08-01T10:00Z")
    assert receipt["balance"] == 0
    assert [warning["code"] for warning in receipt["warnings"]][:2] == ["new_org", "expired_on_arrival"]


def test_l74_dates_that_end_a_period(run: Shell) -> None:
    receipt = run.doc("adjust acme 5 --ref a1 --reason gift --expires 2026-12-31")
    assert receipt["entry"]["expires_at"] == "2027-01-01T00:00:00.000Z"
    receipt = run.doc("adjust acme 5 --ref a2 --reason gift --expires 30d")
    assert receipt["entry"]["expires_at"] == "2026-12-16T12:00:00.000Z"
    assert "expires 2026-12-16T12:00:00.000Z" in run("adjust acme 5 --ref a3 --reason gift --expires 30d").err
    assert len(run.doc("ledger acme --until 2026-11-16")["entries"]) == 3
    assert len(run.doc("ledger acme --until 2026-11-15")["entries"]) == 0
    for text in ("2026-11", "2026-W47", "monday", "today"):
        assert len(run.doc(f"ledger acme --since {text} --until {text}")["entries"]) == 3


@pytest.mark.parametrize("output", ["csv", "ndjson"])
def test_l72_a_table_of_a_ledger_is_whole_unless_a_limit_is_given(run: Shell, output: str) -> None:
    lines = [{"op": "adjust", "org": "acme", "units": 1, "ref": f"a{n}", "reason": "gift"} for n in range(45)]
    run.all(f"backfill {run.file('in.ndjson', ''.join(json.dumps(line) + chr(10) for line in lines))}")
    head = 1 if output == "csv" else 0
    assert len(run(f"ledger acme -o {output}").out.splitlines()) == 45 + head
    limited = run(f"ledger acme -o {output} --limit 5")
    assert len(limited.out.splitlines()) == 5 + head
    assert "--before 41" in limited.err


def test_a_free_pack_may_be_said_to_cost_nothing(run: Shell) -> None:
    """As the command of a finding has it."""
    assert run.doc("credit-pack acme gift --session g1 --paid-cents 0")["entry"]["paid_cents"] == 0
    assert run.json("credit-pack acme small --session s1 --paid-cents 0").error["code"] == "bad_number"
