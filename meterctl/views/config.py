"""Show plans, packs and the config in force."""

from collections.abc import Iterable, Mapping
from typing import Any

from meterctl.core.booking.plan_publisher import Publication, version_record
from meterctl.core.results import Facts, Listing
from meterctl.views import words
from meterctl.views.blocks import Block, Cell, Column, Grid, Heading, Note, Row, Styled
from meterctl.views.fallback import show_fields
from meterctl.views.registry import view


@view("plan-version")
def show_publication(publication: Publication) -> Iterable[Block]:
    outcome = {
        "applied": Styled("✓ published", "good"),
        "unchanged": Styled("✓ the same terms are published already", "accent"),
        "planned": Styled("○ would publish", "accent"),
    }[publication.status]
    yield Heading((outcome, ": ", Styled(f"{publication.version.plan} v{publication.version.version}", "strong")))
    yield _versions([version_record(publication.version)])
    if publication.status == "planned":
        yield Note("nothing is published yet")


_OUTCOMES = {
    "applied": Styled("published", "good"),
    "unchanged": Styled("published before", "accent"),
    "planned": Styled("would be published", "accent"),
}


@view("plans", "plan")
def show_plans(plans: Listing) -> Iterable[Block]:
    yield Heading(f"versions of {plans.about['plan']}" if "plan" in plans.about else "plans")
    yield _versions(plans.items)
    if "plan" not in plans.about:
        yield Note("for all versions of a plan: meterctl plan show PLAN")


def _versions(versions: Iterable[Mapping[str, Any]]) -> Grid:
    """Return a grid of plan versions, with the outcome of each if they were just published."""
    records = list(versions)
    columns = [
        Column("plan", least=8),
        Column("version", right=True),
        Column("weekly quota", right=True),
        Column("ratios", rank=1, least=16),
        Column("in force from (UTC)", rank=2, least=10),
        Column("by", rank=3, least=8),
        Column("reason", rank=4, least=12),
    ]
    if any("status" in record for record in records):
        columns.append(Column("outcome", rank=1))
    return Grid(columns, [_version_row(record) for record in records], empty="no plan is published")


def _version_row(record: Mapping[str, Any]) -> Row:
    return Row(
        [
            Styled(record["plan"], "strong"),
            str(record["version"]),
            words.units(record["weekly_quota"]),
            ratios(record["ratios"]),
            words.when(record["effective_from"]),
            record["actor"],
            record["reason"] or "",
            *([_OUTCOMES[record["status"]]] if "status" in record else []),
        ]
    )


def ratios(by_feature: Mapping[str, str]) -> str:
    return ", ".join(f"{feature} {ratio}" for feature, ratio in by_feature.items()) or "all 1"


@view("config")
def show_config(config: Facts) -> Iterable[Block]:
    facts = dict(config.facts)
    packs, plans, profiles = (facts.pop(name, {}) for name in ("packs", "plans", "profiles"))
    yield Heading("config in force")
    if facts.get("source") is None:
        facts["source"] = "defaults: no config file was found"
    for name in ("max_clock_skew", "max_clock_jump"):
        facts[name] = words.span(facts[name] * 1000)
    yield from show_fields(facts)
    yield _packs(packs)
    yield _plans(plans)
    if profiles:
        yield _profiles(profiles)


def _plans(plans: Mapping[str, Mapping[str, Any]]) -> Grid:
    columns = [
        Column("plan", least=8),
        Column("weekly quota", right=True),
        Column("ratios", rank=1, least=16),
        Column("carries over", rank=2),
    ]
    rows = [
        Row([Styled(name, "strong"), words.units(plan["weekly_quota"]), ratios(plan["ratios"]), _rollover(plan)])
        for name, plan in plans.items()
    ]
    return Grid(columns, rows, "plans (to be published with: meterctl plan publish --from-config)")


def _rollover(plan: Mapping[str, Any]) -> str:
    if not plan["rollover_max"]:
        return "nothing"
    return f"up to {words.units(plan['rollover_max'])} for {words.plural(plan['rollover_weeks'], 'week')}"


def _profiles(profiles: Mapping[str, Mapping[str, Any]]) -> Grid:
    columns = [Column("profile", least=8), Column("store", least=16), Column("production"), Column("actor", rank=1)]
    rows = [Row(_profile_cells(name, profile)) for name, profile in profiles.items()]
    return Grid(columns, rows, "profiles (chosen with: --profile NAME)")


def _profile_cells(name: str, profile: Mapping[str, Any]) -> list[Cell]:
    file = profile["store_file"]
    store = profile["store"] or (f"as {file} says" if file else "-")
    return [Styled(name, "strong"), store, "yes" if profile["production"] else "no", profile["actor"] or "-"]


def _packs(packs: Mapping[str, Mapping[str, Any]]) -> Grid:
    columns = [
        Column("pack", least=8),
        Column("units", right=True),
        Column("price", right=True),
        Column("expires"),
        Column("priority", right=True, rank=1),
    ]
    return Grid(columns, [Row(_pack_cells(name, pack)) for name, pack in packs.items()], "packs")


def _pack_cells(name: str, pack: Mapping[str, Any]) -> list[Cell]:
    days = pack["expiry_days"]
    return [
        Styled(name, "strong"),
        "any" if pack["units"] is None else words.units(pack["units"]),
        _price(pack),
        f"after {words.plural(days, 'day')}" if days else "never",
        str(pack["priority"]),
    ]


def _price(pack: Mapping[str, Any]) -> str:
    if pack["unit_price_cents"] is not None:
        return f"{pack['unit_price_cents']} cents ({pack['currency'].upper()}) each"
    prices = {pack["currency"]: pack["price_cents"], **pack["prices"]}
    return ", ".join(words.money(cents, currency) for currency, cents in prices.items())
