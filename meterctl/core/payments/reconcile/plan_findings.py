"""Find the orgs whose plan differs from the plan of their subscription."""

from collections.abc import Callable, Iterable, Iterator

from meterctl.core.domain import instants
from meterctl.core.domain.operations import AssignPlan, Request
from meterctl.core.model import Instant
from meterctl.core.payments.reconcile.findings import Discrepancy
from meterctl.core.payments.stripe.shop import Json, Shop
from meterctl.core.payments.stripe.subscriptions import (
    PlanHistory,
    Subscription,
    assignment,
    plan_history,
    read_subscription,
)
from meterctl.core.ports import Store


def plan_findings(
    items: Iterable[Json], shop_for: Callable[[Json], Shop], store: Store, actor: str, until: Instant
) -> Iterator[Discrepancy]:
    """Yield the orgs whose plan differs from their subscription's; ``shop_for`` reads the referenced objects."""
    shop = shop_for({})
    by_org: dict[str, list[Subscription]] = {}
    for item in items:
        subscription = read_subscription(item, shop_for(item))
        if subscription is not None and subscription.org is not None:
            by_org.setdefault(subscription.org, []).append(subscription)
    at = instants.to_millis(until) // 1000
    for org, subscriptions in by_org.items():
        # A running subscription decides, the newest first; then an unpaid one; then the last that ended.
        order = {"on": 2, "waits": 1, "ended": 0}
        chosen = max(subscriptions, key=lambda one: (order[one.standing], one.created))
        history = plan_history(store, org, shop.default_plan)
        if chosen.standing == "ended":
            chosen = next((one for one in subscriptions if history.is_by(one.id)), chosen)
        operation = assignment(chosen, history, shop, history.free_time(chosen.id, at), until)
        if operation is not None:
            yield _differs(chosen, history, operation, actor)


def _differs(subscription: Subscription, history: PlanHistory, operation: AssignPlan, actor: str) -> Discrepancy:
    later = f" from {operation.from_at}" if operation.from_at else ""
    return Discrepancy(
        kind="plan_differs",
        session=subscription.id,
        org=operation.org,
        refund_id=None,
        expected=f"plan {operation.plan}{later}",
        actual=f"plan {history.plan}",
        message=f"subscription {subscription.id} of {operation.org} is {subscription.status}: "
        f"plan {operation.plan}{later}, but the org is on {history.plan}",
        requests=(Request(operation, actor, f"reconcile: subscription {subscription.status}"),),
    )
