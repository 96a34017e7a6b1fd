"""Find what differs about the refunds and disputes of a payment. Pure."""

from collections.abc import Iterable, Sequence
from typing import cast

from meterctl.core.domain.operations import Request
from meterctl.core.payments.booked import Clawback, Credit
from meterctl.core.payments.books import Books
from meterctl.core.payments.clawbacks import claims_on, twin_of
from meterctl.core.payments.findings import TOGETHER, Case, Discrepancy
from meterctl.core.payments.payments import Giveback, Payment, base_of


def by_time(givebacks: Iterable[Giveback]) -> list[Giveback]:
    return sorted(givebacks, key=lambda item: (item.at, item.id))


def clawbacks(case: Case, keeper: Credit | None, books: Books) -> list[Discrepancy]:
    """What differs about refunds and disputes, on the credit that counts."""
    payment = cast(Payment, case.payment)
    currency = payment.currency if keeper is None or books.moved else keeper.currency
    givebacks, others = _comparable(case.givebacks, currency, keeper)
    known = {item.id for item in case.givebacks}
    older = [claw for claw in keeper.clawbacks if claw.stands and base_of(claw.name) not in known] if keeper else []
    due = claims_on(payment.cents - (sum(claw.cents for claw in older) if case.partial else 0), givebacks, keeper)
    taken: list[Discrepancy] = []
    reversals: list[Discrepancy] = []
    claws: list[Discrepancy] = []
    twins = _twins(givebacks, keeper)
    if keeper is not None and not case.partial:
        unknown = [claw for claw in keeper.clawbacks if base_of(claw.name) not in known and claw.stands]
        taken = [_clawed_not_refunded(claw, keeper, books) for claw in unknown]
    for item in by_time(givebacks):
        booked = keeper.clawed(item.id) if keeper is not None else []
        cents = sum(claw.cents for claw in booked)
        if item.standing == "waiting" or cents == due.get(item.id, 0):
            continue
        if item.id in twins:
            taken = [finding for finding in taken if finding.refund_id != twins[item.id].name]
            reversals.append(_clawed_by_hand(item, twins[item.id], cast(Credit, keeper), books))
            continue
        if item.standing == "given":
            shrinks = cents > due[item.id]
            (reversals if shrinks else claws).append(_wrongly_clawed(item, due[item.id], booked, payment, books))
        else:
            reversals.append(_failed_but_clawed(item, booked, cast(Credit, keeper), books))
    # What gives back comes first: it makes room for what is still to be clawed.
    return [*taken, *reversals, *claws, *(_not_comparable(item, payment, currency, books) for item in others)]


def _twins(givebacks: Iterable[Giveback], keeper: Credit | None) -> dict[str, Clawback]:
    """By giveback, the clawback of the same cents that was booked by hand under a name of no provider's."""
    twins: dict[str, Clawback] = {}
    for item in givebacks if keeper is not None else ():
        twin = twin_of(item, cast(Credit, keeper)) if item.standing == "given" else None
        if twin is not None and twin not in twins.values() and not cast(Credit, keeper).clawed(item.id):
            twins[item.id] = twin
    return twins


def _clawed_by_hand(item: Giveback, twin: Clawback, keeper: Credit, books: Books) -> Discrepancy:
    why = f"it is clawed as {twin.name}"
    return Discrepancy(
        "clawed_by_hand",
        books.session,
        keeper.org,
        item.id,
        f"{item.cents} {item.currency} for {item.id}",
        f"{twin.cents} {keeper.currency} for {twin.name}",
        f"entry {twin.seq} of {keeper.org} claws {twin.cents} cents for {twin.name}; Stripe's {item.id} is as much: "
        "if they are two, leave this out",
        (*books.release(keeper.org, [twin], why), *books.claw(item, item.cents, why)),
        TOGETHER if books.moved else "",
    )


def _comparable(
    givebacks: Iterable[Giveback], currency: str, keeper: Credit | None
) -> tuple[list[Giveback], list[Giveback]]:
    """The givebacks, those in another currency than ``currency`` counted as they are booked, for their amounts say
    nothing; and those of them for which nothing is booked."""
    found: list[Giveback] = []
    others: list[Giveback] = []
    for item in givebacks:
        if item.standing != "given" or item.currency == currency:
            found.append(item)
        elif cents := sum(claw.cents for claw in keeper.clawed(item.id)) if keeper is not None else 0:
            found.append(item._replace(cents=cents))
        else:
            others.append(item)
    return found, others


def _clawed_not_refunded(claw: Clawback, keeper: Credit, books: Books) -> Discrepancy:
    return Discrepancy(
        "clawed_not_refunded",
        books.session,
        keeper.org,
        claw.name,
        "no clawback",
        f"{claw.cents} {keeper.currency}",
        f"entry {claw.seq} of {keeper.org} claws back for {claw.name}, which Stripe does not know on this payment",
        books.release(keeper.org, [claw], "clawed, not refunded"),
        TOGETHER if books.moved else "",
    )


def _failed_but_clawed(item: Giveback, booked: Sequence[Clawback], keeper: Credit, books: Books) -> Discrepancy:
    why = "the dispute was won" if item.is_dispute else "it failed or was cancelled"
    return Discrepancy(
        "failed_refund_clawed",
        books.session,
        keeper.org,
        item.id,
        "no clawback",
        f"{sum(claw.cents for claw in booked)} {item.currency}",
        f"{item.id} is still clawed from {keeper.org}, but {why}",
        books.release(keeper.org, booked, "the money came back", item.back_at),
        TOGETHER if books.moved else "",
    )


def _not_comparable(item: Giveback, payment: Payment, currency: str, books: Books) -> Discrepancy:
    org = books.target[0] if books.target is not None else payment.org
    given = f"{item.cents} {item.currency}"
    message = f"{item.id} gave back {given}, but nothing is clawed, and its payment is booked in {currency}"
    fix = f"by hand: claw its share in {currency}"
    return Discrepancy("refunded_not_clawed", books.session, org, item.id, given, "nothing", message, fix=fix)


def _wrongly_clawed(
    item: Giveback, due: int, booked: Sequence[Clawback], payment: Payment, books: Books
) -> Discrepancy:
    """A giveback that is not clawed, or for another amount than ``due``."""
    cents = sum(claw.cents for claw in booked)
    org = books.target[0] if books.target is not None else payment.org
    together = books.moved and bool(booked)
    return Discrepancy(
        "wrong_amount" if booked else "refunded_not_clawed",
        books.session,
        org,
        item.id,
        f"{due} {item.currency}",
        f"{cents} {item.currency}" if booked else "nothing",
        f"{'dispute' if item.is_dispute else 'refund'} {item.id} gave back {due} {item.currency}, "
        + (f"but {cents} are clawed" if booked else "but nothing is clawed"),
        () if together else _claws(item, due, booked, books),
        TOGETHER if together else "by hand: credit the payment first" if books.target is None else "",
    )


def _claws(item: Giveback, due: int, booked: Sequence[Clawback], books: Books) -> tuple[Request, ...]:
    cents = sum(claw.cents for claw in booked)
    if not booked or (cents < due and books.was_cut(booked)):
        return books.claw(item, due - cents, "refunded, not clawed")
    org = books.target[0] if books.target is not None else ""
    why = "clawed too much" if cents > due else "clawed too little"
    return (*books.release(org, booked, why), *books.claw(item, due, why))
