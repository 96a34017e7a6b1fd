"""Strict JSON: numbers exactly as written, no duplicate names, no half of a surrogate pair."""

import json
from decimal import Decimal
from typing import Any

from meterctl.core.errors import BadInput

Document = dict[str, Any]

_SPACE = " \t\r\n"


class _Fraction(Decimal):
    """A JSON number with a fraction or an exponent, exactly as written."""

    __slots__ = ()
    __repr__ = Decimal.__str__


def _once_each(pairs: list[tuple[str, Any]]) -> Document:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _bad_json(f"it has {twice!r} twice")
    return document


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
    # An exponent out of the range of Decimal raises an ArithmeticError.
    except (ValueError, ArithmeticError, RecursionError) as problem:
        raise _bad_json(str(problem)) from None
    return value


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
