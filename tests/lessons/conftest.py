"""A desk on each kind of store: what went wrong elsewhere must be impossible on all of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meterctl.core.ports import Store
from tests.desk import Desk
from tests.stores import KINDS, drop_store, make_store


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = make_store(request.param, tmp_path)
    made.init()
    yield made
    made.close()
    drop_store(request.param, tmp_path)


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)
