"""Every failure, with its code, its exit code and the next step.

A `Refusal` is returned: a rule refused the operation, nothing was booked, and the receipt gives the reason. A
`MeterctlError` is raised: the operation could not start (bad input, bad config) or got no answer (store unreachable).
Only ``cli.main`` turns one into an exit code.
"""

import re
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

_PLAIN_WORD = r"[A-Za-z0-9_@%+=:,./-]+"

DONE = 0
UNEXPECTED = 1
USAGE = 2
NOT_FOUND = 3
REFUSED = 4
CONFLICT = 5
MOVED = 6
PARTIAL = 7
FINDINGS = 8
LOCK_HELD = 9
UNREACHABLE = 10
INTERRUPTED = 130


class Refusal(NamedTuple):
    """A refusal by a rule. ``code`` is one of `REFUSALS`; ``message`` gives the reason with the figures of the case.
    ``hint`` is the next step, if the case has a better one than its code."""

    code: str
    message: str
    hint: str | None = None


#: Every refusal: its exit code, and the operator's next step.
REFUSALS: dict[str, tuple[int, str]] = {
    "unknown_pack": (NOT_FOUND, "see the packs with: meterctl config show"),
    "unknown_session": (NOT_FOUND, "find the org of a payment with: meterctl ledger --session ID"),
    "unknown_refund": (NOT_FOUND, "see the refunds with: meterctl ledger ORG --kind refund"),
    "unknown_entry": (NOT_FOUND, "see the entries with: meterctl ledger ORG --all-kinds"),
    "unknown_plan": (NOT_FOUND, "see the plans with: meterctl plan list; publish one with: meterctl plan publish"),
    "unknown_plan_version": (NOT_FOUND, "see the versions with: meterctl plan show PLAN"),
    "session_claimed": (REFUSED, "undo the topup in the other org first, then credit this one"),
    "mode_mismatch": (REFUSED, "check the id; name another store (--store), or undo those payments first"),
    "insufficient_balance": (REFUSED, "see the lots with: meterctl balance ORG; or take it as debt: --allow-debt"),
    "undone": (REFUSED, "that topup was undone, so there is nothing to claw back; credit the session to the right org"),
    "refund_exceeds_payment": (REFUSED, "see the refunds so far with: meterctl ledger ORG --session ID"),
    "unknown_lot": (NOT_FOUND, "see the lots with: meterctl lot list ORG --all"),
    "unknown_hold": (NOT_FOUND, "see the holds with: meterctl balance ORG"),
    "unknown_currency": (REFUSED, "see the packs and their prices with: meterctl config show"),
    "amount_required": (REFUSED, "give the amount paid, tax included: --paid-cents N"),
    "entry_moved": (MOVED, "look at it with: meterctl ledger ORG --all-kinds; then name the right entry"),
    "week_closed": (REFUSED, "give the units back with: meterctl adjust ORG UNITS --ref REF --reason TEXT"),
    "not_undoable": (
        REFUSED,
        "only a debit, an adjustment, a topup or a run of the open week can be undone; a refund by: refund --reverse",
    ),
    "insufficient_lot": (REFUSED, "see the rest of each lot with: meterctl lot list ORG"),
    "lot_gone": (REFUSED, "see its history with: meterctl lot list ORG --all"),
    "too_many_lots": (REFUSED, "void or spend old lots first; see them with: meterctl lot list ORG"),
    "too_far_ahead": (REFUSED, "a hold lasts 31 days at most, and a plan is dated a year ahead at most"),
    "from_in_past": (REFUSED, "omit --from to assign the plan now"),
    "lot_partly_used": (REFUSED, "correct the rest with: meterctl adjust ORG -UNITS --ref REF --reason TEXT"),
    "no_open_week": (REFUSED, "there is no usage in this week yet, so there is nothing to reset"),
    "invalid_cost": (REFUSED, "a cost is a decimal number of US dollars >= 0, such as 0.0125"),
    "in_future": (REFUSED, "omit --at to book it now; check this machine's clock"),
    "expires_in_past": (REFUSED, "give an --expires after the time of the operation"),
    "amount_out_of_range": (REFUSED, "units and their sums stay within 2^53 - 1"),
    "over_limit": (REFUSED, "check the amount; to book it all the same: --over-limit"),
    "over_debt_limit": (REFUSED, "see the debt with: meterctl balance ORG; to book it all the same: --over-limit"),
    "needs_approval": (REFUSED, "save it with --plan-out FILE, and let somebody else run: meterctl apply FILE"),
    "not_as_expected": (MOVED, "see the new entries with: meterctl ledger ORG --all-kinds; then decide again"),
    "moved": (MOVED, "look at it with: meterctl ledger ORG --all-kinds; then plan it again"),
}


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, such as ``1 unit``, ``1,000 units``, ``2 entries``."""
    if abs(count) == 1:
        return f"{count:,} {noun}"
    return f"{count:,} {noun[:-1]}ies" if noun.endswith("ry") else f"{count:,} {noun}s"


def shell_word(word: str) -> str:
    """Return ``word`` quoted for a shell, because an id may contain a | or a #."""
    if re.fullmatch(_PLAIN_WORD, word):
        return word
    return "'" + word.replace("'", "'\\''") + "'"


