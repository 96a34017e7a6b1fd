"""Account for every unit of a lot: paid debt, used, clawed back, expired, ..., left. Pure.

Usage may come by the million, so it is not read here: used units are those that no other entry accounts for.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from meterctl.core.model import PRIORITY, Entry, Kind

#: The kinds of entries that change lots in another way than by using them.
CHANGING: tuple[Kind, ...] = ("topup", "adjustment", "refund", "reversal", "expiration")

#: The fates of units, in the order they are shown; the rest comes last.
FATES = ("debt", "used", "clawed", "expired", "forfeited", "voided")

#: The most entries listed for a figure: the newest.
MOST_SEQS = 10

BySeq = Callable[[int], Entry | None]


class LotPart(NamedTuple):
    """Units of a lot that met one fate in an entry; negative if the entry undoes it."""

    lot: int
    fate: str
    units: int
    seq: int


def parts_of(entry: Entry, by_seq: BySeq) -> Iterator[LotPart]:
    """Yield the changes of lots by ``entry``, one of the `CHANGING` kinds; ``by_seq`` finds the entry it reverses."""
    seq, kind = entry["seq"], entry["kind"]
    if kind == "refund":
        yield from (LotPart(draw["lot"], "clawed", draw["units"], seq) for draw in entry["draws"])
    elif kind == "expiration":
        yield LotPart(entry["lot"], "expired", entry["units"], seq)
    elif kind == "reversal":
        if "voided" in entry:
            yield LotPart(entry["voided"]["lot"], "voided", entry["voided"]["units"], seq)
        else:
            yield from _reversal_parts(entry, by_seq)
    elif "voids" in entry:
        yield LotPart(entry["voids"], "voided", entry["units"], seq)
    elif repaid := sum(entry.get("repaid", {}).values()):
        yield LotPart(seq, "debt", repaid, seq)


def _reversal_parts(entry: Entry, by_seq: BySeq) -> Iterator[LotPart]:
    """Yield the changes by a reversal, which returns the units that the reversed entry had drawn.

    Returned units are left or used in their lots, those of an expired lot are forfeited, and the rest paid debt."""
    for draw in entry["forfeited"]:
        yield LotPart(draw["lot"], "forfeited", draw["units"], entry["seq"])
    first = by_seq(entry["reverses"])
    if first is None:
        return
    back: Counter[int] = Counter()
    for draw in (*entry["restored"], *entry["forfeited"]):
        back[draw["lot"]] += draw["units"]
    draws = entry["uncounted"]["draws"] if "uncounted" in entry else first["draws"]
    units_drawn: Counter[int] = Counter()
    for draw in draws:
        units_drawn[draw["lot"]] += draw["units"]
    for lot, units in units_drawn.items():
        if first["kind"] == "refund":
            yield LotPart(lot, "clawed", -units, entry["seq"])
        if "voids" in first:
            yield LotPart(lot, "voided", -units, entry["seq"])
        if paid := units - back[lot]:
            yield LotPart(lot, "debt", paid, entry["seq"])


def users_of(entries: Iterable[Entry]) -> dict[int, list[int]]:
    """Return for each lot the seqs of the ``entries`` that used units of it."""
    users: dict[int, list[int]] = {}
    for entry in entries:
        if entry["kind"] in ("usage", "debit", "adjustment") and "voids" not in entry:
            for draw in entry.get("draws", ()):
                users.setdefault(draw["lot"], []).append(entry["seq"])
    return users


class Stories:
    """The histories of an org's lots, from its ``changes`` (`CHANGING` kinds, oldest first) and recent ``draws``.

    ``changes`` are complete from the seq ``since``."""

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

    def by_last_change(self) -> list[int]:
        """Return the lots that changed, the last changed first."""
        last = {lot: parts[-1].seq for lot, parts in self._parts.items()}
        for lot, seqs in self._users.items():
            last[lot] = max(last.get(lot, 0), *seqs)
        for seq, entry in self._openings.items():
            if entry["kind"] != "expiration" and entry.get("lot") == seq:
                last.setdefault(seq, seq)
        return sorted(last, key=lambda lot: (-last[lot], -lot))

    def of(self, lot: int, rest: int) -> dict[str, Any] | None:
        """Return the history of a lot with ``rest`` units left; None if the entry that opened it is missing."""
        opening = self._entry(lot)
        if opening is None or "units" not in opening:
            return None
        parts = self._parts.get(lot, [])
        fates: Counter[str] = Counter()
        for part in parts:
            fates[part.fate] += part.units
        fates["used"] = opening["units"] - rest - sum(fates.values())
        return {
            **_about(opening),
            **{fate: fates[fate] for fate in FATES},
            "left": rest,
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
