"""The facts of older entries that checks of a new one need."""

from collections.abc import Callable, Mapping
from typing import cast

from meterctl.core.domain.entry_shape import malformed
from meterctl.core.model import Entry, Instant

#: Returns the document of a seq, which may be malformed; None if there is none.
Lookup = Callable[[int], object]


class Past:
    """A journal's past, in little memory.

    An older entry is read again when a new one refers to it. Only the facts for refunds are kept: a number for each lot
    that expired, was extended or voided, and for each refunded session.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self.expired: dict[int, int] = {}
        self.forfeited: dict[int, int] = {}
        self.voided: dict[int, int] = {}
        self.expiries: dict[int, Instant | None] = {}
        self.refunded: dict[int, tuple[int, int, int]] = {}
        self.undone: set[int] = set()

    def by_seq(self, seq: int) -> Entry | None:
        entry = self._lookup(seq)
        if malformed(entry) is not None:
            return None
        document = cast(Entry, entry)
        return document if document["seq"] == seq else None

    def extension_of(self, lot: int) -> Mapping[str, Instant | None] | None:
        """Return the newest extension of ``lot``, with the fields that giving back needs."""
        return {"expires_at": self.expiries[lot]} if lot in self.expiries else None

    def remember(self, entry: Entry) -> None:
        """Keep the facts of ``entry`` that later entries depend on."""
        kind = entry["kind"]
        if kind == "expiration":
            self.expired[entry["lot"]] = entry["units"]
        elif kind == "refund":
            self._refund(entry, 1)
        elif kind == "extension":
            self.expiries[entry["lot"]] = entry["expires_at"]
        elif "voids" in entry:
            self.voided[entry["voids"]] = self.voided.get(entry["voids"], 0) + entry["units"]
        elif kind == "reversal":
            self._reversal(entry)

    def _refund(self, refund: Entry, sign: int) -> None:
        """Add the cents, clawed and forgiven units of a refund; with ``sign`` -1, subtract them."""
        cents, clawed, forgiven = self.refunded.get(refund["lot"], (0, 0, 0))
        self.refunded[refund["lot"]] = (
            cents + sign * refund["cents"],
            clawed + sign * refund["units"],
            forgiven + sign * refund["forgiven"],
        )

    def _reversal(self, entry: Entry) -> None:
        for part in entry.get("forfeited", ()):
            self.forfeited[part["lot"]] = self.forfeited.get(part["lot"], 0) + part["units"]
        if "voided" in entry:
            if "session" in entry:
                self.undone.add(entry["reverses"])
            return
        if "uncounted" in entry:
            return
        first = self.by_seq(entry["reverses"])
        if first is not None and first["kind"] == "refund":
            self._refund(first, -1)
        elif first is not None and "voids" in first:
            self.voided[first["voids"]] = self.voided.get(first["voids"], 0) - first["units"]
