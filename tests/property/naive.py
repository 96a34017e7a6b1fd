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
from dataclasses import dataclass, field
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
    ForceReset,
    Operation,
    Refund,
    ReverseRefund,
    Undo,
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

    @property
    def amount(self) -> int:
        return sum(units for _, units in self.moves) - self.owed - self.overage


class Book:
    """The facts of one org."""

    def __init__(self, terms: Terms, versions: Sequence[PlanVersion]) -> None:
        self.terms = terms
        self.versions = versions
        self.facts: list[Fact] = []

    # -- figures, each a sum

    def remaining(self, lot: int) -> int:
        return sum(units for fact in self.facts for name, units in fact.moves if name == lot)

    def lots(self) -> list[int]:
        """Live lots in draw order."""
        never = datetime.max.replace(tzinfo=UTC)
        names = {name for fact in self.facts for name, _ in fact.moves}
        live = [name for name in names if self.remaining(name) > 0]
        return sorted(live, key=lambda name: (self.facts[name - 1].expires or never, name))

    def owed(self) -> int:
        return sum(fact.owed for fact in self.facts)

    def overage(self) -> int:
        return sum(fact.overage for fact in self.facts)

    def balance(self) -> int:
        return sum(fact.amount for fact in self.facts)

    def last_at(self) -> datetime:
        return self.facts[-1].at if self.facts else datetime.min.replace(tzinfo=UTC)

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
        }

    def view(self) -> dict[str, Any]:
        return {
            "balance": self.balance(),
            "lots": [(lot, self.remaining(lot), self.facts[lot - 1].expires) for lot in self.lots()],
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
        return next((fact for fact in self.facts if fact.operation and identity(fact.operation) == wanted), None)

    def advance(self, until: datetime) -> None:
        """Whatever time itself brings up to and including ``until``, the earliest first."""
        for _ in range(100_000):
            pending: list[tuple[datetime, int, int]] = []
            for lot in self.lots():
                expires = self.facts[lot - 1].expires
                if expires is not None and expires <= until:
                    pending.append((expires, 0, lot))
            week = self.week()
            if week is not None and week["end"] <= until:
                pending.append((week["end"], 1, 0))
            if not pending:
                return
            when, is_week, lot = min(pending)
            if is_week:
                self.end_week(when)
            else:
                units = self.remaining(lot)
                fact = self.fact(when)
                fact.moves, fact.expired = [(lot, -units)], units
        raise AssertionError("time never stands still")

    def end_week(self, monday: datetime) -> None:
        version = self.in_force(self.plan(), monday)
        debt = self.overage()
        fact = self.fact(monday)
        fact.ends = True
        if self.terms.settle_overage and debt > 0 and version.weekly_quota > 0:
            settled = min(version.weekly_quota, debt)
            fact.overage = -settled
            fact.begins = Begin(monday, 1, version.plan, version.version, version.weekly_quota, settled)
            fact.alerts = self.reached([])

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
            expires = self.facts[lot - 1].expires
            if expires is not None and expires <= fact.at:
                fact.forfeited.append((lot, -units))
            else:
                kept.append((lot, -units))
        home = self.repay(fact, taker.owed)
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
        fact = self.fact(at, operation)
        fact.paid = pack.price_cents if operation.paid_cents is None else operation.paid_cents
        fact.units = pack.units
        expires = None if pack.expiry_days is None else said + timedelta(hours=24 * pack.expiry_days)
        self.add_lot(fact, self.repay(fact, pack.units), expires)
        return None

    def _debit(self, operation: Debit | Adjust, at: datetime, _: datetime) -> str | None:
        lots = self.lots()
        fact = self.fact(at, operation)
        fact.owed = self.take(fact, abs(operation.units), lots)
        return "insufficient_balance" if fact.owed and not operation.allow_debt else None

    def _adjust(self, operation: Adjust, at: datetime, said: datetime) -> str | None:
        if operation.units < 0:
            return self._debit(operation, at, said)
        expires = None if operation.expires_at is None else moment(operation.expires_at)
        if expires is not None and expires <= said:
            return "expires_in_past"
        fact = self.fact(at, operation)
        fact.units = operation.units
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
        lots = sorted(self.lots(), key=lambda name: name != lot)
        fact = self.fact(at, operation)
        fact.aimed = target
        fact.clawed = min(target, max(0, topup.units - expired - forfeited - clawed))
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
        if operation.seq is None or operation.seq > len(self.facts):
            return "unknown_entry"
        undone = self.facts[operation.seq - 1]
        if isinstance(undone.operation, Debit) or (isinstance(undone.operation, Adjust) and undone.operation.units < 0):
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
            monday = fact.at.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=fact.at.weekday())
            opened = self.in_force(self.plan(), fact.at)
            fact.begins = Begin(monday, 1, opened.plan, opened.version, opened.weekly_quota)
            week = self.week()
        assert week is not None
        units = sum(buckets.values())
        above = max(0, min(units, week["used"] + units - week["quota"]))
        rest = self.take(fact, above, lots)
        if self.terms.overage == "absorb":
            fact.uncovered = rest
        else:
            fact.overage = rest
        fact.usage = buckets
        before = Fraction(100 * week["used"], week["quota"]) if week["quota"] else Fraction(0)
        known = [*week["alerts"], *(p for p in self.terms.thresholds if p <= before)]
        fact.alerts = self.reached(known)
        return None

    def pricing_version(self, operation: Attribute, week: dict[str, Any] | None, at: datetime) -> PlanVersion | None:
        plan, number = (week["plan"], week["version"]) if week else (self.plan(), None)
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

    def _assign_plan(self, operation: AssignPlan, at: datetime, _: datetime) -> str | None:
        published = {version.plan for version in self.versions}
        if operation.plan not in published | {self.terms.default_plan}:
            return "unknown_plan"
        assigned = [fact.plan.plan for fact in self.facts if fact.plan is not None]
        if assigned and assigned[-1] == operation.plan:
            return "unchanged"
        week = self.week()
        fact = self.fact(at, operation)
        fact.plan = self.in_force(operation.plan, fact.at)
        fact.alerts = self.reached(week["alerts"] if week else [])
        return None

    def _reset_week(self, operation: ForceReset, at: datetime, _: datetime) -> str | None:
        if not self.terms.meter_mode:
            return "disabled"
        week = self.week()
        if week is None:
            return "no_open_week"
        fact = self.fact(at, operation)
        version = self.in_force(self.plan(), fact.at)
        monday = week["end"] - timedelta(days=7)
        fact.ends = True
        fact.begins = Begin(monday, week["cycle"] + 1, version.plan, version.version, version.weekly_quota)
        return None


