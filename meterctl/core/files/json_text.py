"""Strict JSON: numbers exactly as written, no duplicate names, no half of a surrogate pair."""

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from meterctl.core.errors import BadInput

Document = dict[str, Any]

#: Exceptions from parsing text that is not JSON: malformed, nested too deeply, or with a number of too many digits, or
#: with an exponent out of the range of Decimal.
NO_JSON = (ValueError, RecursionError, ArithmeticError)

_SPACE = " \t\r\n"


class _Fraction(Decimal):
    """A JSON number with a fraction or an exponent, exactly as written."""

    __slots__ = ()
    __repr__ = Decimal.__str__


def _once_each(pairs: list[tuple[str, Any]]) -> Document:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise _bad_json(f"it has {first_repeated(name for name, _ in pairs)!r} twice")
    return document


def first_repeated(names: Iterable[str]) -> str | None:
    """Return the first of ``names`` that is there a second time; None if there is none."""
    seen = set[str]()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _no_number(text: str) -> Any:
    raise _bad_json(f"{text} is not a number")


_decode = json.JSONDecoder(object_pairs_hook=_once_each, parse_float=_Fraction, parse_constant=_no_number).raw_decode


def json_document(text: str) -> Document:
    """Return the object in ``text``. Raises `BadInput` for anything else."""
    document = json_value(text)
    if not isinstance(document, dict):
        raise _bad_json("it is not an object")
    return document


def json_value(text: str) -> Any:
    """Return the value in ``text``. Raises `BadInput` for invalid JSON and for duplicate names."""
    try:
        text = text.strip(_SPACE)
        value, end = _decode(text)
        if end < len(text):
            raise _bad_json("it has text after its end")
        if "\\u" in text:
            # Half of a surrogate pair is not a character and cannot be encoded.
            json.dumps(value, ensure_ascii=False, default=str).encode()
    except NO_JSON as problem:
        raise _bad_json(json_problem(problem)) from None
    return value


def json_problem(error: Exception) -> str:
    """Return the reason for one of `NO_JSON`, in words for an operator instead of Python's."""
    if isinstance(error, json.JSONDecodeError):
        return str(error)
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeEncodeError):
        return "it has half of a surrogate pair (\\ud800 to \\udfff), which is no character"
    return "it has a number with too many digits"


def is_cut_off(text: str) -> bool:
    """Return True if ``text`` is the beginning of a longer JSON value."""
    text = text.strip(_SPACE)
    try:
        json.loads(text)
    except json.JSONDecodeError as problem:
        return problem.pos >= len(text)
    except (ValueError, RecursionError):
        return False
    return False


def _bad_json(problem: str) -> BadInput:
    return BadInput(f"the line is not a JSON object: {problem}", hint='write {"op": "debit", ...}', code="bad_json")
