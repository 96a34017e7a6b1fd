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
claim       the fact that a session belongs to one org
draw        units taken from one lot
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
settled     overage paid from the next week's quota
alert       a percent of the quota that ``used`` has reached
plan        a name for quota and ratios; its versions are immutable
tip         the newest entry of a journal
head        a cache of an org's tip, for sweeps and listings
due         an expiry or a week's end that lies in the past but is not booked yet
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

Kind = Literal["topup", "debit", "refund", "expiration", "adjustment", "reversal", "usage", "reset", "plan"]

KINDS: tuple[Kind, ...] = (
    "topup",
    "debit",
    "refund",
    "expiration",
    "adjustment",
    "reversal",
    "usage",
    "reset",
    "plan",
)


class Lot(NamedTuple):
    """Live units of one credit. ``remaining`` > 0; ``expires_at`` None means never."""

    id: int
    remaining: int
    expires_at: Instant | None


class Debt(NamedTuple):
    """Units below zero, by where they came from. Both >= 0."""

    owed: int
    overage: int

    @property
    def total(self) -> int:
        return self.owed + self.overage


NO_DEBT = Debt(0, 0)


class Week(NamedTuple):
    """An open meter week with the plan snapshot it was opened under."""

    key: str
    cycle: int
    plan: str
    version: int
    quota: int
    used: int
    uncovered: int
    breakdown: Mapping[str, int]
    alerts: tuple[int, ...]


class State(NamedTuple):
    """Everything that is true of an org between two entries. ``lots`` stand in draw order; ``plan`` None
    means the config's default plan."""

    lots: tuple[Lot, ...]
    debt: Debt
    plan: str | None
    week: Week | None

    @property
    def balance(self) -> int:
        return sum(lot.remaining for lot in self.lots) - self.debt.owed - self.debt.overage


EMPTY = State((), NO_DEBT, None, None)


class PlanVersion(NamedTuple):
    """One immutable version of a plan. ``ratios`` are decimal texts by feature, ``default`` for the rest."""

    plan: str
    version: int
    weekly_quota: int
    ratios: Mapping[str, str]
    effective_from: Instant
    published_at: Instant
    actor: str
    reason: str | None


class Draw(TypedDict):
    """Units taken from a lot; on ``restored`` also the expiry with which the lot opens again."""

    lot: int
    units: int
    expires_at: NotRequired[str | None]


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
    # Shown, never stored: the entry is due but not booked yet.
    pending: NotRequired[bool]

    # What a credit opens, a clawback aims at, an expiry ends.
    lot: NotRequired[int]
    units: NotRequired[int]
    expires_at: NotRequired[Instant | None]
    repaid: NotRequired[dict[str, int]]
    # A pack as sold.
    pack: NotRequired[str]
    session: NotRequired[str]
    paid_cents: NotRequired[int]
    currency: NotRequired[str]
    # What was taken: from lots, and the rest as debt.
    draws: NotRequired[list[Draw]]
    debt: NotRequired[dict[str, int]]
    # A refund.
    refund_id: NotRequired[str]
    cents: NotRequired[int]
    forgiven: NotRequired[int]
    # A reversal.
    reverses: NotRequired[int]
    restored: NotRequired[list[Draw]]
    forfeited: NotRequired[list[Draw]]
    voided: NotRequired[Draw]
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
    # Weeks: the one that ended, the one that begins.
    closed: NotRequired[dict[str, Any]]
    opened: NotRequired[dict[str, Any]]
    settled: NotRequired[int]


def lot_document(lot: Lot) -> dict[str, Any]:
    return {"id": lot.id, "remaining": lot.remaining, "expires_at": lot.expires_at}


def week_document(week: Week) -> dict[str, Any]:
    return {
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


def week_from_document(document: Mapping[str, Any]) -> Week:
    return Week(**{**document, "alerts": tuple(document["alerts"])})


def state_document(state: State) -> dict[str, Any]:
    """The form of a state inside an entry."""
    return {
        "lots": [lot_document(lot) for lot in state.lots],
        "debt": {"owed": state.debt.owed, "overage": state.debt.overage},
        "plan": state.plan,
        "week": None if state.week is None else week_document(state.week),
    }


def state_from_document(document: Mapping[str, Any]) -> State:
    """The state an entry holds; the inverse of `state_document`."""
    week = document["week"]
    return State(
        tuple(Lot(lot["id"], lot["remaining"], lot["expires_at"]) for lot in document["lots"]),
        Debt(document["debt"]["owed"], document["debt"]["overage"]),
        document["plan"],
        None if week is None else week_from_document(week),
    )


def state_after(entry: Entry | None) -> State:
    """The state an org is in after ``entry``; an org without a journal is empty."""
    return EMPTY if entry is None else state_from_document(entry["state"])
