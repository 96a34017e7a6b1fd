"""Lessons about wrong clocks, waiting, and cron jobs that look at the wrong place or at the wrong moment."""

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import pytest

from meterctl.core.booking.checked_clock import CheckedClock
from meterctl.core.booking.chunk_writer import PATIENCE
from meterctl.core.booking.head_cache import head_of
from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.instants import add_millis
from meterctl.core.domain.policy import ClockLimits
from meterctl.core.errors import ClockJump, ClockSkew, NoJournal, StoreUnreachable
from meterctl.core.model import Entry, Instant
from meterctl.core.ports import Lease, Observation, Store
from meterctl.core.reads.feeds import MARGIN
from meterctl.core.sweep.due_orgs import LOCK_NAME
from meterctl.core.sweep.prometheus import MetricsFile
from meterctl.core.sweep.sweeper import Sweeper
from meterctl.core.verify import Check, verify_all
from meterctl.core.verify.doctor import Diagnosis, Doctor
from meterctl.core.verify.report import Doubt
from meterctl.core.verify.second_look import persisting
from meterctl.process.clock import SystemClock
from tests.builders import make_claim
from tests.desk import Desk, HandClock, contents, tap

LIMITS = ClockLimits(skew=300.0, jump=35 * 86_400.0)
DAY_MS, HOUR_MS = 86_400_000, 3_600_000

#: Seconds that a call may take until it is given up: on MongoDB, and on a locked SQLite file.
LONGEST_CALLS = (10.0, 30.0)


