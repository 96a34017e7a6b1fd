"""``meterctl config``: show, init"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from meterctl.commands.command import command, new_app, take_shared
from meterctl.commands.options import argument, switch
from meterctl.config.settings import Profile, unnamed_configs
from meterctl.core.domain.policy import Pack
from meterctl.core.errors import BadInput, shell_command
from meterctl.core.results import Facts
from meterctl.core.stores.url import without_secret
from meterctl.wiring import Wiring

app = new_app()


@app.callback()
@take_shared
def config(**_: Any) -> None:
    """Show the config in force, or write a first one."""


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
            "looked_at": list(_looked_at(wiring)),
            "profile": wiring.profile_name,
            "store": wiring.describe_store(),
            "actor": wiring.actor,
            **_plain(settings.terms),
            "allow_time_travel": settings.allow_time_travel,
            "max_clock_skew": settings.max_clock_skew,
            "max_clock_jump": settings.max_clock_jump,
            "require_reason": list(wiring.in_force.require_reason),
            "reason_pattern": wiring.in_force.reason_pattern,
            "limits": _plain(wiring.in_force.limits),
            "packs": {name: _pack(pack) for name, pack in settings.terms.packs.items()},
            "plans": {name: _plain(plan) for name, plan in settings.plans.items()},
            "stripe": _plain(settings.stripe),
            "profiles": {name: _profile(profile) for name, profile in settings.profiles.items()},
        },
    )


def _looked_at(wiring: Wiring) -> Iterator[dict[str, Any]]:
    """Yield the searched config files, in order; the first existing one is in force."""
    path = wiring.options.config or wiring.environ.get("METERCTL_CONFIG")
    places = [Path(path)] if path else unnamed_configs(wiring.environ)
    for place in places:
        yield {"path": str(place.absolute()), "found": os.path.isfile(place)}  # noqa: PTH113 - no error in a closed folder


@command(app)
def init(
    wiring: Wiring,
    file: Annotated[str | None, argument("[FILE]", "The file to write (else ./meterctl.toml).")] = None,
    user: Annotated[bool, switch("--user", "In your config directory, for every folder.")] = False,
) -> Facts:
    """Write a first config with every key explained. Books nothing, and never writes over a file.

    The file is valid, with two packs and two plans as examples. Then run: meterctl plan publish --from-config

    \b
    Examples:
      meterctl config init
      meterctl config init --user
    """
    if file is not None and user:
        raise BadInput("give either FILE or --user", hint="meterctl config init --help", code="usage")
    path = unnamed_configs(wiring.environ)[-1] if user else Path(file or "meterctl.toml")
    text = (Path(__file__).parents[1] / "config" / "first.toml").read_text(encoding="utf-8")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        hint = f"show it with: {shell_command('config', 'show', '--config', path)}; or name another file"
        raise BadInput(f"{path} exists and was not changed", hint=hint, code="file_exists") from None
    except OSError as problem:
        hint = "name a file in a directory that you may write to"
        raise BadInput(f"cannot write {path}: {problem.strerror}", hint=hint, code="bad_file") from problem
    return Facts("config-init", {"path": str(path.absolute())})


def _plain(fields: Any) -> dict[str, Any]:
    """Return a named tuple as a dict for JSON."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields._asdict().items()}


def _pack(pack: Pack) -> dict[str, Any]:
    if pack.unit_price_cents is not None:  # a pack of any amount
        return _plain(pack) | {"units": None, "price_cents": None}
    return _plain(pack)


def _profile(profile: Profile) -> dict[str, Any]:
    return _plain(profile) | {"store": None if profile.store is None else without_secret(profile.store)}
