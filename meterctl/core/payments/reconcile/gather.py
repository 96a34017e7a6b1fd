"""Match a provider's payments with the journal's credits: one case per payment.

The provider is read first, up to one instant, then the journal. A payment credited in between is looked up singly.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from meterctl.core.domain import instants
from meterctl.core.errors import StripeUnavailable, sound
from meterctl.core.model import Instant, Kind
from meterctl.core.payments.booked import Credit, credits_for, credits_of, standing_credit
from meterctl.core.payments.payments import Giveback, Payment, Unreadable, base_of, is_stripes, shares, whole_of
from meterctl.core.payments.reconcile.findings import Case, Discrepancy
from meterctl.core.payments.reconcile.notes import Item, Notes
from meterctl.core.payments.releases import without_release
from meterctl.core.payments.sale_book import Sale, SaleBook
from meterctl.core.payments.stripe.reader import Reader, Span
from meterctl.core.ports import EntryFilter, Store

#: The kinds of entries that concern payments.
_KINDS: tuple[Kind, ...] = ("topup", "refund", "reversal")

#: A checkout session can be paid for this many days after its creation.
SESSION_LIFE_DAYS = 1

#: The most payments to look up one by one; for more, reading the lists is faster.
MOST_LOOKUPS = 50

#: The most payments to look up one by one after the lists.
_MOST_CALLS = 200

Progress = Callable[[str], None]


class BothSides(NamedTuple):
    """Both sides, as cases. ``counts`` are the objects read on each side, ``unreadable`` those without a case.

    ``plan_findings`` are orgs on another plan than their subscription's.
    """

    cases: list[Case]
    counts: dict[str, int]
    unreadable: list[Unreadable]
    plan_findings: Sequence[Discrepancy] = ()


def gather(
    gateway: Reader, store: Store, since: Instant | None, until: Instant, *, progress: Progress, notes: Notes
) -> BothSides:
    """Return all payments made, refunded, disputed or booked since ``since``, as both sides have them."""
    # A session may be paid up to a day after its creation.
    since = None if since is None else instants.add_days(since, -SESSION_LIFE_DAYS)
    stripe = _StripeSide(gateway, notes, Span(since, until))
    stripe.read(progress)
    ours = _JournalSide(store, stripe.book, since)
    ours.read(progress)
    matches = _Matches(stripe, ours.credits)
    if matches.orphans:
        stripe.look_up([name for name in matches.orphans if since is None or name in ours.recent])
        matches = _Matches(stripe, ours.credits)
    cases = [*matches.cases(), *matches.partial_cases()]
    cases = [*_in_detail(cases, stripe), *matches.unknown_cases(ours.recent if since else None, stripe.not_found)]
    counts = {**stripe.counts, "credits": ours.count, "other_references": ours.others}
    counts["foreign"] = sum(sale[0].foreign for sale in stripe.book.sales.values())
    counts["unpaid"] = sum(not sale[0].paid and not sale[0].foreign for sale in stripe.book.sales.values())
    counts["other_payments"] = matches.other_payments()
    cases = [_without_release(_reread_unpaid(case, gateway, store), gateway) for case in cases]
    return BothSides(cases, counts, stripe.unreadable)


def _without_release(case: Case, gateway: Reader) -> Case:
    if case.payment is None or not case.payment.released:
        return case
    return case._replace(givebacks=tuple(without_release(case.givebacks, case.payment, gateway.is_release)))


def _reread_unpaid(case: Case, gateway: Reader, store: Store) -> Case:
    """Read a credited payment again if it was listed as unpaid: it may have been paid in between."""
    has_credit = any(not credit.undone for credit in case.credits)
    if case.payment is None or case.payment.paid or not has_credit:
        return case
    names = case.payment.all_names
    again = next((part for part in gateway.sale(whole_of(case.session)) if part.session == case.payment.session), None)
    return case._replace(payment=again or case.payment, credits=tuple(credits_for(store, names)) or case.credits)


def _in_detail(cases: list[Case], stripe: "_StripeSide") -> Iterator[Case]:
    """Yield the cases, with the full payment if a credit is missing or differs."""
    incomplete = [case for case in cases if _needs_detail(case)]
    if len(incomplete) > MOST_LOOKUPS:
        stripe.read_full()
    sales: dict[str, Sale] = {}
    for case in cases:
        if not _needs_detail(case) or case.payment is None:
            yield case
            continue
        whole = whole_of(case.session)
        if whole not in sales:
            sales[whole] = stripe.detail(whole)
        parts = sales[whole]
        if len(parts) <= 1:
            yield case._replace(payment=parts[0] if parts else case.payment)
        elif case.payment.quantity is None or case.payment.missing_object is not None:
            yield from _per_part(case, parts)  # the lists showed it without its items, as one
        else:
            yield case._replace(payment=next((one for one in parts if one.session == case.session), case.payment))


def _per_part(case: Case, parts: Sale) -> Iterator[Case]:
    """Yield a case for each part of a payment."""
    shared = [shares(item, parts) for item in case.givebacks]
    for number, part in enumerate(parts):
        own = tuple(credit for credit in case.credits if base_of(credit.name) == part.session)
        yield case._replace(
            session=part.session, payment=part, givebacks=tuple(one[number] for one in shared), credits=own
        )


def _needs_detail(case: Case) -> bool:
    payment = case.payment
    if payment is None or payment.foreign or not payment.paid or case.partial:
        return False
    standing = [credit for credit in case.credits if not credit.undone]
    if len(standing) == 1:
        credit = standing[0]
        expected = (payment.org or credit.org, payment.pack or credit.pack, payment.cents)
        if (credit.org, credit.pack, credit.cents) == expected:
            return False
    return payment.missing_object is not None or payment.quantity is None or not payment.has_charge_time


class _StripeSide:
    """Stripe's side: payments by all their names, and givebacks."""

    def __init__(self, gateway: Reader, notes: Notes, span: Span) -> None:
        self.book = SaleBook()
        self.givebacks: list[Giveback] = []
        self.unreadable: list[Unreadable] = []
        self.not_found: set[str] = set()
        #: Sessions of payments older than the lists, which may lack some of their refunds.
        self.looked_up: set[str] = set()
        self.counts = {"sessions": 0, "intents": 0, "invoices": 0, "refunds": 0, "disputes": 0}
        self._gateway = gateway
        self._notes = notes
        self._span = span
        self._full: dict[str, Sale] = {}

    def read(self, progress: Progress) -> None:
        gateway = self._gateway
        full = gateway.shop.sells_by_price()
        self._add_all(self._read_list("sessions", Payment, lambda span: gateway.sessions(span, full=full), progress))
        self._add_all(self._read_list("intents", Payment, gateway.intents, progress))
        self._add_all(self._read_list("invoices", Payment, gateway.invoices, progress))
        for name, list_items in (("refunds", gateway.refunds), ("disputes", gateway.disputes)):
            self.givebacks += self._read_list(name, Giveback, list_items, progress)

    def _add_all(self, items: Iterable[Payment]) -> None:
        parts: list[Payment] = []
        for payment in items:
            if parts and whole_of(parts[0].session) != whole_of(payment.session):
                self.book.add(parts)
                parts = []
            parts.append(payment)
        if parts:
            self.book.add(parts)

    def _read_list(
        self,
        name: str,
        shape: type[Item],
        list_items: Callable[[Span], Iterable[Item | Unreadable]],
        progress: Progress,
    ) -> Iterator[Item]:
        """Yield the items noted by an interrupted run, then the rest of Stripe's list."""
        after = None
        for item in self._notes.saved_items(name, shape):
            after = whole_of(item[0])
            yield from self._count(name, item)
        if not self._notes.is_done(name):
            try:
                for item in list_items(self._span._replace(after=after)):
                    self._notes.note(name, item)
                    yield from self._count(name, item)
                    if self.counts[name] % 100 == 0:
                        progress(f"{name}: {self.counts[name]:,}")
            except StripeUnavailable as problem:
                if name != "invoices" or problem.code != "stripe_right_missing":
                    raise
                next_step = 'grant that right, or remove "invoice" from payments under [stripe]'
                progress(f"{name}: skipped: {problem.message}; {next_step}")
            self._notes.done(name)
        progress(f"{name}: {self.counts[name]:,}, complete")

    def _count(self, name: str, item: Item | Unreadable) -> Iterator[Item]:
        if isinstance(item, Unreadable):
            self.unreadable.append(item)
            return
        if not getattr(item, "offset", 0):
            self.counts[name] += 1  # count a payment in parts once
        yield item

    def look_up(self, names: list[str]) -> None:
        """Read payments that are on no list, each by its name."""
        since = self._span.since
        if len(names) > MOST_LOOKUPS and since is not None:
            matching = list(self._payments_before(since, names))
            self.looked_up |= {one.session for one in matching}
            self._add_all(matching)
            names = [name for name in names if self.book.find([name]) is None]
        names, rest = names[:_MOST_CALLS], names[_MOST_CALLS:]
        if rest and since is not None:
            message = f"it and {len(rest) - 1:,} more credits are on no list of Stripe, and too many to look up"
            self.unreadable.append(Unreadable(rest[0], message, "compare again without --since"))
        for name in names:
            sale = self._gateway.sale(name)
            if not sale:
                self.not_found.add(name)
                continue
            if since is not None:
                self.looked_up |= {part.session for part in sale}
            first, *others = sale
            self.book.add([first._replace(names=tuple(dict.fromkeys([*first.names, name]))), *others])

    def _payments_before(self, since: Instant, names: Iterable[str]) -> Iterator[Payment]:
        """Yield the sessions from before ``since`` that have one of these names; stop once all names are known."""
        requested = set(names)
        missing = set(requested)
        for one in self._gateway.sessions(Span(None, since)):
            if isinstance(one, Unreadable):
                continue
            if not requested.isdisjoint(one.all_names):
                missing.difference_update(one.all_names)
                yield one
            elif not missing:
                return

    def read_full(self) -> None:
        """Read the sessions once more, with their items."""
        for one in self._gateway.sessions(self._span, full=True):
            if isinstance(one, Payment):
                whole = whole_of(one.session)
                self._full[whole] = (*self._full.get(whole, ()), one)

    def detail(self, whole: str) -> Sale:
        """Return the full payment of this id, in its parts."""
        held = self._full.get(whole)
        return held if held is not None else tuple(self._gateway.sale(whole))


