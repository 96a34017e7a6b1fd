"""``meterctl reconcile stripe``"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from meterctl.commands.command import command, new_app, take_shared
from meterctl.commands.options import filter_time, option
from meterctl.core.payments.reconcile import Reconciliation, mending
from meterctl.process.progress import StatusLine
from meterctl.wiring import Wiring

app = new_app()


@app.callback()
@take_shared
def reconcile(**_: Any) -> None:
    """Compare payments with the journal, both ways."""


@command(app, "stripe")
def reconcile_stripe(
    wiring: Wiring,
    since: Annotated[str | None, option("--since", "TIME", "Only what was paid or booked since (else all).")] = None,
    plan_out: Annotated[str | None, option("--plan-out", "FILE", "Save the plan that would mend it.")] = None,
    resume: Annotated[str | None, option("--resume", "FILE", "Keep notes there, and go on from them.")] = None,
) -> Reconciliation:
    """Compare Stripe's sessions, refunds and disputes with the journal, both ways. Books nothing.

    Exit code 8 if anything differs. --plan-out saves the operations that would mend it, as far as the journal would
    take them now, as a plan for `meterctl apply`. It reads with the key in STRIPE_API_KEY; with --resume, a run that
    was interrupted goes on where it stopped.

    \b
    Examples:
      meterctl reconcile stripe --since 7d
      meterctl reconcile stripe --plan-out mend.ndjson
    """
    from meterctl.core.payments.gather import Notes, gather
    from meterctl.core.payments.reconcile import Mender, count_kinds, mendable

    started, now = wiring.elapsed(), wiring.now
    earliest = filter_time(wiring, "since", since)
    mode: Literal["live", "test"] = "live" if wiring.stripe.live else "test"
    notes = Notes(None if resume is None else Path(resume), {"mode": mode, "since": earliest, "until": now})
    until = notes.about["until"]
    with _progress() as progress:
        both = gather(wiring.stripe, wiring.store, earliest, until, progress=progress, notes=notes)
    mender = Mender(wiring.settings.terms.packs, wiring.actor)
    findings = mendable(both.cases, mender, lambda requests: list(wiring.rehearsal().execute(requests)))
    if plan_out is not None:
        wiring.save_plan(plan_out, mending(findings))
    notes.drop()
    counts = both.counts | count_kinds(findings)
    return Reconciliation(mode, earliest, until, counts, findings, plan_out, wiring.elapsed() - started)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    line = StatusLine()
    try:
        yield lambda text: line.say(f"reconcile: {text}")
    finally:
        line.end()
