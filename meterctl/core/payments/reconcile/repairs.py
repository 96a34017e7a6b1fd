"""Build the operations that repair a case. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from meterctl.core.domain.operations import Operation, Refund, Request, ReverseRefund, Undo
from meterctl.core.errors import BadInput, PaymentRefused
from meterctl.core.model import Instant
from meterctl.core.payments.booked import Clawback, Credit
from meterctl.core.payments.clawbacks import is_cut
from meterctl.core.payments.payments import Giveback, Payment, free_name
from meterctl.core.payments.reconcile.findings import TOGETHER, Case
from meterctl.core.payments.sales import Seller, credit_for


@dataclass(frozen=True, slots=True)
class RepairPolicy:
    """The amounts to accept, and the actor for repairs; ``provider`` names the payments' side in messages.

    ``obstacle`` is the reason why no credit can be undone, and empty if all can.
    """

    seller: Seller
    actor: str
    obstacle: str = ""
    provider: str = "Stripe"

    @property
    def may_undo(self) -> bool:
        return not self.obstacle

    @property
    def by_hand(self) -> str:
        """The way out if a credit cannot be undone."""
        return f"by hand: it cannot be undone ({self.obstacle}); correct the balance with: meterctl adjust"


class Repairs:
    """Builds the operations that repair a case, each under a name that the org has not used yet.

    Refunds are booked on ``target``: the org, and the session's name after the repair. ``rebooks`` is True if the
    repair undoes the credit and its refunds first.
    """

    def __init__(self, case: Case, policy: RepairPolicy) -> None:
        self.session = case.session
        self._credits = case.credits
        self.policy = policy
        self.target: tuple[str, str] | None = None
        self.rebooks = False
        self._used: dict[str, set[str]] = {}
        for credit in case.credits:
            names = self._used.setdefault(credit.org, set())
            # After an undo, whichever name it goes by, the payment is credited anew under a name that says so.
            names |= {case.session, credit.name, *(claw.name for claw in credit.clawbacks)}

    @property
    def org(self) -> str | None:
        """The org of the target, if there is one."""
        return None if self.target is None else self.target[0]

    @property
    def together(self) -> str:
        """The fix of a finding whose clawbacks are reversed by the repair of the credit; empty without such a one."""
        return TOGETHER if self.rebooks else ""

    def take_back(self, credit: Credit, why: str) -> tuple[Request, ...]:
        """Return the requests that undo a credit and its refunds."""
        if not self.policy.may_undo:
            return ()
        reversals = [self.reverse(credit.org, claw, why) for claw in credit.clawbacks if claw.stands]
        return (*reversals, self._request(undo_of(credit), None, why))

    def credit(self, payment: Payment, org: str | None, pack: str | None, why: str) -> Request | str:
        """Return the request that credits the payment, or the reason against it. The usual checks apply."""
        try:
            operation = credit_for(payment._replace(org=org, pack=pack), self.policy.seller)
            name = self._free(operation.org, self.session)
            if name is None:
                return "by hand: this payment was already booked and undone as often as meterctl allows"
            request = self._request(replace(operation, session=name), payment.at, why)
        except (BadInput, PaymentRefused) as problem:
            return f"by hand: {problem.message}; {problem.hint}"
        self.target = (operation.org, name)
        return request

    def claw(self, giveback: Giveback, cents: int, why: str) -> tuple[Request, ...]:
        """Return the request that books ``cents`` of a giveback on the target."""
        if self.target is None or cents == 0:
            return ()
        org, session = self.target
        refund_id = self._free(org, giveback.id)
        if refund_id is None:
            return ()
        return (self._request(Refund(org, session, cents, refund_id), giveback.at, why),)

    def was_cut(self, claws: Iterable[Clawback]) -> bool:
        """Return True if the clawbacks may have been cut short because the payment was used up."""
        standing = list(claws)
        credit = next((one for one in self._credits if set(standing) <= set(one.clawbacks)), None)
        return credit is not None and is_cut(credit, standing)

    def release(self, org: str, claws: Iterable[Clawback], why: str, at: Instant | None = None) -> tuple[Request, ...]:
        """Return the reversals of clawbacks; none if undoing the credit reverses them anyway."""
        return () if self.rebooks else tuple(self.reverse(org, claw, why, at) for claw in claws)

    def reverse(self, org: str, claw: Clawback, why: str, at: Instant | None = None) -> Request:
        return self._request(ReverseRefund(org, claw.name), at, why)

    def _free(self, org: str, stripe_id: str) -> str | None:
        used = self._used.setdefault(org, set())
        name = free_name(stripe_id, used)
        if name is not None:
            used.add(name)
        return name

    def _request(self, operation: Operation, at: Instant | None, why: str) -> Request:
        return Request(operation, self.policy.actor, f"reconcile: {why}", at)


def undo_of(credit: Credit) -> Undo:
    return Undo(credit.org, of=f"session:{credit.name}")