class _Matches:
    """Both sides, matched by payment."""

    def __init__(self, stripe: _StripeSide, credits: Iterable[Credit]) -> None:
        self._stripe = stripe
        self._credits: dict[str, list[Credit]] = {}
        self.orphans: dict[str, list[Credit]] = {}
        for credit in credits:
            session = self._part_of(credit)
            held = self._credits if session is not None else self.orphans
            held.setdefault(session or base_of(credit.name), []).append(credit)
        self._givebacks: dict[str, list[Giveback]] = {}
        self._loose: list[Giveback] = []
        for item in stripe.givebacks:
            sale = stripe.book.find(item.of)
            if sale is None:
                self._loose.append(item)
            for part, share in zip(sale or (), shares(item, sale or ()), strict=True):
                self._givebacks.setdefault(part.session, []).append(share)

    def _part_of(self, credit: Credit) -> str | None:
        """Return the session of the payment's part that a credit belongs to."""
        names = [base_of(name) for name in credit.all_names]
        sale = self._stripe.book.find([*names, *(whole_of(name) for name in names)])
        if sale is None:
            return None
        return next((part.session for part in sale if set(names) & set(part.all_names)), sale[0].session)

    def cases(self) -> Iterator[Case]:
        """Yield a case for each part of each payment read."""
        for sale in self._stripe.book.sales.values():
            for part in sale:
                credits = tuple(self._credits.get(part.session, ()))
                if credits or not part.foreign:
                    givebacks = tuple(self._givebacks.get(part.session, ()))
                    yield Case(
                        session=part.session,
                        payment=part,
                        givebacks=givebacks,
                        credits=credits,
                        partial=part.session in self._stripe.looked_up,
                    )

    def partial_cases(self) -> Iterator[Case]:
        """Yield cases of older payments, as the journal has them, to compare only their newer givebacks."""
        by_name = {
            name: credits_of_name
            for credits_of_name in self.orphans.values()
            for one in credits_of_name
            for name in one.all_names
        }
        items: dict[str, tuple[list[Credit], list[Giveback]]] = {}
        for item in self._loose:
            credits = next((by_name[name] for name in item.of if name in by_name), None)
            if credits is not None:
                items.setdefault(credits[0].name, (credits, []))[1].append(item)
        for name, (credits, givebacks) in items.items():
            standing = standing_credit(credits)
            if standing is not None and base_of(name) not in self._stripe.not_found:
                yield Case(base_of(name), _as_credited(standing), tuple(givebacks), (standing,), partial=True)

    def unknown_cases(self, recent: Iterable[str] | None, not_found: set[str]) -> Iterator[Case]:
        """Yield cases of credits unknown to Stripe under all their names."""
        for name, credits in self.orphans.items():
            if name in not_found or (recent is None and not any(self._is_given_back(credit) for credit in credits)):
                yield Case(name, None, (), tuple(credits))

    def _is_given_back(self, credit: Credit) -> bool:
        return any(name in credit.all_names for item in self._loose for name in item.of)

    def other_payments(self) -> int:
        """Return the number of refunded payments that neither side knows."""
        known = {name for credits in self.orphans.values() for credit in credits for name in credit.all_names}
        return len({item.of[0] for item in self._loose if item.of and not set(item.of) & known})


