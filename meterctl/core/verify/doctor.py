"""Looking over a store: how it is set up, what waits, and whether its caches keep up. Writes nothing.

Cheap enough for cron: where there is much to look at, the first of it is looked at. `verify` looks at all.
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
from meterctl.core.errors import Damaged, MeterctlError, StoreUnreachable, StoreUnusable, did_you_mean, shell_word
from meterctl.core.model import Entry, Instant
from meterctl.core.ports import Clock, ClockMark, Head, Lease, Observation, Store, sound
from meterctl.core.results import Result
from meterctl.core.sweep.lease import LEASE_MS

#: How many orgs, claims and due orgs are looked at, unless said.
SAMPLE = 200

#: Hours for which something may be due: a sweep once a day, and an hour for it.
_PATIENCE = 25

_HOUR = 3_600_000

#: Damaged documents that are told one by one.
_MOST_TOLD = 5

#: Seconds that the clock may be ahead of the last write, unless said.
MAX_JUMP = 35 * 86_400.0

#: Orgs that are named in one observation.
_NAMED = 20


@dataclass(slots=True)
class Diagnosis(Result):
    """What was looked at, in order. ``reached`` False: the store did not answer, and what it could have told is left
    out."""

    name = "doctor"

    store: str
    checks: list[Observation] = field(default_factory=list)
    reached: bool = True

    @property
    def ok(self) -> bool:
        return all(check.ok is not False for check in self.checks)

    @property
    def exit_code(self) -> int:
        if not self.reached:
            return errors.UNREACHABLE
        return errors.DONE if self.ok else errors.FINDINGS

    def unreached(self, problem: MeterctlError) -> None:
        """Note that the store cannot be asked, and why."""
        self.checks.append(Observation("store", False, problem.message, problem.hint))
        self.reached = False

    def fields(self) -> dict[str, Any]:
        return {"ok": self.ok, "store": self.store, "checks": list(self.rows())}

    def rows(self) -> Iterable[Mapping[str, Any]]:
        return [check._asdict() for check in self.checks]


class Doctor:
    """Looks over ``store``. ``now`` decides what is due; ``clock`` is this machine's, to hold against the server's;
    ``wanted`` are the plans of the config, to hold against the published ones, and ``default_plan`` is the one it names
    for orgs without a plan (None: the config cannot be read)."""

    def __init__(
        self,
        store: Store,
        now: Instant,
        clock: Clock,
        sample: int = SAMPLE,
        wanted: Sequence[NewVersion] = (),
        default_plan: str | None = None,
        *,
        max_jump: float = MAX_JUMP,
    ) -> None:
        self._store = store
        self._wanted = wanted
        self._default_plan = default_plan
        self._now = now
        self._clock = clock
        self._sample = sample
        self._max_jump = max_jump

    def look(self, diagnosis: Diagnosis) -> None:
        """Add to ``diagnosis`` what there is to see. A store that does not answer is a finding like any other."""
        try:
            setup = self._store.examine(self._clock)
            diagnosis.checks += setup or [self._nothing_there()]
            if setup:
                diagnosis.checks += self._file()
                diagnosis.checks += self._contents()
        except (StoreUnreachable, StoreUnusable) as problem:
            diagnosis.unreached(problem)

    def _nothing_there(self) -> Observation:
        fix = "the first write makes it, or: meterctl init; if it should be there, check --store"
        return Observation("store", None, f"{self._store.describe()} is not there yet", fix)

    def _contents(self) -> Iterator[Observation]:
        if (mark := self._store.clock.mark()) is not None:
            yield self._mark(mark)
        if self._default_plan is not None:
            yield _looked("default plan", partial(self._default, self._default_plan))
            yield _looked("plans", self._plans)
        looks = {
            "documents": self._documents,
            "locks": self._locks,
            "due": self._due,
            "ahead": self._ahead,
            "heads": self._heads,
            "claims": self._claims,
        }
        for name, look in looks.items():
            yield _looked(name, look)

    def _file(self) -> Iterator[Observation]:
        """Look at the medium, where no server does."""
        damage = self._store.damage()
        if damage:
            fix = "book nothing more: keep a copy of it, and restore the last backup"
            yield Observation("file", False, f"damaged: {'; '.join(damage)}", fix)
        elif damage is not None:
            yield Observation("file", True, "every page and index is whole")

    def _default(self, plan: str) -> Observation:
        known = {*PlanBook(self._store.plans.all).names(), *(wanted.plan for wanted in self._wanted)}
        if plan in known:
            return Observation("default plan", True, plan)
        lacking = f"{plan!r} is neither published nor in the config{did_you_mean(plan, known)}"
        fix = f"correct default_plan in the config, or: meterctl plan publish {plan} --quota N"
        return Observation("default plan", None, f"orgs without a plan have quota 0: {lacking}", fix)

    def _plans(self) -> Observation:
        other = not_published(self._store.plans, self._wanted)
        if not other:
            told = "the config's are published as they are" if self._wanted else "the config has none"
            return Observation("plans", True, told)
        fix = "what is published holds; to publish what the config says: meterctl plan publish --from-config"
        return Observation("plans", None, f"not published as the config has them: {', '.join(other)}", fix)

    def _documents(self) -> Observation:
        """Look for documents that are not ours in every collection but the journal, which `verify` reads."""
        kinds: list[Iterable[object]] = [self._store.plans.all(), self._store.locks.all()]
        kinds += [islice(self._store.heads.read(), self._sample), islice(self._store.claims.read(), self._sample)]
        damaged = [document for kind in kinds for document in kind if isinstance(document, Damaged)]
        if not damaged:
            return Observation("documents", True, "none that is damaged or foreign")
        told = f"{len(damaged)} damaged or foreign: {'; '.join(each.message for each in damaged[:_MOST_TOLD])}"
        return Observation("documents", False, told, damaged[0].hint)

    def _locks(self) -> Observation:
        leases = list(sound(self._store.locks.all()))
        stale = [lease for lease in leases if lease.is_over(self._now, LEASE_MS)]
        if not stale:
            return Observation("locks", True, f"{len(leases)} held" if leases else "none held")
        names = ", ".join(self._stale(lease) for lease in stale)
        break_it = f"the next sweep takes it over, or: meterctl lock break {stale[0].name} --reason TEXT"
        if any(lease.expires_at > self._now for lease in stale):
            return Observation("locks", False, f"stale: {names}", f"set the clock of its machine by NTP; {break_it}")
        return Observation("locks", False, f"stale: {names}", f"its process died; {break_it}")

    def _stale(self, lease: Lease) -> str:
        ahead = lease.expires_at > self._now
        state = "dated by a clock that runs ahead, until" if ahead else "expired"
        return f"{lease.name} of {lease.holder}, {state} {lease.expires_at}"

    def _mark(self, mark: ClockMark) -> Observation:
        """Compare this machine's clock with the last write to a file."""
        now = self._clock.now()
        problem = None if mark.pinned else jump_of(mark, now, self._max_jump)
        if problem is None:
            pinned = ", by a pinned clock" if mark.pinned else ""
            return Observation("clock", True, f"it is {now}; the last write noted ran at {mark.at}{pinned}")
        return Observation("clock", False, problem, "set this machine's clock by NTP; if it is right, write with --yes")

    def _ahead(self) -> Observation:
        ahead = self._store.heads.ahead(add_millis(self._now, FUTURE_MS), self._sample)
        if not ahead:
            return Observation("ahead", True, "no journal lies ahead of now")
        names = ", ".join(f"{org} until {at}" for org, at in ahead[:_NAMED])
        rest = f" and {len(ahead) - _NAMED:,} more" if len(ahead) > _NAMED else ""
        fix = "a clock ran ahead; list them all with: meterctl verify --all; docs/operating.md says how to put it right"
        return Observation("ahead", False, f"orgs whose last entry lies ahead of now: {names}{rest}", fix)

    def _due(self) -> Observation:
        due = self._store.heads.due(self._now, limit=self._sample)
        if not due:
            return Observation("due", True, "nothing is due")
        hours = (to_millis(self._now) - to_millis(due[0].since)) // _HOUR
        told = f"orgs with something due: {self._count(due)}; the longest, {due[0].org}, for {hours:,} hours"
        if hours < _PATIENCE:
            return Observation("due", True, told)
        return Observation(
            "due", False, told, "no answer depends on it, but book it: meterctl expire --all; see to cron"
        )

    def _heads(self) -> Observation:
        orgs = list(islice(self._store.journal.orgs(), self._sample))
        heads = self._store.heads.get(orgs)
        behind = [org for org in orgs if not self._is_current(org, heads.get(org))]
        if not behind:
            return Observation("heads", True, f"{self._count(orgs)} looked at, all current")
        told = f"{len(behind)} of {self._count(orgs)} are behind or wrong, such as {behind[0]}"
        return Observation("heads", False, told, "sweeps may miss these orgs: meterctl verify --all --repair-heads")

    def _is_current(self, org: str, head: Head | Damaged | None) -> bool:
        """Return True if the head is that of the newest entry, with its hash and balance."""
        tip = self._store.journal.tip(org)
        if tip is None or _is_of(head, tip):
            return True
        # A writer puts the head a moment after it appended: look once more, at both.
        head, tip = self._store.heads.get([org]).get(org), self._store.journal.tip(org)
        return tip is None or _is_of(head, tip)

    def _claims(self) -> Observation:
        claims = list(islice(sound(self._store.claims.read()), self._sample))
        wanted = list(dict.fromkeys((claim.org, f"session:{claim.session}") for claim in claims))
        missing = self._not_booked(self._not_booked(wanted))  # a topup is appended a moment after its claim
        if not missing:
            return Observation("claims", True, f"{self._count(claims)} looked at, all credited")
        org, key = missing[0]
        session = key.partition(":")[2]
        told = f"{len(missing)} of {self._count(claims)} are not credited, such as {session} of {org}"
        fix = f"a credit was cut off: run it again, meterctl credit-pack {shell_word(org)} PACK --session {session}"
        return Observation("claims", False, told, fix)

    def _not_booked(self, keys: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        booked = self._store.journal.by_keys(keys) if keys else {}
        return [key for key in keys if key not in booked]

    def _count(self, looked_at: Sequence[object]) -> str:
        return f"the first {self._sample:,}" if len(looked_at) == self._sample else f"{len(looked_at):,}"


def _is_of(head: Head | Damaged | None, tip: Entry) -> bool:
    return head is not None and not isinstance(head, Damaged) and _without_state(head) == _without_state(head_of(tip))


def _without_state(head: Head) -> Head:
    # The hash covers it, and it is longer than all else.
    return head._replace(state={})


def _looked(name: str, look: Callable[[], Observation]) -> Observation:
    """What ``look`` found. A part of the store that cannot be used is a finding, and the others are looked at."""
    try:
        return look()
    except StoreUnusable as problem:
        return Observation(name, False, problem.message, problem.hint)
