"""Match the payments of a file with the journal: the same cases for any provider."""

from collections.abc import Collection, Iterable

from meterctl.core.payments.booked import credits_for
from meterctl.core.payments.payments import Unreadable
from meterctl.core.payments.reconcile.findings import Case
from meterctl.core.payments.reconcile.gather import BothSides
from meterctl.core.payments.reconcile.neutral import BadLine, NeutralPayment
from meterctl.core.ports import Store

#: The most unreadable lines to list; the others are counted. A file of another kind has a million of them.
MOST_UNREADABLE = 10


def gather_file(lines: Iterable[NeutralPayment | BadLine], store: Store, ignore: Collection[str]) -> BothSides:
    """Return a case for each payment of the file; the last of several lines for one payment wins."""
    by_session: dict[str, NeutralPayment] = {}
    unreadable: list[Unreadable] = []
    foreign = bad = 0
    for line in lines:
        if isinstance(line, BadLine):
            bad += 1
            if bad <= MOST_UNREADABLE:
                fix = line.problem.hint or "correct the line, then compare again"
                unreadable.append(Unreadable(f"line {line.line}", line.problem.message, fix))
        elif any(name in ignore for name in line.payment.all_names):
            foreign += 1
        else:
            by_session[line.payment.session] = line
    for session, message in _sharing_a_name(by_session.values()).items():
        del by_session[session]
        bad += 1
        if bad <= MOST_UNREADABLE:
            unreadable.append(Unreadable(session, message, _SHARED))
    cases = [
        Case(name, one.payment, one.givebacks, tuple(credits_for(store, one.payment.all_names)))
        for name, one in by_session.items()
    ]
    givebacks = [item for one in by_session.values() for item in one.givebacks]
    counts = {
        "payments": len(by_session),
        "refunds": sum(not item.is_dispute for item in givebacks),
        "disputes": sum(item.is_dispute for item in givebacks),
        "credits": sum(len(case.credits) for case in cases),
        "foreign": foreign,
    }
    if bad:
        counts["unreadable"] = bad
    if more := bad - len(unreadable):
        message = f"the first {MOST_UNREADABLE} are listed"
        unreadable.append(Unreadable(f"{more:,} more lines", message, "correct those, then compare again"))
    return BothSides(cases, counts, unreadable)


_SHARED = "one payment: give one line with all its names; two payments: leave the common name out of both"


def _sharing_a_name(lines: Iterable[NeutralPayment]) -> dict[str, str]:
    """Return by session the payments that have a name in common with another, and a message on each.

    A name belongs to one payment: which of them it is, only the operator knows.
    """
    by_name: dict[str, str] = {}
    messages: dict[str, str] = {}
    for line in lines:
        session = line.payment.session
        for name in line.payment.all_names:
            other = by_name.setdefault(name, session)
            if other != session:
                messages[session] = f"its name {name!r} is a name of {other} too"
                messages.setdefault(other, f"its name {name!r} is a name of {session} too")
    return messages
