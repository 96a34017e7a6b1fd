"""Compare payments with credits: find differences, and the operations that would mend them. Pure.

A *case* is one payment with the records of both sides. The provider is right: each payment must be credited once, to
the right org, for the amount paid, and each giveback must be clawed back. A credit is undone only if the provider
itself calls its payment unpaid.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from meterctl.core.domain.operations import Request
from meterctl.core.payments.payments import whole_of
from meterctl.core.payments.reconcile.clawback_findings import clawback_findings
from meterctl.core.payments.reconcile.credit_findings import (
    credited_not_paid,
    duplicate,
    find_keeper,
    missing_credit,
    unknown,
    wrong_credit,
)
from meterctl.core.payments.reconcile.findings import Case, Discrepancy
from meterctl.core.payments.reconcile.repairs import RepairPolicy, Repairs
from meterctl.core.results import Receipt


def compare(case: Case, policy: RepairPolicy) -> list[Discrepancy]:
    """Return the differences in ``case``, in an order in which they can be mended."""
    standing = [credit for credit in case.credits if not credit.undone]
    repairs = Repairs(case, policy)
    payment = case.payment
    if payment is None:
        return [unknown(case, credit) for credit in standing]
    if not payment.paid:
        return [credited_not_paid(case, payment, credit, repairs) for credit in standing]
    keeper = find_keeper(payment, standing)
    repairs.target = None if keeper is None else (keeper.org, keeper.name)
    if keeper is None:
        findings = [missing_credit(payment, repairs)]
    else:
        findings = [duplicate(credit, keeper, case, repairs) for credit in standing if credit is not keeper]
        findings += wrong_credit(case, payment, keeper, repairs)
    return [*findings, *clawback_findings(case, payment, keeper, repairs)]


def repair_requests(findings: Iterable[Discrepancy]) -> list[Request]:
    """Return the operations that would mend the findings, in order."""
    return [request for finding in findings for request in finding.requests]


def repairable_findings(
    cases: Sequence[Case], policy: RepairPolicy, rehearse: Callable[[Sequence[Request]], Iterable[Receipt]]
) -> list[Discrepancy]:
    """Return the findings of all cases, with only those requests that the journal would accept now.

    Each request is rehearsed. If a credit cannot be undone any more, the case is mended with the credit in place. A
    finding whose requests are still refused keeps none, and gives the reason.
    """
    findings = {case.session: differences for case in cases if (differences := compare(case, policy))}
    refused = _refused(findings, rehearse)
    stuck = {session: receipt.message for (session, _), receipt in reversed(refused.items())}
    stuck_payments = set(map(whole_of, stuck))
    for case in cases:
        if case.session in stuck:
            findings[case.session] = compare(case, replace(policy, obstacle=stuck[case.session]))
        elif case.session in findings and whole_of(case.session) in stuck_payments:
            findings[case.session] = [_beside(finding) for finding in findings[case.session]]
    refused = _refused(findings, rehearse) if stuck else {}
    for (session, position), receipt in refused.items():
        finding = findings[session][position]
        findings[session][position] = finding._replace(requests=(), fix=f"by hand: {receipt.message}")
    return [finding for case_findings in findings.values() for finding in case_findings]


def _beside(finding: Discrepancy) -> Discrepancy:
    """Return the finding of a pack whose payment has another one that stays as it is: it may stand for both."""
    if finding.kind != "paid_not_credited":
        return finding
    fix = "by hand: the payment's other credit cannot be undone, and may stand for this pack too"
    return finding._replace(requests=(), fix=fix)


def _refused(
    findings: Mapping[str, Sequence[Discrepancy]], rehearse: Callable[[Sequence[Request]], Iterable[Receipt]]
) -> dict[tuple[str, int], Receipt]:
    """Return by session and position the findings with a refused request, with its first refusal."""
    attempts = [
        (session, position, request)
        for session, case_findings in findings.items()
        for position, finding in enumerate(case_findings)
        for request in finding.requests
    ]
    refused: dict[tuple[str, int], Receipt] = {}
    for (session, position, _), receipt in zip(attempts, rehearse([one for *_, one in attempts]), strict=True):
        if receipt.status not in ("planned", "applied"):
            refused.setdefault((session, position), receipt)
    return refused