class Ticking(HandClock):
    """A clock on which calls take time."""

    passed = 0.0

    def elapsed(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += seconds


def checked(store: Store, clock: HandClock, **more: Any) -> CheckedClock:
    return CheckedClock(clock, store.clock, LIMITS, **more)


def looked_at(desk: Desk, name: str) -> Observation:
    """What the doctor says of one part of the contents; mongomock cannot tell how it is set up."""
    diagnosis = Diagnosis("store")
    with patch.object(desk.store, "examine", lambda _: [Observation("store", True, "there")]):
        Doctor(desk.store, desk.clock.now(), desk.clock, max_jump=LIMITS.jump).look(diagnosis)
    (found,) = [check for check in diagnosis.checks if check.name == name]
    return found


@pytest.mark.parametrize("shift", [100 * DAY_MS, -100 * DAY_MS, -HOUR_MS])
def test_l61_a_machine_with_a_wrong_clock_books_nothing(desk: Desk, shift: int) -> None:
    now = SystemClock().now()  # a server has no other
    desk.go(now)
    desk.ledger = Ledger(desk.store, checked(desk.store, desk.clock), desk.ledger.terms)
    assert desk.credit("cs_1", "short").applied
    wrong = Ledger(desk.store, checked(desk.store, HandClock(add_millis(now, shift))), desk.ledger.terms)
    before = contents(desk.store)
    with pytest.raises((ClockSkew, ClockJump)):
        Sweeper(wrong, "expire", "cron").all()
    desk.ledger = wrong
    with pytest.raises((ClockSkew, ClockJump)):
        desk.debit(5, "d1")
    assert contents(desk.store) == before


def test_l61_an_org_ahead_of_now_is_found(desk: Desk) -> None:
    desk.credit("cs_1", "short", org="bolt")
    now = desk.clock.now()
    desk.go(add_millis(now, 100 * DAY_MS))
    desk.credit("cs_2", "short")
    desk.go(now)
    (finding,) = verify_all(desk.store, clock=desk.clock).findings
    assert (finding.org, finding.seq, finding.check) == ("acme", 1, Check.AHEAD)
    ahead = looked_at(desk, "ahead")
    assert (ahead.ok, "acme" in ahead.found, "bolt" in ahead.found) == (False, True, False)
    desk.go(add_millis(now, 100 * DAY_MS))
    assert verify_all(desk.store, clock=desk.clock).ok


def test_l77_an_entry_booked_while_verify_runs_does_not_lie_ahead(desk: Desk) -> None:
    """A run of hours passes entries that are newer than its beginning."""
    began = desk.clock.now()
    desk.go(add_millis(began, HOUR_MS))
    desk.credit("cs_1")
    desk.go(add_millis(began, 3 * HOUR_MS))
    desk.credit("cs_2", org="bolt")
    clock = HandClock(began)
    hours = iter(range(10))
    with patch.object(clock, "now", lambda: add_millis(began, next(hours) * HOUR_MS)):
        result = verify_all(desk.store, clock=clock)
    assert [(finding.org, finding.check) for finding in result.findings] == [("bolt", Check.AHEAD)]


@pytest.mark.parametrize("call", LONGEST_CALLS)
def test_l100_a_write_without_an_answer_ends_after_half_a_minute_and_one_call(desk: Desk, call: float) -> None:
    clock = Ticking(desk.clock.now())
    store = tap(desk.store)

    def never_answered(_: object, entries: Sequence[Entry]) -> int:
        clock.passed += call
        raise StoreUnreachable("no answer")

    store.journal.on("append", never_answered)
    desk.ledger = Ledger(store, clock, desk.ledger.terms)
    with pytest.raises(StoreUnreachable):
        desk.adjust(1, "a1")
    assert PATIENCE - call < clock.passed <= PATIENCE + call


@pytest.mark.parametrize("call", LONGEST_CALLS)
def test_l100_what_a_feed_of_alerts_has_passed_is_not_booked_any_more(desk: Desk, call: float) -> None:
    """Reading is slow, and so is claiming: no entry is appended with a time that the feed may have passed."""
    clock = Ticking(desk.clock.now())
    store = tap(desk.store)
    begun: list[tuple[float, Instant]] = []

    def slow(real: Any, *arguments: Any, **more: Any) -> Any:
        clock.passed += call
        clock.instant = add_millis(desk.clock.now(), round(clock.passed * 1000))
        return real(*arguments, **more)

    def append(_: Any, entries: Sequence[Entry]) -> int:
        begun.append((clock.passed, entries[-1]["recorded_at"]))
        clock.passed += call
        raise StoreUnreachable("no answer")

    for repository, method in ((store.journal, "tip"), (store.claims, "holders"), (store.claims, "take")):
        repository.on(method, slow)
    store.journal.on("append", append)
    desk.ledger = Ledger(store, clock, desk.ledger.terms)
    with pytest.raises(StoreUnreachable):
        desk.credit("cs_1")
    for passed, recorded_at in begun:
        tried_at = add_millis(desk.clock.now(), round(passed * 1000))
        assert tried_at <= add_millis(recorded_at, round(PATIENCE * 1000))
    assert 1000 * (PATIENCE + max(LONGEST_CALLS)) < MARGIN


def test_l106_a_lease_that_a_fast_clock_dated_silences_no_sweep(desk: Desk) -> None:
    desk.credit("cs_1", "short")
    desk.go("2026-11-20T12:00:00Z")
    future = Instant("2027-03-10T10:00:00.000Z")
    fast = Lease(LOCK_NAME, "fast:1:abc", future, add_millis(future, 60_000))
    desk.store.locks.acquire(fast, future)
    locks = looked_at(desk, "locks")
    assert locks.ok is False
    assert "fast:1:abc, dated by a clock that runs ahead" in locks.found
    swept = Sweeper(desk.ledger, "expire", "cron").all()
    assert (swept.status, swept.locked_by, swept.done) == ("done", None, 1)
    assert desk.store.locks.all() == []


def test_l77_a_head_or_a_topup_that_comes_a_moment_later_is_no_finding(desk: Desk) -> None:
    for number in range(3):
        desk.credit(f"cs_{number}", org=f"org-{number}")
        desk.debit(1, "d1", org=f"org-{number}")
    old = [head_of(entry) for number in range(3) if (entry := desk.store.journal.by_seq(f"org-{number}", 1))]
    desk.store.heads.replace(old)
    desk.store.claims.take([make_claim("cs_9", "org-9")])
    assert len(verify_all(desk.store).findings) == 4, "nobody waits without a clock"

    class Meanwhile(HandClock):
        """During the first pauses the writer catches up."""

        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if len(self.slept) == 3:
                desk.credit("cs_9", org="org-9")
                desk.store.heads.put([head_of(desk.tip(head.org)) for head in old])

    assert verify_all(desk.store, clock=Meanwhile(desk.clock.now())).findings == []
    desk.store.heads.replace(old)
    late = HandClock(desk.clock.now())
    assert {finding.check for finding in verify_all(desk.store, clock=late).findings} == {Check.HEAD}
    assert sum(late.slept) < 35


def test_l77_the_doctor_waits_for_a_head_and_a_topup_as_verify_does(desk: Desk) -> None:
    desk.credit("cs_1")
    old = head_of(desk.tip())
    desk.debit(1, "d1")
    desk.store.heads.replace([old])
    desk.store.claims.take([make_claim("cs_9", "org-9")])

    class Meanwhile(HandClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if len(self.slept) == 3:
                desk.credit("cs_9", org="org-9")
                desk.store.heads.put([head_of(desk.tip())])

    def caches(clock: HandClock) -> dict[str, bool | None]:
        diagnosis = Diagnosis("a store")
        with patch.object(desk.store, "examine", lambda _: [Observation("store", True, "there")]):
            Doctor(desk.store, desk.clock.now(), desk.clock, max_jump=LIMITS.jump, waiting=clock).look(diagnosis)
        return {check.name: check.ok for check in diagnosis.checks if check.name in ("heads", "claims")}

    late = HandClock(desk.clock.now())
    assert caches(late) == {"heads": False, "claims": False}, "no writer came"
    assert sum(late.slept) < 70
    assert caches(Meanwhile(desk.clock.now())) == {"heads": True, "claims": True}


def test_l77_a_head_put_just_after_the_second_look_is_looked_at_again(desk: Desk) -> None:
    desk.credit("cs_1")
    old = head_of(desk.tip())
    desk.debit(1, "d1")
    desk.store.heads.replace([old])

    class JustAfter(HandClock):
        """Its first reading comes after the second look, and before the decision to wait."""

        def elapsed(self) -> float:
            desk.store.heads.put([head_of(desk.tip())])
            return super().elapsed()

    clock = JustAfter(desk.clock.now())
    assert persisting(desk.store, [Doubt("acme", 2)], clock) == []
    assert len(clock.slept) == 1


def test_l77_a_head_that_no_writer_will_mend_is_told_without_a_wait(desk: Desk) -> None:
    desk.credit("cs_1")
    desk.store.heads.replace([head_of(desk.tip())._replace(hash="0" * 64)])
    clock = HandClock(desk.clock.now())
    assert [finding.check for finding in verify_all(desk.store, clock=clock).findings] == [Check.HEAD]
    assert clock.slept == []


def test_l78_a_sweep_that_finds_no_journal_says_so(desk: Desk, tmp_path: Any) -> None:
    file = MetricsFile(str(tmp_path / "meterctl.prom"), desk.clock)
    sweeper = Sweeper(desk.ledger, "expire", "cron")
    with file.of(sweeper.sweep):
        assert sweeper.all().fields()["journal_found"] is False
    metrics = (tmp_path / "meterctl.prom").read_text()
    assert 'meterctl_sweep_journal_found{command="expire",shard="1/1"} 0' in metrics
    assert 'meterctl_sweep_success{command="expire",shard="1/1"} 0' in metrics
    with pytest.raises(NoJournal):
        Sweeper(desk.ledger, "expire", "cron").all(require_journal=True)
    with pytest.raises(NoJournal):
        Sweeper(desk.ledger, "expire", "cron").one("acme", require_journal=True)
    desk.credit("cs_1")
    assert Sweeper(desk.ledger, "expire", "cron").all(require_journal=True).journal_found
    assert not Sweeper(desk.ledger, "expire", "cron").one("bolt").journal_found
