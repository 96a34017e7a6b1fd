"""The canonical form, against one written down by hand."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterctl.core.domain.canonical import NOT_CANONICAL, canonical_bytes, canonical_text, entry_hash, parse_json
from meterctl.core.model import MAX_UNITS, NO_HASH


@dataclass
class Sample:
    number: int


class NamedSample(NamedTuple):
    number: int


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({}, "{}"),
        ({"b": 1, "a": 2}, '{"a":2,"b":1}'),
        ({"Z": 1, "a": 2, "é": 3, "_": 4}, '{"Z":1,"_":4,"a":2,"é":3}'),
        ({"a": {"d": [1, {"y": 1, "x": 2}], "c": None}}, '{"a":{"c":null,"d":[1,{"x":2,"y":1}]}}'),
        ({"a": "grüße 💶"}, '{"a":"grüße 💶"}'),
        ({"a": 'tab\t quote" \\ \x00'}, '{"a":"tab\\t quote\\" \\\\ \\u0000"}'),
        ({"a": True, "b": False}, '{"a":true,"b":false}'),
        ({"a": 2**53 - 1, "b": -(2**53) + 1}, '{"a":9007199254740991,"b":-9007199254740991}'),
    ],
)
def test_canonical_text_is_json_with_sorted_keys_and_no_spaces(document: dict[str, Any], text: str) -> None:
    assert canonical_text(document) == text
    assert json.loads(text) == document


@pytest.mark.parametrize(
    "value",
    [b"bytes", {1}, object(), datetime(2026, 11, 22, tzinfo=UTC), Sample(1), NamedSample(1), {1: 2}, 2**64, "\ud800"],
    ids=lambda value: type(value).__name__,
)
def test_a_value_outside_the_format_is_refused(value: object) -> None:
    with pytest.raises(NOT_CANONICAL):
        canonical_text({"a": value})


def test_a_document_nested_too_deep_is_refused() -> None:
    document: dict[str, Any] = {}
    for _ in range(2000):
        document = {"a": document}
    with pytest.raises(NOT_CANONICAL):
        canonical_text(document)


class Word(str):
    __slots__ = ()


class Number(int):
    """Some drivers answer with a subclass of int."""


characters = st.characters(exclude_categories=["Cs"])
rare = st.sampled_from('\0\x01\b\t\n\v\f\r\x1f "\\/\x7f\x80\u2028\u2029\ufeff\uffff\U00010000\U0001f4b6aé')
names = st.text(characters, max_size=12) | st.text(rare, max_size=12)
texts = names | st.builds(Word, names)
edges = st.sampled_from([0, -1, MAX_UNITS, -MAX_UNITS, 2**53, 2**63 - 1, -(2**63), 2**64 - 1])
numbers = st.integers(-(2**63), 2**63 - 1) | edges | st.builds(Number, st.integers(-MAX_UNITS, MAX_UNITS))
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda items: st.lists(items, max_size=5) | st.dictionaries(names, items, max_size=6) | st.tuples(items, items),
    max_leaves=25,
)


@given(st.dictionaries(names, values, max_size=8))
def test_the_form_is_that_of_the_standard_library(document: dict[str, Any]) -> None:
    """For anyone who checks a journal without this program, docs/format.md says how in Python."""
    standard = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert canonical_bytes(document) == standard.encode()
    assert parse_json(canonical_bytes(document)) == json.loads(standard)


def test_hash_is_sha256_over_prev_and_the_entry_without_hash() -> None:
    prev = "ab" * 32
    text = f'{prev}{{"org":"acme","prev":"{prev}","reason":"grüße","seq":2}}'
    expected = hashlib.sha256(text.encode("utf-8")).hexdigest()
    entry = {"seq": 2, "reason": "grüße", "prev": prev, "org": "acme"}
    assert entry_hash(entry) == expected
    assert entry_hash({**entry, "hash": "whatever it says"}) == expected
    assert entry_hash(dict(reversed(entry.items()))) == expected


def test_hash_of_one_known_entry_never_changes() -> None:
    # Worked out with sha256sum: a journal written by one version is checked by every later one.
    entry = {"v": 1, "org": "acme", "seq": 1, "prev": NO_HASH}
    assert entry_hash(entry) == "ed5333ab963c110450fd30a93080404215b0b68a391e4d82b77795a70d88e84f"


@pytest.mark.parametrize("change", [{"seq": 3}, {"seq": "2"}, {"prev": "cd" * 32}, {"more": None}, {"org": "acme "}])
def test_hash_changes_with_anything_in_the_entry(change: dict[str, Any]) -> None:
    entry = {"seq": 2, "prev": "ab" * 32, "org": "acme"}
    assert entry_hash({**entry, **change}) != entry_hash(entry)
