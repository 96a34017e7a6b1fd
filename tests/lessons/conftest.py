"""A desk on each kind of store: what went wrong elsewhere must be impossible on all of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meterctl.core.ports import Store
from tests.desk import Desk
from tests.stores import KINDS, made_store


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with made_store(request.param, tmp_path) as store:
        yield store


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)
