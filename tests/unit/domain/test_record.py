"""Classes that hold fields, and patterns that wait: both behave like what they stand for."""

import re
from dataclasses import dataclass

import pytest

from meterctl.core.domain.operations import Debit, Undo
from meterctl.core.domain.pattern import lazy_pattern
from meterctl.core.domain.record import Record
from meterctl.core.results import Warning


@dataclass(slots=True, eq=False, repr=False)
class Point(Record):
    x: int
    y: int = 2


@dataclass(slots=True, eq=False, repr=False)
class Other(Record):
    x: int
    y: int = 2


def test_records_are_equal_by_class_and_fields() -> None:
    assert Point(1) == Point(1, 2)
    assert Point(1) != Point(1, 3)
    assert Point(1) != Other(1)
    assert Point(1) != (1, 2)
    assert Debit("acme", 5, "r1") == Debit("acme", 5, "r1") != Debit("acme", 5, "r2")
    assert Undo("acme", 1) != Debit("acme", 1, "1")


def test_a_record_shows_its_fields() -> None:
    assert repr(Point(1)) == "Point(x=1, y=2)"
    assert repr(Debit("acme", 5, "r1")).startswith("Debit(org='acme', units=5, ref='r1', ")


def test_a_record_has_no_hash_because_it_can_change() -> None:
    with pytest.raises(TypeError):
        hash(Point(1))


def test_a_result_can_be_taken_apart() -> None:
    match Point(1):
        case Point(x, y):
            assert (x, y) == (1, 2)
    assert Warning("code", "message")._asdict() == {"code": "code", "message": "message"}


def test_a_lazy_pattern_answers_as_a_compiled_one() -> None:
    lazy, compiled = lazy_pattern("(?P<n>[0-9])b*"), re.compile("(?P<n>[0-9])b*")
    for text in ("7bb", "x"):
        match, expected = lazy.fullmatch(text), compiled.fullmatch(text)
        assert (match and match["n"]) == (expected and expected["n"])
    assert (lazy.pattern, lazy.groups) == (compiled.pattern, compiled.groups)
    assert lazy_pattern(rb"[0-9]").search(b"a7")


def test_flags_reach_the_pattern() -> None:
    assert lazy_pattern("a", re.IGNORECASE).match("A")


def test_a_wrong_expression_fails_where_it_is_used() -> None:
    wrong = lazy_pattern("(")
    with pytest.raises(re.error):
        wrong.match("")
