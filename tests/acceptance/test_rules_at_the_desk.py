"""The rules of lots, holds, plans and names at their edges, as an operator meets them on a Monday noon."""

from typing import Any

import pytest

from tests.acceptance.shell import CONFIG, Shell

MONDAY = "2026-11-23T00:00:00.000Z"
JUST_BEFORE = "2026-11-22T23:59:59.999Z"

Step = tuple[str, str | None]


def receipts(run: Shell, lines: list[Step], now: str | None = None) -> list[dict[str, Any]]:
    """Type each line, and compare the reason of its receipt, or its status."""
    made = []
    for line, expected in lines:
        answer = run.json(line, now=now)
        assert answer.out, (line, answer)
        outcome = answer.doc["reason"] or answer.doc["status"]
        assert outcome == (expected or "applied"), (line, answer)
        made.append(answer.doc)
    assert run("verify --all", now=now).code == 0
    return made


def lots(run: Shell, now: str | None = None) -> dict[int, int]:
    return {lot["id"]: lot["remaining"] for lot in run.doc("balance acme", now=now)["lots"]}


def kinds(run: Shell, now: str | None = None) -> list[str]:
    return [entry["kind"] for entry in run.doc("ledger acme --all-kinds --limit 1000", now=now)["entries"]][::-1]


# One lot


def test_a_new_expiry_lies_after_now_by_a_millisecond_at_least(run: Shell) -> None:
    receipts(
        run,
        [
            ("adjust acme 10 --ref a --reason x", None),
            ("lot extend acme 1 --expires 2026-11-16T12:00:00.000Z --ref x1 --reason x", "expires_in_past"),
            ("lot extend acme 1 --expires 2026-11-16T12:00:00.001Z --ref x1 --reason x", None),
        ],
    )
    assert run.doc("balance acme")["balance"] == 10
    gone = "2026-11-16T12:00:00.001Z"
    assert run.doc("balance acme", now=gone)["balance"] == 0
    late = run.json("lot extend acme 1 --expires 30d --ref x2 --reason x", now=gone)
    assert (late.code, late.doc["reason"]) == (4, "lot_gone")
    assert "meterctl adjust acme +10 --ref x2" in late.doc["hint"]


@pytest.mark.parametrize(
    "line",
    [
        "lot extend acme 1 --expires never --ref x --reason why",
        "plan assign acme pro --ref x",
        "meter hold acme 5 --ref x",
    ],
)
def test_an_undo_by_the_ref_of_what_cannot_be_undone_says_so(run: Shell, line: str) -> None:
    run.all("plan publish pro --quota 5", "adjust acme 10 --ref a --reason why", line)
    receipts(run, [("undo acme --ref x --reason why --yes", "not_undoable")])
    run.all("debit acme 1 --ref x --yes")
    receipts(run, [("undo acme --ref x --reason why --yes", None)])


def test_an_undone_run_comes_back_to_the_lot_that_was_voided_meanwhile(run: Shell) -> None:
    receipts(
        run,
        [
            ("credit-pack acme small --session cs_1", None),
            ("meter attribute acme r --units 30", None),
            ("lot void acme 1 --ref v --reason x --yes", None),
            ("lot void acme 1 --ref v2 --reason x --yes", "lot_gone"),
            ("undo acme --run r --reason x --yes", None),
        ],
    )
    assert lots(run) == {1: 30}
    receipts(run, [("undo acme --ref v --reason x --yes", None), ("undo acme 1 --reason x --yes", None)])
    assert lots(run) == {}


@pytest.mark.parametrize(("units", "reason"), [(-10, None), (-11, "insufficient_lot")])
def test_a_lot_gives_its_last_unit_and_no_more(run: Shell, units: int, reason: str | None) -> None:
    receipts(
        run,
        [
            ("adjust acme 10 --ref a --reason x", None),
            ("adjust acme 50 --ref b --reason x", None),
            (f"adjust acme {units} --lot 1 --ref c --reason x --yes", reason),
        ],
    )
    assert lots(run) == ({2: 50} if reason is None else {1: 10, 2: 50})


