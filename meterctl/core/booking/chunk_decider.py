"""Deciding a chunk of requests in memory: what would be booked on top of what was read."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from meterctl.core.booking.journal_view import Name, OrgView, OrgViews, UnreadOrg
from meterctl.core.domain import instants
from meterctl.core.domain.due_events import state_at
from meterctl.core.domain.entries import Stamp, book, book_due
from meterctl.core.domain.operations import BookDue, CreditPack, Operation, Request
from meterctl.core.domain.policy import PlanBook, Terms
from meterctl.core.domain.rules import Context, History, Idle, decide, out_of_range
from meterctl.core.errors import Damaged, Refusal
from meterctl.core.model import Entry, Instant
from meterctl.core.ports import Store
from meterctl.core.results import Receipt, Status, Warning

if TYPE_CHECKING:
    from meterctl.core.documents.writing import Difference

#: How far ahead of our clock a caller's may run.
FUTURE_MS = 5 * 60 * 1000

NOTHING: Mapping[Name, Entry] = {}


class Outcome(NamedTuple):
    """A request's receipt as it will stand once ``entries`` are appended (the due events first, its own last). On a
    repetition of what the org's newest entry did, ``tip`` is that entry."""

    request: Request
    receipt: Receipt
    entries: tuple[Entry, ...] = ()
    tip: Entry | None = None


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
        self._requests = requests
        self._views = views
        self._flying = flying
        self._status: Status = "planned" if dry_run else "applied"
        self._verb = "would book" if dry_run else "booked"
        self._plans = PlanBook(store.plans.all)
        views.load(list(dict.fromkeys(request.operation.org for request in requests)), exactly=contended)
        self._known: dict[Name, Entry] = {}
        self._undone: dict[Name, Entry] = {}
        self._damaged: dict[Name, Damaged] = {}
        self._looked_up = False
        if repeats:
            self._look_all_up()
        self._holders = self._load_holders()

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
        taken_back = [(org, key) for (org, _), entry in known.items() if (key := _taken_back_by(entry)) is not None]
        # What was decided here meanwhile is newer.
        self._known = known | self._known
        self._undone = self._by_keys(taken_back) | self._undone

    def _by_keys(self, names: Collection[Name]) -> dict[Name, Entry]:
        stored = self._stored(names)
        return stored | {name: self._flying[name] for name in names if name in self._flying} if self._flying else stored

    def _stored(self, names: Collection[Name]) -> dict[Name, Entry]:
        """What is stored under these names, but for what is damaged: that stops only those who ask for it."""
        try:
            return self._store.journal.by_keys(names) if names else {}
        except Damaged as problem:
            if len(names) == 1:
                self._damaged.update(dict.fromkeys(names, problem))
                return {}
        return {name: entry for one in names for name, entry in self._stored([one]).items()}

    def _load_holders(self) -> dict[str, str | Damaged]:
        sessions = {
            operation.session
            for operation in (request.operation for request in self._requests)
            if isinstance(operation, CreditPack) and (operation.org, operation.key) not in self._known
        }
        return self._held(sessions)

    def _held(self, sessions: Collection[str]) -> dict[str, str | Damaged]:
        try:
            return dict(self._store.claims.holders(sessions)) if sessions else {}
        except Damaged as problem:
            if len(sessions) == 1:
                return dict.fromkeys(sessions, problem)
        return {session: holder for one in sessions for session, holder in self._held([one]).items()}

    # -- deciding

    def decide(self) -> list[Outcome]:
        """An outcome per request, in order."""
        return [self._outcome(request) for request in self._requests]

    def _outcome(self, request: Request) -> Outcome:
        operation = request.operation
        view = self._views.of(operation.org)
        pending = len(view.pending)
        try:
            first = self._first(operation)
            if first is not None:
                return self._again(request, first, view)
            return self._first_time(request, view)
        except Damaged as problem:
            view.keep(pending)
            return Outcome(request, failed(operation, problem))

    def _first(self, operation: Operation) -> Entry | None:
        """The entry that is known under the key of ``operation``, if any; raises `Damaged` if that cannot be told."""
        name = (operation.org, operation.key)
        if name in self._damaged:
            raise self._damaged[name]
        return self._known.get(name)

    def _again(self, request: Request, first: Entry, view: OrgView) -> Outcome:
        self._make_sure(view, up_to=first["seq"])
        tip = first if view.is_stored and first["seq"] == view.tip.seq else None
        return Outcome(request, self._repeated(request, first, view), tip=tip)

    def _repeated(self, request: Request, first: Entry, view: OrgView) -> Receipt:
        operation = request.operation
        diff = _difference(first["input"], operation.parameters())
        taken_back = _taken_back_by(first)
        undone = self._undone.get((operation.org, taken_back)) if taken_back else None
        if taken_back and (operation.org, taken_back) in self._damaged:
            raise self._damaged[operation.org, taken_back]
        if diff:
            status, message = "conflict", f"{operation.key} was used for something else: {_differ(diff)}"
        else:
            status, message = "replayed", f"booked before, as entry {first['seq']}; nothing was booked now"
        return Receipt(
            operation.name,
            operation.org,
            operation.key,
            status,  # type: ignore[arg-type]
            self._balance(view),
            message if undone is None else f"{message}; undone by entry {undone['seq']}",
            entry=first,
            diff=diff or None,
            undone_by=None if undone is None else undone["seq"],
        )

    def _first_time(self, request: Request, view: OrgView) -> Outcome:
        outcome = self._attempt(request, view)
        if not outcome.entries and self._make_sure(view):
            outcome = self._attempt(request, view)
        # What speaks against it may be its own twin.
        if not outcome.entries and (first := self._twin(request.operation)) is not None:
            return self._again(request, first, view)
        return outcome

    def _twin(self, operation: Operation) -> Entry | None:
        """What is booked by now under the key of ``operation``, by another process since the keys were looked up, or if
        they were not."""
        name = (operation.org, operation.key)
        if not self._looked_up:
            self._look_all_up()
        elif operation.key:
            self._look_up([name])
        return self._first(operation)

    def _make_sure(self, view: OrgView, *, up_to: int = 0) -> bool:
        """Before an answer that appends nothing: read the tip if it may be behind, or is behind the entry ``up_to``
        that the answer names; whether it was read. What is pending proves the tip when it is appended."""
        if view.pending or (view.exact and view.tip.seq >= up_to):
            return False
        if view.flying:
            raise TooEarly
        view.refresh()
        return True

    def _attempt(self, request: Request, view: OrgView) -> Outcome:
        pending = len(view.pending)
        said = request.at or self._now
        if said > self._now and said > instants.add_millis(self._now, FUTURE_MS):
            message = f"{said} is more than five minutes ahead of now ({self._now})"
            return self._nothing(request, Refusal("in_future", message))
        at = max(said, view.tip.at)
        moved = self._moved(request, view)
        due = list(book_due(view.org, view.tip, at, self._terms, self._plans, self._now))
        # A repetition books nothing, not even what is due.
        if due and not self._looked_up and (first := self._twin(request.operation)) is not None:
            return self._again(request, first, view)
        for entry, tip in due:
            view.add(entry, tip)
        if isinstance(request.operation, BookDue):
            return self._due_only(request, view, pending, moved)
        decision = moved or self._decide(request, view, at, said, pending)
        if isinstance(decision, (Refusal, Idle)):
            view.keep(pending)
            return self._nothing(request, decision)
        return self._booked(request, view, pending)

    def _moved(self, request: Request, view: OrgView) -> Refusal | None:
        """A refusal if the org is not where it stood when the request was reviewed."""
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
        if isinstance(operation, CreditPack) and (refusal := self._claimed(operation)) is not None:
            return refusal
        stamp = Stamp(request.actor, request.reason, self._now, request.at)
        entry, tip = book(view.org, before, at, decision, stamp)
        if (refusal := out_of_range(tip.state)) is not None:
            return refusal
        if request.basis and (refusal := request.basis.changed(view.org, [*view.pending[pending:], entry])):
            return refusal
        view.add(entry, tip)
        self._known[view.org, entry["key"]] = entry
        if entry["kind"] == "reversal":
            self._undone[view.org, entry["key"]] = entry
        if isinstance(operation, CreditPack):
            self._holders[operation.session] = view.org
        return None

    def _claimed(self, operation: CreditPack) -> Refusal | None:
        """A refusal if another org holds the session, unless its topup was undone."""
        holder = self._holders.get(operation.session, operation.org)
        if isinstance(holder, Damaged):
            raise holder
        if holder == operation.org or _topup_is_undone(operation.session, self._views.of(holder)):
            return None
        # What is kept of the holder may be old by now, and a refusal must not rest on that.
        if undo_is_booked(self._store, operation.session, holder):
            return None
        return Refusal("session_claimed", f"session {operation.session} was credited to {holder}")

    # -- answering

    def _balance(self, view: OrgView) -> int:
        return state_at(view.tip.state, max(self._now, view.tip.at), self._terms, self._plans).balance

    def _nothing(self, request: Request, decision: Refusal | Idle) -> Outcome:
        operation = request.operation
        refused = isinstance(decision, Refusal)
        receipt = Receipt(
            operation.name,
            operation.org,
            operation.key,
            "refused" if isinstance(decision, Refusal) else decision.status,
            self._balance(self._views.of(operation.org)),
            decision.message,
            reason=decision.code if refused else None,  # type: ignore[union-attr]
        )
        return Outcome(request, receipt)

    def _booked(self, request: Request, view: OrgView, pending: int) -> Outcome:
        entries = tuple(view.pending[pending:])
        entry = entries[-1]
        balance = entry["balance"]
        message = f"{self._verb} {entry['amount']:+,} units as entry {entry['seq']}; the balance is {balance:,}"
        name, key, also = request.operation.name, entry["key"], entries[:-1]
        receipt = Receipt(name, view.org, key, self._status, balance, message, None, entry, also)
        receipt.warnings = tuple(_booking_warnings(entry))
        return Outcome(request, receipt, entries)

    def _due_only(self, request: Request, view: OrgView, pending: int, moved: Refusal | None) -> Outcome:
        also = tuple(view.pending[pending:])
        if not also:
            return self._nothing(request, Idle("unchanged", "nothing is due"))
        if request.basis and (refusal := moved or request.basis.changed(view.org, also)):
            view.keep(pending)
            return self._nothing(request, refusal)
        operation, balance, message = request.operation, also[-1]["balance"], f"{len(also)} due"
        receipt = Receipt(operation.name, view.org, operation.key, self._status, balance, message, also=also)
        return Outcome(request, receipt, also)


