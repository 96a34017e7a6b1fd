"""Choose colours for a stream: terminals unless NO_COLOR is set, every stream with FORCE_COLOR."""

import os
from typing import TextIO


def force_colour() -> bool:
    """Return True if FORCE_COLOR is set and NO_COLOR is not."""
    return os.environ.get("FORCE_COLOR", "") not in ("", "0") and not os.environ.get("NO_COLOR")


def use_colour(stream: TextIO) -> bool:
    """Return True if output to ``stream`` should have colours."""
    if os.environ.get("NO_COLOR"):
        return False
    return force_colour() or (stream.isatty() and os.environ.get("TERM") != "dumb")
