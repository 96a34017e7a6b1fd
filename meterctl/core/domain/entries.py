"""Entries: a draft gets its place in a journal, the state after it, and its hash."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from meterctl.core.domain.canonical import canonical_bytes, chain_hash
from meterctl.core.domain.due_events import due_at, next_due_of
from meterctl.core.domain.effects import Draft, apply
from meterctl.core.domain.policy import PlanBook, Terms
from meterctl.core.model import (
    DUE_ACTOR,
    EMPTY,
    FORMAT_VERSION,
    NO_HASH,
    Entry,
    Instant,
    State,
    lot_document,
    state_document,
    state_from_document,
)


class Stamp(NamedTuple):
    """The author and time of an entry. ``said`` is the time that the caller gave, if any."""

    actor: str
    reason: str | None
    recorded_at: Instant
    said: Instant | None = None
    approved_by: str | None = None


def undo_key(entry: Entry) -> str:
    """Return the key under which ``entry`` is taken back, if it can be."""
    if entry["kind"] == "refund":
        return entry["key"].replace("refund:", "refund-reversal:", 1)
    return f"undo:{entry['key']}"


#: The kinds whose entries can be taken back.
REVERSIBLE = frozenset({"topup", "debit", "refund", "adjustment", "usage"})


class BookedEntry(dict[str, Any]):
    """An entry as `book` made it. Its ``text`` is the canonical form that was hashed, with the hash in its place."""

    __slots__ = ("text",)
    text: bytes


def text_of(entry: Entry) -> bytes:
    """Return the canonical form of ``entry``, without writing it again where that was done to hash it."""
    return entry.text if isinstance(entry, BookedEntry) else canonical_bytes(entry)


def _seal(entry: dict[str, Any], prev: str) -> BookedEntry:
    """Give ``entry`` its hash."""
    covered = canonical_bytes(entry)
    entry["hash"] = digest = chain_hash(prev, covered)
    sealed_entry = BookedEntry(entry)
    if "hold" in entry or "imported" in entry:  # they stand between hash and input
        sealed_entry.text = canonical_bytes(entry)
    else:
        # No value of a field before it is an object called input, and in a text the quotes would be escaped.
        sealed_entry.text = covered.replace(b',"input":{', b',"hash":"%b","input":{' % digest.encode(), 1)
    return sealed_entry


class Tip(NamedTuple):
    """The end of a journal, as far as the next entry needs it. `START` before the first. ``form`` is the state's form
    in the entry, ``next_due`` the instant of the next due event, if the state has one."""

    seq: int
    at: Instant
    hash: str
    state: State
    form: Mapping[str, Any]
    next_due: Instant | None


START = Tip(0, Instant(""), NO_HASH, EMPTY, state_document(EMPTY), None)


def tip_of(entry: Entry | None) -> Tip:
    if entry is None:
        return START
    form = entry["state"]
    state = state_from_document(form)
    return Tip(entry["seq"], entry["at"], entry["hash"], state, form, next_due_of(state))


def _form_after(tip: Tip, state: State) -> dict[str, Any]:
    """Return the form of ``state``, the one after ``tip``. The forms of lots and of a week that did not change are used
    again: an org may have 1,000 lots."""
    known = {"week": tip.form["week"]} if state.week is tip.state.week else {}
    gone = len(tip.state.lots) - len(state.lots)
    if gone >= 0:  # lots are drawn, and mostly emptied, from the first one on
        pairs = zip(state.lots, tip.state.lots[gone:], tip.form["lots"][gone:], strict=True)
        known["lots"] = [form if lot is before else lot_document(lot) for lot, before, form in pairs]
    return state_document(state, known)


def book(
    org: str, tip: Tip, at: Instant, draft: Draft, stamp: Stamp, balance_alerts: Sequence[int] = ()
) -> tuple[Entry, Tip]:
    """Return the entry that ``draft`` becomes on top of ``tip``, and the tip it makes. ``at`` never goes back. The
    entry records which of ``balance_alerts`` the balance falls below with it."""
    seq, at = tip.seq + 1, max(at, tip.at)
    state = apply(tip.state, seq, draft.kind, draft.effects)
    form, balance = _form_after(tip, state), state.balance
    # Mostly in order of name, like the canonical form: sorting a sorted dictionary costs next to nothing.
    entry: dict[str, Any] = {
        "actor": stamp.actor,
        "amount": draft.amount,
        "at": at,
        "balance": balance,
        "input": draft.input,
        "key": draft.key,
        "kind": draft.kind,
        "org": org,
        "prev": tip.hash,
        "reason": stamp.reason,
        "recorded_at": stamp.recorded_at,
        "seq": seq,
        "state": form,
        "v": FORMAT_VERSION,
        **draft.effects,
    }
    before = balance - draft.amount
    if low := [level for level in balance_alerts if balance < level <= before]:
        entry["low"] = sorted(low, reverse=True)
    if stamp.said is not None and stamp.said != at:
        entry["occurred_at"] = stamp.said
    if stamp.approved_by is not None:
        entry["approved_by"] = stamp.approved_by
    sealed_entry = _seal(entry, tip.hash)
    return cast(Entry, sealed_entry), Tip(seq, at, sealed_entry["hash"], state, form, next_due_of(state))


def book_due(
    org: str, tip: Tip, until: Instant, terms: Terms, plans: PlanBook, recorded_at: Instant
) -> Iterator[tuple[Entry, Tip]]:
    """Book everything due by ``until`` on top of ``tip``, in order of its own instant. Ends: each event removes a
    lot, a hold or a dated plan, or lies a week ahead of the one before."""
    stamp = Stamp(DUE_ACTOR, None, recorded_at)
    while tip.next_due is not None and tip.next_due <= until:
        event = due_at(tip.next_due, tip.state, tip.seq + 1, terms, plans)
        entry, tip = book(org, tip, event.instant, event.draft, stamp, terms.balance_alerts)
        yield entry, tip
