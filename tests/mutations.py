"""Do the tests notice when a rule is wrong? One line is changed at a time, and some test has to fail.

Run it as ``python -m tests.mutations``; it leaves this tree alone, prints a line per mutation, and exits 1 if one
survives.
"""

# ruff: noqa: E501 - a table is read by its rows

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

ROOT = Path(__file__).parent.parent

#: The quick tests that know the rules; they need no server.
TESTS = (
    "tests/unit/domain/test_rules_units.py",
    "tests/unit/domain/test_rules_refund.py",
    "tests/unit/domain/test_rules_undo.py",
    "tests/unit/domain/test_rules_meter.py",
    "tests/unit/domain/test_rules_weeks.py",
    "tests/unit/domain/test_rules_time.py",
    "tests/unit/domain/test_rules_range.py",
    "tests/unit/domain/test_pricing.py",
    "tests/unit/domain/test_operations.py",
    "tests/unit/domain/test_canonical.py",
    "tests/unit/booking/test_chunk_decider.py",
    "tests/unit/booking/test_ledger.py",
    "tests/unit/booking/test_pipeline.py",
    "tests/unit/payments/test_payments.py",
)

SECONDS = 300


class Mutation(NamedTuple):
    """One line of ``meterctl/core/<file>.py`` changed from ``before`` to ``after``: what goes wrong by it."""

    file: str
    before: str
    after: str
    wrong: str


