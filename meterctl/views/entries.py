"""Show entries: the ledger, and the receipt of a write with all its effects."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from meterctl.core.errors import shell_command
from meterctl.core.reads.chart import LedgerChart
from meterctl.core.results import Facts, LedgerPage, Receipt
from meterctl.views import words
from meterctl.views.blocks import (
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
    pieces,
)
from meterctl.views.fallback import value_cell
from meterctl.views.registry import view

_Entry = Mapping[str, Any]
_Pair = tuple[str, Cell]

# -- the ledger

_LEDGER = (
    Column("seq", right=True, usual=6),
    Column("when (UTC)", least=10, usual=16),
    Column("kind", rank=2),
    Column("what", least=18, usual=40),
    Column("lot", rank=4, usual=5),
    Column("amount", right=True),
    Column("balance", right=True, rank=1),
    Column("by", rank=3, least=8),
)


@view("ledger")
def show_ledger(page: LedgerPage) -> Iterable[Block]:
    since = f"since {words.when_utc(page.since)}" if page.since else None
    until = f"until {words.when_utc(page.until)}" if page.until else None
    whose = Styled(page.org or "all orgs", "strong" if page.org else "")
    yield Heading(inline(whose, _balances(page), since, until))
    if page.org is None:
        columns = (Column("org", least=12, usual=20), *_LEDGER)
        rows = (Row([entry["org"], *row.cells], row.tone) for entry in page.entries for row in [_ledger_row(entry)])
        yield Grid(columns, rows, empty="no entries")
    else:
        yield ledger_grid(page.entries, empty="no entries", live=getattr(page, "live", False))
    if page.next_before is not None:
        yield Note(f"for older entries add --before {page.next_before}")
    if page.left_out:
        yield Note(f"{page.left_out:,} older entries are not shown: for all of them use -o csv without --limit")


def _balances(page: LedgerPage) -> Styled | None:
    """Return the balance now, or at both ends of the requested window."""
    if page.opening is not None and page.closing is not None:
        return Styled(f"balance {page.opening:,} → {page.closing:,}", "bad" if page.closing < 0 else "")
    return None if page.balance is None else balance_text(page.balance)


@view("ledger-chart")
def show_ledger_chart(chart: LedgerChart) -> Iterable[Block]:
    until = f"until {words.when_utc(chart.until)}"
    yield Heading(inline(Styled(chart.org, "strong"), balance_text(chart.balance), until))
    if chart.since is None or chart.lowest is None or chart.highest is None:
        yield Note("no entries")
        return
    steps = [CurveStep(point["at"], point["low"], point["high"], point["balance"]) for point in chart.points]
    yield Chart(chart.since, steps, chart.until)
    yield Pairs([("highest", _extreme(chart.highest)), ("lowest", _extreme(chart.lowest))])
    if chart.lowest["balance"] < 0:
        before = chart.lowest["seq"] + 1
        yield Note(f"entries before the lowest point: {shell_command('ledger', chart.org, '--before', before)}")


def _extreme(mark: _Entry) -> Cell:
    entry = "a due entry that is not booked yet" if mark["pending"] else f"entry {mark['seq']}"
    balance = Styled(words.units(mark["balance"]), "bad" if mark["balance"] < 0 else "strong")
    return (balance, f" on {words.when_utc(mark['at'])}, {entry}")


def ledger_grid(entries: Iterable[_Entry], *, title: str = "", empty: str = "", live: bool = False) -> Grid:
    return Grid(_LEDGER, (_ledger_row(entry) for entry in entries), title, empty, live)


def _ledger_row(entry: _Entry) -> Row:
    pending = bool(entry.get("pending"))
    amount = entry["amount"]
    cells: list[Cell] = [
        str(entry["seq"]),
        words.when(entry["at"]),
        entry["kind"],
        inline(Styled("due, not booked yet", "warn") if pending else None, *summary(entry)),
        ", ".join(str(lot) for lot in lots_of(entry)),
        Styled(words.signed(amount), "good" if amount > 0 else ""),
        Styled(words.units(entry["balance"]), "bad" if entry["balance"] < 0 else ""),
        entry["actor"],
    ]
    return Row(cells, "dim" if pending else "")


def balance_text(balance: int) -> Styled:
    return Styled(f"balance {balance:,}", "bad" if balance < 0 else "")


def summary(entry: _Entry) -> Iterator[str | Styled]:
    """Yield an entry in a few words: its operation, its special effects, and its reason."""
    summarize = _SUMMARIES.get(entry["kind"])
    yield summarize(entry) if summarize else ""
    if owes := words.debt(entry.get("debt")):
        yield Styled(f"debt: {owes}", "warn")
    if pays := words.debt(entry.get("repaid")):
        yield f"repays {pays}"
    if entry.get("alerts"):
        yield Styled(f"reached {words.percents(entry['alerts'])}", "warn")
    if entry.get("low"):
        yield Styled(f"balance below {', '.join(f'{level:,}' for level in entry['low'])}", "warn")
    if entry.get("reason"):
        yield Styled(f'"{entry["reason"]}"', "dim")


def _ref(entry: _Entry) -> str:
    return f"ref {str(entry['key']).partition(':')[2]}"


def _topup(entry: _Entry) -> str:
    return f"pack {entry['pack']}, {words.money(entry['paid_cents'], entry['currency'])}, {entry['session']}"


def _refund(entry: _Entry) -> str:
    money = words.money(entry["cents"], entry["currency"])
    forgiven = f", {words.plural(entry['forgiven'], 'unit')} forgiven" if entry["forgiven"] else ""
    return f"{entry['refund_id']}: {money} of {entry['session']}{forgiven}"


def _expiration(entry: _Entry) -> str:
    return f"lot {entry['lot']} expired on {words.when(entry['expires_at'])}"


def _reversal(entry: _Entry) -> str:
    text = f"takes back entry {entry['reverses']}"
    if "uncounted" in entry:
        text = f"{text}: {words.plural(entry['uncounted']['units'], 'unit')} less used this week"
    if "refund_id" in entry:
        text = f"{text}, refund {entry['refund_id']}"
    return f"{text}; forfeited {words.draws(entry['forfeited'])}" if entry.get("forfeited") else text


def _usage(entry: _Entry) -> str:
    step = "" if entry["step"] == "main" else f" {entry['step']}"
    beyond = f", {entry['overflow']:,} beyond the quota" if entry["overflow"] else ""
    return f"run {entry['run']}{step}: {words.plural(entry['units'], 'unit')}{beyond}"


def _reset(entry: _Entry) -> str:
    closed = entry["closed"]
    settled = f", {words.plural(entry['settled'], 'unit')} of debt settled" if entry["settled"] else ""
    rollover = f", {words.plural(entry['units'], 'unit')} rolled over" if "units" in entry else ""
    return f"{_week_name(closed)} closed: {closed['used']:,} of {closed['quota']:,} used{settled}{rollover}"


def _adjustment(entry: _Entry) -> str:
    return f"voids the rest of lot {entry['voids']}, {_ref(entry)}" if "voids" in entry else _ref(entry)


def _extension(entry: _Entry) -> str:
    until = f"expires {words.when(entry['expires_at'])} now" if entry["expires_at"] else "never expires now"
    return f"lot {entry['lot']} {until}"


def _hold(entry: _Entry) -> str:
    return f"holds {words.plural(entry['units'], 'unit')} for {entry['hold']} until {words.when(entry['expires_at'])}"


def _release(entry: _Entry) -> str:
    ran_out = ", which ran out" if "expires_at" in entry else ""
    return f"lets {words.plural(entry['units'], 'unit')} of hold {entry['hold']} go{ran_out}"


def _plan(entry: _Entry) -> str:
    if "from" in entry:
        return f"plan {entry['plan']} from {words.when(entry['from'])} on"
    return f"plan {entry['plan']} v{entry['version']}, {entry['quota']:,} a week"


_SUMMARIES: dict[str, Callable[[_Entry], str]] = {
    "topup": _topup,
    "debit": _ref,
    "refund": _refund,
    "expiration": _expiration,
    "adjustment": _adjustment,
    "reversal": _reversal,
    "usage": _usage,
    "reset": _reset,
    "plan": _plan,
    "extension": _extension,
    "hold": _hold,
    "release": _release,
}


def _week_name(week: _Entry) -> str:
    return f"week {week['key']}" + (f" cycle {week['cycle']}" if week["cycle"] > 1 else "")


def lots_of(entry: _Entry) -> list[int]:
    """Return the lots that an entry opened, drew from or gave back to, in that order."""
    lots = [draw["lot"] for name in ("draws", "restored") for draw in entry.get(name) or ()]
    if entry.get("voided"):
        lots.append(entry["voided"]["lot"])
    if "lot" in entry and entry["kind"] != "refund":
        lots.append(entry["lot"])
    return list(dict.fromkeys(lots))


# -- receipts

#: The sign, tone and words of each status.
_STATUSES: dict[str, tuple[str, Tone, str]] = {
    "applied": ("✓", "good", "booked"),
    "planned": ("○", "accent", "would book"),
    "replayed": ("✓", "accent", "booked before"),
    "unchanged": ("✓", "accent", "nothing to change"),
    "disabled": ("○", "warn", "switched off"),
    "refused": ("✗", "bad", "refused"),
    "conflict": ("✗", "bad", "conflict"),
    "failed": ("✗", "bad", "failed"),
}


@view("receipt")
def show_receipt(receipt: Receipt) -> Iterable[Block]:
    sign, tone, outcome = _STATUSES[receipt.status]
    code = f" [{receipt.reason}]" if receipt.status == "refused" else ""
    heading = (Styled(f"{sign} {outcome}{code}", tone), f": {receipt.command} ", Styled(receipt.org, "strong"))
    if receipt.brief and receipt.applied and receipt.entry is not None:
        yield Heading((*heading, f", entry {receipt.entry['seq']}, balance ", *pieces(_balance(receipt))))  # type: ignore[arg-type]
        return
    yield Heading(heading)
    yield from _answer(receipt)
    if receipt.also:
        along = "due events booked first" if receipt.applied else "due events that would be booked first"
        yield ledger_grid(receipt.also, title=along)
    if receipt.status == "planned":
        yield Note("nothing is booked yet")


def _answer(receipt: Receipt) -> Iterable[Block]:
    if receipt.status not in ("applied", "planned"):
        yield Note(receipt.message, "bad" if _STATUSES[receipt.status][1] == "bad" else "")
    if receipt.undone_by is not None:
        yield Note(f"entry {receipt.undone_by} has undone it since", "warn")
    if receipt.diff:
        yield _difference(receipt.diff)
    for warning in receipt.warnings:
        yield Note(f"warning [{warning.code}]: {warning.message}", "warn")
    yield Pairs([*_entry_pairs(receipt), ("balance", _balance(receipt))])
    if receipt.hint:
        yield Note(f"try: {receipt.hint}")


def _difference(diff: Mapping[str, Mapping[str, Any]]) -> Grid:
    columns = [Column("parameter"), Column("first time", least=12), Column("now", least=12)]
    rows = [Row([name, value_cell(name, two["first"]), value_cell(name, two["now"])]) for name, two in diff.items()]
    return Grid(columns, rows)


def _balance(receipt: Receipt) -> Cell:
    """Return the balance, with the one before if this call moves it, due events included."""
    now = Styled(words.units(receipt.balance), "bad" if receipt.balance < 0 else "strong")
    booking = receipt.entry if receipt.status in ("applied", "planned") else None
    first = receipt.also[0] if receipt.also else booking
    before = receipt.balance if first is None else first["balance"] - first["amount"]
    return now if before == receipt.balance else (f"{before:,} → ", now)


def _entry_pairs(receipt: Receipt) -> Iterator[_Pair]:
    entry = receipt.entry
    if entry is None:
        return
    yield "what", inline(*summary({**entry, "reason": None, "alerts": None, "low": None, "debt": None, "repaid": None}))
    if entry["kind"] not in ("plan", "extension", "hold", "release"):
        yield "amount", _amount(entry)
    yield from _effect_pairs(entry, expired="expired_on_arrival" in dict(receipt.warnings))
    if entry["reason"]:
        yield "reason", entry["reason"]
    if "occurred_at" in entry:
        yield "happened", words.when_utc(entry["occurred_at"])
    word = "would be entry" if receipt.status == "planned" else "entry"
    yield word, f"{entry['seq']}, {words.when_utc(entry['at'])}, by {entry['actor']}"
    yield "key", entry["key"]


def _amount(entry: _Entry) -> str:
    within = ", within the quota" if entry["kind"] == "usage" and not entry["overflow"] else ""
    return f"{words.signed_units(entry['amount'])}{within}"


def _effect_pairs(entry: _Entry, *, expired: bool) -> Iterator[_Pair]:
    if opened := opened_lot(entry):
        yield "lot", f"{entry['lot']}, which has expired: no units are left" if expired else opened
    for name, label in (("draws", "drawn"), ("restored", "given back"), ("forfeited", "forfeited")):
        if entry.get(name):
            yield label, words.draws(entry[name])
    if entry.get("voided"):
        yield "removed", words.draws([entry["voided"]])
    if pays := words.debt(entry.get("repaid")):
        yield "repaid", pays
    if owes := words.debt(entry.get("debt")):
        yield "debt made", Styled(owes, "warn")
    if entry.get("released"):
        yield "hold", f"{entry['released']['hold']} let go, {words.plural(entry['released']['units'], 'unit')}"
    yield from _usage_pairs(entry)
    if entry.get("low"):
        yield "alert", Styled(f"balance below {', '.join(f'{level:,}' for level in entry['low'])}", "warn")


def opened_lot(entry: _Entry) -> str:
    """Return the lot that an entry opened, with its units after the repayment of debt."""
    if entry["kind"] not in ("topup", "adjustment", "reversal", "reset") or "lot" not in entry:
        return ""
    repaid = entry.get("repaid") if entry["kind"] != "reversal" else None
    held = entry["units"] - sum((repaid or {}).values())
    if held == 0:
        return "none: all units repay debt"
    expires_at = entry["expires_at"]
    expiry = f"expires {words.when_utc(expires_at)}, {words.relative(entry['at'], expires_at)}" if expires_at else ""
    return f"{entry['lot']} with {words.plural(held, 'unit')}, {expiry or 'never expires'}"


def _usage_pairs(entry: _Entry) -> Iterator[_Pair]:
    if entry["kind"] == "usage":
        yield "features", words.breakdown(entry["breakdown"])
    if entry.get("capped_from"):
        yield "capped", f"from {words.plural(entry['capped_from'], 'unit')}"
    if entry.get("uncovered"):
        yield "uncovered", f"{words.plural(entry['uncovered'], 'unit')}, beyond quota and lots, not charged"
    week = entry["state"]["week"]
    if week and (entry["kind"] in ("usage", "plan", "reset") or "uncounted" in entry):
        share = words.percent(week["used"], week["quota"])
        yield "week", f"{week['key']}: {week['used']:,} of {week['quota']:,} used ({share})"
    if entry.get("alerts"):
        yield "threshold", Styled(f"{words.percents(entry['alerts'])} reached", "warn")


@view("refund-preview")
def show_refund_preview(preview: Facts) -> Iterable[Block]:
    facts = preview.facts
    currency = facts["currency"]
    yield Heading(
        (
            Styled("○ would claw", "accent"),
            f" {words.plural(facts['units'], 'unit')} from ",
            Styled(facts["org"], "strong"),
        )
    )
    paid = words.money(facts["paid_cents"], currency)
    yield Pairs(
        [
            ("payment", f"{facts['session']}: pack {facts['pack']}, {facts['pack_units']:,} units for {paid}"),
            ("this refund", words.money(facts["cents"], currency)),
            ("refunded before", words.money(facts["refunded_cents_before"], currency)),
            ("its units now", _whereabouts(facts)),
            ("clawback", words.plural(facts["units"], "unit") + _forgiven(facts["forgiven"])),
            ("taken from", words.draws(facts["draws"]) or "no lot"),
            ("balance", f"{facts['balance']:,} → {facts['balance_after']:,}"),
            ("debt after", words.debt(facts["debt_after"]) or "none"),
            ("still refundable", _still_refundable(facts)),
        ]
    )
    yield Note("nothing is booked yet")


def _whereabouts(facts: Mapping[str, Any]) -> Cell:
    names: Sequence[tuple[str, str]] = (
        ("remaining_units", "left"),
        ("used_units", "used"),
        ("expired_units", "expired"),
        ("clawed_units_before", "clawed before"),
    )
    return ", ".join(f"{facts[name]:,} {label}" for name, label in names if facts[name]) or "none left"


def _forgiven(units: int) -> str:
    return f", {words.plural(units, 'unit')} forgiven: already spent or expired" if units else ""


def _still_refundable(facts: Mapping[str, Any]) -> str:
    rest = words.money(facts["refundable_cents_after"], facts["currency"])
    return f"{rest}, which would claw at most {words.plural(facts['clawable_units_after'], 'unit')}"
