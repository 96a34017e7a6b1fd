"""``meterctl config``: show"""

from typing import Any

from meterctl.commands.command import command, new_app, take_shared
from meterctl.config.settings import Profile
from meterctl.core.results import Facts
from meterctl.core.stores.url import without_secret
from meterctl.wiring import Wiring

app = new_app()


@app.callback()
@take_shared
def config(**_: Any) -> None:
    """Show the config in force."""


@command(app)
def show(wiring: Wiring) -> Facts:
    """Show the config in force, defaults included, and where it comes from. Changes nothing.

    \b
    Example:
      meterctl config show --config meterctl.toml
    """
    settings = wiring.settings
    terms = settings.terms._asdict()
    packs = {name: pack._asdict() for name, pack in settings.terms.packs.items()}
    plans = {name: {"weekly_quota": p.weekly_quota, "ratios": dict(p.ratios)} for name, p in settings.plans.items()}
    facts = {
        "source": None if settings.source is None else str(settings.source),
        "profile": wiring.profile_name,
        "store": wiring.describe_store(),
        "actor": wiring.actor,
        **terms,
        "thresholds": list(settings.terms.thresholds),
        "allow_time_travel": settings.allow_time_travel,
        "packs": packs,
        "plans": plans,
        "profiles": {name: _profile(profile) for name, profile in settings.profiles.items()},
    }
    return Facts("config", facts)


def _profile(profile: Profile) -> dict[str, Any]:
    return profile._asdict() | {"store": None if profile.store is None else without_secret(profile.store)}
