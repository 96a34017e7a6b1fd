"""The config file's shape, checked by pydantic as a whole before anything is done.

Imported only when there is a file to check.
"""

import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from meterctl.core.domain.checks import check_ratio
from meterctl.core.errors import BadConfig, BadInput
from meterctl.core.model import MAX_UNITS


def _like(pattern: str, right: str) -> AfterValidator:
    """A text has to match ``pattern``; ``right`` says that in words."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(right)
        return text

    return AfterValidator(check)


def _decimal_text(text: str) -> str:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError("a decimal number is needed, such as 1.25") from None
    if not value.is_finite() or value < 0 or not -30 <= value.adjusted() <= 15:
        raise ValueError("a decimal number >= 0 of a sane size is needed, such as 1.25")
    return format(value, "f")


def _publishable(ratios: dict[str, str]) -> dict[str, str]:
    for feature, ratio in ratios.items():
        try:
            check_ratio(feature, ratio)
        except BadInput as problem:
            raise ValueError(f"{feature}: {problem.message}; {problem.hint}") from None
    return ratios


def _ascending(percents: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(percents)) != len(percents):
        raise ValueError("each percent stands once")
    return tuple(sorted(percents))


# Numbers of the file arrive as text, exactly as written (see `check`): a ratio never passes through a float.
_Ratio = Annotated[str, Field(coerce_numbers_to_str=True), AfterValidator(_decimal_text)]
_Name = Annotated[str, _like(r"[A-Za-z0-9_-]{1,64}", "a name is 1-64 letters, digits or any of _ -")]
_Units = Annotated[int, Field(strict=True, ge=0, le=MAX_UNITS)]
_Percent = Annotated[int, Field(strict=True, ge=1, le=1000)]
_STORE = "a store is sqlite:PATH, mongodb://... or mongodb+srv://..."
_ACTOR = "an actor is 1-200 characters without blanks at its ends"


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Pack(_Checked):
    units: Annotated[int, Field(strict=True, ge=1, le=MAX_UNITS)]
    price_cents: _Units
    currency: Annotated[str, _like(r"[a-z]{3}", "a currency is three small letters, such as usd")]
    expiry_days: Annotated[int, Field(strict=True, ge=1, le=36_525)] | None = None


class _Plan(_Checked):
    weekly_quota: _Units
    ratios: Annotated[dict[_Name, _Ratio], AfterValidator(_publishable)] = {}


class _Profile(_Checked):
    store: Annotated[str, _like(r"(sqlite:.|mongodb(\+srv)?://).*", _STORE)] | None = None
    production: Annotated[bool, Field(strict=True)] = False
    actor: Annotated[str, _like(r"\S(.{0,198}\S)?", _ACTOR)] | None = None


class _File(_Checked):
    meter_mode: Annotated[bool, Field(strict=True)] = True
    default_plan: _Name = "free"
    dollars_to_units: _Ratio = "1000"
    run_base: _Units = 1
    max_units_per_run: _Units = 0
    thresholds: Annotated[tuple[_Percent, ...], Field(max_length=20), AfterValidator(_ascending)] = (80, 100)
    overage: Literal["debt", "absorb"] = "debt"
    settle_overage: Annotated[bool, Field(strict=True)] = True
    allow_time_travel: Annotated[bool, Field(strict=True)] = False
    packs: dict[_Name, _Pack] = {}
    plans: dict[_Name, _Plan] = {}
    profiles: dict[_Name, _Profile] = {}


_TABLES: dict[str, type[BaseModel]] = {"packs": _Pack, "plans": _Plan, "profiles": _Profile}


def check(path: Path, text: str) -> dict[str, Any]:
    """The document of the config file at ``path`` with this ``text``, every key filled in. Raises `BadConfig`."""
    try:
        raw = tomllib.loads(text, parse_float=str)
        return _File.model_validate(raw).model_dump(mode="json")
    except tomllib.TOMLDecodeError as problem:
        raise BadConfig(f"{path} is not TOML: {problem}", hint="correct the line it names") from None
    except ValidationError as problems:
        raise BadConfig(_explained(path, problems)) from None
    except (ValueError, RecursionError):
        # Python's own limits. What they say names no line.
        message = f"{path} cannot be read: a number in it is too long, or something is nested too deep"
        raise BadConfig(message, hint="look for a number of thousands of digits, or hundreds of brackets") from None


def _explained(path: Path, problems: ValidationError) -> str:
    lines = []
    for problem in problems.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"] if part != "[key]")
        lines.append(f"{path}: {key}: {_what_is_right(problem)}")
    return "\n".join(lines)


def _what_is_right(problem: ErrorDetails) -> str:
    if problem["type"] == "extra_forbidden":
        return _known_keys(problem["loc"])
    said = _RIGHT.get(problem["type"])
    return problem["msg"] if said is None else said.format(**problem.get("ctx", {}))


#: What would be right where the checker found a mistake of a kind, filled in with what it knows of it.
_RIGHT: Mapping[str, str] = {
    "missing": "this key is required",
    "int_type": "a whole number is needed",
    "bool_type": "true or false is needed",
    "string_type": "a text in quotes is needed",
    "tuple_type": "a list of whole numbers is needed",
    "dict_type": "a table is needed",
    "model_type": "a table is needed",
    "greater_than_equal": "a number >= {ge} is needed",
    "less_than_equal": "a number <= {le} is needed",
    "literal_error": "{expected} is needed",
    "too_long": "at most {max_length} are possible",
    "value_error": "{error}",
}


def _known_keys(location: tuple[int | str, ...]) -> str:
    from difflib import get_close_matches

    model: type[BaseModel] = _File
    if len(location) > 1:
        model = _TABLES[str(location[0])]
    near = get_close_matches(str(location[-1]), model.model_fields, n=1)
    return f"no such key; did you mean {near[0]}?" if near else f"no such key; known: {', '.join(model.model_fields)}"
