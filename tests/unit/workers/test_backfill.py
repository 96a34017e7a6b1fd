"""What processes that book lines tell each other, and when they stop."""

from concurrent.futures import Future
from multiprocessing import Pipe
from typing import Any

import pytest

from meterctl.core.backfill.partition import RoundPart
from meterctl.core.errors import BadConfig, BadInput, MeterctlError, StoreUnreachable, StoreUnusable
from meterctl.workers.backfill import _Inbox, _send, _send_problem
from meterctl.workers.pool import WorkerDied


def told(problem: BaseException) -> Any:
    """``problem`` as the other process gets it."""
    ours, its = Pipe()
    done: Future[None] = Future()
    done.set_exception(problem)
    _send_problem(done, its)
    return ours.recv()


@pytest.mark.parametrize("kind", [MeterctlError, BadInput, BadConfig, StoreUnreachable, StoreUnusable, WorkerDied])
@pytest.mark.parametrize("said", [{}, {"code": "contended", "hint": "wait"}])
def test_an_error_is_told_whole(kind: type[MeterctlError], said: dict[str, str]) -> None:
    problem = kind("it says why", **said)
    other = told(problem)
    assert type(other) is kind
    facts = [(one.message, one.code, one.hint, one.exit_code, str(one)) for one in (problem, other)]
    assert facts[0] == facts[1]


class Unspeakable(Exception):
    """One that cannot be made again from what it holds."""

    def __init__(self, one: int, *, two: int) -> None:
        super().__init__(f"{one}, {two}")


def test_what_nobody_foresaw_is_told_too() -> None:
    other = told(Unspeakable(1, two=2))
    assert (type(other), str(other)) == (RuntimeError, "Unspeakable: 1, 2")
    assert "Unspeakable: 1, 2" in other.__notes__[0]


def test_one_that_has_left_is_told_nothing() -> None:
    ours, its = Pipe()
    ours.close()
    _send(its, "an answer")


def test_what_came_in_is_booked_until_there_is_no_more() -> None:
    inbox, (ours, its) = _Inbox(), Pipe()
    for part in (RoundPart([0], [1], [{}]), RoundPart([], [], []), None):
        ours.send(part)
    inbox.fill(its)
    assert list(inbox.parts()) == [RoundPart([0], [1], [{}]), RoundPart([], [], [])]


def test_what_is_not_begun_when_the_other_one_leaves_is_dropped() -> None:
    inbox, (ours, its) = _Inbox(), Pipe()
    ours.send(RoundPart([0], [1], [{}]))
    ours.close()
    inbox.fill(its)
    assert list(inbox.parts()) == []
