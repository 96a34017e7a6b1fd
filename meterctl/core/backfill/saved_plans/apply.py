"""Apply a saved plan: each operation exactly as reviewed, or not at all."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any
from unicodedata import normalize

from meterctl.core import errors
from meterctl.core.backfill.saved_plans.plan_file import Header, PlanStep, SavedPlan
from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.guard import Guard
from meterctl.core.domain.operations import Request
from meterctl.core.domain.precondition import Basis
from meterctl.core.model import Entry
from meterctl.core.results import Receipt, Result, Warning, WriteResult

CHUNK = 500

#: Most receipts, most problems and moved orgs, and most entries per moved org in the result.
MOST_RECEIPTS, MOST_PROBLEMS, MOST_NAMED = 100, 1000, 20

#: Most operations shown in the summary before confirmation.
MOST_SHOWN = 20

#: Fields shown of an entry booked after the plan was saved.
_ENTRY_FIELDS = ("seq", "kind", "key", "amount", "balance", "at", "recorded_at", "actor", "reason")

_COUNTS = ("applied", "planned", "replayed", "unchanged", "disabled", "moved", "refused", "conflict", "failed")
_TROUBLE = ("refused", "conflict", "failed")


@dataclass(slots=True)
class Application(WriteResult):
    """The result of applying a plan. ``orgs_moved`` holds the entries booked since the plan was saved."""

    name = "apply"

    plan: Header
    counts: Counter[str] = field(default_factory=Counter)
    amount: int = 0
    orgs_moved: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[dict[str, Any]] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    worst: int = errors.DONE
    seconds: float = 0.0
    warnings: Sequence[Warning] = ()

    @property
    def exit_code(self) -> int:
        """The exit code: that of the only operation, or `PARTIAL` if some of several were refused."""
        if self.counts["moved"]:
            return errors.MOVED
        if any(self.counts[status] for status in _TROUBLE):
            return self.worst if self.plan.operations == 1 else errors.PARTIAL
        return errors.DONE

    def fields(self) -> dict[str, Any]:
        problems = sum(self.counts[status] for status in (*_TROUBLE, "moved"))
        return {
            "plan": self.plan._asdict(),
            "operations": self.counts.total(),
            **{status: self.counts[status] for status in _COUNTS},
            "amount": self.amount,
            "orgs_moved": list(self.orgs_moved.values()),
            "problems": self.problems,
            "more_problems": problems - len(self.problems),
            "receipts": [receipt.fields() for receipt in self.receipts],
            "seconds": round(self.seconds, 3),
            "warnings": self.warning_records(),
        }

    def rows(self) -> Iterable[Mapping[str, Any]]:
        return [receipt.fields() for receipt in self.receipts]


@dataclass(slots=True)
class PlanSummary(Result):
    """A plan to confirm: its header, first steps, and operations by name.

    ``debtors`` operations make ``debt`` units of debt.
    """

    name = "plan-summary"

    plan: Header
    steps: list[PlanStep] = field(default_factory=list)
    operations: Counter[str] = field(default_factory=Counter)
    debtors: int = 0
    debt: int = 0

    @classmethod
    def of(cls, plan: SavedPlan) -> "PlanSummary":
        summary = cls(plan.header)
        for step in plan.steps():
            summary.add(step)
        return summary

    def add(self, step: PlanStep) -> None:
        debt = sum(entry.get("debt", 0) for entry in step.entries)
        self.operations[step.request.operation.name] += 1
        self.debtors += debt > 0
        self.debt += debt
        if len(self.steps) < MOST_SHOWN:
            self.steps.append(step)

    @property
    def warnings(self) -> list[str]:
        """Sentences about operations that are hard to reverse."""
        sentences = []
        if self.debtors:
            sentences.append(f"Operations that make debt: {self.debtors:,}, {self.debt:,} units in all.")
        for name, effect in (("undo", "reverse an earlier entry"), ("reset-week", "end a week early")):
            if self.operations[name]:
                sentences.append(f"Operations that {effect}: {self.operations[name]:,}. That cannot be undone.")
        return sentences

    def fields(self) -> dict[str, Any]:
        return {**self.plan._asdict(), "by_operation": dict(self.operations), "debt": self.debt}


class Applier:
    """Executes the steps of a plan on ``ledger``. ``result`` is valid at any time.

    If ``actor`` is neither the author of the plan nor that of the step, this is an approval: it is recorded, and no
    limits apply. Otherwise the step must stay within ``guard``. A header can be edited; a step's author is a figure of
    its entries.
    """

    def __init__(self, ledger: Ledger, plan: Header, actor: str, guard: Guard | None) -> None:
        self.result = Application(plan)
        self._ledger = ledger
        self._actor = actor
        self._guard = guard

    def run(self, steps: Iterable[PlanStep]) -> Iterator[int]:
        """Execute the steps in order; yield the number of answers so far."""
        source = iter(steps)
        waiting: list[PlanStep] = []

        def chunks() -> Iterator[list[Request]]:
            while chunk := list(islice(source, CHUNK)):  # bounded: by the plan
                waiting.extend(chunk)
                yield [self._carried_out(step.request) for step in chunk]

        for receipts in self._ledger.execute_chunks(chunks()):
            for step, receipt in zip(waiting, receipts, strict=False):
                self._count(step, receipt)
            del waiting[: len(receipts)]
            yield self.result.counts.total()

    def _carried_out(self, request: Request) -> Request:
        if _folded(self._actor) in (_folded(self.result.plan.actor), _folded(request.actor)):
            return replace(request, guard=self._guard)
        return replace(request, approved_by=self._actor)

    def _count(self, step: PlanStep, receipt: Receipt) -> None:
        result = self.result
        status = "moved" if receipt.reason == "moved" else receipt.status
        result.counts[status] += 1
        if receipt.status in ("applied", "planned"):
            entries = receipt.also if receipt.entry is None else (*receipt.also, receipt.entry)
            result.amount += sum(entry["amount"] for entry in entries)
        if len(result.receipts) < MOST_RECEIPTS:
            result.receipts.append(receipt)
        if status == "moved" or status in _TROUBLE:
            self._report(step, receipt, status)

    def _report(self, step: PlanStep, receipt: Receipt, status: str) -> None:
        result, basis = self.result, step.request.basis
        result.worst = max(result.worst, receipt.exit_code)
        if len(result.problems) < MOST_PROBLEMS:
            about = {"line": step.line, "org": receipt.org, "key": receipt.key, "status": status}
            result.problems.append(about | {"reason": receipt.reason, "message": receipt.message})
        orgs = result.orgs_moved
        if status == "moved" and basis is not None and receipt.org not in orgs and len(orgs) < MOST_PROBLEMS:
            orgs[receipt.org] = self._changes(receipt.org, basis)

    def _changes(self, org: str, basis: Basis) -> dict[str, Any]:
        """Return the entries of ``org`` booked since the plan was saved."""
        journal = self._ledger.store.journal
        tip = journal.tip(org)
        seq = 0 if tip is None else tip["seq"]
        entries = basis.strangers(seq, lambda number: journal.by_seq(org, number), MOST_NAMED)
        return {"org": org, "since": basis.seq, "seq": seq, "entries": [_summary(entry) for entry in entries]}


def _summary(entry: Entry) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name in _ENTRY_FIELDS}


def _folded(actor: str) -> str:
    """Return a name without case, blanks and invisible characters: names that are read alike may be one person's."""
    return "".join(mark for mark in normalize("NFKC", actor).casefold() if mark.isprintable() and not mark.isspace())
