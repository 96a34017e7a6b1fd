"""Find differences in the refunds and disputes of a payment. Pure."""

from collections.abc import Iterable, Sequence
from typing import cast

from meterctl.core.domain.operations import Request
from meterctl.core.payments.booked import Clawback, Credit
from meterctl.core.payments.clawbacks import claims_on, twin_of
from meterctl.core.payments.payments import Giveback, Payment, base_of
from meterctl.core.payments.reconcile.findings import TOGETHER, Case, Discrepancy
from meterctl.core.payments.reconcile.repairs import Books


def by_time(givebacks: Iterable[Giveback]) -> list[Giveback]:
    return sorted(givebacks, key=lambda item: (item.at, item.id))


def clawbacks(case: Case, keeper: Credit | None, books: Books) -> list[Discrepancy]:
    """Return the differences in refunds and disputes; ``keeper`` is the payment's one valid credit."""
    payment = cast(Payment, case.payment)
    currency = payment.currency if keeper is None or books.rebooks else keeper.currency
    givebacks, others = _comparable(case.givebacks, currency, keeper)
    known = {item.id for item in case.givebacks}
    older = [claw for claw in keeper.clawbacks if claw.stands and base_of(claw.name) not in known] if keeper else []
    due = claims_on(payment.cents - (sum(claw.cents for claw in older) if case.partial else 0), givebacks, keeper)
    extra: list[Discrepancy] = []
    reversals: list[Discrepancy] = []
    missing: list[Discrepancy] = []
    twins = _twins(givebacks, keeper)
    if keeper is not None and not case.partial:
        unknown = [claw for claw in keeper.clawbacks if base_of(claw.name) not in known and claw.stands]
        extra = [_clawed_not_refunded(claw, keeper, books) for claw in unknown]
    for item in by_time(givebacks):
        claws = keeper.clawed(item.id) if keeper is not None else []
        cents = sum(claw.cents for claw in claws)
        if item.standing == "waiting" or cents == due.get(item.id, 0):
            continue
        if item.id in twins:
            extra = [finding for finding in extra if finding.refund_id != twins[item.id].name]
            reversals.append(_clawed_by_hand(item, twins[item.id], cast(Credit, keeper), books))
            continue
        if item.standing == "given":
            shrinks = cents > due[item.id]
            (reversals if shrinks else missing).append(_wrongly_clawed(item, due[item.id], claws, payment, books))
        else:
            reversals.append(_failed_but_clawed(item, claws, cast(Credit, keeper), books))
    # Reversals come first: they free cents of the payment for the new clawbacks.
    return [*extra, *reversals, *missing, *(_not_comparable(item, payment, currency, books) for item in others)]


def _twins(givebacks: Iterable[Giveback], keeper: Credit | None) -> dict[str, Clawback]:
    """Return by giveback the clawback of equal cents that somebody booked by hand, under a name of their own."""
    twins: dict[str, Clawback] = {}
    for item in by_time(givebacks) if keeper is not None else ():
        twin = twin_of(item, cast(Credit, keeper)) if item.standing == "given" else None
        if twin is not None and twin not in twins.values() and not cast(Credit, keeper).clawed(item.id):
            twins[item.id] = twin
    return twins


def _clawed_by_hand(item: Giveback, twin: Clawback, keeper: Credit, books: Books) -> Discrepancy:
    why = f"it is already clawed back as {twin.name}"
    return Discrepancy(
        "clawed_by_hand",
        books.session,
        keeper.org,
        item.id,
        f"{item.cents} {item.currency} for {item.id}",
        f"{twin.cents} {keeper.currency} for {twin.name}",
        f"entry {twin.seq} of {keeper.org} claws back {twin.cents} cents for {twin.name}, and Stripe's {item.id} "
        "has the same amount; if they are two different refunds, do not apply this",
        (*books.release(keeper.org, [twin], why), *books.claw(item, item.cents, why)),
        TOGETHER if books.rebooks else "",
    )


def _comparable(
    givebacks: Iterable[Giveback], currency: str, keeper: Credit | None
) -> tuple[list[Giveback], list[Giveback]]:
    """Return the givebacks that can be compared in ``currency``, and the others.

    One in another currency takes the cents that are booked for it; with nothing booked, it is among the others.
    """
    comparable: list[Giveback] = []
    others: list[Giveback] = []
    for item in givebacks:
        if item.standing != "given" or item.currency == currency:
            comparable.append(item)
        elif cents := sum(claw.cents for claw in keeper.clawed(item.id)) if keeper is not None else 0:
            comparable.append(item._replace(cents=cents))
        else:
            others.append(item)
    return comparable, others


def _clawed_not_refunded(claw: Clawback, keeper: Credit, books: Books) -> Discrepancy:
    return Discrepancy(
        "clawed_not_refunded",
        books.session,
        keeper.org,
        claw.name,
        "no clawback",
        f"{claw.cents} {keeper.currency}",
        f"entry {claw.seq} of {keeper.org} claws back {claw.name}, but Stripe has no such refund on this payment",
        books.release(keeper.org, [claw], "clawed, not refunded"),
        TOGETHER if books.rebooks else "",
    )


def _failed_but_clawed(item: Giveback, claws: Sequence[Clawback], keeper: Credit, books: Books) -> Discrepancy:
    why = "the dispute was won" if item.is_dispute else "it failed or was cancelled"
    return Discrepancy(
        "failed_refund_clawed",
        books.session,
        keeper.org,
        item.id,
        "no clawback",
        f"{sum(claw.cents for claw in claws)} {item.currency}",
        f"{item.id} is still clawed back from {keeper.org}, but {why}",
        books.release(keeper.org, claws, "the money came back", item.back_at),
        TOGETHER if books.rebooks else "",
    )


def _not_comparable(item: Giveback, payment: Payment, currency: str, books: Books) -> Discrepancy:
    org = books.target[0] if books.target is not None else payment.org
    amount = f"{item.cents} {item.currency}"
    message = f"{item.id} gave back {amount}, but nothing is clawed back, because its payment is booked in {currency}"
    fix = f"by hand: book its value in {currency} with meterctl refund"
    return Discrepancy("refunded_not_clawed", books.session, org, item.id, amount, "nothing", message, fix=fix)


def _wrongly_clawed(item: Giveback, due: int, claws: Sequence[Clawback], payment: Payment, books: Books) -> Discrepancy:
    """Return the finding for a giveback that is not clawed back, or not for ``due`` cents."""
    cents = sum(claw.cents for claw in claws)
    org = books.target[0] if books.target is not None else payment.org
    together = books.rebooks and bool(claws)
    return Discrepancy(
        "wrong_amount" if claws else "refunded_not_clawed",
        books.session,
        org,
        item.id,
        f"{due} {item.currency}",
        f"{cents} {item.currency}" if claws else "nothing",
        f"{'dispute' if item.is_dispute else 'refund'} {item.id} gave back {due} {item.currency}, "
        + (f"but {cents} {item.currency} are clawed back" if claws else "but nothing is clawed back"),
        () if together else _claws(item, due, claws, books),
        TOGETHER if together else "by hand: credit the payment first" if books.target is None else "",
    )


def _claws(item: Giveback, due: int, claws: Sequence[Clawback], books: Books) -> tuple[Request, ...]:
    cents = sum(claw.cents for claw in claws)
    if not claws or (cents < due and books.was_cut(claws)):
        return books.claw(item, due - cents, "refunded, not clawed")
    org = books.target[0] if books.target is not None else ""
    why = "clawed too much" if cents > due else "clawed too little"
    return (*books.release(org, claws, why), *books.claw(item, due, why))