def test_only_a_correction_downwards_names_a_lot(run: Shell) -> None:
    run.all("adjust acme 10 --ref a --reason x")
    assert run("adjust acme 5 --lot 1 --ref b --reason x").code == 2
    assert run("adjust acme -5 --priority 1 --ref b --reason x").code == 2
    assert run("adjust acme -5 --lot 1 --allow-debt --ref b --reason x --yes").code == 2


def test_lots_are_drawn_by_priority_then_expiry_then_unpaid_then_number(run: Shell) -> None:
    receipts(
        run,
        [
            ("credit-pack acme small --session cs_1 --expires 2026-12-01T00:00:00Z", None),
            ("adjust acme 1 --ref unpaid --reason x --expires 2026-12-01T00:00:00Z", None),
            ("adjust acme 1 --ref unpaid-too --reason x --expires 2026-12-01T00:00:00Z", None),
            ("adjust acme 1 --ref sooner --reason x --expires 2026-11-30T23:59:59.999Z", None),
            ("adjust acme 1 --ref never --reason x", None),
            ("adjust acme 1 --ref last --reason x --priority 100 --expires 2026-11-17T00:00:00Z", None),
            ("adjust acme 1 --ref first --reason x --priority 0", None),
        ],
    )
    assert list(lots(run)) == [7, 4, 2, 3, 1, 5, 6]
    draws = receipts(run, [("debit acme 4 --ref d", None)])[0]["entry"]["draws"]
    assert [draw["lot"] for draw in draws] == [7, 4, 2, 3]
    for number in ("101", "-1", "1.5", "x"):
        assert run("adjust", "acme", "1", "--ref", "p", "--reason", "x", f"--priority={number}").code == 2


# Refunds of the unspent part


@pytest.mark.parametrize(
    ("before", "cents"),
    [
        (["debit acme 400 --ref d", "undo acme --ref d --reason x --yes"], 500),
        (["debit acme 400 --ref d"], 300),
        (["debit acme 1 --ref d"], 499),
        (["debit acme 998 --ref d"], 1),
        (["refund acme --session cs_1 --cents 100 --refund-id re_0", "refund acme --reverse re_0"], 500),
        (["lot void acme 1 --ref v --reason x --yes", "undo acme --ref v --reason x --yes"], 500),
    ],
)
def test_the_unspent_part_is_worth_its_share_rounded_down(run: Shell, before: list[str], cents: int) -> None:
    run.all("credit-pack acme small --session cs_1 --name pi_1", *before)
    entry = receipts(run, [("refund acme --session pi_1 --unused --refund-id re_1", None)])[0]["entry"]
    assert entry["cents"] == cents
    assert "debt" not in entry or entry["debt"] == {"owed": 0, "overage": 0}


@pytest.mark.parametrize("before", ["debit acme 999 --ref d", "lot void acme 1 --ref v --reason x --yes"])
def test_a_part_worth_less_than_a_cent_is_not_refunded(run: Shell, before: str) -> None:
    run.all("credit-pack acme small --session cs_1", before)
    answer = run.json("refund acme --session cs_1 --unused --refund-id re_1")
    assert (answer.code, answer.error["code"]) == (2, "nothing_unused")


def test_a_retry_of_an_unused_refund_is_a_replay(run: Shell) -> None:
    run.all("credit-pack acme small --session cs_1 --name pi_1", "debit acme 400 --ref d")
    retry = "refund acme --session cs_1 --unused --refund-id re_1"
    assert [run.doc(retry)["status"] for _ in range(2)] == ["applied", "replayed"]
    run.all("undo acme --ref d --reason x --yes")  # the pack has units again
    again = run.doc("refund acme --session pi_1 --unused --refund-id re_1")
    assert (again["status"], again["entry"]["cents"]) == ("replayed", 300)
    other = run.json("refund acme --session cs_2 --unused --refund-id re_1")
    assert (other.code, other.doc["status"]) == (5, "conflict")


# Holds


