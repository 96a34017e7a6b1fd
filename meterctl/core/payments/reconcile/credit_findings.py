"""Find differences in the credits of a payment. Pure."""

from collections.abc import Iterable, Sequence
from typing import cast

from meterctl.core.domain.operations import Request
from meterctl.core.payments.booked import Credit
from meterctl.core.payments.clawbacks import claims_on
from meterctl.core.payments.payments import Giveback, Payment
from meterctl.core.payments.reconcile.findings import TOGETHER, Case, Discrepancy, FindingKind
from meterctl.core.payments.reconcile.repairs import Books


def find_keeper(payment: Payment, standing: Sequence[Credit]) -> Credit | None:
    """Return the one credit to keep: the one with the fewest faults, then the oldest."""

    def faults(credit: Credit) -> tuple[bool, bool, bool]:
        return (
            payment.org not in (None, credit.org),
            payment.pack not in (None, credit.pack),
            (credit.cents, credit.currency) != (payment.cents, payment.currency),
        )

    return min(standing, key=faults, default=None)


def credited_not_paid(case: Case, credit: Credit, books: Books) -> Discrepancy:
    """Return the finding for a credit of an unpaid payment; nothing is undone while the money is on its way."""
    payment = cast(Payment, case.payment)
    waits = payment.status == "processing"
    movable = books.mender.movable and not waits
    return Discrepancy(
        "credited_not_paid",
        case.session,
        credit.org,
        None,
        "no credit",
        credit_text(credit),
        f"entry {credit.seq} of {credit.org} credits {credit.name}, but Stripe says it is unpaid ({payment.status})",
        books.take_back(credit, "credited, not paid") if movable else (),
        "" if movable else "wait: the money is still on its way" if waits else _UNDO_BY_HAND,
    )


def unknown(case: Case, credit: Credit) -> Discrepancy:
    """Return the finding for a credit unknown to Stripe. It may be another account's or too old: undo nothing."""
    names = ", ".join(credit.all_names)
    return Discrepancy(
        "unknown_to_stripe",
        case.session,
        credit.org,
        None,
        "unknown",
        credit_text(credit),
        f"entry {credit.seq} of {credit.org} credits {names}, but Stripe has no such payment under this key",
        fix="by hand: look for it in another Stripe account, or add it to ignore = [...] under [stripe]",
    )


def duplicate(credit: Credit, keeper: Credit | None, case: Case, books: Books) -> Discrepancy:
    first = keeper or credit
    return Discrepancy(
        "duplicate",
        case.session,
        credit.org,
        None,
        "one credit",
        credit_text(credit),
        f"entry {credit.seq} of {credit.org} credits the same payment as entry {first.seq} of {first.org}",
        books.take_back(credit, "credited twice"),
        "" if books.mender.movable else _UNDO_BY_HAND,
    )


_UNDO_BY_HAND = "by hand: its units are used, so it cannot be undone; correct the balance with: meterctl adjust"


def missing_credit(payment: Payment, books: Books) -> Discrepancy:
    request = books.credit(payment, payment.org, payment.pack, "paid, not credited")
    quantity = f"{payment.quantity} x " if payment.quantity not in (None, 1) else ""
    return Discrepancy(
        "paid_not_credited",
        payment.session,
        payment.org,
        None,
        f"{quantity}{payment.pack or 'a pack'} for {payment.cents} {payment.currency}",
        "nothing",
        f"{payment.session} was paid on {payment.at}, but no org is credited for it",
        (request,) if isinstance(request, Request) else (),
        request if isinstance(request, str) else "",
    )


def wrong_credit(case: Case, credit: Credit, books: Books) -> list[Discrepancy]:
    """Return the faults of the payment's valid credit; one repair undoes it and books it again."""
    payment = cast(Payment, case.payment)
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
            kind,
            payment.session,
            credit.org,
            None,
            expected,
            actual,
            f"entry {credit.seq} of {credit.org} credits {credit.name} with {actual}; Stripe says {expected}",
            fix=TOGETHER,
        )
        for kind, expected, actual in faults
    ]
    return [_rebooking(findings[0], case, credit, books), *findings[1:]] if findings else []


def _rebooking(finding: Discrepancy, case: Case, credit: Credit, books: Books) -> Discrepancy:
    """Return ``finding`` with the requests that undo the credit, book it right, and repeat its clawbacks."""
    payment, why = cast(Payment, case.payment), finding.kind.replace("_", " ")
    if not books.mender.movable:
        return finding._replace(fix=_UNDO_BY_HAND)
    again = books.credit(payment, payment.org or credit.org, payment.pack or credit.pack, why)
    if isinstance(again, str):
        return finding._replace(fix=again)
    books.rebooks = True
    due = claims_on(payment.cents, case.givebacks, credit)
    clawed = [item for item in _by_time(case.givebacks) if item.id in due and credit.clawed(item.id)]
    claws = [request for item in clawed for request in books.claw(item, due[item.id], why)]
    return finding._replace(requests=(*books.take_back(credit, why), again, *claws), fix="")


def _by_time(givebacks: Iterable[Giveback]) -> list[Giveback]:
    return sorted(givebacks, key=lambda item: (item.at, item.id))


def credit_text(credit: Credit) -> str:
    return f"{credit.pack} for {credit.cents} {credit.currency}"
