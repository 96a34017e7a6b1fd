"""Lessons about files that come in: what a spreadsheet, another time zone or another order must not do."""

from pathlib import Path
from typing import Any

import pytest

from meterctl.core.backfill.account import Account
from meterctl.core.backfill.booker import Backfiller, FileAuthor
from meterctl.core.backfill.sorting import sorted_lines
from meterctl.core.files.local_times import time_zone, with_instants
from meterctl.core.files.operation_lines import open_input
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
