"""Decide a chunk of requests in memory: the entries that each one books on top of the entries read."""

from typing import NamedTuple

from meterctl.core.booking import answers
from meterctl.core.booking.chunk_reader import ChunkReader
from meterctl.core.booking.journal_view import MOST_LOTS, OrgView
from meterctl.core.domain import instants
from meterctl.core.domain.due_events import state_at
from meterctl.core.domain.entries import Stamp, book, book_due
from meterctl.core.domain.operations import BookDue, CreditPack, Refund, Request, Undo
from meterctl.core.domain.policy import Terms
from meterctl.core.domain.rules import RULES, Context, Idle, out_of_bounds
from meterctl.core.errors import Damaged, Refusal
from meterctl.core.model import Claim, Entry, Instant
from meterctl.core.results import Receipt

#: Milliseconds that a caller's clock may be ahead of ours.
FUTURE_MS = 5 * 60 * 1000


class Decision(NamedTuple):
    """A request's receipt, valid once the ``claims`` are taken and the ``entries`` appended: due events first, the
    request's own entry last. If it repeats the newest entry of its org, ``tip`` is that entry."""

    request: Request
    receipt: Receipt
    entries: tuple[Entry, ...] = ()
    tip: Entry | None = None
    claims: tuple[Claim, ...] = ()


