"""The clock of whoever writes, compared with the store's."""

from collections.abc import Callable

import pytest

from meterctl.core.booking.checked_clock import CheckedClock, JudgedClock, span_of
from meterctl.core.domain.instants import add_millis
from meterctl.core.domain.policy import ClockLimits
from meterctl.core.errors import UNREACHABLE, ClockJump, ClockSkew, MeterctlError, StoreDamaged
from meterctl.core.model import Instant
from meterctl.core.ports import ClockMark
from tests.desk import NOON, HandClock

LIMITS = ClockLimits(skew=300.0, jump=35 * 86_400.0)
DAY, HOUR, MINUTE = 86_400_000, 3_600_000, 60_000


class Machine(HandClock):
    """A machine's clock: time passes when it is told to, and may be set."""

    def __init__(self) -> None:
        super().__init__(NOON)
        self.passed = 0.0

    def elapsed(self) -> float:
        return self.passed

    def wait(self, seconds: float) -> None:
        self.passed += seconds
        self.set_by(round(seconds * 1000))

    def set_by(self, millis: int) -> None:
        self.instant = add_millis(self.instant, millis)


class Times:
    """What a store knows of the time, and how often it was asked."""

    has_server = True

    def __init__(self, server: Callable[[], Instant | None] = lambda: None, mark: ClockMark | None = None) -> None:
        self.server = server
        self.kept = mark
        self.asked = 0
        self.left: list[ClockMark] = []

    def server_time(self) -> Instant | None:
        self.asked += 1
        return self.server()

    def mark(self) -> ClockMark | None:
        return self.kept

    def leave_mark(self, mark: ClockMark) -> None:
        self.left.append(mark)


def at(millis: int = 0) -> Instant:
    return add_millis(Instant(NOON), millis)


def refused(clock: CheckedClock) -> MeterctlError | None:
    try:
        clock.now()
    except (ClockSkew, ClockJump) as problem:
        return problem
    return None


@pytest.mark.parametrize(
    ("skew", "allowed"),
    [(0, True), (300_000, True), (-300_000, True), (300_001, False), (-300_001, False), (100 * DAY, False)],
)
def test_a_clock_may_differ_from_the_servers_by_so_much(skew: int, allowed: bool) -> None:
    machine = Machine()
    machine.set_by(skew)
    problem = refused(CheckedClock(machine, Times(lambda: Instant(NOON)), LIMITS))
    assert (problem is None) == allowed
    if problem is not None:
        assert (problem.code, problem.exit_code) == ("clock_skew", UNREACHABLE)
        assert "ahead of" in problem.message if skew > 0 else "behind" in problem.message


def test_the_time_that_the_answer_took_is_no_skew() -> None:
    machine = Machine()

    def slow() -> Instant:
        answer = at(-350_000)
        machine.wait(8)
        return answer

    # The server read its clock at an unknown moment in those 8 seconds: what can be explained by them is let pass.
    machine.set_by(-350_000 - 299_000)
    assert refused(CheckedClock(machine, Times(slow), LIMITS)) is None


def test_the_server_is_asked_once_a_minute() -> None:
    machine = Machine()
    server = Machine()
    times = Times(lambda: server.instant)
    clock = CheckedClock(machine, times, LIMITS)
    for _ in range(13):
        clock.now()
        for one in (machine, server):
            one.wait(10)
    assert times.asked == 2


def test_a_clock_that_is_set_while_a_run_goes_on_is_seen_at_once() -> None:
    machine = Machine()
    times = Times(lambda: at(round(machine.passed * 1000)))
    clock = CheckedClock(machine, times, LIMITS)
    clock.now()
    machine.wait(1)
    machine.set_by(HOUR)
    problem = refused(clock)
    assert problem is not None
    assert times.asked == 2, "the server is asked again before anything is refused"
    machine.set_by(-HOUR)
    assert refused(clock) is None


def test_a_machine_that_slept_asks_again() -> None:
    machine = Machine()
    server = Machine()
    clock = CheckedClock(machine, Times(lambda: server.instant), LIMITS)
    clock.now()
    for one in (machine, server):
        one.set_by(HOUR)  # no time passes on the clock that measures spans
    assert refused(clock) is None


def test_without_a_limit_the_server_is_not_asked() -> None:
    times = Times(lambda: at(DAY))
    assert CheckedClock(Machine(), times, LIMITS._replace(skew=None)).now() == NOON
    assert times.asked == 0


JUMPS = [
    (0, True),
    (35 * DAY, True),
    (35 * DAY + 1, False),
    (100 * DAY, False),
    (-5 * MINUTE, True),
    (-5 * MINUTE - 1, False),
    (-100 * DAY, False),
]


@pytest.mark.parametrize(("jump", "allowed"), JUMPS)
@pytest.mark.parametrize("pinned", [False, True])
def test_a_clock_may_be_so_far_from_the_last_write(jump: int, allowed: bool, pinned: bool) -> None:
    machine = Machine()
    machine.set_by(jump)
    problem = refused(CheckedClock(machine, Times(mark=ClockMark(at(), pinned=False)), LIMITS, is_pinned=pinned))
    assert (problem is None) == allowed
    if problem is not None:
        assert (problem.code, problem.exit_code) == ("clock_jump", UNREACHABLE)


