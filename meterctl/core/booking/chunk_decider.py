"""Deciding a chunk of requests in memory: what would be booked on top of what was read."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from meterctl.core.booking import answers
from meterctl.core.booking.journal_view import MOST_LOTS, Name, OrgView, OrgViews
from meterctl.core.booking.payment_names import PaymentNames
from meterctl.core.domain import instants
from meterctl.core.domain.due_events import state_at
from meterctl.core.domain.entries import REVERSIBLE, Stamp, book, book_due, undo_key
from meterctl.core.domain.operations import BookDue, CreditPack, Operation, Refund, Release, Request, Undo
from meterctl.core.domain.policy import PlanBook, Terms
from meterctl.core.domain.rules import Context, Idle, decide, out_of_bounds
from meterctl.core.errors import Damaged, Refusal
from meterctl.core.model import Claim, Entry, Instant
from meterctl.core.ports import Store
from meterctl.core.results import Receipt

#: How far ahead of our clock a caller's may run.
FUTURE_MS = 5 * 60 * 1000

NOTHING: Mapping[Name, Entry] = {}


class Decision(NamedTuple):
    """A request's receipt as it will stand once the ``claims`` are taken and ``entries`` are appended (the due events
    first, its own last). On a repetition of what the org's newest entry did, ``tip`` is that entry."""

    request: Request
    receipt: Receipt
    entries: tuple[Entry, ...] = ()
    tip: Entry | None = None
    claims: tuple[Claim, ...] = ()


class TooEarly(Exception):
    """An answer that appends nothing would rest on entries of which it is not known yet that they are stored."""


