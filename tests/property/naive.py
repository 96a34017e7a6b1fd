"""The rules a second time, as plainly as they can be said, to hold the real ones against.

Nothing is carried from one operation to the next but the list of what was accepted. Whatever is asked, the list is
folded again from its beginning into facts (who moved how many units of which lot, when), and every figure is a sum over
those facts: what is left in a lot is what went in less what went out. Slow, and with nothing that could get stale.
Of the real program it knows the operations, the terms and the plan versions, and none of the code that decides.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from meterctl.core.domain.operations import (
    Adjust,
    AssignPlan,
    Attribute,
    BookDue,
    CreditPack,
    Debit,
    ExtendLot,
    ForceReset,
    Hold,
    Operation,
    Refund,
    Release,
    ReverseRefund,
    Undo,
    VoidLot,
)
from meterctl.core.domain.policy import Terms
from meterctl.core.model import PlanVersion

LIMIT = 2**53 - 1

_COST = re.compile(r"\+?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,2})?", re.IGNORECASE)


def moment(instant: str) -> datetime:
    return datetime.fromisoformat(instant)


@dataclass
class Begin:
    """A week that begins: the Monday, and what it is measured by."""

    monday: datetime
    cycle: int
    plan: str
    version: int
    quota: int
    settled: int = 0


@dataclass
class Fact:
    """What one event did. ``moves``: units into (+) or out of (-) a lot, in order."""

    number: int
    at: datetime
    operation: Operation | None
    moves: list[tuple[int, int]] = field(default_factory=list)
    expires: datetime | None = None
    owed: int = 0
    overage: int = 0
    forfeited: list[tuple[int, int]] = field(default_factory=list)
    expired: int = 0
    paid: int = 0
    currency: str = ""
    clawed: int = 0
    aimed: int = 0
    reverses: int | None = None
    units: int = 0
    usage: dict[str, int] = field(default_factory=dict)
    uncovered: int = 0
    ends: bool = False
    begins: Begin | None = None
    plan: PlanVersion | None = None
    alerts: list[int] = field(default_factory=list)
    priority: int = 50
    paid_lot: bool = False
    extends: tuple[int, datetime | None] | None = None
    voids: int | None = None
    holds: tuple[str, int, datetime] | None = None
    releases: str | None = None
    dated: tuple[str, datetime] | None = None
    beyond: list[tuple[object, int]] = field(default_factory=list)
    unbeyond: list[tuple[object, int]] = field(default_factory=list)

    @property
    def amount(self) -> int:
        return sum(units for _, units in self.moves) - self.owed - self.overage


class Book:
    """The facts of one org."""

    def __init__(self, terms: Terms, versions: Sequence[PlanVersion]) -> None:
        self.terms = terms
        self.versions = versions
        self.facts: list[Fact] = []
        self.is_sale = False

    # -- figures, each a sum

    def remaining(self, lot: int) -> int:
        return sum(units for fact in self.facts for name, units in fact.moves if name == lot)

    def lots(self) -> list[int]:
        """Live lots in draw order."""
        never = datetime.max.replace(tzinfo=UTC)
        names = {name for fact in self.facts for name, _ in fact.moves}
        live = [name for name in names if self.remaining(name) > 0]

        def order(name: int) -> tuple[int, datetime, bool, int]:
            opening = self.facts[name - 1]
            return (opening.priority, self.expiry(name) or never, opening.paid_lot, name)

        return sorted(live, key=order)

    def expiry(self, lot: int) -> datetime | None:
        """Of its newest extension, else of its opening."""
        extended = [fact.extends for fact in self.facts if fact.extends is not None and fact.extends[0] == lot]
        return extended[-1][1] if extended else self.facts[lot - 1].expires

    def live_holds(self) -> dict[str, tuple[int, datetime]]:
        live: dict[str, tuple[int, datetime]] = {}
        for fact in self.facts:
            if fact.holds is not None:
                live[fact.holds[0]] = fact.holds[1:]
            if fact.releases is not None:
                del live[fact.releases]
        return live

    def held(self) -> int:
        return sum(units for units, _ in self.live_holds().values())

    def next_plan(self) -> tuple[str, datetime, int] | None:
        coming = None
        for fact in self.facts:
            if fact.plan is not None:
                coming = None
            if fact.dated is not None:
                coming = (*fact.dated, fact.number)
        return coming

    def available(self, at: datetime) -> int:
        week = self.week()
        quota = self.in_force(self.plan_at(at), at).weekly_quota if week is None else week["quota"]
        return max(0, quota - (week["used"] if week else 0)) + self.balance() - self.held()

    def parts(self) -> list[tuple[object, int]]:
        """The overflow of the open week, by source."""
        turns = [fact.number for fact in self.facts if fact.ends or fact.begins]
        parts: list[tuple[object, int]] = []
        for fact in self.facts[turns[-1] - 1 :] if turns else []:
            for source, units in fact.beyond:
                if parts and parts[-1][0] == source:
                    parts[-1] = (source, parts[-1][1] + units)
                elif units:
                    parts.append((source, units))
            for source, units in fact.unbeyond:
                parts = without_newest(parts, source, units)
        return parts

    def owed(self) -> int:
        return sum(fact.owed for fact in self.facts)

    def overage(self) -> int:
        return sum(fact.overage for fact in self.facts)

    def balance(self) -> int:
        return sum(fact.amount for fact in self.facts)

    def low(self, number: int) -> list[int]:
        """The levels that the balance fell below by this fact, the highest first."""
        after = sum(fact.amount for fact in self.facts[:number])
        before = after - self.facts[number - 1].amount
        return sorted((level for level in self.terms.balance_alerts if before >= level > after), reverse=True)

    def last_at(self) -> datetime:
        return self.facts[-1].at if self.facts else datetime.min.replace(tzinfo=UTC)

    def plan_at(self, at: datetime) -> str:
        coming = self.next_plan()
        return coming[0] if coming is not None and coming[1] <= at else self.plan()

    def plan(self) -> str:
        assigned = [fact.plan.plan for fact in self.facts if fact.plan is not None]
        return assigned[-1] if assigned else self.terms.default_plan

    def week(self) -> dict[str, Any] | None:
        turns = [fact for fact in self.facts if fact.ends or fact.begins]
        if not turns or turns[-1].begins is None:
            return None
        begin = turns[-1].begins
        since = self.facts[turns[-1].number - 1 :]
        plans = [fact.plan for fact in since if fact.plan is not None]
        breakdown: Counter[str] = Counter()
        for fact in since:
            breakdown.update(fact.usage)
        year, number, _ = begin.monday.isocalendar()
        return {
            "key": f"{year}-W{number:02}",
            "end": begin.monday + timedelta(days=7),
            "cycle": begin.cycle,
            "plan": plans[-1].plan if plans else begin.plan,
            "version": plans[-1].version if plans else begin.version,
            "quota": plans[-1].weekly_quota if plans else begin.quota,
            "used": begin.settled + sum(breakdown.values()),
            "uncovered": sum(fact.uncovered for fact in since),
            "breakdown": {name: units for name, units in breakdown.items() if units},
            "alerts": [percent for fact in since for percent in fact.alerts],
            "overflow": self.parts(),
        }

    def view(self) -> dict[str, Any]:
        return {
            "balance": self.balance(),
            "lots": [(lot, self.remaining(lot), self.expiry(lot)) for lot in self.lots()],
            "holds": sorted((until, name, units) for name, (units, until) in self.live_holds().items()),
            "next_plan": self.next_plan(),
            "debt": (self.owed(), self.overage()),
            "plan": self.plan(),
            "week": self.week(),
        }

    # -- facts

    def fact(self, at: datetime, operation: Operation | None = None) -> Fact:
        """The next fact, already in the list: what it does is added to it."""
        made = Fact(len(self.facts) + 1, max(at, self.last_at()), operation)
        self.facts.append(made)
        return made

    def find(self, *wanted: object) -> Fact | None:
        """The fact whose operation has this identity."""
        facts = (fact for fact in self.facts if fact.operation)
        return next((fact for fact in facts if self.identity(fact.operation) == wanted), None)

    def identity(self, operation: Operation | None) -> tuple[object, ...]:
        if isinstance(operation, Undo):
            undone = self.named(operation)
            return ("undo", undone.number if undone else None)
        assert operation is not None
        return identity(operation)

    def named(self, operation: Undo) -> Fact | None:
        """The fact that an undo names: by its number, or by its key."""
        if operation.of is None:
            assert operation.seq is not None
            return self.facts[operation.seq - 1] if operation.seq <= len(self.facts) else None
        return next((fact for fact in self.facts if fact.operation and fact.operation.key == operation.of), None)

    def advance(self, until: datetime) -> None:
        """Whatever time itself brings up to and including ``until``, the earliest first."""
        for _ in range(100_000):
            pending: list[tuple[datetime, int, int, str]] = []
            for lot in self.lots():
                expires = self.expiry(lot)
                if expires is not None and expires <= until:
                    pending.append((expires, 0, lot, ""))
            pending += [(gone, 1, 0, name) for name, (_, gone) in self.live_holds().items() if gone <= until]
            week, coming = self.week(), self.next_plan()
            if week is not None and week["end"] <= until:
                pending.append((week["end"], 2, 0, ""))
            if coming is not None and coming[1] <= until:
                pending.append((coming[1], 3, 0, coming[0]))
            if not pending:
                return
            when, turn, lot, name = min(pending)
            if turn == 1:
                self.fact(when).releases = name
            elif turn == 2:
                self.end_week(when)
            elif turn == 3:
                self.put_on(self.fact(when), name, when)
            else:
                units = self.remaining(lot)
                fact = self.fact(when)
                fact.moves, fact.expired = [(lot, -units)], units
        raise AssertionError("time never stands still")

    def end_week(self, monday: datetime) -> None:
        version = self.in_force(self.plan_at(monday), monday)
        debt, week = self.overage(), self.week()
        assert week is not None
        closed = next((v for v in self.versions if (v.plan, v.version) == (week["plan"], week["version"])), None)
        unused = min(week["quota"] - week["used"], closed.rollover_max) if closed else 0
        unused = min(unused, LIMIT - self.balance() - min(version.weekly_quota, debt))
        fact = self.fact(monday)
        fact.ends = True
        settled = min(version.weekly_quota, debt) if self.terms.settle_overage else 0
        if settled or (version.rollover_max and self.terms.meter_mode):
            fact.overage = -settled
            fact.begins = Begin(monday, 1, version.plan, version.version, version.weekly_quota, settled)
            fact.alerts = self.reached([]) if settled else []
        if closed and unused > 0 and self.owed() + self.overage() == 0:
            self.add_lot(fact, unused, monday + timedelta(weeks=closed.rollover_weeks))

    def put_on(self, fact: Fact, plan: str, at: datetime) -> None:
        """The plan takes effect; one with rollover opens a week if none is open."""
        week = self.week()
        fact.plan = self.in_force(plan, at)
        if week is None and fact.plan.rollover_max and self.terms.meter_mode:
            fact.begins = Begin(monday_of(fact.at), 1, plan, fact.plan.version, fact.plan.weekly_quota)
        elif week is not None:
            fact.alerts = self.reached(week["alerts"])

    def in_force(self, plan: str, at: datetime) -> PlanVersion:
        own = [version for version in self.versions if version.plan == plan]
        if not own:
            return unpublished(plan)
        return max(
            [version for version in own if moment(version.effective_from) <= at] or own[:1],
            key=lambda version: version.version,
        )

    def reached(self, known: Iterable[int]) -> list[int]:
        """Thresholds that the open week has reached and that are not known yet."""
        week = self.week()
        if week is None or week["quota"] == 0:
            return []
        percent = Fraction(100 * week["used"], week["quota"])
        return sorted(p for p in self.terms.thresholds if p <= percent and p not in known)

    def take(self, fact: Fact, units: int, lots: Sequence[int]) -> int:
        """Move up to ``units`` out of ``lots``; what they do not hold."""
        for lot in lots:
            taken = min(units, self.remaining(lot))
            if taken:
                fact.moves.append((lot, -taken))
                units -= taken
        return units

    def repay(self, fact: Fact, units: int) -> int:
        """Pay debt with ``units``, owed before overage; what is left of them."""
        fact.owed -= (owed := min(units, self.owed()))
        fact.overage -= (overage := min(units - owed, self.overage()))
        return units - owed - overage

    def add_lot(self, fact: Fact, units: int, expires: datetime | None) -> None:
        fact.expires = expires
        if units:
            fact.moves.append((fact.number, units))

    def give_back(self, fact: Fact, taker: Fact) -> None:
        """Every unit that ``taker`` took is offered to today's debt, what was debt first, then the last drawn first;
        what debt does not want goes home."""
        kept = []
        for lot, units in taker.moves:
            expires = self.expiry(lot)
            if expires is not None and expires <= fact.at:
                fact.forfeited.append((lot, -units))
            else:
                kept.append((lot, -units))
        fact.overage -= (first := min(taker.overage, self.overage()))
        home = self.repay(fact, taker.owed + taker.overage - first)
        for lot, units in reversed(kept):
            if left := self.repay(fact, units):
                fact.moves.append((lot, left))
        if home:
            self.add_lot(fact, home, None)

    # -- operations: each adds its fact, or returns why not

    def decide(self, operation: Operation, at: datetime, said: datetime) -> str | None:
        before = len(self.facts)
        refused: str | None = getattr(self, f"_{operation.name.replace('-', '_')}")(operation, at, said)
        week = self.week()
        figures = (self.balance(), self.owed() + self.overage(), week["used"] if week else 0)
        if refused is None and any(abs(figure) > LIMIT for figure in figures):
            refused = "amount_out_of_range"
        if refused is not None:
            del self.facts[before:]
        return refused

    def _credit_pack(self, operation: CreditPack, at: datetime, said: datetime) -> str | None:
        pack = self.terms.packs.get(operation.pack)
        if pack is None:
            return "unknown_pack"
        currency = operation.currency or pack.currency
        price = pack.price_cents if currency == pack.currency else pack.prices.get(currency)
        if price is None:
            return "unknown_currency"
        paid = operation.paid_cents
        if pack.unit_price_cents is None:
            units = pack.units * operation.quantity
            paid = price * operation.quantity + operation.tax_cents if paid is None else paid
        else:
            net = 0 if paid is None else paid - operation.tax_cents
            units = math.floor(Fraction(net) / Fraction(pack.unit_price_cents))
            if not units:
                return "amount_required"
        assert paid is not None
        if max(units, paid) > LIMIT:
            return "amount_out_of_range"
        self.is_sale = True
        fact = self.fact(at, operation)
        fact.paid, fact.units, fact.priority, fact.paid_lot = paid, units, pack.priority, True
        fact.currency = currency
        expires = None if pack.expiry_days is None else said + timedelta(hours=24 * pack.expiry_days)
        if operation.expires_at is not None:
            expires = moment(operation.expires_at)
        self.add_lot(fact, self.repay(fact, units), expires)
        return None

    def _debit(self, operation: Debit | Adjust, at: datetime, _: datetime) -> str | None:
        lots, available = self.lots(), self.available(at)
        held = self.held()
        fact = self.fact(at, operation)
        fact.owed = self.take(fact, abs(operation.units), lots)
        if operation.allow_debt:
            return None
        return "insufficient_balance" if fact.owed or (held and available < abs(operation.units)) else None

    def opened(self, lot: int) -> bool:
        """Whether there ever was such a lot."""
        opening = self.facts[lot - 1] if lot <= len(self.facts) else None
        return opening is not None and (lot, True) in [(name, units > 0) for name, units in opening.moves]

    def _take_from_lot(self, operation: Adjust, at: datetime) -> str | None:
        assert operation.lot is not None
        if not self.opened(operation.lot):
            return "unknown_lot"
        if self.remaining(operation.lot) < -operation.units:
            return "insufficient_lot"
        if self.held() and self.available(at) < -operation.units:
            return "insufficient_balance"
        self.fact(at, operation).moves = [(operation.lot, operation.units)]
        return None

    def _extend_lot(self, operation: ExtendLot, at: datetime, _: datetime) -> str | None:
        if not self.opened(operation.lot):
            return "unknown_lot"
        if not self.remaining(operation.lot):
            return "lot_gone"
        expires = None if operation.expires_at is None else moment(operation.expires_at)
        if expires is not None and expires <= at:
            return "expires_in_past"
        self.fact(at, operation).extends = (operation.lot, expires)
        return None

    def _void_lot(self, operation: VoidLot, at: datetime, _: datetime) -> str | None:
        if not self.opened(operation.lot):
            return "unknown_lot"
        left = self.remaining(operation.lot)
        if not left:
            return "lot_gone"
        fact = self.fact(at, operation)
        fact.moves, fact.voids = [(operation.lot, -left)], operation.lot
        return None

    def _hold(self, operation: Hold, at: datetime, said: datetime) -> str | None:
        if not self.terms.meter_mode:
            return "disabled"
        if operation.expires_at is None:
            assert operation.lasts is not None
            until = said + timedelta(minutes=int(operation.lasts[:-1]))
        else:
            until = moment(operation.expires_at)
        if until <= at:
            return "expires_in_past"
        if until > at + timedelta(days=31):
            return "too_far_ahead"
        if self.available(at) < operation.units:
            return "insufficient_balance"
        self.fact(at, operation).holds = (operation.ref, operation.units, until)
        return None

    def _release(self, operation: Release, at: datetime, _: datetime) -> str | None:
        assert operation.hold is not None
        if not self.terms.meter_mode and not self.live_holds():
            return "disabled"
        if operation.hold in self.live_holds():
            self.fact(at, operation).releases = operation.hold
            return None
        return "unchanged" if self.find("hold", operation.hold) else "unknown_hold"

    def _adjust(self, operation: Adjust, at: datetime, said: datetime) -> str | None:
        if operation.units < 0:
            return self._take_from_lot(operation, at) if operation.lot else self._debit(operation, at, said)
        expires = None if operation.expires_at is None else moment(operation.expires_at)
        if expires is not None and expires <= said:
            return "expires_in_past"
        fact = self.fact(at, operation)
        fact.units, fact.priority = operation.units, 50 if operation.priority is None else operation.priority
        self.add_lot(fact, self.repay(fact, operation.units), expires)
        return None

    def refunds_of(self, session: str) -> list[Fact]:
        """Those that were not taken back."""
        reversed_ones = {fact.reverses for fact in self.facts}
        return [
            fact
            for fact in self.facts
            if isinstance(fact.operation, Refund)
            and fact.operation.session == session
            and fact.number not in reversed_ones
        ]

    def _refund(self, operation: Refund, at: datetime, _: datetime) -> str | None:
        topup = self.find("session", operation.session)
        if topup is None:
            return "unknown_session"
        if self.find("undo", topup.number):
            return "undone"
        standing = self.refunds_of(operation.session)
        cents = sum(fact.operation.cents for fact in standing if isinstance(fact.operation, Refund))
        if cents + operation.cents > topup.paid:
            return "refund_exceeds_payment"
        reached = sum(fact.aimed for fact in standing)
        target = max(0, half_up(topup.units, cents + operation.cents, topup.paid) - reached)
        lot = topup.number
        expired = sum(fact.expired for fact in self.facts if fact.expired and fact.moves[0][0] == lot)
        forfeited = sum(units for fact in self.facts for name, units in fact.forfeited if name == lot)
        clawed = sum(fact.clawed for fact in standing)
        back = {fact.reverses for fact in self.facts}
        voided = sum(-f.moves[0][1] for f in self.facts if f.voids == lot and f.number not in back)
        lots = sorted(self.lots(), key=lambda name: name != lot)
        fact = self.fact(at, operation)
        fact.aimed = target
        fact.clawed = min(target, max(0, topup.units - expired - forfeited - voided - clawed))
        fact.owed = self.take(fact, fact.clawed, lots)
        return None

    def _reverse_refund(self, operation: ReverseRefund, at: datetime, _: datetime) -> str | None:
        refund = self.find("refund", operation.refund_id)
        if refund is None:
            return "unknown_refund"
        fact = self.fact(at, operation)
        fact.reverses = refund.number
        self.give_back(fact, refund)
        return None

    def _undo(self, operation: Undo, at: datetime, _: datetime) -> str | None:
        undone = self.named(operation)
        if undone is None:
            return "unknown_entry"
        if operation.seq not in (None, undone.number):
            return "entry_moved"
        if isinstance(undone.operation, Attribute):
            return self._undo_run(operation, undone, at)
        if isinstance(undone.operation, Debit | VoidLot) or (
            isinstance(undone.operation, Adjust) and undone.operation.units < 0
        ):
            fact = self.fact(at, operation)
            fact.reverses = undone.number
            self.give_back(fact, undone)
            return None
        if not isinstance(undone.operation, CreditPack | Adjust):
            return "not_undoable"
        if self.remaining(undone.number) != undone.units:
            return "lot_partly_used"
        if isinstance(undone.operation, CreditPack) and self.refunds_of(undone.operation.session):
            return "lot_partly_used"
        self.fact(at, operation).moves = [(undone.number, -undone.units)]
        return None

    def _undo_run(self, operation: Undo, run: Fact, at: datetime) -> str | None:
        """The run's usage is taken out of the week it counted in, and what lies above the quota no more comes back."""
        turns = [fact.number for fact in self.facts if fact.ends or fact.begins]
        week = self.week()
        if week is None or run.number < turns[-1]:
            return "week_closed"
        parts, units = self.parts(), sum(run.usage.values())
        above = max(0, week["used"] - units - week["quota"])
        left = min(units, max(0, sum(count for _, count in parts) - above))
        gone: list[tuple[object, int]] = []
        for wanted, most in (("uncovered", min(left, run.uncovered)), (None, None)):
            room = left if most is None else most
            for source, count in reversed(parts):
                taken = min(room, count) if wanted in (None, source) else 0
                if taken:
                    gone.append((source, taken))
                room, left = room - taken, left - taken
            for source, count in gone if most is not None else []:
                parts = without_newest(parts, source, count)
        fact = self.fact(at, operation)
        fact.reverses, fact.unbeyond = run.number, gone
        fact.usage = {feature: -count for feature, count in run.usage.items()}
        fact.uncovered = -sum(count for source, count in gone if source == "uncovered")
        taker = Fact(0, at, None, overage=sum(count for source, count in gone if source == "debt"))
        taker.moves = [(source, -count) for source, count in reversed(gone) if isinstance(source, int)]
        self.give_back(fact, taker)
        return None

    def _attribute(self, operation: Attribute, at: datetime, _: datetime) -> str | None:
        if not self.terms.meter_mode:
            return "disabled"
        week = self.week()
        version = self.pricing_version(operation, week, at)
        if version is None:
            return "unknown_plan_version"
        buckets = {"default": operation.units} if operation.units else self.price(operation, version)
        if isinstance(buckets, str):
            return buckets
        lots = self.lots()
        fact = self.fact(at, operation)
        if week is None:
            opened = self.in_force(self.plan_at(fact.at), fact.at)
            fact.begins = Begin(monday_of(fact.at), 1, opened.plan, opened.version, opened.weekly_quota)
            week = self.week()
        assert week is not None
        units = sum(buckets.values())
        above = max(0, min(units, week["used"] + units - week["quota"]))
        rest = self.take(fact, above, lots)
        if self.terms.overage == "absorb":
            fact.uncovered = rest
        else:
            fact.overage = rest
        fact.beyond = [(lot, -units) for lot, units in fact.moves]
        fact.beyond += [("debt", fact.overage), ("uncovered", fact.uncovered)]
        if operation.hold in self.live_holds():
            fact.releases = operation.hold
        fact.usage = buckets
        before = Fraction(100 * week["used"], week["quota"]) if week["quota"] else Fraction(0)
        known = [*week["alerts"], *(p for p in self.terms.thresholds if p <= before)]
        fact.alerts = self.reached(known)
        return None

    def pricing_version(self, operation: Attribute, week: dict[str, Any] | None, at: datetime) -> PlanVersion | None:
        plan, number = (week["plan"], week["version"]) if week else (self.plan_at(at), None)
        if operation.plan_version is not None:
            number = operation.plan_version
        elif number is None:
            return self.in_force(plan, at)
        own = [version for version in self.versions if version.plan == plan]
        return next(
            (version for version in own if version.version == number), None if own or number else unpublished(plan)
        )

    def price(self, operation: Attribute, version: PlanVersion) -> dict[str, int] | str:
        """Buckets of units, or why there are none."""
        buckets = {}
        for feature, cost in (operation.costs or {}).items():
            if not _COST.fullmatch(cost):
                return "invalid_cost"
            ratio = version.ratios.get(feature, version.ratios.get("default", "1"))
            exact = Fraction(Decimal(cost)) * Fraction(ratio) * Fraction(self.terms.dollars_to_units)
            buckets[feature] = math.floor(exact)
        short = self.terms.run_base - sum(buckets.values())
        if short > 0:
            buckets["base"] = short
        total = sum(buckets.values())
        if total > LIMIT:
            return "amount_out_of_range"
        cap = self.terms.max_units_per_run
        return capped(buckets, cap) if 0 < cap < total else {name: units for name, units in buckets.items() if units}

    def _assign_plan(self, operation: AssignPlan, at: datetime, said: datetime) -> str | None:
        published = {version.plan for version in self.versions}
        if operation.plan not in published | {self.terms.default_plan}:
            return "unknown_plan"
        later = None
        if operation.from_at is not None:
            later = (
                monday_of(said) + timedelta(days=7) if operation.from_at == "next-week" else moment(operation.from_at)
            )
            if later <= said:
                return "from_in_past"
            if later > said + timedelta(days=366):
                return "too_far_ahead"
        assigned = [fact.plan.plan for fact in self.facts if fact.plan is not None]
        same, coming = bool(assigned) and assigned[-1] == operation.plan, self.next_plan()
        if later is not None and later > at:
            if (same and coming is None) or (coming is not None and coming[:2] == (operation.plan, later)):
                return "unchanged"
            self.fact(at, operation).dated = (operation.plan, later)
            return None
        week, version = self.week(), self.in_force(operation.plan, at)
        opens = week is None and version.rollover_max and self.terms.meter_mode
        in_week = week is None or (week["plan"], week["version"]) == (version.plan, version.version)
        if same and coming is None and in_week and not opens:
            return "unchanged"
        self.put_on(self.fact(at, operation), operation.plan, at)
        return None

    def _reset_week(self, operation: ForceReset, at: datetime, _: datetime) -> str | None:
        if not self.terms.meter_mode:
            return "disabled"
        week = self.week()
        if week is None:
            return "no_open_week"
        fact = self.fact(at, operation)
        version = self.in_force(self.plan_at(fact.at), fact.at)
        monday = week["end"] - timedelta(days=7)
        fact.ends = True
        fact.begins = Begin(monday, week["cycle"] + 1, version.plan, version.version, version.weekly_quota)
        return None


