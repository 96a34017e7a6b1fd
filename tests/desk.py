"""A ledger to book on in tests: a store, a clock that is set by hand, terms, and a short word for each operation."""

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast

from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain import instants
from meterctl.core.domain.due_events import state_at
from meterctl.core.domain.entries import tip_of
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
    Request,
    ReverseRefund,
    Undo,
    VoidLot,
)
from meterctl.core.domain.policy import Pack, PlanBook, Terms
from meterctl.core.model import Entry, Instant, PlanVersion, State
from meterctl.core.ports import Store
from meterctl.core.results import Receipt
from tests.memory_store import MemoryStore

#: A Monday, so that a week lies ahead.
MONDAY = "2026-11-16T00:00:00.000Z"
NOON = "2026-11-16T12:00:00.000Z"

PACKS = {
    "small": Pack(1000, 500, "usd", 90),
    "short": Pack(100, 300, "usd", 1),
    "forever": Pack(200, 700, "eur"),
    "free": Pack(50, 0, "usd", 30),
}


class HandClock:
    """A clock that only moves when told to; sleeping is counted, and takes no time."""

    def __init__(self, instant: str) -> None:
        self.instant = instants.parse(instant)
        self.slept: list[float] = []

    def now(self) -> Instant:
        return self.instant

    def elapsed(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Desk:
    """Books for the org ``acme`` unless told otherwise. Every operation takes ``at``, the caller's own time."""

    def __init__(self, store: Store | None = None, *, now: str = NOON, **terms: Any) -> None:
        self.store: Store = store or MemoryStore()
        self.clock = HandClock(now)
        self.ledger = Ledger(self.store, self.clock, Terms(**{"packs": PACKS, **terms}))

    def set_terms(self, **terms: Any) -> None:
        self.ledger.terms = self.ledger.terms._replace(**terms)

    def go(self, when: str) -> None:
        """Set the clock."""
        self.clock.instant = instants.parse(when)

    def publish(
        self, plan: str, quota: int, effective_from: str = MONDAY, rollover: tuple[int, int] = (0, 1), **ratios: str
    ) -> PlanVersion:
        number = 1 + sum(version.plan == plan for version in self.store.plans.all())
        when = instants.parse(effective_from)
        version = PlanVersion(plan, number, quota, ratios, when, when, "tester", None, *rollover)
        assert self.store.plans.add(version)
        return version

    # -- operations

    def do(self, operation: Operation, at: str | None = None, *, reason: str = "because") -> Receipt:
        return self.ledger.one(request(operation, at, reason=reason))

    def credit(
        self,
        session: str,
        pack: str = "small",
        *names: str,
        org: str = "acme",
        cents: int | None = None,
        at: str | None = None,
        **more: Any,
    ) -> Receipt:
        return self.do(CreditPack(org, pack, session, cents, names=names, **more), at)

    def debit(
        self, units: int, ref: str, *, org: str = "acme", allow_debt: bool = False, at: str | None = None
    ) -> Receipt:
        return self.do(Debit(org, units, ref, allow_debt), at)

    def adjust(
        self,
        units: int,
        ref: str,
        *,
        org: str = "acme",
        expires: str | None = None,
        allow_debt: bool = False,
        priority: int | None = None,
        lot: int | None = None,
        at: str | None = None,
    ) -> Receipt:
        expires_at = instants.parse(expires) if expires else None
        return self.do(Adjust(org, units, ref, expires_at, allow_debt, priority, lot), at)

    def refund(self, session: str, cents: int, refund_id: str, *, org: str = "acme", at: str | None = None) -> Receipt:
        return self.do(Refund(org, session, cents, refund_id), at)

    def reverse(self, refund_id: str, *, org: str = "acme", at: str | None = None) -> Receipt:
        return self.do(ReverseRefund(org, refund_id), at)

    def undo(
        self, seq: int | None = None, *, of: str | None = None, org: str = "acme", at: str | None = None
    ) -> Receipt:
        return self.do(Undo(org, seq, of), at)

    def extend(self, lot: int, expires: str | None, ref: str, *, org: str = "acme", at: str | None = None) -> Receipt:
        return self.do(ExtendLot(org, lot, instants.parse(expires) if expires else None, ref), at)

    def void(self, lot: int, ref: str, *, org: str = "acme", at: str | None = None) -> Receipt:
        return self.do(VoidLot(org, lot, ref), at)

    def hold(
        self, units: int, ref: str, lasts: str | None = None, *, org: str = "acme", at: str | None = None
    ) -> Receipt:
        return self.do(Hold(org, units, ref, None, lasts), at)

    def release(self, ref: str, *, org: str = "acme", at: str | None = None) -> Receipt:
        return self.do(Release(org, ref), at)

    def run(
        self,
        run: str,
        units: int | None = None,
        *,
        org: str = "acme",
        step: str = "main",
        costs: dict[str, str] | None = None,
        version: int | None = None,
        hold: str | None = None,
        at: str | None = None,
    ) -> Receipt:
        return self.do(Attribute(org, run, step, costs, units, version, hold), at)

    def assign(
        self, plan: str, ref: str, from_at: str | None = None, *, org: str = "acme", at: str | None = None
    ) -> Receipt:
        when = cast(Any, from_at if from_at in (None, "next-week") else instants.parse(str(from_at)))
        return self.do(AssignPlan(org, plan, ref, when), at)

    def reset(self, ref: str, *, org: str = "acme", at: str | None = None) -> Receipt:
        return self.do(ForceReset(org, ref), at)

    def sweep(self, *, org: str = "acme", at: str | None = None) -> Receipt:
        return self.do(BookDue(org), at)

    # -- what became of them

    def entries(self, org: str = "acme") -> list[Entry]:
        return list(self.store.journal.read(org))

    def tip(self, org: str = "acme") -> Entry:
        newest = self.store.journal.tip(org)
        assert newest is not None
        return newest

    def state(self, org: str = "acme") -> State:
        """What a read shows now: the journal's last state, with what is due by now."""
        tip = tip_of(self.store.journal.tip(org))
        plans = PlanBook(self.store.plans.all)
        return state_at(tip.state, tip.seq, max(self.clock.now(), tip.at), self.ledger.terms, plans)

    def balance(self, org: str = "acme") -> int:
        return self.state(org).balance

    def lots(self, org: str = "acme") -> dict[int, int]:
        """Remaining units by lot, in draw order."""
        return {lot.id: lot.remaining for lot in self.state(org).lots}

    def debt(self, org: str = "acme") -> tuple[int, int]:
        """Owed and overage."""
        return tuple(self.state(org).debt)  # type: ignore[return-value]


class Tapped:
    """A repository whose calls are counted, and where ``on`` puts something in the way of a method: a function that is
    given the true method and the call's arguments."""

    def __init__(self, repository: Any) -> None:
        self.calls: Counter[str] = Counter()
        self._repository = repository
        self._hooks: dict[str, Callable[..., Any]] = {}

    def on(self, method: str, hook: Callable[..., Any], *, times: int = 1_000_000) -> None:
        """Let ``hook`` answer the next ``times`` calls."""
        left = iter(range(times))

        def answer(real: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
            return real(*arguments, **more) if next(left, None) is None else hook(real, *arguments, **more)

        self._hooks[method] = answer

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._repository, name)

        def call(*arguments: Any, **more: Any) -> Any:
            self.calls[name] += 1
            hook = self._hooks.get(name)
            return real(*arguments, **more) if hook is None else hook(real, *arguments, **more)

        return call


def tap(store: Any) -> Any:
    """``store`` with every repository `Tapped`. What is put between two writes happens between them, so no two are one
    step."""
    store.together = nullcontext
    for name in ("journal", "heads", "claims", "plans", "locks"):
        setattr(store, name, Tapped(getattr(store, name)))
    return store


def request(operation: Operation, at: str | None = None, *, reason: str = "because") -> Request:
    return Request(operation, "tester", reason, None if at is None else instants.parse(at))


def contents(store: Store) -> dict[str, Any]:
    """Everything in ``store``, to compare it with what was there before or is elsewhere."""
    return {
        "journal": {org: list(store.journal.read(org)) for org in store.journal.orgs()},
        "heads": list(store.heads.read()),
        "claims": list(store.claims.read()),
        "plans": store.plans.all(),
        "locks": store.locks.all(),
    }


def booked(entry: Entry) -> dict[str, Any]:
    """What an entry says but for when it was recorded, on which its hash and so the next one's ``prev`` depend."""
    return {name: value for name, value in entry.items() if name not in ("recorded_at", "prev", "hash")}
