"""The garbage collector in long runs. Most commands live for tens of milliseconds and leave it off."""

import gc

#: New objects between two passes over the youngest. A chunk of a thousand requests makes tens of thousands of objects
#: and drops them all; at Python's own 700, dozens of passes over them took a quarter of the time.
NEW_OBJECTS = 50_000


def collect_garbage() -> None:
    """Switch the collector on; the start of the program switched it off."""
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 20, 20)
    gc.enable()
