"""Bringing both sides together: payments from Stripe, credits from the journal, a case per session.

Stripe is read first, up to one instant, and the journal after it: what was credited meanwhile is looked up by itself.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from meterctl.core.domain import instants
from meterctl.core.errors import BadInput, NotFound, PaymentRefused
from meterctl.core.model import Instant, Kind
from meterctl.core.payments import payments
from meterctl.core.payments.payments import (
    DISPUTE_PREFIXES,
    PAYMENT_PREFIXES,
    REFUND_PREFIXES,
    Credit,
    Gateway,
    Giveback,
    Payment,
    base_of,
    credits_of,
    names_of,
    standing_credit,
)
from meterctl.core.payments.reconcile import Case
from meterctl.core.ports import EntryFilter, Journal, Store, sound

#: The kinds of entries that speak of payments.
_KINDS: tuple[Kind, ...] = ("topup", "refund", "reversal")

#: A checkout session can be paid for as long after it was made.
SESSION_LIFE_DAYS = 1

Progress = Callable[[str], None]
F = TypeVar("F", Payment, Giveback)


def store_mode(store: Store) -> bool | None:
    """Whether the store holds live payments or test ones; None if it holds neither."""
    for prefix, live in (("cs_live_", True), ("cs_test_", False)):
        first = next(sound(store.claims.read(after=prefix)), None)
        if first is not None and first.name.startswith(prefix):
            return live
    return None


def check_mode(gateway: Gateway, store: Store) -> None:
    """Refuse a test key on a store with live payments, and a live key on one with test payments."""
    held = store_mode(store)
    if held is not None and held != gateway.live:
        right, wrong = ("live", "test") if held else ("test", "live")
        raise PaymentRefused(
            f"the key is a {wrong} key, but the store holds {right} payments",
            hint=f"set STRIPE_API_KEY to a {right} key, or name another store: --store",
            code="mode_mismatch",
        )


def credits_for(store: Store, session: str) -> list[Credit]:
    """Every credit of a session that the journal holds, whoever has it now or had it before undoing it."""
    claims = store.claims.holders(names_of(session)).values()
    found: list[Credit] = []
    for org, booked in dict.fromkeys((claim.org, claim.session) for claim in claims):
        found += credits_of(store.journal.read(org, EntryFilter(session=booked)))
    return found


def is_credited(store: Store, payment: Payment) -> bool:
    """Whether the journal holds this payment, with this amount: then its price has been accepted once for ever."""
    return any(credit.cents == payment.cents for credit in credits_for(store, payment.session))


def credited_to(store: Store, payment: Payment, org: str | None) -> Credit:
    """The credit that refunds of ``payment`` belong to. Raises `NotFound` while there is none, and `PaymentRefused` if
    it is not ``org``'s."""
    found = credits_for(store, payment.session)
    credit = standing_credit(found) or next(iter(found), None)
    if credit is None:
        raise NotFound(
            f"session {payment.session} is not credited yet, so nothing can be clawed from it: the refund is pending",
            hint=f"meterctl credit-pack --from-stripe {payment.session}; then run this again",
            code="unknown_session",
        )
    if org is not None and org != credit.org:
        message = f"session {payment.session} is credited to {credit.org}, not to {org}"
        raise PaymentRefused(message, hint="name that org, or leave it out", code="other_org")
    return credit


class Found(NamedTuple):
    """What one of Stripe's ids leads to: the payment, all its givebacks, and those that were asked for."""

    payment: Payment
    givebacks: list[Giveback]
    asked: list[Giveback]


def find_givebacks(gateway: Gateway, reference: str) -> Found:
    """A refund or a dispute by its id; or all of a session, payment intent or charge. Raises `NotFound`."""
    asked = None
    if reference.startswith((*REFUND_PREFIXES, *DISPUTE_PREFIXES)):
        asked = gateway.giveback(reference)
        if asked is None:
            raise _unknown("refund or dispute", reference)
        reference = asked.intent or asked.charge or ""
    elif not reference.startswith(PAYMENT_PREFIXES):
        hint = "give a refund (re_...), dispute (dp_..., du_...), session (cs_...), or charge (ch_...)"
        raise BadInput(f"{reference!r} is no id of Stripe's for it", hint=hint, code="bad_reference")
    payment = find_payment(gateway, reference)
    givebacks = gateway.givebacks_of(payment)
    return Found(payment, givebacks, givebacks if asked is None else [asked])


def find_payment(gateway: Gateway, reference: str) -> Payment:
    """The payment of a session, payment intent or charge. Raises `NotFound`."""
    payment = gateway.payment(reference)
    if payment is None:
        raise _unknown("checkout session", reference)
    return payment


