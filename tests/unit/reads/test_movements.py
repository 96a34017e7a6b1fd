"""Movements: each entry has a place in the sum, or the statement fails."""

from typing import Any, cast

import pytest

from meterctl.core.errors import FINDINGS
from meterctl.core.model import Entry, Instant
from meterctl.core.reads.movements import (
    MOST_NAMES,
    OTHERS,
    DoesNotAddUp,
    MovementKey,
    MovementPart,
    Movements,
    Window,
    money_record,
    parts_of,
)

SINCE = Instant("2026-11-01T00:00:00.000Z")
WEEK = {"key": "2026-W47", "cycle": 1, "plan": "free", "quota": 100}


def entry(kind: str, amount: int, seq: int = 1, balance: int | None = None, **fields: Any) -> Entry:
    """An entry with these effects and no others."""
    about: dict[str, Any] = {"kind": kind, "amount": amount, "balance": amount if balance is None else balance}
    about |= {"org": "acme", "seq": seq, "at": "2026-11-20T00:00:00.000Z", "reason": None}
    return cast(Entry, about | fields)


@pytest.mark.parametrize(
    ("made", "parts"),
    [
        (entry("topup", 1000, pack="small"), [MovementPart("bought", "small", 1000)]),
        (entry("debit", -5), [MovementPart("debited", None, -5)]),
        (entry("refund", -5), [MovementPart("refunded", None, -5)]),
        (entry("refund", 0), []),
        (entry("expiration", -7), [MovementPart("expired", None, -7)]),
        (entry("adjustment", 7, reason="gift"), [MovementPart("granted", "gift", 7)]),
        (entry("adjustment", -7, reason="slip"), [MovementPart("corrected", "slip", -7)]),
        (entry("adjustment", -7, reason="promo ended", voids=4), [MovementPart("voided", None, -7)]),
        (entry("reversal", 7, key="undo:debit:void:1"), [MovementPart("undone", "debit", 7)]),
        (entry("reversal", 7, key="undo:adjust:a1"), [MovementPart("undone", "correction", 7)]),
        (entry("reversal", 7, key="undo:void:v1"), [MovementPart("undone", "voided lot", 7)]),
        (entry("reversal", 7, reverses=1, refund_id="re_1"), [MovementPart("refund_reversed", None, 7)]),
        (entry("reversal", -7, voided={"lot": 1, "units": 7}, session="s"), [MovementPart("undone", "pack", -7)]),
        (entry("reversal", -7, voided={"lot": 1, "units": 7}), [MovementPart("undone", "grant", -7)]),
        (entry("reversal", 7, uncounted={"units": 9}), [MovementPart("undone", "run", 7)]),
        (entry("usage", -3), [MovementPart("used", None, -3)]),
        (entry("usage", 0), []),
        (entry("reset", 4, settled=4), [MovementPart("settled", None, 4)]),
        (entry("reset", 9, settled=0, lot=3, units=9), [MovementPart("rolled_over", None, 9)]),
        (
            entry("reset", 9, settled=4, lot=3, units=5),
            [MovementPart("settled", None, 4), MovementPart("rolled_over", None, 5)],
        ),
        (entry("plan", 0), []),
        (entry("extension", 0), []),
        (entry("hold", 0), []),
        (entry("release", 0), []),
    ],
)
def test_every_kind_has_its_movements(made: Entry, parts: list[MovementPart]) -> None:
    assert parts_of(made) == parts


@pytest.mark.parametrize(
    "made",
    [
        entry("gift", 5),
        entry("plan", 5),
        entry("hold", -5),
        entry("extension", 1),
        entry("reset", 5, settled=4),
        entry("reset", 5, settled=5, lot=3, units=5),
    ],
)
def test_what_does_not_fit_fails_loudly(made: Entry) -> None:
    with pytest.raises(DoesNotAddUp, match="entry 1 of acme") as problem:
        parts_of(made)
    assert problem.value.exit_code == FINDINGS
    assert problem.value.hint == "check it with: meterctl verify acme"


def window() -> Window:
    return Window(SINCE, lambda _: None)


def test_a_broken_chain_of_balances_fails() -> None:
    opened = window()
    opened.add(entry("topup", 10, pack="p", currency="usd", paid_cents=5))
    with pytest.raises(DoesNotAddUp, match="10 before it and -3 do not make 8"):
        opened.add(entry("debit", -3, 2, balance=8))


def test_a_journal_begins_at_zero() -> None:
    with pytest.raises(DoesNotAddUp, match="0 before it and 5 do not make 6"):
        window().add(entry("adjustment", 5, balance=6, reason="x"))


def test_an_undone_purchase_that_is_gone_fails() -> None:
    gone = entry("reversal", -7, 9, voided={"lot": 1, "units": 7}, session="s", reverses=1)
    with pytest.raises(DoesNotAddUp, match="entry 1, is missing"):
        window().add(gone)


def test_undone_runs_are_taken_off_their_week_and_features() -> None:
    state: dict[str, Any] = {"lots": [], "debt": {"owed": 0, "overage": 0}, "plan": None, "week": WEEK}
    opened = window()
    run: dict[str, Any] = {"units": 9, "breakdown": {"llm": 9}, "uncovered": 2, "state": state}
    opened.add(entry("usage", 0, **run))
    opened.add(entry("usage", 0, 2, **run))
    opened.add(entry("reversal", 0, 3, uncounted={"units": 9, "breakdown": {"llm": 9}, "uncovered": 2}, state=state))
    sums = opened.sums
    assert sums.features == {"llm": 9}
    assert (sums.weeks["2026-W47", 1].used, sums.weeks["2026-W47", 1].uncovered) == (9, 2)
    sums.check("acme")


def test_sums_that_do_not_add_up_fail() -> None:
    with pytest.raises(DoesNotAddUp, match="opening 1 \\+ movements 0 is not closing 2"):
        Movements(opening=1, closing=2).check("acme")
    lost = Movements()
    lost.use("llm", 3)
    with pytest.raises(DoesNotAddUp, match="usage is 3 by feature and 0 by week"):
        lost.check("acme")


def test_names_are_bounded_and_nothing_is_lost() -> None:
    sums = Movements()
    for number in range(MOST_NAMES + 50):
        sums.count(MovementKey("granted", "adjustment", f"ticket {number}"), 2)
        sums.use(f"feature-{number}", 3)
    assert len(sums.by_key) == len(sums.features) == MOST_NAMES + 1
    assert sums.by_key[MovementKey("granted", "adjustment", OTHERS)].units == 100
    assert sums.features[OTHERS] == 150


def test_net_is_what_is_left_of_the_payments() -> None:
    record = money_record("usd", {"paid": 1000, "tax": 190, "refunded": 300, "refunds_reversed": 100, "undone": 500})
    assert record["net"] == 300
