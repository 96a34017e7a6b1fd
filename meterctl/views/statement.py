"""Show statements and reports: one sum that adds up, then weeks, features, money and outstanding units."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from meterctl.core.domain.instants import add_millis
from meterctl.core.reads.movements import MOVEMENTS
from meterctl.core.reads.report import Report
from meterctl.core.reads.statement import Statement
from meterctl.views import words
from meterctl.views.blocks import (
    Bar,
    Block,
    Cell,
    Chart,
    Column,
    CurveStep,
    Grid,
    Heading,
    Note,
    Pairs,
    Row,
    Styled,
    Tone,
    inline,
)
from meterctl.views.registry import view
from meterctl.views.weeks import unless_zero, usage_bar

_Facts = Mapping[str, Any]

#: The words for each movement.
_NAMES = {
    "bought": "bought",
    "granted": "granted",
    "refund_reversed": "refunds taken back",
    "undone": "undone",
    "settled": "debt settled from quota",
    "rolled_over": "quota rolled over",
    "used": "used beyond the quota",
    "debited": "debited",
    "corrected": "corrected",
    "refunded": "refunded",
    "expired": "expired",
    "voided": "voided",
}

#: Lines that detail one movement at most, and features and groups of a page; json and csv have all of them.
_DETAILS, _FEATURES, _GROUPS = 8, 30, 50

_MONEY = {
    "paid": "paid",
    "tax": "of it tax",
    "refunded": "refunded",
    "refunds_reversed": "refunds taken back",
    "undone": "of undone purchases",
    "net": "net",
}


@view("statement")
def show_statement(statement: Statement) -> Iterable[Block]:
    facts = statement.fields()
    yield Heading(inline(Styled(statement.org, "strong"), "statement", _period(facts)))
    yield from _preamble(facts)
    if not statement.known:
        yield Note(f"no journal for {statement.org}")
    yield _movements(facts)
    yield from _curve(statement)
    yield from _money(facts["money"])
    if facts["weeks"]:
        yield _weeks(facts["weeks"])
    yield from _features(facts["features"])
    yield from _outstanding(facts)


@view("report")
def show_report(report: Report) -> Iterable[Block]:
    facts = report.fields()
    orgs = words.plural(report.orgs, "org")
    yield Heading(inline(Styled("report", "strong"), orgs, _period(facts)))
    yield from _preamble(facts)
    yield _movements(facts)
    yield from _money(facts["money"])
    if report.by != "kind":
        yield from _groups(facts)
    if facts["weeks"]:
        yield _report_weeks(facts["weeks"])
    yield from _features(facts["features"])
    yield from _outstanding(facts)


def _period(facts: _Facts) -> str:
    return f"{words.when(facts['since'])} → {words.when_utc(facts['until'])}"


def _preamble(facts: _Facts) -> Iterator[Block]:
    if add_millis(facts["as_of"], 1) < facts["until"]:
        yield Note(f"the period is not over: figures as of {words.when_utc(facts['as_of'])}", "warn")
    if facts.get("pending"):
        yield Note(f"includes {words.plural(facts['pending'], 'due event')} that no sweep has booked yet")


# -- the sum


def _movements(facts: _Facts) -> Grid:
    columns = [Column("movement", least=12), Column("detail", least=12, rank=1), Column("entries", right=True, rank=2)]
    rows = [_line("opening balance", facts["opening"], strong=True)]
    for movement in MOVEMENTS:
        rows += _movement_rows(movement, [each for each in facts["movements"] if each["movement"] == movement])
    rows.append(_line("closing balance", facts["closing"], strong=True))
    return Grid([*columns, Column("units", right=True)], rows)


def _line(name: str, units: int, detail: str = "", entries: int | None = None, *, strong: bool = False) -> Row:
    tone: Tone = "strong" if strong else ""
    figure = words.units(units) if strong else words.signed(units)
    count = "" if entries is None else words.units(entries)
    return Row(
        [Styled(name, tone), Styled(detail, "dim"), count, Styled(figure, "bad" if strong and units < 0 else tone)]
    )


def _movement_rows(movement: str, records: Sequence[_Facts]) -> Iterator[Row]:
    """Yield a line per pack, grant or thing undone, the largest first; the smaller ones are one line together."""
    ranked = sorted(records, key=lambda record: (-abs(record["units"]), record["label"] or ""))
    for record in ranked[:_DETAILS]:
        label = _label(movement, record["label"])
        yield _line(_NAMES[movement], record["units"], label, record["entries"])
    if rest := ranked[_DETAILS:]:
        units, entries = sum(each["units"] for each in rest), sum(each["entries"] for each in rest)
        yield _line(_NAMES[movement], units, f"{len(rest):,} others", entries)


def _label(movement: str, label: str | None) -> str:
    if label is None:
        return ""
    return {"bought": f"pack {label}", "undone": f"a {label}"}.get(movement, label)


# -- over time


def _curve(statement: Statement) -> Iterator[Block]:
    steps = [CurveStep(point["at"], point["low"], point["high"], point["balance"]) for point in statement.points]
    if steps and statement.as_of > statement.period.since:
        yield Chart(statement.period.since, steps, statement.as_of, page_only=True)


def _weeks(weeks: Sequence[_Facts]) -> Grid:
    columns = [
        Column("week"),
        Column("plan", rank=2, least=8),
        Column("used", right=True),
        Column("", rank=1, least=8),
        Column("quota", right=True, rank=1),
        Column("share", right=True),
        Column("settled", right=True, rank=3),
        Column("rolled over", right=True, rank=3),
        Column("uncovered", right=True, rank=4),
    ]
    whole = max(max(week["used"], week["quota"]) for week in weeks)
    return Grid(columns, [_week_row(week, whole) for week in weeks], "metered use by week")


def _week_row(week: _Facts, whole: int) -> Row:
    cycle = f" #{week['cycle']}" if week["cycle"] > 1 else ""
    used = max(0, week["used"])
    return Row(
        [
            week["key"] + cycle,
            week["plan"],
            words.units(week["used"]),
            usage_bar(used, week["quota"], (100,), whole),
            words.units(week["quota"]),
            words.percent(used, week["quota"]),
            *(unless_zero(week[name]) for name in ("settled", "rolled_over", "uncovered")),
        ]
    )


def _report_weeks(weeks: Sequence[_Facts]) -> Grid:
    whole = max((abs(week["used"]) for week in weeks), default=0)
    names = ("settled", "rolled over", "uncovered")
    columns = [Column("week"), Column("used", right=True), Column("", rank=1, least=8)]
    rows = [
        Row(
            [
                week["key"],
                words.units(week["used"]),
                Bar(((max(0, week["used"]), "accent"),), whole),
                *(unless_zero(week[name.replace(" ", "_")]) for name in names),
            ]
        )
        for week in weeks
    ]
    return Grid([*columns, *(Column(name, right=True, rank=2) for name in names)], rows, "metered use by week")


def _features(features: Mapping[str, int]) -> Iterator[Block]:
    if not features:
        return
    ranked = sorted(features.items(), key=lambda item: (-item[1], item[0]))
    whole = sum(max(0, count) for count in features.values())
    columns = [Column("feature", least=8), Column("units", right=True), Column("", rank=1, least=8)]
    rows = [
        Row([name, words.units(count), Bar(((max(0, count), "accent"),), whole)]) for name, count in ranked[:_FEATURES]
    ]
    yield Grid(columns, rows, "metered use by feature")
    if len(ranked) > _FEATURES:
        yield Note(f"and {words.plural(len(ranked) - _FEATURES, 'feature')} more: -o csv")


# -- money


def _money(money: Sequence[_Facts]) -> Iterator[Block]:
    if not money:
        return
    shown = [name for name in _MONEY if name in ("paid", "net") or any(record[name] for record in money)]
    columns = [Column("money"), *(Column(record["currency"].upper(), right=True) for record in money)]
    rows = [Row([_MONEY[name], *(words.money(record[name], record["currency"]) for record in money)]) for name in shown]
    yield Grid(columns, rows)


def _outstanding(facts: _Facts) -> Iterator[Block]:
    standing = facts["outstanding"]
    at = words.when_utc(facts["as_of"])
    pairs: list[tuple[str, Cell]] = [("units in lots", words.units(standing["units"]))]
    pairs.append(("of them bought", words.units(standing["paid_units"])))
    for worth in standing["paid_value"]:
        tax = f", {words.money(worth['tax_cents'], worth['currency'])} of it tax" if worth["tax_cents"] else ""
        pairs.append(("price paid for them", words.money(worth["cents"], worth["currency"]) + tax))
    for name in ("held", "owed", "overage"):
        if standing[name]:
            pairs.append((name, words.units(standing[name])))
    pairs += _expiring(facts.get("expiring"))
    yield Pairs(pairs, f"outstanding at {at}")


def _expiring(soon: _Facts | None) -> Iterator[tuple[str, Cell]]:
    if soon is None:
        return
    yield f"expiring by {words.when_utc(soon['by'])}", words.units(soon["units"])
    for worth in soon["paid_value"]:
        yield "price paid for those", words.money(worth["cents"], worth["currency"])


# -- groups


def _groups(facts: _Facts) -> Iterator[Block]:
    groups = facts["groups"]
    whole = facts["by"] in ("plan", "org")
    columns = [
        Column(facts["by"], least=8),
        *([Column("orgs", right=True, rank=3)] if facts["by"] != "org" else []),
        *([Column("opening", right=True, rank=2)] if whole else []),
        Column("in", right=True),
        Column("out", right=True),
        *([Column("closing", right=True, rank=1)] if whole else []),
        Column("outstanding", right=True, rank=1),
        Column("price paid", right=True, rank=1),
    ]
    rows = [_group_row(group, facts["by"], whole=whole) for group in groups[:_GROUPS]]
    yield Grid(columns, rows, f"by {facts['by']}")
    if len(groups) > _GROUPS:
        yield Note(f"and {len(groups) - _GROUPS:,} more: -o csv")


def _group_row(group: _Facts, by: str, *, whole: bool) -> Row:
    moved = group["movements"].values()
    standing = group["outstanding"]
    worth = ", ".join(words.money(each["cents"], each["currency"]) for each in standing["paid_value"])
    return Row(
        [
            group["group"],
            *([words.units(group["orgs"])] if by != "org" else []),
            *([words.units(group["opening"])] if whole else []),
            words.signed(sum(units for units in moved if units > 0)),
            words.signed(sum(units for units in moved if units < 0)),
            *([words.units(group["closing"])] if whole else []),
            words.units(standing["units"]),
            worth or Styled("-", "dim"),
        ]
    )