def identity(operation: Operation) -> tuple[object, ...]:  # noqa: C901 - a line for each
    """What makes an operation happen once."""
    match operation:
        case CreditPack():
            return ("session", operation.session)
        case Debit():
            return ("debit", operation.ref)
        case Adjust():
            return ("adjust", operation.ref)
        case Refund():
            return ("refund", operation.refund_id)
        case ReverseRefund():
            return ("unrefund", operation.refund_id)
        case ExtendLot():
            return ("extend", operation.ref)
        case VoidLot():
            return ("void", operation.ref)
        case Hold():
            return ("hold", operation.ref)
        case Release():
            return ("release", operation.hold)
        case Attribute():
            return ("run", operation.run, operation.step)
        case AssignPlan():
            return ("plan", operation.ref)
        case ForceReset():
            return ("reset", operation.ref)
    raise AssertionError(f"{operation} has no identity")


def same(first: Fact, now: Operation) -> bool:
    """Whether ``now`` asks again for what ``first`` did."""
    was = first.operation
    match was, now:
        case CreditPack(), CreditPack():
            asked = (was.pack, was.quantity, was.tax_cents) == (now.pack, now.quantity, now.tax_cents)
            expires = None if now.expires_at is None else moment(now.expires_at)
            money = now.paid_cents in (None, first.paid) and now.currency in (None, first.currency)
            return asked and money and expires in (None, first.expires)
        case Undo(), Undo():
            return True
        case Attribute(), Attribute():
            given = (was.units, was.plan_version, was.hold) == (now.units, now.plan_version, now.hold)
            return given and costs_of(was) == costs_of(now)
    return was == now