def _unknown(what: str, reference: str) -> NotFound:
    hint = "check the id, and that the key is of the same mode and account"
    return NotFound(f"Stripe knows no {what} for {reference}", hint=hint, code="unknown_payment")


# -- everything


class Both(NamedTuple):
    """Both sides, as cases; ``counts`` says how much was read of each."""

    cases: list[Case]
    counts: dict[str, int]


def gather(
    gateway: Gateway,
    store: Store,
    since: Instant | None,
    until: Instant,
    *,
    progress: Progress,
    notes: "Notes",
) -> Both:
    """All payments made, refunded, disputed or booked from ``since`` on, with everything either side says of them."""
    stripe = _Stripe(gateway, notes, complete=since is None)
    # A session may be paid for up to a day after it was made.
    since = None if since is None else instants.add_days(since, -SESSION_LIFE_DAYS)
    stripe.read(since, until, progress)
    booked = _Booked(store.journal, since)
    booked.read(progress)
    for session in booked.recent:
        stripe.look_up(session)
    merged = _merged(booked.by_session, stripe)
    payments = {payment.session: payment for payment in stripe.payments.values()}
    sessions = [*payments, *(session for session in merged if session not in payments and session in booked.recent)]
    cases = [
        Case(
            session,
            payments.get(session),
            tuple(stripe.givebacks_of(payments[session])) if session in payments else (),
            tuple(merged.get(session, ())),
        )
        for session in sessions
    ]
    counts = {**stripe.counts(), "credits": booked.count, "other_references": booked.others}
    return Both([_confirmed(case, gateway, store) for case in cases], counts)


def _confirmed(case: Case, gateway: Gateway, store: Store) -> Case:
    """A session that was listed as unpaid and is credited may have been paid in between: ask again."""
    credited = any(not credit.undone for credit in case.credits)
    if case.payment is None or case.payment.paid or not credited:
        return case
    return case._replace(payment=gateway.payment(case.session), credits=tuple(credits_for(store, case.session)))


def _merged(by_session: Mapping[str, list[Credit]], stripe: "_Stripe") -> dict[str, list[Credit]]:
    """Credits by session, those booked under a payment intent or charge of a session with that session's own."""
    merged: dict[str, list[Credit]] = {}
    for name, found in by_session.items():
        merged.setdefault(stripe.session_of(name), []).extend(found)
    return merged


class _Stripe:
    """Stripe's side, as it was read: payments by session, givebacks by payment intent."""

    def __init__(self, gateway: Gateway, notes: "Notes", *, complete: bool) -> None:
        self.payments: dict[str, Payment] = {}
        self._gateway = gateway
        self._notes = notes
        self._complete = complete
        self._by_intent: dict[str, str] = {}
        self._givebacks: dict[str, list[Giveback]] = {}
        self._aliases: dict[str, str] = {}
        self._whole: set[str] = set()
        self._read = {"sessions": 0, "refunds": 0, "disputes": 0, "other_payments": 0}

    def counts(self) -> dict[str, int]:
        return dict(self._read)

    def read(self, since: Instant | None, until: Instant, progress: Progress) -> None:
        for payment in self._listed("sessions", Payment, self._gateway.sessions, since, until, progress):
            self._add(payment)
            self._whole.add(payment.session)
        for name, listed in (("refunds", self._gateway.refunds), ("disputes", self._gateway.disputes)):
            for item in self._listed(name, Giveback, listed, since, until, progress):
                self._givebacks.setdefault(item.intent or "", []).append(item)
        for intent in [intent for intent in self._givebacks if intent not in self._by_intent]:
            # Of a complete list, a payment that no session names was not made by checkout.
            if self._complete or not self._found(intent):
                self._read["other_payments"] += 1

    def _listed(
        self,
        name: str,
        shape: type[F],
        ask: Callable[[Instant | None, Instant, str | None], Iterable[F]],
        since: Instant | None,
        until: Instant,
        progress: Progress,
    ) -> Iterator[F]:
        """What was noted by a run before this one, then what Stripe lists behind it."""
        after = None
        for found in self._notes.noted(name, shape):
            after = found[0]
            self._read[name] += 1
            yield found
        if not self._notes.is_done(name):
            for found in ask(since, until, after):
                self._notes.note(name, found)
                self._read[name] += 1
                if self._read[name] % 100 == 0:
                    progress(f"{name}: {self._read[name]:,}")
                yield found
            self._notes.done(name)
        progress(f"{name}: {self._read[name]:,}, that is all")

    def _add(self, payment: Payment) -> None:
        self.payments[payment.session] = payment
        if payment.intent is not None:
            self._by_intent[payment.intent] = payment.session

    def _found(self, reference: str) -> bool:
        """Ask for one payment by itself; False if there is none."""
        payment = self._gateway.payment(reference)
        if payment is None:
            return False
        self._aliases[reference] = payment.session
        if payment.session not in self.payments:
            self._add(payment)
        return True

    def look_up(self, name: str) -> None:
        """Make sure that what is booked under ``name`` is known, if Stripe knows it."""
        if name not in self.payments and name not in self._by_intent:
            self._found(name)

    def session_of(self, name: str) -> str:
        """The session that a name stands for: its own, or that of its payment intent or charge."""
        return self._by_intent.get(name) or self._aliases.get(name, name)

    def givebacks_of(self, payment: Payment) -> list[Giveback]:
        """All givebacks: those listed, unless the payment is older than the lists."""
        if payment.session in self._whole:
            return self._givebacks.get(payment.intent or "", []) if payment.intent else []
        return self._gateway.givebacks_of(payment)


