"""Lessons about files that come in: what a spreadsheet, another time zone or another order must not do."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from meterctl.core.backfill.account import Account
from meterctl.core.backfill.booker import Backfiller, FileAuthor
from meterctl.core.backfill.sorting import sorted_lines
from meterctl.core.files.local_times import time_zone, with_instants
from meterctl.core.files.operation_lines import open_input
from meterctl.core.payments.reconcile.neutral import BadLine, read_payments
from tests.desk import Desk


def book(desk: Desk, tmp_path: Path, text: str, *, zone: str | None = None, by_time: bool = False) -> Account:
    """Book a file as the command does."""
    path = tmp_path / "input"
    path.write_text(text, encoding="utf-8")
    account = Account()
    with open_input(str(path)) as source:
        lines = with_instants(source.lines(), time_zone(zone) if zone else None, None) if zone else source.lines()
        backfiller = Backfiller(desk.ledger, FileAuthor("tester", "because", None))
        if by_time:
            with sorted_lines(lines) as in_order:
                for answers in backfiller.answers([list(in_order)]):
                    account.take(answers)
        else:
            for answers in backfiller.answers([list(lines)]):
                account.take(answers)
    return account


def test_l62_a_line_inside_a_quoted_cell_is_never_an_operation(desk: Desk, tmp_path: Path) -> None:
    desk.adjust(10, "start")
    noted = 'op,org,units,ref,reason\ndebit,acme,1,t-1,"Hi,\nadjust,acme,1000000,t-9,goodwill\nthanks"\n'
    assert book(desk, tmp_path, noted).tally.applied == 1
    assert (desk.balance(), desk.tip()["reason"]) == (9, "Hi,\nadjust,acme,1000000,t-9,goodwill\nthanks")
    open_ = 'op,org,units,ref,reason\ndebit,acme,1,t-2,x\ndebit,acme,1,t-3,"Hi\nadjust,acme,1000000,t-9,y\n'
    account = book(desk, tmp_path, open_)
    assert (account.tally.applied, account.tally.invalid, account.tally.exit_code) == (1, 1, 7)
    assert (account.examples[0].line, account.examples[0].reason) == (3, "open_quote")
    assert desk.balance() == 8


@pytest.mark.parametrize(
    "opened",
    [
        'op;org;units;ref;reason\ndebit;acme;1;t-1;x\ndebit;acme;1;t-2;"Hi;\n',
        'op\torg\tunits\tref\treason\r\ndebit\tacme\t1\tt-1\tx\r\ndebit\tacme\t1\tt-2\t"Hi\r\n',
        'sep=;\nop;org;units;ref;reason\ndebit;acme;1;t-1;x\ndebit;acme;1;"t-2;Hi\n',
        "op,org,units,ref,reason\ndebit,acme,1,t-1,x\ndebit,acme,1,t-2,'Hi,\n",
    ],
)
def test_l62_nothing_after_an_open_quote_is_booked(desk: Desk, tmp_path: Path, opened: str) -> None:
    desk.adjust(10, "start")
    mark = next(mark for mark in ";\t," if mark in opened)
    grant = mark.join(["adjust", "acme", "1000000", "t-9", "goodwill"])
    account = book(desk, tmp_path, f"{opened}{grant}\n{grant}'\n")
    assert (account.tally.applied, account.tally.exit_code, desk.balance()) == (1, 7, 9)
    (problem,) = account.examples
    assert (problem.reason, problem.line) == ("open_quote", opened.count("\n"))


def test_l62_half_of_a_broken_line_is_never_an_operation(desk: Desk, tmp_path: Path) -> None:
    broken = "op,org,units,ref,reason,expires_at\nadjust,acme,5,a-1,Hi\nthere,2027-01-01T00:00:00Z\n"
    assert book(desk, tmp_path, broken).tally.invalid == 2
    assert desk.entries() == []
    whole = broken.replace("there,2027-01-01T00:00:00Z", "adjust,acme,5,a-2,x,2027-01-01T00:00:00Z")
    assert book(desk, tmp_path, whole).tally.applied == 2
    assert [lot["expires_at"] for lot in desk.tip()["state"]["lots"]] == ["2027-01-01T00:00:00.000Z", None]


BACKWARDS = "".join(
    f'{{"op": "attribute", "org": "acme", "run": "r{day}", "units": 60, "at": "2026-11-{day:02}T10:00:00Z"}}\n'
    for day in (18, 11, 4)
)


def test_l68_lines_that_take_effect_late_are_counted_or_sorted(desk: Desk, tmp_path: Path) -> None:
    desk.go("2026-11-22T10:00:00Z")
    desk.publish("free", 100, "2026-11-01T00:00:00Z")
    desk.set_terms(default_plan="free")
    account = book(desk, tmp_path, BACKWARDS)
    assert (account.tally.applied, account.tally.late) == (3, 2)
    assert desk.tip()["state"]["week"]["used"] == 180
    other = book(desk, tmp_path, BACKWARDS.replace("acme", "other"), by_time=True)
    assert (other.tally.applied, other.tally.late) == (3, 0)
    closed = [entry["closed"]["used"] for entry in desk.entries("other") if entry["kind"] == "reset"]
    assert (closed, desk.tip("other")["state"]["week"]["used"]) == ([60, 60], 60)


def test_l68_a_line_on_a_journal_that_has_gone_on_is_late(desk: Desk, tmp_path: Path) -> None:
    desk.go("2026-11-22T10:00:00Z")
    desk.adjust(10, "start")
    assert book(desk, tmp_path, BACKWARDS, by_time=True).tally.late == 3


@pytest.mark.parametrize("at", ["2026-11-22T21:00:00", "2026-11-22 21:00"])
def test_l75_a_local_time_is_never_taken_for_utc(desk: Desk, tmp_path: Path, at: str) -> None:
    desk.go("2026-11-24T10:00:00Z")
    line = f'{{"op": "attribute", "org": "acme", "run": "r1", "units": 5, "at": "{at}"}}\n'
    account = book(desk, tmp_path, line)
    assert (account.tally.invalid, account.examples[0].reason) == (1, "naive_time")
    assert desk.entries() == []
    assert book(desk, tmp_path, line, zone="America/Los_Angeles").tally.applied == 1
    entry: Any = desk.tip()
    assert (entry["at"], entry["state"]["week"]["key"]) == ("2026-11-23T05:00:00.000Z", "2026-W48")
    berlin = line.replace("r1", "r2").replace("acme", "other")
    assert book(desk, tmp_path, berlin, zone="Europe/Berlin").tally.applied == 1
    assert desk.tip("other")["state"]["week"]["key"] == "2026-W47"


PAYMENT = {"id": "txn_1", "org": "acme", "pack": "small", "paid_cents": 500, "currency": "usd"}


@pytest.mark.parametrize("at", ["2026-11-22T21:00:00", "2026-11-22 21:00", "2026-11-22"])
def test_l75_nor_is_the_local_time_of_a_payment_or_refund(at: str) -> None:
    refund = {"id": "re_1", "cents": 5, "at": at}
    lines = [PAYMENT | {"paid_at": at}, PAYMENT | {"paid_at": "2026-11-20T10:00:00Z", "refunds": [refund]}]
    for line in lines:
        (read,) = read_payments(io.BytesIO(json.dumps(line).encode()))
        assert isinstance(read, BadLine)
        assert (read.problem.code, at in read.problem.message) == ("naive_time", True)
        assert "--timezone" not in read.problem.hint


@pytest.mark.parametrize("at", ["2026-11-20T11:00:00+01:00", 1795168800, 1795168800000, "1795168800"])
def test_l75_the_time_of_a_payment_may_be_a_count_of_seconds(at: object) -> None:
    (read,) = read_payments(io.BytesIO(json.dumps(PAYMENT | {"paid_at": at}).encode()))
    assert not isinstance(read, BadLine)
    assert read.payment.at == "2026-11-20T10:00:00.000Z"
