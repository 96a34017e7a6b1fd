"""Whether to colour a stream: terminals yes, unless NO_COLOR; anything at all if FORCE_COLOR."""

import os
from typing import TextIO


def forced() -> bool:
    """Return True if FORCE_COLOR asks for colours whatever the stream is. NO_COLOR is stronger."""
    return os.environ.get("FORCE_COLOR", "") not in ("", "0") and not os.environ.get("NO_COLOR")


def coloured(stream: TextIO) -> bool:
    """Return True if escape codes for colours belong on ``stream``."""
    if os.environ.get("NO_COLOR"):
        return False
    return forced() or (stream.isatty() and os.environ.get("TERM") != "dumb")
