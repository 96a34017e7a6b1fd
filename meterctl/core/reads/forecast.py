"""Forecast when an org runs out of units, from its metered use of the last four weeks and of this one. Pure.

The pace is a plain average: units used, divided by the time they took. The run-out instant follows by letting that pace
go on evenly through quota and lots, with their expiries and the quota of each coming week. Two weeks of history with
use in two of them are the least; with less there is no forecast.
"""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from meterctl.core.domain import weeks
from meterctl.core.domain.instants import WEEK, add_millis, to_millis
from meterctl.core.model import Instant, State

#: Closed weeks that a pace is taken from, and the least weeks with use.
PAST_WEEKS, FEWEST_WEEKS = 4, 2

#: Weeks that a forecast looks ahead.
WEEKS_AHEAD = 520


class WeekUse(NamedTuple):
    """Metered units of one calendar week."""

    key: str
    used: int


class Forecast(NamedTuple):
    """``pace`` in units a week, rounded; None on too little history. ``runs_out_at`` None: not within ten years."""

    pace: int | None
    runs_out_at: Instant | None
    since: Instant | None
    weeks: tuple[WeekUse, ...]


def forecast_record(forecast: Forecast) -> dict[str, Any] | None:
    """Return ``forecast`` as a document holds it, with the history that it was reckoned from; None if there is none."""
    if forecast.pace is None:
        return None
    return {
        "pace": forecast.pace,
        "runs_out_at": forecast.runs_out_at,
        "since": forecast.since,
        "weeks": [week._asdict() for week in forecast.weeks],
    }


NO_FORECAST = Forecast(None, None, None, ())


class UseHistory(NamedTuple):
    """The use that a pace is reckoned from: by week, oldest first, since an instant."""

    since: Instant
    weeks: tuple[WeekUse, ...]

    def rate(self, now: Instant) -> Fraction | None:
        """Return units per millisecond up to ``now``; None if the history is too short."""
        span = to_millis(now) - to_millis(self.since)
        if span < FEWEST_WEEKS * WEEK or sum(week.used > 0 for week in self.weeks) < FEWEST_WEEKS:
            return None
        return Fraction(sum(week.used for week in self.weeks), span)


def history_of(closed: Iterable[WeekUse], state: State, first_at: Instant, now: Instant) -> UseHistory:
    """Return the history of an org whose journal began at ``first_at``. ``closed`` are closed weeks, each cycle by
    itself; ``state`` has the open one. Weeks without any use count as such."""
    use: dict[str, int] = {}
    for week in closed:
        use[week.key] = use.get(week.key, 0) + week.used
    if state.week is not None:
        use[state.week.key] = use.get(state.week.key, 0) + sum(state.week.breakdown.values())
    keys = _last_weeks(now)
    since = max(first_at, weeks.week_start(keys[0]))
    counts = tuple(WeekUse(key, use.get(key, 0)) for key in keys if weeks.week_end(key) > since)
    return UseHistory(since, counts)


def _last_weeks(now: Instant) -> Sequence[str]:
    """Return the keys of the weeks that count, the current one last."""
    monday = weeks.week_start(now)
    starts = [add_millis(monday, -WEEK * back) for back in range(PAST_WEEKS, -1, -1)]
    return [weeks.week_key(start) for start in starts]


def forecast(
    history: UseHistory, state: State, now: Instant, quota: int, quota_at: Callable[[Instant], int], *, settles: bool
) -> Forecast:
    """Return the forecast for an org in ``state`` at ``now`` with ``quota`` this week.

    ``quota_at`` returns the quota of the week that begins at an instant; ``settles`` is True if it pays overage."""
    rate = history.rate(now)
    if rate is None:
        return NO_FORECAST._replace(since=history.since, weeks=history.weeks)
    pace = (2 * rate * WEEK + 1) // 2
    at = _runs_out(rate, _Stock(state, quota), now, quota_at, settles=settles)
    return Forecast(int(pace), at, history.since, history.weeks)


class _Stock:
    """The remaining units, consumed at an even rate.

    Held units count as remaining: a hold ends in use, which the pace includes, or gives them back.
    """

    def __init__(self, state: State, quota: int) -> None:
        used = 0 if state.week is None else state.week.used
        self.quota = Fraction(max(0, quota - used))
        self.lots = [(lot.expires_at, Fraction(lot.remaining)) for lot in state.lots]
        self.owed, self.overage = state.debt.owed, state.debt.overage

    @property
    def available(self) -> Fraction:
        return self.quota + sum((rest for _, rest in self.lots), Fraction(0)) - self.owed - self.overage

    def consume(self, units: Fraction) -> None:
        """Take ``units``, no more than are available: quota first, then lots in draw order."""
        from_quota = min(self.quota, units)
        self.quota -= from_quota
        units -= from_quota
        while units and self.lots:
            expires_at, rest = self.lots[0]
            if rest > units:
                self.lots[0] = (expires_at, rest - units)
                return
            units -= rest
            self.lots.pop(0)

    def expire(self, at: Instant) -> None:
        self.lots = [lot for lot in self.lots if lot[0] is None or lot[0] > at]

    def begin_week(self, quota: int, *, settles: bool) -> None:
        settled = min(quota, self.overage) if settles else 0
        self.overage -= settled
        self.quota = Fraction(quota - settled)

    def next_expiry(self) -> Instant | None:
        return min((at for at, _ in self.lots if at is not None), default=None)


def _runs_out(
    rate: Fraction, stock: _Stock, now: Instant, quota_at: Callable[[Instant], int], *, settles: bool
) -> Instant | None:
    """Return the first instant at which less than one unit is available."""
    monday = weeks.week_end(now)
    for _ in range(WEEKS_AHEAD + len(stock.lots)):  # bounded: each turn ends a week or a lot
        if stock.available < 1:
            return now
        expiry = stock.next_expiry()
        until = monday if expiry is None else min(monday, expiry)
        demand = rate * (to_millis(until) - to_millis(now))
        if demand > stock.available - 1:
            return add_millis(now, int((stock.available - 1) / rate))
        stock.consume(demand)
        stock.expire(until)
        if until == monday:
            stock.begin_week(quota_at(monday), settles=settles)
            monday = weeks.week_end(monday)
        now = until
    return None
