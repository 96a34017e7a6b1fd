"""Load the settings: from the config file where there is one.

Only a command that finds a config file loads the reader behind it (`meterctl.config.file`).
"""

import os
from collections.abc import Mapping

from meterctl.config.settings import Settings, find_config
from meterctl.core.errors import BadConfig

#: The config is read as a whole. A longer file is no config but, for example, a device.
MAX_BYTES = 1 << 20


def load_settings(requested: str | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings in force. Raises `BadConfig` naming file, key and the right value."""
    path = find_config(requested, environ)
    if path is None:
        return Settings()
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise BadConfig(f"the config {path} is longer than 1 MiB", hint="check --config and the file")
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as problem:
        message = f"the config {path} is not UTF-8: byte {problem.start + 1}"
        raise BadConfig(message, hint="save it as UTF-8") from None
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise BadConfig(f"cannot read the config {path}: {reason}", hint="check --config and the file") from None
    from meterctl.config.file import read_settings

    return read_settings(path, text)
