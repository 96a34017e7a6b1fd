"""Recognise repeated texts, in a few bytes for each."""

from array import array


class DigestSet:
    """A set of texts that keeps 64 bits of each: 12 to 24 bytes in all, where Python's own takes over a hundred.

    Two different texts pass for the same with a chance of n^2 / 2^65: one in 37 million at a million texts. The hash
    is Python's, keyed anew in each process, so nobody can choose texts that collide.
    """

    def __init__(self) -> None:
        self._slots = array("q", [0]) * 64
        self._count = 0

    def add(self, text: str) -> bool:
        """Remember ``text``; False if it was there."""
        # Open addressing: a text sits in the first free slot from its own on; 0 marks a free one.
        digest = hash(text) or 1
        slots = self._slots
        mask = len(slots) - 1
        place = digest & mask
        while (slot := slots[place]) != 0:  # bounded: at least a third of the slots is free
            if slot == digest:
                return False
            place = (place + 1) & mask
        slots[place] = digest
        self._count += 1
        if self._count * 3 > len(slots) * 2:
            self._grow()
        return True

    def _grow(self) -> None:
        old = self._slots
        slots = array("q", [0]) * (2 * len(old))
        mask = len(slots) - 1
        for digest in filter(None, old):
            place = digest & mask
            while slots[place] != 0:  # bounded: at least two thirds of the slots are free
                place = (place + 1) & mask
            slots[place] = digest
        self._slots = slots