class Batch:
    """A chunk of requests with everything read that deciding them takes, in a few queries for all."""

    def __init__(
        self,
        store: Store,
        terms: Terms,
        now: Instant,
        requests: Sequence[Request],
        views: OrgViews,
        *,
        dry_run: bool = False,
        contended: Collection[str] = (),
        flying: Mapping[Name, Entry] = NOTHING,
        repeats: bool = True,
    ) -> None:
        """``contended`` names orgs whose last append clashed: their tips are asked for exactly. ``flying`` entries are
        being appended meanwhile. ``repeats``: whether something may have been booked before. If not, keys are looked up
        only for an answer that rests on them: an append takes no key twice."""
        self._store = store
        self._terms = terms
        self._now = now
        self._views = views
        self._flying = flying
        self._wording = answers.PLANNING if dry_run else answers.BOOKING
        self._plans = PlanBook(store.plans.all)
        self._requests = requests = _bounded(requests, views, contended)
        self._known: dict[Name, Entry] = {}
        self._undone: dict[Name, Entry] = {}
        self._damaged: dict[Name, Damaged] = {}
        self._looked_up = False
        if repeats:
            self._look_all_up()
        self._names = PaymentNames(store, views)
        self._names.load(requests, self._known)

    # -- reading

    def _look_all_up(self) -> None:
        self._looked_up = True
        operations = [request.operation for request in self._requests]
        self._look_up({(operation.org, key) for operation in operations if (key := operation.key)})
        # What repeats something books nothing, so its answer needs the very tip.
        self._views.make_sure({org for org, _ in self._known})

    def _look_up(self, names: Collection[Name]) -> None:
        """Learn what is booked under these names, and what has taken that back."""
        known = self._by_keys(names)
        taken_back = [(org, undo_key(entry)) for (org, _), entry in known.items() if entry["kind"] in REVERSIBLE]
        # What was decided here meanwhile is newer.
        self._known = known | self._known
        self._undone = self._by_keys(taken_back) | self._undone

    def _by_keys(self, names: Collection[Name]) -> dict[Name, Entry]:
        stored = self._stored(names)
        return stored | {name: self._flying[name] for name in names if name in self._flying} if self._flying else stored

    def _stored(self, names: Collection[Name]) -> dict[Name, Entry]:
        """Read the entries under these names, but for damaged ones: those stop only the requests that ask for them."""
        try:
            return self._store.journal.by_keys(names) if names else {}
        except Damaged as problem:
            if len(names) == 1:
                self._damaged.update(dict.fromkeys(names, problem))
                return {}
        return {name: entry for one in names for name, entry in self._stored([one]).items()}

    # -- deciding

    def decide(self) -> list[Decision]:
        """Return an outcome per request, in order. Stops where the entries have too many lots together; the requests
        left are for another chunk."""
        outcomes, lots = [], 0
        for request in self._requests:
            outcome = self._outcome(request)
            outcomes.append(outcome)
            lots += sum(len(entry["state"]["lots"]) for entry in outcome.entries)
            if lots > MOST_LOTS:
                break
        return outcomes

    def _outcome(self, request: Request) -> Decision:
        operation = request.operation
        view = self._views.of(operation.org)
        pending = len(view.pending)
        try:
            request = self._resolved(request, view)
            first = self._first(request.operation, view)
            if first is not None:
                return self._again(request, first, view)
            return self._first_time(request, view)
        except Damaged as problem:
            view.keep(pending)
            return Decision(request, answers.failed(operation, problem))

    def _resolved(self, request: Request, view: OrgView) -> Request:
        """Return ``request`` with an undo that names a number naming the key of that entry."""
        operation = request.operation
        if not isinstance(operation, Undo):
            return request
        entry = None
        if operation.of is None and operation.seq is not None:
            entry = view.by_seq(operation.seq)
        elif operation.of is not None and operation.of.startswith("session:") and view.by_key(operation.of) is None:
            session = view.session_of(operation.of.removeprefix("session:"))
            entry = None if session is None else view.by_key(f"session:{session}")
        if entry is None:
            return request
        request = replace(request, operation=replace(operation, of=entry["key"]))
        self._look_up([(view.org, request.operation.key)])
        return request

    def _first(self, operation: Operation, view: OrgView) -> Entry | None:
        """Return what is booked of ``operation`` already."""
        name = (operation.org, operation.key)
        if name in self._damaged:
            raise self._damaged[name]
        first = self._known.get(name)
        if isinstance(operation, CreditPack) and first is None:
            return self._names.booked(operation, view)
        return first if first is None or not _is_times_own(first, operation) else None

    def _again(self, request: Request, first: Entry, view: OrgView) -> Decision:
        self._make_sure(view, up_to=first["seq"])
        tip = first if view.is_stored and first["seq"] == view.tip.seq else None
        receipt = self._repeated(request.operation, first, view)
        operation = request.operation
        more_names = isinstance(operation, CreditPack) and receipt.status == "replayed" and receipt.undone_by is None
        claims = self._names.learn(operation, first) if more_names else ()  # type: ignore[arg-type]
        return Decision(request, receipt, tip=tip, claims=claims)

    def _repeated(self, operation: Operation, first: Entry, view: OrgView) -> Receipt:
        if isinstance(operation, Refund) and operation.session != first.get("session"):
            operation = answers.same_payment(first, operation, view.session_of(operation.session))
        undoing = (operation.org, undo_key(first))
        if undoing in self._damaged:
            raise self._damaged[undoing]
        undone = self._undone.get(undoing)
        if undone is None and (operation.org, first["key"]) not in self._known:
            undone = view.by_key(undoing[1])
        # The system that history came from kept no input to compare with.
        diff = {} if "imported" in first else answers.difference(first, operation)
        return answers.repeated(operation, first, diff, undone, self._balance(view))

    def _first_time(self, request: Request, view: OrgView) -> Decision:
        outcome = self._attempt(request, view)
        if not outcome.entries and self._make_sure(view):
            request = self._resolved(request, view)
            outcome = self._attempt(request, view)
        # What speaks against it may be its own twin.
        if not outcome.entries and (first := self._twin(request.operation, view)) is not None:
            return self._again(request, first, view)
        return outcome

    def _twin(self, operation: Operation, view: OrgView) -> Entry | None:
        """Return what is booked of ``operation`` by now, by another process since the keys were looked up, or if they
        were not."""
        name = (operation.org, operation.key)
        if not self._looked_up:
            self._look_all_up()
        elif operation.key:
            self._look_up([name])
        return self._first(operation, view)

    def _make_sure(self, view: OrgView, *, up_to: int = 0) -> bool:
        """Before an answer that appends nothing: read the tip if it may be behind, or is behind the entry ``up_to``
        that the answer names; whether it was read. What is pending proves the tip when it is appended."""
        if view.pending or (view.exact and view.tip.seq >= up_to):
            return False
        if view.flying:
            raise TooEarly
        view.refresh()
        return True

    def _attempt(self, request: Request, view: OrgView) -> Decision:
        pending = len(view.pending)
        said = request.at or self._now
        if said > self._now and said > instants.add_millis(self._now, FUTURE_MS):
            message = f"{said} is more than five minutes ahead of now ({self._now})"
            return self._nothing(request, Refusal("in_future", message))
        at = max(said, view.tip.at)
        moved = self._moved(request, view)
        due = list(book_due(view.org, view.tip, at, self._terms, self._plans, self._now))
        # A repetition books nothing, not even what is due.
        if due and not self._looked_up and (first := self._twin(request.operation, view)) is not None:
            return self._again(request, first, view)
        for entry, tip in due:
            view.add(entry, tip)
        if isinstance(request.operation, BookDue):
            return self._due_only(request, view, pending, moved)
        if due:  # an undo may name one of these by its number
            request = self._resolved(request, view)
        decision = moved or self._decide(request, view, at, said, pending)
        if isinstance(decision, (Refusal, Idle)):
            view.keep(pending)
            return self._nothing(request, decision)
        return self._booked(request, view, pending)

    def _moved(self, request: Request, view: OrgView) -> Refusal | None:
        """A refusal if the org is not where it stood when the request was reviewed, or where the caller expects it."""
        if request.guard is not None and request.guard.expects:
            return request.guard.unexpected(view.org, view.tip.seq, self._balance(view))
        if request.basis is None:
            return None
        return request.basis.moved(view.org, view.tip.seq, view.tip.hash, view.by_seq)

    def _decide(
        self, request: Request, view: OrgView, at: Instant, said: Instant, pending: int
    ) -> Refusal | Idle | None:
        """Decide and, if something is booked, add its entry to the view."""
        operation, before = request.operation, view.tip
        context = Context(before.state, before.seq + 1, at, said, self._terms, self._plans, view)
        decision = decide(operation, context)
        if isinstance(decision, (Refusal, Idle)):
            return decision
        if isinstance(operation, CreditPack) and (refusal := self._names.refusal(operation)) is not None:
            return refusal
        stamp = Stamp(request.actor, request.reason, self._now, request.at, request.approved_by)
        entry, tip = book(view.org, before, at, decision, stamp, self._terms.balance_alerts)
        if (refusal := out_of_bounds(before.state, tip.state)) is not None:
            return refusal
        if request.basis and (refusal := request.basis.changed(view.org, [*view.pending[pending:], entry])):
            return refusal
        if request.guard and (refusal := request.guard.exceeded(entry)):
            return refusal
        view.add(entry, tip)
        self._known[view.org, entry["key"]] = entry
        if entry["kind"] == "reversal":
            self._undone[view.org, entry["key"]] = entry
        return None

    # -- answering

    def _balance(self, view: OrgView) -> int:
        """Return the units of an org now, what is due by now counted in."""
        tip = view.tip
        now = state_at(tip.state, tip.seq, max(self._now, tip.at), self._terms, self._plans)
        return view.pending[-1]["balance"] if view.pending and now is tip.state else now.balance

    def _nothing(self, request: Request, decision: Refusal | Idle) -> Decision:
        operation = request.operation
        return Decision(request, answers.nothing(operation, decision, self._balance(self._views.of(operation.org))))

    def _booked(self, request: Request, view: OrgView, pending: int) -> Decision:
        entries, operation = tuple(view.pending[pending:]), request.operation
        receipt = answers.booked(operation, entries, self._balance(view), self._wording, self._terms, self._now)
        claims = self._names.take(operation) if isinstance(operation, CreditPack) else ()
        return Decision(request, receipt, entries, claims=claims)

    def _due_only(self, request: Request, view: OrgView, pending: int, moved: Refusal | None) -> Decision:
        also = tuple(view.pending[pending:])
        if not also:
            return self._nothing(request, Idle("unchanged", "nothing is due"))
        if request.basis and (refusal := moved or request.basis.changed(view.org, also)):
            view.keep(pending)
            return self._nothing(request, refusal)
        receipt = answers.only_due(request.operation, also, self._balance(view), self._wording)
        return Decision(request, receipt, also)


def _bounded(requests: Sequence[Request], views: OrgViews, contended: Collection[str]) -> Sequence[Request]:
    """Have the views of the orgs of ``requests``. Return the first requests, as many as have `MOST_LOTS` lots."""
    orgs = list(dict.fromkeys(request.operation.org for request in requests))
    loaded = views.load(orgs, exactly=contended)
    sizes = {org: views.of(org).lots for org in orgs[:loaded]}
    lots = 0
    for index, request in enumerate(requests):
        org = request.operation.org
        if index and (org not in sizes or lots + sizes[org] > MOST_LOTS):
            return requests[:index]
        lots += sizes[org]
    return requests


def _is_times_own(entry: Entry, operation: Operation) -> bool:
    """Return True if time booked ``entry`` under the key of ``operation``: a hold that has run out was not released."""
    return isinstance(operation, Release) and entry["input"]["op"] != operation.name
