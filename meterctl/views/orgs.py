"""Show the balance, week, past weeks and thresholds of an org, and lists of orgs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from meterctl.core.domain.instants import add_days, to_millis
from meterctl.core.model import Instant
from meterctl.core.results import Balance, Listing, Meter
from meterctl.views import words
from meterctl.views.blocks import Bar, Block, Cell, Column, Grid, Heading, Note, Pairs, Row, Styled, Tone, inline
from meterctl.views.entries import balance_text
from meterctl.views.registry import view

#: Expiries nearer than this are shown as warnings.
_SOON_DAYS = 14

#: Marks on a usage bar, in percent of the quota; other thresholds that were reached are added.
_MARKS = (80, 100)

# -- balance


@view("balance")
def show_balance(balance: Balance) -> Iterable[Block]:
    as_of = Styled(f"as of {words.when_utc(balance.as_of)}", "dim")
    yield Heading(inline(Styled(balance.org, "strong"), balance_text(balance.balance), as_of))
    if balance.seq == 0:
        yield Note("no entry was booked for this org by then")
        return
    if balance.lots:
        yield _lots(balance.lots, balance.as_of)
    yield from _debt(balance.debt)
    if balance.held:
        yield Note(f"{words.plural(balance.held, 'unit')} on hold: reserved for runs in progress")
    yield from _next_expiry(balance)


def _lots(lots: Sequence[Mapping[str, Any]], now: Instant) -> Grid:
    columns = [
        Column("lot", right=True),
        Column("pack", rank=2, least=8),
        Column("left", right=True),
        Column("", rank=3, least=8),
        Column("of", right=True, rank=3),
        Column("expires (UTC)", least=10),
        Column("in", right=True, rank=1),
        Column("session", rank=4, least=14),
    ]
    return Grid(columns, [_lot_row(lot, now) for lot in lots])


def _lot_row(lot: Mapping[str, Any], now: Instant) -> Row:
    whole = max(lot.get("units") or 0, lot["remaining"])
    expires_at = lot["expires_at"]
    soon = expires_at is not None and expires_at <= add_days(now, _SOON_DAYS)
    return Row(
        [
            str(lot["id"]),
            lot["pack"] or Styled("-", "dim"),
            Styled(words.units(lot["remaining"]), "strong"),
            Bar(((lot["remaining"], "warn" if soon else "good"),), whole),
            words.units(whole),
            Styled(words.when(expires_at), "warn" if soon else "") if expires_at else Styled("never", "dim"),
            _time_left(now, expires_at),
            lot["session"] or Styled("-", "dim"),
        ]
    )


def _time_left(now: Instant, then: Instant | None) -> str:
    return words.span(to_millis(then) - to_millis(now)) if then else ""


def _debt(debt: Mapping[str, Any]) -> Iterator[Block]:
    if owes := words.debt(debt):
        yield Note((Styled(f"debt: {owes}", "bad"), "; the next credit repays it first"), "")
    if debt["overage"]:
        yield Note("overage is also settled from the next week's quota")


def _next_expiry(balance: Balance) -> Iterator[Note]:
    upcoming = balance.next_expiry
    if upcoming is None:
        return
    at = upcoming["at"]
    text = f"{words.plural(upcoming['units'], 'unit')} will expire on {words.when_utc(at)}"
    soon = at <= add_days(balance.as_of, _SOON_DAYS)
    yield Note(f"{text}, {words.relative(balance.as_of, at)}", "warn" if soon else "dim")


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
    soon = meter.runs_out_at <= add_days(meter.as_of, _SOON_DAYS)
    at = f"runs out {words.when_utc(meter.runs_out_at)}, {words.relative(meter.as_of, meter.runs_out_at)}"
    return f"{pace}; ", Styled(at, "warn" if soon else "")


def _features(breakdown: Mapping[str, int]) -> Grid:
    whole = sum(breakdown.values())
    by_units = sorted(breakdown.items(), key=lambda item: (-item[1], item[0]))
    columns = [Column("feature", least=8), Column("units", right=True), Column("", rank=1, least=8)]
    rows = [Row([name, words.units(count), Bar(((count, "accent"),), whole)]) for name, count in by_units]
    return Grid(columns, rows)


# -- past weeks and thresholds


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


# -- many orgs


@view("orgs")
def show_orgs(orgs: Listing) -> Iterable[Block]:
    columns = [
        Column("org", least=12, usual=20),
        Column("balance", right=True),
        Column("available", right=True, rank=1),
        Column("debt", right=True, rank=2),
        Column("since", rank=4, usual=10),
        Column("lots", right=True, rank=8),
        Column("expires", rank=3, usual=10),
        Column("expiring", right=True, rank=3),
        Column("plan", rank=7, least=8),
        Column("week", right=True, rank=5),
        Column("runs out", rank=2, usual=10),
        Column("last entry", rank=9, usual=10),
    ]
    yield Grid(columns, (_org_row(org) for org in orgs.items), empty="no org matches")


def _org_row(org: Mapping[str, Any]) -> Row:
    over = org["used"] > org["quota"]
    return Row(
        [
            org["org"] if org["checked"] else f"{org['org']} (cached)",
            Styled(words.units(org["balance"]), "bad" if org["balance"] < 0 else "strong"),
            Styled(words.units(org["available"]), "" if org["allowed"] else "bad"),
            unless_zero(org["owed"] + org["overage"]),
            _day(org["debt_since"]),
            str(org["lots"]),
            _day(org["next_expiry"]),
            unless_zero(org["expiring_units"]),
            org["plan"],
            Styled(words.percent(org["used"], org["quota"]), "warn" if over else ""),
            _day(org["runs_out"]),
            _day(org["last_at"]),
        ]
    )


def _day(instant: str | None) -> Cell:
    return instant[:10] if instant else Styled("-", "dim")
