"""The canonical form, against one written down by hand."""

import hashlib
import json
from typing import Any

import pytest

from meterctl.core.domain.canonical import canonical_text, entry_hash
from meterctl.core.model import NO_HASH


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


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_has_no_word_for_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_text({"a": value})


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
