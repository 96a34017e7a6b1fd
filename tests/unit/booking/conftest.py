"""A store in memory and one in a file, each with a desk to book at."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meterctl.core.ports import Store
from meterctl.core.stores.sqlite.store import SqliteStore
from tests.desk import Desk, tap
from tests.memory_store import MemoryStore


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else SqliteStore(str(tmp_path / "meterctl.db"))
    yield made
    made.close()


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(tap(store))