class Batch:
    """Decides the requests of a chunk. Its ``reader`` reads, `answers` words the receipts."""

    def __init__(self, reader: ChunkReader, terms: Terms, now: Instant, *, dry_run: bool = False) -> None:
        self._reader = reader
        self._terms = terms
        self._now = now
        self._wording = answers.PLANNING if dry_run else answers.BOOKING

    def decide(self) -> list[Decision]:
        """Return an outcome per request, in order.

        Stop at the first request whose entries bring the chunk over `MOST_LOTS` lots, or before one that rests on a
        payment name just added: the rest is for another chunk.
        """
        outcomes, lots = [], 0
        for request in self._reader.requests:
            if self._reader.added_names and self._reader.must_wait(request.operation):
                break
            outcome = self._outcome(request)
            outcomes.append(outcome)
            lots += sum(len(entry["state"]["lots"]) for entry in outcome.entries)
            if lots > MOST_LOTS:
                break
        return outcomes

    def _outcome(self, request: Request) -> Decision:
        operation = request.operation
        view = self._reader.views.of(operation.org)
        pending = len(view.pending)
        try:
            if isinstance(operation, Undo):
                request = self._reader.resolved(request, view)
            first = self._reader.first(request.operation, view)
            if first is not None:
                return self._again(request, first, view)
            outcome = self._attempt(request, view)
            return outcome if outcome.entries else self._made_sure(outcome, request, view)
        except Damaged as problem:
            view.keep(pending)
            return Decision(request, answers.failed(operation, problem))

    def _again(self, request: Request, first: Entry, view: OrgView) -> Decision:
        self._reader.make_sure(view, up_to=first["seq"])
        tip = first if view.is_stored and first["seq"] == view.tip.seq else None
        operation, session = request.operation, None
        if isinstance(operation, Refund) and operation.session != first.get("session"):
            session = view.session_of(operation.session)
        undo = self._reader.undo_of(first, view)
        receipt = answers.repeated(operation, first, undo, self._balance(view), session)
        claims: tuple[Claim, ...] = ()
        if isinstance(operation, CreditPack) and receipt.status == "replayed" and receipt.undone_by is None:
            claims = self._reader.learn_names(operation, first)
        elif isinstance(operation, CreditPack) and first["session"] != operation.session:
            claims = self._reader.names.concede(operation, view)
        return Decision(request, receipt, tip=tip, claims=claims)

    def _made_sure(self, outcome: Decision, request: Request, view: OrgView) -> Decision:
        """Return ``outcome``, which books nothing, or what a fresh look at the org makes of the request."""
        if self._reader.make_sure(view):
            request = self._reader.resolved(request, view)
            outcome = self._attempt(request, view)
        # The cause of a refusal may be the same request, booked by another process.
        if not outcome.entries and (first := self._reader.twin(request.operation, view)) is not None:
            return self._again(request, first, view)
        return outcome

    def _attempt(self, request: Request, view: OrgView) -> Decision:
        pending = len(view.pending)
        request_time = request.at or self._now
        if request_time > self._now and request_time > instants.add_millis(self._now, FUTURE_MS):
            return self._nothing(request, answers.in_future(request_time, self._now))
        tip = view.tip
        at = max(request_time, tip.at)
        is_bound = request.guard is not None or request.basis is not None
        refusal = self._precondition(request, view) if is_bound else None
        is_due = tip.next_due is not None and tip.next_due <= at
        due = list(book_due(view.org, tip, at, self._terms, self._reader.plans, self._now)) if is_due else []
        # A repeat books nothing, not even due events.
        if due and not self._reader.keys_are_read:
            if (first := self._reader.twin(request.operation, view)) is not None:
                return self._again(request, first, view)
            if view.tip is not tip:  # reading the keys found a newer one, so nothing decided so far holds
                return self._attempt(request, view)
        for entry, tip in due:
            view.add(entry, tip)
        if isinstance(request.operation, BookDue):
            return self._due_only(request, view, pending, refusal)
        if due:  # an undo may name one of these by its number
            request = self._reader.resolved(request, view)
        decision = refusal or self._decide(request, view, at, request_time, pending)
        if isinstance(decision, (Refusal, Idle)):
            view.keep(pending)
            return self._nothing(request, decision)
        entries, operation = tuple(view.pending[pending:]), request.operation
        receipt = answers.booked(operation, entries, self._balance(view), self._wording, self._terms, self._now)
        claims = self._reader.names.take(operation) if isinstance(operation, CreditPack) else ()
        return Decision(request, receipt, entries, claims=claims)

    def _precondition(self, request: Request, view: OrgView) -> Refusal | None:
        """Return a refusal if the org changed since the request was reviewed, or is not as the caller expects."""
        if request.guard is not None and request.guard.expects:
            return request.guard.unexpected(view.org, view.tip.seq, self._balance(view))
        if request.basis is None:
            return None
        return request.basis.moved(view.org, view.tip.seq, view.tip.hash, view.by_seq)

    def _decide(
        self, request: Request, view: OrgView, at: Instant, request_time: Instant, pending: int
    ) -> Refusal | Idle | None:
        """Decide one request. If it books something, add its entry to the view and return None."""
        operation, before = request.operation, view.tip
        context = Context(before.state, before.seq + 1, at, request_time, self._terms, self._reader.plans, view)
        decision = RULES[type(operation)](operation, context)
        if isinstance(decision, (Refusal, Idle)):
            return decision
        if isinstance(operation, CreditPack) and (refusal := self._reader.refused_payment(operation)) is not None:
            return refusal
        stamp = Stamp(request.actor, request.reason, self._now, request.at, request.approved_by)
        entry, tip = book(view.org, before, at, decision, stamp, self._terms.balance_alerts)
        if (refusal := out_of_bounds(before.state, tip.state, entry["balance"])) is not None:
            return refusal
        if request.basis and (refusal := request.basis.changed(view.org, [*view.pending[pending:], entry])):
            return refusal
        if request.guard and (refusal := request.guard.exceeded(entry)):
            return refusal
        view.add(entry, tip)
        self._reader.remember(entry)
        return None

    def _balance(self, view: OrgView) -> int:
        """Return the balance of an org now, with every event due by now."""
        tip = view.tip
        now = max(self._now, tip.at)
        if tip.next_due is not None and tip.next_due <= now:
            return state_at(tip.state, tip.seq, now, self._terms, self._reader.plans).balance
        return view.pending[-1]["balance"] if view.pending else tip.state.balance

    def _nothing(self, request: Request, decision: Refusal | Idle) -> Decision:
        operation = request.operation
        view = self._reader.views.of(operation.org)
        receipt = answers.nothing(operation, decision, self._balance(view))
        claims: tuple[Claim, ...] = ()
        if isinstance(operation, CreditPack) and receipt.reason == "session_claimed":
            claims = self._reader.names.concede(operation, view)
        return Decision(request, receipt, claims=claims)

    def _due_only(self, request: Request, view: OrgView, pending: int, refusal: Refusal | None) -> Decision:
        also = tuple(view.pending[pending:])
        if not also:
            return self._nothing(request, answers.NOTHING_DUE)
        if request.basis and (refusal := refusal or request.basis.changed(view.org, also)):
            view.keep(pending)
            return self._nothing(request, refusal)
        receipt = answers.only_due(request.operation, also, self._balance(view), self._wording)
        return Decision(request, receipt, also)
