"""Checks of single values: an org id, a ref, a number of units. Each returns the value or raises `BadInput`."""

import re
from collections.abc import Iterable
from functools import lru_cache

from meterctl.core.domain.instants import is_instant
from meterctl.core.domain.pattern import lazy_pattern
from meterctl.core.errors import BadInput
from meterctl.core.model import MAX_UNITS, Instant

DEFAULT_STEP = "main"


#: Buckets that are ours: ``default`` names the ratio for the rest and units given as such, ``base`` the run's minimum.
RESERVED_FEATURES = frozenset({"default", "base"})


MAX_FEATURES = 100


MAX_REASON = 2000


#: How long a hold may last.
LONGEST_HOLD_DAYS = 31


#: Names of one payment, beside its session.
MOST_NAMES = 20


#: Ids as identity providers make them: auth0|507f1f77, ops@example.com, urn:org:9. No space, quote, comma or percent.
_ORG = lazy_pattern(r"[A-Za-z0-9_][A-Za-z0-9_.@|:/+=~#-]{0,127}")


_FEATURE = lazy_pattern(r"[A-Za-z0-9_.:/@+-]{1,64}")


_PLAIN_REF = lazy_pattern(r"[!-~]{1,200}")


#: Ranges of printable characters that are drawn as nothing: Unicode's default-ignorable ones, and blank letters.
_IGNORED = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)


_STEP = lazy_pattern(r"[A-Za-z0-9:_-]{1,64}")


_NAME = lazy_pattern(r"[A-Za-z0-9_-]{1,64}")


_RATIO = lazy_pattern(r"[0-9]{1,12}(\.[0-9]{1,18})?")


_CURRENCY = lazy_pattern(r"[a-z]{3}")


_SPAN = lazy_pattern(r"([0-9]{1,6})([wdhm])")


_MINUTES = {"w": 10_080, "d": 1440, "h": 60, "m": 1}


_INTEGER = lazy_pattern(r"[+-]?[0-9]{1,1000}")


#: A number in groups of three, as people and spreadsheets write it: one country's point is another one's comma.
_GROUPED = lazy_pattern(r"[+-]?[0-9]{1,3}([.,'\u00a0\u202f ][0-9]{3})+")


def _matches(pattern: re.Pattern[str], what: str, value: object, rule: str) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise BadInput(f"{value!r} is not {what}", hint=f"{what} is {rule}", code=f"bad_{what.split()[-1]}")
    return value


def check_org(value: object) -> str:
    rule = "1-128 letters, digits or any of _ . @ | : / + = ~ # -, the first a letter, a digit or _"
    return _matches(_ORG, "an org", value, rule)


def check_ref(value: object, what: str = "a ref") -> str:
    # The plain pattern decides nearly all; other scripts' letters are welcome as long as they can be seen.
    if isinstance(value, str) and (_PLAIN_REF.fullmatch(value) or _is_plain_to_see(value)):
        return value
    code, rule = f"bad_{what.split()[-1]}", f"{what} is 1-200 printable characters without spaces"
    if isinstance(value, str) and (nfc := _compose(value)) != value:
        raise BadInput(
            f"{value!a} is written with letters and accents apart, and would pass for another than {nfc!a}",
            hint=f"{rule}, in Unicode's composed form (NFC)",
            code=code,
        )
    invisible = next((mark for mark in value if _is_invisible(mark)), None) if isinstance(value, str) else None
    if invisible is not None and 0xDC80 <= ord(invisible) <= 0xDCFF:  # how Python keeps a byte it cannot decode
        message = f"{value!a} is not UTF-8: it holds the byte 0x{ord(invisible) - 0xDC00:02X}"
        raise BadInput(message, hint="type it as UTF-8, in a UTF-8 locale such as LC_ALL=C.UTF-8", code=code)
    if invisible is not None:
        raise BadInput(f"{value!a} holds an invisible character, U+{ord(invisible):04X}", hint=rule, code=code)
    raise BadInput(f"{value!r} is not {what}", hint=rule, code=code)


def _is_plain_to_see(text: str) -> bool:
    """Return True if ``text`` can be seen whole, and has no twin that looks the same and is stored otherwise."""
    visible = 0 < len(text) <= 200 and text.isprintable() and " " not in text and not any(map(_is_invisible, text))
    return visible and _compose(text) == text


def _compose(text: str) -> str:
    from unicodedata import normalize  # few refs need it, and every command imports this module

    return normalize("NFC", text)


def _is_invisible(mark: str) -> bool:
    """Return True for a character that Python prints and a terminal or browser does not show."""
    return not mark.isprintable() or any(first <= ord(mark) <= last for first, last in _IGNORED)


def check_step(value: object) -> str:
    if value == DEFAULT_STEP:
        return DEFAULT_STEP
    return _matches(_STEP, "a step", value, "1-64 letters, digits or any of : _ -")


def check_key(value: object) -> str:
    """Check the key of an entry, as an undo names it: ``debit:r1``, ``run:job-9:main``."""
    if isinstance(value, str) and 0 < len(value) <= 1000 and value.isprintable() and " " not in value:
        return value
    raise BadInput(
        f"{value!r} is not the key of an entry", hint="a key looks like debit:r1 or run:job-9:main", code="bad_of"
    )