MUTATIONS = [
    Mutation("domain/due_events", "lot.expires_at <= min(until,", "lot.expires_at < min(until,", "a lot lives at its expiry"),
    Mutation("domain/due_events", "week_end <= until:", "week_end < until:", "a week ends an instant late"),
    Mutation("domain/due_events", "min(next_plan.weekly_quota, state.debt.overage)", "state.debt.overage", "settles beyond the quota"),
    Mutation("domain/due_events", "min(next_plan.weekly_quota, state.debt.overage)", "min(next_plan.weekly_quota, state.debt.total)",
             "settles what is owed"),
    Mutation("domain/due_events", "if terms.settle_overage else 0", "", "settles although told not to"),
    Mutation("domain/due_events", "._replace(used=settled)", "", "the settled units are not used of the next week"),
    Mutation("domain/due_events", 'f"week:{week.key}" if week.cycle == 1 else', "", "the first cycle has the key of a later one"),
    Mutation("domain/due_events", "low < p * quota <= high", "low < p * quota < high", "a threshold reached exactly is not crossed"),
    Mutation("domain/due_events", "low < p * quota <= high", "low <= p * quota <= high", "a threshold is crossed by the next run again"),
    Mutation("domain/due_events", " and p not in week.alerts", "", "a threshold is crossed twice a week"),
    Mutation("domain/due_events", "return sorted(p for p in thresholds", "return list(p for p in reversed(thresholds)",
             "alerts stand in the wrong order"),
    Mutation("domain/due_events", "if week.quota == 0:", "if False:", "a quota of 0 is crossed"),
    Mutation("domain/effects", "return (lot.expires_at is None,", "return (lot.expires_at is not None,", "never-expiring first"),
    Mutation("domain/effects", 'lot.expires_at or "", lot.id)', 'lot.expires_at or "", -lot.id)', "the younger lot first"),
    Mutation("domain/effects", "taken = min(lot.remaining, units)", "taken = units", "draws more than a lot holds"),
    Mutation("domain/effects", "owed = min(debt.owed, units)", "owed = 0", "a credit forgets what is owed"),
    Mutation("domain/effects", "min(debt.overage, units - owed)", "min(debt.overage, units)", "a unit repays twice"),
    Mutation("domain/effects", '- repaid["overage"], effects["expires_at"]', ', effects["expires_at"]', "repaid units stay in the lot"),
    Mutation("domain/effects", "expires_at if lot is None else lot.expires_at)", "expires_at)", "a drawn lot loses its expiry"),
    Mutation("domain/effects", 'week.uncovered + effects["uncovered"]', "week.uncovered", "uncovered units are not counted"),
    Mutation("domain/effects", 'overage - effects.get("settled", 0)', "overage", "settled overage stays"),
    Mutation("domain/entries", "tip.seq + 1, max(at, tip.at)", "tip.seq + 1, at", "time goes back"),
    Mutation("domain/entries", "stamp.said != at:", "stamp.said == at:", "a late event forgets when it happened"),
    Mutation("domain/entries", "Stamp(DUE_ACTOR, None,", 'Stamp("someone", None,', "due events carry a name"),
    Mutation("domain/rules", "context.said, pack.expiry_days", "context.at, pack.expiry_days", "a late pack expires later than sold"),
    Mutation("domain/rules", "operation.expires_at <= context.said", "operation.expires_at < context.said", "a grant that is over"),
    Mutation("domain/rules", "if owed and not operation.allow_debt:", "if owed and operation.allow_debt:", "debt the wrong way round"),
    Mutation("domain/rules", "- self.expired - self.forfeited - self.clawed", "- self.forfeited - self.clawed", "claws what expired"),
    Mutation("domain/rules", "- self.expired - self.forfeited - self.clawed", "- self.expired - self.clawed", "claws what is forfeited"),
    Mutation("domain/rules", "- self.expired - self.forfeited - self.clawed", "- self.expired - self.forfeited", "claws twice"),
    Mutation("domain/rules", "aim - self.clawed - self.forgiven", "aim", "partial refunds are not cumulative"),
    Mutation("domain/rules", ' and entry["seq"] not in taken_back]', "]", "a reversed refund still counts"),
    Mutation("domain/rules", '+ operation.cents > topup["paid_cents"]', '+ operation.cents >= topup["paid_cents"]',
             "a full refund is refused"),
    Mutation("domain/rules", "draw([*own, *others], clawback)", "draw(context.state.lots, clawback)", "others' lots are clawed first"),
    Mutation("domain/rules", '"forgiven": target - clawback,', '"forgiven": 0,', "nothing is said of what is forgiven"),
    Mutation("domain/rules", "expires_at is not None and expires_at <= context.at", "False", "expired units come back"),
    Mutation("domain/rules", "by_draws = max(0, repaid.total - debt_part)", "by_draws = repaid.total", "draws pay before debt"),
    Mutation("domain/rules", "for drawn in reversed(draws):", "for drawn in draws:", "the first drawn pays first"),
    Mutation("domain/rules", "if whole not in context.state.lots:", "if False:", "a used pack is undone"),
    Mutation("domain/rules", 'entry["kind"] == "adjustment" and entry["amount"] < 0', "False", "a negative adjustment is voided"),
    Mutation("domain/rules", "- max(0, week.used - week.quota)", "", "overflow is drawn again by each run"),
    Mutation("domain/rules", 'if context.terms.overage == "absorb" else 0', "", "overage is never booked"),
    Mutation("domain/rules", "week.used, used):", "0, used):", "a threshold before this run is crossed by it"),
    Mutation("domain/rules", "week, -1, week.used):", "week, week.used, week.used):", "a plan change crosses nothing"),
    Mutation("domain/rules", "week.cycle + 1,", "week.cycle,", "a forced reset repeats its cycle"),
    Mutation("domain/rules", "if week.version == 0:", "if False:", "a week without a plan cannot be priced"),
    Mutation("domain/rules", "available >= max(1, asked)", "available >= asked", "an org without units may run"),
    Mutation("domain/rules", "max(0, quota - used) + state.balance", "quota - used + state.balance", "overflow counts twice"),
    Mutation("domain/pricing", "(2 * units * cents + paid_cents) // (2 * paid_cents)", "units * cents // paid_cents", "floor for round"),
    Mutation("domain/pricing", "(2 * units * cents + paid_cents) //", "(2 * units * cents + paid_cents - 1) //", "half is rounded down"),
    Mutation("domain/pricing", "numerator * scale // (denominator * divisor)", "-(-numerator * scale // (denominator * divisor))",
             "ceiling for floor"),
    Mutation("domain/pricing", 'ratios.get("default") or "1"', '"1"', "the default ratio is forgotten"),
    Mutation("domain/pricing", "if total < run_base:", "if total <= run_base:", "an empty base bucket"),
    Mutation("domain/pricing", "if 0 < cap < total:", "if 0 < cap <= total:", "a run at its cap is called capped"),
    Mutation("domain/pricing", "(-(breakdown[name] * total % whole), name)", "(breakdown[name] * total % whole, name)",
             "the smallest remainder wins"),
    Mutation("domain/policy", "if version.effective_from <= at)", "if version.effective_from < at)", "a version starts late"),
    Mutation("domain/policy", "versions[0])", "versions[-1])", "before the first, the last"),
    Mutation("domain/checks", '.replace(":", "%3A")', "", "runs with colons share a key"),
    Mutation("domain/canonical", 'entry["prev"]', '""', "the hash forgets the entry before"),
    Mutation("booking/chunk_decider", "said > instants.add_millis(", "said >= instants.add_millis(", "five minutes ahead are refused"),
    Mutation("booking/chunk_decider", "at = max(said, view.tip.at)", "at = said", "a late event is decided in the past"),
    Mutation("booking/chunk_decider", "if due and not self._looked_up and", "if False and", "a repetition books what is due"),
    Mutation("booking/chunk_decider", "if not outcome.entries and (first", "if False and (first", "a repetition is refused"),
    Mutation("booking/journal_view", "view.is_stored and not view.exact and", "not view.exact and", "what is decided is forgotten when tips are read"),
    Mutation("booking/journal_view", "if org in grown:", "if False:", "a repetition is answered with an old balance"),
    Mutation("booking/chunk_decider", "if undo_is_booked(self._store, operation.session, holder):", "if False:",
             "a pack is refused by an old view of its holder"),
    Mutation("booking/pipeline", "(len(chunk) > 1 or self._wrong > 0)", "len(chunk) > 1", "one repetition is never found"),
    Mutation("booking/pipeline", "self._writer.dry_run or ", "", "a rehearsal books what is booked already"),
    Mutation("booking/pipeline", "self._without = 0 if repeated else self._without + 1", "self._without += 1",
             "keys are not looked up although they are found"),
    Mutation("payments/clawbacks", "if item.currency != credit.currency:\n        hint", "if False:\n        hint",
             "yen are clawed as if they were cents"),
]  # fmt: skip


