"""Show an explanation: sentences for the customer, the sum, the lots, the next events, and oddities."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from meterctl.core.domain.instants import to_datetime
from meterctl.core.errors import shell_command
from meterctl.core.model import Instant
from meterctl.core.reads.explain import Explanation
from meterctl.core.reads.lot_history import FATES
from meterctl.views import words
from meterctl.views.blocks import Bar, Block, Cell, Column, Grid, Heading, Note, Pairs, Row, Styled, inline
from meterctl.views.registry import view
from meterctl.views.weeks import usage_bar

_Facts = Mapping[str, Any]

#: The column headings of the fates of units.
_FATES = {
    "debt": "paid debt",
    "used": "used",
    "clawed": "clawed",
    "expired": "expired",
    "forfeited": "forfeited",
    "voided": "voided",
}


@view("explain")
def show_explanation(explanation: Explanation) -> Iterable[Block]:
    facts = explanation.facts
    outcome = Styled("✓ may run", "good") if facts["allowed"] else Styled("✗ may not run", "bad")
    yield Heading(inline(Styled(facts["org"], "strong"), outcome, Styled(f"as of {_when(facts['as_of'])}", "dim")))
    for sentence in facts["said"]:
        yield Note(sentence, "")
    if not facts["seq"]:
        yield Note("no entry was booked for this org by then")
    yield Pairs([("", ""), *_sum(facts)])
    if facts["lots"]:
        yield _lots(facts["lots"])
    if facts["more_lots"]:
        yield Note(f"and {words.plural(facts['more_lots'], 'live lot')} more: {shell_command('balance', facts['org'])}")
    if not all(lot["complete"] for lot in facts["lots"]):
        yield Note("* opened before the entries read here: units clawed back earlier are shown as used")
    if facts["upcoming"]:
        yield _upcoming(facts)
    for oddity in facts["oddities"]:
        yield Note(("! ", oddity["message"], _entries(oddity["seqs"])), "warn")
    if seq := facts["seq"]:
        show = shell_command("ledger", facts["org"], "--all-kinds", "--before", seq + 1, "--limit", 1)
        yield Note(f"show an entry, such as {seq}: {show}")


# -- the sum


def _sum(facts: _Facts) -> Iterator[tuple[str, Cell]]:
    total, week, plan, debt = facts["sum"], facts["week"], facts["plan"], facts["debt"]
    by_default = "" if plan["assigned"] else ", by default"
    version = f"plan {plan['plan']} v{plan['version']}" if plan["version"] else f"plan {plan['plan']}, not published"
    yield "quota", f"{words.units(total['quota'])} a week: {version}{by_default}{_entries(plan['seqs'])}"
    cycle = f" cycle {week['cycle']}" if week["cycle"] > 1 else ""
    since = f", from entry {week['since_seq']} on" if week["since_seq"] else ""
    settled = f", {words.units(week['settled'])} paid debt" if week["settled"] else ""
    yield f"used in {week['key']}{cycle}", f"{words.units(total['used'])}{settled}{since}"
    if total["quota"]:
        yield "", usage_bar(total["used"], total["quota"], {100, *week["alerts"]})
    yield "left of the quota", words.units(total["quota_left"])
    yield "+ in lots", words.units(total["in_lots"])
    for name, label in (("owed", "- owed"), ("overage", "- overage")):
        if total[name]:
            since = f" since {_when(debt['since'])}{_entries(debt['seqs'][name])}" if debt else ""
            yield label, (Styled(words.units(total[name]), "bad"), since)
    if total["held"]:
        yield "- on hold", words.units(total["held"])
    available = Styled(words.units(total["available"]), "good" if facts["allowed"] else "bad")
    yield "= available", (available, "" if facts["allowed"] else f", {words.units(total['missing'])} more to run")
    if ahead := facts["forecast"]:
        weeks = ", ".join(f"{each['key']}: {words.units(each['used'])}" for each in ahead["weeks"])
        yield "pace", (f"{words.units(ahead['pace'])} a week", Styled(f" ({weeks})", "dim"))


# -- lots


def _lots(lots: Sequence[_Facts]) -> Grid:
    fates = [fate for fate in FATES if any(lot[fate] for lot in lots)]
    columns = [
        Column("lot", right=True),
        Column("what", least=10, rank=2),
        Column("got", right=True),
        *(Column(_FATES[fate], right=True, rank=1) for fate in fates),
        Column("left", right=True),
        Column("", rank=5, least=14),
        Column("expires", least=10, rank=1),
        Column("entries", least=12, rank=3),
    ]
    return Grid(columns, [_lot_row(lot, fates) for lot in lots])


def _lot_row(lot: _Facts, fates: Sequence[str]) -> Row:
    cells: list[Cell] = [
        f"{lot['id']}" + ("" if lot["complete"] else "*"),
        _origin(lot),
        words.units(lot["units"]),
        *(words.units(lot[fate]) if lot[fate] else Styled("-", "dim") for fate in fates),
        Styled(words.units(lot["left"]), "strong" if lot["left"] else "dim"),
        Bar(((lot["left"], "good"),), lot["units"]),
        words.when(lot["expires_at"]) if lot["expires_at"] else "never",
        "; ".join(f"{_FATES[fate]} {_list(seqs)}" for fate, seqs in lot["seqs"].items() if fate in fates),
    ]
    return Row(cells, "" if lot["left"] else "dim")


def _origin(lot: _Facts) -> str:
    opened = words.when(lot["opened_at"])[:10]
    if lot["kind"] == "topup":
        return f"{lot['pack']}, {words.money(lot['paid_cents'], lot['currency'])}, {lot['session']}, {opened}"
    if lot["kind"] == "reset":
        return f"rolled over, {opened}"
    verb = {"adjustment": "granted", "reversal": "given back"}.get(lot["kind"], lot["kind"])
    reason = f': "{lot["reason"]}"' if lot["reason"] else ""
    return f"{verb} by {lot['actor']}, {opened}{reason}"


# -- coming events


def _upcoming(facts: _Facts) -> Grid:
    columns = [
        Column("next (UTC)", least=10),
        Column("here", rank=2, least=10),
        Column("in", right=True, rank=1),
        Column("what", least=16),
        Column("balance then", right=True),
    ]
    rows = []
    for event in facts["upcoming"]:
        away = words.relative(facts["as_of"], event["at"]).removeprefix("in ")
        rows.append(
            Row([words.when(event["at"]), _here(event["at"]), away, _event(event), words.units(event["balance"])])
        )
    if not any(_here(event["at"]) for event in facts["upcoming"]):
        del columns[1]
        rows = [Row([cell for place, cell in enumerate(row.cells) if place != 1]) for row in rows]
    return Grid(columns, rows, "if nothing else happens")


def _event(event: _Facts) -> str:
    if event["kind"] == "expiration":
        return f"{words.plural(event['units'], 'unit')} of lot {event['lot']} expire"
    if event["kind"] == "release":
        return f"hold {event['hold']} of {words.plural(event['units'], 'unit')} runs out"
    if event["kind"] == "plan":
        return f"plan {event['plan']} takes effect"
    rollover = f", {words.plural(event['units'], 'unit')} roll over" if event["units"] else ""
    settled = f", {words.plural(event['settled'], 'unit')} of debt settled" if event["settled"] else ""
    return f"week {event['week']} ends, the quota begins anew{settled}{rollover}"


# -- small words


def _here(instant: Instant) -> str:
    """Return an instant in local time; empty if that is UTC."""
    local = to_datetime(instant).astimezone()
    return f"{local:%Y-%m-%d %H:%M %Z}" if local.utcoffset() else ""


def _when(instant: Instant) -> str:
    here = _here(instant)
    return f"{words.when_utc(instant)} ({here})" if here else words.when_utc(instant)


def _list(seqs: Sequence[int]) -> str:
    return ", ".join(str(seq) for seq in seqs)


def _entries(seqs: Sequence[int]) -> str:
    return f" (entr{'y' if len(seqs) == 1 else 'ies'} {_list(seqs)})" if seqs else ""
