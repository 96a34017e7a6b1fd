"""Find differences in the credits of a payment. Pure."""

from collections.abc import Sequence

from meterctl.core.domain.operations import Request
from meterctl.core.payments.booked import Credit
from meterctl.core.payments.clawbacks import claims_on
from meterctl.core.payments.payments import Payment, oldest_first
from meterctl.core.payments.reconcile.findings import TOGETHER, Case, Discrepancy, FindingKind
from meterctl.core.payments.reconcile.repairs import Repairs


def find_keeper(payment: Payment, standing: Sequence[Credit]) -> Credit | None:
    """Return the one credit to keep: the one with the fewest faults, then the oldest."""

    def faults(credit: Credit) -> tuple[bool, bool, bool]:
        return (
            payment.org not in (None, credit.org),
            payment.pack not in (None, credit.pack),
            (credit.cents, credit.currency) != (payment.cents, payment.currency),
        )

    return min(standing, key=faults, default=None)


def credited_not_paid(case: Case, payment: Payment, credit: Credit, repairs: Repairs) -> Discrepancy:
    """Return the finding for a credit of an unpaid payment; nothing is undone while the money is on its way."""
    waits = payment.status == "processing"
    may_undo = repairs.policy.may_undo and not waits
    way_out = "wait: the money is still on its way" if waits else repairs.policy.by_hand
    return Discrepancy(
        kind="credited_not_paid",
        session=case.session,
        org=credit.org,
        refund_id=None,
        expected="no credit",
        actual=credit_text(credit),
        message=f"entry {credit.seq} of {credit.org} credits {credit.name}, "
        f"but {repairs.policy.provider} says it is unpaid ({payment.status})",
        requests=repairs.take_back(credit, "credited, not paid") if may_undo else (),
        fix="" if may_undo else way_out,
    )


def unknown(case: Case, credit: Credit) -> Discrepancy:
    """Return the finding for a credit unknown to Stripe. It may be another account's or too old: undo nothing."""
    names = ", ".join(credit.all_names)
    return Discrepancy(
        kind="unknown_to_stripe",
        session=case.session,
        org=credit.org,
        refund_id=None,
        expected="unknown",
        actual=credit_text(credit),
        message=f"entry {credit.seq} of {credit.org} credits {names}, but Stripe has no such payment under this key",
        fix="by hand: look for it in another Stripe account, or add it to ignore = [...] under [stripe]",
    )


def duplicate(credit: Credit, keeper: Credit, case: Case, repairs: Repairs) -> Discrepancy:
    """Return the finding for a second credit of a payment; ``keeper`` is the one to keep."""
    return Discrepancy(
        kind="duplicate",
        session=case.session,
        org=credit.org,
        refund_id=None,
        expected="one credit",
        actual=credit_text(credit),
        message=f"entry {credit.seq} of {credit.org} credits the same payment as entry {keeper.seq} of {keeper.org}",
        requests=repairs.take_back(credit, "credited twice"),
        fix="" if repairs.policy.may_undo else repairs.policy.by_hand,
    )


def missing_credit(payment: Payment, repairs: Repairs) -> Discrepancy:
    """Return the finding for a paid payment without a credit."""
    request = repairs.credit(payment, payment.org, payment.pack, "paid, not credited")
    quantity = f"{payment.quantity} x " if payment.quantity not in (None, 1) else ""
    return Discrepancy(
        kind="paid_not_credited",
        session=payment.session,
        org=payment.org,
        refund_id=None,
        expected=f"{quantity}{payment.pack or 'a pack'} for {payment.cents} {payment.currency}",
        actual="nothing",
        message=f"{payment.session} was paid on {payment.at}, but no org is credited for it",
        requests=(request,) if isinstance(request, Request) else (),
        fix=request if isinstance(request, str) else "",
    )


def wrong_credit(case: Case, payment: Payment, credit: Credit, repairs: Repairs) -> list[Discrepancy]:
    """Return the faults of the payment's valid credit; one repair undoes it and books it again."""
    faults: list[tuple[FindingKind, str, str]] = []
    if payment.org not in (None, credit.org):
        faults.append(("wrong_org", str(payment.org), credit.org))
    if payment.pack not in (None, credit.pack):
        faults.append(("wrong_pack", str(payment.pack), credit.pack))
    if (payment.cents, payment.currency) != (credit.cents, credit.currency):
        faults.append(
            ("wrong_amount", f"{payment.cents} {payment.currency}", f"{credit.cents} {credit.currency}"),
        )
    elif payment.quantity not in (None, credit.quantity) and payment.pack == credit.pack:
        faults.append(("wrong_amount", f"{payment.quantity} x {payment.pack}", f"{credit.quantity} x {credit.pack}"))
    findings = [
        Discrepancy(
            kind=kind,
            session=payment.session,
            org=credit.org,
            refund_id=None,
            expected=expected,
            actual=actual,
            message=f"entry {credit.seq} of {credit.org} credits {credit.name} with {actual}; "
            f"{repairs.policy.provider} says {expected}",
            fix=TOGETHER,
        )
        for kind, expected, actual in faults
    ]
    return [_rebooking(findings[0], case, payment, credit, repairs), *findings[1:]] if findings else []


def _rebooking(finding: Discrepancy, case: Case, payment: Payment, credit: Credit, repairs: Repairs) -> Discrepancy:
    """Return ``finding`` with the requests that undo the credit, book it right, and repeat its clawbacks."""
    why = finding.kind.replace("_", " ")
    if not repairs.policy.may_undo:
        return finding._replace(fix=repairs.policy.by_hand)
    again = repairs.credit(payment, payment.org or credit.org, payment.pack or credit.pack, why)
    if isinstance(again, str):
        return finding._replace(fix=again)
    repairs.rebooks = True
    cents = claims_on(payment.cents, case.givebacks, credit)
    clawed = [item for item in oldest_first(case.givebacks) if item.id in cents and credit.clawed(item.id)]
    claws = [request for item in clawed for request in repairs.claw(item, cents[item.id], why)]
    return finding._replace(requests=(*repairs.take_back(credit, why), again, *claws), fix="")


def credit_text(credit: Credit) -> str:
    return f"{credit.pack} for {credit.cents} {credit.currency}"
