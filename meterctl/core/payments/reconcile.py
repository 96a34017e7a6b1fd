"""Compare what was paid with what is booked: findings, and the operations that would mend them. Pure.

A *case* is one payment with everything that both sides say of it. Comparing starts from the provider: each payment is
to be credited once, to the right org, for the amount paid; each giveback is to be clawed, and nothing else. Nothing is
taken back that the provider does not itself call unpaid.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from meterctl.core.domain.operations import Request
from meterctl.core.payments.books import Books, Mender
from meterctl.core.payments.clawback_findings import clawbacks
from meterctl.core.payments.credit_findings import (
    credited_not_paid,
    duplicate,
    find_keeper,
    missing_credit,
    unknown,
    wrong_credit,
)
from meterctl.core.payments.findings import Case, Discrepancy
from meterctl.core.results import Receipt


def compare(case: Case, mender: Mender) -> list[Discrepancy]:
    """Everything in ``case`` that differs, in an order in which it can be mended."""
    standing = [credit for credit in case.credits if not credit.undone]
    books = Books(case, mender)
    if case.payment is None:
        return [unknown(case, credit) for credit in standing]
    if not case.payment.paid:
        return [credited_not_paid(case, credit, books) for credit in standing]
    keeper = find_keeper(case.payment, standing)
    books.target = None if keeper is None else (keeper.org, keeper.name)
    found = [duplicate(credit, keeper, case, books) for credit in standing if credit is not keeper]
    found += [missing_credit(case.payment, books)] if keeper is None else wrong_credit(case, keeper, books)
    return [*found, *clawbacks(case, keeper, books)]


def mending(findings: Iterable[Discrepancy]) -> list[Request]:
    """The operations that would mend the findings, in order."""
    return [request for finding in findings for request in finding.requests]


def mendable(
    cases: Sequence[Case], mender: Mender, rehearse: Callable[[Sequence[Request]], Iterable[Receipt]]
) -> list[Discrepancy]:
    """The findings of all cases, whose requests the journal would take as it is now: each is rehearsed. Where a credit
    cannot be undone any more, what can be mended with it in place is; what is refused all the same stays a finding
    without requests that says why."""
    findings = {case.session: compare(case, mender) for case in cases}
    refused = _refused(findings, rehearse)
    in_place = replace(mender, movable=False)
    stuck = {session for session, _ in refused}
    findings |= {case.session: compare(case, in_place) for case in cases if case.session in stuck}
    refused = _refused(findings, rehearse) if stuck else {}
    for (session, position), receipt in refused.items():
        finding = findings[session][position]
        findings[session][position] = finding._replace(requests=(), fix=f"by hand: {receipt.message}")
    return [finding for found in findings.values() for finding in found]


def _refused(
    findings: Mapping[str, Sequence[Discrepancy]], rehearse: Callable[[Sequence[Request]], Iterable[Receipt]]
) -> dict[tuple[str, int], Receipt]:
    """By session and position, the findings one of whose requests would be refused, with the first such receipt."""
    asked = [
        (session, position, request)
        for session, found in findings.items()
        for position, finding in enumerate(found)
        for request in finding.requests
    ]
    refused: dict[tuple[str, int], Receipt] = {}
    for (session, position, _), receipt in zip(asked, rehearse([one for *_, one in asked]), strict=True):
        if receipt.status not in ("planned", "applied"):
            refused.setdefault((session, position), receipt)
    return refused
