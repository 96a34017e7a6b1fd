"""Every interleaving and every fault of small scripts: nothing left to chance."""

import pytest

from tests.simulator.choices import Choices, Record
from tests.simulator.explore import SCRIPTS, explore
from tests.simulator.runs import run


@pytest.mark.parametrize(("hand_overs", "faults", "store"), [(2, 0, "memory"), (1, 1, "memory"), (1, 0, "mongomock")])
@pytest.mark.parametrize("name", SCRIPTS)
def test_every_promise_is_kept(name: str, hand_overs: int, faults: int, store: str) -> None:
    check(name, hand_overs, faults, store)


@pytest.mark.long
@pytest.mark.parametrize(("hand_overs", "faults", "store"), [(6, 0, "memory"), (2, 1, "memory"), (1, 1, "mongomock")])
@pytest.mark.parametrize("name", SCRIPTS)
def test_every_promise_is_kept_for_long(name: str, hand_overs: int, faults: int, store: str) -> None:
    check(name, hand_overs, faults, store)


def check(name: str, hand_overs: int, faults: int, store: str) -> None:
    count = 0
    for result in explore(SCRIPTS[name], hand_overs=hand_overs, faults=faults, store=store):
        count += 1
        assert result.failure is None, (result.failure, result.record)
    assert count > 5


def test_no_two_runs_are_alike() -> None:
    records = [result.record for result in explore(SCRIPTS["a chunk and a debit"], hand_overs=1, faults=1)]
    different = {(tuple(record.turns.items()), tuple(record.faults.items())) for record in records}
    assert len(different) == len(records) > 200


def test_two_writers_meet_in_every_order() -> None:
    """Without faults, all orders of the steps of two debits come up: each may be first, and each may be refused."""
    told = set()
    for result in explore(SCRIPTS["two debits of one org"], hand_overs=6, faults=0):
        told.add(tuple((told.worker, told.status) for told in result.world.log.told))
    assert told == {
        (("one", "applied"), ("two", "refused")),
        (("two", "applied"), ("one", "refused")),
        (("one", "refused"), ("two", "applied")),
        (("two", "refused"), ("one", "applied")),
    }


def test_without_deviations_one_goes_after_the_other() -> None:
    result = run(SCRIPTS["two debits of one org"], Choices(Record()))
    assert [(told.worker, told.status) for told in result.world.log.told] == [("one", "applied"), ("two", "refused")]
