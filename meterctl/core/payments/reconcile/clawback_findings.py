"""Find differences in the refunds and disputes of a payment. Pure."""

from collections.abc import Iterable, Sequence

from meterctl.core.domain.operations import Request
from meterctl.core.payments.booked import Clawback, Credit
from meterctl.core.payments.clawbacks import claims_on, twin_of
from meterctl.core.payments.payments import Giveback, Payment, base_of, oldest_first
from meterctl.core.payments.reconcile.findings import TOGETHER, Case, Discrepancy
from meterctl.core.payments.reconcile.repairs import Repairs


def clawback_findings(case: Case, payment: Payment, keeper: Credit | None, repairs: Repairs) -> list[Discrepancy]:
    """Return the differences in refunds and disputes; ``keeper`` is the payment's one valid credit."""
    currency = payment.currency if keeper is None or repairs.rebooks else keeper.currency
    givebacks, others = _comparable(case.givebacks, currency, keeper)
    known = {item.id for item in case.givebacks}
    unknown = [claw for claw in keeper.clawbacks if claw.stands and base_of(claw.name) not in known] if keeper else []
    older_cents = sum(claw.cents for claw in unknown) if case.partial else 0
    expected = claims_on(payment.cents - older_cents, givebacks, keeper)
    twins = {} if keeper is None else _twins(givebacks, keeper)
    reversals: list[Discrepancy] = []
    missing: list[Discrepancy] = []
    if keeper is not None and not case.partial:
        by_hand = {twin.name for twin in twins.values()}
        reversals = [_clawed_not_refunded(claw, keeper, repairs) for claw in unknown if claw.name not in by_hand]
    for item in oldest_first(givebacks):
        claws = keeper.clawed(item.id) if keeper is not None else []
        cents = sum(claw.cents for claw in claws)
        expected_cents = expected.get(item.id, 0)
        if item.standing == "waiting" or cents == expected_cents:
            continue
        if keeper is not None and item.id in twins:
            reversals.append(_clawed_by_hand(item, twins[item.id], keeper, repairs))
        elif item.standing == "given":
            finding = _wrongly_clawed(item, expected_cents, claws, payment, repairs)
            (reversals if cents > expected_cents else missing).append(finding)
        elif keeper is not None:
            reversals.append(_failed_but_clawed(item, claws, keeper, repairs))
    # Reversals come first: they free cents of the payment for the new clawbacks.
    return [*reversals, *missing, *(_not_comparable(item, payment, currency, repairs) for item in others)]


def _twins(givebacks: Iterable[Giveback], keeper: Credit) -> dict[str, Clawback]:
    """Return by giveback the clawback of equal cents that somebody booked by hand, under a name of their own."""
    twins: dict[str, Clawback] = {}
    for item in oldest_first(givebacks):
        twin = twin_of(item, keeper) if item.standing == "given" else None
        if twin is not None and twin not in twins.values() and not keeper.clawed(item.id):
            twins[item.id] = twin
    return twins


def _clawed_by_hand(item: Giveback, twin: Clawback, keeper: Credit, repairs: Repairs) -> Discrepancy:
    why = f"it is already clawed back as {twin.name}"
    return Discrepancy(
        kind="clawed_by_hand",
        session=repairs.session,
        org=keeper.org,
        refund_id=item.id,
        expected=f"{item.cents} {item.currency} for {item.id}",
        actual=f"{twin.cents} {keeper.currency} for {twin.name}",
        message=f"entry {twin.seq} of {keeper.org} claws back {twin.cents} cents for {twin.name}, and {item.id} "
        "has the same amount; if they are two different refunds, do not apply this",
        requests=(*repairs.release(keeper.org, [twin], why), *repairs.claw(item, item.cents, why)),
        fix=repairs.together,
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


def _clawed_not_refunded(claw: Clawback, keeper: Credit, repairs: Repairs) -> Discrepancy:
    return Discrepancy(
        kind="clawed_not_refunded",
        session=repairs.session,
        org=keeper.org,
        refund_id=claw.name,
        expected="no clawback",
        actual=f"{claw.cents} {keeper.currency}",
        message=f"entry {claw.seq} of {keeper.org} claws back {claw.name}, "
        f"but {repairs.policy.provider} has no such refund on this payment",
        requests=repairs.release(keeper.org, [claw], "clawed, not refunded"),
        fix=repairs.together,
    )


def _failed_but_clawed(item: Giveback, claws: Sequence[Clawback], keeper: Credit, repairs: Repairs) -> Discrepancy:
    why = "the dispute was won" if item.is_dispute else "it failed or was cancelled"
    return Discrepancy(
        kind="failed_refund_clawed",
        session=repairs.session,
        org=keeper.org,
        refund_id=item.id,
        expected="no clawback",
        actual=f"{sum(claw.cents for claw in claws)} {item.currency}",
        message=f"{item.id} is still clawed back from {keeper.org}, but {why}",
        requests=repairs.release(keeper.org, claws, "the money came back", item.back_at),
        fix=repairs.together,
    )


def _not_comparable(item: Giveback, payment: Payment, currency: str, repairs: Repairs) -> Discrepancy:
    amount = f"{item.cents} {item.currency}"
    message = f"{item.id} gave back {amount}, but nothing is clawed back, because its payment is booked in {currency}"
    fix = f"by hand: book its value in {currency} with meterctl refund"
    return Discrepancy(
        kind="refunded_not_clawed",
        session=repairs.session,
        org=repairs.org or payment.org,
        refund_id=item.id,
        expected=amount,
        actual="nothing",
        message=message,
        fix=fix,
    )


def _wrongly_clawed(
    item: Giveback, expected_cents: int, claws: Sequence[Clawback], payment: Payment, repairs: Repairs
) -> Discrepancy:
    """Return the finding for a giveback that is not clawed back, or with other cents than expected."""
    expected = f"{expected_cents} {item.currency}"
    actual = f"{sum(claw.cents for claw in claws)} {item.currency}" if claws else "nothing"
    requests: tuple[Request, ...] = ()
    fix = ""
    if repairs.rebooks and claws:
        fix = TOGETHER
    else:
        requests = _claws(item, expected_cents, claws, repairs)
        if repairs.target is None:
            fix = "by hand: credit the payment first"
    return Discrepancy(
        kind="wrong_amount" if claws else "refunded_not_clawed",
        session=repairs.session,
        org=repairs.org or payment.org,
        refund_id=item.id,
        expected=expected,
        actual=actual,
        message=f"{'dispute' if item.is_dispute else 'refund'} {item.id} gave back {_amount(item, expected_cents)}, "
        + (f"but {actual} are clawed back" if claws else "but nothing is clawed back"),
        requests=requests,
        fix=fix,
    )


def _amount(item: Giveback, expected_cents: int) -> str:
    """Return the amount of a giveback in words, with the part of it that is more than the payment."""
    excess = item.cents - expected_cents
    over = f" ({excess} more than is left of the payment, which no clawback covers)" if excess > 0 else ""
    return f"{item.cents} {item.currency}{over}"


def _claws(item: Giveback, expected_cents: int, claws: Sequence[Clawback], repairs: Repairs) -> tuple[Request, ...]:
    """Return the requests that bring the clawbacks of a giveback to ``expected_cents``."""
    cents = sum(claw.cents for claw in claws)
    if not claws or (cents < expected_cents and repairs.was_cut(claws)):
        return repairs.claw(item, expected_cents - cents, "refunded, not clawed")
    why = "clawed too much" if cents > expected_cents else "clawed too little"
    return (*repairs.release(repairs.org or "", claws, why), *repairs.claw(item, expected_cents, why))
