"""Word the receipt of an operation from the decision on it."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from meterctl.core.booking.journal_view import names_of
from meterctl.core.booking.price_warnings import price_warnings
from meterctl.core.domain.operations import Attribute, CreditPack, Operation
from meterctl.core.domain.policy import Terms
from meterctl.core.domain.rules import Idle
from meterctl.core.domain.unit_operations import name_anew
from meterctl.core.errors import Damaged, Refusal, shell_word
from meterctl.core.model import Entry, Instant
from meterctl.core.results import Receipt, Status, Warning

if TYPE_CHECKING:
    from meterctl.core.documents.writing import Difference

#: Parameters that a repeat may omit: the values of the first booking then apply.
_LEFT_OUT = frozenset({"paid_cents", "currency", "expires_at"})


class Wording(NamedTuple):
    """The status and verb in the receipts of one call: a dry run books nothing."""

    status: Status
    verb: str


BOOKING, PLANNING = Wording("applied", "booked"), Wording("planned", "would book")

#: The decision on a sweep of an org that has no due events.
NOTHING_DUE = Idle("unchanged", "nothing is due")


def in_future(at: Instant, now: Instant) -> Refusal:
    """Refuse a request whose time lies too far ahead of the clock."""
    return Refusal("in_future", f"{at} is more than five minutes ahead of now ({now})")


def nothing(operation: Operation, decision: Refusal | Idle, balance: int) -> Receipt:
    """Answer an operation that books nothing."""
    if isinstance(decision, Idle):
        status, reason, hint = decision.status, None, None
    else:
        status, reason, hint = "refused", decision.code, decision.hint  # type: ignore[assignment]
    return Receipt(
        operation.name,
        operation.org,
        operation.key,
        status,
        balance,
        decision.message,
        reason=reason,
        own_hint=hint,
    )


def failed(operation: Operation, problem: Damaged) -> Receipt:
    """Answer an operation that was not booked because its org's journal is damaged."""
    message = f"not booked: {problem.message}; {problem.hint}"
    return Receipt(operation.name, operation.org, operation.key, "failed", 0, message, problem=problem)


def booked(
    operation: Operation, entries: Sequence[Entry], balance: int, wording: Wording, terms: Terms, now: Instant
) -> Receipt:
    """Answer an operation that books the last of ``entries``; the others are due events. ``balance`` is the org's
    balance now, with every event due by now."""
    entry, also = entries[-1], tuple(entries[:-1])
    amount = entry["amount"]
    units = f"{amount:+,} {'unit' if abs(amount) == 1 else 'units'}"  # no call: a line of a file has a message too
    message = f"{wording.verb} {units} as entry {entry['seq']}; the balance is {balance:,}"
    receipt = Receipt(operation.name, entry["org"], entry["key"], wording.status, balance, message, None, entry, also)
    receipt.warnings = tuple(_warnings(operation, entries, terms, now))
    return receipt


def only_due(operation: Operation, also: tuple[Entry, ...], balance: int, wording: Wording) -> Receipt:
    """Answer a sweep of one org that books due events."""
    return Receipt(operation.name, operation.org, operation.key, wording.status, balance, f"{len(also)} due", also=also)


def repeated(
    operation: Operation, first: Entry, undo: Entry | None, balance: int, session: str | None = None
) -> Receipt:
    """Answer an operation that was booked before as ``first``: a replay, or a conflict where parameters differ.

    ``undo`` is the entry that undid ``first``. ``session`` is the payment of a refund that names it differently.
    """
    if session is not None:
        operation = _same_payment(first, operation, session)
    # Imported history kept no input to compare with.
    diff = {} if "imported" in first else _difference(first, operation)
    status: Status = "conflict" if diff else "replayed"
    if diff:
        message = f"{first['key']} was used for something else: {_differ(diff)}"
    else:
        message = f"booked before, as entry {first['seq']}; nothing was booked now"
    return Receipt(
        operation.name,
        operation.org,
        operation.key,
        status,
        balance,
        message if undo is None else f"{message}; undone by entry {undo['seq']}",
        entry=first,
        diff=diff or None,
        undone_by=None if undo is None else undo["seq"],
        own_hint=_anew(first) if diff and undo is not None and isinstance(operation, CreditPack) else None,
    )


def _anew(topup: Entry) -> str:
    """Return the way to credit the payment of an undone topup anew."""
    names = names_of(topup)
    more = " ".join(f"--name {shell_word(name)}" for name in names)
    return f"to credit the payment anew, give it another session: --session {shell_word(name_anew(names[0]))} {more}"


def _warnings(operation: Operation, entries: Sequence[Entry], terms: Terms, now: Instant) -> Iterator[Warning]:
    """Yield the points that an operator should see about an entry that is booked."""
    entry = entries[-1]
    if entries[0]["seq"] == 1:
        yield Warning("new_org", f"{entry['org']} had no journal until now")
    if "occurred_at" in entry:
        message = f"it says {entry['occurred_at']}, and took effect at {entry['at']}, behind newer entries of its org"
        yield Warning("took_effect_later", message)
    expires_at = entry.get("expires_at") if entry["kind"] in ("topup", "adjustment") else None
    if expires_at is not None and expires_at <= now:
        yield Warning("expired_on_arrival", f"the units expired at {expires_at}: they are not in the balance")
    if isinstance(operation, CreditPack):
        yield from price_warnings(entry, terms)
    if isinstance(operation, Attribute) and operation.hold is not None and "released" not in entry:
        yield Warning(
            "hold_ran_out", f"nothing was held under {operation.hold} any more; the run is booked all the same"
        )


def _difference(first: Entry, operation: Operation) -> "dict[str, Difference]":
    """Return the parameters in which a repeat differs. A payment's names do not count."""
    before, now = first["input"], operation.parameters()
    if isinstance(operation, CreditPack):
        before = {**before, "expires_at": first.get("expires_at"), "session": now["session"]}
    names: Iterable[str] = sorted({*before, *now})
    return {
        name: {"first": before.get(name), "now": now.get(name)}
        for name in names
        if before.get(name) != now.get(name) and not (name in _LEFT_OUT and _may_be_left_out(operation, now.get(name)))
    }


def _may_be_left_out(operation: Operation, value: object) -> bool:
    return isinstance(operation, CreditPack) and value is None


def _differ(names: Collection[str]) -> str:
    """Return ``units differ`` or ``plan differs``: some parameters are plurals by themselves."""
    one = len(names) == 1 and not any(name.endswith("s") for name in names)
    return f"{', '.join(names)} {'differs' if one else 'differ'}"


def _same_payment(first: Mapping[str, Any], operation: Operation, session: str) -> Operation:
    """Return ``operation`` with the ``session`` under which its payment was booked, if ``first`` has that session."""
    from dataclasses import replace

    return replace(operation, session=session) if session == first.get("session") else operation  # type: ignore[call-arg]
