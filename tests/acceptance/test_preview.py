"""``refund --preview``: what it says is what the refund then does."""

from typing import Any

import pytest

from meterctl.core.errors import REFUSED
from tests.acceptance.shell import Shell

#: A day and more after the pack `brief` was bought.
LATER = "2026-11-18T12:00:00Z"


def preview_and_refund(run: Shell, cents: int, now: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a preview says and what the refund after it books, which is what was said."""
    line = f"refund acme --session s1 --cents {cents}"
    said = run.doc(f"{line} --preview", now=now)
    done = run.doc(f"{line} --refund-id re_{cents}", now=now)
    entry = done["entry"]
    assert (said["units"], said["forgiven"], said["draws"]) == (entry["units"], entry["forgiven"], entry["draws"])
    assert (said["balance_after"], said["debt_after"]) == (entry["balance"], entry["state"]["debt"])
    return said, entry


def test_of_a_pack_that_was_partly_used(run_anywhere: Shell) -> None:
    run_anywhere.all("init", "credit-pack acme small --session s1", "debit acme 900 --ref d1")
    said, _ = preview_and_refund(run_anywhere, 250)
    figures = ("pack_units", "used_units", "remaining_units", "expired_units", "units")
    assert [said[name] for name in figures] == [1000, 900, 100, 0, 500]
    assert (said["balance"], said["balance_after"], said["debt_after"]["owed"]) == (100, -400, 400)
    assert (said["refundable_cents_after"], said["clawable_units_after"]) == (250, 500)
    again, _ = preview_and_refund(run_anywhere, 200)
    assert (again["refunded_cents_before"], again["clawed_units_before"], again["units"]) == (250, 500, 400)


def test_of_a_pack_that_has_expired_but_not_been_swept(run_anywhere: Shell) -> None:
    run_anywhere.all("init", "credit-pack acme brief --session s1", "debit acme 30 --ref d1")
    assert len(run_anywhere.doc("ledger acme")["entries"]) == 2
    said, entry = preview_and_refund(run_anywhere, 300, LATER)
    assert entry["seq"] == 4  # what was due is booked first
    assert [said[name] for name in ("used_units", "expired_units", "units", "forgiven")] == [30, 70, 30, 70]
    assert (said["balance"], said["balance_after"]) == (0, -30)


@pytest.mark.parametrize("cents", [501, 10_000])
def test_of_more_than_was_paid(run: Shell, cents: int) -> None:
    run.all("credit-pack acme small --session s1")
    answer = run.json(f"refund acme --session s1 --cents {cents} --preview")
    assert (answer.code, answer.doc["status"]) == (REFUSED, "refused")
    assert len(run.doc("ledger acme")["entries"]) == 1