def test_holds_share_quota_and_balance_to_the_last_unit(run: Shell) -> None:
    run.all("plan publish free --quota 100", "adjust acme 50 --ref a --reason x")
    receipts(
        run,
        [
            ("meter hold acme 151 --ref h", "insufficient_balance"),
            ("meter hold acme 100 --ref h", None),
            ("meter hold acme 51 --ref i", "insufficient_balance"),
            ("meter hold acme 50 --ref i", None),
            ("meter hold acme 1 --ref j", "insufficient_balance"),
            ("debit acme 1 --ref d", "insufficient_balance"),
            ("adjust acme -1 --ref e --reason x", "insufficient_balance"),
            ("debit acme 1 --ref d --allow-debt --yes", None),
        ],
    )
    checked = run.json("meter check acme")
    assert (checked.code, checked.doc["available"], checked.doc["held"]) == (4, -1, 150)
    # Usage goes on regardless; with its hold it frees more, or less, than it takes.
    settled = receipts(
        run,
        [
            ("meter attribute acme over --units 130 --hold h", None),
            ("meter attribute acme under --units 1 --hold i", None),
            ("meter attribute acme gone --units 1 --hold i", None),
        ],
    )
    assert [receipt["entry"].get("released", {}).get("units") for receipt in settled] == [100, 50, None]
    assert [[warning["code"] for warning in receipt["warnings"]][:1] for receipt in settled[1:]] == [
        ["clock_pinned"],
        ["hold_ran_out"],
    ]
    assert run.doc("meter show acme")["held"] == 0
    assert run.doc("balance acme")["balance"] == 50 - 1 - 30 - 1 - 1


@pytest.mark.parametrize(
    ("span", "reason"), [("31d", None), ("--expires 2026-12-17T12:00:00.001Z", "too_far_ahead"), ("1m", None)]
)
def test_a_hold_lasts_a_month_at_most(run: Shell, span: str, reason: str | None) -> None:
    run.all("adjust acme 5 --ref a --reason x")
    option = span if span.startswith("--") else f"--for {span}"
    receipts(run, [(f"meter hold acme 5 --ref h {option}", reason)])


def test_units_are_free_at_the_instant_a_hold_ends(run: Shell) -> None:
    run.all("adjust acme 5 --ref a --reason x")
    run.all("meter hold acme 3 --ref z --expires 2026-11-16T13:00:00Z", "meter hold acme 2 --ref b --for 1h")
    receipts(run, [("debit acme 1 --ref d", "insufficient_balance")], now="2026-11-16T12:59:59.999Z")
    (done,) = receipts(run, [("debit acme 5 --ref d", None)], now="2026-11-16T13:00:00.000Z")
    assert [entry["key"] for entry in done["also"]] == ["release:b", "release:z"]
    receipts(
        run,
        [
            ("meter release acme --ref z", "unchanged"),
            ("meter hold acme 3 --ref z --expires 2026-11-16T13:00:00Z", "replayed"),
            ("meter hold acme 2 --ref b --for 2h", "conflict"),
        ],
        now="2026-11-16T13:00:00.000Z",
    )


# Everything at one instant


def test_what_is_due_at_one_instant_comes_in_a_fixed_order(run: Shell) -> None:
    run.all(
        "plan publish free --quota 10",
        "plan publish pro --quota 100 --rollover-max 30",
        "adjust acme 5 --ref a --reason x --expires 2026-11-23T00:00:00Z",
        "adjust acme 6 --ref b --reason x --priority 1 --expires 2026-11-23T00:00:00Z",
        "meter attribute acme r --units 4",
        "plan assign acme pro --ref p --from next-week",
        "meter hold acme 1 --ref y --expires 2026-11-23T00:00:00Z",
        "meter hold acme 1 --ref x --expires 2026-11-23T00:00:00Z",
    )
    before = len(kinds(run))
    assert run.doc("expire --all", now=JUST_BEFORE)["due"] == 0
    assert run.doc("balance acme", now=JUST_BEFORE)["balance"] == 11
    view = {name: run.doc(name, now=MONDAY) for name in ("meter show acme", "balance acme")}
    assert (view["meter show acme"]["plan"], view["meter show acme"]["held"]) == ("pro", 0)
    run.all("expire --all", now=MONDAY)
    entries = run.doc("ledger acme --all-kinds --limit 100", now=MONDAY)["entries"][::-1][before:]
    assert [entry["key"] for entry in entries] == [
        "expire:1", "expire:2", "release:x", "release:y", "week:2026-W47", "plan-due:4",
    ]  # fmt: skip
    assert {name: run.doc(name, now=MONDAY) | {"seq": 0} for name in view} == {
        name: document | {"seq": 0} for name, document in view.items()
    }
    assert run("verify --all", now=MONDAY).code == 0


