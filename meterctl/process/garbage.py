"""Garbage collection for long commands. Most commands end within milliseconds and run without it."""

import gc

#: New objects between two collections. A chunk of a thousand requests makes tens of thousands of objects and frees them
#: all; Python's default of 700 would spend a quarter of the run on useless collections.
NEW_OBJECTS = 50_000


def collect_garbage() -> None:
    """Enable the collector, which the program disables at its start."""
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 20, 20)
    gc.enable()
