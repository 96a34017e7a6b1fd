"""Asking before something is booked, where there is someone to ask: what it does is shown first, and what is hard to
take back is said in plain words and asked for by name."""

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from meterctl.core.domain.operations import ForceReset, Request, Undo
from meterctl.core.errors import INTERRUPTED, BadInput, MeterctlError
from meterctl.core.model import Entry
from meterctl.core.results import Receipt

if TYPE_CHECKING:
    from meterctl.core.domain.operations import Operation
    from meterctl.core.model import Instant
    from meterctl.wiring import Wiring


#: Refusals that somebody at a terminal may lift by typing the org's id, as --over-limit does.
LIFTED = frozenset({"over_limit", "over_debt_limit"})


def somebody_is_there() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def is_to_ask(wiring: "Wiring") -> bool:
    """Whether what books without being `confirm`ed one by one is to be asked for as a whole."""
    return somebody_is_there() and not (wiring.options.dry_run or wiring.options.yes)


def place_of(wiring: "Wiring") -> str:
    """Who books where, to begin a question with."""
    return f"As {wiring.actor}, on {wiring.describe_store()}."


def confirm(wiring: "Wiring", request: Request, caution: str | None) -> Request:
    """Show the outcome of ``request``, ask for it, and return it as it was agreed to, beyond a limit maybe.

    ``caution`` is the reason to think twice: without a terminal a request with one is refused. Raises `MeterctlError`
    if the answer is no.
    """
    if not somebody_is_there():
        if caution is not None:
            raise BadInput(f"{caution}; nobody is here to confirm it", hint="add --yes", code="confirmation_required")
        return request
    from meterctl.render import show

    receipt = wiring.rehearsal().one(request)
    beyond = ""
    if receipt.reason in LIFTED and request.guard is not None:
        beyond = f"Beyond a limit: {receipt.message}."
        request = replace(request, guard=request.guard._replace(over_limit=True))
        receipt = wiring.rehearsal().one(request)
    if receipt.status != "planned":
        return request  # there is nothing to agree to; the call itself will say why
    show(receipt, sys.stderr)
    if warning := "\n".join(filter(None, [beyond, _warning(wiring, request, receipt)])):
        agree_by_name(warning, "the org's id", request.operation.org)
    else:
        agree(f"{place_of(wiring)} Book this?")
    return request


def agrees(question: str) -> bool:
    """Ask a question; return True if the answer is yes."""
    return bool(_answer(lambda: typer.confirm(question, err=True)))


def agree(question: str) -> None:
    """Ask a question; raises unless the answer is yes."""
    if not agrees(question):
        raise _not_confirmed()


def agree_by_name(warning: str, what: str, name: str) -> None:
    """Say what is at stake, and have ``name`` typed, which is ``what``: a mere yes comes too easily."""
    from meterctl.render import visible

    typer.echo(visible(warning), err=True)
    if _answer(lambda: typer.prompt(f"Type {what} to go on", err=True)) != name:
        raise _not_confirmed()


def _answer(ask: Callable[[], Any]) -> Any:
    """What is answered; Ctrl-C and the end of input are a no."""
    try:
        return ask()
    except typer.Abort:
        typer.echo(err=True)  # the question's line has no end yet
        raise _not_confirmed() from None


def _not_confirmed() -> MeterctlError:
    error = MeterctlError("not confirmed: nothing was booked", code="cancelled", hint="")
    error.exit_code = INTERRUPTED
    return error


def _warning(wiring: "Wiring", request: Request, receipt: Receipt) -> str:
    """What is hard to take back about a request, in sentences; empty if nothing is."""
    warned = {warning.code: warning.message for warning in receipt.warnings}
    told = [_new_org(wiring, receipt.org)] if "new_org" in warned else []
    told += [f"Mind: {warned[code]}." for code in ("price_differs", "expired_on_arrival") if code in warned]
    if receipt.entry is not None and (debt := sum(receipt.entry.get("debt", {}).values())):
        told.append(f"This puts {receipt.org} {debt:,} units into debt: whatever it buys next pays that first.")
    match request.operation:
        case Undo(org) if receipt.entry is not None:
            told.append(_undone(org, wiring.store.journal.by_seq(org, receipt.entry["reverses"])))
        case ForceReset(org) if receipt.entry is not None:
            week = receipt.entry["closed"]
            used = f"{week['used']:,} of {week['quota']:,} units used"
            told.append(f"This ends week {week['key']} of {org} now ({used}) and begins it anew. It cannot be undone.")
    return "\n".join(told)


def _new_org(wiring: "Wiring", org: str) -> str:
    """Return a sentence on an org without a journal, with the one that may have been meant."""
    from meterctl.core.reads.near_orgs import nearest_org

    near = nearest_org(wiring.store.heads, org)
    return f"{org} had no journal: this opens one." + (f" Did you mean {near}?" if near else "")


def _undone(org: str, entry: Entry | None) -> str:
    if entry is None:
        return ""
    seq = entry["seq"]
    booked = f"{entry['kind']} of {entry['amount']:+,} units, booked by {entry['actor']} on {entry['at'][:10]}"
    return f"This takes back entry {seq} of {org}: {booked}. An undo cannot be undone, nor its key be used again."


def book(
    wiring: "Wiring", operation: "Operation", *, caution: str | None = None, at: "Instant | None" = None
) -> "Receipt":
    """Book one operation, after asking where there is someone to ask. ``caution`` says what makes it one to think
    about twice: without a terminal such an operation needs ``--yes``. ``at`` is when it happened, unless said."""
    request = wiring.request(operation, at)
    if not (wiring.options.dry_run or wiring.options.yes):
        request = confirm(wiring, request, caution)
    receipt = wiring.ledger.one(request)
    # A person who was asked has just seen all of it.
    receipt.brief = is_to_ask(wiring)
    if any(warning.code == "new_org" for warning in receipt.warnings):
        receipt.warnings = [
            warning._replace(message=_new_org(wiring, receipt.org)) if warning.code == "new_org" else warning
            for warning in receipt.warnings
        ]
    return receipt