# Plans and rollover


@pytest.mark.parametrize(
    ("most", "used", "rolled"), [(0, 0, 0), (30, 0, 30), (30, 70, 30), (30, 71, 29), (30, 99, 1), (30, 100, 0)]
)
def test_unused_quota_rolls_over_up_to_the_cap(run: Shell, most: int, used: int, rolled: int) -> None:
    run.all(f"plan publish pro --quota 100 --rollover-max {most} --rollover-weeks 2", "plan assign acme pro --ref p")
    if used:
        run.all(f"meter attribute acme r --units {used}")
    assert run.doc("expire --all", now=MONDAY)["rolled_over_units"] == rolled
    shown = run.doc("balance acme", now=MONDAY)
    assert [(lot["remaining"], lot["expires_at"]) for lot in shown["lots"]] == (
        [(rolled, "2026-12-07T00:00:00.000Z")] if rolled else []
    )
    assert run("verify --all", now=MONDAY).code == 0


def test_owed_units_keep_the_quota_from_rolling_over(run: Shell) -> None:
    run.all("plan publish pro --quota 100 --rollover-max 30", "plan assign acme pro --ref p")
    run.all("debit acme 1 --ref d --allow-debt --yes")
    assert run.doc("expire --all", now=MONDAY)["rolled_over_units"] == 0
    assert run.doc("balance acme", now=MONDAY)["debt"] == {"owed": 1, "overage": 0}
    run.all("adjust acme 1 --ref a --reason x", now=MONDAY)
    assert run.doc("expire --all", now="2026-11-30T00:00:00Z")["rolled_over_units"] == 30


def test_the_newest_of_two_plans_for_one_monday_holds(run: Shell) -> None:
    run.all("plan publish free --quota 10", "plan publish pro --quota 100", "plan publish team --quota 1000")
    receipts(
        run,
        [
            ("plan assign acme pro --ref p1 --from next-week", None),
            ("plan assign acme team --ref p2 --from 2026-11-23T00:00:00Z", None),
            ("plan assign acme team --ref p3 --from next-week", "unchanged"),
            ("plan assign acme team --ref p1 --from next-week", "conflict"),
            ("plan assign acme pro --ref p1 --from next-week", "replayed"),
            ("plan assign acme pro --ref p4 --from 2026-11-16T12:00:00Z", "from_in_past"),
            ("plan assign acme pro --ref p4 --from 2027-11-17T12:00:00.001Z", "too_far_ahead"),
        ],
    )
    assert run.doc("meter show acme", now=JUST_BEFORE)["quota"] == 10
    run.all("expire --all", now=MONDAY)
    assert run.doc("meter show acme", now=MONDAY)["plan"] == "team"
    assert kinds(run, now=MONDAY) == ["plan", "plan", "plan"]


def test_a_new_version_for_a_week_beyond_its_quota(run: Shell) -> None:
    run.all("plan publish free --quota 100", "adjust acme 500 --ref a --reason x")
    run.all("meter attribute acme r --units 250", "plan assign acme free --ref p0")
    assert run.doc("balance acme")["balance"] == 350
    run.all("plan publish free --quota 300")
    (raised,) = receipts(run, [("plan assign acme free --ref p1", None)])
    assert raised["entry"].get("alerts", []) == []
    # Units taken before stay taken; the next run has 50 units of quota left.
    receipts(run, [("meter attribute acme s --units 60", None)])
    assert run.doc("balance acme")["balance"] == 340
    # Without the first run nothing of the week lies above the quota.
    receipts(run, [("undo acme --run r --reason x --yes", None)])
    assert run.doc("balance acme")["balance"] == 500
    run.all("plan publish free --quota 50")
    (lowered,) = receipts(run, [("plan assign acme free --ref p2", None)])
    assert run.doc("meter show acme")["alerts"] == [80, 100]
    assert lowered["balance"] == 500
    receipts(run, [("plan assign acme free --ref p3", "unchanged")])