def shell_command(*words: object) -> str:
    """Return a meterctl command to suggest: each word is quoted for a shell where it has to be."""
    return " ".join(("meterctl", *(shell_word(str(word)) for word in words)))


def with_org(hint: str, org: str) -> str:
    """Return a hint with the org's id in place of the word ORG."""
    return re.sub(r"(?<!\S)ORG(?=[\s;,]|$)", lambda _: shell_word(org), hint)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" with the known word nearest to ``word``; empty if none is near."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


class MeterctlError(Exception):
    """A failure: the event (``message``), its stable ``code``, and the next step (``hint``)."""

    code = "error"
    exit_code = UNEXPECTED
    hint = ""

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint
        if code is not None:
            self.code = code


class BadInput(MeterctlError):
    """A value is not valid here. Nothing was read or written."""

    code = "bad_input"
    exit_code = USAGE
    hint = "see the command's --help"


@contextmanager
def name_source(place: str) -> Iterator[None]:
    """Prefix bad-input errors of the block with ``place``: the option or variable that holds the value."""
    try:
        yield
    except BadInput as problem:
        raise BadInput(f"{place}: {problem.message}", hint=problem.hint, code=problem.code) from None


class BadConfig(MeterctlError):
    """The config file cannot be used; the message names file, key and a right value."""

    code = "bad_config"
    exit_code = USAGE
    hint = "correct the file; see all keys and defaults with: meterctl config show --config /dev/null"


class NotFound(MeterctlError):
    """Nothing has that name."""

    code = "not_found"
    exit_code = NOT_FOUND


class StoreUnreachable(MeterctlError):
    """The store did not answer in time. The last write may have taken effect: run the same command again."""

    code = "store_unreachable"
    exit_code = UNREACHABLE
    hint = "nothing is lost: run the same command again, it books nothing twice; check with: meterctl doctor"


class StoreUnusable(MeterctlError):
    """The store answered, but cannot be used: a read-only file, a full disk, a missing right."""

    code = "store_unusable"
    exit_code = UNREACHABLE
    hint = "check path, rights and free space; then run the same command again"


class StoreDamaged(StoreUnusable):
    """The store's file format is broken, for example a page. Nothing may be booked on it any more."""

    code = "store_damaged"
    hint = "book nothing more: keep a copy, restore the last backup; see the damage with: meterctl doctor"