class _Booked:
    """The journal's side: every credit of Stripe's sessions, and which of them are ``recent``."""

    def __init__(self, journal: Journal, since: Instant | None) -> None:
        self.by_session: dict[str, list[Credit]] = {}
        self.recent: dict[str, None] = {}
        self.count = 0
        self.others = 0
        self._journal = journal
        self._since = since or Instant("")

    def read(self, progress: Progress) -> None:
        for number, org in enumerate(self._journal.orgs(), 1):
            entries = list(self._journal.read(org, EntryFilter(kinds=_KINDS)))
            touched = {base_of(str(entry.get("session"))) for entry in entries if entry["at"] >= self._since}
            for credit in credits_of(entries):
                self._add(credit, touched)
            if number % 1000 == 0:
                progress(f"orgs: {number:,}")

    def _add(self, credit: Credit, touched: set[str]) -> None:
        session = base_of(credit.name)
        if not payments.is_stripes(session):
            self.others += 1
            return
        self.count += 1
        self.by_session.setdefault(session, []).append(credit)
        if session in touched:
            self.recent[session] = None


# -- going on after an interruption


class Notes:
    """What was read from Stripe, kept in a file so that an interrupted run can go on; without a path, in no file.

    The first line says which run it belongs to; each further line holds one thing read, or that a list is done.
    """

    def __init__(self, path: Path | None, about: Mapping[str, Any]) -> None:
        self._path = path
        self._lists: dict[str, list[list[Any]]] = {}
        self._done: set[str] = set()
        self.about = dict(about)
        if path is not None:
            self._begin(path)

    def _begin(self, path: Path) -> None:
        with _usable(path):
            held = path.read_bytes() if path.exists() else b""
        if not held:
            self._append({"about": self.about})
            return
        self._load(path, held)
        if not held.endswith(b"\n"):
            self._write("\n")  # ends the line that an interruption cut off, maybe just before its own end

    def _load(self, path: Path, held: bytes) -> None:
        first, *lines = [_json(line) for line in held.split(b"\n")]
        about = first.get("about")
        if not isinstance(about, dict) or any(about.get(name) != self.about[name] for name in ("mode", "since")):
            message = f"{path} holds the notes of another run"
            hint = "give the same --since and key as that run, or another --resume file"
            raise BadInput(message, hint=hint, code="bad_resume")
        # The list ends where the first run began: what was made since then would shift its pages.
        self.about = about
        for line in lines:
            if "done" in line:
                self._done.add(line["done"])
            elif "list" in line:
                self._lists.setdefault(line["list"], []).append(line["item"])

    def noted(self, name: str, shape: type[F]) -> Iterator[F]:
        for fields in self._lists.get(name, ()):
            yield shape(*fields)

    def is_done(self, name: str) -> bool:
        return name in self._done

    def note(self, name: str, item: Payment | Giveback) -> None:
        self._append({"list": name, "item": list(item)})

    def done(self, name: str) -> None:
        self._append({"done": name})

    def _append(self, line: Mapping[str, Any]) -> None:
        self._write(json.dumps(line) + "\n")

    def _write(self, text: str) -> None:
        if self._path is not None:
            with _usable(self._path), self._path.open("a", encoding="ascii") as file:
                file.write(text)

    def drop(self) -> None:
        """The run has come to its end: its notes are of no use any more."""
        if self._path is not None:
            with _usable(self._path):
                self._path.unlink(missing_ok=True)


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        message = f"cannot keep notes in {path}: {problem.strerror}"
        raise BadInput(message, hint="check the path and its rights", code="bad_file") from None


def _json(line: bytes) -> dict[str, Any]:
    """A line of notes; one that an interruption cut off, maybe inside a character, holds nothing."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
