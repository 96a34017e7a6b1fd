"""What became of the units of a lot: so much paid debt, was used, clawed back, has expired, ..., and is left. Pure.

Usage may come by the million, so nobody reads it here: what was used is what no other entry accounts for.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from meterctl.core.model import PRIORITY, Entry, Kind

#: The kinds of entries that do something else to lots than use them.
CHANGING: tuple[Kind, ...] = ("topup", "adjustment", "refund", "reversal", "expiration")

#: What becomes of units, in the order it is told in; what is left comes last.
FATES = ("debt", "used", "clawed", "expired", "forfeited", "voided")

#: Entries that a number names at most: the newest.
MOST_SEQS = 10

BySeq = Callable[[int], Entry | None]


class LotPart(NamedTuple):
    """Units of a lot that an entry did something with; negative where it took that back."""

    lot: int
    fate: str
    units: int
    seq: int


def parts_of(entry: Entry, by_seq: BySeq) -> Iterator[LotPart]:
    """What ``entry``, one of the `CHANGING` kinds, did to lots beyond using them. ``by_seq`` finds what it reverses."""
    seq, kind = entry["seq"], entry["kind"]
    if kind == "refund":
        yield from (LotPart(drawn["lot"], "clawed", drawn["units"], seq) for drawn in entry["draws"])
    elif kind == "expiration":
        yield LotPart(entry["lot"], "expired", entry["units"], seq)
    elif kind == "reversal":
        if "voided" in entry:
            yield LotPart(entry["voided"]["lot"], "voided", entry["voided"]["units"], seq)
        else:
            yield from _given_back(entry, by_seq)
    elif "voids" in entry:
        yield LotPart(entry["voids"], "voided", entry["units"], seq)
    elif repaid := sum(entry.get("repaid", {}).values()):
        yield LotPart(seq, "debt", repaid, seq)


def _given_back(entry: Entry, by_seq: BySeq) -> Iterator[LotPart]:
    """What a reversal did with the units that the entry it reverses had drawn: what went back to their lots is left or
    used there, what found its lot expired is forfeited, and the rest paid debt."""
    for lost in entry["forfeited"]:
        yield LotPart(lost["lot"], "forfeited", lost["units"], entry["seq"])
    first = by_seq(entry["reverses"])
    if first is None:
        return
    returned: Counter[int] = Counter()
    for back in (*entry["restored"], *entry["forfeited"]):
        returned[back["lot"]] += back["units"]
    draws = entry["uncounted"]["draws"] if "uncounted" in entry else first["draws"]
    taken: Counter[int] = Counter()
    for drawn in draws:
        taken[drawn["lot"]] += drawn["units"]
    for lot, units in taken.items():
        if first["kind"] == "refund":
            yield LotPart(lot, "clawed", -units, entry["seq"])
        if "voids" in first:
            yield LotPart(lot, "voided", -units, entry["seq"])
        if paid := units - returned[lot]:
            yield LotPart(lot, "debt", paid, entry["seq"])


def users_of(entries: Iterable[Entry]) -> dict[int, list[int]]:
    """By lot, the seqs of those of ``entries`` that used units of it."""
    users: dict[int, list[int]] = {}
    for entry in entries:
        if entry["kind"] in ("usage", "debit", "adjustment") and "voids" not in entry:
            for drawn in entry.get("draws", ()):
                users.setdefault(drawn["lot"], []).append(entry["seq"])
    return users


class Stories:
    """What the ``changes`` of an org (of the `CHANGING` kinds, oldest first) and its recent ``draws`` say of lots.
    ``since``: all changes from that seq on are there."""

    def __init__(self, changes: Sequence[Entry], draws: Iterable[Entry], since: int, by_seq: BySeq) -> None:
        self._openings = {entry["seq"]: entry for entry in changes}
        self._since = since
        self._by_seq = by_seq
        self._parts: dict[int, list[LotPart]] = {}
        self._users = users_of(draws)
        for entry in changes:
            for part in parts_of(entry, self._entry):
                self._parts.setdefault(part.lot, []).append(part)

    def _entry(self, seq: int) -> Entry | None:
        return self._openings.get(seq) or self._by_seq(seq)

    def touched(self) -> list[int]:
        """The lots that something was done to, the last touched first."""
        last = {lot: parts[-1].seq for lot, parts in self._parts.items()}
        for lot, seqs in self._users.items():
            last[lot] = max(last.get(lot, 0), *seqs)
        for seq, entry in self._openings.items():
            if entry["kind"] != "expiration" and entry.get("lot") == seq:
                last.setdefault(seq, seq)
        return sorted(last, key=lambda lot: (-last[lot], -lot))

    def of(self, lot: int, left: int) -> dict[str, Any] | None:
        """The story of a lot with ``left`` units; None if what opened it cannot be found."""
        opening = self._entry(lot)
        if opening is None or "units" not in opening:
            return None
        parts = self._parts.get(lot, [])
        fates: Counter[str] = Counter()
        for part in parts:
            fates[part.fate] += part.units
        fates["used"] = opening["units"] - left - sum(fates.values())
        return {
            **_about(opening),
            **{fate: fates[fate] for fate in FATES},
            "left": left,
            "complete": lot >= self._since,
            "seqs": {"units": [lot], **self._seqs(lot, parts)},
        }

    def _seqs(self, lot: int, parts: Sequence[LotPart]) -> dict[str, list[int]]:
        by_fate: dict[str, list[int]] = {"used": sorted(self._users.get(lot, []))}
        for part in parts:
            by_fate.setdefault(part.fate, []).append(part.seq)
        return {fate: by_fate[fate][-MOST_SEQS:] for fate in FATES if by_fate.get(fate)}


def _about(opening: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": opening["seq"],
        "kind": opening["kind"],
        "pack": opening.get("pack"),
        "session": opening.get("session") if opening["kind"] == "topup" else None,
        "paid_cents": opening.get("paid_cents"),
        "currency": opening.get("currency"),
        "opened_at": opening["at"],
        "actor": opening["actor"],
        "reason": opening["reason"],
        "expires_at": opening["expires_at"],
        "units": opening["units"],
        "priority": opening.get("priority", PRIORITY),
    }
