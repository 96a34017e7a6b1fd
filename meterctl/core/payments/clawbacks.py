"""Decide which refunds and reversals bring the journal up to date with a giveback. Pure."""

from collections.abc import Iterable, Sequence

from meterctl.core.domain.operations import Operation, Refund, ReverseRefund
from meterctl.core.errors import PaymentRefused, shell_command
from meterctl.core.model import Instant
from meterctl.core.payments.booked import Clawback, Credit
from meterctl.core.payments.payments import (
    DISPUTE_PREFIXES,
    REFUND_PREFIXES,
    Giveback,
    base_of,
    free_name,
    names_of,
    oldest_first,
)


def claims_on(payment_cents: int, givebacks: Sequence[Giveback], credit: Credit | None) -> dict[str, int]:
    """Return by id the cents to claw back for each giveback; their sum never exceeds the payment.

    Cents that are rightly booked come first. The rest of the payment goes to the other givebacks, oldest first.
    """
    final = oldest_first(item for item in givebacks if item.standing == "given")
    clawed = {item.id: sum(claw.cents for claw in credit.clawed(item.id)) for item in final} if credit else {}
    claims = {item.id: min(item.cents, clawed.get(item.id, 0)) for item in final}
    rest = payment_cents - sum(claims.values())
    for item in final:
        more = max(0, min(item.cents - claims[item.id], rest))
        claims[item.id] += more
        rest -= more
    return claims


def steps(item: Giveback, credit: Credit, *, remember: bool = False) -> list[Operation]:
    """Return the operations that bring the journal up to date with a giveback.

    The news may be old, so no operation undoes a later one. A giveback that is booked already gives the same operation
    again, which the journal answers as a replay.

    With ``remember``, money that came back before it was clawed back is booked and reversed at once: if older news
    arrives later, its key is used. Raises `PaymentRefused` for another currency than the credit's, unless somebody
    booked the giveback by hand.
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
    """Book and reverse a repeated withdrawal that came back, so that older news of it finds its key used."""
    name = free_name(item.id, [claw.name for claw in claws])
    cents = min(item.cents, credit.remaining_cents)
    if item.moves < 3 or (item.back_at or item.at) <= max(claw.at for claw in claws) or name is None or cents <= 0:
        return []
    return [Refund(credit.org, credit.name, cents, name), ReverseRefund(credit.org, name)]


def back_time(item: Giveback) -> Instant | None:
    """Return the time at which a giveback's money came back; of a dispute won in part, its last move."""
    return item.back_at or (item.at if item.moves else None)


def is_remembered(item: Giveback, credit: Credit) -> bool:
    """Return True if the journal holds that the money came back, so that older news of the giveback is recognised."""
    claws = [claw for claw in credit.clawbacks if base_of(claw.name) == item.id]
    if item.currency != credit.currency or item.cents == 0:
        return True  # older news would not be booked either
    return bool(claws) and (item.moves < 3 or max(claw.at for claw in claws) >= (item.back_at or item.at))


def _is_old_news(item: Giveback, claws: Sequence[Clawback], standing: Sequence[Clawback]) -> bool:
    """Return True if the journal holds later moves of a dispute's money.

    A single clawback with other cents is no later move: it was booked wrong by hand.
    """
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
    replay: list[Operation] = [Refund(credit.org, credit.name, again.cents, again.name)]
    moved_again = item.moves > 2 and not standing
    cents = sum(claw.cents for claw in standing) if standing or moved_again else again.cents
    name = free_name(item.id, [claw.name for claw in claws]) or item.id
    if standing and item.moves > 2 and cents == item.cents and item.at > max(claw.at for claw in claws):
        # The money came back and was withdrawn again. Book both, so that older news is recognised.
        return [*_reversals(credit, standing), Refund(credit.org, credit.name, item.cents, name)]
    if item.currency != credit.currency or cents == item.cents:
        return replay
    if moved_again:
        _check_twin(item, credit)
    if cents < item.cents and (moved_again or is_cut(credit, standing) or item.moves > 2):
        more = min(item.cents - cents, credit.remaining_cents)
        return [Refund(credit.org, credit.name, more, name)] if more > 0 else replay
    if item.is_dispute and item.moves != 1 and standing and cents > item.cents:
        # Won in part.
        return [*_reversals(credit, standing), Refund(credit.org, credit.name, item.cents, name)]
    # The provider states other cents than the journal, which reports this as a conflict.
    return replay if len(claws) > 1 else [Refund(credit.org, credit.name, item.cents, again.name)]


def _in_part(item: Giveback, credit: Credit) -> list[Operation]:
    """Book a dispute, won in part before its first clawback, in full and reverse it: older news finds its key used."""
    if item.moves < 2 or item.disputed_cents <= item.cents or item.is_share:
        return []
    first = _first_claw(item._replace(cents=item.disputed_cents), credit)
    again = Refund(credit.org, credit.name, item.cents, names_of(item.id)[1])
    has_room = credit.remaining_cents >= item.disputed_cents
    return [*first, ReverseRefund(credit.org, item.id), again] if first and has_room else []


def is_cut(credit: Credit, standing: Sequence[Clawback]) -> bool:
    """Return True if a clawback may have been cut short because the payment was used up."""
    return bool(standing) and credit.was_last_of_it(standing[-1])


def twin_of(item: Giveback, credit: Credit) -> Clawback | None:
    """Return the clawback of equal cents that was booked by hand, under a ticket's number for example."""
    prefixes = (*REFUND_PREFIXES, *DISPUTE_PREFIXES)
    twins = [claw for claw in credit.clawbacks if claw.stands and claw.cents == item.cents]
    return next((claw for claw in twins if not claw.name.startswith(prefixes)), None)


def _check_twin(item: Giveback, credit: Credit) -> None:
    twin = twin_of(item, credit)
    if twin is not None:
        message = (
            f"{item.id} gave back {item.cents} {item.currency}, and entry {twin.seq} already claws back "
            f"the same amount for {twin.name}"
        )
        reverse = shell_command("refund", credit.org, "--reverse", twin.name)
        hint = f"if both are the same refund, reverse the older one first: {reverse}"
        raise PaymentRefused(message, hint=hint, code="clawed_by_hand")


def _check_currency(item: Giveback, credit: Credit) -> None:
    if item.currency != credit.currency:
        command = shell_command("refund", credit.org, "--session", credit.name, "--refund-id", item.id, "--cents", "N")
        hint = f"book its value in {credit.currency} by hand: {command}"
        message = f"{item.id} gave back {item.cents} {item.currency}, but its payment is booked in {credit.currency}"
        raise PaymentRefused(message, hint=hint, code="currency_mismatch")


def _first_claw(item: Giveback, credit: Credit) -> list[Operation]:
    """Book a giveback for the first time.

    Refunds never exceed the payment, but a dispute may also cover refunded cents. Then only the rest is clawed back.
    """
    has_dispute = item.is_dispute or any(
        claw.name.startswith(DISPUTE_PREFIXES) for claw in credit.clawbacks if claw.stands
    )
    cents = min(item.cents, max(0, credit.remaining_cents)) if has_dispute or item.is_share else item.cents
    return [Refund(credit.org, credit.name, cents, item.id)] if cents else []
