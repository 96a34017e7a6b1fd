"""Turn the tests of `value_shape` into regular expressions over JSON texts.

The value in a text that matches has the shape that the tests ask for. The reverse is not true: texts with escaped
characters, numbers of 16 digits and the 53rd week of a year do not match. Whoever uses a pattern applies the tests to
the rest.
"""

import re
from collections.abc import Callable, Iterable

from meterctl.core.domain import value_shape
from meterctl.core.domain.value_shape import Form, Integer, Test, filled, list_of, nullable, parts, values_of
from meterctl.core.model import MAX_UNITS

_DIGITS = "[1-9][0-9]{0,14}+"
# Named by the characters in it, not by those that are not: that takes a sixth less.
_PLAIN = r"[ !#-\[\]-\xff]"
_SHORT_MONTH, _LONG_MONTH = "(?:0[13-9]|1[0-2])-(?:0[1-9]|[12][0-9]|30)", "(?:0[13578]|1[02])-31"
_DAY = f"[1-9][0-9]{{3}}-(?:{_SHORT_MONTH}|02-(?:0[1-9]|1[0-9]|2[0-8])|{_LONG_MONTH})"

#: For tests that are functions: the values that pass.
_VALUES: dict[Test, str] = {
    value_shape.text: f'"{_PLAIN}++"',
    value_shape.flag: "(?:true|false)",
    value_shape.true: "true",
    value_shape.instant: f'"{_DAY}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\\.[0-9]{{3}}Z"',
    value_shape.week_key: '"[1-9][0-9]{3}-W(?:0[1-9]|[1-4][0-9]|5[0-2])"',
    value_shape.source: f'(?:"debt"|"uncovered"|{_DIGITS})',
}

#: Stand-ins for tests of the same values: a state's lots have one of their own for speed.
_SAME: dict[Test, Test] = {
    value_shape.dictionary: value_shape.is_state,
    value_shape.lots: list_of(value_shape.live_lot),
}


def pattern_of(forms: Iterable[Form]) -> re.Pattern[bytes]:
    """Return a pattern for the JSON texts of objects that pass one of ``forms``. `entry_shape` leaves the state to
    others; for the pattern it must be one."""
    return re.compile("|".join(map(_object, forms)).encode("latin-1"))


def _expression(test: Test) -> str:
    test = _SAME.get(test, test)
    if isinstance(test, Form):
        return _object(test)
    if isinstance(test, Integer):
        return _integer(test.least, test.most)
    if test in parts:
        maker, part = parts[test]
        return _AROUND[maker](_expression(part))
    return _VALUES[test]


def _null_or(part: str) -> str:
    return f"(?:null|{part})"


def _list(item: str) -> str:
    return rf"\[(?:{item}(?:,|(?=\])))*\]"


def _some(items: str) -> str:
    return rf"(?!\[\]){items}"


def _values(value: str) -> str:
    return rf'\{{(?:"{_PLAIN}*+":{value}(?:,|(?=\}})))*\}}'


_AROUND: dict[Callable[..., Test], Callable[[str], str]] = {
    nullable: _null_or,
    list_of: _list,
    filled: _some,
    values_of: _values,
}


def _object(form: Form) -> str:
    """Fields stand in order of their names. Those up to the last that must be there end with a comma."""
    names = sorted(form.tests)
    last = max(form.must)
    fields = []
    for name in names:
        field = f'"{name}":{_expression(form.tests[name])}'
        field = f"{field}," if name < last else f",{field}" if name > last else field
        fields.append(field if name in form.must else f"(?:{field})?")
    return rf"\{{{''.join(fields)}\}}"


def _integer(least: int, most: int) -> str:
    if least == most:
        return str(most)
    if (least, most) == (0, 100):
        return "(?:100|[1-9]?[0-9])"
    assert (least, most) in ((-MAX_UNITS, MAX_UNITS), (0, MAX_UNITS), (1, MAX_UNITS))
    return f"(?:{'0|' if least <= 0 else ''}{'-?' if least < 0 else ''}{_DIGITS})"
