"""Show the balance of an org, lot by lot."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from meterctl.core.domain.instants import add_days, to_millis
from meterctl.core.model import Instant
from meterctl.core.results import Balance
from meterctl.views import words
from meterctl.views.blocks import Bar, Block, Column, Grid, Heading, Note, Row, Styled, inline
from meterctl.views.entries import balance_text
from meterctl.views.registry import view


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
    soon = expires_at is not None and expires_at <= add_days(now, words.SOON_DAYS)
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
    soon = at <= add_days(balance.as_of, words.SOON_DAYS)
    yield Note(f"{text}, {words.relative(balance.as_of, at)}", "warn" if soon else "dim")
