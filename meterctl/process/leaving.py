"""Leaving a process without tearing it down."""

import os


def leave(code: int) -> None:
    """End this process at once. For when all that had to be closed is, and what was printed is flushed.

    That spares a last walk over every object, and half a second of waiting for the MongoDB driver's monitors, which
    look up twice a second.
    """
    os._exit(code)
