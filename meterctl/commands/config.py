"""``meterctl config``: show"""

from typing import Any

from meterctl.commands.command import command, new_app, take_shared
from meterctl.config.settings import Profile
from meterctl.core.domain.policy import Pack
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
    return Facts(
        "config",
        {
            "source": None if settings.source is None else str(settings.source),
            "profile": wiring.profile_name,
            "store": wiring.describe_store(),
            "actor": wiring.actor,
            **_plain(settings.terms),
            "allow_time_travel": settings.allow_time_travel,
            "max_clock_skew": settings.max_clock_skew,
            "max_clock_jump": settings.max_clock_jump,
            "require_reason": list(wiring.require_reason),
            "reason_pattern": wiring.reason_pattern,
            "limits": _plain(wiring.limits),
            "packs": {name: _pack(pack) for name, pack in settings.terms.packs.items()},
            "plans": {name: _plain(plan) for name, plan in settings.plans.items()},
            "stripe": _plain(settings.stripe),
            "profiles": {name: _profile(profile) for name, profile in settings.profiles.items()},
        },
    )


def _plain(fields: Any) -> dict[str, Any]:
    """Return a named tuple as JSON has it."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields._asdict().items()}


def _pack(pack: Pack) -> dict[str, Any]:
    if pack.unit_price_cents is not None:  # a pack of any amount
        return _plain(pack) | {"units": None, "price_cents": None}
    return _plain(pack)


def _profile(profile: Profile) -> dict[str, Any]:
    return _plain(profile) | {"store": None if profile.store is None else without_secret(profile.store)}
