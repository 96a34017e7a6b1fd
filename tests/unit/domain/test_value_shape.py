"""The shape of a state's lots: the usual forms are tested in place, all others field by field."""

from typing import Any

import pytest

from meterctl.core.domain.value_shape import lots

LOT: dict[str, Any] = {"id": 1, "remaining": 5, "expires_at": None}


class Long(int):
    """An integer as some drivers return it."""


@pytest.mark.parametrize(
    "lot",
    [
        LOT,
        {**LOT, "expires_at": "2026-11-16T12:00:00.000Z"},
        {**LOT, "paid": True},
        {**LOT, "priority": 0},
        {**LOT, "priority": 100, "paid": True},
        {**LOT, "id": Long(1), "remaining": Long(5)},
    ],
)
def test_a_lot_of_a_right_form_is_taken(lot: object) -> None:
    assert lots([])
    assert lots([LOT, lot])


@pytest.mark.parametrize(
    "lot",
    [
        None,
        {},
        {"id": 1, "remaining": 5},
        {"id": 1, "remaining": 5, "paid": True},
        {"id": 1, "remaining": 5, "paid": True, "priority": 1},
        {**LOT, "id": 0},
        {**LOT, "id": True},
        {**LOT, "id": 1.0},
        {**LOT, "remaining": 0},
        {**LOT, "remaining": True},
        {**LOT, "remaining": 2**53},
        {**LOT, "expires_at": "2026-11-16"},
        {**LOT, "expires_at": "2026-02-30T12:00:00.000Z"},
        {**LOT, "paid": False},
        {**LOT, "paid": 1},
        {**LOT, "priority": 101},
        {**LOT, "other": 1},
    ],
)
def test_a_lot_of_a_wrong_form_is_refused(lot: object) -> None:
    assert not lots([LOT, lot])


@pytest.mark.parametrize("value", [None, {}, "lots", (LOT,)])
def test_lots_are_a_list(value: object) -> None:
    assert not lots(value)
