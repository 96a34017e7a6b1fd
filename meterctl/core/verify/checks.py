"""The checks by number, as docs/format.md and findings name them."""

from collections.abc import Callable
from enum import IntEnum


class Check(IntEnum):
    """1 to 12 and 16 are the checks of a journal, 13, 14 and 17 those of a store. 0 and 15 frame them: unreadable
    entries, and the proof of a seal."""

    FORM = 0
    ORDER = 1
    CHAIN = 2
    SUM = 3
    BALANCE = 4
    STATE = 5
    KEY = 6
    LOTS = 7
    DRAWS = 8
    SESSION = 9
    EXPIRY = 10
    WEEK = 11
    ALERTS = 12
    HEAD = 13
    CLAIM = 14
    SEAL = 15
    HOLDS = 16
    AHEAD = 17


#: Told of what a check found: its number, and a sentence about the entry at hand.
Note = Callable[[Check, str], None]
