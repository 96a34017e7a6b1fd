"""The operations that a caller can request: one class each, checked when it is made.

``name`` is the word for it in input files, ``key`` makes it happen once, and a replay must have the same ``parameters``
(``actor``, ``reason`` and time do not count). A meaningless value raises `BadInput`, so nothing malformed ever reaches
rules or stores. No operation is changed later; they are not frozen because freezing would slow the start of each
command (see `meterctl.core.results`).
"""

from dataclasses import dataclass

from meterctl.core.domain.checks import MAX_REASON, check_instant, check_text
from meterctl.core.domain.guard import Guard
from meterctl.core.domain.meter_operations import AssignPlan, Attribute, BookDue, ForceReset, Hold, Release
from meterctl.core.domain.operation import Operation
from meterctl.core.domain.precondition import Basis
from meterctl.core.domain.record import Record
from meterctl.core.domain.unit_operations import (
    Adjust,
    CreditPack,
    Debit,
    ExtendLot,
    Refund,
    ReverseRefund,
    Undo,
    VoidLot,
)
from meterctl.core.errors import BadInput
from meterctl.core.model import Instant

__all__ = [
    "Adjust",
    "AssignPlan",
    "Attribute",
    "BookDue",
    "CreditPack",
    "Debit",
    "ExtendLot",
    "ForceReset",
    "Hold",
    "Operation",
    "Refund",
    "Release",
    "Request",
    "ReverseRefund",
    "Undo",
    "VoidLot",
]


@dataclass(slots=True, eq=False, repr=False)
class Request(Record):
    """An operation with who asks, why, and when it happened (None: now). With a ``basis`` it is carried out as it was
    reviewed or not at all, with a ``guard`` only within its bounds. ``approved_by`` carries out another one's plan."""

    operation: Operation
    actor: str
    reason: str | None = None
    at: Instant | None = None
    basis: Basis | None = None
    guard: Guard | None = None
    approved_by: str | None = None

    def __post_init__(self) -> None:
        check_text(self.actor, "actor", 200)
        if self.at is not None:
            check_instant(self.at, "at")
        if self.approved_by is not None:
            check_text(self.approved_by, "approved_by", 200)
        if self.reason is not None:
            check_text(self.reason, "reason", MAX_REASON)
        elif self.operation.needs_reason:
            raise BadInput(
                f"{self.operation.name} needs a reason", hint="say why with --reason", code="reason_required"
            )
