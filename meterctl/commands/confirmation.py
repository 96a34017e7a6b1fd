"""Ask a person at a terminal before booking.

The effect is shown first. For an effect that is hard to reverse, the person must type a name.
"""

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


#: Refusals that a person may override by typing the org's id, like --over-limit.
OVERRIDABLE = frozenset({"over_limit", "over_debt_limit"})


def somebody_is_there() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def is_to_ask(wiring: "Wiring") -> bool:
    """Return True if a command that does not `confirm` each operation must ask once."""
    return somebody_is_there() and not (wiring.options.dry_run or wiring.options.yes)


def place_of(wiring: "Wiring") -> str:
    """Return actor and store as the start of a question."""
    return f"As {wiring.actor}, on {wiring.describe_store()}."


def confirm(wiring: "Wiring", request: Request, caution: str | None) -> Request:
    """Show the outcome of ``request``, ask for confirmation, and return the request, perhaps beyond a limit.

    ``caution`` names a risk: without a terminal the request is then refused. Raises `MeterctlError` if the answer is
    no.
    """
    if not somebody_is_there():
        if caution is not None:
            raise BadInput(
                f"{caution}: it needs confirmation, and this is not a terminal",
                hint="add --yes",
                code="confirmation_required",
            )
        return request
    from meterctl.render import show

    receipt = wiring.rehearsal().one(request)
    beyond = ""
    if receipt.reason in OVERRIDABLE and request.guard is not None:
        beyond = f"Beyond a limit: {receipt.message}."
        request = replace(request, guard=request.guard._replace(over_limit=True))
        receipt = wiring.rehearsal().one(request)
    if receipt.status != "planned":
        return request  # nothing to confirm; the real call reports the reason
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
    """Ask a question; raise `MeterctlError` unless the answer is yes."""
    if not agrees(question):
        raise _not_confirmed()


def agree_by_name(warning: str, label: str, name: str) -> None:
    """Print ``warning`` and let the person type ``name`` (the ``label``), because a yes is typed too easily."""
    from meterctl.render import visible

    typer.echo(visible(warning), err=True)
    if _answer(lambda: typer.prompt(f"Type {label} to go on", err=True)) != name:
        raise _not_confirmed()


def _answer(ask: Callable[[], Any]) -> Any:
    """Return the answer; Ctrl-C and the end of input mean no."""
    try:
        return ask()
    except typer.Abort:
        typer.echo(err=True)  # end the line of the question
        raise _not_confirmed() from None


def _not_confirmed() -> MeterctlError:
    error = MeterctlError("not confirmed: nothing was booked", code="cancelled", hint="")
    error.exit_code = INTERRUPTED
    return error


def _warning(wiring: "Wiring", request: Request, receipt: Receipt) -> str:
    """Return sentences about effects that are hard to reverse; empty if there are none."""
    warnings = {warning.code: warning.message for warning in receipt.warnings}
    sentences = [_new_org(wiring, receipt.org)] if "new_org" in warnings else []
    sentences += [f"Note: {warnings[code]}." for code in ("price_differs", "expired_on_arrival") if code in warnings]
    if receipt.entry is not None and (debt := sum(receipt.entry.get("debt", {}).values())):
        sentences.append(f"This puts {receipt.org} {debt:,} units into debt. Its next credit repays that first.")
    match request.operation:
        case Undo(org) if receipt.entry is not None:
            sentences.append(_undone(org, wiring.store.journal.by_seq(org, receipt.entry["reverses"])))
        case ForceReset(org) if receipt.entry is not None:
            week = receipt.entry["closed"]
            used = f"{week['used']:,} of {week['quota']:,} units used"
            sentences.append(
                f"This ends week {week['key']} of {org} now ({used}) and starts it again. It cannot be undone."
            )
    return "\n".join(sentences)


def _new_org(wiring: "Wiring", org: str) -> str:
    """Return a sentence about a new org, with a similar org as a suggestion."""
    from meterctl.core.reads.near_orgs import nearest_org

    near = nearest_org(wiring.store.heads, org)
    return f"{org} had no journal: this opens one." + (f" Did you mean {near}?" if near else "")


def _undone(org: str, entry: Entry | None) -> str:
    if entry is None:
        return ""
    seq = entry["seq"]
    facts = f"{entry['kind']} of {entry['amount']:+,} units, booked by {entry['actor']} on {entry['at'][:10]}"
    return f"This takes back entry {seq} of {org}: {facts}. An undo cannot be undone, and the key cannot be used again."


def book(
    wiring: "Wiring", operation: "Operation", *, caution: str | None = None, at: "Instant | None" = None
) -> "Receipt":
    """Book one operation after confirmation at a terminal, and return the receipt.

    ``caution`` names a risk: without a terminal the operation then needs ``--yes``. ``at`` is its time unless --at is
    set.
    """
    request, asks = wiring.request(operation, at), not (wiring.options.dry_run or wiring.options.yes)
    if asks:
        request = confirm(wiring, request, caution)
    receipt = wiring.ledger.one(request)
    # A person who was asked has just seen all of it.
    receipt.brief = asks and somebody_is_there()
    if any(warning.code == "new_org" for warning in receipt.warnings):
        receipt.warnings = [
            warning._replace(message=_new_org(wiring, receipt.org)) if warning.code == "new_org" else warning
            for warning in receipt.warnings
        ]
    return receipt
