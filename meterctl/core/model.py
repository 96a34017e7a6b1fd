"""The words of meterctl, one meaning each, and the shapes that carry them.

Glossary
========

org         the customer that holds units; it owns one journal
unit        what is metered and sold; an integer, ``|n| <= MAX_UNITS``
cent        minor unit of a currency; money is an integer of cents
instant     a moment in UTC, in milliseconds, in its printed form (see `Instant`)
entry       one immutable document of a journal: an event, its effects, the state after it
journal     the entries of an org in order of ``seq`` = 1, 2, 3 ... without a gap
key         what makes an operation happen once: used once per org, for ever
operation   what a caller asks for; see `meterctl.core.domain.operations`
lot         units that were credited together and expire together; named by the ``seq`` that opened it
pack        a priced number of units as sold; its topup opens a lot
session     the payment reference of a pack (a checkout session)
name        any id of a payment: its checkout session, intent, charge or invoice; one of them is the session
claim       the fact that a name of a payment belongs to one org
priority    0-100: lots with a lower number are drawn first; 50 unless a pack or a grant says otherwise
draw        units taken from one lot
hold        units reserved for a run that is under way; drawn from no lot, and let go at its expiry at the latest
debt        units below zero: ``owed`` (clawbacks, forced debits) and ``overage`` (usage beyond quota and lots)
repaid      the part of a credit that went into debt
clawback    units taken back because money was given back
forgiven    units a refund would claw but may not, because they are gone already
forfeited   units an undo cannot give back, because their lot has expired meanwhile
week        an ISO week of metered usage, Monday 00:00 UTC to the next; ``cycle`` counts forced resets in it
quota       units a plan grants each week
used        units counted against the quota of the week
overflow    the part of a usage above the quota
uncovered   overflow that was neither drawn nor booked (``overage = "absorb"``)
uncounted   usage that an undo took out of the open week again
settled     overage paid from the next week's quota
rolled over unused quota of a week that became a lot when the week ended
alert       a percent of the quota that ``used`` has reached
low         a balance that an entry fell below
plan        a name for quota and ratios; its versions are immutable
tip         the newest entry of a journal
head        a cache of an org's tip, for sweeps and listings
due         an expiry, a hold's or a week's end, or a dated plan that lies in the past but is not booked yet
receipt     what a write answers
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, NewType, NotRequired, TypedDict

#: The largest integer that every JSON reader keeps exact.
MAX_UNITS = 2**53 - 1

#: Version of the entry format; an entry says which one it was written in.
FORMAT_VERSION = 1

#: ``prev`` of an org's first entry.
NO_HASH = "0" * 64

#: Who books due events. They are the same whoever triggers them, so they carry no caller's name.
DUE_ACTOR = "meterctl"

#: A moment in UTC as ``2026-11-22T10:03:00.000Z``. The width is fixed, so text order is time order,
#: and one form serves rules, stores, hash and JSON. Made by `meterctl.core.domain.instants`.
Instant = NewType("Instant", str)

Kind = Literal[
    "topup",
    "debit",
    "refund",
    "expiration",
    "adjustment",
    "reversal",
    "usage",
    "reset",
    "plan",
    "extension",
    "hold",
    "release",
]

#: What the amount of a kind may be.
Sign = Literal["> 0", "< 0", ">= 0", "<= 0", "!= 0", "= 0", "any"]

#: The one table of kinds: both stores and `verify` make their checks of it.
SIGNS: dict[Kind, Sign] = {
    "topup": "> 0",
    "debit": "< 0",
    "refund": "<= 0",
    "expiration": "< 0",
    "adjustment": "!= 0",
    "reversal": "any",
    "usage": "<= 0",
    "reset": ">= 0",
    "plan": "= 0",
    "extension": "= 0",
    "hold": "= 0",
    "release": "= 0",
}

KINDS: tuple[Kind, ...] = tuple(SIGNS)

#: The priority of a lot that nobody gave one.
PRIORITY = 50

#: Live lots that an org may have: each of its entries carries them all.
MOST_LOTS = 1000


class Lot(NamedTuple):
    """Live units of one credit. ``remaining`` > 0; ``expires_at`` None means never; ``paid``: of a topup."""

    id: int
    remaining: int
    expires_at: Instant | None
    priority: int = PRIORITY
    paid: bool = False


class Debt(NamedTuple):
    """Units below zero, by where they came from. Both >= 0."""

    owed: int
    overage: int

    @property
    def total(self) -> int:
        return self.owed + self.overage


NO_DEBT = Debt(0, 0)


#: Where a week's overflow came from: the id of a lot, ``debt``, or ``uncovered``.
Source = int | str


class Overflow(NamedTuple):
    """A part of a week's usage beyond its quota, by its source."""

    source: Source
    units: int


