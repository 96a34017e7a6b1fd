"""Compute the figures of a whole store for monitoring, in one pass over the cached heads."""

from collections import Counter
from collections.abc import Iterator

from meterctl.core.domain.due_events import state_at
from meterctl.core.domain.instants import to_millis
from meterctl.core.domain.policy import PlanBook, Terms
from meterctl.core.errors import sound
from meterctl.core.files.metrics import Sample
from meterctl.core.model import Instant, state_from_document
from meterctl.core.ports import Store

_MEANINGS = {
    "orgs": "Orgs with a journal.",
    "negative_orgs": "Orgs with a balance below 0.",
    "outstanding_units": "Units in live lots.",
    "owed_units": "Debt of clawbacks and forced debits.",
    "overage_units": "Debt of usage beyond quota and lots.",
    "held_units": "Units reserved by holds.",
}


def store_gauges(store: Store, now: Instant, terms: Terms) -> Iterator[Sample]:
    """Yield the figures of ``store``, due events included, and the age of the oldest due event."""
    plans, sums = PlanBook(store.plans.all), Counter[str]()
    for head in sound(store.heads.read()):
        state = state_at(state_from_document(head.state), head.seq, max(now, head.at), terms, plans)
        sums["orgs"] += 1
        sums["negative_orgs"] += state.balance < 0
        sums["outstanding_units"] += sum(lot.remaining for lot in state.lots)
        sums["owed_units"] += state.debt.owed
        sums["overage_units"] += state.debt.overage
        sums["held_units"] += sum(hold.units for hold in state.holds)
    for name, meaning in _MEANINGS.items():
        yield Sample(f"meterctl_{name}", meaning, sums[name])
    first = next(iter(store.heads.due(now, limit=1)), None)
    lag = 0.0 if first is None else (to_millis(now) - to_millis(first.since)) / 1000
    yield Sample("meterctl_due_lag_seconds", "Age of the oldest due event that no sweep has booked; 0: none.", lag)
