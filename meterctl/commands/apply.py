"""``meterctl apply``"""

import sys
from collections.abc import Iterator
from functools import partial
from operator import truediv
from typing import Annotated

from meterctl.commands.command import command, new_app
from meterctl.commands.confirmation import agree, agree_by_name, is_to_ask
from meterctl.commands.options import argument, switch
from meterctl.core.backfill.saved_plans.apply import Application, Applier, PlanSummary
from meterctl.core.backfill.saved_plans.plan_file import PlanStep, SavedPlan, open_plan
from meterctl.core.errors import BadInput
from meterctl.process.interrupts import Interrupts
from meterctl.process.long_run import prepare_long_run
from meterctl.process.progress import Progress
from meterctl.wiring import Wiring

app = new_app()


@command(app, writes=True, plans=False)
def apply(
    wiring: Wiring,
    file: Annotated[str, argument("FILE", "A plan saved with --plan-out.")],
    elsewhere: Annotated[bool, switch("--elsewhere", "Accept a plan made on another store name.")] = False,
) -> Application:
    """Carry out a saved plan, as it was reviewed.

    Books the operations with the time, actor and reason in the plan. If an org has newer entries, nothing more is
    booked for it: the answer lists these entries, and the exit code is 6. Applying a plan again books nothing twice,
    and finishes an interrupted one. If you are not its author, you approve the plan: the entries record that, and the
    limits of the config do not apply.

    \b
    Example:
      meterctl debit acme 120 --ref invoice-77 --plan-out plan.ndjson
      meterctl apply plan.ndjson
    """
    if wiring.options.at is not None or wiring.options.reason is not None:
        raise BadInput("a saved plan has its own time and reason", hint="leave out --at and --reason", code="usage")
    if file == "-":
        raise BadInput(
            "a saved plan is a file: it cannot be read from standard input",
            hint="name the file that --plan-out wrote",
            code="bad_file",
        )
    began = wiring.elapsed()
    with open_plan(file) as plan:
        _check_store(wiring, plan, elsewhere)
        wiring.store.require_ours()  # a plan without any operation would not touch the store
        if is_to_ask(wiring):
            _ask(wiring, plan)
        result = _carry_out(wiring, plan)
    result.seconds = wiring.elapsed() - began
    return result


def _check_store(wiring: Wiring, plan: SavedPlan, elsewhere: bool) -> None:
    here = wiring.store.describe()
    if plan.header.store != here and not elsewhere:
        message = f"the plan was made on {plan.header.store}, this is {here}"
        hint = "name that store with --store; if it is the same store under another name, add --elsewhere"
        raise BadInput(message, hint=hint, code="other_store")


def _ask(wiring: Wiring, plan: SavedPlan) -> None:
    from meterctl.render import show

    summary = PlanSummary.of(plan)
    if not plan.header.operations:
        return
    show(summary, sys.stderr)
    if summary.warnings:
        agree_by_name("\n".join(summary.warnings), "the number of operations", str(plan.header.operations))
    else:
        agree(f"On {wiring.describe_store()}, in the names above. Carry this out?")


def _carry_out(wiring: Wiring, plan: SavedPlan) -> Application:
    prepare_long_run()
    whole = plan.header.operations
    applier, progress = Applier(wiring.ledger, plan.header, wiring.actor, wiring.guard), Progress("operations")
    with Interrupts() as interrupts:
        try:
            for done in applier.run(_until(plan.steps(), interrupts)):
                progress.tell(done, partial(truediv, done, whole))
        finally:
            progress.end()
    if interrupts.stop:
        raise KeyboardInterrupt
    return applier.result


def _until(steps: Iterator[PlanStep], interrupts: Interrupts) -> Iterator[PlanStep]:
    for step in steps:
        if interrupts.stop:
            return
        yield step
