"""The overflow of a week: the units of its usage beyond the quota, part by part, in the order booked.

So an undo of a run knows what the last units of the week came from, and gives back exactly that.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from meterctl.core.model import Draw, Overflow, Source

#: The sources that are no lots.
DEBT, UNCOVERED = "debt", "uncovered"


def with_overflow(parts: Sequence[Overflow], usage: Mapping[str, Any]) -> tuple[Overflow, ...]:
    """Add the overflow of a ``usage`` entry; a part whose source is that of the last one is added to it."""
    grown = list(parts)
    sources = [(each["lot"], each["units"]) for each in usage.get("draws", ())]
    sources += [(DEBT, usage["debt"]["overage"])] if "debt" in usage else []
    for source, units in [*sources, (UNCOVERED, usage["uncovered"])]:
        if not units:
            continue
        if grown and grown[-1].source == source:
            grown[-1] = Overflow(source, grown[-1].units + units)
        else:
            grown.append(Overflow(source, units))
    return tuple(grown)


def without_overflow(parts: Sequence[Overflow], uncounted: Mapping[str, Any]) -> tuple[Overflow, ...]:
    """Take off the units in an undo's ``uncounted``, of each source the newest first. Empty parts are dropped."""
    due: dict[Source, int] = {DEBT: uncounted["debt"], UNCOVERED: uncounted["uncovered"]}
    for each in uncounted["draws"]:
        due[each["lot"]] = due.get(each["lot"], 0) + each["units"]
    rest: list[Overflow] = []
    for part in reversed(parts):
        share = min(part.units, due.get(part.source, 0))
        if share:
            due[part.source] -= share
        if part.units > share:
            rest.append(Overflow(part.source, part.units - share))
    if any(due.values()):
        raise ValueError("more overflow is taken back than the week holds")
    return tuple(reversed(rest))


class Removal(NamedTuple):
    """Overflow that an undo takes off: units that were covered by nothing, that became debt, and that were drawn."""

    uncovered: int
    debt: int
    draws: list[Draw]


def removal(parts: Sequence[Overflow], used_after: int, quota: int, units: int, uncovered: int) -> Removal:
    """Return the overflow to take off for an undone run of ``units``, of which ``uncovered`` were covered by nothing.

    Of all that was booked beyond the quota, so much goes as does not lie above it any more: first the run's own
    uncovered part, then parts from the last one back.
    """
    total = sum(part.units for part in parts)
    to_remove = min(units, max(0, total - max(0, used_after - quota)))
    own = _newest(parts, min(to_remove, uncovered), only=UNCOVERED)
    own_units = sum(part.units for part in own)
    rest = _newest(without_overflow(parts, {"uncovered": own_units, "debt": 0, "draws": []}), to_remove - own_units)
    draws: list[Draw] = [{"lot": part.source, "units": part.units} for part in rest if isinstance(part.source, int)]
    return Removal(own_units + _units_of(rest, UNCOVERED), _units_of(rest, DEBT), draws)


def _newest(parts: Sequence[Overflow], units: int, only: Source | None = None) -> list[Overflow]:
    """Return the newest ``units`` of ``parts``, in the order booked."""
    newest: list[Overflow] = []
    for source, count in reversed(parts):
        if units and only in (None, source):
            newest.append(Overflow(source, min(units, count)))
            units -= newest[-1].units
    return newest[::-1]


def _units_of(parts: Iterable[Overflow], source: Source) -> int:
    return sum(part.units for part in parts if part.source == source)
