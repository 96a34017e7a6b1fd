"""Forecast orgs from their closed weeks and the start of their journal."""

from collections.abc import Iterator
from itertools import islice

from meterctl.core.domain import weeks
from meterctl.core.domain.instants import WEEK, add_millis
from meterctl.core.domain.policy import PlanBook, Terms
from meterctl.core.model import Instant, State
from meterctl.core.ports import EntryFilter, Journal
from meterctl.core.reads.forecast import NO_FORECAST, PAST_WEEKS, Forecast, WeekUse, forecast, history_of

#: Closed weeks that are read at most: forced resets may close one several times.
_MOST_RESETS = 50


class Forecaster:
    """Forecasts under one set of terms: a few reads an org, however long its journal."""

    def __init__(self, journal: Journal, terms: Terms, plans: PlanBook) -> None:
        self._journal = journal
        self._terms = terms
        self._plans = plans

    def of(self, org: str, before_due: State, state: State, at: Instant) -> Forecast:
        """Return the forecast for ``org`` in ``state`` at ``at``; ``before_due`` is its state before due events."""
        first = self._journal.by_seq(org, 1)
        if first is None or first["at"] > at:
            return NO_FORECAST
        oldest = add_millis(weeks.week_start(at), -PAST_WEEKS * WEEK)
        history = history_of([*self._closed(org, oldest, at), *_ended_week(before_due, at)], state, first["at"], at)
        quota = state.week.quota if state.week is not None else self._quota_at(state, at)
        return forecast(
            history,
            state,
            at,
            quota,
            lambda monday: self._quota_at(state, monday),
            settles=self._terms.settle_overage,
        )

    def _closed(self, org: str, oldest: Instant, at: Instant) -> Iterator[WeekUse]:
        resets = self._journal.read(org, EntryFilter(kinds=("reset",)), newest_first=True)
        for entry in islice(resets, _MOST_RESETS):
            if oldest <= entry["at"] <= at:
                yield WeekUse(entry["closed"]["key"], sum(entry["closed"]["breakdown"].values()))

    def _quota_at(self, state: State, at: Instant) -> int:
        return self._plans.in_force(self._terms.plan_of(state, at), at).weekly_quota


def _ended_week(state: State, at: Instant) -> Iterator[WeekUse]:
    """Yield the open week of ``state`` if it has ended by ``at``."""
    week = state.week
    if week is not None and weeks.week_end(week.key) <= at:
        yield WeekUse(week.key, sum(week.breakdown.values()))
