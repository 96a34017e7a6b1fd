"""Show the open week of an org, its closed weeks, and the thresholds that were crossed."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from meterctl.core.domain.instants import add_days, to_millis
from meterctl.core.results import Listing, Meter
from meterctl.views import words
from meterctl.views.blocks import Bar, Block, Cell, Column, Grid, Heading, Note, Pairs, Row, Styled, Tone, inline
from meterctl.views.registry import view

#: Marks on a usage bar, in percent of the quota; other thresholds that were reached are added.
_MARKS = (80, 100)

# -- the week


@view("meter")
def show_meter(meter: Meter) -> Iterable[Block]:
    allowed = Styled("✓ may run", "good") if meter.allowed else Styled("✗ may not run", "bad")
    plan = f"plan {meter.plan}" + (f" v{meter.plan_version}" if meter.plan_version else " (not published)")
    yield Heading(inline(Styled(meter.org, "strong"), allowed, plan))
    yield Pairs(list(_meter_pairs(meter)))
    if len(meter.breakdown) > 1:
        yield _features(meter.breakdown)


def _meter_pairs(meter: Meter) -> Iterator[tuple[str, Cell]]:
    rest = max(0, meter.quota - meter.used)
    if not meter.meter_mode:
        yield "meter", Styled("off: usage is not booked, and every org may run", "warn")
    yield "week", _week(meter)
    yield "used", f"{meter.used:,} of {meter.quota:,} ({words.percent(meter.used, meter.quota)})"
    yield "", usage_bar(meter.used, meter.quota, {*_MARKS, *meter.alerts})
    if pace := _pace(meter):
        yield "pace", pace
    if meter.pace is not None:
        yield "forecast", _forecast(meter)
    if meter.held:
        yield "on hold", words.units(meter.held)
    if meter.next_plan:
        yield "next plan", f"{meter.next_plan['plan']}, from {words.when_utc(meter.next_plan['from'])}"
    if meter.alerts:
        yield "reached", Styled(words.percents(meter.alerts), "warn")
    if meter.used > meter.quota:
        yield "overflow", _overflow(meter)
    available = Styled(words.units(meter.available), "" if meter.allowed else "bad")
    yield "available", (available, f" = {rest:,} left of the quota + balance {meter.balance:,}")
    if meter.asked or not meter.allowed:
        yield "requested", _request(meter)


def _week(meter: Meter) -> Cell:
    week = meter.week
    cycle = f"cycle {week['cycle']}" if week["cycle"] > 1 else None
    ends = f"ends {words.relative(meter.as_of, week['ends_at'])}"
    days = f"{words.when(week['starts_at'])} → {words.when_utc(week['ends_at'])}"
    return inline(week["key"], cycle, days, ends)


def _request(meter: Meter) -> str:
    units = max(1, meter.asked)
    missing = "" if meter.allowed else f", {units - meter.available:,} more than available"
    return words.plural(units, "unit") + missing


def _overflow(meter: Meter) -> Styled:
    text = f"{words.plural(meter.used - meter.quota, 'unit')} beyond the quota"
    return Styled(f"{text}, {meter.uncovered:,} of them uncovered" if meter.uncovered else text, "warn")


def usage_bar(used: int, quota: int, percents: Iterable[int], whole: int = 0) -> Bar:
    """Return a bar of usage within and beyond a quota, with marks at ``percents`` of the quota."""
    within = min(used, quota)
    whole = max(whole, used, quota)
    marks = (quota * percent // 100 for percent in sorted(percents)) if quota else ()
    tone: Tone = "good" if within * 100 < quota * _MARKS[0] else "warn"
    return Bar(((within, tone), (used - within, "bad")), whole, tuple(mark for mark in marks if mark <= whole))


def _pace(meter: Meter) -> Cell | None:
    """Return the used share, the elapsed share of the week, and (after its first hours) the share at its end."""
    if not meter.quota:
        return None
    start, end = to_millis(meter.week["starts_at"]), to_millis(meter.week["ends_at"])
    elapsed = min(to_millis(meter.as_of), end) - start
    text = f"{words.percent(meter.used, meter.quota)} used in {words.percent(elapsed, end - start)} of the week"
    if elapsed * 20 < end - start:
        return text
    at_end = meter.used * (end - start) // elapsed
    tone: Tone = "warn" if at_end > meter.quota else ""
    return f"{text}; ", Styled(f"at this pace {words.percent(at_end, meter.quota)} by its end", tone)


def _forecast(meter: Meter) -> Cell:
    pace = f"{meter.pace:,} units a week on average, of the last four weeks and this one"
    if not meter.allowed:
        return pace
    if meter.runs_out_at is None:
        return f"{pace}: will not run out"
    soon = meter.runs_out_at <= add_days(meter.as_of, words.SOON_DAYS)
    at = f"runs out {words.when_utc(meter.runs_out_at)}, {words.relative(meter.as_of, meter.runs_out_at)}"
    return f"{pace}; ", Styled(at, "warn" if soon else "")


def _features(breakdown: Mapping[str, int]) -> Grid:
    whole = sum(breakdown.values())
    by_units = sorted(breakdown.items(), key=lambda item: (-item[1], item[0]))
    columns = [Column("feature", least=8), Column("units", right=True), Column("", rank=1, least=8)]
    rows = [Row([name, words.units(count), Bar(((count, "accent"),), whole)]) for name, count in by_units]
    return Grid(columns, rows)


# -- closed weeks, and thresholds


@view("history")
def show_history(history: Listing) -> Iterable[Block]:
    weeks = list(history.items)
    yield Heading(inline(Styled(str(history.about["org"]), "strong"), "closed weeks"))
    # One scale for all bars, so that weeks compare.
    whole = max((max(week["used"], week["quota"]) for week in weeks), default=0)
    columns = [
        Column("week"),
        Column("plan", rank=2, least=8),
        Column("used", right=True),
        Column("", rank=1, least=8),
        Column("quota", right=True, rank=1),
        Column("share", right=True),
        Column("features", rank=2, least=14),
        Column("settled", right=True, rank=3),
        Column("uncovered", right=True, rank=4),
        Column("entry", right=True, rank=5),
    ]
    yield Grid(columns, [_history_row(week, whole) for week in weeks], empty="no week was closed yet")


def _history_row(week: Mapping[str, Any], whole: int) -> Row:
    cycle = f" #{week['cycle']}" if week["cycle"] > 1 else ""
    used, quota = week["used"], week["quota"]
    return Row(
        [
            week["key"] + cycle,
            f"{week['plan']} v{week['version']}",
            words.units(used),
            usage_bar(used, quota, (100,), whole),
            words.units(quota),
            Styled(words.percent(used, quota), "bad" if used > quota else ""),
            words.breakdown(week["breakdown"]) or Styled("-", "dim"),
            unless_zero(week["settled"]),
            unless_zero(week["uncovered"]),
            str(week["seq"]),
        ]
    )


def unless_zero(count: int) -> Cell:
    """Return a count of units, or a dash for 0."""
    return words.units(count) if count else Styled("-", "dim")


@view("alerts")
def show_alerts(alerts: Listing) -> Iterable[Block]:
    org, since = alerts.about.get("org"), alerts.about.get("since")
    whose = Styled(str(org), "strong") if org else "all orgs"
    yield Heading(inline(whose, "thresholds and low balances", f"since {words.when_utc(since)}" if since else None))
    columns = [
        Column("when (UTC)", least=10, usual=16),
        Column("org", least=12, usual=20),
        Column("week", rank=2),
        Column("reached", right=True),
        Column("used", right=True, rank=1),
        Column("quota", right=True, rank=3),
        Column("entry", right=True, rank=4),
    ]
    yield Grid(columns, (_alert_row(alert) for alert in alerts.items))
    if cursor := alerts.about.get("next"):
        yield Note(f"complete up to {words.when_utc(alerts.about['until'])}")
        yield Note(f"next page: --after {cursor}")


def _alert_row(alert: Mapping[str, Any]) -> Row:
    return Row(
        [
            words.when(alert["at"]),
            alert["org"],
            alert["week"] or "",
            _threshold(alert),
            words.units(alert["used"]) if alert["week"] else "",
            words.units(alert["quota"]) if alert["week"] else "",
            str(alert["seq"]),
        ]
    )


def _threshold(alert: Mapping[str, Any]) -> Styled:
    if alert["kind"] == "balance":
        return Styled(
            f"balance {alert['balance']:,}, below {alert['below']:,}", "bad" if alert["balance"] < 0 else "warn"
        )
    return Styled(f"{alert['percent']} %", "bad" if alert["percent"] >= 100 else "warn")
