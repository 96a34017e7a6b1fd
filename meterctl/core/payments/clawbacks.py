"""Decide which refunds and reversals bring the journal to what is known of a giveback. Pure."""

from collections.abc import Iterable, Sequence

from meterctl.core.domain.operations import Operation, Refund, ReverseRefund
from meterctl.core.errors import PaymentRefused
from meterctl.core.model import Instant
from meterctl.core.payments.booked import Clawback, Credit
from meterctl.core.payments.payments import DISPUTE_PREFIXES, REFUND_PREFIXES, Giveback, base_of, free_name, names_of


def claims_on(payment_cents: int, givebacks: Sequence[Giveback], credit: Credit | None) -> dict[str, int]:
    """How many cents of each giveback count, by id, so that all together never exceed the payment.

    What is booked counts first, as far as it is true; what is left of the payment goes to the others by their time.
    """
    given = sorted((item for item in givebacks if item.standing == "given"), key=lambda item: (item.at, item.id))
    booked = {item.id: sum(claw.cents for claw in credit.clawed(item.id)) for item in given} if credit else {}
    due = {item.id: min(item.cents, booked.get(item.id, 0)) for item in given}
    left = payment_cents - sum(due.values())
    for item in given:
        more = max(0, min(item.cents - due[item.id], left))
        due[item.id] += more
        left -= more
    return due


def steps(item: Giveback, credit: Credit, *, remember: bool = False) -> list[Operation]:
    """The operations that bring the journal to what is known of a giveback. Never a step back: what is known may be old
    news by now. One that is booked already gives an operation that is answered with what was booked first.

    With ``remember``, money that came back before it was ever clawed is booked both ways, so that older news of it,
    should they come later, find the key used. Raises `PaymentRefused` for money in another currency than the credit's,
    unless somebody has booked it by hand.
    """
    claws = [claw for claw in credit.clawbacks if base_of(claw.name) == item.id]
    standing = credit.clawed(item.id)
    if item.standing == "waiting":
        return []
    if claws and _is_old_news(item, claws, standing):
        again = (standing or claws)[0]
        return [Refund(credit.org, credit.name, again.cents, again.name)]
    if item.standing == "given":
        return _claw(item, credit, standing, claws)
    if claws:
        both_ways = _moved_both_ways(item, credit, claws) if remember and not standing else []
        return both_ways or _reversals(credit, standing or claws[-1:])
    remember = remember and item.standing == "returned" and item.currency == credit.currency
    first = _first_claw(item, credit) if remember else []
    return [*first, ReverseRefund(credit.org, item.id)] if first else []


def _moved_both_ways(item: Giveback, credit: Credit, claws: Sequence[Clawback]) -> list[Operation]:
    """Book a withdrawal that came back once more both ways, so that older news of it find the key used."""
    name = free_name(item.id, [claw.name for claw in claws])
    cents = min(item.cents, credit.left)
    if item.moves < 3 or (item.back_at or item.at) <= max(claw.at for claw in claws) or name is None or cents <= 0:
        return []
    return [Refund(credit.org, credit.name, cents, name), ReverseRefund(credit.org, name)]


def back_time(item: Giveback) -> Instant | None:
    """When money of a giveback came back: of a dispute that is won in part, with the last move of its money."""
    return item.back_at or (item.at if item.moves else None)


def _is_old_news(item: Giveback, claws: Sequence[Clawback], standing: Sequence[Clawback]) -> bool:
    """Return True for a dispute whose money has moved on since: the journal has later moves. One that was clawed once
    only, for other cents, was booked wrong by hand."""
    if item.moves == 0 or (item.back_at or item.at) >= max(claw.at for claw in claws):
        return False
    return len(claws) > 1 or not standing or standing[0].cents == item.cents


def _reversals(credit: Credit, claws: Iterable[Clawback]) -> list[Operation]:
    return [ReverseRefund(credit.org, claw.name) for claw in claws]