def failed(operation: Operation, problem: Damaged) -> Receipt:
    """Return the receipt of an operation that was not booked because its org's journal is damaged."""
    message = f"not booked: {problem.message}; {problem.hint}"
    return Receipt(operation.name, operation.org, operation.key, "failed", 0, message, problem=problem)


def _booking_warnings(entry: Entry) -> Iterator[Warning]:
    """Yield what an operator should see about an entry that is booked."""
    if "occurred_at" in entry:
        message = f"it says {entry['occurred_at']}, and took effect at {entry['at']}, behind newer entries of its org"
        yield Warning("took_effect_later", message)


def undo_is_booked(store: Store, session: str, org: str) -> bool:
    """Whether ``org`` has taken back its topup of ``session``, and the store has it: a claim that moved on what is only
    pending would let both orgs keep the pack if that is never appended."""
    return _topup_is_undone(session, UnreadOrg(store, org))


def _topup_is_undone(session: str, history: History) -> bool:
    topup = history.by_key(f"session:{session}")
    return topup is not None and history.by_key(f"undo:{topup['seq']}") is not None


def _taken_back_by(entry: Entry) -> str | None:
    """The key under which ``entry`` is taken back, if it can be."""
    if entry["kind"] == "refund":
        return entry["key"].replace("refund:", "refund-reversal:", 1)
    return f"undo:{entry['seq']}" if entry["kind"] in ("debit", "topup", "adjustment") else None


def _differ(names: Collection[str]) -> str:
    """``units differ``, ``plan differs``: some parameters are plurals by themselves."""
    one = len(names) == 1 and not any(name.endswith("s") for name in names)
    return f"{', '.join(names)} {'differs' if one else 'differ'}"


def _difference(first: dict[str, Any], now: dict[str, Any]) -> "dict[str, Difference]":
    """The parameters in which a repetition differs. A price left out means the one the pack was sold at."""
    names: Iterable[str] = sorted({*first, *now})
    return {
        name: {"first": first.get(name), "now": now.get(name)}
        for name in names
        if first.get(name) != now.get(name) and not (name == "paid_cents" and now.get(name) is None)
    }
