"""Reading a config file: whatever stands in it, the answer is settings or a list of mistakes by key."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterctl.config import file
from meterctl.config.file import read_settings
from meterctl.config.settings import PlanSpec, Profile, Settings
from meterctl.core.domain.policy import REASONED, Limits, Pack, StripeSettings, Terms
from meterctl.core.errors import BadConfig

ROOT = Path(__file__).parents[3]

PATH = Path("meterctl.toml")

KEYS = [
    "packs", "plans", "stripe", "profiles", "limits", "thresholds", "balance_alerts", "ratios", "prices", "units",
    "price_cents", "unit_price_cents", "currency", "weekly_quota", "small", "pro", "org", "only", "store", "debit",
    "require_reason", "reason_pattern", "max_clock_skew", "dollars_to_units", "stripe_prices", "usd",
]  # fmt: skip
VALUES = (
    st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["usd", "debit", "5m", "1.25", "metadata.org", "price_1", "sqlite:a", "[", "", "1e400"])
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)
)
DOCUMENTS = st.dictionaries(
    st.sampled_from(KEYS),
    st.recursive(
        VALUES,
        lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(KEYS), below, max_size=4),
        max_leaves=12,
    ),
    max_size=6,
)


def as_toml(document: dict[str, Any]) -> str:
    return "\n".join(f"{key} = {_value(value)}" for key, value in document.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


@given(DOCUMENTS)
def test_any_document_gives_settings_or_mistakes_by_key(document: dict[str, Any]) -> None:
    try:
        settings = read_settings(PATH, as_toml(document))
    except BadConfig as problem:
        lines = problem.message.splitlines()
        assert lines
        assert all(line.startswith("meterctl.toml: ") for line in lines)
    else:
        assert settings.source == PATH
        assert hash(settings.terms.thresholds) is not None


def test_nothing_in_the_file_is_the_defaults() -> None:
    assert read_settings(PATH, "") == Settings(source=PATH)


@pytest.mark.parametrize(
    ("written", "seconds"), [("90", 90), ('"90s"', 90), ('"5m"', 300), ('"2h"', 7200), ('"1d"', 86_400)]
)
def test_spans_of_time(written: str, seconds: int) -> None:
    assert read_settings(PATH, f"max_clock_skew = {written}").max_clock_skew == seconds


@pytest.mark.parametrize(
    ("written", "ratio"),
    [("1", "1"), ("1.250", "1.250"), ('"1.25"', "1.25"), ("1e3", "1000"), ("2.5e-3", "0.0025"), ("0.1", "0.1")],
)
def test_a_decimal_stays_as_it_is_written(written: str, ratio: str) -> None:
    assert read_settings(PATH, f"dollars_to_units = {written}").terms.dollars_to_units == ratio


def test_mistakes_come_in_the_order_of_the_file() -> None:
    text = "run_base = -1\n[plans.pro]\nratios = { llm = -1, web = 'x' }\nquota = 5\n[packs.a]\n"
    with pytest.raises(BadConfig) as refused:
        read_settings(PATH, text)
    assert [line.split(": ")[1] for line in refused.value.message.splitlines()] == [
        "run_base", "plans.pro.ratios.llm", "plans.pro.ratios.web", "plans.pro.quota", "plans.pro.weekly_quota",
        "packs.a.currency",
    ]  # fmt: skip


def test_every_operation_that_can_be_asked_a_reason_for_is_taken() -> None:
    assert read_settings(PATH, f"require_reason = {list(REASONED)}").require_reason == REASONED


def test_the_example_shows_every_key() -> None:
    """Also the keys that it holds as comments, for a file of one's own to start from."""
    example = (ROOT / "examples" / "meterctl.toml").read_text(encoding="utf-8")
    whole = re.sub(r"(?m)^# {1,3}(?=\[|\w+ = )", "", example)
    settings = read_settings(PATH, whole)
    assert settings.profiles["prod"].limits == {"debit": 1000}
    assert settings.stripe.only == {"metadata.kind": "extras"}
    written = set(re.findall(r"(?m)^(\w+) =", whole))
    fields = {*Settings._fields, *Terms._fields, *Limits._fields, *Pack._fields, *PlanSpec._fields, *Profile._fields}
    tables = {"source", "terms", "packs", "plans", "limits", "stripe", "profiles", "store"}
    assert fields | {*StripeSettings._fields} == written | tables | {"allow_time_travel"}


def test_every_setting_has_a_key() -> None:
    keys = {*file._TERMS, *file._OTHERS}
    assert keys == {*Settings._fields, *Settings().terms._fields} - {"source", "terms"}