def costs_of(operation: Attribute) -> dict[str, Fraction | str] | None:
    if operation.costs is None:
        return None
    return {
        feature: Fraction(Decimal(cost)) if _COST.fullmatch(cost) else cost for feature, cost in operation.costs.items()
    }


def unpublished(plan: str) -> PlanVersion:
    return PlanVersion(plan, 0, 0, {}, "", "", "", None)  # type: ignore[arg-type]


def monday_of(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=at.weekday())


def without_newest(parts: list[tuple[object, int]], source: object, units: int) -> list[tuple[object, int]]:
    """``parts`` less the newest ``units`` of one source."""
    left = []
    for name, count in reversed(parts):
        taken = min(units, count) if name == source else 0
        units -= taken
        left.append((name, count - taken))
    return [(name, count) for name, count in reversed(left) if count]


def half_up(units: int, cents: int, paid: int) -> int:
    return math.floor(Fraction(units * cents, paid) + Fraction(1, 2)) if cents else 0


def capped(buckets: dict[str, int], cap: int) -> dict[str, int]:
    """Scaled to the cap; what rounding down leaves over goes one by one to the largest fractions, then by name."""
    whole = sum(buckets.values())
    exact = {name: Fraction(units * cap, whole) for name, units in buckets.items()}
    scaled = {name: math.floor(share) for name, share in exact.items()}
    queue = sorted(exact, key=lambda name: (math.floor(exact[name]) - exact[name], name))
    for name in queue[: cap - sum(scaled.values())]:
        scaled[name] += 1
    return {name: units for name, units in scaled.items() if units}


