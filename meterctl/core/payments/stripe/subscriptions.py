"""Read subscriptions, and find the plan assignments that they require."""

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, Literal, NamedTuple

from meterctl.core.domain import instants
from meterctl.core.domain.operations import AssignPlan
from meterctl.core.model import Instant
from meterctl.core.payments.stripe.fields import id_of, text
from meterctl.core.payments.stripe.shop import Json, Shop
from meterctl.core.ports import EntryFilter, Store

#: ``on``: the org is on the plan. ``ended``: it is on the default plan again. ``waits``: nothing changes.
SubscriptionStanding = Literal["on", "ended", "waits"]

_STANDINGS: Mapping[str, SubscriptionStanding] = {
    "active": "on",
    "trialing": "on",
    "canceled": "ended",
    "incomplete_expired": "ended",
}


class Subscription(NamedTuple):
    """A subscription to a plan of the config.

    ``created`` is in seconds since 1970, 0 if unknown. ``ends_at`` is the end of a cancelled one that still runs.
    """

    id: str
    org: str | None
    plan: str
    standing: SubscriptionStanding
    status: str
    created: int
    ends_at: Instant | None = None


def read_subscription(item: Json, shop: Shop) -> Subscription | None:
    """Return a subscription, or None if its price belongs to no plan.

    Raises `shop.MissingObject` if another object names the org.
    """
    lines = (item.get("items") or {}).get("data") or ()
    prices = [id_of(line.get("price")) or id_of(line.get("plan")) for line in lines]
    plan = next((shop.plan_prices[price] for price in prices if price and price in shop.plan_prices), None)
    if plan is None:
        return None
    status = str(item.get("status"))
    org, _ = shop.org_of(item, "subscription")
    created = item.get("created")
    return Subscription(
        id=text(item, "id"),
        org=org,
        plan=plan,
        standing=_STANDINGS.get(status, "waits"),
        status=status,
        created=created if type(created) is int else 0,
        ends_at=_ends_at(item, lines),
    )


def _ends_at(item: Json, lines: Iterable[Any]) -> Instant | None:
    """Return the end of a subscription that is cancelled but still runs.

    That is its own date, or the end of the period: since 2025 from the item, before from the subscription itself.
    """
    ends = [item.get("cancel_at")]
    if item.get("cancel_at_period_end") is True:
        ends += [item.get("current_period_end"), *(line.get("current_period_end") for line in lines)]
    seconds = next((end for end in ends if type(end) is int), None)
    return None if seconds is None else instants.from_millis(seconds * 1000)


class PlanHistory(NamedTuple):
    """The plan of an org as booked, with the key of its current or coming assignment."""

    plan: str
    key: str
    keys: tuple[str, ...]

    def is_by(self, subscription: str) -> bool:
        return self.key.startswith(f"plan:{subscription}:")

    def free_time(self, subscription: str, at: int) -> int:
        """Return the first second from ``at`` on that names no assignment of the subscription yet."""
        return next(second for second in count(at) if f"plan:{subscription}:{second}" not in self.keys)

    def has_newer(self, subscription: str, at: int) -> bool:
        """Return True if an assignment by a newer event of the subscription (after ``at``) is booked."""
        mine = (key.rpartition(":") for key in self.keys if key.startswith(f"plan:{subscription}:"))
        return any(when.isdecimal() and int(when) > at for _, _, when in mine)


def plan_history(store: Store, org: str, default_plan: str) -> PlanHistory:
    """Return the plan that the newest assignment puts an org on."""
    entries = list(store.journal.read(org, EntryFilter(kinds=("plan",))))
    assignments = [entry for entry in entries if not entry["key"].startswith("plan-due:")]
    last = assignments[-1] if assignments else None
    keys = tuple(entry["key"] for entry in assignments)
    return PlanHistory(str(last["plan"]) if last else default_plan, last["key"] if last else "", keys)


def assignment(
    subscription: Subscription, history: PlanHistory, shop: Shop, at: int, now: Instant
) -> AssignPlan | None:
    """Return the assignment that a subscription requires as of ``at`` (seconds since 1970), or None for no change.

    A subscription that ended changes only a plan that it assigned: another may have replaced it.
    """
    org, ref = subscription.org or "", f"{subscription.id}:{at}"
    if subscription.standing == "waits" or history.has_newer(subscription.id, at):
        return None
    if subscription.standing == "ended":
        plan = shop.default_plan if history.is_by(subscription.id) else history.plan
        return None if plan == history.plan else AssignPlan(org, plan, ref)
    if subscription.ends_at is not None and subscription.ends_at > now:
        is_booked = history.plan == shop.default_plan and history.is_by(subscription.id)
        if history.plan == subscription.plan:
            return AssignPlan(org, shop.default_plan, ref, subscription.ends_at)
        if is_booked:
            return None
    return None if history.plan == subscription.plan else AssignPlan(org, subscription.plan, ref)
