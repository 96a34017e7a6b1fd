"""Settings: the config file, the environment, and what holds without either.

Only a config file that exists loads the checker behind it (`config_file`, on pydantic): a command without one starts in
half the time.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from meterctl.core.errors import BadConfig
from meterctl.core.terms import Terms


class PlanSpec(NamedTuple):
    """A plan as the config describes it; in force only once it is published."""

    weekly_quota: int
    ratios: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the config file says. ``source`` None: there is none, these are the defaults."""

    source: Path | None = None
    terms: Terms = field(default_factory=Terms)
    plans: Mapping[str, PlanSpec] = field(default_factory=dict)
    allow_time_travel: bool = False


def user_dir(kind: str, environ: Mapping[str, str]) -> Path:
    """meterctl's own directory for ``kind`` ("CONFIG" or "DATA"), by the XDG rules."""
    fallback = {"CONFIG": ".config", "DATA": ".local/share"}[kind]
    base = environ.get(f"XDG_{kind}_HOME")
    return (Path(base) if base else Path.home() / fallback) / "meterctl"


def find_config(given: str | None, environ: Mapping[str, str]) -> Path | None:
    """The config file to use: the one given, else the environment's, else ``./meterctl.toml``, else the user's."""
    named = given or environ.get("METERCTL_CONFIG")
    if named:
        return Path(named)
    for candidate in (Path("meterctl.toml"), user_dir("CONFIG", environ) / "meterctl.toml"):
        if candidate.is_file():
            return candidate
    return None


def load_settings(given: str | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in force. Raises `BadConfig` naming file, key and what would be right."""
    path = find_config(given, environ)
    if path is None:
        return Settings()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise BadConfig(f"cannot read the config {path}: {problem}", hint="check --config and the file") from None
    from meterctl.config_file import check

    return check(path, text)


def default_store(environ: Mapping[str, str]) -> str:
    """The embedded store in the user's data directory."""
    return f"sqlite:{user_dir('DATA', environ) / 'meterctl.db'}"
