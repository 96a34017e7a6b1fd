"""Each test here holds one promise of `meterctl.core.ports`, on every store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meterctl.core.ports import Store
from tests.stores import KINDS, Connect, drop_store, make_store


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def many(kind: str) -> int:
    """How many things fill several pages of a stream. mongomock looks at all it has to see that one more is unique."""
    return 250 if kind == "mongomock" else 2500


@pytest.fixture
def connect(kind: str, tmp_path: Path) -> Iterator[Connect]:
    """Opens one more connection to the test's own store, which is empty and not made yet at first."""
    opened: list[Store] = []

    def another() -> Store:
        opened.append(make_store(kind, tmp_path))
        return opened[-1]

    yield another
    for store in opened:
        store.close()
    drop_store(kind, tmp_path)


@pytest.fixture
def store(connect: Connect) -> Store:
    made = connect()
    made.init()
    return made
