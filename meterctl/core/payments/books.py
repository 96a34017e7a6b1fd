"""Hand out the operations that mend a case, each under a name that its org has not used yet. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from meterctl.core.domain.operations import Operation, Refund, Request, ReverseRefund, Undo
from meterctl.core.domain.policy import Pack
from meterctl.core.errors import BadInput, PaymentRefused
from meterctl.core.model import Instant
from meterctl.core.payments.booked import Clawback, Credit
from meterctl.core.payments.clawbacks import is_cut
from meterctl.core.payments.findings import Case
from meterctl.core.payments.payments import Giveback, Payment, free_name
from meterctl.core.payments.sales import Seller, credit_for


@dataclass(frozen=True, slots=True)
class Mender:
    """What mending needs to know: the packs on sale and who acts. ``movable`` False: leave standing credits alone,
    because one of them cannot be undone."""

    packs: Mapping[str, Pack]
    actor: str
    movable: bool = True
    discounts: bool = False
    accept_paid: frozenset[str] = frozenset()

    def seller(self, payment: Payment) -> Seller:
        named = any(name in self.accept_paid for name in payment.all_names)
        return Seller(self.packs, self.discounts, named)


class Books:
    """Hands out the operations that mend a case, each under a name that the org has not used yet.

    ``target`` is where refunds are to be booked: org and session as it will be named once the case is mended. ``moved``
    says that the credit is taken back on the way, and every refund on it.
    """

    def __init__(self, case: Case, mender: Mender) -> None:
        self.session = case.session
        self._credits = case.credits
        self.mender = mender
        self.target: tuple[str, str] | None = None
        self.moved = False
        self._used: dict[str, set[str]] = {}
        for credit in case.credits:
            names = self._used.setdefault(credit.org, set())
            names |= {credit.name, *(claw.name for claw in credit.clawbacks)}

    def take_back(self, credit: Credit, why: str) -> tuple[Request, ...]:
        """Undo a credit with the refunds on it."""
        if not self.mender.movable:
            return ()
        reversals = [self.reverse(credit.org, claw, why) for claw in credit.clawbacks if claw.stands]
        return (*reversals, self._request(undo_of(credit), None, why))

    def credit(self, payment: Payment, org: str | None, pack: str | None, why: str) -> Request | str:
        """A credit of the payment, or why there can be none: it passes the check that every other way in passes."""
        try:
            operation = credit_for(payment._replace(org=org, pack=pack), self.mender.seller(payment))
            name = self._free(operation.org, self.session)
            if name is None:
                return "by hand: the payment was booked and taken back too often"
            request = self._request(replace(operation, session=name), payment.at, why)
        except (BadInput, PaymentRefused) as problem:
            return f"by hand: {problem.message}; {problem.hint}"
        self.target = (operation.org, name)
        return request

    def claw(self, giveback: Giveback, cents: int, why: str) -> tuple[Request, ...]:
        """Book ``cents`` of a giveback on the target."""
        if self.target is None or cents == 0:
            return ()
        org, session = self.target
        refund_id = self._free(org, giveback.id)
        if refund_id is None:
            return ()
        return (self._request(Refund(org, session, cents, refund_id), giveback.at, why),)

    def was_cut(self, booked: Iterable[Clawback]) -> bool:
        """Return True if less may have been clawed because nothing more of the payment was left."""
        standing = list(booked)
        credit = next((one for one in self._credits if set(standing) <= set(one.clawbacks)), None)
        return credit is not None and is_cut(credit, standing)

    def release(self, org: str, claws: Iterable[Clawback], why: str, at: Instant | None = None) -> tuple[Request, ...]:
        """Reverse clawbacks, unless they are taken back with their credit anyway."""
        return () if self.moved else tuple(self.reverse(org, claw, why, at) for claw in claws)

    def reverse(self, org: str, claw: Clawback, why: str, at: Instant | None = None) -> Request:
        return self._request(ReverseRefund(org, claw.name), at, why)

    def _free(self, org: str, stripe_id: str) -> str | None:
        used = self._used.setdefault(org, set())
        name = free_name(stripe_id, used)
        if name is not None:
            used.add(name)
        return name

    def _request(self, operation: Operation, at: Instant | None, why: str) -> Request:
        return Request(operation, self.mender.actor, f"reconcile: {why}", at)


def undo_of(credit: Credit) -> Undo:
    return Undo(credit.org, of=f"session:{credit.name}")
