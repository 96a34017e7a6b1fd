"""Do the tests notice when a rule is wrong? One line is changed at a time, and some test has to fail.

Run it as ``python -m tests.mutations``; it leaves this tree alone, prints a line per mutation, and exits 1 if one
survives.
"""

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
    "tests/unit/domain/test_rules_second_edition.py",
    "tests/unit/domain/test_rules_meter.py",
    "tests/unit/domain/test_rules_weeks.py",
    "tests/unit/domain/test_rules_time.py",
    "tests/unit/domain/test_rules_range.py",
    "tests/unit/domain/test_pricing.py",
    "tests/unit/domain/test_operations.py",
    "tests/unit/domain/test_canonical.py",
    "tests/unit/booking/test_chunk_decider.py",
    "tests/unit/booking/test_journal_view.py",
    "tests/unit/booking/test_ledger.py",
    "tests/unit/booking/test_payment_modes.py",
    "tests/unit/booking/test_payment_names.py",
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
    Mutation(
        'domain/due_events',
        'instant is None or instant > until else',
        'instant is None or instant >= until else',
        'what is due now does not count in a balance',
    ),
    Mutation(
        'domain/entries',
        'tip.next_due <= until:',
        'tip.next_due < until:',
        'what is due now is not booked',
    ),
    Mutation(
        'domain/due_events',
        'if state.holds and state.holds[0].expires_at == instant:',
        'if False:',
        'a hold that runs out with the week is never let go',
    ),
    Mutation(
        'domain/due_events',
        'min(in_force.weekly_quota, state.debt.overage)',
        'state.debt.overage',
        'settles beyond the quota',
    ),
    Mutation(
        'domain/due_events',
        'min(in_force.weekly_quota, state.debt.overage)',
        'min(in_force.weekly_quota, state.debt.total)',
        'settles what is owed',
    ),
    Mutation(
        'domain/due_events',
        'if terms.settle_overage else 0',
        '',
        'settles although told not to',
    ),
    Mutation(
        'domain/due_events',
        '._replace(used=settled)',
        '',
        'the settled units are not used of the next week',
    ),
    Mutation(
        'domain/due_events',
        'f"week:{week}" if cycle == 1 else',
        '',
        'the first cycle has the key of a later one',
    ),
    Mutation(
        'domain/due_events',
        'low < p * quota <= high',
        'low < p * quota < high',
        'a threshold reached exactly is not crossed',
    ),
    Mutation(
        'domain/due_events',
        'low < p * quota <= high',
        'low <= p * quota <= high',
        'a threshold is crossed by the next run again',
    ),
    Mutation(
        'domain/due_events',
        ' and p not in week.alerts',
        '',
        'a threshold is crossed twice a week',
    ),
    Mutation(
        'domain/due_events',
        'return sorted(p for p in thresholds',
        'return list(p for p in reversed(thresholds)',
        'alerts stand in the wrong order',
    ),
    Mutation(
        'domain/due_events',
        'if week.quota == 0:',
        'if False:',
        'a quota of 0 is crossed',
    ),
    Mutation(
        'domain/effects',
        'lot.expires_at is None, lot.expires_at or ""',
        'lot.expires_at is not None, lot.expires_at or ""',
        'never-expiring first',
    ),
    Mutation(
        'domain/effects',
        'lot.paid, lot.id)',
        'lot.paid, -lot.id)',
        'the younger lot first',
    ),
    Mutation(
        'domain/effects',
        'share = min(lot.remaining, units)',
        'share = units',
        'draws more than a lot holds',
    ),
    Mutation(
        'domain/effects',
        'owed = min(debt.owed, units)',
        'owed = 0',
        'a credit forgets what is owed',
    ),
    Mutation(
        'domain/effects',
        'min(debt.overage, units - owed)',
        'min(debt.overage, units)',
        'a unit repays twice',
    ),
    Mutation(
        'domain/effects',
        'effects["units"] - repaid, effects["expires_at"]',
        'effects["units"], effects["expires_at"]',
        'repaid units stay in the lot',
    ),
    Mutation(
        'domain/effects',
        'Lot(lot.id, lot.remaining + change.remaining, *lot[2:])',
        'Lot(lot.id, lot.remaining + change.remaining, *change[2:])',
        'a drawn lot loses its expiry',
    ),
    Mutation(
        'domain/effects',
        'uncovered + effects["uncovered"]',
        'uncovered',
        'uncovered units are not counted',
    ),
    Mutation(
        'domain/effects',
        'overage - effects.get("settled", 0)',
        'overage',
        'settled overage stays',
    ),
    Mutation(
        'domain/entries',
        'tip.seq + 1, max(at, tip.at)',
        'tip.seq + 1, at',
        'time goes back',
    ),
    Mutation(
        'domain/entries',
        'stamp.said != at:',
        'stamp.said == at:',
        'a late event forgets when it happened',
    ),
    Mutation(
        'domain/entries',
        'Stamp(DUE_ACTOR, None,',
        'Stamp("someone", None,',
        'due events carry a name',
    ),
    Mutation(
        'domain/rules/credit',
        'context.said, pack.expiry_days',
        'context.at, pack.expiry_days',
        'a late pack expires later than sold',
    ),
    Mutation(
        'domain/rules/credit',
        'operation.expires_at <= context.said',
        'operation.expires_at < context.said',
        'a grant that is over',
    ),
    Mutation(
        'domain/rules/taking',
        'if not operation.allow_debt:',
        'if operation.allow_debt:',
        'debt the wrong way round',
    ),
    Mutation(
        'domain/rules/refunds',
        'self.expired + self.forfeited + self.voided + self.clawed',
        'self.forfeited + self.voided + self.clawed',
        'claws what expired',
    ),
    Mutation(
        'domain/rules/refunds',
        'self.expired + self.forfeited + self.voided + self.clawed',
        'self.expired + self.voided + self.clawed',
        'claws what is forfeited',
    ),
    Mutation(
        'domain/rules/refunds',
        'self.expired + self.forfeited + self.voided + self.clawed',
        'self.expired + self.forfeited + self.voided',
        'claws twice',
    ),
    Mutation(
        'domain/rules/refunds',
        'aim - self.clawed - self.forgiven',
        'aim',
        'partial refunds are not cumulative',
    ),
    Mutation(
        'domain/rules/refunds',
        ' and entry["seq"] not in taken_back]',
        ']',
        'a reversed refund still counts',
    ),
    Mutation(
        'domain/rules/refunds',
        'if operation.cents > standing.refundable_cents:',
        'if operation.cents >= standing.refundable_cents:',
        'a full refund is refused',
    ),
    Mutation(
        'domain/rules/refunds',
        'draw([*own, *others], clawback)',
        'draw(context.state.lots, clawback)',
        "others' lots are clawed first",
    ),
    Mutation(
        'domain/rules/refunds',
        '"forgiven": target - clawback,',
        '"forgiven": 0,',
        'nothing is said of what is forgiven',
    ),
    Mutation(
        'domain/rules/giving_back',
        'expires_at is not None and expires_at <= context.at',
        'False',
        'expired units come back',
    ),
    Mutation(
        'domain/rules/giving_back',
        'by_draws = max(0, repaid.total - new_debt.total)',
        'by_draws = repaid.total',
        'draws pay before debt',
    ),
    Mutation(
        'domain/rules/giving_back',
        'for each in reversed(draws):',
        'for each in draws:',
        'the first drawn pays first',
    ),
    Mutation(
        'domain/rules/undo',
        'if rest != entry["units"]:',
        'if False:',
        'a used pack is undone',
    ),
    Mutation(
        'domain/rules/usage',
        '- max(0, week.used - week.quota)',
        '',
        'overflow is drawn again by each run',
    ),
    Mutation(
        'domain/rules/usage',
        'if context.terms.overage == "absorb" else 0',
        '',
        'overage is never booked',
    ),
    Mutation(
        'domain/rules/usage',
        'week.used, used):',
        '0, used):',
        'a threshold before this run is crossed by it',
    ),
    Mutation(
        'domain/due_events',
        'week, -1, week.used):',
        'week, week.used, week.used):',
        'a plan change crosses nothing',
    ),
    Mutation(
        'domain/rules/plans',
        'week.cycle + 1,',
        'week.cycle,',
        'a forced reset repeats its cycle',
    ),
    Mutation(
        'domain/rules/usage',
        'if week.version == 0:',
        'if False:',
        'a week without a plan cannot be priced',
    ),
    Mutation(
        'domain/rules/holds',
        'available >= max(1, units)',
        'available >= units',
        'an org without units may run',
    ),
    Mutation(
        'domain/rules/holds',
        'max(0, quota - used) + state.balance',
        'quota - used + state.balance',
        'overflow counts twice',
    ),
    Mutation(
        'domain/pricing',
        '(2 * units * cents + paid_cents) // (2 * paid_cents)',
        'units * cents // paid_cents',
        'floor for round',
    ),
    Mutation(
        'domain/pricing',
        '(2 * units * cents + paid_cents) //',
        '(2 * units * cents + paid_cents - 1) //',
        'half is rounded down',
    ),
    Mutation(
        'domain/pricing',
        'numerator * scale // (denominator * divisor)',
        '-(-numerator * scale // (denominator * divisor))',
        'ceiling for floor',
    ),
    Mutation(
        'domain/pricing',
        'ratios.get("default") or "1"',
        '"1"',
        'the default ratio is forgotten',
    ),
    Mutation(
        'domain/pricing',
        'if total < run_base:',
        'if total <= run_base:',
        'an empty base bucket',
    ),
    Mutation(
        'domain/pricing',
        'if 0 < cap < total:',
        'if 0 < cap <= total:',
        'a run at its cap is called capped',
    ),
    Mutation(
        'domain/pricing',
        '(-(breakdown[name] * total % whole), name)',
        '(breakdown[name] * total % whole, name)',
        'the smallest remainder wins',
    ),
    Mutation(
        'domain/policy',
        'if version.effective_from <= at)',
        'if version.effective_from < at)',
        'a version starts late',
    ),
    Mutation(
        'domain/policy',
        'versions[0])',
        'versions[-1])',
        'before the first, the last',
    ),
    Mutation(
        'domain/checks',
        '.replace(":", "%3A")',
        '',
        'runs with colons share a key',
    ),
    Mutation(
        'domain/canonical',
        'entry["prev"]',
        '""',
        'the hash forgets the entry before',
    ),
    Mutation(
        'booking/chunk_decider',
        'request_time > instants.add_millis(',
        'request_time >= instants.add_millis(',
        'five minutes ahead are refused',
    ),
    Mutation(
        'booking/chunk_decider',
        'at = max(request_time, tip.at)',
        'at = request_time',
        'a late event is decided in the past',
    ),
    Mutation(
        'booking/chunk_decider',
        'if due and not self._reader.keys_are_read:',
        'if False:',
        'a repetition books what is due',
    ),
    Mutation(
        'booking/chunk_decider',
        'if view.tip is not tip:',
        'if False:',
        'due events of an old tip are booked on a newer one',
    ),
    Mutation(
        'booking/chunk_decider',
        'if not outcome.entries and (first',
        'if False and (first',
        'a repetition is refused',
    ),
    Mutation(
        'booking/journal_view',
        'view.is_stored and not view.exact and',
        'not view.exact and',
        'what is decided is forgotten when tips are read',
    ),
    Mutation(
        'booking/journal_view',
        'self._kept_lots += lots - view.weight',
        'pass',
        'a long call keeps any number of lots in memory',
    ),
    Mutation(
        'booking/journal_view',
        'self._kept_lots -= view.weight',
        'pass',
        'a long call forgets every org once it had many lots',
    ),
    Mutation(
        'booking/journal_view',
        'if org in grown:',
        'if False:',
        'a repetition is answered with an old balance',
    ),
    Mutation(
        'booking/payment_names',
        'if not undo_is_booked(self._store, claim):',
        'if True:',
        'a pack is refused by an old view of its holder',
    ),
    Mutation(
        'booking/payment_names',
        'named = view.topup_named(operation.all_names) if own else None',
        'named = None',
        'a crash between claim and topup lets a payment in twice',
    ),
    Mutation(
        'booking/payment_names',
        'return operation.is_anew and view.by_key(undo_key(topup)) is not None',
        'return operation.is_anew',
        'a payment is credited anew although its topup stands',
    ),
    Mutation(
        'booking/payment_names',
        'claim._replace(session="")',
        'claim',
        'a credit answered with another name leaves a claim behind',
    ),
    Mutation(
        'booking/payment_modes',
        'if live is None or held is None or held == live:',
        'if True:',
        'a test payment is booked beside live ones',
    ),
    Mutation(
        'booking/payment_modes',
        'self._known.clear()',
        'pass',
        'an undo does not free the mode of a store for the rest of a file',
    ),
    Mutation(
        'booking/payment_modes',
        'name in entries and undo not in entries and not',
        'name in entries and not',
        'a payment that was undone gives a store its mode',
    ),
    Mutation(
        'booking/payment_modes',
        'return any(not self.has_decided(_undo_of(name)) for name in chain(topups, named))',
        'return False',
        'a payment of the other mode gets in while the first one is being appended',
    ),
    Mutation(
        'booking/pipeline',
        '(len(chunk) > 1 or self._wrong > 0)',
        'len(chunk) > 1',
        'one repetition is never found',
    ),
    Mutation(
        'booking/pipeline',
        'self._writer.dry_run or ',
        '',
        'a rehearsal books what is booked already',
    ),
    Mutation(
        'booking/pipeline',
        'self._without = 0 if has_repeats else self._without + 1',
        'self._without += 1',
        'keys are not looked up although they are found',
    ),
    Mutation(
        'domain/due_events',
        'lots[0].priority == lots[-1].priority',
        'True',
        'an expiry behind the first lot is overlooked',
    ),
    Mutation(
        'domain/due_events',
        'return Next(instant, EXPIRE, min(lots))',
        'return Next(instant, EXPIRE, max(lots))',
        'lots expire in the wrong order',
    ),
    Mutation(
        'domain/due_events',
        'state.debt.total > settled',
        'False',
        'quota rolls over beside debt',
    ),
    Mutation(
        'domain/due_events',
        'min(week.quota - week.used, version.rollover_max,',
        'min(week.quota, version.rollover_max,',
        'used quota rolls over',
    ),
    Mutation(
        'domain/due_events',
        'opens = settled or (in_force.rollover_max and terms.meter_mode)',
        'opens = settled',
        'an idle week rolls nothing over',
    ),
    Mutation(
        'domain/due_events',
        '7 * version.rollover_weeks',
        'version.rollover_weeks',
        'rolled over units live for days',
    ),
    Mutation(
        'domain/due_events',
        'amount = settled + rollover.get("units", 0)',
        'amount = settled',
        'rolled over units are in no amount',
    ),
    Mutation(
        'domain/policy',
        'state.next_plan.from_at <= at',
        'state.next_plan.from_at < at',
        'a dated plan comes an instant late',
    ),
    Mutation(
        'domain/effects',
        'return (lot.priority, ',
        'return (0, ',
        'priority means nothing',
    ),
    Mutation(
        'domain/effects',
        'lot.expires_at or "", lot.paid,',
        'lot.expires_at or "", not lot.paid,',
        'paid units go first',
    ),
    Mutation(
        'domain/effects',
        'priority, paid=kind == "topup")',
        'priority)',
        'a pack is not marked as paid',
    ),
    Mutation(
        'domain/effects',
        'return tuple(sorted(after, key=draw_order))',
        'return tuple(after)',
        'an extended lot keeps its turn',
    ),
    Mutation(
        'domain/effects',
        'used=week.used - uncounted["units"],',
        '',
        'an undone run stays used',
    ),
    Mutation(
        'domain/effects',
        'return effects["plan"], None',
        'return effects["plan"], NextPlan(effects["plan"], Instant("9999-12-31T00:00:00.000Z"), 1)',
        'a plan in force is still to come',
    ),
    Mutation(
        'domain/overflow',
        'if grown and grown[-1].source == source:',
        'if False:',
        'parts of one source are kept apart',
    ),
    Mutation(
        'domain/overflow',
        'max(0, total - max(0, used_after - quota))',
        'total',
        'an undo gives back what later runs took',
    ),
    Mutation(
        'domain/overflow',
        'own = _newest(parts, min(to_remove, uncovered), only=UNCOVERED)',
        'own = _newest(parts, 0, only=UNCOVERED)',
        'what nothing covered is given back from lots',
    ),
    Mutation(
        'domain/overflow',
        'for source, count in reversed(parts):',
        'for source, count in parts:',
        'the oldest overflow comes back',
    ),
    Mutation(
        'domain/rules/giving_back',
        'overage = min(new_debt.overage, debt.overage)',
        'overage = 0',
        'an undone run pays what is owed',
    ),
    Mutation(
        'domain/rules/giving_back',
        'if lot.priority != PRIORITY:',
        'if False:',
        'a lot comes back without its priority',
    ),
    Mutation(
        'domain/rules/giving_back',
        'if lot.paid:',
        'if False:',
        'a paid lot comes back unpaid',
    ),
    Mutation(
        'domain/rules/undo',
        'if operation.seq not in (None, entry["seq"]):',
        'if False:',
        'an undo takes back an entry that moved',
    ),
    Mutation(
        'domain/rules/undo',
        'if week is None or (week.key, week.cycle) != (entry["week"], entry["cycle"]):',
        'if week is None:',
        'a run is taken out of another week',
    ),
    Mutation(
        'domain/rules/lots',
        'opening.get("expires_at") if extension is None else extension["expires_at"]',
        'opening.get("expires_at")',
        'a lot comes back with the expiry it had first',
    ),
    Mutation(
        'domain/rules/lots',
        'operation.expires_at <= context.at:',
        'operation.expires_at < context.at:',
        'a lot is made to expire now',
    ),
    Mutation(
        'domain/rules/taking',
        'lot is None or lot.remaining < units',
        'lot is None',
        'more is taken than one lot holds',
    ),
    Mutation(
        'domain/rules/taking',
        'if available >= units:',
        'if True:',
        'a debit takes what is held',
    ),
    Mutation(
        'domain/rules/holds',
        '+ state.balance - state.held',
        '+ state.balance',
        'units on hold are promised twice',
    ),
    Mutation(
        'domain/rules/holds',
        'if available < operation.units:',
        'if False:',
        'a hold promises what is not there',
    ),
    Mutation(
        'domain/rules/holds',
        'if expires_at <= context.at:',
        'if expires_at < context.at:',
        'a hold is over as it begins',
    ),
    Mutation(
        'domain/rules/plans',
        'same_plan = state.plan == operation.plan and state.next_plan is None',
        'same_plan = state.plan == operation.plan',
        'a dated plan cannot be called off',
    ),
    Mutation(
        'domain/rules/plans',
        'if from_at <= context.said:',
        'if False:',
        'a plan is dated in the past',
    ),
    Mutation(
        'domain/rules/credit',
        'pack.units * operation.quantity',
        'pack.units',
        'one pack for the price of three',
    ),
    Mutation(
        'domain/rules/credit',
        'paid_cents - operation.tax_cents, pack.unit_price_cents',
        'paid_cents, pack.unit_price_cents',
        'tax buys units',
    ),
    Mutation(
        'domain/rules/__init__',
        'len(after.lots) > MOST_LOTS and len(after.lots) > len(before.lots)',
        'False',
        'lots without end',
    ),
    Mutation(
        'domain/rules/refunds',
        'aim = self.clawed + self.forgiven + unspent',
        'aim = unspent',
        'the unused part forgets earlier refunds',
    ),
    Mutation(
        'domain/entries',
        'if balance < level <= before',
        'if balance <= level < before',
        'a low balance is told an entry late',
    ),
    Mutation(
        "payments/clawbacks",
        "if item.currency != credit.currency:\n        command",
        "if False:\n        command",
        "yen are clawed as if they were cents",
    ),
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
NONE = Mutation("domain/rules/__init__", "def out_of_bounds(", "def out_of_bounds(", "nothing")


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
    except subprocess.TimeoutExpired:
        return False  # a test that never ends does not pass
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
