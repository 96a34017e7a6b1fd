"""``meterctl reconcile``"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Literal, cast

from meterctl.commands.command import command, find_journal, new_app
from meterctl.commands.options import argument, filter_time, option, switch
from meterctl.core.errors import BadInput, name_source
from meterctl.core.payments.reconcile.findings import Discrepancy, Reconciliation, count_kinds
from meterctl.process.long_run import prepare_long_run
from meterctl.process.progress import StatusLine
from meterctl.wiring import Wiring

if TYPE_CHECKING:
    from meterctl.core.payments.reconcile.gather import BothSides
    from meterctl.core.payments.reconcile.repairs import RepairPolicy

app = new_app()


@command(app, metrics="reconcile")
def reconcile(
    wiring: Wiring,
    source: Annotated[str, argument("stripe|FILE|-", "Stripe, or a file of payment lines from any provider.")],
    since: Annotated[str | None, option("--since", "TIME", "Only payments and entries since then (else all).")] = None,
    plan_out: Annotated[str | None, option("--plan-out", "FILE", "Save the corrections as a plan.")] = None,
    resume: Annotated[str | None, option("--resume", "FILE", "Save progress in FILE, and continue from it.")] = None,
    accept_paid: Annotated[
        list[str] | None, option("--accept-paid", "ID", "Accept the amount of this payment; repeatable.")
    ] = None,
    accept_discount: Annotated[bool, switch("--accept-discount", "Accept prices reduced by a discount.")] = False,
) -> Reconciliation:
    """Compare payments with the journal, both ways.

    Books nothing. Exit code 8 if anything differs, including refunds and disputes. --plan-out saves the corrections
    that the journal would accept now, as a plan for `meterctl apply`. It never takes back units that were paid for. The
    key for Stripe is in STRIPE_API_KEY. With --resume, an interrupted run continues.

    \b
    Examples:
      meterctl reconcile stripe --since 7d
      meterctl reconcile stripe --plan-out mend.ndjson
      meterctl reconcile payments.ndjson
    """
    from meterctl.core.payments.reconcile.repairs import RepairPolicy

    prepare_long_run()
    seller = wiring.shop.seller(discounts=accept_discount, accept_paid=frozenset(accept_paid or ()))
    if source == "stripe":
        return _noting_journal(wiring, _stripe(wiring, since, plan_out, resume, RepairPolicy(seller, wiring.actor)))
    if since is not None or resume is not None:
        hint = "leave them out, and put only the payments to compare into the file"
        raise BadInput("--since and --resume only work with stripe", hint=hint, code="usage")
    policy = RepairPolicy(seller, wiring.actor, provider="the file")
    return _noting_journal(wiring, _file(wiring, source, plan_out, policy))


def _noting_journal(wiring: Wiring, result: Reconciliation) -> Reconciliation:
    """Return ``result``; note and print it if the store has no journal, because its name may be mistyped."""
    outcome = "no payment is credited there" if result.findings else "nothing was compared"
    return result if find_journal(wiring, outcome) else replace(result, journal_found=False)


def _stripe(
    wiring: Wiring, since: str | None, plan_out: str | None, resume: str | None, policy: "RepairPolicy"
) -> Reconciliation:
    from meterctl.core.payments.reconcile.gather import gather
    from meterctl.core.payments.reconcile.notes import Notes
    from meterctl.core.payments.reconcile.plan_findings import plan_findings

    began, now = wiring.elapsed(), wiring.now
    earliest = filter_time(wiring, "since", since)
    mode: Literal["live", "test"] = "live" if wiring.stripe.live else "test"
    notes = Notes(None if resume is None else Path(resume), {"mode": mode, "since": earliest, "until": now})
    until = notes.about["until"]
    with _progress() as progress:
        sides = gather(wiring.stripe, wiring.store, earliest, until, progress=progress, notes=notes)
    if wiring.shop.plan_prices:
        plans = plan_findings(wiring.stripe.subscriptions(), wiring.stripe.shop_for, wiring.store, wiring.actor, until)
        sides = sides._replace(plan_findings=list(plans))
    findings = _findings(wiring, sides, policy, plan_out)
    notes.drop()
    counts = sides.counts | count_kinds(findings)
    return Reconciliation(
        mode=mode,
        since=earliest,
        until=until,
        counts=counts,
        findings=findings,
        plan_out=plan_out,
        seconds=wiring.elapsed() - began,
    )


def _file(wiring: Wiring, path: str, plan_out: str | None, policy: "RepairPolicy") -> Reconciliation:
    from meterctl.core.files.atomic import check_apart
    from meterctl.core.files.sources import display_name, open_file_or_standard_input, unzip
    from meterctl.core.payments.reconcile.gather_file import gather_file
    from meterctl.core.payments.reconcile.neutral import read_payments

    began, now = wiring.elapsed(), wiring.now
    if plan_out is not None:
        check_apart("--plan-out", plan_out, path)
    with open_file_or_standard_input(path) as file, name_source(display_name(path)):
        wiring.store.require_ours()  # a file without any payment would not touch the store
        sides = gather_file(read_payments(cast(IO[bytes], unzip(file))), wiring.store, wiring.settings.stripe.ignore)
    findings = _findings(wiring, sides, policy, plan_out)
    counts = count_kinds(findings) | sides.counts  # that counts each unreadable line, listed or not
    spent = wiring.elapsed() - began
    return Reconciliation(
        mode=None,
        since=None,
        until=now,
        counts=counts,
        findings=findings,
        plan_out=plan_out,
        seconds=spent,
        provider=display_name(path),
    )


def _findings(
    wiring: Wiring, sides: "BothSides", policy: "RepairPolicy", plan_out: str | None
) -> Sequence[Discrepancy]:
    from meterctl.core.payments.reconcile.compare import repair_requests, repairable_findings
    from meterctl.core.payments.reconcile.findings import unreadable_finding

    findings = repairable_findings(sides.cases, policy, lambda requests: list(wiring.rehearsal().execute(requests)))
    findings += [*sides.plan_findings, *map(unreadable_finding, sides.unreadable)]
    if plan_out is not None:
        wiring.save_plan(plan_out, repair_requests(findings))
    return findings


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    line = StatusLine()
    try:
        yield lambda text: line.say(f"reconcile: {text}")
    finally:
        line.end()
