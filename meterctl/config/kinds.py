"""Kinds of values in the config file: each reads a value, or notes a mistake with the key and the right form.

Reading continues after a mistake, so that one run reports them all. A kind returns None for a wrong value; no caller
uses it, because the whole file is refused.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from meterctl.core.model import MAX_UNITS

DAY = 86_400

#: No decimal number of the file is larger.
_LARGEST = 10**16

_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,18})?")
_DURATION = re.compile(r"([0-9]{1,9})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": DAY, "w": 7 * DAY}


class WrittenFloat(str):
    """A number with a fraction, as text exactly as in the file, so that a ratio never becomes a float."""

    __slots__ = ()


class KeyPlace(NamedTuple):
    """A key of the file, and the list of all mistakes so far."""

    key: str
    mistakes: list[str]

    def below(self, name: str) -> "KeyPlace":
        """Return the place of the key ``name`` in this table."""
        return KeyPlace(f"{self.key}.{name}" if self.key else name, self.mistakes)

    def wrong(self, right: str) -> None:
        """Note a mistake here; ``right`` describes a right value."""
        self.mistakes.append(f"{self.key}: {right}")


Kind = Callable[[Any, KeyPlace], Any]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not isinstance(value, WrittenFloat)


def flag(value: object, place: KeyPlace) -> bool | None:
    """Read true or false."""
    return value if isinstance(value, bool) else place.wrong("true or false is needed")


def whole(least: int = 0, most: int = MAX_UNITS) -> Kind:
    """Read a whole number from ``least`` to ``most``."""

    def read(value: object, place: KeyPlace) -> int | None:
        if isinstance(value, bool) or not isinstance(value, int):
            return place.wrong("a whole number is needed")
        if value < least:
            return place.wrong(f"a number >= {least} is needed")
        return value if value <= most else place.wrong(f"a number <= {most} is needed")

    return read


def text(pattern: str, right: str) -> Kind:
    """Read a text that matches ``pattern``; ``right`` describes it in words."""

    def read(value: object, place: KeyPlace) -> str | None:
        if not _is_text(value):
            return place.wrong("a text in quotes is needed")
        return str(value) if re.fullmatch(pattern, str(value)) else place.wrong(right)

    return read


def one_of(*choices: str) -> Kind:
    """Read one of some words."""

    def read(value: object, place: KeyPlace) -> str | None:
        if value in choices and _is_text(value):
            return str(value)
        return place.wrong(f"{_join_words(choices)} is needed{near_to(value, choices)}")

    return read


def pattern(value: object, place: KeyPlace) -> str | None:
    """Read a regular expression."""
    if not _is_text(value):
        return place.wrong("a text in quotes is needed")
    try:
        re.compile(str(value))
    except (re.error, RecursionError, OverflowError) as problem:
        return place.wrong(f"a regular expression is needed, such as TCK-[0-9]+ ({problem})")
    return str(value)


def duration(least: int, most: int) -> Kind:
    """Read a span of time, from ``least`` to ``most`` seconds: a number of seconds, or a text such as 5m or 35d."""

    def read(value: object, place: KeyPlace) -> int | None:
        seconds = value if isinstance(value, int) and not isinstance(value, bool) else _in_seconds(value)
        if seconds is None:
            return place.wrong("a span of time is needed: whole seconds, or a text such as 90s, 5m, 12h, 35d or 2w")
        if least <= seconds <= most:
            return seconds
        return place.wrong(f"a span from {_spelt(least)} to {_spelt(most)} is needed")

    return read


def _in_seconds(value: object) -> int | None:
    written = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return int(written[1]) * _SECONDS[written[2]] if written else None


def _spelt(seconds: int) -> str:
    unit = next(unit for unit in ("d", "h", "m", "s") if seconds % _SECONDS[unit] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"


def decimal(*, positive: bool = False) -> Kind:
    """Read an exact decimal number, written as a number or as a text; it stays text."""
    right = f"a decimal number {'> 0' if positive else '>= 0'} is needed, such as 1.25"

    def read(value: object, place: KeyPlace) -> str | None:
        written = value if isinstance(value, str) else ""
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST:
            written = str(value)
        number = written if _DECIMAL.fullmatch(written) else _plain(written)
        if number is None or (positive and not number.strip("0.")):
            return place.wrong(right)
        return number

    return read


def _plain(written: str) -> str | None:
    """Return a number such as 1e3 in plain digits; None if it is none, negative, or beyond any sane size."""
    from decimal import Decimal, InvalidOperation

    try:
        number = Decimal(written)
    except InvalidOperation:
        return None
    if not number.is_finite() or not 0 <= number < _LARGEST or number.adjusted() < -30:
        return None
    return format(number, "f")


def list_of(
    kind: Kind, things: str, *, most: int, least: int = 0, order: Callable[[Iterable[Any]], Any] = tuple
) -> Kind:
    """Read a list of at most ``most`` different values of a ``kind``, put in ``order``."""

    def read(value: object, place: KeyPlace) -> Any:
        if not isinstance(value, list):
            return place.wrong(f"a list of {things} is needed")
        if not least <= len(value) <= most:
            return place.wrong(f"{'at most' if not least else f'{least} to'} {most} {things} are possible")
        before = len(place.mistakes)
        items = [kind(item, place.below(str(index))) for index, item in enumerate(value)]
        if len(place.mistakes) > before:
            return None
        return (
            order(items) if len(set(items)) == len(items) else place.wrong("the list has a value twice; leave one out")
        )

    return read


def table_of(name: Kind, value: Kind) -> Kind:
    """Read a table whose keys are free: each of the kind ``name``, with a value of the kind ``value``."""

    def read(content: object, place: KeyPlace) -> dict[str, Any] | None:
        if not isinstance(content, dict):
            return place.wrong("a table is needed")
        for key in content:
            name(key, place.below(key))
        return {key: value(item, place.below(key)) for key, item in content.items()}

    return read


def table(
    build: Callable[..., Any],
    fields: Mapping[str, Kind],
    *,
    required: Collection[str] = (),
    check: Callable[[dict[str, Any], KeyPlace], None] | None = None,
) -> Kind:
    """Read a table with these ``fields`` and ``build`` a value of them; missing fields get the builder's defaults.

    ``check`` runs on a table whose fields are all right.
    """

    def read(content: object, place: KeyPlace) -> Any:
        if not isinstance(content, dict):
            return place.wrong("a table is needed")
        before = len(place.mistakes)
        values = {}
        for name, value in content.items():
            if name in fields:
                values[name] = fields[name](value, place.below(name))
            else:
                place.below(name).wrong(_unknown(name, fields))
        for name in required:
            if name not in content:
                place.below(name).wrong("this key is required")
        if check is not None and len(place.mistakes) == before:
            check(values, place)
        return build(**values) if len(place.mistakes) == before else None

    return read


def _unknown(name: str, known: Collection[str]) -> str:
    return "no such key" + (near_to(name, known) or f"; known: {', '.join(known)}")


def near_to(word: object, known: Collection[str]) -> str:
    """Return the end of a sentence about a wrong word: the known one that is most like it, if one is."""
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=1) if isinstance(word, str) else []
    return f"; did you mean {near[0]}?" if near else ""


def _join_words(words: Collection[str]) -> str:
    *others, last = (repr(word) for word in words)
    return f"{', '.join(others)} or {last}" if others else last
