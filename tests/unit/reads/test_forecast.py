"""Forecasts: a plain average, let go on evenly; none on too little."""

from typing import Any

import pytest

from meterctl.core.domain.instants import add_days, add_millis
from meterctl.core.model import EMPTY, Debt, Instant, Lot, State, Week
from meterctl.core.reads.forecast import Forecast, WeekUse, forecast, history_of
from meterctl.core.reads.queries import Reads
from tests.desk import Desk

#: The Monday that begins 2026-W47, and instants in that week.
MONDAY = Instant("2026-11-16T00:00:00.000Z")
LONG_AGO = Instant("2025-01-01T00:00:00.000Z")
EVEN = [WeekUse(key, 700) for key in ("2026-W43", "2026-W44", "2026-W45", "2026-W46")]


def reckoned(
    closed: list[WeekUse],
    *,
    now: Instant = MONDAY,
    first_at: Instant = LONG_AGO,
    quota: int = 0,
    settles: bool = True,
    **state: Any,
) -> Forecast:
    standing = EMPTY._replace(**state)
    history = history_of(closed, standing, first_at, now)
    return forecast(history, standing, now, quota, lambda _: quota, settles=settles)


def lots(*sizes: int, expires_at: Instant | None = None) -> tuple[Lot, ...]:
    return tuple(
        EMPTY_LOT._replace(id=number, remaining=size, expires_at=expires_at) for number, size in enumerate(sizes, 1)
    )


EMPTY_LOT = Lot(1, 1, None)


def open_week(used: int, quota: int = 0) -> Week:
    week = Desk(now=MONDAY)
    week.publish("free", quota)
    week.run("r1", used)
    found = week.state().week
    assert found is not None
    return found


def test_an_even_pace_runs_out_to_the_hour() -> None:
    ahead = reckoned(EVEN, lots=lots(351))
    assert ahead.pace == 700
    assert ahead.runs_out_at == add_millis(MONDAY, 3 * 86_400_000 + 43_200_000), "350 units at 100 a day"


def test_the_open_week_counts_by_the_time_it_took() -> None:
    thursday = add_days(MONDAY, 3)
    ahead = reckoned(EVEN, now=thursday, lots=lots(1000), week=open_week(300))
    assert ahead.pace == 700
    assert ahead.weeks[-1] == ("2026-W47", 300)


@pytest.mark.parametrize(
    ("closed", "first_at"),
    [
        ([], LONG_AGO),
        (EVEN[:1], LONG_AGO),
        (EVEN[3:], add_days(MONDAY, -7)),
        (EVEN[2:], add_days(MONDAY, -13)),
        ([WeekUse("2026-W40", 700), WeekUse("2026-W41", 700)], LONG_AGO),
    ],
)
def test_too_little_history_gives_no_forecast(closed: list[WeekUse], first_at: Instant) -> None:
    ahead = reckoned(closed, first_at=first_at, lots=lots(100))
    assert (ahead.pace, ahead.runs_out_at) == (None, None)


def test_weeks_without_use_count_as_such() -> None:
    assert reckoned([EVEN[0], EVEN[3]], lots=lots(1000)).pace == 350


def test_a_young_org_is_averaged_over_its_own_time() -> None:
    ahead = reckoned(EVEN[2:], first_at=add_days(MONDAY, -14), lots=lots(1000))
    assert (ahead.pace, ahead.since) == (700, add_days(MONDAY, -14))
    assert [week.key for week in ahead.weeks] == ["2026-W45", "2026-W46", "2026-W47"]


def test_cycles_of_one_week_are_added_up() -> None:
    twice = [*EVEN[:3], WeekUse("2026-W46", 300), WeekUse("2026-W46", 400)]
    assert reckoned(twice, lots=lots(1000)).pace == 700


def test_a_quota_that_covers_the_pace_never_runs_out() -> None:
    assert reckoned(EVEN, quota=701).runs_out_at is None


def test_a_quota_that_does_not_runs_out_each_week() -> None:
    assert reckoned(EVEN, quota=351).runs_out_at == add_millis(MONDAY, 3 * 86_400_000 + 43_200_000)


def test_quota_goes_first_and_packs_last_longer() -> None:
    """600 of 700 a week are the quota's: 250 units more last for two weeks, and for most of a third."""
    ahead = reckoned(EVEN, quota=600, lots=lots(251))
    assert ahead.runs_out_at == add_millis(MONDAY, int(20.5 * 86_400_000))


def test_units_that_expire_are_not_counted_on() -> None:
    soon = reckoned(EVEN, lots=lots(10_000, expires_at=add_days(MONDAY, 2)))
    assert soon.runs_out_at == add_days(MONDAY, 2)


def test_debt_is_in_the_way() -> None:
    assert reckoned(EVEN, debt=Debt(5, 0)).runs_out_at == MONDAY, "nothing is left now"
    assert reckoned(EVEN, quota=801, debt=Debt(0, 100)).runs_out_at is None
    for settles in (True, False):
        short = reckoned(EVEN, quota=751, debt=Debt(0, 100), settles=settles)
        assert short.runs_out_at == add_millis(MONDAY, int(6.5 * 86_400_000))


def test_an_org_forecasts_from_its_journal_and_what_is_due() -> None:
    desk = Desk(now=add_days(MONDAY, -28))
    desk.publish("free", 0, effective_from="2026-01-01")
    desk.adjust(10_000, "g1")
    for week in range(4):
        desk.go(add_days(MONDAY, -28 + 7 * week))
        desk.run(f"r{week}", 700)
    desk.go(MONDAY)
    reads = Reads(desk.store, desk.clock, desk.ledger.terms)
    meter = reads.meter("acme")
    assert (meter.pace, meter.runs_out_at) == (700, add_millis(MONDAY, int((10_000 - 2800 - 1) / 100 * 86_400_000)))
    assert reads.meter("acme", gate=True).pace is None
    desk.sweep()
    assert reads.meter("acme").pace == 700
    assert reads.meter("nobody").pace is None


def test_state_is_left_alone() -> None:
    state: State = EMPTY._replace(lots=lots(100))
    history = history_of(EVEN, state, LONG_AGO, MONDAY)
    assert forecast(history, state, MONDAY, 0, lambda _: 0, settles=True) == forecast(
        history, state, MONDAY, 0, lambda _: 0, settles=True
    )