def copies(count: int, place: Path) -> list[Path]:
    made = []
    for number in range(count):
        copy = place / str(number)
        for name in ("meterctl", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        made.append(copy)
    return made


#: Changes nothing: with it the tests have to pass, or the others' failures prove nothing.
NONE = Mutation("domain/rules", "def decide(", "def decide(", "nothing")


def survives(copy: Path, mutation: Mutation) -> bool:
    """Whether every test passes with the mutation."""
    file = copy / "meterctl" / "core" / f"{mutation.file}.py"
    right = file.read_text(encoding="utf-8")
    if right.count(mutation.before) != 1:
        raise SystemExit(f"{mutation.file}.py has {right.count(mutation.before)} x {mutation.before!r}: mend the table")
    file.write_text(right.replace(mutation.before, mutation.after), encoding="utf-8")
    try:
        # Without bytecode: two versions of a file within one second have the same time.
        ran = subprocess.run(
            [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *TESTS],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy)},
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    finally:
        file.write_text(right, encoding="utf-8")
    if ran.returncode not in (0, 1, 2):
        raise SystemExit(f"pytest ended with {ran.returncode}: {ran.stdout.decode()[-2000:]}")
    return ran.returncode == 0


def survivors(mutations: list[Mutation]) -> Iterator[Mutation]:
    workers = os.cpu_count() or 1
    with TemporaryDirectory(prefix="meterctl-mutations-") as place, ThreadPoolExecutor(workers) as pool:
        free = copies(workers, Path(place))
        if not survives(free[0], NONE):
            raise SystemExit("the tests fail without any mutation")

        def try_one(mutation: Mutation) -> bool:
            copy = free.pop()
            try:
                return survives(copy, mutation)
            finally:
                free.append(copy)

        for mutation, survived in zip(mutations, pool.map(try_one, mutations), strict=True):
            word = "SURVIVED" if survived else "caught"
            sys.stdout.write(f"{word:9} {mutation.file}: {mutation.wrong}\n")
            sys.stdout.flush()
            if survived:
                yield mutation


def main() -> int:
    left = list(survivors(MUTATIONS))
    sys.stdout.write(f"{len(MUTATIONS) - len(left)} of {len(MUTATIONS)} mutations caught\n")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
