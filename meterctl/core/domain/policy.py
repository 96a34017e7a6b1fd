"""The terms of business: packs, the config's rules for booking, limits at the desk, and the published plans."""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

from meterctl.core.errors import Damaged
from meterctl.core.model import Instant, PlanVersion, State

#: Operations that a config may demand a reason for; an operator always gives one for the last five.
REASONED = (
    "credit-pack", "debit", "refund", "reverse-refund", "attribute", "assign-plan", "publish-plan", "hold", "release",
    "adjust", "undo", "extend-lot", "void-lot", "reset-week",
)  # fmt: skip

#: The objects of Stripe that can be a payment for a pack.
PaymentKind = Literal["checkout", "payment_intent", "invoice"]


class Pack(NamedTuple):
    """A pack on sale.

    ``expiry_days`` None: its units never expire. A pack of any amount has a ``unit_price_cents`` (decimal text), and
    neither units nor a price: both are 0.
    """

    units: int
    price_cents: int
    currency: str
    expiry_days: int | None = None
    priority: int = 50
    #: The same pack in further currencies.
    prices: Mapping[str, int] = {}
    stripe_prices: tuple[str, ...] = ()
    unit_price_cents: str | None = None

    @property
    def is_free(self) -> bool:
        return self.price_cents == 0 and self.unit_price_cents is None

    def price_in(self, currency: str) -> int | None:
        """Return the price in ``currency``; None if the pack is not sold in it."""
        return self.price_cents if currency == self.currency else self.prices.get(currency)


class Terms(NamedTuple):
    """The part of the config that decides what is booked. Decimals are texts; ``max_units_per_run`` 0 means no cap."""

    meter_mode: bool = True
    default_plan: str = "free"
    dollars_to_units: str = "1000"
    run_base: int = 1
    max_units_per_run: int = 0
    thresholds: tuple[int, ...] = (80, 100)
    #: Balances that raise an alert when an entry falls below them, highest first.
    balance_alerts: tuple[int, ...] = (0,)
    overage: Literal["debt", "absorb"] = "debt"
    settle_overage: bool = True
    packs: Mapping[str, Pack] = {}

    def plan_of(self, state: State, at: Instant) -> str:
        """Return the plan that an org in ``state`` is on at ``at``: a dated one from its instant on."""
        if state.next_plan is not None and state.next_plan.from_at <= at:
            return state.next_plan.plan
        return state.plan or self.default_plan


class Limits(NamedTuple):
    """The largest amounts that one command at the desk may book; 0 means no limit.

    ``debt`` bounds the debt that an org may owe after a debit or an adjustment. Above ``approval_over`` units an
    operation is only carried out from a saved plan of somebody else.
    """

    adjust: int = 0
    debit: int = 0
    debt: int = 0
    refund_cents: int = 0
    approval_over: int = 0


class ClockLimits(NamedTuple):
    """Seconds that a clock may differ from the server's (None: any number), and be ahead of the last write."""

    skew: float | None
    jump: float


class StripeSettings(NamedTuple):
    """The settings for reading a payment from Stripe's objects.

    ``org`` and ``pack`` are places to look at, in this order. ``only`` maps places to the text that a payment for this
    store holds there.
    """

    org: tuple[str, ...] = ("metadata.org", "client_reference_id")
    pack: tuple[str, ...] = ("metadata.pack", "price")
    only: Mapping[str, str] = {}
    payments: tuple[PaymentKind, ...] = ("checkout", "payment_intent", "invoice")
    discounts: Literal["refuse", "accept"] = "refuse"
    #: Single payments to leave alone, by any of their ids.
    ignore: tuple[str, ...] = ()
    #: The connected account whose payments these are.
    account: str | None = None


class _Plans(NamedTuple):
    """All versions by plan, oldest first, and the damaged documents by plan."""

    versions: dict[str, list[PlanVersion]]
    damaged: dict[str, Damaged]

    @classmethod
    def of(cls, documents: Iterable[PlanVersion | Damaged]) -> "_Plans":
        versions: dict[str, list[PlanVersion]] = {}
        damaged: dict[str, Damaged] = {}
        for document in documents:
            if isinstance(document, PlanVersion):
                versions.setdefault(document.plan, []).append(document)
            elif document.plan is not None:
                damaged[document.plan] = document
        for of_plan in versions.values():
            of_plan.sort(key=lambda version: version.version)
        return cls(dict(sorted(versions.items())), damaged)


class PlanBook:
    """The published versions of all plans, and which of them is in force when.

    ``load`` is called once, on first use: most operations concern no plan, and should not pay for reading them. A plan
    of which a version is damaged cannot be used: asking for it raises `Damaged`, and asking for another one does not.
    """

    def __init__(self, load: Callable[[], Iterable[PlanVersion | Damaged]]) -> None:
        self._load = load
        self._plans: _Plans | None = None

    def _read(self) -> "_Plans":
        # Not a `cached_property`: until Python 3.12 that holds one lock for all books while it reads the store.
        if self._plans is None:
            self._plans = _Plans.of(self._load())
        return self._plans

    def _versions(self, plan: str) -> list[PlanVersion] | None:
        plans = self._read()
        if plan in plans.damaged:
            raise plans.damaged[plan]
        return plans.versions.get(plan)

    def names(self) -> list[str]:
        return list(self._read().versions)

    def versions(self, plan: str) -> list[PlanVersion]:
        """All versions of ``plan``, oldest first."""
        return list(self._versions(plan) or ())

    def newest(self, plan: str) -> PlanVersion | None:
        """Return the last version of ``plan`` that was published, in force yet or not."""
        versions = self._versions(plan)
        return versions[-1] if versions else None

    def in_force(self, plan: str, at: Instant) -> PlanVersion:
        """Return the highest version with ``effective_from <= at``; before the first, the first.

        A plan without any version has version 0: quota 0, ratio 1."""
        versions = self._versions(plan)
        if not versions:
            return unpublished(plan, at)
        return next((version for version in reversed(versions) if version.effective_from <= at), versions[0])

    def version(self, plan: str, number: int, at: Instant) -> PlanVersion | None:
        """Version ``number`` of ``plan``; 0 is known only for a plan that nobody published."""
        versions = self._versions(plan)
        if not versions:
            return unpublished(plan, at) if number == 0 else None
        return next((version for version in versions if version.version == number), None)


def unpublished(plan: str, at: Instant) -> PlanVersion:
    """Return the substitute for a plan without any version: no quota, ratio 1."""
    return PlanVersion(plan, 0, 0, {}, at, at, "", None)
