"""Settings, with the defaults that hold without a config file, and the places where files are looked for."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from meterctl.core.domain.policy import ClockLimits, Limits, StripeSettings, Terms
from meterctl.core.errors import BadInput

MAX_STORE_FILE = 1 << 14


class PlanSpec(NamedTuple):
    """A plan in the config, in force only once it is published."""

    weekly_quota: int
    ratios: Mapping[str, str] = {}
    rollover_max: int = 0
    rollover_weeks: int = 1
    #: An org with a subscription to one of these Stripe prices is on the plan.
    stripe_prices: tuple[str, ...] = ()


class Profile(NamedTuple):
    """A profile. A value of None, or a missing limit, leaves the setting of the file in force."""

    store: str | None = None
    store_file: str | None = None
    collection_prefix: str | None = None
    production: bool = False
    actor: str | None = None
    limits: Mapping[str, int] = {}
    require_reason: tuple[str, ...] | None = None
    reason_pattern: str | None = None


class Settings(NamedTuple):
    """The content of the config file, or the defaults if ``source`` is None. Spans are in seconds."""

    source: Path | None = None
    terms: Terms = Terms()
    plans: Mapping[str, PlanSpec] = {}
    allow_time_travel: bool = False
    max_clock_skew: int = 5 * 60
    max_clock_jump: int = 35 * 86_400
    limits: Limits = Limits()
    #: Operations that need a reason, and the regular expression that each reason has to match somewhere.
    require_reason: tuple[str, ...] = ()
    reason_pattern: str = ""
    stripe: StripeSettings = StripeSettings()
    profiles: Mapping[str, Profile] = {}

    @property
    def clock_limits(self) -> ClockLimits:
        """The limits of a clock for writes; with time travel it may differ from a server's by any number of seconds."""
        return ClockLimits(None if self.allow_time_travel else self.max_clock_skew, self.max_clock_jump)

    def under(self, profile: Profile) -> "Settings":
        """Return these settings with the limits and rules for reasons that ``profile`` has of its own."""
        own = (profile.require_reason, profile.reason_pattern)
        return self._replace(
            limits=self.limits._replace(**profile.limits),
            require_reason=self.require_reason if own[0] is None else own[0],
            reason_pattern=self.reason_pattern if own[1] is None else own[1],
        )


def user_dir(kind: str, environ: Mapping[str, str]) -> Path | None:
    """Return meterctl's own directory for ``kind`` ("CONFIG" or "DATA"), by the XDG rules.

    None: a user without a home directory has none.
    """
    if base := environ.get(f"XDG_{kind}_HOME"):
        return Path(base, "meterctl")
    fallback = {"CONFIG": ".config", "DATA": ".local/share"}[kind]
    try:
        return Path.home() / fallback / "meterctl"
    except RuntimeError:
        return None


def find_config(requested: str | None, environ: Mapping[str, str]) -> Path | None:
    """Return the config file: the requested one, else the environment's, else the first default that exists."""
    choice = requested or environ.get("METERCTL_CONFIG")
    if choice:
        return Path(choice)
    return next((path for path in unnamed_configs(environ) if _is_file(path)), None)


def unnamed_configs(environ: Mapping[str, str]) -> list[Path]:
    """Return the default places of the config: ``./meterctl.toml``, then the user's."""
    directories = (Path(), user_dir("CONFIG", environ))
    return [directory / "meterctl.toml" for directory in directories if directory is not None]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False  # not readable, and the user did not ask for this file


def read_store_file(settings: Settings, name: str) -> str:
    """Return the store's URL from the file of a profile's ``store_file``, relative to the config file.

    The file holds a password: it is refused if anybody but its owner may read it. A file of root's may be readable to
    a group, as a container's mounted secrets are.
    """
    path = Path(name).expanduser()
    if settings.source is not None:
        path = settings.source.parent / path
    hint = "write the store's URL on one line, readable only by the owner: chmod 600"
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(MAX_STORE_FILE + 1)
    except OSError as problem:
        message = f"cannot read store_file {path}: {problem.strerror}"
        raise BadInput(message, hint=hint, code="store_file_unreadable") from None
    if status.st_mode & (0o037 if status.st_uid == 0 else 0o077):
        message = f"store_file {path} may be read or written by others (mode {status.st_mode & 0o777:o})"
        raise BadInput(message, hint=f"restrict it with: chmod 600 {path}", code="bad_store_file")
    try:
        lines = content.decode("utf-8-sig").strip().splitlines()
    except UnicodeDecodeError:
        lines = []
    if len(lines) != 1 or len(content) > MAX_STORE_FILE:
        raise BadInput(f"store_file {path} does not hold one URL and nothing else", hint=hint, code="bad_store_file")
    return lines[0]


def default_store(environ: Mapping[str, str]) -> str:
    """Return the URL of the embedded store in the user's data directory."""
    directory = user_dir("DATA", environ)
    if directory is None:
        message = "this user has no home directory to keep the embedded store in"
        raise BadInput(message, hint="name a store with --store sqlite:PATH, or METERCTL_STORE", code="bad_store")
    return f"sqlite:{directory / 'meterctl.db'}"