# Alerts


def test_a_balance_alert_comes_with_each_crossing_and_only_then(run: Shell) -> None:
    run.config("balance_alerts = [100, 0, -5]\n" + CONFIG)
    steps: list[tuple[str, list[int]]] = [
        ("adjust acme 101 --ref a --reason x", []),
        ("debit acme 1 --ref b", []),  # 100 is not below 100
        ("debit acme 1 --ref c", [100]),
        ("adjust acme 1 --ref d --reason x", []),
        ("debit acme 100 --ref e", [100]),
        ("debit acme 5 --ref f --allow-debt --yes", [0]),
        ("debit acme 1 --ref g --allow-debt --yes", [-5]),
        ("credit-pack acme small --session cs_1", []),
        ("meter attribute acme r --units 1000", [100, 0, -5]),
        ("undo acme --run r --reason x --yes", []),
    ]
    for line, levels in steps:
        (receipt,) = receipts(run, [(line, None)])
        assert receipt["entry"].get("low", []) == levels, line
    listed = run.doc("meter alerts acme")["alerts"]
    assert [alert["below"] for alert in listed] == [100, 100, 0, -5, 100, 0, -5]


# Names and currencies of payments


def test_each_name_of_a_payment_belongs_to_one_org(run: Shell) -> None:
    receipts(
        run,
        [
            ("credit-pack acme small --session cs_1 --name pi_1 --name ch_1", None),
            ("credit-pack bolt small --session ch_1", "session_claimed"),
            ("credit-pack bolt small --session cs_2 --name pi_1", "session_claimed"),
            ("credit-pack acme small --session pi_1", "replayed"),
            ("credit-pack acme small --session ch_1 --quantity 2", "conflict"),
            ("credit-pack acme small --session cs_1 --name in_1", "replayed"),  # a name more
            ("credit-pack bolt small --session in_1", "session_claimed"),
            ("credit-pack bolt small --session cs_2", None),  # it kept nothing when it was refused
            ("refund acme --session in_1 --cents 5 --refund-id re_1", None),
            ("undo acme --session ch_1 --reason x --yes", "lot_partly_used"),
            ("refund acme --reverse re_1", None),
            ("undo acme --session ch_1 --reason x --yes", None),
            ("refund acme --session pi_1 --cents 5 --refund-id re_2", "undone"),
            ("credit-pack bolt small --session pi_1 --name ch_1", None),
            ("refund acme --session ch_1 --cents 5 --refund-id re_3", "unknown_session"),
        ],
    )


def test_a_pack_is_sold_in_its_own_currencies(run: Shell) -> None:
    run.config(
        CONFIG.replace('currency = "usd"\nexpiry_days = 21', 'currency = "usd"\nprices = { eur = 460, jpy = 700 }')
    )
    made = receipts(
        run,
        [
            ("credit-pack acme small --session cs_1 --currency eur", None),
            ("credit-pack acme small --session cs_1", "replayed"),
            ("credit-pack acme small --session cs_1 --currency usd", "conflict"),
            ("credit-pack acme small --session cs_2 --currency jpy --quantity 2", None),
            ("credit-pack acme small --session cs_3 --currency gbp", "unknown_currency"),
            ("credit-pack acme small --session cs_3 --currency eur --paid-cents 500 --yes", None),
            ("refund acme --session cs_1 --cents 461 --refund-id re_1", "refund_exceeds_payment"),
            ("refund acme --session cs_1 --cents 230 --refund-id re_1", None),
        ],
    )
    assert [made[number]["entry"]["paid_cents"] for number in (0, 3, 5)] == [460, 1400, 500]
    assert "price_differs" in [warning["code"] for warning in made[5]["warnings"]]
    assert (made[7]["entry"]["units"], made[7]["entry"]["currency"]) == (500, "eur")
