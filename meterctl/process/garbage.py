"""What a command does that runs for long: most live for some tens of milliseconds, and are tuned for that."""

import gc

#: New objects after which the youngest are looked through. A chunk of a thousand requests makes tens of thousands, and
#: all go with it: at Python's own 700 they are looked through dozens of times meanwhile, for a quarter of all time.
NEW_OBJECTS = 50_000


def collect_garbage() -> None:
    """Switch the collector on, which the start of the program switched off."""
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 20, 20)
    gc.enable()