def _as_credited(credit: Credit) -> Payment:
    """Return the payment of a credit, as far as the journal has it."""
    return Payment(
        session=base_of(credit.name),
        names=credit.names,
        org=credit.org,
        pack=credit.pack,
        cents=credit.cents,
        currency=credit.currency,
        at=credit.at,
        paid=True,
        status="paid",
        live=None,
    )


class _JournalSide:
    """The journal's side: every credit of a Stripe payment, and the names of the ``recent`` ones."""

    def __init__(self, store: Store, book: SaleBook, since: Instant | None) -> None:
        self.credits: list[Credit] = []
        self.recent: dict[str, None] = {}
        self.count = 0
        self.others = 0
        self._store = store
        self._book = book
        self._since = since or Instant("")

    def read(self, progress: Progress) -> None:
        journal = self._store.journal
        for number, org in enumerate(journal.orgs(), 1):
            for credit in credits_of(journal.read(org, EntryFilter(kinds=_KINDS))):
                self.credits.append(self._sharing_text(credit))
            if number % 1000 == 0:
                progress(f"orgs: {number:,}")
        self._add_later_names()
        of_stripe = [credit for credit in self.credits if any(map(is_stripes, credit.all_names))]
        self.count, self.others = len(of_stripe), len(self.credits) - len(of_stripe)
        self.credits = of_stripe
        self.recent = {base_of(credit.name): None for credit in of_stripe if credit.at >= self._since}

    def _sharing_text(self, credit: Credit) -> Credit:
        """Return the credit with the texts of Stripe's side where they are equal: most are, and are held once."""
        sale = self._book.find(credit.all_names) or ()
        for part in sale:
            if part.session == credit.name and part.names == credit.names:
                return credit._replace(
                    name=part.session, names=part.names, at=part.at if part.at == credit.at else credit.at
                )
        held = {name: name for part in sale for name in part.all_names}
        return credit._replace(
            name=held.get(credit.name, credit.name), names=tuple(held.get(name, name) for name in credit.names)
        )

    def _add_later_names(self) -> None:
        """Add the names that later events told: they are claimed, but not on the topup."""
        positions: dict[str, list[int]] = {}
        for position, credit in enumerate(self.credits):
            positions.setdefault(credit.name, []).append(position)
        for claim in sound(self._store.claims.read()):
            for position in positions.get(claim.session, ()):
                credit = self.credits[position]
                if credit.org == claim.org and claim.name not in credit.all_names:
                    self.credits[position] = credit._replace(names=(*credit.names, claim.name))