class Naive:
    """All orgs: the list of what was accepted, and what follows from it."""

    def __init__(self, terms: Terms, versions: Sequence[PlanVersion]) -> None:
        self.terms = terms
        self.versions = sorted(versions, key=lambda version: (version.plan, version.version))
        self.accepted: list[tuple[datetime, Operation]] = []
        self.claims: dict[str, tuple[str, str]] = {}

    def book(self, org: str) -> Book:
        """The facts of ``org``, folded from the beginning."""
        book = Book(self.terms, self.versions)
        for said, operation in self.accepted:
            if operation.org == org:
                at = max(said, book.last_at())
                book.advance(at)
                if not isinstance(operation, BookDue):
                    refused = book.decide(operation, at, said)
                    assert refused is None, f"what was accepted is refused now: {refused}"
        return book

    def view(self, org: str, now: str) -> dict[str, Any]:
        book = self.book(org)
        book.advance(max(moment(now), book.last_at()))
        return book.view()

    def answer(self, operation: Operation, at: str | None, now: str) -> str:
        """What an operation is answered: ``applied``, ``replayed``, ``conflict``, ``unchanged``, ``disabled`` or the
        code of a refusal."""
        book = self.book(operation.org)
        if isinstance(operation, Refund):
            operation = self.resolved(book, operation)
        if not isinstance(operation, BookDue) and (first := self.first(book, operation)):
            if not same(first, operation):
                return "conflict"
            if isinstance(operation, CreditPack) and not book.find("undo", first.number):
                self.learn(operation, first.operation)
            return "replayed"
        said = moment(at or now)
        if said > moment(now) + timedelta(minutes=5):
            return "in_future"
        effective = max(said, book.last_at())
        known = len(book.facts)
        book.advance(effective)
        if isinstance(operation, BookDue):
            refused = None if len(book.facts) > known else "unchanged"
        else:
            book.is_sale = False
            refused = book.decide(operation, effective, said)
            if isinstance(operation, CreditPack) and book.is_sale and self.claimed(operation):
                refused = "session_claimed"
        if refused is None:
            self.accepted.append((said, operation))
            if isinstance(operation, CreditPack):
                self.claims |= dict.fromkeys(operation.all_names, (operation.org, operation.session))
        return refused or "applied"

    def first(self, book: Book, operation: Operation) -> Fact | None:
        """What an operation did already, whatever names its payment had then."""
        found = book.find(*book.identity(operation))
        if found is None and isinstance(operation, CreditPack):
            held = [self.claims[name] for name in operation.all_names if name in self.claims]
            found = next((book.find("session", s) for org, s in held if org == operation.org), None)
        return found

    def learn(self, operation: CreditPack, first: Operation | None) -> None:
        """A repeated credit may know more names of its payment."""
        assert isinstance(first, CreditPack)
        for name in operation.all_names:
            holder = self.claims.get(name)
            if holder is None or (holder[0] != operation.org and not self.stands(*holder)):
                self.claims[name] = (operation.org, first.session)

    def resolved(self, book: Book, refund: Refund) -> Refund:
        """The refund with the session that its payment was booked under."""
        org, session = self.claims.get(refund.session, ("", ""))
        if book.find("session", refund.session) or org != refund.org or not book.find("session", session):
            return refund
        return replace(refund, session=session)

    def claimed(self, operation: CreditPack) -> bool:
        """Whether another org has the payment: the last one that was credited, unless that was undone."""
        holders = [self.claims[name] for name in operation.all_names if name in self.claims]
        return any(org != operation.org and self.stands(org, session) for org, session in holders)

    def stands(self, org: str, session: str) -> bool:
        book = self.book(org)
        topup = book.find("session", session)
        return topup is None or book.find("undo", topup.number) is None
