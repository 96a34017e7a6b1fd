"""Plausible entries, heads and plan versions for tests of stores, which keep what they are given without judging it."""

from functools import cache
from typing import Any, cast

from meterctl.core.domain.canonical import entry_hash
from meterctl.core.domain.due_events import next_due_of, next_expiry_of
from meterctl.core.errors import sound
from meterctl.core.model import (
    EMPTY,
    NO_HASH,
    Claim,
    Entry,
    Instant,
    Kind,
    Lot,
    PlanVersion,
    Reservation,
    state_document,
)
from meterctl.core.ports import Head, Store
from tests.journals import ORGS, journal

AT = Instant("2026-11-22T10:03:00.000Z")

#: An amount of the right sign for each kind.
AMOUNTS: dict[Kind, int] = {
    "topup": 1000,
    "debit": -5,
    "refund": -20,
    "expiration": -7,
    "adjustment": 3,
    "reversal": 20,
    "usage": 0,
    "reset": 0,
    "plan": 0,
    "extension": 0,
    "hold": 0,
    "release": 0,
}


def make_entry(
    org: str = "acme",
    seq: int = 1,
    *,
    key: str | None = None,
    kind: Kind = "debit",
    amount: int | None = None,
    **fields: Any,
) -> Entry:
    """An entry with a true hash. ``fields`` are effects, or take the place of what is filled in here."""
    entry: dict[str, Any] = {
        **_likeness(kind, frozenset(fields)),
        "v": 1,
        "org": org,
        "seq": seq,
        "key": key or f"{kind}:ref-{seq}",
        "kind": kind,
        "amount": AMOUNTS[kind] if amount is None else amount,
        "balance": 0,
        "at": AT,
        "recorded_at": AT,
        "actor": "tester",
        "reason": None,
        "state": state_document(EMPTY),
        "prev": NO_HASH,
        **fields,
    }
    return cast(Entry, {**entry, "hash": entry_hash(entry)})


# Told here, and not when it is needed: some tests fork while threads make entries.
_STORY: list[Any] = [entry for org in ORGS for entry in journal(org)]


@cache
def _likeness(kind: str, names: frozenset[str]) -> dict[str, Any]:
    """Input and effects of an entry of this kind, one with as many of these fields as there is."""
    entries = (entry for entry in _STORY if entry["kind"] == kind)
    none: dict[str, Any] = {}
    like = max(entries, key=lambda entry: (len(names & entry.keys()), -len(entry)), default=none)
    return {name: like[name] for name in like if name not in ("occurred_at", "alerts", "approved_by")}


def make_entries(org: str, count: int, *, first: int = 1, **fields: Any) -> list[Entry]:
    """``count`` entries of ``org`` from seq ``first`` on."""
    return [make_entry(org, seq, **fields) for seq in range(first, first + count)]


def make_head(org: str = "acme", seq: int = 1, *, expiry: str | None = None, due: str | None = None) -> Head:
    """Return a head of a state that fits it; ``due`` is when something but an expiry becomes due."""
    entry = make_entry(org, seq)
    lots = () if expiry is None else (Lot(1, 1, Instant(expiry)),)
    holds = () if due is None else (Reservation("job", 1, Instant(due)),)
    state = EMPTY._replace(lots=lots, holds=holds)
    return Head(
        org,
        seq,
        entry["key"],
        entry["hash"],
        state_document(state),
        state.balance,
        entry["at"],
        next_expiry_of(state),
        next_due_of(state),
    )


def make_claim(name: str, org: str, session: str | None = None) -> Claim:
    """Return a claim on a payment that has one name alone, unless told otherwise."""
    return Claim(name, org, session or name)


def holders(store: Store) -> dict[str, str]:
    """Return the org that holds each name."""
    return {claim.name: claim.org for claim in sound(store.claims.read())}


def make_version(plan: str = "pro", version: int = 1, **fields: Any) -> PlanVersion:
    """A plan version with a quota that tells it from the others."""
    made = PlanVersion(plan, version, 1000 * version, {"default": "1", "llm": "1.25"}, AT, AT, "tester", None)
    return made._replace(**fields)
