"""Inspect a store: its setup, its overdue work and its caches. Writes nothing.

Cheap enough for cron, because it samples the first documents of each kind. `verify` reads all of them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from meterctl.core import errors
from meterctl.core.booking.checked_clock import jump_of
from meterctl.core.booking.chunk_decider import FUTURE_MS
from meterctl.core.booking.head_cache import head_of
from meterctl.core.booking.plan_publisher import NewVersion, not_published
from meterctl.core.domain.instants import add_millis, to_millis
from meterctl.core.domain.policy import PlanBook
from meterctl.core.errors import (
    ClockJump,
    Damaged,
    MeterctlError,
    StoreDamaged,
    StoreUnreachable,
    StoreUnusable,
    did_you_mean,
    shell_command,
    sound,
)
from meterctl.core.model import Entry, Instant
from meterctl.core.ports import Clock, Head, Lease, Observation, Store
from meterctl.core.results import Result
from meterctl.core.sweep.lease import LEASE_MS
from meterctl.core.verify.report import Doubt
from meterctl.core.verify.second_look import persisting

#: Default number of orgs, claims and due orgs to look at.
SAMPLE = 200

#: Hours that something may be overdue: one daily sweep, and an hour for it to run.
_PATIENCE = 25

_HOUR = 3_600_000

#: Damaged documents to report one by one.
_MOST_REPORTED = 5

#: Default for the seconds that the clock may be ahead of the last write.
MAX_JUMP = 35 * 86_400.0

_RESTORE = "book nothing more: keep a copy of the file, and restore the last backup"

#: Orgs to name in one observation.
_MOST_NAMES = 20


@dataclass(slots=True)
class Diagnosis(Result):
    """The observations, in order. ``is_reachable`` is False if the store did not answer; the rest is then left out."""

    name = "doctor"

    store: str
    checks: list[Observation] = field(default_factory=list)
    is_reachable: bool = True

    @property
    def ok(self) -> bool:
        return all(check.ok is not False for check in self.checks)

    @property
    def exit_code(self) -> int:
        if not self.is_reachable:
            return errors.UNREACHABLE
        return errors.DONE if self.ok else errors.FINDINGS

    def note_unreachable(self, problem: MeterctlError) -> None:
        """Note that the store does not answer, with the reason."""
        self.checks.append(finding_of("store", problem))
        self.is_reachable = False

    def fields(self) -> dict[str, Any]:
        return {"ok": self.ok, "store": self.store, "checks": list(self.rows())}

    def rows(self) -> Iterable[Mapping[str, Any]]:
        return [check._asdict() for check in self.checks]


class Doctor:
    """Inspects ``store``.

    Anything before ``now`` is due. ``clock`` is this machine's, to compare with the server's. ``config_versions`` are
    the plans of the config, to compare with the published ones. ``default_plan`` is the config's plan for orgs without
    one; None if the config cannot be read. By ``waiting``, writers get time to catch up with their heads and claims;
    it also tells the time that is now, once the store answers.
    """

    def __init__(
        self,
        store: Store,
        now: Instant,
        clock: Clock,
        sample: int = SAMPLE,
        config_versions: Sequence[NewVersion] = (),
        default_plan: str | None = None,
        *,
        max_jump: float = MAX_JUMP,
        waiting: Clock | None = None,
    ) -> None:
        self._store = store
        self._config_versions = config_versions
        self._default_plan = default_plan
        self._now = now
        self._clock = clock
        self._sample = sample
        self._max_jump = max_jump
        self._waiting = waiting

    def look(self, diagnosis: Diagnosis) -> None:
        """Add all observations to ``diagnosis``. A store that does not answer is a finding like any other."""
        try:
            diagnosis.checks += self._observations()
        except (StoreUnreachable, StoreUnusable) as problem:
            diagnosis.note_unreachable(problem)

    def _observations(self) -> Iterator[Observation]:
        try:
            setup = self._store.examine(self._clock)
        except StoreDamaged as problem:
            yield finding_of("store", problem, _RESTORE)
            yield from self._file()
            return
        yield from setup or [self._nothing_there()]
        if setup:
            yield from self._file()
            yield from self._contents()

    def _nothing_there(self) -> Observation:
        fix = "the first write creates it, or: meterctl init; if it should exist already, check --store"
        return Observation("store", None, f"{self._store.describe()} does not exist yet", fix)

    def _contents(self) -> Iterator[Observation]:
        if self._waiting is not None:
            self._now = self._waiting.now()
        looks: dict[str, Callable[[], Observation | None]] = {"clock": self._mark}
        if self._default_plan is not None:
            looks["default plan"] = partial(self._default, self._default_plan)
            looks["plans"] = self._plans
        looks["documents"] = self._documents
        looks["locks"] = self._locks
        looks["due"] = self._due
        looks["ahead"] = self._ahead
        looks["heads"] = self._heads
        looks["claims"] = self._claims
        for name, look in looks.items():
            if (observation := _observe(name, look)) is not None:
                yield observation

    def _file(self) -> Iterator[Observation]:
        """Check the file itself; a server checks its own."""
        damage = self._store.damage()
        if damage:
            yield Observation("file", False, f"damaged: {'; '.join(damage)}", _RESTORE, StoreDamaged.code)
        elif damage is not None:
            yield Observation("file", True, "every page and index is whole")

    def _default(self, plan: str) -> Observation:
        known = {*PlanBook(self._store.plans.all).names(), *(plan.plan for plan in self._config_versions)}
        if plan in known:
            return Observation("default plan", True, plan)
        problem = f"{plan!r} is neither published nor in the config{did_you_mean(plan, known)}"
        publish = shell_command("plan", "publish", plan, "--quota", "N")
        fix = f"correct default_plan in the config, or: {publish}"
        return Observation("default plan", None, f"orgs without a plan have quota 0: {problem}", fix)

    def _plans(self) -> Observation:
        other = not_published(self._store.plans, self._config_versions)
        if not other:
            summary = "all plans of the config are published" if self._config_versions else "the config has no plans"
            return Observation("plans", True, summary)
        fix = "the published versions stay in force; to publish the config's: meterctl plan publish --from-config"
        return Observation("plans", None, f"not published as in the config: {', '.join(other)}", fix)

    def _documents(self) -> Observation:
        """Look for foreign documents in every collection except the journal, which `verify` reads."""
        kinds: list[Iterable[object]] = [self._store.plans.all(), self._store.locks.all()]
        kinds += [islice(self._store.heads.read(), self._sample), islice(self._store.claims.read(), self._sample)]
        findings = [document for kind in kinds for document in kind if isinstance(document, Damaged)]
        if not findings:
            return Observation("documents", True, "none is damaged or foreign")
        summary = f"{len(findings)} damaged or foreign: {'; '.join(each.message for each in findings[:_MOST_REPORTED])}"
        return Observation("documents", False, summary, findings[0].hint)

    def _locks(self) -> Observation:
        leases = list(sound(self._store.locks.all()))
        stale = [lease for lease in leases if lease.is_over(self._now, LEASE_MS)]
        if not stale:
            return Observation("locks", True, f"{len(leases)} held" if leases else "none held")
        names = ", ".join(self._stale(lease) for lease in stale)
        command = shell_command("lock", "break", stale[0].name, "--reason", "TEXT")
        break_it = f"the next sweep takes it over, or: {command}"
        if any(lease.expires_at > self._now for lease in stale):
            return Observation("locks", False, f"stale: {names}", f"set the clock of its machine by NTP; {break_it}")
        return Observation("locks", False, f"stale: {names}", f"its process died; {break_it}")

    def _stale(self, lease: Lease) -> str:
        ahead = lease.expires_at > self._now
        state = "dated by a clock that runs ahead, until" if ahead else "expired"
        return f"{lease.name} of {lease.holder}, {state} {lease.expires_at}"

    def _mark(self) -> Observation | None:
        """Compare this machine's clock with the last write to a file; None if no write is known."""
        mark = self._store.clock.mark()
        if mark is None:
            return None
        now = self._clock.now()
        problem = None if mark.pinned else jump_of(mark, now, self._max_jump)
        if problem is None:
            source = ", by a pinned clock" if mark.pinned else ""
            return Observation("clock", True, f"it is {now}; the last write noted ran at {mark.at}{source}")
        fix = "set this machine's clock by NTP; if it is right, write with --yes"
        return Observation("clock", False, problem, fix, ClockJump.code)

    def _ahead(self) -> Observation:
        ahead = self._store.heads.ahead(add_millis(self._now, FUTURE_MS), self._sample)
        if not ahead:
            return Observation("ahead", True, "no journal is dated ahead of now")
        names = ", ".join(f"{org} until {at}" for org, at in ahead[:_MOST_NAMES])
        rest = f" and {len(ahead) - _MOST_NAMES:,} more" if len(ahead) > _MOST_NAMES else ""
        fix = "a clock ran ahead; list them all with: meterctl verify --all; to correct it, see docs/operating.md"
        return Observation("ahead", False, f"orgs whose last entry is dated ahead of now: {names}{rest}", fix)

    def _due(self) -> Observation:
        due = self._store.heads.due(self._now, limit=self._sample)
        if not due:
            return Observation("due", True, "nothing is due")
        hours = (to_millis(self._now) - to_millis(due[0].since)) // _HOUR
        summary = f"orgs with something due: {self._count(due)}; the longest, {due[0].org}, for {hours:,} hours"
        if hours < _PATIENCE:
            return Observation("due", True, summary)
        return Observation(
            "due", False, summary, "balances are right without it, but book it: meterctl expire --all; check cron"
        )

    def _heads(self) -> Observation:
        orgs = list(islice(self._store.journal.orgs(), self._sample))
        heads = self._store.heads.get(orgs)
        tips = {org: self._store.journal.tip(org) for org in orgs}
        doubts = [Doubt(org, tip["seq"]) for org, tip in tips.items() if tip and not _is_of(heads.get(org), tip)]
        behind = persisting(self._store, doubts, self._waiting)
        if not behind:
            return Observation("heads", True, f"{self._count(orgs)} looked at, all current")
        summary = f"{len(behind)} of {self._count(orgs)} are behind or wrong, such as {behind[0].org}"
        return Observation("heads", False, summary, "sweeps may miss these orgs: meterctl verify --all --repair-heads")

    def _claims(self) -> Observation:
        claims = list(islice(sound(self._store.claims.read()), self._sample))
        keys = list(dict.fromkeys((claim.org, key) for claim in claims if (key := claim.topup_key) is not None))
        topups = self._store.journal.by_keys(keys) if keys else {}
        doubts = [Doubt(org, 0, key) for org, key in keys if (org, key) not in topups]
        missing = persisting(self._store, doubts, self._waiting)
        if not missing:
            return Observation("claims", True, f"{self._count(claims)} looked at, no credit is missing")
        org, key = missing[0].org, missing[0].key
        session = (key or "").partition(":")[2]
        summary = f"{len(missing)} of {self._count(claims)} are not credited, such as {session} of {org}"
        credit = shell_command("credit-pack", org, "PACK", "--session", session)
        fix = f"a credit was interrupted: run it again, {credit}"
        return Observation("claims", False, summary, fix)

    def _count(self, looked_at: Sequence[object]) -> str:
        return f"the first {self._sample:,}" if len(looked_at) == self._sample else f"{len(looked_at):,}"


def _is_of(head: Head | Damaged | None, tip: Entry) -> bool:
    return head is not None and not isinstance(head, Damaged) and _without_state(head) == _without_state(head_of(tip))


def _without_state(head: Head) -> Head:
    # The hash covers the state, which is by far the longest field.
    return head._replace(state={})


def finding_of(name: str, problem: MeterctlError, fix: str | None = None) -> Observation:
    """Return ``problem`` as a finding, with its own hint unless ``fix`` gives another next step."""
    return Observation(name, False, problem.message, fix or problem.hint, problem.code)


def _observe(name: str, look: Callable[[], Observation | None]) -> Observation | None:
    """Return the observation of ``look``, or a finding if that part of the store cannot be used."""
    try:
        return look()
    except StoreUnusable as problem:
        is_file = isinstance(problem, StoreDamaged) and not isinstance(problem, Damaged)
        return finding_of(name, problem, _RESTORE if is_file else None)
