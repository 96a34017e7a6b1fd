"""The doctor on a store in memory: where a part of it cannot be read, the others are looked at all the same."""

from typing import Any

from meterctl.core.errors import FINDINGS, StoreUnusable
from meterctl.core.verify.doctor import Diagnosis, Doctor
from tests.desk import Desk, tap
from tests.memory_store import MemoryStore


def test_a_part_that_cannot_be_used_is_a_finding_of_its_own() -> None:
    desk = Desk(tap(MemoryStore()))
    desk.credit("s1")

    def unusable(*_: Any, **__: Any) -> Any:
        raise StoreUnusable("may not read heads", hint="ask who may")

    desk.store.heads.on("due", unusable)  # type: ignore[attr-defined]
    diagnosis = Diagnosis("memory:")
    Doctor(desk.store, desk.clock.now(), desk.clock, default_plan="free", max_jump=35 * 86_400).look(diagnosis)
    found = {check.name: check for check in diagnosis.checks}
    assert (found["due"].ok, found["due"].found, found["due"].fix) == (False, "may not read heads", "ask who may")
    assert found.keys() >= {"plans", "locks", "heads", "claims"}
    assert [check.name for check in diagnosis.checks if check.ok is False] == ["due"]
    assert (diagnosis.exit_code, diagnosis.is_reachable) == (FINDINGS, True)