class Damaged(StoreDamaged):
    """A document in the store is foreign, or was changed after it was written. Nothing was booked on it.

    ``org`` and ``seq``, or ``plan``, name it if they are known.
    """

    code = "damaged"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        org: str | None = None,
        seq: int | None = None,
        plan: str | None = None,
    ) -> None:
        check = shell_command("verify", "--all" if org is None else org)
        see = f"see all damage with: {check}; then restore a backup"
        super().__init__(message, hint=hint or see)
        self.org = org
        self.seq = seq
        self.plan = plan


def index_missing(place: str) -> StoreUnusable:
    """Return the error for a store that lost an index which its journal needs."""
    return StoreUnusable(
        f"{place} lacks an index that keeps journals consistent or finds their entries",
        code="index_missing",
        hint="see it: meterctl doctor; create it: meterctl init; then check the journals: meterctl verify --all",
    )


class NoJournal(MeterctlError):
    """The store has no journal, and the command requires one."""

    code = "no_journal"
    exit_code = UNREACHABLE
    hint = "check --store and METERCTL_STORE; for a new, empty store leave out --require-journal"


class ClockSkew(MeterctlError):
    """This machine's clock differs too much from the database server's. Nothing was booked."""

    code = "clock_skew"
    exit_code = UNREACHABLE
    hint = "nothing was booked: set both clocks by NTP, then run the same command again; compare them: meterctl doctor"


class ClockJump(MeterctlError):
    """This machine's clock is far from the last write to the store's file. Nothing was booked."""

    code = "clock_jump"
    exit_code = UNREACHABLE
    hint = "nothing was booked: check this machine's clock with: date; if it is right, run the same again with --yes"


class StripeUnavailable(MeterctlError):
    """Stripe cannot be queried: no valid key, no answer, too many requests. Nothing was booked."""

    code = "stripe_unreachable"
    exit_code = UNREACHABLE
    hint = "nothing was booked: run the same command again later; Stripe's state is at status.stripe.com"


class PaymentRefused(MeterctlError):
    """A payment at Stripe breaks a rule, named by ``code``. Nothing was booked."""

    code = "payment_refused"
    exit_code = REFUSED
    hint = "look at the payment in Stripe's dashboard"


class Interrupted(MeterctlError):
    """The process got Ctrl-C or SIGTERM."""

    code = "interrupted"
    exit_code = INTERRUPTED


class AnswerLost(MeterctlError):
    """Standard output cannot be written, for example on a full disk. The command may have booked."""

    code = "answer_lost"
    hint = "free some space, then run the same command again: it books nothing twice"


class LockHeld(MeterctlError):
    """Another process holds the lock and the caller asked to fail rather than to skip."""

    code = "lock_held"
    exit_code = LOCK_HELD
    hint = "see it with: meterctl lock list"


Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


def read_apart(
    read: Callable[[Collection[Key]], Mapping[Key, Item]], names: Collection[Key]
) -> tuple[dict[Key, Item], dict[Key, Damaged]]:
    """Return the items of ``read`` by name, and the damaged ones. If one is damaged, each is read alone: it must not
    hide the others."""
    try:
        return dict(read(names)), {}
    except Damaged as problem:
        if len(names) == 1:
            return {}, dict.fromkeys(names, problem)
    found: dict[Key, Item] = {}
    damaged: dict[Key, Damaged] = {}
    for name in names:
        items, problems = read_apart(read, [name])
        found |= items
        damaged |= problems
    return found, damaged


def raise_if_damaged(item: Item | Damaged) -> Item:
    """Return ``item``; raise it if it is `Damaged`."""
    if isinstance(item, Damaged):
        raise item
    return item


def undamaged(items: Iterable[Item | Damaged]) -> Iterator[Item]:
    """Yield the items; raise the first damaged one, because a copy must be complete."""
    return map(raise_if_damaged, items)


def sound(items: Iterable[Item | Damaged]) -> Iterator[Item]:
    """Yield the items without the damaged ones, for callers that can work with the rest."""
    return (item for item in items if not isinstance(item, Damaged))