def identity(operation: Operation) -> tuple[object, ...]:
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
        case Undo():
            return ("undo", operation.seq)
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
            return was.pack == now.pack and now.paid_cents in (None, first.paid)
        case Attribute(), Attribute():
            given = (was.units, was.plan_version) == (now.units, now.plan_version)
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
        if not isinstance(operation, BookDue) and (first := book.find(*identity(operation))):
            return "replayed" if same(first, operation) else "conflict"
        said = moment(at or now)
        if said > moment(now) + timedelta(minutes=5):
            return "in_future"
        effective = max(said, book.last_at())
        known = len(book.facts)
        book.advance(effective)
        if isinstance(operation, BookDue):
            refused = None if len(book.facts) > known else "unchanged"
        elif isinstance(operation, CreditPack) and operation.pack in self.terms.packs and self.claimed(operation):
            refused = "session_claimed"
        else:
            refused = book.decide(operation, effective, said)
        if refused is None:
            self.accepted.append((said, operation))
        return refused or "applied"

    def claimed(self, operation: CreditPack) -> bool:
        """Whether another org has the session: the last one that was credited, unless that was undone."""
        holders = [
            other.org
            for _, other in self.accepted
            if isinstance(other, CreditPack) and other.session == operation.session
        ]
        if not holders or holders[-1] == operation.org:
            return False
        book = self.book(holders[-1])
        topup = book.find("session", operation.session)
        assert topup is not None
        return book.find("undo", topup.number) is None
