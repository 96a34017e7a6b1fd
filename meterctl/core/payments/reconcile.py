"""Comparing what was paid with what is booked: findings, and the operations that would mend them. Pure.

A *case* is one session with everything that both sides say of it. Comparing starts from Stripe: what is paid is to be
credited once, to the right org, for what was paid; what was given back is to be clawed, and nothing else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

from meterctl.core import errors
from meterctl.core.domain.operation_documents import request_document
from meterctl.core.domain.operations import CreditPack, Operation, Refund, Request, ReverseRefund, Undo
from meterctl.core.domain.policy import Pack
from meterctl.core.errors import BadInput
from meterctl.core.model import Instant
from meterctl.core.payments.payments import Clawback, Credit, Giveback, Payment, base_of, claims_on, free_name
from meterctl.core.results import Receipt, Result, Warning, WriteResult

FindingKind = Literal[
    "paid_not_credited",
    "credited_not_paid",
    "duplicate",
    "wrong_org",
    "wrong_pack",
    "wrong_amount",
    "refunded_not_clawed",
    "clawed_not_refunded",
    "failed_refund_clawed",
]


class Case(NamedTuple):
    """One session: its payment (None: Stripe knows none), its givebacks, and every credit of it, undone ones too."""

    session: str
    payment: Payment | None
    givebacks: tuple[Giveback, ...] = ()
    credits: tuple[Credit, ...] = ()


class Finding(NamedTuple):
    """Something that differs. ``requests`` would mend it, in their order; empty where no operation can, or where an
    earlier finding of the session mends it too."""

    kind: FindingKind
    session: str
    org: str | None
    refund_id: str | None
    expected: str
    found: str
    message: str
    requests: tuple[Request, ...] = ()
    fix: str = ""

    def document(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "org": self.org,
            "session": self.session,
            "refund_id": self.refund_id,
            "expected": self.expected,
            "found": self.found,
            "message": self.message,
            "fix": self.fix or "; ".join(command_of(request.operation) for request in self.requests),
            "operations": [request_document(request) for request in self.requests],
        }


@dataclass(frozen=True, slots=True)
class Reconciliation(Result):
    """What both sides differ on. ``counts``: sessions, givebacks and credits seen, and findings by kind."""

    name = "reconcile"

    mode: Literal["live", "test"]
    since: Instant | None
    until: Instant
    counts: Mapping[str, int]
    findings: Sequence[Finding]
    plan_out: str | None = None
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        return errors.FINDINGS if self.findings else errors.DONE

    def fields(self) -> dict[str, Any]:
        return {
            "ok": not self.findings,
            "mode": self.mode,
            "since": self.since,
            "until": self.until,
            "counts": dict(self.counts),
            "findings": [finding.document() for finding in self.findings],
            "plan_out": self.plan_out,
            "seconds": round(self.seconds, 3),
        }

    def rows(self) -> Iterable[Mapping[str, Any]]:
        return [finding.document() for finding in self.findings]


@dataclass(slots=True)
class Receipts(WriteResult):
    """What became of several operations that one command asked for."""

    name = "receipts"

    command: str
    receipts: Sequence[Receipt]
    warnings: Sequence[Warning] = ()

    @property
    def exit_code(self) -> int:
        return max((receipt.exit_code for receipt in self.receipts), default=errors.DONE)

    def fields(self) -> dict[str, Any]:
        receipts = [receipt.fields() for receipt in self.receipts]
        return {"command": self.command, "receipts": receipts, "warnings": self.warning_records()}

    def rows(self) -> Iterable[Mapping[str, Any]]:
        return [receipt.fields() for receipt in self.receipts]


@dataclass(frozen=True, slots=True)
class Mender:
    """What mending needs to know: the packs on sale and who acts. ``movable`` False: leave standing credits alone,
    because one of them cannot be undone."""

    packs: Mapping[str, Pack]
    actor: str
    movable: bool = True


def compare(case: Case, mender: Mender) -> list[Finding]:
    """Everything in ``case`` that differs, in an order in which it can be mended."""
    standing = [credit for credit in case.credits if not credit.undone]
    books = _Books(case, mender)
    if case.payment is None or not case.payment.paid:
        return [_credited_not_paid(case, credit, books) for credit in standing]
    keeper = _keeper(case.payment, standing)
    books.target = None if keeper is None else (keeper.org, keeper.name)
    found = [_duplicate(credit, keeper, case, books) for credit in standing if credit is not keeper]
    found += [_missing_credit(case.payment, books)] if keeper is None else _wrong_credit(case, keeper, books)
    return [*found, *_clawbacks(case, keeper, books)]


def mending(findings: Iterable[Finding]) -> list[Request]:
    """The operations that would mend the findings, in order."""
    return [request for finding in findings for request in finding.requests]


def mendable(
    cases: Sequence[Case], mender: Mender, rehearse: Callable[[Sequence[Request]], Iterable[Receipt]]
) -> list[Finding]:
    """The findings of all cases, whose requests the journal would take as it is now: each is rehearsed. Where a credit
    cannot be undone any more, what can be mended with it in place is; what is refused all the same stays a finding
    without requests that says why."""
    findings = {case.session: compare(case, mender) for case in cases}
    refused = _refused(findings, rehearse)
    in_place = Mender(mender.packs, mender.actor, movable=False)
    stuck = {session for session, _ in refused}
    findings |= {case.session: compare(case, in_place) for case in cases if case.session in stuck}
    refused = _refused(findings, rehearse) if stuck else {}
    for (session, position), receipt in refused.items():
        finding = findings[session][position]
        findings[session][position] = finding._replace(requests=(), fix=f"by hand: {receipt.message}")
    return [finding for found in findings.values() for finding in found]


def _refused(
    findings: Mapping[str, Sequence[Finding]], rehearse: Callable[[Sequence[Request]], Iterable[Receipt]]
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


class _Books:
    """Hands out the operations that mend a case, each under a name that the org has not used yet.

    ``target`` is where refunds are to be booked: org and session as it will be named once the case is mended. ``moved``
    says that the credit is taken back on the way, and every refund on it.
    """

    def __init__(self, case: Case, mender: Mender) -> None:
        self.session = case.session
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
        return (*reversals, self._request(Undo(credit.org, credit.seq), None, why))

    def credit(self, payment: Payment, org: str | None, pack: str | None, why: str) -> Request | str:
        """A credit of the payment, or why there can be none."""
        if org is None or pack is None:
            return f"by hand: its metadata name no {'org' if org is None else 'pack'}"
        sold = self.mender.packs.get(pack)
        if sold is not None and sold.currency != payment.currency:
            return f"by hand: pack {pack!r} is sold in {sold.currency}, paid were {payment.currency}"
        name = self._free(org, self.session)
        if name is None:
            return "by hand: the session was booked and taken back too often"
        try:
            request = self._request(CreditPack(org, pack, name, payment.cents), payment.at, why)
        except BadInput as problem:
            return f"by hand: {problem.message}"
        self.target = (org, name)
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
        return Request(operation, self.mender.actor, f"reconcile stripe: {why}", at)


# -- credits


def _keeper(payment: Payment, standing: Sequence[Credit]) -> Credit | None:
    """The credit that counts where there are several: the one that is most as it should be, then the oldest."""

    def faults(credit: Credit) -> tuple[bool, bool, bool]:
        return (
            payment.org not in (None, credit.org),
            payment.pack not in (None, credit.pack),
            (credit.cents, credit.currency) != (payment.cents, payment.currency),
        )

    return min(standing, key=faults, default=None)


def _credited_not_paid(case: Case, credit: Credit, books: _Books) -> Finding:
    status = "unknown to Stripe" if case.payment is None else case.payment.status
    return Finding(
        "credited_not_paid",
        case.session,
        credit.org,
        None,
        "no credit",
        _credit_text(credit),
        f"entry {credit.seq} of {credit.org} credits session {credit.name}, which is not paid: it is {status}",
        books.take_back(credit, "credited, not paid"),
        "" if books.mender.movable else _UNDO_BY_HAND,
    )


def _duplicate(credit: Credit, keeper: Credit | None, case: Case, books: _Books) -> Finding:
    first = keeper or credit
    return Finding(
        "duplicate",
        case.session,
        credit.org,
        None,
        "one credit",
        _credit_text(credit),
        f"entry {credit.seq} of {credit.org} credits what entry {first.seq} of {first.org} credits already",
        books.take_back(credit, "credited twice"),
        "" if books.mender.movable else _UNDO_BY_HAND,
    )


_UNDO_BY_HAND = "by hand: its units are used, so it cannot be undone; correct the balance with: meterctl adjust"


def _missing_credit(payment: Payment, books: _Books) -> Finding:
    request = books.credit(payment, payment.org, payment.pack, "paid, not credited")
    return Finding(
        "paid_not_credited",
        payment.session,
        payment.org,
        None,
        f"{payment.pack or 'a pack'} for {payment.cents} {payment.currency}",
        "nothing",
        f"session {payment.session} was paid on {payment.at} and no org is credited for it",
        (request,) if isinstance(request, Request) else (),
        request if isinstance(request, str) else "",
    )


def _wrong_credit(case: Case, credit: Credit, books: _Books) -> list[Finding]:
    """What is wrong about the credit that counts. It is mended as a whole: taken back and booked again."""
    payment = cast(Payment, case.payment)
    wrong: list[tuple[FindingKind, str, str]] = []
    if payment.org not in (None, credit.org):
        wrong.append(("wrong_org", str(payment.org), credit.org))
    if payment.pack not in (None, credit.pack):
        wrong.append(("wrong_pack", str(payment.pack), credit.pack))
    if (payment.cents, payment.currency) != (credit.cents, credit.currency):
        wrong.append(
            ("wrong_amount", f"{payment.cents} {payment.currency}", f"{credit.cents} {credit.currency}"),
        )
    findings = [
        Finding(
            kind,
            payment.session,
            credit.org,
            None,
            expected,
            found,
            f"entry {credit.seq} of {credit.org} credits session {credit.name} with {found}; Stripe says {expected}",
            fix=_TOGETHER,
        )
        for kind, expected, found in wrong
    ]
    return [_rebooking(findings[0], case, credit, books), *findings[1:]] if findings else []


_TOGETHER = "together with the session's first finding"


def _rebooking(finding: Finding, case: Case, credit: Credit, books: _Books) -> Finding:
    """``finding`` with what takes the credit back, books it as it should be, and claws again what is clawed now."""
    payment, why = cast(Payment, case.payment), finding.kind.replace("_", " ")
    if not books.mender.movable:
        return finding._replace(fix=_UNDO_BY_HAND)
    again = books.credit(payment, payment.org or credit.org, payment.pack or credit.pack, why)
    if isinstance(again, str):
        return finding._replace(fix=again)
    books.moved = True
    due = claims_on(payment.cents, case.givebacks, credit)
    clawed = [item for item in _by_time(case.givebacks) if item.id in due and credit.clawed(item.id)]
    claws = [request for item in clawed for request in books.claw(item, due[item.id], why)]
    return finding._replace(requests=(*books.take_back(credit, why), again, *claws), fix="")


def _by_time(givebacks: Iterable[Giveback]) -> list[Giveback]:
    return sorted(givebacks, key=lambda item: (item.at, item.id))


def _credit_text(credit: Credit) -> str:
    return f"{credit.pack} for {credit.cents} {credit.currency}"


# -- clawbacks


def _clawbacks(case: Case, keeper: Credit | None, books: _Books) -> list[Finding]:
    """What differs about refunds and disputes, on the credit that counts."""
    payment = cast(Payment, case.payment)
    currency = payment.currency if keeper is None or books.moved else keeper.currency
    givebacks, others = _comparable(case.givebacks, currency, keeper)
    due = claims_on(payment.cents, givebacks, keeper)
    known = {item.id for item in case.givebacks}
    taken: list[Finding] = []
    reversals: list[Finding] = []
    claws: list[Finding] = []
    if keeper is not None:
        unknown = [claw for claw in keeper.clawbacks if base_of(claw.name) not in known and claw.stands]
        taken = [_clawed_not_refunded(claw, keeper, books) for claw in unknown]
    for item in _by_time(givebacks):
        booked = keeper.clawed(item.id) if keeper is not None else []
        cents = sum(claw.cents for claw in booked)
        if item.standing == "waiting" or cents == due.get(item.id, 0):
            continue
        if item.standing == "given":
            shrinks = cents > due[item.id]
            (reversals if shrinks else claws).append(_wrongly_clawed(item, due[item.id], booked, payment, books))
        else:
            reversals.append(_failed_but_clawed(item, booked, cast(Credit, keeper), books))
    # What gives back comes first: it makes room for what is still to be clawed.
    return [*taken, *reversals, *claws, *(_not_comparable(item, payment, currency, books) for item in others)]


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


def _clawed_not_refunded(claw: Clawback, keeper: Credit, books: _Books) -> Finding:
    return Finding(
        "clawed_not_refunded",
        books.session,
        keeper.org,
        claw.name,
        "no clawback",
        f"{claw.cents} {keeper.currency}",
        f"entry {claw.seq} of {keeper.org} claws back for {claw.name}, which Stripe does not know on this payment",
        books.release(keeper.org, [claw], "clawed, not refunded"),
        _TOGETHER if books.moved else "",
    )


def _failed_but_clawed(item: Giveback, booked: Sequence[Clawback], keeper: Credit, books: _Books) -> Finding:
    why = "the dispute was won" if item.is_dispute else "it failed or was cancelled"
    return Finding(
        "failed_refund_clawed",
        books.session,
        keeper.org,
        item.id,
        "no clawback",
        f"{sum(claw.cents for claw in booked)} {item.currency}",
        f"{item.id} is still clawed from {keeper.org}, but {why}",
        books.release(keeper.org, booked, "the money came back", item.back_at),
        _TOGETHER if books.moved else "",
    )


def _not_comparable(item: Giveback, payment: Payment, currency: str, books: _Books) -> Finding:
    org = books.target[0] if books.target is not None else payment.org
    given = f"{item.cents} {item.currency}"
    message = f"{item.id} gave back {given}, but nothing is clawed, and its payment is booked in {currency}"
    fix = f"by hand: claw its share in {currency}"
    return Finding("refunded_not_clawed", books.session, org, item.id, given, "nothing", message, fix=fix)


def _wrongly_clawed(item: Giveback, due: int, booked: Sequence[Clawback], payment: Payment, books: _Books) -> Finding:
    """A giveback that is not clawed, or for another amount than ``due``."""
    cents = sum(claw.cents for claw in booked)
    org = books.target[0] if books.target is not None else payment.org
    together = books.moved and bool(booked)
    return Finding(
        "wrong_amount" if booked else "refunded_not_clawed",
        books.session,
        org,
        item.id,
        f"{due} {item.currency}",
        f"{cents} {item.currency}" if booked else "nothing",
        f"{'dispute' if item.is_dispute else 'refund'} {item.id} gave back {due} {item.currency}, "
        + (f"but {cents} are clawed" if booked else "but nothing is clawed"),
        () if together else _claws(item, due, booked, books),
        _TOGETHER if together else "by hand: credit the session first" if books.target is None else "",
    )


def _claws(item: Giveback, due: int, booked: Sequence[Clawback], books: _Books) -> tuple[Request, ...]:
    cents = sum(claw.cents for claw in booked)
    if cents < due:
        return books.claw(item, due - cents, "refunded, not clawed")
    org = books.target[0] if books.target is not None else ""
    return (*books.release(org, booked, "clawed too much"), *books.claw(item, due, "clawed too much"))


# -- operations as text


def command_of(operation: Operation) -> str:
    """The command line that books an operation."""
    match operation:
        case CreditPack(org, pack, session, paid_cents):
            return f"meterctl credit-pack {org} {pack} --session {session} --paid-cents {paid_cents}"
        case Refund(org, session, cents, refund_id):
            return f"meterctl refund {org} --session {session} --cents {cents} --refund-id {refund_id}"
        case ReverseRefund(org, refund_id):
            return f"meterctl refund {org} --reverse {refund_id}"
        case Undo(org, seq):
            return f"meterctl undo {org} {seq} --reason TEXT"
        case _:
            return f"meterctl {operation.name} {operation.org}"


def count_kinds(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings there are of each kind."""
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.kind] = counts.get(finding.kind, 0) + 1
    return counts
