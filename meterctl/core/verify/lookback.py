"""What has to be known of older entries to check a new one."""

from collections.abc import Callable, Mapping
from typing import cast

from meterctl.core.domain.entry_shape import malformed
from meterctl.core.model import Entry, Instant

#: Finds the entry of a seq again; None if there is none. What it gives need not have the shape of an entry.
Lookup = Callable[[int], object]


class Past:
    """A journal's past: single entries are looked up again when an entry points at them, and what refunds depend on
    is counted: one number for each lot that expired, was extended or voided, and each session that was refunded."""

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
        found = cast(Entry, entry)
        return found if found["seq"] == seq else None

    def extension_of(self, lot: int) -> Mapping[str, Instant | None] | None:
        """Return the newest extension of ``lot``, as far as a give-back asks for it."""
        return {"expires_at": self.expiries[lot]} if lot in self.expiries else None

    def remember(self, entry: Entry) -> None:
        """Count what ``entry`` means for those that follow."""
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
        """Count what a refund gave back, clawed and forgave; or, with ``sign`` -1, that it did not."""
        cents, clawed, forgiven = self.refunded.get(refund["lot"], (0, 0, 0))
        self.refunded[refund["lot"]] = (
            cents + sign * refund["cents"],
            clawed + sign * refund["units"],
            forgiven + sign * refund["forgiven"],
        )

    def _reversal(self, entry: Entry) -> None:
        for gone in entry.get("forfeited", ()):
            self.forfeited[gone["lot"]] = self.forfeited.get(gone["lot"], 0) + gone["units"]
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
