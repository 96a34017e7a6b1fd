"""What several of these tests start from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meterctl.core.ports import Store
from meterctl.core.stores.url import open_store
from tests.mongod import own_database


@pytest.fixture(params=["sqlite", "mongod"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store of its own, on each kind that a user can choose."""
    if request.param == "sqlite":
        yield f"sqlite:{tmp_path}/meterctl.db"
        return
    with own_database() as uri:
        yield uri


@pytest.fixture
def opened(url: str) -> Iterator[Store]:
    """The store at ``url``, made and open."""
    store = open_store(url)
    store.init()
    yield store
    store.close()
