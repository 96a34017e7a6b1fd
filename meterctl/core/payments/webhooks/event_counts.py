"""Count a run's webhook events by outcome, and list the first ones that need attention."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from meterctl.core import errors
from meterctl.core.payments.webhooks.deliveries import Rejection, Source
from meterctl.core.results import Warning, WriteResult

EventStatus = Literal[
    "applied",
    "planned",
    "replayed",
    "unchanged",
    "waiting",
    "pending",
    "unpaid",
    "refused",
    "conflict",
    "failed",
    "foreign",
    "other",
    "invalid",
]

#: Every outcome, in the order it is shown.
STATUSES: tuple[EventStatus, ...] = get_args(EventStatus)

#: Outcomes that need an operator, or another event.
TROUBLE = ("pending", "refused", "conflict", "failed", "invalid")

#: Problems listed per status; the rest is only counted.
MOST_PROBLEMS = 10


@dataclass(slots=True)
class Events(WriteResult):
    """The outcomes of a run's events, counted by payment, refund and dispute.

    ``problems`` lists the first ones that need an operator or another event; ``more`` counts the rest.
    """

    name = "events"

    events: int = 0
    applied: int = 0
    planned: int = 0
    replayed: int = 0
    unchanged: int = 0
    waiting: int = 0
    pending: int = 0
    unpaid: int = 0
    refused: int = 0
    conflict: int = 0
    failed: int = 0
    foreign: int = 0
    other: int = 0
    invalid: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)
    more: int = 0
    to_keep: list[Source] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    seconds: float = 0.0
    warnings: Sequence[Warning] = ()
    _problem_counts: Counter[str] = field(default_factory=Counter)

    @property
    def exit_code(self) -> int:
        return errors.PARTIAL if self.problems else errors.DONE

    def fields(self) -> dict[str, Any]:
        counts = {name: getattr(self, name) for name in ("events", *STATUSES, "problems", "more")}
        return counts | {"seconds": round(self.seconds, 3), "warnings": self.warning_records()}

    def count(self, status: str) -> None:
        setattr(self, status, getattr(self, status) + 1)

    def add_problem(self, status: str, problem: dict[str, Any]) -> None:
        """List a problem of ``status``, or only count it once enough are listed."""
        self._problem_counts[status] += 1
        if self._problem_counts[status] > MOST_PROBLEMS:
            self.more += 1
        else:
            self.problems.append(problem)
