"""A test payment on a live store, and a live one on a test store: refused on every way in, and nothing is booked."""

import json
from collections.abc import Callable

import pytest

import meterctl
from tests.acceptance.shell import Shell

BOOKED = {"live": "cs_live_0", "test": "cs_test_0"}
OTHER = {"live": "cs_test_1", "test": "cs_live_1"}


@pytest.fixture(params=["live", "test"])
def mode(request: pytest.FixtureRequest, run_anywhere: Shell) -> str:
    """The mode of the store; it holds one payment."""
    kind: str = request.param
    run_anywhere.all(f"credit-pack acme small --session {BOOKED[kind]}")
    return kind


def line(session: str, *names: str) -> dict[str, object]:
    return {"op": "credit-pack", "org": "acme", "pack": "small", "session": session, "names": list(names)}


def by_hand(run: Shell, session: str) -> tuple[int, object]:
    answer = run.json(f"credit-pack acme small --session {session}")
    return answer.code, answer.doc["reason"]


def by_another_name(run: Shell, session: str) -> tuple[int, object]:
    answer = run.json(f"credit-pack acme small --session pi_1 --name {session}")
    return answer.code, answer.doc["reason"]


def dry_run(run: Shell, session: str) -> tuple[int, object]:
    answer = run.json(f"credit-pack acme small --session {session} --dry-run")
    return answer.code, answer.doc["reason"]


def payment_line(session: str) -> str:
    payment = {"id": session, "org": "acme", "pack": "small", "paid_cents": 500, "currency": "usd"}
    return json.dumps({**payment, "paid_at": "2026-11-10T10:00:00Z"})


def from_payment(run: Shell, session: str) -> tuple[int, object]:
    answer = run.json(f"credit-pack --from-payment {run.file('payment.json', payment_line(session))}")
    return answer.code, answer.doc["reason"]


def backfill(run: Shell, text: str, *options: str) -> tuple[int, object]:
    results = run.place / "results.ndjson"
    answer = run.json("backfill", run.file("lines", text), "--results", str(results), *options)
    reasons = [row["reason"] for row in map(json.loads, results.read_text(encoding="utf-8").splitlines())]
    assert answer.doc["refused"] == 1
    return answer.code, reasons[0]


def ndjson(run: Shell, session: str) -> tuple[int, object]:
    return backfill(run, json.dumps(line(session)))


def ndjson_by_another_name(run: Shell, session: str) -> tuple[int, object]:
    return backfill(run, json.dumps(line("in_1", "pi_1", session)))


def csv(run: Shell, session: str) -> tuple[int, object]:
    return backfill(run, f"op,org,pack,session\ncredit-pack,acme,small,{session}\n")


def sorted_lines(run: Shell, session: str) -> tuple[int, object]:
    return backfill(run, json.dumps(line(session)), "--sort", "at")


def line_by_line(run: Shell, session: str) -> tuple[int, object]:
    answer = run("--json", "backfill", "-", "--results", "-", "--line-buffered", stdin=json.dumps(line(session)) + "\n")
    return answer.code, json.loads(answer.out)["reason"]


def workers(run: Shell, session: str) -> tuple[int, object]:
    return backfill(run, json.dumps(line(session)), "--workers", "2")


def rehearsed(run: Shell, session: str) -> tuple[int, object]:
    return backfill(run, json.dumps(line(session)), "--dry-run")


def events(run: Shell, session: str) -> tuple[int, object]:
    item = {"id": session, "mode": "payment", "status": "complete", "payment_status": "paid", "amount_total": 500}
    item |= {"currency": "usd", "metadata": {"org": "acme", "pack": "small"}}
    event = {"id": "evt_1", "type": "checkout.session.completed", "created": 1794304800, "data": {"object": item}}
    answer = run.json(f"events {run.file('event.json', json.dumps(event))}")  # with no livemode, only the name tells
    return {7: 4}.get(answer.code, answer.code), answer.doc["problems"][0]["reason"]


def python(run: Shell, session: str) -> tuple[int, object]:
    with meterctl.connect(run.store, config=str(run.place / "meterctl.toml"), now="2026-11-16T12:00:00Z") as meter:
        one = meter.credit_pack("acme", "small", session=session)
        (other,) = meter.book([line(session)])
    assert one.reason == other.reason
    return one.exit_code, one.reason


WAYS = [by_hand, by_another_name, dry_run, from_payment, events, python]
FILES = [ndjson, ndjson_by_another_name, csv, sorted_lines, line_by_line, workers, rehearsed]


@pytest.mark.parametrize("way", [*WAYS, *FILES])
def test_l70_a_payment_of_the_other_mode_is_refused_on_every_way_in(
    run_anywhere: Shell, mode: str, way: Callable[[Shell, str], tuple[int, object]]
) -> None:
    before = run_anywhere("export --all").out
    expected = 7 if way in FILES else 4
    assert way(run_anywhere, OTHER[mode]) == (expected, "mode_mismatch")
    assert run_anywhere("export --all").out == before
    assert run_anywhere(f"ledger --session {OTHER[mode]}").code == 3, "nobody holds the payment"


def test_a_plan_made_elsewhere_is_refused(run_anywhere: Shell, mode: str) -> None:
    plan = run_anywhere.place / "plan.ndjson"
    run_anywhere.all(
        f"--store sqlite:{run_anywhere.place}/new.db credit-pack bolt small --session {OTHER[mode]} --plan-out {plan}"
    )
    answer = run_anywhere.json(f"apply {plan} --elsewhere --yes")
    assert (answer.code, answer.doc["problems"][0]["reason"]) == (4, "mode_mismatch")
    assert run_anywhere.doc("balance bolt")["known"] is False


def test_reconcile_plans_no_credit_of_the_other_mode(run_anywhere: Shell, mode: str) -> None:
    plan = run_anywhere.place / "plan.ndjson"
    lines = [payment_line(BOOKED[mode]), payment_line(OTHER[mode])]
    answer = run_anywhere.json(f"reconcile {run_anywhere.file('payments', chr(10).join(lines))} --plan-out {plan}")
    (finding,) = answer.doc["findings"]
    assert (answer.code, finding["session"], finding["operations"]) == (8, OTHER[mode], [])
    assert "payment, but the store holds" in finding["fix"]
    assert run_anywhere.json(f"apply {plan} --yes").doc["applied"] == 0


def test_an_export_of_the_other_mode_is_refused(run_anywhere: Shell, mode: str) -> None:
    other = f"sqlite:{run_anywhere.place}/other.db"
    run_anywhere.all(f"--store {other} credit-pack bolt small --session {OTHER[mode]}")
    export = run_anywhere.file("other.ndjson", run_anywhere(f"--store {other} export --all").out)
    for source in (export, other):
        answer = run_anywhere.json(f"import {source}")
        assert (answer.code, answer.error["code"]) == (4, "mode_mismatch")
    assert run_anywhere.doc("balance bolt")["known"] is False
    run_anywhere.all(f"--store {other} undo bolt 1 --reason test --yes")
    undone = run_anywhere.file("undone.ndjson", run_anywhere(f"--store {other} export --all").out)
    assert run_anywhere.doc(f"import {undone}")["imported"] == 2
