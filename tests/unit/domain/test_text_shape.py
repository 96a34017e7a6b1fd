"""A text that is recognised by its pattern has the shape that the tests of its fields ask for."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterctl.core.domain import entry_shape
from meterctl.core.domain.canonical import canonical_bytes, parse_json
from meterctl.core.domain.entry_shape import is_usual, malformed
from meterctl.core.domain.value_shape import is_state
from meterctl.core.model import MAX_UNITS
from tests.journals import Path, clone, leaves, put
from tests.unit.test_golden import GOLDEN

INSTANT = "2026-11-16T12:00:00.000Z"

#: Wrong in nearly every place, or right in few.
VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 100, 101, 7.0, 0.5, MAX_UNITS, MAX_UNITS + 1, -MAX_UNITS - 1, 2**64, 1e300),
    *("", "x", 'a"b', "ä\u2028", "debt", "uncovered", "1"),
    *(INSTANT, INSTANT[:-1], INSTANT + "x", INSTANT.replace("16T12", "31T12"), INSTANT.replace("T12", "T24")),
    *(INSTANT.replace("2026-11-16", day) for day in ("2026-02-29", "2026-02-30", "2028-02-29", "0000-01-01")),
    *("2026-W47", "2026-W53", "2025-W53", "2026-W00", "2026-W54"),
    *([], {}, [1], [0], [None], {"x": 1}, {"x": 0}, {"x": "1"}, {"lot": 1, "units": 1}, [{"lot": 1, "units": 1}]),
]


@cache
def entries() -> dict[tuple[str, str], list[Any]]:
    """Return the entries of the golden journal by kind and operation: some of every kind."""
    journal: dict[tuple[str, str], list[Any]] = {}
    for line in GOLDEN.read_bytes().splitlines():
        entry = json.loads(line)
        journal.setdefault((entry["kind"], entry["input"]["op"]), []).append(entry)
    return journal


@pytest.fixture(autouse=True, scope="module")
def at_once() -> Iterator[None]:
    """Have patterns compiled with the first entry."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entry_shape, "_WORTH_A_PATTERN", 1)
        yield


def has_shape(entry: Any) -> bool:
    return malformed(entry) is None and is_state(entry["state"])


def test_the_golden_journal_has_every_operation() -> None:
    assert set(entries()) == set(entry_shape._reads)


@pytest.mark.parametrize("operation", entries(), ids=" ".join)
def test_an_entry_of_a_right_shape_is_recognised(operation: tuple[str, str]) -> None:
    for entry in entries()[operation]:
        assert is_usual(entry, canonical_bytes(entry)), entry


@pytest.mark.parametrize("operation", entries(), ids=" ".join)
def test_no_entry_with_a_wrong_value_is_recognised(operation: tuple[str, str]) -> None:
    entry = clone(max(entries()[operation], key=lambda entry: len(canonical_bytes(entry))))
    right = 0
    for path in [*(path for path, _ in leaves(entry)), *((name,) for name in entry), ("state", "lots")]:
        before = _at(entry, path)
        for value in VALUES:
            put(entry, path, value)
            if is_usual(entry, json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()):
                right += 1
                assert has_shape(entry), (path, value)
        put(entry, path, before)
    assert right > 100  # many of these values are right in some place


@pytest.mark.parametrize("operation", entries(), ids=" ".join)
def test_no_entry_with_a_missing_or_an_added_field_is_recognised(operation: tuple[str, str]) -> None:
    entry = entries()[operation][0]
    for path in _objects(entry):
        for name in [*_at(entry, path), "aaa", "zzz", "lot", "holds"]:
            copy = clone(entry)
            if _at(copy, path).pop(name, None) is None:
                put(copy, (*path, name), 1)
            if is_usual(copy, canonical_bytes(copy)):
                assert has_shape(copy), (path, name)


@given(st.data())
def test_no_text_with_other_bytes_is_recognised_for_a_wrong_value(data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(sorted(entries())))
    text = bytearray(canonical_bytes(data.draw(st.sampled_from(entries()[operation]))))
    for _ in range(data.draw(st.integers(1, 3))):
        place, end = (data.draw(st.integers(0, len(text) - 1)) for _ in range(2))
        piece = data.draw(st.sampled_from([b"", b"0", b"-", b"1", b",", b'"', b"9" * 16, b" ", b"\\", text[place:end]]))
        text[place : place + data.draw(st.integers(0, 2))] = piece
    try:
        entry = parse_json(text)
    except ValueError:
        return
    if is_usual(entry, bytes(text)):
        assert has_shape(entry)


@pytest.mark.parametrize("entry", [None, [], "text", {}, {"kind": "debit"}, {"kind": [], "input": {"op": {}}}])
def test_what_is_no_entry_is_not_recognised(entry: Any) -> None:
    assert not is_usual(entry, canonical_bytes(entry))


def test_the_first_entries_of_a_kind_are_tested_without_a_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    [entry, *_] = entries()["debit", "debit"]
    monkeypatch.setattr(entry_shape, "_WORTH_A_PATTERN", 3)
    monkeypatch.setattr(entry_shape, "_patterns", {})
    monkeypatch.setitem(entry_shape._reads, ("debit", "debit"), 0)
    assert [is_usual(entry, canonical_bytes(entry)) for _ in range(4)] == [False, False, True, True]


def _at(document: Any, path: Path) -> Any:
    for step in path:
        document = document[step]
    return document


def _objects(document: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the paths of the objects in ``document``."""
    if isinstance(document, dict):
        yield path
    if isinstance(document, (dict, list)):
        for step, item in document.items() if isinstance(document, dict) else enumerate(document):
            yield from _objects(item, (*path, step))
