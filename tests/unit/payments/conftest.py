"""One account at Stripe for every test of payments that asks for it."""

import pytest

from tests.stripe_server import StandIn


@pytest.fixture
def account() -> StandIn:
    return StandIn()
