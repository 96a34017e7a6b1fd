"""The config file: its tables and keys, each with the kind of its value."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from meterctl.config import kinds
from meterctl.config.kinds import DAY, KeyPlace, Kind
from meterctl.config.settings import PlanSpec, Profile, Settings
from meterctl.core.domain.checks import check_ratio
from meterctl.core.domain.policy import REASONED, Limits, Pack, StripeSettings, Terms
from meterctl.core.errors import BadConfig, BadInput
from meterctl.core.model import MAX_UNITS

_name = kinds.text(r"[A-Za-z0-9_-]{1,64}", "a name is 1-64 letters, digits or any of _ -")
_currency = kinds.text(r"[a-z]{3}", "a currency is three lower-case letters, such as usd")
_stripe_id = kinds.text(r"[A-Za-z0-9_]{1,255}", "a Stripe id is needed, such as price_1A2b3C")

_ORG_PLACES = (
    r"client_reference_id|customer|metadata\.[^.\s]+|"
    r"(payment_intent|customer|invoice|subscription|payment_link)\.metadata\.[^.\s]+"
)
_PLACES_RIGHT = (
    "a place in a payment is needed: metadata.KEY, client_reference_id, customer, or KEY in the metadata of "
    "payment_intent, customer, invoice, subscription or payment_link, as in customer.metadata.KEY"
)
_org_place = kinds.text(_ORG_PLACES, _PLACES_RIGHT)
_pack_place = kinds.text(f"price|{_ORG_PLACES}", f"{_PLACES_RIGHT}; or price")
_expected_text = kinds.text(r"(?s).{1,500}", "a text of 1-500 characters is needed")

_prefix = kinds.text(
    r"(?!system\.)[A-Za-z_][A-Za-z0-9_.-]{0,39}",
    "a prefix of collections is 1-40 letters, digits or any of _ . -, begins with a letter or _, not with system.",
)
_store = kinds.text(r"(sqlite:.|mongodb(\+srv)?://).*", "a store is sqlite:PATH, mongodb://... or mongodb+srv://...")
_actor = kinds.text(r"\S(.{0,198}\S)?", "an actor is 1-200 characters without blanks at its ends")
_path = kinds.text(r"[^\x00]{1,4096}", "a path is needed")
_stripe_prices = kinds.list_of(_stripe_id, "price ids", most=100)


def _ascending(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(values))


def _descending(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(values, reverse=True))


def _ratios(value: object, place: KeyPlace) -> dict[str, str] | None:
    """Read the ratios of a plan by feature, with the same rule as publishing."""
    if not isinstance(value, dict):
        return place.wrong("a table is needed")
    decimal = kinds.decimal()
    ratios = {}
    for feature, written in value.items():
        ratios[feature] = ratio = decimal(written, place.below(feature))
        try:
            check_ratio(feature, ratio or "0")
        except BadInput as problem:
            place.below(feature).wrong(f"{problem.message}; {problem.hint}")
    return ratios


def _check_pack(pack: dict[str, Any], place: KeyPlace) -> None:
    if "unit_price_cents" in pack:
        for key in ("units", "price_cents", "prices"):
            if key in pack:
                place.below(key).wrong("a pack has either units and price_cents, or unit_price_cents; leave one out")
        pack.setdefault("units", 0)
        pack.setdefault("price_cents", 0)
        return
    for key in ("units", "price_cents"):
        if key not in pack:
            place.below(key).wrong("this key is required (or unit_price_cents, for a pack of any amount)")
    if pack["currency"] in pack.get("prices", ()):
        place.below(f"prices.{pack['currency']}").wrong("the price in the pack's own currency is its price_cents")


def _check_profile(profile: dict[str, Any], place: KeyPlace) -> None:
    if "store" in profile and "store_file" in profile:
        place.below("store_file").wrong("a profile has either a store or a store_file; leave one out")


_LIMITS: Mapping[str, Kind] = {name: kinds.whole() for name in Limits._fields}
_limits = kinds.table(dict, _LIMITS)
_reason_operations = kinds.list_of(kinds.one_of(*REASONED), "operations", most=len(REASONED))

_pack = kinds.table(
    Pack,
    {
        "units": kinds.whole(1),
        "price_cents": kinds.whole(),
        "currency": _currency,
        "expiry_days": kinds.whole(1, 36_525),
        "priority": kinds.whole(0, 100),
        "prices": kinds.table_of(_currency, kinds.whole()),
        "stripe_prices": _stripe_prices,
        "unit_price_cents": kinds.decimal(positive=True),
    },
    required=("currency",),
    check=_check_pack,
)

_plan = kinds.table(
    PlanSpec,
    {
        "weekly_quota": kinds.whole(),
        "ratios": _ratios,
        "rollover_max": kinds.whole(),
        "rollover_weeks": kinds.whole(1, 520),
        "stripe_prices": _stripe_prices,
    },
    required=("weekly_quota",),
)

_stripe = kinds.table(
    StripeSettings,
    {
        "org": kinds.list_of(_org_place, "places in a payment", least=1, most=20),
        "pack": kinds.list_of(_pack_place, "places in a payment", least=1, most=20),
        "only": kinds.table_of(_pack_place, _expected_text),
        "payments": kinds.list_of(
            kinds.one_of("checkout", "payment_intent", "invoice"), "kinds of payment", least=1, most=3
        ),
        "discounts": kinds.one_of("refuse", "accept"),
        "ignore": kinds.list_of(_stripe_id, "ids of payments", most=10_000),
        "account": kinds.text(r"acct_[A-Za-z0-9_]{1,250}", "an account id is needed, such as acct_1A2b3C"),
    },
)

_profile = kinds.table(
    Profile,
    {
        "store": _store,
        "store_file": _path,
        "collection_prefix": _prefix,
        "production": kinds.flag,
        "actor": _actor,
        "limits": _limits,
        "require_reason": _reason_operations,
        "reason_pattern": kinds.pattern,
    },
    check=_check_profile,
)

_TERMS: Mapping[str, Kind] = {
    "meter_mode": kinds.flag,
    "default_plan": _name,
    "dollars_to_units": kinds.decimal(),
    "run_base": kinds.whole(),
    "max_units_per_run": kinds.whole(),
    "thresholds": kinds.list_of(kinds.whole(1, 1000), "whole numbers", most=20, order=_ascending),
    "balance_alerts": kinds.list_of(kinds.whole(-MAX_UNITS), "whole numbers", most=20, order=_descending),
    "overage": kinds.one_of("debt", "absorb"),
    "settle_overage": kinds.flag,
    "packs": kinds.table_of(_name, _pack),
}

_OTHERS: Mapping[str, Kind] = {
    "allow_time_travel": kinds.flag,
    "max_clock_skew": kinds.duration(1, DAY),
    "max_clock_jump": kinds.duration(3600, 3650 * DAY),
    "require_reason": _reason_operations,
    "reason_pattern": kinds.pattern,
    "limits": _limits,
    "plans": kinds.table_of(_name, _plan),
    "stripe": _stripe,
    "profiles": kinds.table_of(_name, _profile),
}


def _check_file(values: dict[str, Any], place: KeyPlace) -> None:
    """Check that each Stripe price belongs to only one pack or plan."""
    owners: dict[str, str] = {}
    for kind in ("packs", "plans"):
        for name, spec in values.get(kind, {}).items():
            for price in spec.stripe_prices:
                if price in owners:
                    place.below(f"{kind}.{name}.stripe_prices").wrong(f"{price} is a price of {owners[price]} too")
                owners[price] = f"{kind}.{name}"


def _build(**values: Any) -> Settings:
    terms = Terms(**{name: values.pop(name) for name in _TERMS if name in values})
    return Settings(terms=terms, limits=Limits(**values.pop("limits", {})), **values)


_file = kinds.table(_build, {**_TERMS, **_OTHERS}, check=_check_file)


def read_settings(path: Path, text: str) -> Settings:
    """Return the settings that the config file at ``path`` with this ``text`` holds. Raises `BadConfig`."""
    try:
        document = tomllib.loads(text, parse_float=kinds.WrittenFloat)
    except tomllib.TOMLDecodeError as problem:
        raise BadConfig(f"{path} is not TOML: {problem}", hint="correct the line it names") from None
    except (ValueError, RecursionError):
        # Python's own limits; their messages name no line.
        message = f"{path} cannot be read: a number in it is too long, or something is nested too deep"
        raise BadConfig(message, hint="look for a number of thousands of digits, or hundreds of brackets") from None
    mistakes: list[str] = []
    settings: Settings | None = _file(document, KeyPlace("", mistakes))
    if settings is None:
        raise BadConfig("\n".join(f"{path}: {mistake}" for mistake in mistakes))
    return settings._replace(source=path)
