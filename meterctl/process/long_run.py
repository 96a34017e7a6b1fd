"""Set up a long command. Most commands end within milliseconds and run without it."""

import gc

from meterctl.core.domain.digest import hash_many

#: New objects between two collections. A chunk of a thousand requests makes tens of thousands of objects and frees them
#: all; Python's default of 700 would spend a quarter of the run on useless collections.
NEW_OBJECTS = 50_000


def prepare_long_run() -> None:
    """Enable the collector, which the program disables at its start, and the hash that is fast for many entries."""
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 20, 20)
    gc.enable()
    hash_many()
