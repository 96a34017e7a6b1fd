"""The border refuses the same documents by a pattern over their text as by the tests of their fields."""

from collections.abc import Callable
from typing import Any

import pytest

from meterctl.core.domain import entry_shape
from meterctl.core.domain.canonical import canonical_text, entry_hash
from meterctl.core.errors import Damaged
from meterctl.core.stores.border import entry_of
from tests.builders import make_entry


def sealed(**fields: Any) -> Any:
    """Return a debit with these fields, and with the hash that it must have then."""
    entry: Any = {**make_entry("acme", 2), **fields}
    return {**entry, "hash": entry_hash(entry)}


@pytest.fixture(params=[1, 10**9], ids=["pattern", "tests"], autouse=True)
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry_shape, "_WORTH_A_PATTERN", request.param)
    monkeypatch.setattr(entry_shape, "_patterns", {})


@pytest.mark.parametrize("form", [lambda entry: entry, canonical_text], ids=["document", "text"])
@pytest.mark.parametrize("fields", [{}, {"reason": "why"}, {"reason": 'a "b" \\ c'}, {"actor": "Zoë \U0001f600"}])
def test_an_entry_is_returned(form: Callable[[Any], object], fields: Any) -> None:
    entry = sealed(**fields)
    assert entry_of(form(entry), "acme", seq=2) == entry


@pytest.mark.parametrize("form", [lambda entry: entry, canonical_text], ids=["document", "text"])
@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"reason": ""}, "reason cannot be ''"),
        ({"units": 1.0}, "units cannot be 1.0"),
        ({"balance": 7}, "do not add up to its balance"),
        ({"state": {"lots": [], "debt": {"owed": 0, "overage": 0}, "plan": ""}}, "its state is malformed"),
        ({"prev": "f" * 64, "hash": "0" * 64}, None),
    ],
)
def test_another_document_is_damaged(form: Callable[[Any], object], fields: Any, problem: str | None) -> None:
    entry = {**sealed(**fields), **({} if problem else fields)}
    with pytest.raises(Damaged, match=problem or "its hash does not match its content"):
        entry_of(form(entry), "acme", seq=2)


def test_a_number_that_json_writes_as_null_is_no_null() -> None:
    entry = sealed(reason=None)
    assert entry["hash"] == sealed(reason=float("nan"))["hash"]
    with pytest.raises(Damaged, match="reason cannot be nan"):
        entry_of({**entry, "reason": float("nan")})


def test_a_text_is_not_taken_for_one_with_another_hash() -> None:
    entry = sealed()
    text = canonical_text(entry)
    with pytest.raises(Damaged, match="hash"):
        entry_of(text.replace('"actor":"', '"actor":"x', 1))
