"""Settings: the config file, the environment, and what holds without either.

Only a config file that has not been checked yet loads the checker behind it (`config_file`, on pydantic): any other
command starts in half the time.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from meterctl import __version__
from meterctl.core.domain.policy import Pack, Terms
from meterctl.core.errors import BadConfig, BadInput


class PlanSpec(NamedTuple):
    """A plan as the config describes it; in force only once it is published."""

    weekly_quota: int
    ratios: Mapping[str, str]


class Profile(NamedTuple):
    """A place to work on, by a name of its own. What is None comes from where it comes from without a profile."""

    store: str | None = None
    production: bool = False
    actor: str | None = None


class Settings(NamedTuple):
    """What the config file says. ``source`` None: there is none, these are the defaults."""

    source: Path | None = None
    terms: Terms = Terms()
    plans: Mapping[str, PlanSpec] = {}
    allow_time_travel: bool = False
    profiles: Mapping[str, Profile] = {}


def user_dir(kind: str, environ: Mapping[str, str]) -> Path | None:
    """meterctl's own directory for ``kind`` ("CONFIG", "DATA" or "CACHE"), by the XDG rules. None: a user without a
    home directory has none."""
    if base := environ.get(f"XDG_{kind}_HOME"):
        return Path(base, "meterctl")
    fallback = {"CONFIG": ".config", "DATA": ".local/share", "CACHE": ".cache"}[kind]
    try:
        return Path.home() / fallback / "meterctl"
    except RuntimeError:
        return None


def find_config(given: str | None, environ: Mapping[str, str]) -> Path | None:
    """The config file to use: the one given, else the environment's, else ``./meterctl.toml``, else the user's."""
    named = given or environ.get("METERCTL_CONFIG")
    if named:
        return Path(named)
    for directory in (Path(), user_dir("CONFIG", environ)):
        if directory is not None and _is_file(directory / "meterctl.toml"):
            return directory / "meterctl.toml"
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False  # in a directory that this user may not look into: nobody named it


def load_settings(given: str | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in force. Raises `BadConfig` naming file, key and what would be right."""
    path = find_config(given, environ)
    if path is None:
        return Settings()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise BadConfig(f"cannot read the config {path}: {problem}", hint="check --config and the file") from None
    checked = _Checked(text, user_dir("CACHE", environ))
    if (document := checked.read()) is None:
        from meterctl.config.file import check

        document = check(path, text)
        checked.write(document)
    return settings_of(path, document)


def settings_of(path: Path, document: Mapping[str, Any]) -> Settings:
    """The settings in a checked config file's ``document``, which has every key."""
    terms = {name: document[name] for name in Terms._fields if name not in ("packs", "thresholds")}
    packs = {name: Pack(**pack) for name, pack in document["packs"].items()}
    return Settings(
        path,
        Terms(**terms, thresholds=tuple(document["thresholds"]), packs=packs),
        {name: PlanSpec(**plan) for name, plan in document["plans"].items()},
        document["allow_time_travel"],
        {name: Profile(**profile) for name, profile in document["profiles"].items()},
    )


#: Raised when a checked document changes its shape, or when more is checked.
_SHAPE = 3

#: The rights of anybody but the owner, in a file's mode.
_OF_OTHERS = 0o077


class _Checked:
    """What checking a config text came to, kept beside other caches of the user as Python keeps bytecode: a text that
    was found right needs no second look, and a command starts without the checker. A cache: it may be gone or
    unwritable at any time."""

    def __init__(self, text: str, directory: Path | None) -> None:
        from hashlib import sha256

        name = f"config-{sha256(f'{__version__} {_SHAPE} {text}'.encode()).hexdigest()}.json"
        self._file = None if directory is None else directory / name

    def read(self) -> dict[str, Any] | None:
        import json

        if self._file is None:
            return None
        try:
            if self._file.stat().st_mode & _OF_OTHERS:
                return None  # whoever made it so: it is written anew
            document: dict[str, Any] = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return document

    def write(self, document: Mapping[str, Any]) -> None:
        import json
        from contextlib import suppress

        if self._file is None:
            return
        # Written aside and renamed: another process sees all of it or nothing.
        aside = self._file.with_suffix(f".{os.getpid()}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            aside.unlink(missing_ok=True)
            aside.touch(mode=0o600, exist_ok=False)  # a store's URL may hold a password
            aside.write_text(json.dumps(document), encoding="utf-8")
            aside.replace(self._file)
            self._drop_others(self._file)
        except OSError:
            with suppress(OSError):
                aside.unlink()

    def _drop_others(self, kept: Path) -> None:
        # A password that was replaced in the config would stay in them for ever. Of another config, or of a process
        # that is about to write: it is checked once more.
        for other in kept.parent.glob("config-*"):
            if other != kept:
                other.unlink(missing_ok=True)


def default_store(environ: Mapping[str, str]) -> str:
    """The embedded store in the user's data directory."""
    directory = user_dir("DATA", environ)
    if directory is None:
        message = "this user has no home directory to keep the embedded store in"
        raise BadInput(message, hint="say where it is: --store sqlite:PATH, or METERCTL_STORE", code="bad_store")
    return f"sqlite:{directory / 'meterctl.db'}"