class Week(NamedTuple):
    """An open meter week with the plan snapshot it was opened under. ``overflow`` stands in the order booked."""

    key: str
    cycle: int
    plan: str
    version: int
    quota: int
    used: int
    uncovered: int
    breakdown: Mapping[str, int]
    alerts: tuple[int, ...]
    overflow: tuple[Overflow, ...] = ()


class NextPlan(NamedTuple):
    """A plan that takes effect at ``from_at``; ``entry`` is the seq of the assignment."""

    plan: str
    from_at: Instant
    entry: int


class Reservation(NamedTuple):
    """Units reserved until ``expires_at``; ``id`` is the ref that it was placed under."""

    id: str
    units: int
    expires_at: Instant


class State(NamedTuple):
    """Everything that is true of an org between two entries. ``lots`` stand in draw order, ``holds`` in order of
    expiry; ``plan`` None means the config's default plan."""

    lots: tuple[Lot, ...]
    debt: Debt
    plan: str | None
    week: Week | None
    next_plan: NextPlan | None = None
    holds: tuple[Reservation, ...] = ()

    @property
    def balance(self) -> int:
        return sum([lot.remaining for lot in self.lots]) - self.debt.owed - self.debt.overage

    @property
    def held(self) -> int:
        """Units that holds reserve."""
        return sum(hold.units for hold in self.holds) if self.holds else 0


EMPTY = State((), NO_DEBT, None, None)


class Claim(NamedTuple):
    """One ``name`` of a payment belongs to ``org``, which books the payment under ``session``.

    The session is empty once a credit was answered with the booking of another name of its payment. The org keeps the
    name, since another writer may still be crediting it there, but no credit is missing.
    """

    name: str
    org: str
    session: str

    @property
    def topup_key(self) -> str | None:
        """The key of the topup that must follow the claim, or None if none must."""
        return f"session:{self.session}" if self.session else None


class PlanVersion(NamedTuple):
    """One immutable version of a plan. ``ratios`` are decimal texts by feature, ``default`` for the rest. Up to
    ``rollover_max`` units of unused quota become a lot that lives for ``rollover_weeks``."""

    plan: str
    version: int
    weekly_quota: int
    ratios: Mapping[str, str]
    effective_from: Instant
    published_at: Instant
    actor: str
    reason: str | None
    rollover_max: int = 0
    rollover_weeks: int = 1


class Draw(TypedDict):
    """Units taken from a lot; on ``restored`` also expiry, priority and paid, with which the lot opens again."""

    lot: int
    units: int
    expires_at: NotRequired[Instant | None]
    priority: NotRequired[int]
    paid: NotRequired[bool]