def check_names(names: Iterable[object], session: str) -> tuple[str, ...]:
    """Check the further names of a payment: each once, and none of them the session."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise BadInput(f"{names!r} is not a list of names", hint='names look like ["pi_1", "ch_1"]', code="bad_name")
    texts = [check_ref(name, "a name") for name in names]
    if len(texts) > MOST_NAMES:
        raise BadInput("too many names", hint=f"a payment has at most {MOST_NAMES} names", code="bad_name")
    return tuple(name for name in dict.fromkeys(texts) if name != session)


def check_currency(value: object) -> str:
    return _matches(_CURRENCY, "a currency", value, "a lower-case ISO 4217 code such as usd")


def check_span(value: object) -> str:
    """Check how long something lasts (``90m``, ``2h``, ``14d``), and return it in minutes: one form for each length."""
    match = _SPAN.fullmatch(value) if isinstance(value, str) else None
    minutes = int(match[1]) * _MINUTES[match[2]] if match else 0
    if not minutes:
        raise BadInput(f"{value!r} is not a span of time", hint="a span is written 90m, 36h, 14d or 3w", code="bad_for")
    if minutes > LONGEST_HOLD_DAYS * 1440:
        hint = f"a hold lasts at most {LONGEST_HOLD_DAYS} days"
        raise BadInput(f"{value!r} is too long for a hold", hint=hint, code="bad_for")
    return f"{minutes}m"


def check_instant(value: object, what: str) -> Instant:
    """Check that ``value`` is an instant in its stored form: an entry with any other could not be read again."""
    if isinstance(value, str) and is_instant(value):
        return Instant(value)
    hint = f"{what} is an instant in UTC with milliseconds, such as 2026-11-22T10:03:00.000Z"
    raise BadInput(f"{what}: {value!r} is not an instant", hint=hint, code="bad_time")


def check_pack(value: object) -> str:
    return _matches(_NAME, "a pack", value, "1-64 letters, digits or any of _ -")


def check_plan(value: object) -> str:
    return _matches(_NAME, "a plan", value, "1-64 letters, digits or any of _ -")


def check_feature(value: object) -> str:
    feature = _matches(_FEATURE, "a feature", value, "1-64 letters, digits or any of _ . : / @ + -")
    if feature in RESERVED_FEATURES:
        raise BadInput(f"the feature name {feature!r} is reserved", hint="name it otherwise", code="bad_feature")
    return feature


def check_integer(value: object, what: str, *, least: int, most: int = MAX_UNITS) -> int:
    """Return an integer given as such or in digits. Refuse ``120.0``, ``1e3``, ``True`` and blanks."""
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    # What was stored may come back as a subclass: a store's driver has one for long integers.
    if isinstance(value, bool) or not isinstance(value, int):
        hint = f"{what} is a whole number >= {least}"
        if isinstance(value, str) and (digits := _GROUPED.fullmatch(value)):
            hint = f"write {re.sub('[^0-9+-]', '', digits[0])}, without separators, if that is what it means"
        raise BadInput(f"{what}: {value!r} is not a whole number", hint=hint, code="bad_number")
    if not least <= value <= most:
        raise BadInput(
            f"{what}: {value} is out of range", hint=f"{what} lies within {least} .. {most}", code="bad_number"
        )
    return value


def check_ratio(feature: str, ratio: str) -> str:
    """Return a plan's ratio for ``feature`` (``default`` for the rest): a decimal number >= 0, exactly as written."""
    if feature != "default":
        check_feature(feature)
    return _matches(_RATIO, "a ratio", ratio, "a decimal number such as 1.25")


def check_flag(value: object, what: str) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise BadInput(f"{what}: {value!r} is neither true nor false", hint=f"{what} is true or false", code="bad_flag")


def check_text(value: object, what: str, longest: int) -> str:
    """Free text: anything that can be encoded; what it shows on a terminal is the renderer's care."""
    if not isinstance(value, str) or len(value) > longest or not value.strip():
        raise BadInput(f"{what} is missing or too long", hint=f"{what} is 1-{longest} characters", code=f"bad_{what}")
    if not _is_encodable(value):
        raise BadInput(f"{what} is not valid text", hint=f"{what} is UTF-8", code=f"bad_{what}")
    return value


@lru_cache(maxsize=64)  # one caller's name and reason stand on every line of a file
def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def key_part(text: str) -> str:
    """``text`` with its colons escaped, so that run ``a:b`` step ``c`` and run ``a`` step ``b:c`` differ."""
    return text.replace("%", "%25").replace(":", "%3A") if ":" in text or "%" in text else text


def check_reason(operation: str, reason: str | None, required: tuple[str, ...], pattern: str) -> None:
    """Refuse an operation without a reason where it is ``required``, and a reason that ``pattern`` is nowhere in."""
    if reason is None and operation in required:
        raise BadInput(f"{operation} needs a reason here", hint="add --reason TEXT", code="reason_required")
    if reason is not None and pattern and not re.search(pattern, reason):
        hint = f"a reason here matches {pattern}"
        raise BadInput(f"the reason {reason!r} does not match", hint=hint, code="reason_required")
