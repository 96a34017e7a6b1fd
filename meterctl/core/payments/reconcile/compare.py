"""Compare payments with credits: find differences, and the operations that would mend them. Pure.

A *case* is one payment with the records of both sides. The provider is right: each payment must be credited once, to
the right org, for the amount paid, and each giveback must be clawed back. A credit is undone only if the provider
itself calls its payment unpaid.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from meterctl.core.domain.operations import Request
from meterctl.core.payments.reconcile.clawback_findings import clawbacks
from meterctl.core.payments.reconcile.credit_findings import (
    credited_not_paid,
    duplicate,
    find_keeper,
    missing_credit,
    unknown,
    wrong_credit,
)
from meterctl.core.payments.reconcile.findings import Case, Discrepancy
from meterctl.core.payments.reconcile.repairs import Books, Mender
from meterctl.core.results import Receipt


def compare(case: Case, mender: Mender) -> list[Discrepancy]:
    """Return the differences in ``case``, in an order in which they can be mended."""
    standing = [credit for credit in case.credits if not credit.undone]
    books = Books(case, mender)
    if case.payment is None:
        return [unknown(case, credit) for credit in standing]
    if not case.payment.paid:
        return [credited_not_paid(case, credit, books) for credit in standing]
    keeper = find_keeper(case.payment, standing)
    books.target = None if keeper is None else (keeper.org, keeper.name)
    findings = [duplicate(credit, keeper, case, books) for credit in standing if credit is not keeper]
    findings += [missing_credit(case.payment, books)] if keeper is None else wrong_credit(case, keeper, books)
    return [*findings, *clawbacks(case, keeper, books)]


def mending(findings: Iterable[Discrepancy]) -> list[Request]:
    """Return the operations that would mend the findings, in order."""
    return [request for finding in findings for request in finding.requests]


def mendable(
    cases: Sequence[Case], mender: Mender, rehearse: Callable[[Sequence[Request]], Iterable[Receipt]]
) -> list[Discrepancy]:
    """Return the findings of all cases, with only those requests that the journal would accept now.

    Each request is rehearsed. If a credit cannot be undone any more, the case is mended with the credit in place. A
    finding whose requests are still refused keeps none, and gives the reason.
    """
    findings = {case.session: differences for case in cases if (differences := compare(case, mender))}
    refused = _refused(findings, rehearse)
    in_place = replace(mender, movable=False)
    stuck = {session for session, _ in refused}
    findings |= {case.session: compare(case, in_place) for case in cases if case.session in stuck}
    refused = _refused(findings, rehearse) if stuck else {}
    for (session, position), receipt in refused.items():
        finding = findings[session][position]
        findings[session][position] = finding._replace(requests=(), fix=f"by hand: {receipt.message}")
    return [finding for of_case in findings.values() for finding in of_case]


def _refused(
    findings: Mapping[str, Sequence[Discrepancy]], rehearse: Callable[[Sequence[Request]], Iterable[Receipt]]
) -> dict[tuple[str, int], Receipt]:
    """Return by session and position the findings with a refused request, with its first refusal."""
    attempts = [
        (session, position, request)
        for session, of_case in findings.items()
        for position, finding in enumerate(of_case)
        for request in finding.requests
    ]
    refused: dict[tuple[str, int], Receipt] = {}
    for (session, position, _), receipt in zip(attempts, rehearse([one for *_, one in attempts]), strict=True):
        if receipt.status not in ("planned", "applied"):
            refused.setdefault((session, position), receipt)
    return refused
