"""The differences between a provider's payments and the journal, as `reconcile` reports them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from meterctl.core import errors
from meterctl.core.domain.operation_documents import request_document
from meterctl.core.domain.operations import AssignPlan, CreditPack, Operation, Refund, Request, ReverseRefund, Undo
from meterctl.core.errors import shell_command
from meterctl.core.model import Instant
from meterctl.core.payments.booked import Credit
from meterctl.core.payments.payments import Giveback, Payment, Unreadable
from meterctl.core.results import Result

FindingKind = Literal[
    "paid_not_credited",
    "credited_not_paid",
    "duplicate",
    "wrong_org",
    "wrong_pack",
    "wrong_amount",
    "refunded_not_clawed",
    "clawed_not_refunded",
    "failed_refund_clawed",
    "clawed_by_hand",
    "unknown_to_stripe",
    "unreadable",
    "plan_differs",
]


#: The fix of a finding that has no requests of its own.
TOGETHER = "mended together with the payment's first finding"


class Case(NamedTuple):
    """One payment (None: unknown to the provider), its givebacks, and all its credits, undone ones too.

    A ``partial`` payment is older than the period read, so only its newer givebacks are known.
    """

    session: str
    payment: Payment | None
    givebacks: tuple[Giveback, ...] = ()
    credits: tuple[Credit, ...] = ()
    partial: bool = False


class Discrepancy(NamedTuple):
    """One difference. ``requests`` would mend it, in their order; ``fix`` is the next step without any.

    They are empty if no operation can, or if an earlier finding of the session mends it too.
    """

    kind: FindingKind
    session: str
    org: str | None
    refund_id: str | None
    expected: str
    actual: str
    message: str
    requests: tuple[Request, ...] = ()
    fix: str = ""

    def document(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "org": self.org,
            "session": self.session,
            "refund_id": self.refund_id,
            "expected": self.expected,
            "found": self.actual,
            "message": self.message,
            "fix": self.fix or "; ".join(command_of(request.operation) for request in self.requests),
            "operations": [request_document(request) for request in self.requests],
        }


@dataclass(frozen=True, slots=True)
class Reconciliation(Result):
    """The differences between both sides, with ``counts`` of sessions, givebacks and credits, and findings by kind."""

    name = "reconcile"

    mode: Literal["live", "test"] | None
    since: Instant | None
    until: Instant
    counts: Mapping[str, int]
    findings: Sequence[Discrepancy]
    plan_out: str | None = None
    seconds: float = 0.0
    provider: str = "Stripe"
    journal_found: bool = True

    @property
    def exit_code(self) -> int:
        return errors.FINDINGS if self.findings else errors.DONE

    def fields(self) -> dict[str, Any]:
        return {
            "ok": not self.findings,
            "mode": self.mode,
            "since": self.since,
            "until": self.until,
            "counts": dict(self.counts),
            "findings": [finding.document() for finding in self.findings],
            "plan_out": self.plan_out,
            "seconds": round(self.seconds, 3),
            "journal_found": self.journal_found,
        }

    def rows(self) -> Iterable[Mapping[str, Any]]:
        return [finding.document() for finding in self.findings]


# -- operations as text


def command_of(operation: Operation) -> str:
    """Return the command line that books an operation."""
    match operation:
        case CreditPack(org, pack, session):
            more = [] if operation.quantity == 1 else ["--quantity", operation.quantity]
            more += ["--tax-cents", operation.tax_cents] if operation.tax_cents else []
            more += ["--currency", operation.currency] if operation.currency else []
            more += [word for name in operation.names for word in ("--name", name)]
            return shell_command(
                "credit-pack", org, pack, "--session", session, "--paid-cents", operation.paid_cents, *more
            )
        case Refund(org, session, cents, refund_id):
            return shell_command("refund", org, "--session", session, "--cents", cents, "--refund-id", refund_id)
        case ReverseRefund(org, refund_id):
            return shell_command("refund", org, "--reverse", refund_id)
        case Undo(org):
            session = operation.key.removeprefix("undo:session:")
            return shell_command("undo", org, "--session", session, "--reason", "TEXT")
        case AssignPlan(org, plan, ref):
            later = () if operation.from_at is None else ("--from", operation.from_at)
            return shell_command("plan", "assign", org, plan, "--ref", ref, *later)
        case _:
            return shell_command(operation.name, operation.org)


def unreadable_finding(item: Unreadable) -> Discrepancy:
    """Return the finding for a payment that cannot be read."""
    return Discrepancy(
        kind="unreadable",
        session=item.id,
        org=None,
        refund_id=None,
        expected="a payment",
        actual="unreadable",
        message=f"{item.id} cannot be read: {item.message}",
        fix=f"by hand: {item.fix}",
    )


def count_kinds(findings: Iterable[Discrepancy]) -> dict[str, int]:
    """Return the number of findings of each kind."""
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.kind] = counts.get(finding.kind, 0) + 1
    return counts