def _claw(item: Giveback, credit: Credit, standing: Sequence[Clawback], claws: Sequence[Clawback]) -> list[Operation]:
    if not claws:
        _check_currency(item, credit)
        _check_twin(item, credit)
        return _in_part(item, credit) or _first_claw(item, credit)
    again = (standing or claws)[0]
    booked: list[Operation] = [Refund(credit.org, credit.name, again.cents, again.name)]
    moved_again = item.moves > 2 and not standing
    cents = sum(claw.cents for claw in standing) if standing or moved_again else again.cents
    name = free_name(item.id, [claw.name for claw in claws]) or item.id
    if standing and item.moves > 2 and cents == item.cents and item.at > max(claw.at for claw in claws):
        # It came back and was withdrawn again: booked both ways, so that older news of it are known as such.
        return [*_reversals(credit, standing), Refund(credit.org, credit.name, item.cents, name)]
    if item.currency != credit.currency or cents == item.cents:
        return booked
    if cents < item.cents and (moved_again or is_cut(credit, standing) or item.moves > 2):
        more = min(item.cents - cents, credit.left)
        return [Refund(credit.org, credit.name, more, name)] if more > 0 else booked
    if item.is_dispute and item.moves != 1 and standing and cents > item.cents:
        # Won in part.
        return [*_reversals(credit, standing), Refund(credit.org, credit.name, item.cents, name)]
    # Booked with other cents than the provider states: the journal answers that as a conflict.
    return booked if len(claws) > 1 else [Refund(credit.org, credit.name, item.cents, again.name)]


def _in_part(item: Giveback, credit: Credit) -> list[Operation]:
    """Book a dispute both ways that is won in part before it was ever clawed: older news of it find the key used."""
    if item.moves < 2 or item.asked <= item.cents or item.is_share:
        return []
    first = _first_claw(item._replace(cents=item.asked), credit)
    again = Refund(credit.org, credit.name, item.cents, names_of(item.id)[1])
    return [*first, ReverseRefund(credit.org, item.id), again] if first and credit.left >= item.asked else []


def is_cut(credit: Credit, standing: Sequence[Clawback]) -> bool:
    """Return True if a giveback may have been clawed with less than its cents, because nothing more was left."""
    return bool(standing) and credit.was_last_of_it(standing[-1])


def twin_of(item: Giveback, credit: Credit) -> Clawback | None:
    """A clawback of the same cents that was booked by hand, under a name that is no provider's: a ticket's, say."""
    provided = (*REFUND_PREFIXES, *DISPUTE_PREFIXES)
    twins = [claw for claw in credit.clawbacks if claw.stands and claw.cents == item.cents]
    return next((claw for claw in twins if not claw.name.startswith(provided)), None)


def _check_twin(item: Giveback, credit: Credit) -> None:
    twin = twin_of(item, credit)
    if twin is not None:
        message = (
            f"{item.id} gave back {item.cents} {item.currency}, and entry {twin.seq} claws as much for {twin.name}"
        )
        hint = f"if both are the same, take that one back first: meterctl refund {credit.org} --reverse {twin.name}"
        raise PaymentRefused(message, hint=hint, code="clawed_by_hand")


def _check_currency(item: Giveback, credit: Credit) -> None:
    if item.currency != credit.currency:
        hint = f"claw its share by hand: meterctl refund {credit.org} --session {credit.name} --refund-id {item.id}"
        message = f"{item.id} gave back {item.cents} {item.currency}, but its payment is booked in {credit.currency}"
        raise PaymentRefused(message, hint=hint, code="currency_mismatch")


def _first_claw(item: Giveback, credit: Credit) -> list[Operation]:
    """Claw a giveback for the first time. Stripe never refunds more than was paid, but a dispute may take what was
    refunded already: then only what is left of the payment counts."""
    disputed = item.is_dispute or any(
        claw.name.startswith(DISPUTE_PREFIXES) for claw in credit.clawbacks if claw.stands
    )
    cents = min(item.cents, max(0, credit.left)) if disputed or item.is_share else item.cents
    return [Refund(credit.org, credit.name, cents, item.id)] if cents else []
