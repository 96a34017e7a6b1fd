"""``meterctl undo``"""

from typing import Annotated

from meterctl.commands.command import command, new_app
from meterctl.commands.confirmation import book
from meterctl.commands.options import Org, argument, completer, option
from meterctl.core.domain.checks import DEFAULT_STEP, check_integer
from meterctl.core.domain.operations import Undo
from meterctl.core.errors import BadInput, shell_command
from meterctl.core.reads.entry_names import EntryNames
from meterctl.core.results import Receipt
from meterctl.wiring import Wiring

app = new_app()


@command(app, writes=True)
def undo(
    wiring: Wiring,
    org: Org,
    seq: Annotated[str | None, argument("[SEQ]", "The entry, by its number in the ledger.")] = None,
    ref: Annotated[
        str | None,
        option("--ref", "REF", "The debit, adjustment or voided lot with this ref.", completer("complete_refs")),
    ] = None,
    run: Annotated[
        str | None, option("--run", "RUN", "A metered run, while its week is open.", completer("complete_runs"))
    ] = None,
    step: Annotated[
        str | None, option("--step", "STEP", "With --run: one of its steps.", completer("complete_steps"))
    ] = None,
    session: Annotated[
        str | None,
        option("--session", "ID", "The pack of this payment, by any of its names.", completer("complete_sessions")),
    ] = None,
    of: Annotated[str | None, option("--of", "KEY", "The entry of this key, such as debit:r1.")] = None,
) -> Receipt:
    """Take back a debit, an adjustment, a topup or a run. Needs --reason.

    Books a reversal. Units taken go back to their lots; units granted are removed if none of them was used. An undone
    topup frees its payment for another org. A run can be undone while its week is open: use, overage and lots are then
    as if it had not happened.

    \b
    Examples:
      meterctl undo acme 17 --reason "wrong org" --yes
      meterctl undo acme --run job-9 --reason "metered ten times too high" --yes
    """
    values = {"SEQ": seq, "--ref": ref, "--run": run, "--session": session, "--of": of}
    selectors = [name for name, value in values.items() if value is not None]
    if len(selectors) > 1 and set(selectors) != {"SEQ", "--of"}:
        hint = "give one of SEQ, --ref, --run, --session and --of"
        raise BadInput(f"{' and '.join(selectors)} each name an entry", hint=hint, code="usage")
    if not selectors:
        raise BadInput("undo needs an entry to reverse", hint="give SEQ, --ref, --run, --session or --of", code="usage")
    if step is not None and run is None:
        raise BadInput("--step needs --run", hint="add --run RUN", code="usage")
    names = EntryNames(wiring.store, org)
    number = None if seq is None else _number(org, seq)
    if ref is not None:
        of = names.of_ref(ref)
    elif run is not None:
        of = names.of_run(run, step or DEFAULT_STEP)
    elif session is not None:
        of = names.of_session(session)
    elif of is None and number is not None:
        of = names.of_seq(number)
    return book(wiring, Undo(org, number, of), caution=f"this takes back {of or f'entry {number}'} of {org}")


def _number(org: str, seq: str) -> int:
    """Return the number of an entry; raise `BadInput` with the option for a key that stands in its place."""
    if ":" in seq:
        hint = f"name it by its key: {shell_command('undo', org, '--of', seq)} --reason TEXT"
        raise BadInput(f"SEQ: {seq!r} is not the number of an entry", hint=hint, code="bad_number")
    return check_integer(seq, "seq", least=1)
