"""The results of questions about one org."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from meterctl.core import errors
from meterctl.core.results.base import Result, hidden, shown

if TYPE_CHECKING:
    from meterctl.core.documents import fields as f
    from meterctl.core.documents.entries import DebtDocument
    from meterctl.core.documents.fields import instant, means, number, signed, units
    from meterctl.core.documents.reading import BalanceLot, MeterWeek, NextExpiry
    from meterctl.core.model import Entry, Instant


@dataclass(slots=True, eq=False, repr=False)
class Balance(Result):
    """The units an org holds: live lots and their origin, debt, and the next expiry."""

    name = "balance"

    org: f.Org
    as_of: Annotated[Instant, instant("the instant these figures are true of")]
    balance: f.Balance
    lots: Annotated[Sequence[BalanceLot], means("live lots in draw order")]
    debt: DebtDocument
    next_expiry: NextExpiry | None
    seq: Annotated[int, number("the newest entry behind it; 0 where there is none")]
    held: Annotated[int, units("units on hold: reserved for runs that are under way")] = 0
    known: Annotated[bool, means("false: the org has no journal")] = True


@dataclass(slots=True, eq=False, repr=False)
class Meter(Result):
    """The week of an org, and its admission: a pre-check, not a reservation."""

    name = "meter"

    org: f.Org
    plan: f.Plan
    plan_version: f.Version
    week: MeterWeek
    quota: f.Quota
    used: f.Used
    uncovered: f.Uncovered
    breakdown: Annotated[Mapping[str, int], means("units by feature; sums to the usage")]
    alerts: Annotated[Sequence[f.Percent], means("thresholds reached, in order")]
    balance: f.Balance
    available: Annotated[int, signed("the rest of the quota plus the balance, less units on hold")]
    allowed: Annotated[bool, means("true: it may run the units asked")]
    as_of: Annotated[Instant, instant("the instant these figures are true of")]
    asked: Annotated[int, units("units asked; 0: any at all")] = 0
    gate: bool = hidden(False)
    pace: Annotated[int | None, units("average metered use a week; null: too little history, or not reckoned")] = None
    runs_out_at: Annotated[Instant | None, instant("at that pace nothing is left then; null: not foreseen")] = None
    held: Annotated[int, units("units on hold: reserved for runs that are under way")] = 0
    next_plan: Annotated[Mapping[str, Any] | None, means("a plan assigned from later on; null: none")] = None
    known: Annotated[bool, means("false: the org has no journal")] = True
    meter_mode: Annotated[bool, means("false: the meter is off: usage is not booked, and every org may run")] = True

    @shown
    def remaining(self) -> Annotated[int, units("the rest of the quota")]:
        return max(0, self.quota - self.used)

    @property
    def exit_code(self) -> int:
        """As an answer to "may it run?" (``gate``), a no is a refusal."""
        return errors.REFUSED if self.gate and not self.allowed else errors.DONE


@dataclass(slots=True, eq=False, repr=False)
class LedgerPage(Result):
    """A page of a journal, newest first. Entries that are due but not booked yet are pending."""

    name = "ledger"

    org: Annotated[f.Org | None, means("null: all orgs")]
    balance: Annotated[f.Balance | None, means("balance now; null: of all orgs")]
    entries: Iterable[Entry]
    next_before: Annotated[f.Seq | None, means("--before of the next page; null: this is the last")]
    since: Annotated[Instant | None, instant("entries from then on")] = None
    until: Annotated[Instant | None, instant("entries before then")] = None
    opening: Annotated[int | None, signed("balance as that window begins; null: no window")] = None
    closing: Annotated[int | None, signed("balance as that window ends, or now; null: no window")] = None
    known: Annotated[bool, means("false: the org has no journal")] = True
    left_out: Annotated[int, means("older entries of all orgs that match, but are not shown because of the limit")] = 0

    def rows(self) -> Iterable[Mapping[str, Any]]:
        return self.entries
