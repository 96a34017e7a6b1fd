"""Random histories: few names, so that operations meet each other, and hostile times, amounts and texts.

The steps come from a seeded generator, which spreads evenly and lets most operations look back at something that is
there; hypothesis draws the seed and which steps to leave out, and so shortens a history that fails.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple, TypeVar, cast

from hypothesis import strategies as st

from meterctl.core.domain.instants import add_millis, to_millis
from meterctl.core.domain.operations import (
    Adjust,
    AssignPlan,
    Attribute,
    BookDue,
    CreditPack,
    Debit,
    ExtendLot,
    ForceReset,
    Hold,
    Operation,
    Refund,
    Release,
    ReverseRefund,
    Undo,
    VoidLot,
)
from meterctl.core.domain.policy import Pack, Terms
from meterctl.core.domain.weeks import week_end
from meterctl.core.model import MAX_UNITS, Instant, PlanVersion

T = TypeVar("T")

#: A Tuesday noon: the week has begun, and a day is not a week.
START = Instant("2026-11-17T12:00:00.000Z")

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
DAY, WEEK = 24 * HOUR, 7 * 24 * HOUR
TO_MONDAY = WEEK - DAY - 12 * HOUR

ORGS = ("acme", "Acme", "a.b-c_9")

PACKS = {
    "day": Pack(100, 300, "usd", 1),
    "week": Pack(7, 10, "usd", 7),
    "ever": Pack(1000, 3, "eur"),
    "gift": Pack(50, 0, "usd", 2),
    "huge": Pack(MAX_UNITS, MAX_UNITS, "usd", 30),
    "promo": Pack(40, 90, "usd", 3, priority=10, prices={"eur": 80}),
    "any": Pack(0, 0, "usd", None, unit_price_cents="0.7"),
}

PAUSES = (
    [0, 0, 1, SECOND, HOUR, 5 * HOUR],
    [5 * MINUTE, DAY - 1, DAY, DAY + 1, TO_MONDAY - 1, TO_MONDAY, WEEK, 5 * WEEK, 60 * WEEK],
)
SAID = [0, -1, 1, -HOUR, -DAY, -WEEK, -400 * DAY, 5 * MINUTE - 1, 5 * MINUTE, 5 * MINUTE + 1, 30 * DAY]
UNITS = ([1, 2, 3, 7, 20, 31, 50, 100, 120], [1000, MAX_UNITS - 1, MAX_UNITS])
CENTS = ([1, 2, 3, 5, 100, 150], [7, 10, 300, MAX_UNITS])
LIFETIMES = [-DAY, 0, 1, HOUR, DAY, 3 * DAY, TO_MONDAY, WEEK, 400 * DAY]
REFS = ["a", "b", "c", "d", "f", "g", "h", "e:1", "e", "1:e", "é", "%3A"]
NAMES = ["pi_1", "pi_2", "ch_1"]
HOLDS = ["h1", "h2", "h3"]
SESSIONS = ["s1", "s2", "s3", "s4", "s:5"]
REFUNDS = ["re_1", "re_2", "re_3", "re_4", "dp_1"]
COSTS = (
    ["0", "0.001", "0.0005", "0.0149", "0.29", "1e-2", "0.010", "+.02"],
    ["1.5", "9007199254740.992", "1e99", "-1", "x", ""],
)


class Step(NamedTuple):
    """The clock moves on, then someone asks for something; ``said`` is relative to the clock, None for no time."""

    pause: int
    operation: Operation
    said: int | None

    def at(self, now: Instant) -> Instant | None:
        return None if self.said is None else add_millis(now, self.said)


class History(NamedTuple):
    terms: Terms
    versions: list[PlanVersion]
    steps: list[Step]


def often(random: Random, common: Sequence[T], rare: Sequence[T], one_in: int = 6) -> T:
    return random.choice(rare if random.randrange(one_in) == 0 else common)


class Org:
    """Asks for operations of one org, most of which look back at what it asked for before."""

    def __init__(self, name: str, random: Random) -> None:
        self.name = name
        self.count = 0
        self.sessions: list[str] = []
        self.refunds: list[str] = []
        self._random = random
        self._kinds: list[tuple[int, Callable[[Instant], Operation]]] = [
            (3, self._credit),
            (3, self._debit),
            (2, self._grant),
            (1, self._take),
            (3, self._refund),
            (2, self._reverse),
            (2, self._undo),
            (3, self._run),
            (2, self._costly_run),
            (2, self._assign),
            (2, self._extend),
            (1, lambda _: VoidLot(name, self._lot(), random.choice(REFS))),
            (1, lambda _: Adjust(name, -self._units(), random.choice(REFS), lot=self._lot())),
            (3, self._hold),
            (1, lambda _: Release(name, random.choice(HOLDS))),
            (1, lambda _: ForceReset(name, random.choice(REFS))),
            (1, lambda _: BookDue(name)),
        ]

    def ask(self, now: Instant) -> Operation:
        """The next operation; ``now`` is what an expiry is relative to."""
        self.count += 1
        weights, makers = zip(*self._kinds, strict=True)
        make: Callable[[Instant], Operation] = self._random.choices(makers, weights)[0]
        return make(now)

    def _one_of(self, known: list[str], any_of: list[str]) -> str:
        return often(self._random, known or any_of, any_of)

    def _units(self) -> int:
        return often(self._random, *UNITS, one_in=15)

    def _version(self) -> int | None:
        return often(self._random, [None], [0, 1, 2, 3])

    def _credit(self, now: Instant) -> Operation:
        pack = often(self._random, ["day", "week", "ever", "promo"], ["gift", "huge", "nope", "any"], one_in=7)
        own = [f"{self.name}/{number}" for number in range(3)]
        self.sessions.append(often(self._random, own, SESSIONS, one_in=2))
        names = tuple(self._random.sample(NAMES, often(self._random, [0], [1, 2], one_in=3)))
        return CreditPack(
            self.name,
            pack,
            self.sessions[-1],
            often(self._random, [None], [1, 7, 300]),
            often(self._random, [1], [2, 3]),
            often(self._random, [0], [1]),
            names,
            often(self._random, [None], [add_millis(now, lifetime) for lifetime in LIFETIMES]),
            often(self._random, [None], ["eur", "usd", "xxx"]),
        )

    def _assign(self, now: Instant) -> Operation:
        ahead = [add_millis(now, span) for span in (-HOUR, -DAY, HOUR, DAY, TO_MONDAY, WEEK, 400 * DAY)]
        later = often(self._random, [None], ["next-week", *ahead], one_in=2)
        plan = often(self._random, ["free", "pro"], ["team", "nope"])
        return AssignPlan(self.name, plan, self._random.choice(REFS), cast(Any, later))

    def _lot(self) -> int:
        return max(1, self.count - self._random.randrange(0, 12))

    def _extend(self, now: Instant) -> Operation:
        lifetime = often(self._random, LIFETIMES, [None])
        expires_at = None if lifetime is None else add_millis(now, lifetime)
        return ExtendLot(self.name, self._lot(), expires_at, self._random.choice(REFS))

    def _hold(self, now: Instant) -> Operation:
        until = often(self._random, [None], [add_millis(now, span) for span in (-HOUR, HOUR, DAY, 40 * DAY)])
        lasts = None if until else often(self._random, [None, "1h", "3d"], ["10m", "8d", "31d"])
        return Hold(self.name, self._units(), self._random.choice(HOLDS), until, lasts)

    def _debit(self, _: Instant) -> Operation:
        return Debit(self.name, self._units(), self._random.choice(REFS), self._random.random() < 0.4)

    def _grant(self, now: Instant) -> Operation:
        lifetime = often(self._random, [None], LIFETIMES, one_in=2)
        expires_at = None if lifetime is None else add_millis(now, lifetime)
        priority = often(self._random, [None], [0, 10, 50, 90])
        return Adjust(self.name, self._units(), self._random.choice(REFS), expires_at, priority=priority)

    def _take(self, _: Instant) -> Operation:
        return Adjust(self.name, -self._units(), self._random.choice(REFS), None, self._random.random() < 0.4)

    def _refund(self, now: Instant) -> Operation:
        if not self.sessions and self._random.random() < 0.9:
            return self._credit(now)
        self.refunds.append(self._random.choice(REFUNDS))
        session = self._one_of(self.sessions, SESSIONS)
        return Refund(self.name, session, often(self._random, *CENTS), self.refunds[-1])

    def _reverse(self, now: Instant) -> Operation:
        if not self.refunds and self._random.random() < 0.9:
            return self._refund(now)
        return ReverseRefund(self.name, self._one_of(self.refunds, REFUNDS))

    def _undo(self, _: Instant) -> Operation:
        seq = max(1, self.count - self._random.randrange(1, 15))
        of = f"{self._random.choice(['debit', 'run', 'void', 'adjust'])}:{self._random.choice(REFS)}"
        return often(
            self._random, [Undo(self.name, seq)], [Undo(self.name, None, of), Undo(self.name, None, f"{of}:main")]
        )

    def _run(self, _: Instant) -> Operation:
        return Attribute(
            self.name, self._random.choice(REFS), self._step(), None, self._units(), self._version(), self._held()
        )

    def _held(self) -> str | None:
        return often(self._random, [None], HOLDS, one_in=4)

    def _costly_run(self, _: Instant) -> Operation:
        features = self._random.sample(["llm", "ocr", "tts", "LLM"], self._random.randrange(4))
        costs = {feature: often(self._random, *COSTS, one_in=6) for feature in features}
        return Attribute(self.name, self._random.choice(REFS), self._step(), costs, None, self._version())

    def _step(self) -> str:
        return self._random.choice(["main", "1:e", "e"])


def random_terms(random: Random) -> Terms:
    return Terms(
        meter_mode=random.random() < 0.95,
        default_plan=often(random, ["free"], ["team"]),
        dollars_to_units=random.choice(["1000", "1000", "0.5", "33.3"]),
        run_base=random.choice([0, 1, 7]),
        max_units_per_run=random.choice([0, 0, 10]),
        thresholds=random.choice([(80, 100), (80, 100), (100, 250, 1), (50,), ()]),
        overage=often(random, ["debt"], ["absorb"], one_in=4),
        settle_overage=random.random() < 0.7,
        packs=PACKS,
        balance_alerts=random.choice([(0,), (50, 0, -10), ()]),
    )


def random_versions(random: Random) -> list[PlanVersion]:
    """Up to three versions of each of two plans; nobody has published ``team``."""
    made = []
    for plan in ("free", "pro"):
        starts = sorted(random.choices([-WEEK, 0, DAY, TO_MONDAY, 2 * WEEK], k=random.randrange(4)))
        for number, start in enumerate(starts, 1):
            quota = often(random, [0, 1, 10, 50, 100], [MAX_UNITS])
            ratios = random.choice([{}, {"default": "2"}, {"llm": "1.25", "default": "0.1"}, {"ocr": "0"}])
            when = add_millis(START, start)
            rollover = often(random, [(0, 1)], [(5, 1), (30, 2), (MAX_UNITS, 1)], one_in=3)
            made.append(PlanVersion(plan, number, quota, ratios, when, when, "tester", None, *rollover))
    return made


def random_steps(random: Random, names: Sequence[str], count: int, timed: bool) -> list[Step]:
    """``count`` steps, more than half of them of the first org; ``timed``: some bring a time of their own."""
    orgs = [Org(name, random) for name in names]
    now, steps = START, []
    for _ in range(count):
        pause = often(random, *PAUSES)
        if random.randrange(20) == 0:
            pause = max(0, to_millis(week_end(now)) - to_millis(now) + random.choice([-1, 0, 0, 1]))
        now = add_millis(now, pause)
        operation = random.choice(orgs[:1] * (1 + len(orgs)) + orgs[1:]).ask(now)
        steps.append(Step(pause, operation, often(random, [None], SAID, one_in=4) if timed else None))
    return steps


@st.composite
def histories(draw: st.DrawFn, names: Sequence[str] = ORGS, *, most: int = 25, timed: bool = True) -> History:
    random = Random(draw(st.integers(0, 2**32 - 1)))
    terms, versions = random_terms(random), random_versions(random)
    steps = random_steps(random, names, most, timed)
    return History(terms, versions, [step for step in steps if draw(st.integers(0, 15))])
