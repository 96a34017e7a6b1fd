"""Show saved plans: their effect, and the outcome of carrying one out."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from meterctl.core.backfill.saved_plans.apply import Application, PlanSummary
from meterctl.core.backfill.saved_plans.plan_file import Header, PlanStep
from meterctl.core.domain.operation_documents import request_document
from meterctl.core.results import Receipt
from meterctl.views import words
from meterctl.views.blocks import Block, Cell, Column, Grid, Heading, Note, Pairs, Row, Styled, inline
from meterctl.views.entries import summary as summary_of
from meterctl.views.registry import view

#: Fields of a request that all operations share, or that have columns of their own.
_ENVELOPE = ("op", "org", "at", "actor", "reason")

#: The most receipts that are shown; the rest are counted.
_SHOWN = 20

# -- before


@view("plan-summary")
def show_plan(summary: PlanSummary) -> Iterable[Block]:
    plan = summary.plan
    yield Heading(
        ("plan of ", Styled(words.plural(plan.operations, "operation"), "strong"), f" for {_orgs(plan.orgs)}")
    )
    yield Pairs(
        [
            ("books", f"{words.plural(plan.entries, 'entry')}, {words.signed(plan.amount)} units in all"),
            ("operations", ", ".join(f"{count:,} {name}" for name, count in summary.operations.items())),
            *_about(plan),
        ]
    )
    columns = [
        Column("operation"),
        Column("org", least=8),
        Column("details", rank=2, least=12),
        Column("amount", right=True),
        Column("balance", right=True, least=8),
        Column("by", rank=3, least=8),
        Column("reason", rank=4, least=12),
    ]
    yield Grid(columns, [_step_row(step) for step in summary.steps])
    if plan.operations > len(summary.steps):
        yield Note(f"and {words.plural(plan.operations - len(summary.steps), 'operation')} more")


def _about(plan: Header) -> Iterator[tuple[str, Cell]]:
    yield "made", f"{words.when_utc(plan.made_at)} by {plan.actor}"
    yield "store", plan.store
    if plan.left_out:
        yield "left out", ", ".join(f"{count:,} {status}" for status, count in plan.left_out.items())


def _orgs(count: int) -> str:
    return words.plural(count, "org")


def _step_row(step: PlanStep) -> Row:
    request = request_document(step.request)
    own = ", ".join(f"{name} {value}" for name, value in request.items() if name not in _ENVELOPE)
    first, last = step.entries[0], step.entries[-1]
    amount = sum(entry["amount"] for entry in step.entries)
    after = Styled(words.units(last["balance"]), "bad" if last["balance"] < 0 else "strong")
    return Row(
        [
            request["op"],
            request["org"],
            own,
            words.signed(amount),
            (f"{first['balance'] - first['amount']:,} → ", after),
            request["actor"],
            request["reason"] or "",
        ]
    )


# -- after

_GOOD = ("applied", "planned", "replayed", "unchanged", "disabled")
_BAD = ("moved", "refused", "conflict", "failed")


@view("apply")
def show_application(done: Application) -> Iterable[Block]:
    yield Heading(
        (_outcome(done), f": plan of {words.plural(done.plan.operations, 'operation')}, {_origin(done.plan)}")
    )
    yield Pairs(list(_counts(done)))
    well = [receipt for receipt in done.receipts if receipt.entry or receipt.also]
    if well:
        yield _receipts(well[:_SHOWN])
    for record in list(done.orgs_moved.values())[:_SHOWN]:
        yield _new_entries(record)
    problems = [problem for problem in done.problems if problem["status"] != "moved"]
    if problems:
        columns = [Column("line", right=True), Column("org", least=8), Column("reason", least=24)]
        rows = [Row([str(problem["line"]), problem["org"], problem["message"]]) for problem in problems[:_SHOWN]]
        yield Grid(columns, rows, "not booked")
    if done.counts["moved"]:
        yield Note("orgs that moved have new entries, so nothing was booked for them: check, then save a new plan")
    if done.counts["planned"]:
        yield Note("nothing is booked yet")


def _outcome(done: Application) -> Styled:
    if any(done.counts[status] for status in _BAD):
        some = any(done.counts[status] for status in _GOOD)
        return Styled("✗ carried out in part" if some else "✗ not carried out", "bad")
    if done.counts["planned"]:
        return Styled("○ would carry out", "accent")
    return Styled("✓ carried out", "good") if done.counts["applied"] else Styled("✓ nothing left to do", "accent")


def _origin(plan: Header) -> str:
    return f"made {words.when_utc(plan.made_at)} by {plan.actor}"


def _counts(done: Application) -> Iterator[tuple[str, Cell]]:
    for status in (*_GOOD, *_BAD):
        if done.counts[status]:
            yield status, Styled(words.units(done.counts[status]), "bad" if status in _BAD else "")
    if done.counts["applied"] or done.counts["planned"]:
        yield "units", words.signed(done.amount)
    yield "took", words.duration(done.seconds)


def _receipts(receipts: Iterable[Receipt]) -> Grid:
    columns = [
        Column("org", least=8),
        Column("entry", right=True),
        Column("what", rank=1, least=18),
        Column("amount", right=True),
        Column("balance", right=True, rank=2),
        Column("outcome", rank=3),
    ]
    return Grid(columns, [_receipt_row(receipt) for receipt in receipts])


def _receipt_row(receipt: Receipt) -> Row:
    entry: Mapping[str, Any] = receipt.entry or receipt.also[-1]
    return Row(
        [
            receipt.org,
            str(entry["seq"]),
            inline(*summary_of(entry)),
            words.signed(entry["amount"]),
            words.units(entry["balance"]),
            receipt.status,
        ]
    )


def _new_entries(record: Mapping[str, Any]) -> Grid:
    columns = [
        Column("entry", right=True),
        Column("recorded (UTC)", least=10),
        Column("kind"),
        Column("amount", right=True),
        Column("by", least=8),
        Column("reason", rank=1, least=12),
    ]
    rows = [
        Row(
            [
                str(entry["seq"]),
                words.when(entry["recorded_at"]),
                entry["kind"],
                words.signed(entry["amount"]),
                entry["actor"],
                entry["reason"] or "",
            ]
        )
        for entry in record["entries"]
    ]
    return Grid(columns, rows, f"{record['org']} moved since entry {record['since']}", "config or plans have changed")