@pytest.mark.parametrize("jump", [jump for jump, _ in JUMPS])
def test_a_pinned_clock_goes_anywhere_where_only_such_have_written(jump: int) -> None:
    machine = Machine()
    machine.set_by(jump)
    times = Times(mark=ClockMark(at(), pinned=True))
    assert refused(CheckedClock(machine, times, LIMITS, is_pinned=True)) is None
    assert (refused(CheckedClock(machine, times, LIMITS)) is None) == dict(JUMPS)[jump]


def test_a_rehearsal_may_be_pinned_to_any_time_and_leaves_no_mark() -> None:
    machine = Machine()
    machine.set_by(1000 * DAY)
    times = Times(mark=ClockMark(at(), pinned=False))
    assert refused(CheckedClock(machine, times, LIMITS, is_pinned=True, writes=False)) is None
    assert refused(CheckedClock(machine, times, LIMITS, writes=False)) is not None
    assert times.left == []


def test_somebody_may_say_to_go_on_and_is_asked_once() -> None:
    machine = Machine()
    machine.set_by(100 * DAY)
    told: list[str] = []

    def agree(problem: str) -> bool:
        told.append(problem)
        return True

    times = Times(mark=ClockMark(at(), pinned=False))
    clock = CheckedClock(machine, times, LIMITS, confirm=agree)
    for _ in range(3):
        clock.now()
        machine.wait(100)
    assert told == [f"the clock says {at(100 * DAY)}, 100 days ahead of the last write to this store, at {NOON}"]
    assert times.left[0] == ClockMark(at(100 * DAY), pinned=False)


def test_a_clock_that_jumps_in_the_middle_of_a_run_is_refused_without_asking() -> None:
    machine = Machine()
    clock = CheckedClock(machine, Times(mark=ClockMark(at(), pinned=False)), LIMITS, confirm=lambda _: True)
    clock.now()
    machine.set_by(100 * DAY)
    assert refused(clock) is not None


@pytest.mark.parametrize(
    ("kept", "pinned", "moved", "left"),
    [
        (None, False, 0, ClockMark(at(), pinned=False)),
        (None, True, 0, ClockMark(at(), pinned=True)),
        (ClockMark(at(), pinned=False), False, HOUR - 1, None),
        (ClockMark(at(), pinned=False), False, HOUR, ClockMark(at(HOUR), pinned=False)),
        (ClockMark(at(), pinned=False), False, -MINUTE, None),
        (ClockMark(at(), pinned=False), True, HOUR, ClockMark(at(HOUR), pinned=False)),
        (ClockMark(at(), pinned=True), True, HOUR, ClockMark(at(HOUR), pinned=True)),
        (ClockMark(at(), pinned=True), True, -DAY, None),
        (ClockMark(at(), pinned=True), False, -MINUTE, ClockMark(at(-MINUTE), pinned=False)),
    ],
)
def test_a_mark_is_left_once_an_hour_and_a_real_clock_takes_over(
    kept: ClockMark | None, pinned: bool, moved: int, left: ClockMark | None
) -> None:
    machine = Machine()
    machine.set_by(moved)
    times = Times(mark=kept)
    clock = CheckedClock(machine, times, LIMITS, is_pinned=pinned)
    for _ in range(3):
        clock.now()
    assert times.left == ([] if left is None else [left])


def test_waiting_is_the_clocks_own() -> None:
    machine = Machine()
    clock = CheckedClock(machine, Times(), LIMITS)
    clock.sleep(3)
    assert machine.slept == [3]
    machine.wait(2)
    assert clock.elapsed() == 2


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "1 seconds"), (119, "119 seconds"), (120, "2 minutes"), (7200, "2 hours"), (8_640_000, "100 days")],
)
def test_spans_in_words(seconds: float, words: str) -> None:
    assert span_of(seconds) == words


# -- a clock for checks


def test_a_judged_clock_is_the_machines_while_writes_would_take_it() -> None:
    machine, doubts = Machine(), list[str]()
    clock = JudgedClock(machine, Times(lambda: Instant(NOON)), LIMITS, doubt=doubts.append)
    machine.set_by(4 * MINUTE)
    assert (clock.now(), doubts) == (at(4 * MINUTE), [])
    machine.set_by(100 * DAY)
    assert [clock.now(), clock.now()] == [NOON, NOON]
    (doubt,) = doubts
    assert "100 days ahead of the database server's" in doubt
    machine.set_by(-100 * DAY)
    assert clock.now() == at(4 * MINUTE)


def test_a_judged_clock_of_a_file_doubts_a_jump_and_has_no_other_time() -> None:
    machine, times, doubts = Machine(), Times(mark=ClockMark(at(), pinned=False)), list[str]()
    times.has_server = False
    machine.set_by(-DAY)
    clock = JudgedClock(machine, times, LIMITS, doubt=doubts.append)
    assert (clock.now(), times.left) == (at(-DAY), [])
    assert "behind the last write to this store" in doubts[0]
    assert JudgedClock(machine, times, LIMITS, is_pinned=True, doubt=doubts.append).now() == at(-DAY)
    assert len(doubts) == 1, "a pinned clock may tell any time, where it only reads"


def test_a_judged_clock_leaves_damage_to_the_checks_of_the_store() -> None:
    def read() -> ClockMark | None:
        raise StoreDamaged("page 7 is damaged")

    machine, times = Machine(), Times()
    times.has_server, times.mark = False, read  # type: ignore[method-assign]
    assert JudgedClock(machine, times, LIMITS).now() == at()
