"""The checks by number, as docs/format.md and findings name them."""

from collections.abc import Callable
from enum import IntEnum


class Check(IntEnum):
    """The checks: 1 to 12 and 16 of a journal, 13, 14 and 17 of a store, 0 for unreadable entries, 15 for seals."""

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


#: Receives a finding: the number of its check, and a sentence about the current entry.
Note = Callable[[Check, str], None]