class Entry(TypedDict):
    """One entry, as it is hashed, stored, exported and printed: there is no other form.

    The fields up to ``hash`` are on every entry; the effects after them only where they say something.
    """

    v: int
    org: str
    seq: int
    key: str
    kind: Kind
    amount: int
    balance: int
    at: Instant
    recorded_at: Instant
    actor: str
    reason: str | None
    input: dict[str, Any]
    state: dict[str, Any]
    prev: str
    hash: str

    occurred_at: NotRequired[Instant]
    approved_by: NotRequired[str]
    # Shown, never stored: the entry is due but not booked yet.
    pending: NotRequired[bool]

    # What a credit opens, a clawback aims at, an expiry ends, an extension changes.
    lot: NotRequired[int]
    units: NotRequired[int]
    expires_at: NotRequired[Instant | None]
    priority: NotRequired[int]
    repaid: NotRequired[dict[str, int]]
    # A pack as sold.
    pack: NotRequired[str]
    session: NotRequired[str]
    quantity: NotRequired[int]
    paid_cents: NotRequired[int]
    tax_cents: NotRequired[int]
    currency: NotRequired[str]
    names: NotRequired[list[str]]
    # What was taken: from lots, and the rest as debt.
    draws: NotRequired[list[Draw]]
    debt: NotRequired[dict[str, int]]
    # The one lot that an operator voided.
    voids: NotRequired[int]
    # A refund.
    refund_id: NotRequired[str]
    cents: NotRequired[int]
    forgiven: NotRequired[int]
    # A reversal.
    reverses: NotRequired[int]
    restored: NotRequired[list[Draw]]
    forfeited: NotRequired[list[Draw]]
    voided: NotRequired[Draw]
    uncounted: NotRequired[dict[str, Any]]
    # Metered usage.
    run: NotRequired[str]
    step: NotRequired[str]
    week: NotRequired[str]
    cycle: NotRequired[int]
    plan: NotRequired[str]
    version: NotRequired[int]
    quota: NotRequired[int]
    breakdown: NotRequired[dict[str, int]]
    capped_from: NotRequired[int]
    overflow: NotRequired[int]
    uncovered: NotRequired[int]
    alerts: NotRequired[list[int]]
    # Balances that this entry fell below, descending.
    low: NotRequired[list[int]]
    # Units reserved and let go.
    hold: NotRequired[str]
    released: NotRequired[dict[str, Any]]
    # Weeks: the one that ended, the one that begins.
    closed: NotRequired[dict[str, Any]]
    opened: NotRequired[dict[str, Any]]
    settled: NotRequired[int]
    # History of another system: its name, and the old thing's id and kind.
    imported: NotRequired[dict[str, str]]


_make = tuple.__new__


def lot_document(lot: Lot) -> dict[str, Any]:
    """Return the form of a lot inside a state: priority and paid only where they say something."""
    document: dict[str, Any] = {"id": lot.id, "remaining": lot.remaining, "expires_at": lot.expires_at}
    if lot.priority != PRIORITY:
        document["priority"] = lot.priority
    if lot.paid:
        document["paid"] = True
    return document


def week_document(week: Week) -> dict[str, Any]:
    """Return the form of a week inside an entry."""
    document: dict[str, Any] = {
        "key": week.key,
        "cycle": week.cycle,
        "plan": week.plan,
        "version": week.version,
        "quota": week.quota,
        "used": week.used,
        "uncovered": week.uncovered,
        "breakdown": dict(week.breakdown),
        "alerts": list(week.alerts),
    }
    if week.overflow:
        document["overflow"] = [{"from": source, "units": units} for source, units in week.overflow]
    return document


def week_from_document(document: Mapping[str, Any]) -> Week:
    """Return the week that an entry holds; the inverse of `week_document`."""
    parts = document.get("overflow", ())
    overflow = tuple(Overflow(part["from"], part["units"]) for part in parts)
    return Week(**{**document, "alerts": tuple(document["alerts"]), "overflow": overflow})


def state_document(state: State, known: Mapping[str, Any] = {}) -> dict[str, Any]:
    """Return the form of a state inside an entry. ``known`` may hold the forms of its lots and of its week."""
    lots, debt, plan, week, coming, holds = state
    document: dict[str, Any] = {
        "lots": known["lots"] if "lots" in known else [lot_document(lot) for lot in lots],
        "debt": {"owed": debt.owed, "overage": debt.overage},
        "plan": plan,
        "week": None if week is None else known.get("week") or week_document(week),
    }
    if coming is not None:
        document["next_plan"] = {"plan": coming.plan, "from": coming.from_at, "entry": coming.entry}
    if holds:
        document["holds"] = [hold._asdict() for hold in holds]
    return document


def state_from_document(document: Mapping[str, Any]) -> State:
    """Return the state an entry holds; the inverse of `state_document`."""
    week, coming = document["week"], document.get("next_plan")
    return State(
        # There may be 1,000 lots. A generator takes a third longer, `Lot` itself twice as long.
        tuple(
            [
                _make(
                    Lot, (lot["id"], lot["remaining"], lot["expires_at"], lot.get("priority", PRIORITY), "paid" in lot)
                )
                for lot in document["lots"]
            ]
        ),
        Debt(document["debt"]["owed"], document["debt"]["overage"]),
        document["plan"],
        None if week is None else week_from_document(week),
        None if coming is None else NextPlan(coming["plan"], coming["from"], coming["entry"]),
        tuple(Reservation(**hold) for hold in document.get("holds", ())),
    )


def state_after(entry: Entry | None) -> State:
    """Return the state an org is in after ``entry``; an org without a journal is empty."""
    return EMPTY if entry is None else state_from_document(entry["state"])
